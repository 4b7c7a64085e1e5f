"""The one tolerant reader of pydicom headers: the values of their elements, without warnings.

pydicom converts an element when it is first accessed, and warns about what is malformed: a decimal string of 17
characters, a date with dots. Pixels are read in several threads, where a warning cannot be caught reliably, and the
number in a malformed element is often plain to see. So these functions look at the bytes where pydicom has not
converted them yet. They neither warn nor change the header.

`texts`, `number` and their like read what the plan of a volume needs; `read_value` reads any tag, a path into sequences
too, in the form of `simple_orthanc.dicom.values`, which tables and selections compare. What pydicom keeps private is
used in this module and in `copying` alone.
"""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydicom.charset import decode_bytes
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import TEXT_VR_DELIMS, PersonName

from simple_orthanc.dicom.silence import quiet
from simple_orthanc.dicom.tags import PADDING, TEXT_VRS, Tag
from simple_orthanc.dicom.values import PLAIN_VRS, Value, from_element, from_text
from simple_orthanc.errors import VolumeError

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_AMBIGUOUS = {"US or SS": "US", "US or SS or OW": "US", "US or OW": "US"}

# Used for an item that is missing, since making a dataset each time costs more than reading one; never changed.
NO_ELEMENTS = Dataset()

_INTERNED: dict[int, BaseTag] = {}
_LAST = threading.local()


def interned(number_: int) -> BaseTag:
    """Return the one tag object of a number, so that looking it up in a header compares no numbers.

    pydicom's tags compare in Python, which would cost more than all the rest of reading a value.
    """
    tag = _INTERNED.get(number_)
    if tag is None:
        tag = _INTERNED.setdefault(number_, BaseTag(number_))
    return tag


@lru_cache(maxsize=512)
def tag_of(keyword: str) -> BaseTag:
    """Return the tag of a DICOM keyword.

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
    """Return how error messages name a tag: keyword and number.

    Examples
    --------
    >>> name_of("PatientWeight"), name_of(0x0009100D)
    ('PatientWeight (0010,1030)', '(0009,100D)')
    """
    number_ = tag_of(tag) if isinstance(tag, str) else int(tag)
    return f"{keyword_for_tag(number_)} ({number_ >> 16:04X},{number_ & 0xFFFF:04X})".strip()


def instance_of(header: Dataset) -> str:
    """Return how error messages name an object: its SOP class and SOPInstanceUID."""
    kind = text(header, "SOPClassUID")
    return f"{UID(kind).name if kind else 'object'} {text(header, 'SOPInstanceUID') or 'without SOPInstanceUID'}"


def texts(header: Dataset, tag: int | str) -> list[str]:
    """Read the values of an element as strings, stripped of padding, without the empty ones.

    Parameters
    ----------
    header : Dataset
    tag : int or str
        A tag or a keyword.

    Returns
    -------
    list of str
        Empty if the element is missing or empty.

    Examples
    --------
    >>> header = Dataset()
    >>> header.ImageType = ["ORIGINAL", "PRIMARY"]
    >>> texts(header, "ImageType"), texts(header, "KVP")
    (['ORIGINAL', 'PRIMARY'], [])
    """
    element = _held(header, tag)
    return [] if element is None else _as_texts(header, *_raw(element))


def _as_texts(header: Dataset, value: Any, vr: str, little: bool) -> list[str]:
    if isinstance(value, bytes):
        if vr in TEXT_VRS and not _is_ascii(value):
            return _stripped(_decoded(value, header))
        return list(_split(value, vr, little))
    if isinstance(value, (str, PersonName)) or not hasattr(value, "__iter__"):
        value = [] if value is None else [value]
    return [stripped for part in value if (stripped := str(part).strip(PADDING))]


@lru_cache(maxsize=4096)
def _split(value: bytes, vr: str, little: bool) -> tuple[str, ...]:
    """Cut the bytes of an element into strings; most slices of a series have the same bytes."""
    if vr in _BINARY:
        return tuple(repr(number_) for number_ in _unpack(value, vr, little))
    return tuple(_stripped(value.decode("latin-1")))


def _stripped(joined: str) -> list[str]:
    return [stripped for part in joined.split("\\") if (stripped := part.strip(PADDING))]


def _is_ascii(content: bytes) -> bool:
    """Check whether bytes are ASCII whatever the character set, without escape sequences to others."""
    return content.isascii() and b"\x1b" not in content


def _decoded(content: bytes, owner: Dataset) -> str:
    """Decode bytes in the character set of their dataset, as servers do, or else as Latin-1."""
    if _is_ascii(content):
        return content.decode("ascii")
    # As pydicom chooses for the strings of a dataset.
    names = owner.original_character_set or owner._character_set
    encodings = [names] if isinstance(names, str) else list(names)
    if len(encodings) > 1 and b"\x1b" in content:
        with quiet():
            return decode_bytes(content, encodings, TEXT_VR_DELIMS)
    try:
        return content.decode(encodings[0])
    except (UnicodeDecodeError, LookupError):
        return content.decode("latin-1")


def read_value(dataset: Dataset, tag: Tag) -> Value:
    """Read the value of a tag from a dataset; for a path that leads into several items, the values of all of them.

    Examples
    --------
    >>> from simple_orthanc.dicom.tags import parse_tag
    >>> dataset = Dataset()
    >>> dataset.SliceThickness = "1.50"
    >>> read_value(dataset, parse_tag("SliceThickness")), read_value(dataset, parse_tag("KVP"))
    (('1.50',), None)
    """
    values: list[str | bytes] = []
    for owner, number_ in tag.elements(dataset):
        values.extend(_read_element(owner, number_, tag) or ())
    return tuple(values) if values else None


def _read_element(owner: Dataset, number_: int, tag: Tag) -> Value:
    element: Any = owner.get_item(number_)
    vr = element.VR or tag.vr
    if isinstance(element, RawDataElement) and isinstance(element.value, bytes):
        if vr == "UN" and tag.vr in PLAIN_VRS:
            vr = tag.vr
        if vr in PLAIN_VRS:
            return from_text(_decoded(element.value, owner), vr)
    with quiet():
        return from_element(owner[number_])


def _held(header: Dataset, tag: int | str) -> Any:
    """Return an element as a header holds it, None if it is missing, as most are that are looked for."""
    # The public ways to an element make a tag object of the number each time.
    return header._dict.get(tag_of(tag) if isinstance(tag, str) else interned(tag))


def has(header: Dataset, keyword: str) -> bool:
    """Check whether a header has an element, empty or not."""
    return _held(header, keyword) is not None


def text(header: Dataset, tag: int | str) -> str:
    """Read the first value of an element as a string, "" if it is missing or empty."""
    element = _held(header, tag)
    return "" if element is None else next(iter(_as_texts(header, *_raw(element))), "")


def numbers(header: Dataset, tag: int | str, *, finite: bool = True) -> list[float]:
    """Read the values of an element as numbers, whatever its VR; an empty list if it is missing or empty.

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
    element = _held(header, tag)
    return [] if element is None else _numbers(header, tag, element, finite)


