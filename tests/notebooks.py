"""The notebooks, executed in one kernel: ``python -m tests.notebooks --write`` stores their outputs."""

from __future__ import annotations

import argparse
import base64
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from jupyter_client import KernelManager
from nbclient import NotebookClient
from numpy.typing import NDArray
from PIL import Image

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# A new namespace costs less than a new kernel, and no notebook can rely on another one.
_BEGINNING = """%reset -f
# matplotlib 3.7 would show the first figure only after the next cell.
%matplotlib inline
import os
import simple_orthanc
os.chdir({folder!r})
# When a bar is shown depends on the machine.
simple_orthanc.show_progress(False)
del os, simple_orthanc"""
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_PATIENCE = 120


@dataclass(frozen=True)
class Output:
    """What one cell shows in one place: its text, and its picture and the program that drew it, if it is one."""

    kind: str
    text: str
    picture: NDArray[np.uint8] | None = None
    program: str = ""


class Kernel:
    """A kernel that executes notebooks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manager = KernelManager(kernel_name="python3")

    def execute(self, path: Path) -> Any:
        """Execute a notebook, and return it with its outputs."""
        content = nbformat.read(path, as_version=4)
        beginning = nbformat.v4.new_code_cell(_BEGINNING.format(folder=str(self._folder)))
        content.cells.insert(0, beginning)
        client = NotebookClient(content, timeout=_PATIENCE, startup_timeout=_PATIENCE, km=self._manager)
        try:
            client.execute()
        finally:
            # nbclient leaves open what it did not start itself.
            if client.kc is not None:
                client.kc.stop_channels()
        content.cells.pop(0)
        return content

    def stop(self) -> None:
        """End the kernel."""
        self._manager.shutdown_kernel()
        self._manager.context.destroy()


@contextmanager
def kernel(folder: Path) -> Iterator[Kernel]:
    """Run a kernel in a folder."""
    made = Kernel(folder)
    try:
        yield made
    finally:
        made.stop()


def outputs_of(cell: Any) -> list[Output]:
    """Return what a cell shows."""
    return [_output(output) for output in cell.get("outputs", [])]


def _output(output: Any) -> Output:
    if output.output_type == "stream":
        return Output(output.name, output.text)
    data = output.get("data", {})
    text = data.get("text/plain", "")
    if "image/png" not in data:
        return Output(output.output_type, text)
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    return Output(output.output_type, text, np.asarray(picture.convert("RGB")), picture.info["Software"])


def clean(content: Any) -> Any:
    """Remove from an executed notebook what differs from run to run and machine to machine."""
    content.metadata = nbformat.from_dict(_METADATA)
    count = 0
    for number, cell in enumerate(content.cells):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = count
                output.pop("metadata", None)
                if output.output_type != "stream":
                    output.metadata = nbformat.from_dict({})
    return content


def main(arguments: list[str]) -> None:
    """Execute the notebooks that are named, or all, and store their outputs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help="such as pet; all by default")
    parser.add_argument("--write", action="store_true", help="store the outputs")
    chosen = parser.parse_args(arguments)
    os.environ.pop("MPLBACKEND", None)
    with tempfile.TemporaryDirectory() as folder, kernel(Path(folder)) as running:
        for path in NOTEBOOKS:
            if path.stem in (chosen.names or [path.stem]):
                content = running.execute(path)
                if chosen.write:
                    nbformat.write(clean(content), path)
                print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
