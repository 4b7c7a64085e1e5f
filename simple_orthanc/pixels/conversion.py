"""From stored values to meaningful ones: the arithmetic, and the type and size of the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.pixels.rescale import Rescale, read_rescale
from simple_orthanc.pixels.sample_format import is_colour, is_label_map, stored_dtype, stored_range, unlike

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLOAT32 = np.finfo(np.float32)
# float32 has at least this many numbers between two stored values; of 16 bits without an intercept there are more.
_FINE_ENOUGH = 64


def result_dtype(headers: Sequence[Dataset], rescales: Sequence[Rescale], units: str = "modality") -> np.dtype[Any]:
    """Choose the type of a volume from its headers, never from its pixels, so that it does not depend on their content.

    Parameters
    ----------
    headers : sequence of Dataset
        Those of all slices.
    rescales : sequence of Rescale
        Those of all slices.
    units : str

    Returns
    -------
    dtype
        Colour and label maps keep their type. Where values are whole numbers, the smaller of int16 and int32 that
        holds what BitsStored, the sign and all slopes and intercepts allow. Else float32, or float64 for stored
        values of 32 bits and more, for slopes and intercepts beyond float32, and for a large intercept beside which
        float32 would round the steps of the slope. ``units="stored"`` keeps the stored type, or the smallest that
        holds all of several.

    Examples
    --------
    >>> header = Dataset()
    >>> header.SamplesPerPixel, header.BitsAllocated, header.BitsStored, header.PixelRepresentation = 1, 16, 16, 0
    >>> result_dtype([header], [Rescale(intercept=-1024.0)]).name
    'int32'
    """
    headers = unlike(headers)
    kept = np.result_type(*{stored_dtype(header) for header in headers})
    if units == "stored" or any(is_colour(header) or is_label_map(header) for header in headers):
        return kept
    distinct = set(rescales) or {Rescale()}
    # Of floats the header tells no range; a slope that is too large for any of them shows at 1.
    stored = {(-1, 1)} if kept.kind == "f" else {stored_range(header) for header in headers}
    ranges = [_range(one, *ends) for one in distinct for ends in stored]
    low, high = min(first for first, _ in ranges), max(last for _, last in ranges)
    wide = kept.itemsize >= (8 if kept.kind == "f" else 4) or max(-low, high) > float(_FLOAT32.max)
    wide = wide or any(abs(one.slope) < float(_FLOAT32.tiny) for one in distinct)
    if kept.kind != "f":
        wide = wide or any(_is_rounded(one, *ends) for one in distinct for ends in stored)
    if kept.kind != "f" and all(one.is_integer for one in distinct):
        for candidate in (np.int16, np.int32):
            if np.iinfo(candidate).min <= low and high <= np.iinfo(candidate).max:
                return np.dtype(candidate)
        wide = True
    return np.dtype(np.float64 if wide else np.float32)


def apply_rescale(
    stored_frame: NDArray[Any], rescale: Rescale, dtype: np.dtype[Any] | type[Any], out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Convert stored values to meaningful ones.

    Parameters
    ----------
    stored_frame : ndarray
        Stored values, of any shape.
    rescale : Rescale
    dtype : dtype
        That of the result, from `result_dtype`.
    out : ndarray, optional
        Of this type and the same shape; it takes the result.

    Returns
    -------
    ndarray
        Of the same shape, computed in float64 unless integers are exact. Without `out`, and with nothing to do, it is
        `stored_frame` itself.

    Examples
    --------
    >>> apply_rescale(np.array([0, 65535], dtype=np.uint16), Rescale(intercept=-1024.0), np.int32).tolist()
    [-1024, 64511]
    """
    target = np.dtype(dtype)
    if rescale.is_identity:
        if out is None:
            return stored_frame.astype(target, copy=False)
        np.copyto(out, stored_frame, casting="unsafe")
        return out
    if rescale.lut is None and target.kind in "iu" and stored_frame.dtype.kind in "iu":
        return _integers(stored_frame, rescale, target, out)
    if rescale.lut is not None:
        inputs, outputs = rescale.lut
        index = stored_frame.astype(np.int64)
        index -= int(inputs[0])
        np.clip(index, 0, len(outputs) - 1, out=index)
        result = outputs.astype(target)[index]
    else:
        exact = np.multiply(stored_frame, rescale.slope, dtype=np.float64)
        if rescale.intercept:
            exact += rescale.intercept
        result = exact.astype(target, copy=False)
    if rescale.valid is not None:
        low, high = rescale.valid
        result[(stored_frame < low) | (stored_frame > high)] = np.nan
    if out is None:
        return result
    out[...] = result
    return out


def volume_bytes(header: Dataset, units: str = "modality") -> int:
    """Return the memory that the values of one object take, from its header alone.

    Parameters
    ----------
    header : Dataset
    units : str
        As in `rescale`; standardized uptake values ("SUVbw" and so on) are float32.

    Returns
    -------
    int
        Bytes of all frames; 0 for an object that is no image.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Rows, header.Columns, header.BitsAllocated, header.BitsStored = 512, 256, 16, 12
    >>> volume_bytes(header)
    262144
    """
    rows, columns = elements.number(header, "Rows"), elements.number(header, "Columns")
    if not rows or not columns:
        return 0
    frames = elements.frame_count(header)
    samples = frames * int(rows) * int(columns) * (3 if is_colour(header) else 1)
    if units.startswith("SUV"):
        return samples * 4
    return samples * result_dtype([header], [read_rescale(header, 0, units)], units).itemsize


def _integers(
    stored_frame: NDArray[Any], rescale: Rescale, target: np.dtype[Any], out: NDArray[Any] | None
) -> NDArray[Any]:
    """Compute in the type of the result: it holds the result, so that a step may overflow on the way.

    Integers of one width have the same bits modulo their range, signed or not, and need no conversion.
    """
    one_width = stored_frame.dtype.itemsize == target.itemsize
    source = stored_frame.view(target) if one_width else stored_frame.astype(target)
    unsigned, whole = np.dtype(f"u{target.itemsize}"), 1 << 8 * target.itemsize
    slope, intercept = (
        np.array(int(value) % whole, unsigned).view(target) for value in (rescale.slope, rescale.intercept)
    )
    if rescale.slope != 1:
        source = out = np.multiply(source, slope, out=out)
    result: NDArray[Any] = np.add(source, intercept, out=out)
    return result


def _is_rounded(rescale: Rescale, low: int, high: int) -> bool:
    """Check whether float32 is too coarse for the steps of a slope, beside the largest value."""
    if rescale.lut is not None:
        return False
    largest = max(map(abs, _range(rescale, low, high)))
    return abs(rescale.slope) < _FINE_ENOUGH * float(_FLOAT32.eps) * largest


def _range(rescale: Rescale, low: int, high: int) -> tuple[float, float]:
    if rescale.lut is not None:
        return float(rescale.lut[1].min()), float(rescale.lut[1].max())
    ends = (rescale.slope * low + rescale.intercept, rescale.slope * high + rescale.intercept)
    return min(ends), max(ends)
