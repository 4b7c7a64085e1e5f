"""The response to a store request: which instances were stored, and why others were not (PS3.18 annex I)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from xml.etree import ElementTree

from simple_orthanc.dicomweb.model import text, texts
from simple_orthanc.transport.json_reader import UnreadableJsonError, read_json

_REFERENCED, _FAILED, _OTHER = "00081199", "00081198", "0008119A"
_UID, _WARNING_REASON, _FAILURE_REASON = "00081155", "00081196", "00081197"
_ERROR_COMMENT = "00000902"

_MOST_WORDS = 400
"""The largest number of characters of a server's own words that a message repeats."""

# PS3.3 section C.14.1.1, PS3.7 annex C, PS3.4 table B.2-1, PS3.18 section I.2.2: single values, then groups of them.
_REASONS = {
    0x0105: "no such attribute",
    0x0106: "an attribute has a value that is not allowed",
    0x0107: "attributes were not all kept",
    0x0110: "processing failure at the server",
    0x0111: "an instance with this SOPInstanceUID is stored already",
    0x0112: "no such instance",
    0x0115: "an argument is not allowed",
    0x0116: "an attribute value is out of range",
    0x0117: "the UID is not valid",
    0x0118: "no such SOP class",
    0x0119: "SOP class and instance contradict each other",
    0x0120: "an attribute is missing",
    0x0121: "an attribute has no value",
    0x0122: "the server does not store this SOP class",
    0x0124: "this user may not store it",
    0x0131: "the transaction UID is in use",
    0x0213: "the server lacks the resources",
    0xA700: "the server is out of resources",
    0xA770: "the server is out of resources",
    0xA900: "the dataset does not match its SOP class",
    0xB000: "the server changed the value of some element",
    0xB006: "the server left some elements out",
    0xB007: "the dataset does not match its SOP class, but was stored",
    0xB305: "the server changed the value of some element",
    0xC000: "the server cannot understand the dataset",
    0xC122: "the server does not store this transfer syntax",
}
_GROUPS = {0xA7: 0xA700, 0xA9: 0xA900}


class Reason(NamedTuple):
    """Why an instance was not stored, or what was changed in it.

    Attributes
    ----------
    code : int or None
        Failure Reason (0008,1197) or Warning Reason (0008,1196).
    words : str
        Error Comments (0000,0902), which servers write into Failed Attributes Sequence (0074,1048); "" without any.
    """

    code: int | None
    words: str = ""

    def __str__(self) -> str:
        """Return the reason in words, followed by the server's own."""
        return f"{describe_reason(self.code)}: {self.words}" if self.words else describe_reason(self.code)


@dataclass
class StoreResponse:
    """What a server says of the instances that it was sent.

    Attributes
    ----------
    stored : dict of str to list of Reason
        SOPInstanceUID to the warnings; the code is None if there is no warning.
    failed : dict of str to list of Reason
        SOPInstanceUID to the failures.
    others : list of Reason
        Failures of instances that the server could not identify.
    """

    stored: dict[str, list[Reason]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, list[Reason]] = field(default_factory=lambda: defaultdict(list))
    others: list[Reason] = field(default_factory=list)


def describe_reason(reason: int | None) -> str:
    """Describe a failure or warning reason in words.

    Examples
    --------
    >>> describe_reason(0x0122), describe_reason(0xA702), describe_reason(None)
    ('the server does not store this SOP class (0122H)', 'the server is out of resources (A702H)', 'no reason given')
    """
    if reason is None:
        return "no reason given"
    group = _GROUPS.get(reason >> 8, 0xC000 if reason >> 12 == 0xC else reason)
    words = _REASONS.get(reason) or _REASONS.get(group) or "a reason of the server's own"
    return f"{words} ({reason:04X}H)"


def parse_store_response(content: bytes) -> StoreResponse | None:
    """Parse the response to a store request, as JSON or as XML, whatever its media type; None if it is neither."""
    item: Any = None
    if content.lstrip()[:1] == b"<":
        item = _from_xml(content)
    else:
        with suppress(UnreadableJsonError):
            item = read_json(content)
    if isinstance(item, list) and len(item) == 1:
        item = item[0]
    if not isinstance(item, dict) or not any(tag in item for tag in (_REFERENCED, _FAILED, _OTHER)):
        return None
    response = StoreResponse()
    for entry in _items(item, _REFERENCED):
        response.stored[text(entry, _UID)].append(_reason(entry, _WARNING_REASON))
    for entry in _items(item, _FAILED):
        response.failed[text(entry, _UID)].append(_reason(entry, _FAILURE_REASON))
    response.others += [_reason(entry, _FAILURE_REASON) for entry in _items(item, _OTHER)]
    return response


def _items(item: Mapping[str, Any], tag: str) -> Iterator[dict[str, Any]]:
    entry = item.get(tag)
    values = entry.get("Value") if isinstance(entry, dict) else None
    for value in values if isinstance(values, list) else []:
        if isinstance(value, dict):
            yield value


def _reason(entry: Mapping[str, Any], tag: str) -> Reason:
    number = text(entry, tag)
    words = "; ".join(dict.fromkeys(_comments(entry)))
    return Reason(int(number) if number.isdecimal() else None, " ".join(words.split())[:_MOST_WORDS])


def _comments(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the comments of an item, and those of the items one level down."""
    for item in (entry, *(inner for tag in entry for inner in _items(entry, tag))):
        yield from texts(item, _ERROR_COMMENT)


def _from_xml(content: bytes) -> dict[str, Any] | None:
    """Convert the XML form (PS3.19 annex A) to the JSON form, as far as it holds strings and sequences."""
    # Entities can make a short document endless; a response needs none.
    if b"<!" in content:
        return None
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    return _item_from_xml(root)


def _item_from_xml(element: ElementTree.Element) -> dict[str, Any]:
    item: dict[str, Any] = {}
    for child in element:
        if _name(child) != "DicomAttribute":
            continue
        values: list[Any] = [inner.text or "" for inner in child if _name(inner) == "Value"]
        values += [_item_from_xml(inner) for inner in child if _name(inner) == "Item"]
        item[child.get("tag", "").upper()] = {"vr": child.get("vr", "UN"), "Value": values}
    return item


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
