"""Which values are black and which are white: the header's window, or a default for each modality that is stated.

A window hides what lies beyond it. Nothing is hidden in silence: :meth:`Window.describe` states the window and how many
voxels lie above and below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of the voxels of an image without a window of its own.
PERCENTILES = (0.5, 99.5)
_SAMPLE = 1_000_000


@dataclass(frozen=True)
class Window:
    """The range of values that is shown.

    Attributes
    ----------
    low, high : float
        The values drawn in the first and the last colour.
    source : str
        Where the window comes from, for the caption of a picture.
    """

    low: float
    high: float
    source: str

    @property
    def center(self) -> float:
        """The middle of the window."""
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        """The width of the window."""
        return self.high - self.low

    def describe(self, array: NDArray[Any], units: str) -> str:
        """State the window, its source, and the share of the voxels of `array` beyond it.

        Examples
        --------
        >>> Window(0, 10, "given").describe(np.array([-1, 5, 20, 40]), "SUVbw")
        'window 0 to 10 SUVbw (given); 50 % above (max 40), 25 % below (min -1)'
        """
        unit = f" {units}" if units else ""
        text = f"window {self.low:.4g} to {self.high:.4g}{unit} ({self.source})"
        finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        if not finite.size:
            return text
        above, below = int(np.count_nonzero(finite > self.high)), int(np.count_nonzero(finite < self.low))
        beyond = []
        if above:
            beyond.append(f"{_share(above, finite.size)} above (max {finite.max():.4g})")
        if below:
            beyond.append(f"{_share(below, finite.size)} below (min {finite.min():.4g})")
        return "; ".join([text, ", ".join(beyond)] if beyond else [text])


def _share(count: int, total: int) -> str:
    """Return a share in per cent that is never rounded to 0."""
    return f"{100 * count / total:.2g} %" if count * 1_000_000 >= total else "less than 0.0001 %"


def default_window(array: NDArray[Any], header: Dataset, units: str) -> Window:
    """Choose the window of an image of which none is asked for.

    CT in HU: the first window of its header (PS3.3 C.11.2). PET: from 0 to the maximum, so that no hot spot is hidden.
    Dose, masks, label maps and fractions: from 0, or a negative minimum, to the maximum. Everything else, MR among it,
    and CT without a window: from the 0.5th to the 99.5th percentile.

    Parameters
    ----------
    array : ndarray
        All the values of the image.
    header : pydicom.Dataset
    units : str
        Those of the values.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Modality = "PT"
    >>> default_window(np.array([0.0, 1.0, 8.0]), header, "SUVbw")
    Window(low=0.0, high=8.0, source='0 to the maximum')
    """
    center, width = _first(header.get("WindowCenter")), _first(header.get("WindowWidth"))
    if units == "HU" and center is not None and width is not None and width > 1:
        return Window(center - width / 2, center + width / 2, "WindowCenter and WindowWidth")
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    if not finite.size:
        return Window(0.0, 1.0, "no values")
    if array.dtype.kind == "b":
        return Window(0.0, 1.0, "0 to 1")
    if header.get("Modality") in ("PT", "RTDOSE", "SEG") or units == "label":
        low, high = min(0.0, float(finite.min())), float(finite.max())
        return _with_width(low, high, "0 to the maximum" if low == 0 else "minimum to maximum")
    low, high = (float(value) for value in np.percentile(finite.reshape(-1)[:: _step(finite.size)], PERCENTILES))
    if high <= low:
        return _with_width(float(finite.min()), float(finite.max()), "minimum to maximum")
    return Window(low, high, f"{PERCENTILES[0]} to {PERCENTILES[1]} percentile")


def _step(size: int) -> int:
    """Return the step at which values are sampled: a million are as good as all of them, and quick."""
    return max(1, size // _SAMPLE)


def _with_width(low: float, high: float, source: str) -> Window:
    return Window(low, high if high > low else low + 1.0, source)


def _first(value: Any) -> float | None:
    first = value[0] if isinstance(value, MultiValue | list) and len(value) else value
    try:
        return None if first is None else float(first)
    except (TypeError, ValueError):
        return None


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
