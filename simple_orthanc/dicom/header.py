"""Single values of a header, read without pydicom's conversion.

pydicom converts an element when it is first looked at, and warns about what is malformed: a decimal string of 17
characters, a date with dots. Pixels are read in several threads, where a warning cannot be caught reliably, and the
number in a malformed element is often plain to see. So these functions look at the bytes where pydicom has not
converted them yet. They neither warn nor change the header.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID

from simple_orthanc.dicom.tags import PADDING
from simple_orthanc.errors import VolumeError

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_AMBIGUOUS = {"US or SS": "US", "US or SS or OW": "US", "US or OW": "US"}


_INTERNED: dict[int, BaseTag] = {}


def interned(number_: int) -> BaseTag:
    """Give the one tag object of a number: looking it up in a header that has the same object compares no numbers.

    pydicom's tags compare in Python, which would cost more than all the rest of reading a value.
    """
    found = _INTERNED.get(number_)
    if found is None:
        found = _INTERNED.setdefault(number_, BaseTag(number_))
    return found


@lru_cache(maxsize=512)
def tag_of(keyword: str) -> BaseTag:
    """Give the tag of a DICOM keyword.

    Examples
    --------
    >>> hex(tag_of("RescaleSlope"))
    '0x281053'
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(f"{keyword} is not a DICOM keyword")
    return interned(tag)


def name_of(tag: int | str) -> str:
    """Name a tag in an error message: keyword and number.

    Examples
    --------
    >>> name_of("PatientWeight"), name_of(0x0009100D)
    ('PatientWeight (0010,1030)', '(0009,100D)')
    """
    number_ = tag_of(tag) if isinstance(tag, str) else int(tag)
    return f"{keyword_for_tag(number_)} ({number_ >> 16:04X},{number_ & 0xFFFF:04X})".strip()


def instance_of(header: Dataset) -> str:
    """Name an object in an error message: its SOP class and SOPInstanceUID."""
    kind = text(header, "SOPClassUID")
    return f"{UID(kind).name if kind else 'object'} {text(header, 'SOPInstanceUID') or 'without SOPInstanceUID'}"


def texts(header: Dataset, tag: int | str) -> list[str]:
    """Read the values of an element as texts, stripped of padding; missing or empty gives an empty list.

    Parameters
    ----------
    header : Dataset
    tag : int or str
        A tag or a keyword.
    """
    value, vr, little = raw(header, tag)
    if isinstance(value, bytes):
        return list(_split(value, vr, little))
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        value = [] if value is None else [value]
    return [stripped for one in value if (stripped := str(one).strip(PADDING))]


@lru_cache(maxsize=4096)
def _split(value: bytes, vr: str, little: bool) -> tuple[str, ...]:
    """Cut the bytes of an element into texts; most slices of a series have the same bytes."""
    if vr in _BINARY:
        return tuple(repr(one) for one in _unpack(value, vr, little))
    parts = value.decode("latin-1").split("\\")
    return tuple(stripped for one in parts if (stripped := one.strip(PADDING)))


def has(header: Dataset, keyword: str) -> bool:
    """Say whether an element is there, empty or not."""
    return tag_of(keyword) in header._dict


def text(header: Dataset, tag: int | str) -> str:
    """Read the first value of an element as text, or an empty text."""
    return next(iter(texts(header, tag)), "")


def numbers(header: Dataset, tag: int | str, *, finite: bool = True) -> list[float]:
    """Read the values of an element as numbers, whatever its VR; missing or empty gives an empty list.

    Parameters
    ----------
    header : Dataset
    tag : int or str
        A tag or a keyword.
    finite : bool
        Whether NaN and infinities are refused.

    Raises
    ------
    VolumeError
        A value is not a number, or not a finite one.
    """
    value, vr, little = raw(header, tag)
    if isinstance(value, (bytes, bytearray)) and vr == "UN":
        value = _unknown_numbers(bytes(value), little)
    found = value if isinstance(value, list) else texts(header, tag)
    result = []
    for one in found:
        try:
            value = float(str(one).replace(",", "."))
        except ValueError:
            value = None
        if value is None or (finite and not math.isfinite(value)):
            raise VolumeError(f"{name_of(tag)} of {instance_of(header)} is {one!r}, which is not a number.")
        result.append(value)
    return result


def number(header: Dataset, tag: int | str, *, finite: bool = True) -> float | None:
    """Read the first value of an element as a number; None where it is missing or empty."""
    return next(iter(numbers(header, tag, finite=finite)), None)


def frame_count(header: Dataset) -> int:
    """Say how many frames an image has: one where NumberOfFrames is missing, or no number of frames at all.

    Examples
    --------
    >>> header = Dataset()
    >>> header.NumberOfFrames = -1
    >>> frame_count(header)
    1
    """
    return max(int(number(header, "NumberOfFrames") or 1), 1)


def items(header: Dataset, tag: int | str) -> list[Dataset]:
    """Read the items of a sequence; missing or empty gives an empty list."""
    number_ = tag_of(tag) if isinstance(tag, str) else tag
    if number_ not in header:
        return []
    value = header[number_].value
    return list(value) if isinstance(value, Sequence) else []


