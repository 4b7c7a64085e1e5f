"""Values out of the DICOM JSON model (PS3.18, annex F), in the one canonical form of `simple_orthanc.dicom.values`.

JSON says less than the file: a server may have written a decimal string as a number, left out what it could not
convert, put away what it found too large, or decoded texts with the wrong character set. So each value comes with
whether it is sure to be what the file holds; where it is not, the file must be asked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

from pydicom.datadict import dictionary_VR

from simple_orthanc.dicom.tags import BINARY_VRS, NUMBER_VRS, TEXT_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value, from_text
from simple_orthanc.sources.charset_check import is_decodable, is_mangled

_CHARACTER_SET = parse_tag("SpecificCharacterSet")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def needs_file(tag: Tag) -> bool:
    """Say whether only the file says what a tag holds, whatever a server writes of it in JSON.

    These are private tags, tags of more than one VR, binary ones, whole sequences, those about the file itself,
    integers of 64 bits, for which Orthanc 1.13.0 writes others, and the character set, which has changed on the way.

    Examples
    --------
    >>> needs_file(parse_tag("KVP")), needs_file(parse_tag("0009,1001")), needs_file(parse_tag("PixelPaddingValue"))
    (False, True, True)
    """
    if (
        tag.leaf == _CHARACTER_SET.leaf
        or tag.is_private
        or tag.vr in BINARY_VRS | {"SQ", "AT", "SV", "UV"}
        or tag.steps[0].group in (2, 0x7FE0)
    ):
        return True
    try:
        return " or " in dictionary_VR(tag.leaf.number)
    except KeyError:
        return True


def read_json(dataset: Mapping[str, Any], tag: Tag) -> tuple[Value, bool]:
    """Read the value of a tag, and say whether it is sure to be what the file holds.

    A number for a decimal or integer string is sure: how it was spelt is lost, what it says is not.

    Examples
    --------
    >>> read_json({"00180050": {"vr": "DS", "Value": [1.5]}}, parse_tag("SliceThickness"))
    (('1.5',), True)
    >>> read_json({"00180050": {"vr": "DS"}}, parse_tag("SliceThickness")), read_json({}, parse_tag("SliceThickness"))
    ((None, False), (None, True))
    """
    texts: list[str | bytes] = []
    sure = True
    for element in _elements(dataset, tag, 0):
        value, known = _read_element(element, tag.vr)
        texts.extend(value or ())
        sure = sure and known
    if sure and texts and tag.vr in TEXT_VRS and tag is not _CHARACTER_SET:
        character_set, _ = read_json(dataset, _CHARACTER_SET)
        sure = is_decodable("\\".join(str(part) for part in character_set or ()))
    return (tuple(texts) if texts else None), sure


def text_of(dataset: Mapping[str, Any], keyword: str) -> str:
    """Read an identifier, "" where it is missing."""
    value, _ = read_json(dataset, parse_tag(keyword))
    return str(value[0]) if value else ""


def number_of(dataset: Mapping[str, Any], keyword: str) -> int | None:
    """Read a count; None where it is missing, or is none."""
    value, _ = read_json(dataset, parse_tag(keyword))
    text = str(value[0]) if value else ""
    return int(text) if text.isdecimal() else None


def holds(dataset: Mapping[str, Any], tag: Tag) -> bool:
    """Say whether an element is there at all, be it empty."""
    return any(True for _ in _elements(dataset, tag, 0))


def _elements(dataset: Mapping[str, Any], tag: Tag, place: int) -> Iterator[Any]:
    step = tag.steps[place]
    number = f"{step.number:08X}"
    if number not in dataset:
        return
    element = dataset[number]
    if place == len(tag.steps) - 1:
        yield element
        return
    items = element.get("Value") if isinstance(element, Mapping) else None
    if not isinstance(items, list):
        return
    for item in items if step.item is None else items[step.item : step.item + 1]:
        if isinstance(item, Mapping):
            yield from _elements(item, tag, place + 1)


def _read_element(element: Any, vr: str) -> tuple[Value, bool]:
    if not isinstance(element, Mapping) or element.get("vr", vr) != vr:
        return None, False
    parts = element.get("Value")
    if not isinstance(parts, list) or not parts:
        # A number that could not be converted is left out just as an empty one is; so is what is kept elsewhere.
        return None, vr not in NUMBER_VRS and "BulkDataURI" not in element and "InlineBinary" not in element
    texts = [_text(part, vr) for part in parts]
    if any(text is None for text in texts):
        return None, False
    joined = "\\".join(str(text) for text in texts)
    return from_text(joined, vr), not is_mangled(joined)


def _text(part: Any, vr: str) -> str | None:
    """Write one value as the file would; None: what is there cannot be this VR's."""
    if isinstance(part, Mapping):
        groups = [part.get(name) or "" for name in _GROUPS]
        is_name = vr == "PN" and all(isinstance(group, str) for group in groups)
        return "=".join(map(str, groups)).rstrip("=") if is_name else None
    if vr in NUMBER_VRS:
        return _number(part, vr)
    if part is None:
        return ""
    return part if isinstance(part, str) else None


def _number(part: Any, vr: str) -> str | None:
    if isinstance(part, str) and vr in ("DS", "IS"):
        return part
    if isinstance(part, str):
        # Numbers too large for others to read, and those that JSON does not have (PS3.18, section F.2.3).
        try:
            part = float(part) if vr in ("FL", "FD") else int(part)
        except ValueError:
            return None
    if isinstance(part, bool) or not isinstance(part, (int, float)):
        return None
    if vr == "FL":
        try:
            return repr(struct.unpack("<f", struct.pack("<f", part))[0])
        except OverflowError:
            return None
    if vr == "FD":
        return repr(float(part))
    return str(int(part)) if isinstance(part, int) or part.is_integer() else repr(part)