def _numbers(header: Dataset, tag: int | str, element: Any, finite: bool) -> list[float]:
    value, vr, little = _raw(element)
    if isinstance(value, bytes) and vr != "UN" and vr not in TEXT_VRS:
        known = _finite_numbers(value, vr, little)
        if known is not None:
            return list(known)
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


@lru_cache(maxsize=4096)
def _finite_numbers(value: bytes, vr: str, little: bool) -> tuple[float, ...] | None:
    """Convert the bytes of an element to numbers; None if one of them is not a finite number."""
    try:
        result = tuple(float(one.replace(",", ".")) for one in _split(value, vr, little))
    except ValueError:
        return None
    return result if all(map(math.isfinite, result)) else None


def number(header: Dataset, tag: int | str, *, finite: bool = True) -> float | None:
    """Read the first value of an element as a number, None if it is missing or empty."""
    element = _held(header, tag)
    return None if element is None else next(iter(_numbers(header, tag, element, finite)), None)


def numbers_or_empty(header: Dataset, tag: int | str) -> list[float]:
    """Read numbers that are good to know: an empty list if they are missing or not numbers."""
    try:
        return numbers(header, tag)
    except VolumeError:
        return []


def number_or_none(header: Dataset, tag: int | str) -> float | None:
    """Read a number that is good to know: None if it is missing or not a number."""
    return None if _held(header, tag) is None else next(iter(numbers_or_empty(header, tag)), None)


def frame_count(header: Dataset) -> int:
    """Return how many frames an image has: one if NumberOfFrames is missing, or cannot be a count.

    Examples
    --------
    >>> header = Dataset()
    >>> header.NumberOfFrames = -1
    >>> frame_count(header)
    1
    """
    return max(int(number(header, "NumberOfFrames") or 1), 1)


def items(header: Dataset, tag: int | str) -> list[Dataset]:
    """Read the items of a sequence, an empty list if it is missing or empty."""
    number_ = tag_of(tag) if isinstance(tag, str) else tag
    if _held(header, number_) is None:
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


