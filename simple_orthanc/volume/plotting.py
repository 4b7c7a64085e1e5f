"""A volume as grey levels and as a picture of its three planes, for looking at; values are for computing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from simple_orthanc.errors import UnsupportedError
from simple_orthanc.volume.geometry import Vector

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def windowed(array: NDArray[Any], center: float, width: float, *, invert: bool = False) -> NDArray[np.uint8]:
    """Map values to grey levels: ``center`` to the middle, half a ``width`` to each side to black and white.

    Examples
    --------
    >>> windowed(np.array([-200, 40, 60, 500]), center=40, width=400).tolist()
    [0, 128, 140, 255]
    """
    if not width > 0:
        raise ValueError(f"width={width}: the width of a window must be positive")
    grey = np.clip((array.astype(np.float32) - center) / width + 0.5, 0, 1)
    grey = np.nan_to_num(1 - grey if invert else grey)
    result: NDArray[np.uint8] = np.rint(grey * 255).astype(np.uint8)
    return result


def sensible_window(array: NDArray[Any], header: Dataset, units: str) -> tuple[float, float]:
    """Return center and width: those of the header for Hounsfield units, else from the 1st to the 99th percentile."""
    center, width = _first(header.get("WindowCenter")), _first(header.get("WindowWidth"))
    if units == "HU" and center is not None and width is not None and width > 1:
        return center, width
    # A million values are as good as all of them, and quick.
    sample = array.reshape(-1)[:: max(1, array.size // 1_000_000)]
    sample = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    low, high = np.percentile(sample, (1, 99)) if sample.size else (0, 1)
    if high <= low:
        low, high = float(np.min(sample, initial=low)), float(np.max(sample, initial=high))
    return (float(low) + float(high)) / 2, max(float(high) - float(low), 1e-6)


def _first(value: Any) -> float | None:
    first = value[0] if isinstance(value, MultiValue | list) and len(value) else value
    try:
        return None if first is None else float(first)
    except (TypeError, ValueError):
        return None


def three_planes(
    array: NDArray[Any], spacing: Vector, window: tuple[float, float], *, invert: bool, title: str
) -> Figure:
    """Draw the middle of a volume in its own three planes, each pixel in the shape that it has in the patient.

    Parameters
    ----------
    array : ndarray
        (slice, row, column), with 3 last for colour.
    spacing : tuple of float
        Between columns, rows and slices, mm.
    window : tuple of float
        Center and width; not used for colour.
    invert : bool
        MONOCHROME1: small values are bright.
    title : str
        Above the planes.

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot, so a notebook shows it once and nothing is left open.

    Raises
    ------
    UnsupportedError
        matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise UnsupportedError(
            "The three planes are drawn with matplotlib, which is not installed: pip install matplotlib."
        ) from None

    is_colour = array.ndim == 4
    middle = [size // 2 for size in array.shape[:3]]
    column, row, slice_ = spacing
    views = (
        (f"slice {middle[0]}", array[middle[0]], row / column, "column", "row"),
        (f"row {middle[1]}", array[::-1, middle[1]], slice_ / column, "column", "slice"),
        (f"column {middle[2]}", array[::-1, :, middle[2]], slice_ / row, "row", "slice"),
    )
    figure = plt.figure(figsize=(12, 4.5), layout="constrained")
    plt.close(figure)
    for axes, (name, plane, aspect, across, down) in zip(figure.subplots(1, 3), views, strict=True):
        shown = plane if is_colour else windowed(plane, *window, invert=invert)
        if is_colour and shown.dtype != np.uint8:
            shown = (shown / np.iinfo(shown.dtype).max).astype(np.float32)
        axes.imshow(shown, cmap=None if is_colour else "gray", vmin=0, vmax=255, aspect=aspect, interpolation="nearest")
        axes.set(title=name, xlabel=across, ylabel=down, xticks=[], yticks=[])
    figure.suptitle(title)
    return figure
