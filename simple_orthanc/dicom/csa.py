"""Read the CSA headers of Siemens, private elements that hold a list of named values of their own.

A mosaic says only here on which side of its first slice the others lie, and older software writes b-values and gradient
directions nowhere else. nibabel reads the format too, but it is an optional dependency, which reading a volume must not
need, and it fails on the older version. So this is a small reader of our own, which the tests compare with nibabel's.
https://nipy.org/nibabel/dicom/siemens_csa.html describes the format: little endian, in two versions; the newer one
begins with ``SV10``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements

CREATOR = "SIEMENS CSA HEADER"
MAKERS = ("siemens",)

_SECOND_VERSION = b"SV10"
# Name, multiplicity, VR, its number, number of items, a mark; then for each item four numbers and its padded content.
_TAG = struct.Struct("<64si4siii")
_ITEM = struct.Struct("<4i")
_MOST_TAGS = 1000


def read_csa(content: bytes) -> dict[str, tuple[str, ...]]:
    """Read all values of a CSA header.

    Parameters
    ----------
    content : bytes
        The value of (0029,xx10) or (0029,xx20).

    Returns
    -------
    dict
        The strings of each tag by its name, without padding and without the empty items that fill up a tag. What comes
        after the first damage is left out; bytes of another format give an empty dictionary.

    Examples
    --------
    >>> read_csa(b"not a CSA header")
    {}
    """
    is_second = content[:4] == _SECOND_VERSION
    position = 8 if is_second else 0
    result: dict[str, tuple[str, ...]] = {}
    try:
        (count,) = struct.unpack_from("<I", content, position)
        position += 8
        first_items = None
        for _ in range(count if count <= _MOST_TAGS else 0):
            name, _, _, _, items, _ = _TAG.unpack_from(content, position)
            position += _TAG.size
            if first_items is None:
                first_items = items
            values = []
            for _ in range(items):
                lengths = _ITEM.unpack_from(content, position)
                position += _ITEM.size
                # The older version adds the number of items of its first tag to every length.
                length = lengths[1] if is_second else lengths[0] - first_items
                if length < 0 or position + length > len(content):
                    return result
                values.append(_string(content[position : position + length]))
                position += -(-length // 4) * 4
            result[_string(name)] = tuple(value for value in values if value)
    except struct.error:
        pass
    return result


def _string(content: bytes) -> str:
    return content.split(b"\0", 1)[0].decode("latin-1").strip()


_cached = lru_cache(maxsize=32)(read_csa)


def csa_of(header: Dataset) -> Mapping[str, tuple[str, ...]]:
    """Read the CSA headers of an image: of the image (0029,xx10), then of its series (0029,xx20).

    Parameters
    ----------
    header : pydicom.Dataset

    Returns
    -------
    mapping
        As from :func:`read_csa`; a tag that both headers hold has the value of the image. Empty if there is neither.
    """
    result: dict[str, tuple[str, ...]] = {}
    for element in (0x20, 0x10):
        for tag in elements.private(header, 0x0029, element, CREATOR, MAKERS):
            value, _, _ = elements.raw(header, tag)
            if isinstance(value, (bytes, bytearray, memoryview)):
                result.update({name: values for name, values in _cached(bytes(value)).items() if values})
                break
    return result


def csa_numbers(header: Dataset, name: str) -> tuple[float, ...]:
    """Read the numbers of a tag of the CSA headers; empty if it is missing or holds something else.

    Examples
    --------
    >>> csa_numbers(Dataset(), "SliceNormalVector")
    ()
    """
    try:
        return tuple(float(value) for value in csa_of(header).get(name, ()))
    except ValueError:
        return ()
