"""From the values of a volume to stored values of 8 or 16 bits: exactly, or to half a step of a slope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.writing.decimals import decimal_string

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNED, _UNSIGNED = np.iinfo(np.int16), np.iinfo(np.uint16)
# A reader may multiply stored values of up to 64 bits by the slope.
_LARGEST = float(np.finfo(np.float64).max) / 2.0**65 * _SIGNED.max
# Whole numbers that a decimal string of 16 characters holds exactly.
_LARGEST_WHOLE = 10.0**14


@dataclass(frozen=True)
class StoredPixels:
    """The stored values of a volume, and what turns them into its values: ``value = slope * stored + intercept``.

    Attributes
    ----------
    array : ndarray
        Of uint8, int16 or uint16, and of the shape of the volume.
    slope, intercept : str
        Decimal strings, as a header holds them. "1" and "0" where stored values are the values.
    padding : (int, int) or None
        The first and the last stored value that stand for no image (PS3.3 C.7.5.1.1.2); None if no voxel is padding.
    used : (int, int)
        The least and the greatest stored value of all other voxels.
    """

    array: NDArray[Any]
    slope: str = "1"
    intercept: str = "0"
    padding: tuple[int, int] | None = None
    used: tuple[int, int] = (0, 0)

    @property
    def is_rescaled(self) -> bool:
        """Whether values differ from the stored ones."""
        return (self.slope, self.intercept) != ("1", "0")


def stored_pixels(
    array: NDArray[Any], mask: NDArray[np.bool_] | None = None, *, narrow: bool = True, through_zero: bool = False
) -> StoredPixels:
    """Choose the stored values of a volume of single values.

    Whole numbers that fit are stored as they are: bool and uint8 in 8 bits, all others in 16 bits, signed or not.
    Whole numbers in a range of 16 bits are moved by a whole intercept. All other values get a slope for the whole
    volume, with an error of at most half a step.

    Parameters
    ----------
    array : ndarray
        bool, integers or floats. NaN is padding.
    mask : ndarray of bool, optional
        True where there is no image. Their values are kept if no other voxel has a value between them.
    narrow : bool
        Whether 8 bits are allowed.
    through_zero : bool
        Whether the intercept must be 0, as that of PET (PS3.3 C.8.9.4).

    Returns
    -------
    StoredPixels

    Raises
    ------
    VolumeError
        Values are infinite, too large, or no real numbers.

    Examples
    --------
    >>> stored_pixels(np.array([-1000, 40], np.int32)).array.dtype.name
    'int16'
    >>> pixels = stored_pixels(np.array([0.0, 0.5, np.nan]))
    >>> pixels.array.tolist(), pixels.slope, pixels.padding
    ([0, 65534, 65535], '7.6296273690e-06', (65535, 65535))
    """
    values = array.astype(np.uint8) if array.dtype == bool else array
    if values.dtype.kind not in "iuf":
        raise VolumeError(
            f"The values are {array.dtype}, and DICOM images hold real numbers: write a part of them, such as "
            "volume.with_array(abs(volume.array))."
        )
    padded = _padded(values, mask)
    low, high = _range(values, padded)
    if not _is_whole(values, padded):
        return _scaled(values, padded, low, high, through_zero=through_zero)
    dtype = _dtype_for(values, low, high, narrow=narrow)
    if dtype is not None:
        kept = _as_they_are(values, padded, dtype)
        if kept is not None:
            return kept
    if not through_zero and high - low < _UNSIGNED.max and max(-low, high) < _LARGEST_WHOLE:
        return _moved(values, padded, int(low), int(high))
    return _scaled(values, padded, low, high, through_zero=through_zero)


def _padded(values: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Return where there is no image; None if there is one everywhere."""
    if values.dtype.kind == "f":
        infinite = int(np.isinf(values).sum())
        if infinite:
            raise VolumeError(
                f"{infinite} values are infinite, which no stored value can stand for: replace them first, by NaN for "
                "voxels without a value, or by numpy.clip."
            )
        nan = np.isnan(values)
        if nan.any():
            mask = nan if mask is None else mask | nan
    return mask if mask is not None and mask.any() else None


def _range(values: NDArray[Any], padded: NDArray[np.bool_] | None) -> tuple[float, float]:
    """Return the least and the greatest value of what is image."""
    if padded is None:
        return values.min().item(), values.max().item()
    if padded.all():
        return 0, 0
    inside = ~padded
    largest = np.finfo(values.dtype).max if values.dtype.kind == "f" else np.iinfo(values.dtype).max
    smallest = np.finfo(values.dtype).min if values.dtype.kind == "f" else np.iinfo(values.dtype).min
    return values.min(where=inside, initial=largest).item(), values.max(where=inside, initial=smallest).item()


def _is_whole(values: NDArray[Any], padded: NDArray[np.bool_] | None) -> bool:
    if values.dtype.kind in "iu":
        return True
    # Slice by slice, as most volumes of floats show a fraction in the first.
    for index, part in enumerate(values):
        is_whole = np.equal(part, np.rint(part))
        if not (is_whole if padded is None else is_whole | padded[index]).all():
            return False
    return True