def groups_of_frame(header: Dataset, frame: int) -> tuple[Dataset, ...]:
    """Return the functional groups of one frame, its own before the shared one (PS3.3 C.7.6.16.2).

    Parameters
    ----------
    header : Dataset
    frame : int
        From 0.

    Examples
    --------
    >>> header, shared = Dataset(), Dataset()
    >>> header.SharedFunctionalGroupsSequence = [shared]
    >>> groups_of_frame(header, 0) == (shared,)
    True
    """
    own = items(header, "PerFrameFunctionalGroupsSequence")[frame : frame + 1]
    return (*own, *items(header, "SharedFunctionalGroupsSequence")[:1])


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
    return header if texts(header, keyword) else NO_ELEMENTS


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
    present = header._dict
    creators = _private_creators(header).get(group, ())
    wanted = creator.casefold() if creators else ""
    for reserved, name in creators:
        tag = (group << 16) + ((reserved & 0xFF) << 8) + element
        if tag in present and name == wanted:
            yield tag
    tag = (group << 16) + 0x1000 + element
    if tag in present and (group << 16) + 0x10 not in present and not _made_by_another(header, makers):
        yield tag


def _private_creators(header: Dataset) -> dict[int, list[tuple[BaseTag, str]]]:
    """Return the private creators of a header by group (PS3.5, section 7.8.1): tag, and name for comparing.

    Vendors' elements are looked up by the dozen in one header after the other, so the last answer is kept.
    """
    present = header._dict
    last = getattr(_LAST, "creators", None)
    if last is not None and last[0] is present and last[1] == len(present):
        known: dict[int, list[tuple[BaseTag, str]]] = last[3]
        if all(present.get(tag) is element and element.value is value for tag, element, value in last[2]):
            return known
    creators: dict[int, list[tuple[BaseTag, str]]] = {}
    for tag in sorted(tag for tag in present if tag & 0x10000 and 0x10 <= tag & 0xFFFF <= 0xFF):
        creators.setdefault(tag >> 16, []).append((tag, text(header, tag).casefold()))
    elements = [(tag, present[tag], present[tag].value) for names in creators.values() for tag, _ in names]
    _LAST.creators = present, len(present), elements, creators
    return creators


_MAKERS = (
    *("ge ", "general electric", "siemens", "cps", "cti", "philips", "adac"),
    *("toshiba", "canon", "hitachi", "united", "uih"),
)


def made_by(header: Dataset, makers: tuple[str, ...]) -> bool:
    """Check whether ``Manufacturer`` names one of these makers."""
    manufacturer = text(header, "Manufacturer").casefold() + " "
    return any(manufacturer.startswith(maker) or f" {maker}" in manufacturer for maker in makers)


def _made_by_another(header: Dataset, makers: tuple[str, ...]) -> bool:
    return made_by(header, tuple(maker for maker in _MAKERS if maker not in makers)) and not made_by(header, makers)


def raw(header: Dataset, tag: int | str) -> tuple[Any, str, bool]:
    """Return the value of an element as the header holds it, its VR, and whether its bytes are little endian."""
    element = _held(header, tag)
    return (None, "", True) if element is None else _raw(element)


def _raw(element: Any) -> tuple[Any, str, bool]:
    if not isinstance(element, RawDataElement):
        return element.value, str(element.VR), True
    vr = element.VR or "UN"
    if vr == "UN" and not element.tag >> 16 & 1:
        try:
            vr = dictionary_VR(element.tag)
        except KeyError:
            vr = "UN"
    return element.value, _AMBIGUOUS.get(vr, vr), element.is_little_endian


def same(one: Dataset, other: Dataset) -> bool:
    """Check whether two headers hold the same elements."""
    # A dataset compares what it converts, which warns and takes long.
    return one._dict.keys() == other._dict.keys() and all(
        element.value == theirs.value
        if isinstance(element, RawDataElement) and isinstance(theirs := other._dict[tag], RawDataElement)
        else one[tag] == other[tag]
        for tag, element in one._dict.items()
    )


def stored_elements(header: Dataset) -> Mapping[BaseTag, DataElement | RawDataElement]:
    """Return the elements of a header as they are held, by tag: those that pydicom has not converted yet are raw."""
    return header._dict


def store(header: Dataset, element: DataElement | RawDataElement) -> None:
    """Put an element into a header, without the conversion that pydicom's own ways begin with."""
    header._dict[element.tag] = element


def _unpack(value: bytes, vr: str, little: bool) -> tuple[Any, ...]:
    code = _BINARY[vr]
    count = len(value) // struct.calcsize(code)
    return struct.unpack_from(f"{'<' if little else '>'}{count}{code}", value)


def _unknown_numbers(value: bytes, little: bool) -> list[str]:
    """Read numbers from a private element of unknown VR: decimal strings if the bytes look like them, else a float."""
    plain = value.decode("latin-1").strip(PADDING)
    if plain and all(character in "0123456789+-.,eE\\ " for character in plain):
        return [part.strip(PADDING) for part in plain.split("\\")]
    if len(value) in (4, 8):
        return [repr(one) for one in _unpack(value, "FL" if len(value) == 4 else "FD", little)]
    return [plain] if plain else []
