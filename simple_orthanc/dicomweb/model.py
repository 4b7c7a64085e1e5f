"""The DICOM JSON model (PS3.18 annex F): the one reader of its values.

`text` and `texts` return what a server wrote, whatever it is. `read_json_value` returns the canonical form of
`simple_orthanc.dicom.values`, and whether it is what the file holds: JSON says less than the file, since a server may
leave out what it cannot convert, or keep elsewhere what it finds too large.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydicom.datadict import dictionary_VM

from simple_orthanc.dicom.tags import NUMBER_VRS, Tag, TagLike, parse_tag
from simple_orthanc.dicom.values import Value, from_text

_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
# Orthanc 1.13.0 and older keep only the lower 32 bits of a whole number of these; 1.12.5 and newer write a DS as it is.
_CUT_VRS = frozenset({"DS", "FD", "FL", "IS"})
# The remainder of a large number is rarely below this: 7.4e9 becomes 3105032704.
_SURELY_WHOLE = 1 << 20


def texts(item: Mapping[str, Any], tag: TagLike) -> list[str]:
    """Return the values of an element as the strings that a DICOM file would hold.

    Parameters
    ----------
    item : mapping
        A dataset in the DICOM JSON model.
    tag : str, int or Tag
        A keyword or number, or a path into sequences.

    Returns
    -------
    list of str
        One string for each value; empty if the element is missing or has no value.

    Raises
    ------
    UnknownTagError
        If `tag` is not a DICOM tag.

    Examples
    --------
    >>> texts({"00080060": {"vr": "CS", "Value": ["MR"]}}, "Modality")
    ['MR']
    >>> texts({"00181030": {"vr": "DS", "Value": [1.5, "2.50", None]}}, "0018,1030")
    ['1.5', '2.50', '']
    """
    if isinstance(tag, str) and tag in item:
        return _element_strings(item[tag])
    return [string for element in _elements(item, parse_tag(tag)) for string in _element_strings(element)]


def text(item: Mapping[str, Any], tag: TagLike) -> str:
    """Return the first value of an element as a string, "" if there is none.

    Examples
    --------
    >>> text({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J", "Phonetic": "d"}]}}, "PatientName")
    'Doe^J==d'
    """
    return next(iter(texts(item, tag)), "")


def _element_strings(element: Any) -> list[str]:
    values = element.get("Value") if isinstance(element, Mapping) else None
    if values is None:
        return []
    strings = [value_string(value) for value in (values if isinstance(values, list) else [values])]
    return strings if any(strings) else []


def value_string(value: Any) -> str:
    """Write one value as a string: a name with its groups, a number in its shortest form, null as "".

    Examples
    --------
    >>> value_string({"Alphabetic": "A", "Ideographic": "B"}), value_string(2.0), value_string(None)
    ('A=B', '2', '')
    """
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "=".join(str(value.get(group) or "") for group in _NAME_GROUPS).rstrip("=")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def read_json_value(item: Mapping[str, Any], tag: Tag) -> tuple[Value, bool]:
    """Read the value of a tag, and check whether it is known to be what the file holds.

    A number for a decimal or integer string is known: its spelling is lost, its value is not, unless it may be what
    Orthanc has left of a larger one. Whether a string was decoded rightly cannot be known here.

    Examples
    --------
    >>> tag = parse_tag("SliceThickness")
    >>> read_json_value({"00180050": {"vr": "DS", "Value": [1.5]}}, tag)
    (('1.5',), True)
    >>> read_json_value({"00180050": {"vr": "DS"}}, tag), read_json_value({}, tag)
    ((None, False), (None, True))
    """
    values: list[str | bytes] = []
    is_known = True
    for element in _elements(item, tag):
        value, element_is_known = _read_element(element, tag)
        values.extend(value or ())
        is_known = is_known and element_is_known
    return (tuple(values) if values else None), is_known


def read_string(item: Mapping[str, Any], keyword: str) -> str:
    """Read an identifier in its canonical form, "" if it is missing.

    Examples
    --------
    >>> read_string({"00100020": {"vr": "LO", "Value": ["P1 "]}}, "PatientID")
    'P1'
    """
    value, _ = read_json_value(item, parse_tag(keyword))
    return str(value[0]) if value else ""


def read_count(item: Mapping[str, Any], keyword: str) -> int | None:
    """Read a count, None if it is missing or not a number.

    Examples
    --------
    >>> read_count({"00201208": {"vr": "IS", "Value": [12]}}, "NumberOfStudyRelatedInstances")
    12
    """
    string = read_string(item, keyword)
    return int(string) if string.isdecimal() else None


def has_element(item: Mapping[str, Any], tag: Tag) -> bool:
    """Check whether an element is present, with a value or without.

    Examples
    --------
    >>> has_element({"00100020": {"vr": "LO"}}, parse_tag("PatientID")), has_element({}, parse_tag("PatientID"))
    (True, False)
    """
    return any(True for _ in _elements(item, tag))


def _elements(item: Mapping[str, Any], tag: Tag, depth: int = 0) -> Iterator[Any]:
    """Yield the elements that a tag names: one for each sequence item on its path that has it."""
    step = tag.steps[depth]
    number = f"{step.number:08X}"
    if number not in item:
        return
    element = item[number]
    if depth == len(tag.steps) - 1:
        yield element
        return
    inner_items = element.get("Value") if isinstance(element, Mapping) else None
    if not isinstance(inner_items, list):
        return
    for inner in inner_items if step.item is None else inner_items[step.item : step.item + 1]:
        if isinstance(inner, Mapping):
            yield from _elements(inner, tag, depth + 1)


def _read_element(element: Any, tag: Tag) -> tuple[Value, bool]:
    vr = tag.vr
    if not isinstance(element, Mapping) or element.get("vr", vr) != vr:
        return None, False
    values = element.get("Value")
    if not isinstance(values, list) or not values:
        # A server leaves out a number that it could not convert, just as an empty one, and what it keeps elsewhere.
        return None, vr not in NUMBER_VRS and "BulkDataURI" not in element and "InlineBinary" not in element
    strings = [_checked_string(value, vr) for value in values]
    if any(string is None for string in strings):
        return None, False
    joined = "\\".join(str(string) for string in strings)
    # What follows a NUL is cut off below.
    is_known = "\0" not in joined and not (vr in _CUT_VRS and (_may_be_cut(values) or _lacks_values(values, tag)))
    return from_text(joined, vr), is_known


def _may_be_cut(values: Iterable[Any]) -> bool:
    return any(isinstance(value, int) and abs(value) >= _SURELY_WHOLE for value in values)


def _lacks_values(values: Sequence[Any], tag: Tag) -> bool:
    """Check whether there are fewer values than the tag has: a server leaves out what it could not convert."""
    try:
        multiplicity = dictionary_VM(tag.leaf.number)
    except KeyError:
        return False
    return multiplicity.isdecimal() and len(values) < int(multiplicity)


def _checked_string(value: Any, vr: str) -> str | None:
    """Write one value as the file would; None if it cannot be a value of this VR."""
    if isinstance(value, Mapping):
        is_name = vr == "PN" and all(isinstance(value.get(group) or "", str) for group in _NAME_GROUPS)
        return value_string(value) if is_name else None
    if vr in NUMBER_VRS:
        return _number_string(value, vr)
    return value_string(value) if value is None or isinstance(value, str) else None


def _number_string(value: Any, vr: str) -> str | None:
    if isinstance(value, str) and vr in ("DS", "IS"):
        return value
    if isinstance(value, str):
        # Numbers too large for others to read, and those that JSON does not have (PS3.18, section F.2.3).
        try:
            value = float(value) if vr in ("FL", "FD") else int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if vr == "FL":
        try:
            return repr(struct.unpack("<f", struct.pack("<f", value))[0])
        except OverflowError:
            return None
    return repr(float(value)) if vr == "FD" else value_string(value)
