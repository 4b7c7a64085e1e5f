"""Pixels that hold no measured value: padding around an image, and the background of a segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.pixels.sample_format import is_label_map

if TYPE_CHECKING:
    from numpy.typing import NDArray


def padding_mask(header: Dataset, stored_frame: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Find the pixels of a frame that are padding, outside of what the scanner measured.

    Parameters
    ----------
    header : Dataset
    stored_frame : ndarray
        Shape (rows, columns), stored values, before any rescaling.

    Returns
    -------
    ndarray of bool, or None
        True where the value is Pixel Padding Value (0028,0120), or lies between that and Pixel Padding Range Limit
        (0028,0121), whichever is larger. None where the header names no padding, or the frame is colour or a label map.

    Notes
    -----
    PS3.3 section C.7.5.1.1.2. Float pixels have elements of their own, (0028,0122) to (0028,0125).

    Examples
    --------
    >>> header = Dataset()
    >>> header.PixelRepresentation, header.BitsStored, header.PixelPaddingValue = 1, 16, 63536
    >>> padding_mask(header, np.array([[-2000, 5]], dtype=np.int16)).tolist()
    [[True, False]]
    """
    if stored_frame.ndim != 2 or is_label_map(header):
        return None
    first, limit = _ends(header, stored_frame.dtype)
    if first is None:
        return None
    if np.isnan(first):
        return np.asarray(np.isnan(stored_frame))
    if limit is None or limit == first or np.isnan(limit):
        return np.asarray(stored_frame == first)
    low, high = min(first, limit), max(first, limit)
    return np.asarray((stored_frame >= low) & (stored_frame <= high))


def background_value(header: Dataset) -> int:
    """Return the stored value of a segmentation where there is no segment.

    Notes
    -----
    A label map names it as its Pixel Padding Value (0028,0120), DICOM supplement 243: there this value marks the
    absence of a segment, and not, as elsewhere, the absence of an image.

    Examples
    --------
    >>> header = Dataset()
    >>> header.SegmentationType, header.BitsStored, header.PixelPaddingValue = "LABELMAP", 8, 255
    >>> background_value(header)
    255
    """
    return (_stored_value(header, "PixelPaddingValue") or 0) if is_label_map(header) else 0


def _ends(header: Dataset, dtype: np.dtype[Any]) -> tuple[float | None, float | None]:
    """Return Pixel Padding Value and Pixel Padding Range Limit as stored values of this type."""
    if dtype.kind != "f":
        value, limit = (_stored_value(header, f"PixelPadding{name}") for name in ("Value", "RangeLimit"))
        return value, limit
    prefix = "Double" if dtype.itemsize == 8 else ""
    # Every value that a float can hold marks padding, NaN and infinities too.
    first, last = (
        elements.number(header, f"{prefix}FloatPixelPadding{name}", finite=False) for name in ("Value", "RangeLimit")
    )
    if prefix == "" and first is not None:
        # The element has the precision of the pixels; compared at a higher one it would miss them.
        return float(np.float32(first)), None if last is None else float(np.float32(last))
    return first, last


def _stored_value(header: Dataset, keyword: str) -> int | None:
    """Read a stored value as pixels hold it: of BitsStored bits, with the sign of PixelRepresentation.

    Its VR, US or SS, is often the wrong one of the two, and its upper bits are often filled.
    """
    value = elements.number(header, keyword)
    if value is None:
        return None
    bits = int(elements.number(header, "BitsStored") or 16)
    whole = int(value) & ((1 << bits) - 1)
    if elements.number(header, "PixelRepresentation") == 1 and whole >> (bits - 1):
        return whole - (1 << bits)
    return whole
