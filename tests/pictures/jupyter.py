"""A Jupyter server of its own, and a browser that runs notebooks on it. Both end with their block."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SECONDS = 120
# Draws by the processor, where there is no graphics card.
_OPTIONS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def browser_program() -> str:
    """The Chromium of this system."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    raise SystemExit("Chromium is missing: sudo apt-get install chromium")


@contextmanager
def browser_page(width: int = 1100, height: int = 900) -> Iterator[Any]:
    """A page of a headless browser that reaches this machine only, and lists what else it was asked for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program(), args=list(_OPTIONS))
        page = browser.new_page(viewport={"width": width, "height": height})
        page.foreign = []

        def only_local(route: Any) -> None:
            url = route.request.url
            if url.startswith(("http://127.0.0.1", "file:", "data:", "blob:")):
                route.continue_()
            else:
                page.foreign.append(url)
                route.abort()

        page.route("**/*", only_local)
        try:
            yield page
        finally:
            browser.close()


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[tuple[str, str]]:
    """JupyterLab on a free port, with its files in a folder: its address and token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, url = secrets.token_hex(16), f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    command += [
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
    ]
    homes = {name: str(folder / ".jupyter") for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    settings = folder / ".settings"
    news = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false"}')
    environment = {**os.environ, **homes, "JUPYTER_TOKEN": token, "JUPYTERLAB_SETTINGS_DIR": str(settings)}
    with (folder / "jupyter.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(f"{url}/api?token={token}")
            yield url, token
        finally:
            server.terminate()
            server.wait()


def _wait_for(url: str) -> None:
    ends = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > ends:
                raise
            time.sleep(0.2)


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """Write a notebook with these cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def run_in_lab(page: Any, url: str, token: str, name: str) -> None:
    """Open a notebook in JupyterLab, run all of its cells, and save it."""
    page.goto(f"{url}/doc/tree/{name}?token={token}&reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=SECONDS * 1000)
    page.wait_for_function("() => window.jupyterapp !== undefined", timeout=SECONDS * 1000)
    # Without a kernel JupyterLab would ask for one.
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.ready")
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")


def screenshot(target: Any, path: Path | None = None) -> NDArray[np.int16]:
    """Take a picture of a page or an element: (row, column, colour)."""
    content = target.screenshot()
    if path is not None:
        path.write_bytes(content)
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"), np.int16)