def _dtype_for(values: NDArray[Any], low: float, high: float, *, narrow: bool) -> np.dtype[Any] | None:
    """Choose the type that stores whole numbers as they are; None if none does."""
    if values.dtype == np.uint8 and narrow:
        return np.dtype(np.uint8)
    if values.dtype == np.uint16:
        return np.dtype(np.uint16)
    if _SIGNED.min <= low and high <= _SIGNED.max:
        return np.dtype(np.int16)
    return np.dtype(np.uint16) if low >= 0 and high <= _UNSIGNED.max else None


def _as_they_are(values: NDArray[Any], padded: NDArray[np.bool_] | None, dtype: np.dtype[Any]) -> StoredPixels | None:
    """Store whole numbers as they are; None if no stored value is left for padding."""
    low, high = (int(end) for end in _range(values, padded))
    if padded is None:
        return StoredPixels(values.astype(dtype), used=(low, high))
    limits = np.iinfo(dtype)
    outside = values[padded]
    # Those of padding alone may have a fraction, which would become the value of a voxel.
    if np.equal(outside, np.rint(outside)).all():
        first, last = outside.min().item(), outside.max().item()
        between = (values >= first) & (values <= last) & ~padded
        if limits.min <= first and last <= limits.max and not between.any():
            return StoredPixels(values.astype(dtype), padding=(int(first), int(last)), used=(low, high))
    free = low - 1 if low > limits.min else high + 1
    if free > limits.max:
        present = np.unique(values[~padded]).astype(np.int64)
        gaps = np.flatnonzero(np.diff(present) > 1)
        if not len(gaps):
            return None
        free = int(present[gaps[0]]) + 1
    stored = np.where(padded, free, values).astype(dtype)
    return StoredPixels(stored, padding=(free, free), used=(low, high))


def _moved(values: NDArray[Any], padded: NDArray[np.bool_] | None, low: int, high: int) -> StoredPixels:
    """Store whole numbers with an intercept that moves them into 16 bits; the lowest stored value is for padding."""
    intercept = low - _SIGNED.min - 1
    stored = np.empty(values.shape, np.int16)
    for index, part in enumerate(values):
        numbers = part if padded is None else np.where(padded[index], low - 1, part)
        stored[index] = numbers.astype(np.int64) - intercept
    return StoredPixels(
        stored,
        intercept=str(intercept),
        padding=None if padded is None else (_SIGNED.min, _SIGNED.min),
        used=(low - intercept, high - intercept),
    )


def _scaled(
    values: NDArray[Any], padded: NDArray[np.bool_] | None, low: float, high: float, *, through_zero: bool
) -> StoredPixels:
    """Store values in steps of one slope for all of them; 0 stays exactly 0 where it lies between the values."""
    low, high = float(low), float(high)
    if max(-low, high) > _LARGEST:
        raise VolumeError(
            f"The values reach from {low:g} to {high:g}, which is beyond what a slope can hold: scale them first, with "
            "volume.with_array(volume.array / factor)."
        )
    slope, intercept, levels = _line(low, high, through_zero=through_zero)
    step, offset = float(slope), float(intercept)
    dtype, empty = (np.uint16, _UNSIGNED.max) if levels[0] == 0 else (np.int16, _SIGNED.min)
    stored = np.empty(values.shape, dtype)
    for index, part in enumerate(values):
        # What is padding may be too large for these steps.
        inside = part if padded is None else np.where(padded[index], low, part)
        # By a step below 1e-308 NumPy 1.26 divides what lies beyond the array's end too, and warns of that.
        with np.errstate(over="ignore"):
            stored[index] = np.rint((inside.astype(np.float64) - offset) / step)
    if padded is not None:
        stored[padded] = empty
    return StoredPixels(
        stored,
        slope,
        intercept,
        padding=None if padded is None else (int(empty), int(empty)),
        used=(round((low - offset) / step), round((high - offset) / step)),
    )


def _line(low: float, high: float, *, through_zero: bool) -> tuple[str, str, tuple[int, int]]:
    """Return slope and intercept as decimal strings, and the least and greatest stored value that may be used.

    One of the 65536 stored values is left for padding. The intercept is 0 unless the steps would be twice as large or
    more.
    """
    levels = (0, int(_UNSIGNED.max) - 1) if low >= 0 else (-int(_SIGNED.max), int(_SIGNED.max))
    intercept = "0"
    slope = max(high / levels[1], low / levels[0] if levels[0] else 0.0)
    if not through_zero and (low > high / 2 > 0 or high < low / 2 < 0):
        levels = (-int(_SIGNED.max), int(_SIGNED.max))
        intercept = decimal_string(low / 2 + high / 2)
        # Values that differ less than the numbers around them do have steps of that difference.
        slope = max((high / 2 - low / 2) / levels[1], float(np.spacing(max(-low, high))))
    slope = max(slope, float(np.nextafter(0, 1)))
    offset = float(intercept)
    # What the rounding of slope and intercept to decimal strings takes away is added again.
    for growth in (0.0, 1e-9, 1e-6, 1e-3, *(2.0**power - 1 for power in range(1, 64))):
        written = decimal_string(slope * (1 + growth))
        step = float(written)
        if step > 0 and levels[0] <= round((low - offset) / step) and round((high - offset) / step) <= levels[1]:
            return written, intercept, levels
    raise AssertionError(f"no slope for values from {low} to {high}")