def functional_groups(header: Dataset, frames: int) -> list[tuple[Dataset, ...]]:
    """Return the functional groups of each frame, its own before the shared one (PS3.3 C.7.6.16.2).

    Parameters
    ----------
    header : Dataset
    frames : int
        The number of frames. Where the per-frame groups are missing, frames have the shared group alone.

    Returns
    -------
    list of tuple of Dataset
        One tuple for each per-frame group, so that its length differs from `frames` where the header does so.
    """
    shared = items(header, "SharedFunctionalGroupsSequence")[:1]
    own = items(header, "PerFrameFunctionalGroupsSequence")
    return [(group, *shared) for group in own] if own else [tuple(shared)] * frames


def holder(header: Dataset, groups: tuple[Dataset, ...], sequence: str, keyword: str) -> Dataset:
    """Find the level of a header that holds an attribute: the frame's group, the shared group, the top level.

    Each attribute is looked for by itself, and the nearest value counts: an item that lacks it, or holds it empty,
    does not hide the value of a further level.

    Parameters
    ----------
    header : Dataset
    groups : tuple of Dataset
        The functional groups of the frame, nearest first, as :func:`functional_groups` returns them.
    sequence, keyword : str
        The functional group and the attribute in it.

    Returns
    -------
    Dataset
        The item or the header that holds a value; an empty one where none does.

    Examples
    --------
    >>> header, group, empty = Dataset(), Dataset(), Dataset()
    >>> header.SliceThickness = 3
    >>> group.PixelMeasuresSequence = [empty]
    >>> number(holder(header, (group,), "PixelMeasuresSequence", "SliceThickness"), "SliceThickness")
    3.0
    """
    for group in groups:
        for item in items(group, sequence):
            if texts(item, keyword):
                return item
    return header if texts(header, keyword) else Dataset()


def private(header: Dataset, group: int, element: int, creator: str, makers: tuple[str, ...]) -> Iterator[int]:
    """Find a private element, with or without its private creator.

    Anonymisers and synthetic data lose private creators, and keep the elements. So where no creator reserves the block
    xx10, the element is taken there, unless ``Manufacturer`` names another maker.

    Parameters
    ----------
    header : Dataset
    group, element : int
        For (0009,xx0D): 0x0009 and 0x0D.
    creator : str
        The private creator, compared without regard to case and spaces at its ends.
    makers : tuple of str
        Lower-case parts of the manufacturer's name, ``("ge ",)``.

    Yields
    ------
    int
        The tags at which it is, best first.
    """
    # The dictionary itself, since asking the header makes a tag object of each of the 240 numbers.
    present = header._dict
    blocks = {
        block: text(header, (group << 16) + block) for block in range(0x10, 0x100) if (group << 16) + block in present
    }
    for block, name in blocks.items():
        if name.casefold() == creator.casefold():
            tag = (group << 16) + (block << 8) + element
            if tag in present:
                yield tag
    tag = (group << 16) + 0x1000 + element
    if 0x10 not in blocks and tag in present and not _made_by_another(header, makers):
        yield tag


_MAKERS = (
    "ge ",
    "general electric",
    "siemens",
    "cps",
    "cti",
    "philips",
    "adac",
    "toshiba",
    "canon",
    "hitachi",
    "united",
    "uih",
)


def made_by(header: Dataset, makers: tuple[str, ...]) -> bool:
    """Whether ``Manufacturer`` names one of these makers."""
    manufacturer = text(header, "Manufacturer").casefold() + " "
    return any(manufacturer.startswith(maker) or f" {maker}" in manufacturer for maker in makers)


def _made_by_another(header: Dataset, makers: tuple[str, ...]) -> bool:
    return made_by(header, tuple(maker for maker in _MAKERS if maker not in makers)) and not made_by(header, makers)


def raw(header: Dataset, tag: int | str) -> tuple[Any, str, bool]:
    """Give the value of an element as it stands in the header, its VR, and whether its bytes are little endian."""
    number_ = tag_of(tag) if isinstance(tag, str) else interned(tag)
    # The public ways to an element make a tag object of the number each time.
    element: Any = header._dict.get(number_)
    if element is None:
        return None, "", True
    if not isinstance(element, RawDataElement):
        return element.value, str(element.VR), True
    vr = element.VR or "UN"
    if vr == "UN" and not number_ >> 16 & 1:
        try:
            vr = dictionary_VR(number_)
        except KeyError:
            vr = "UN"
    return element.value, _AMBIGUOUS.get(vr, vr), element.is_little_endian


def same(one: Dataset, other: Dataset) -> bool:
    """Say whether two headers hold the same elements."""
    # A dataset compares what it converts, which warns and takes long.
    return one._dict.keys() == other._dict.keys() and all(
        element.value == theirs.value
        if isinstance(element, RawDataElement) and isinstance(theirs := other._dict[tag], RawDataElement)
        else one[tag] == other[tag]
        for tag, element in one._dict.items()
    )


def _unpack(value: bytes, vr: str, little: bool) -> tuple[Any, ...]:
    code = _BINARY[vr]
    count = len(value) // struct.calcsize(code)
    return struct.unpack_from(f"{'<' if little else '>'}{count}{code}", value)


def _unknown_numbers(value: bytes, little: bool) -> list[str]:
    """Read numbers from a private element whose VR nobody knows: text if it looks like text, else a float."""
    plain = value.decode("latin-1").strip(PADDING)
    if plain and all(character in "0123456789+-.,eE\\ " for character in plain):
        return [part.strip(PADDING) for part in plain.split("\\")]
    if len(value) in (4, 8):
        return [repr(one) for one in _unpack(value, "FL" if len(value) == 4 else "FD", little)]
    return [plain] if plain else []
