"""The format of stored samples as a header states it: type, range, and whether they are colours or labels.

Image Pixel Module: PS3.3 section C.7.6.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.fingerprint import differing
from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.colour import has_palette, palette, stored_samples

# Readable values of BitsAllocated.
ALLOCATED = (1, 8, 16, 32, 64)
# The elements that hold floats, and the bytes per value of each.
FLOATS = {"FloatPixelData": 4, "DoubleFloatPixelData": 8}
OF_SLICES = frozenset(
    elements.tag_of(keyword)
    for keyword in (
        *("SOPInstanceUID", "InstanceCreationDate", "InstanceCreationTime", "InstanceNumber", "AcquisitionNumber"),
        *("AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime", "TriggerTime", "EchoTime", "KVP"),
        *("ImagePositionPatient", "SliceLocation", "TableHeight", "XRayTubeCurrent", "ExposureTime", "Exposure"),
        *("WindowCenter", "WindowWidth", "SmallestImagePixelValue", "LargestImagePixelValue"),
    )
)
"""Tags that differ between the slices of most series, and that affect neither the stored format nor the rescaling."""


def unlike(headers: Sequence[Dataset]) -> list[Dataset]:
    """Return headers without those that differ from the previous one only in `OF_SLICES`.

    Examples
    --------
    >>> from simple_orthanc.files.fast_headers import Scanner
    >>> from simple_orthanc.phantom import as_bytes, make_series
    >>> len(unlike([Scanner().scan(as_bytes(each))[0] for each in make_series((3, 4, 4))]))
    1
    """
    kept: list[Dataset] = []
    for header in headers:
        if not kept or not OF_SLICES.issuperset(differing(kept[-1], header)):
            kept.append(header)
    return kept


def is_label_map(header: Dataset) -> bool:
    """Check whether stored values are segment numbers (PS3.3 C.8.20.2.3.3), which are never rescaled.

    Examples
    --------
    >>> header = Dataset()
    >>> header.SegmentationType = "LABELMAP"
    >>> is_label_map(header)
    True
    """
    return elements.text(header, "SegmentationType") == "LABELMAP"


def is_colour(header: Dataset) -> bool:
    """Check whether pixels are red, green and blue, stored as such or through a palette.

    Examples
    --------
    >>> header = Dataset()
    >>> header.PhotometricInterpretation = "YBR_FULL"
    >>> is_colour(header)
    True
    """
    return stored_samples(header) > 1 or has_palette(header)


def is_float(header: Dataset) -> bool:
    """Check whether pixels are floats: by the element that holds them, or else by elements that only integers have.

    Examples
    --------
    >>> header = Dataset()
    >>> header.BitsAllocated = 32
    >>> is_float(header)
    True
    """
    if elements.has(header, "PixelData"):
        return False
    if any(elements.has(header, keyword) for keyword in FLOATS):
        return True
    # Integers cannot be read without both of these, and floats need neither of them.
    needed = ("BitsStored", "PixelRepresentation")
    return _allocated(header) in (32, 64) and any(elements.number(header, keyword) is None for keyword in needed)


def needs_pixels(header: Dataset) -> bool:
    """Check whether only the element that holds the pixels would tell whether they are integers or floats.

    Examples
    --------
    >>> header = Dataset()
    >>> header.BitsAllocated, header.BitsStored, header.PixelRepresentation = 32, 32, 0
    >>> needs_pixels(header)
    True
    """
    return elements.number(header, "BitsAllocated") in (32, 64) and not is_float(header)


def stored_dtype(header: Dataset) -> np.dtype[Any]:
    """Return the type of the stored values; for a palette, the type of its entries.

    Raises
    ------
    VolumeError
        BitsAllocated (0028,0100) has a value that cannot be read.

    Examples
    --------
    >>> header = Dataset()
    >>> header.BitsAllocated, header.BitsStored, header.PixelRepresentation = 16, 12, 1
    >>> stored_dtype(header).name
    'int16'
    """
    allocated = _allocated(header)
    if is_float(header):
        size = next((size for keyword, size in FLOATS.items() if elements.has(header, keyword)), allocated // 8)
        return np.dtype(f"f{size}")
    if has_palette(header):
        return _palette_dtype(header)
    if allocated == 1:
        return np.dtype(np.uint8)
    signed = elements.number(header, "PixelRepresentation") == 1
    return np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")


def stored_range(header: Dataset) -> tuple[int, int]:
    """Return the least and the greatest integer that BitsStored and PixelRepresentation allow.

    Raises
    ------
    VolumeError
        BitsAllocated (0028,0100) or BitsStored (0028,0101) has a value that cannot be read.

    Examples
    --------
    >>> header = Dataset()
    >>> header.BitsAllocated, header.BitsStored, header.PixelRepresentation = 16, 12, 1
    >>> stored_range(header)
    (-2048, 2047)
    """
    allocated = _allocated(header)
    bits = int(elements.number(header, "BitsStored") or allocated)
    if not 1 <= bits <= allocated:
        raise VolumeError(
            f"{elements.name_of('BitsStored')} of {elements.instance_of(header)} is {bits}, where "
            f"{elements.name_of('BitsAllocated')} is {allocated}. Read the header with get_headers()."
        )
    if elements.number(header, "PixelRepresentation") == 1:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _allocated(header: Dataset) -> int:
    allocated = int(elements.number(header, "BitsAllocated") or 16)
    if allocated not in ALLOCATED:
        raise VolumeError(
            f"{elements.name_of('BitsAllocated')} of {elements.instance_of(header)} is {allocated}; readable values "
            f"are {', '.join(map(str, ALLOCATED))}. Read the header with get_headers()."
        )
    return allocated


def _palette_dtype(header: Dataset) -> np.dtype[Any]:
    try:
        return palette(header)[1].dtype
    except (TypeError, ValueError, OverflowError):
        return np.dtype(np.uint8)
