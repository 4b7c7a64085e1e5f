"""Overlays in the unused bits of pixels (retired in DICOM since 2004; PS3.3-2004, section C.9.2), and bytes after them.

The overlay planes of a de-identified object are removed, and so must be the bits that hold them. Only pixels that are
not compressed can hold such bits.
"""

from __future__ import annotations

import math

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian

from simple_orthanc.dicom import header as elements

_DATA = 0x3000


def has_embedded_overlays(dataset: Dataset) -> bool:
    """Check whether overlays of a dataset are in the unused bits of its pixels.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.BitsAllocated, dataset.BitsStored = 16, 12
    >>> dataset.add_new(0x60000100, "US", 16)
    >>> has_embedded_overlays(dataset)
    True
    """
    tags = elements.stored_elements(dataset)
    # An overlay without data of its own can be nowhere else, whatever its other attributes say or leave out.
    return any((group << 16 | _DATA) not in dataset for group in {tag.group for tag in tags if _is_overlay(tag.group)})


def _is_overlay(group: int) -> bool:
    return group >> 8 == 0x60 and not group & 1


def clear_unused_bits(pixels: bytes, allocated: int, stored: int, high_bit: int, *, little_endian: bool) -> bytes:
    r"""Return pixels with zeros in the bits that hold no stored value.

    Parameters
    ----------
    pixels : bytes
        Not compressed.
    allocated, stored, high_bit : int
        BitsAllocated, 8, 16 or 32, BitsStored and HighBit.
    little_endian : bool
        The order of the bytes of a pixel.

    Examples
    --------
    >>> clear_unused_bits(b"\x01\xf2", 16, 12, 11, little_endian=True)
    b'\x01\x02'
    """
    lowest = high_bit - stored + 1
    mask = ((1 << stored) - 1) << max(lowest, 0)
    dtype = np.dtype(f"{'<' if little_endian else '>'}u{allocated // 8}")
    whole = len(pixels) - len(pixels) % dtype.itemsize
    values = np.frombuffer(pixels[:whole], dtype) & dtype.type(mask)
    return bytes(values.astype(dtype).tobytes()) + pixels[whole:]


def without_embedded_overlays(source: Dataset, new: Dataset, transfer_syntax: str) -> bool:
    """Clear the bits of overlays in the pixels of a copy, and return whether there were any.

    Parameters
    ----------
    source : Dataset
        The dataset with its overlays.
    new : Dataset
        Its copy with the same pixels.
    transfer_syntax : str
        In compressed pixels there is no room for overlays, and nothing is done.
    """
    if "PixelData" not in new or UID(transfer_syntax).is_compressed or not has_embedded_overlays(source):
        return False
    allocated, stored, high = (
        int(elements.number_or_none(source, keyword) or 0) for keyword in ("BitsAllocated", "BitsStored", "HighBit")
    )
    pixels = new["PixelData"].value
    if allocated not in (8, 16, 32) or not 0 < stored < allocated or not isinstance(pixels, bytes):
        return False
    cleared = clear_unused_bits(pixels, allocated, stored, high, little_endian=transfer_syntax != ExplicitVRBigEndian)
    if cleared == pixels:
        return False
    new.add(DataElement(0x7FE00010, str(new["PixelData"].VR), cleared))
    return True


def without_bytes_after_pixels(new: Dataset, transfer_syntax: str) -> bool:
    """Clear bytes behind the last frame in the pixels of a copy, and return whether there were any.

    Nothing reads them, so that anything could be written there. As many as another frame has are left: then it is the
    header that is wrong.
    """
    if "PixelData" not in new or UID(transfer_syntax).is_compressed:
        return False
    numbers = [
        int(elements.number_or_none(new, keyword) or default)
        for keyword, default in (("Rows", 0), ("Columns", 0), ("SamplesPerPixel", 1), ("BitsAllocated", 0))
    ]
    frame, frames = math.prod(numbers), elements.frame_count(new)
    pixels = new["PixelData"].value
    if not isinstance(pixels, bytes) or frame <= 0:
        return False
    # To an even length: the last byte of pixels in words of Big Endian is where its padding is otherwise.
    end = -(-frame * frames // 16) * 2
    if not 0 < 8 * (len(pixels) - end) < frame or not any(pixels[end:]):
        return False
    new.add(DataElement(0x7FE00010, str(new["PixelData"].VR), pixels[:end] + bytes(len(pixels) - end)))
    return True
