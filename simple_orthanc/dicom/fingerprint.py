"""What tells headers apart, so that what was computed from one is not taken for that of another."""

from __future__ import annotations

import hashlib
from typing import Any

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from simple_orthanc.dicom.header import stored_elements, texts

_GROUP_OF_PIXELS = 0x7FE0
_CHARACTER_SET = 0x00080005
_CHARACTER_SETS = frozenset({_CHARACTER_SET})


def fingerprint(header: Dataset) -> int:
    """Return a number of 64 bits for what a header holds, besides its pixels.

    Headers that are equal, and were read in the same way, have the same number in the same process. The slices of a
    series share most values, whose hashes Python remembers, so it takes a tenth of the time of a checksum.

    Examples
    --------
    >>> one, other = Dataset(), Dataset()
    >>> one.SliceThickness, other.SliceThickness = "1.0", "2.0"
    >>> fingerprint(one) == fingerprint(one), fingerprint(one) == fingerprint(other)
    (True, False)
    """
    # pydicom converts the character set when it reads a header, and the fast reader does not.
    character_set = texts(header, _CHARACTER_SET)
    elements = [
        element if type(element) is RawDataElement and type(element.value) is bytes else _hashable(tag, element)
        for tag, element in stored_elements(header).items()
        # Tags compare much more slowly than they are found in a set.
        if tag >> 16 != _GROUP_OF_PIXELS and tag not in _CHARACTER_SETS
    ]
    return hash((*character_set, *elements))


def _hashable(tag: int, element: DataElement | RawDataElement) -> Any:
    value = element.value
    return tag, element.VR, tuple(map(fingerprint, value)) if isinstance(value, Sequence) else repr(value)


def checksum(header: Dataset) -> str:
    """Return a checksum of what a header holds before its pixels, the same in every process.

    It is that of the header as it was read: `fingerprint` is quicker, and this one can be kept.

    Examples
    --------
    >>> one, other = Dataset(), Dataset()
    >>> one.SliceThickness, other.SliceThickness = "1.0", "2.0"
    >>> len(checksum(one)), checksum(one) == checksum(other)
    (32, False)
    """
    hashed = hashlib.blake2b(digest_size=16)
    _add(hashed, header)
    return hashed.hexdigest()


def _add(hashed: Any, header: Dataset) -> None:
    # pydicom converts the character set when it reads a header, and the fast reader does not.
    parts: list[Any] = [*texts(header, _CHARACTER_SET)]
    elements = stored_elements(header)
    for tag in sorted(elements):
        if tag >> 16 >= _GROUP_OF_PIXELS or tag == _CHARACTER_SET:
            continue
        value = elements[tag].value
        if isinstance(value, Sequence):
            parts += [int(tag), len(value)]
            hashed.update(repr(parts).encode())
            parts = []
            for item in value:
                _add(hashed, item)
        else:
            parts += [int(tag), value]
    hashed.update(repr(parts).encode())


def differing(one: Dataset, other: Dataset) -> set[int]:
    """Return the tags of the elements that are not in both of two headers with the same bytes.

    What pydicom has converted in one of them counts as differing.

    Examples
    --------
    >>> one, other = (Dataset({0x00200013: RawDataElement(0x00200013, "IS", 2, value, 0, False, True)})
    ...               for value in (b"1 ", b"2 "))
    >>> [hex(tag) for tag in differing(one, other)], differing(one, one)
    (['0x200013'], set())
    """
    mine, theirs = stored_elements(one), stored_elements(other)
    if len(mine) == len(theirs):
        # Slices of one series share most of their elements, which are in the same order.
        pairs = [(own, their) for own, their in zip(mine.values(), theirs.values(), strict=True) if own is not their]
        if all(own.tag is their.tag for own, their in pairs):
            return {own.tag for own, their in pairs if not _is_equal(own, their)}
    different: set[int] = {
        tag
        for tag, element in mine.items()
        if (other_element := theirs.get(tag)) is not element and not _is_equal(element, other_element)
    }
    return different.union(theirs.keys() - mine.keys())


def _is_equal(one: Any, other: Any) -> bool:
    return (
        isinstance(one, RawDataElement)
        and isinstance(other, RawDataElement)
        and (one.value, one.VR, one.is_little_endian) == (other.value, other.VR, other.is_little_endian)
    )
