"""Look at volumes in a browser as a user would, and keep what is seen in ``build/pictures``: ``make pictures``.

JupyterLab runs a notebook with three widgets, offline. It is checked that each draws something; that the right of the
patient is on the left side; that the overlay is seen; that scrolling changes the slice, and nothing else does; that a
click on the curve changes the step; that nothing is asked of another machine; and that the page that nbconvert makes
has the picture in place of the widget.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.pictures.jupyter import SECONDS, browser_page, jupyter_lab, run_in_lab, screenshot, write_notebook

FOLDER = Path("build/pictures")
_VOLUME = """
import numpy as np
from pydicom.dataset import Dataset
from simple_orthanc import Geometry, Volume

# A head whose right half is brighter, with a lesion in the left half; each slice is a little brighter than that below.
z, y, x = np.mgrid[:40, :64, :64]
inside = (x - 32) ** 2 + (y - 32) ** 2 < 28 ** 2
array = np.where(inside, np.where(x < 32, 80, 20) + 2 * z, -1000).astype(np.int16)
grid = Geometry((64, 64, 40), (2.0, 2.0, 3.0), (-63.0, -63.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
header = Dataset()
header.Modality, header.WindowCenter, header.WindowWidth = "CT", 80, 200
volume = Volume(array, grid, header, units="HU")
steps = Volume(
    np.stack([array, array + 60, array + 120]), grid, header, units="HU", dims=("time", "slice", "row", "column")
)
lesion = (x - 48) ** 2 + (y - 32) ** 2 + (z - 20) ** 2 < 6 ** 2
"""
CELLS = [_VOLUME, "volume.view()", 'volume.view(overlay={"lesion": lesion})', "steps.view()"]
# Pixels that scrolling must change, and those that noise may: of 255 grey levels.
_CHANGED, _LEVELS = 2000, 8


def main() -> None:
    """Make the pictures and check them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_notebook(folder / "view.ipynb", CELLS)
        with jupyter_lab(folder) as (url, token), browser_page() as page:
            run_in_lab(page, url, token, "view.ipynb")
            plain, masked, steps = _canvases(page, len(CELLS) - 1)
            _check_drawn(plain, masked)
            _check_scrolling(page, plain)
            _check_steps(page, steps)
            screenshot(page, FOLDER / "lab.png")
            page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
            page.wait_for_timeout(2000)
            asked = list(page.foreign)
        _check_exported(folder / "view.ipynb")
    _check(not asked, f"nothing is asked of other machines: {asked}")
    print(f"The pictures are in {FOLDER}.")


def _canvases(page: Any, count: int) -> list[Any]:
    page.wait_for_function(
        f"() => document.querySelectorAll('.jp-OutputArea canvas').length >= {count}", timeout=SECONDS * 1000
    )
    canvases = page.query_selector_all(".jp-OutputArea canvas")
    for canvas in canvases:
        canvas.scroll_into_view_if_needed()
        # Until the volume is there, NiiVue draws "loading" on black.
        page.wait_for_timeout(3000)
    return list(canvases)


def _check_drawn(plain: Any, masked: Any) -> None:
    plain.scroll_into_view_if_needed()
    without = screenshot(plain, FOLDER / "view.png")
    masked.scroll_into_view_if_needed()
    with_mask = screenshot(masked, FOLDER / "overlay.png")
    _check(_grey(without).max() > 100, "the volume is drawn")
    height, width = without.shape[:2]
    axial = _grey(without)[height // 3 : height // 2, : width // 3]
    right, left = axial[:, width // 15 : width // 8].mean(), axial[:, width // 5 : width // 4].mean()
    _check(right > left + 30, f"the right of the patient is on the left side: {right:.0f} and {left:.0f}")
    coloured = np.ptp(with_mask, axis=2) > 40
    before = np.ptp(without, axis=2) > 40
    _check(coloured.sum() > before.sum() + 500, f"the mask is coloured: {before.sum()} to {coloured.sum()} pixels")


def _check_scrolling(page: Any, canvas: Any) -> None:
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    before = screenshot(canvas)
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.4)
    page.wait_for_timeout(500)
    rested = screenshot(canvas)
    for _ in range(8):
        page.mouse.wheel(0, 120)
        page.wait_for_timeout(100)
    page.wait_for_timeout(500)
    scrolled = screenshot(canvas, FOLDER / "scrolled.png")
    unmoved, moved = _differing(before, rested), _differing(before, scrolled)
    _check(unmoved < 50, f"nothing changes before the wheel is turned: {unmoved} pixels")
    _check(moved > _CHANGED, f"the wheel changes the slice: {moved} pixels")


def _check_steps(page: Any, canvas: Any) -> None:
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    before = screenshot(canvas, FOLDER / "steps.png")
    page.mouse.click(box["x"] + box["width"] * 0.72, box["y"] + box["height"] * 0.65)
    page.wait_for_timeout(1000)
    after = screenshot(canvas, FOLDER / "step.png")
    # In the planes alone, on the left side: the curve marks the step too.
    half = before.shape[1] // 2
    moved = _differing(before[:, :half], after[:, :half])
    _check(moved > _CHANGED, f"a click on the curve changes the step: {moved} pixels")


def _check_exported(notebook: Path) -> None:
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(notebook)]
    subprocess.run(command, check=True, capture_output=True)
    with browser_page() as page:
        page.goto(notebook.with_suffix(".html").as_uri())
        page.wait_for_timeout(1000)
        images = page.query_selector_all(".jp-RenderedImage img")
        screenshot(page, FOLDER / "exported.png")
        _check(len(images) == len(CELLS) - 1, f"{len(images)} pictures are in the exported page")
        _check(_grey(screenshot(images[0])).std() > 20, "and show something")


def _grey(picture: NDArray[np.int16]) -> NDArray[np.float64]:
    return picture.mean(axis=2)


def _differing(one: NDArray[np.int16], other: NDArray[np.int16]) -> int:
    return int((np.abs(one - other).max(axis=2) > _LEVELS).sum())


def _check(holds: bool, what: str) -> None:
    print(("ok: " if holds else "WRONG: ") + what)
    if not holds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
