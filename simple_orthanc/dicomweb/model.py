"""The DICOM JSON model (PS3.18 annex F): its values as texts, and as pydicom datasets."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from simple_orthanc.tags import TagLike, parse_tag

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def texts(item: Mapping[str, Any], tag: TagLike) -> list[str]:
    """Give the values of an element as the texts that a DICOM file would hold; none where it is missing or empty.

    Parameters
    ----------
    item : mapping
        A dataset in the DICOM JSON model.
    tag : str, int or Tag
        A keyword or number, or a path into sequences.

    Examples
    --------
    >>> texts({"00080060": {"vr": "CS", "Value": ["MR"]}}, "Modality")
    ['MR']
    >>> texts({"00181030": {"vr": "DS", "Value": [1.5, "2.50", None]}}, "0018,1030")
    ['1.5', '2.50', '']
    """
    found: list[str] = []
    if isinstance(tag, str) and tag in item:
        return _element_texts(item[tag])
    steps = parse_tag(tag).steps
    entries = [item.get(f"{steps[0].number:08X}")]
    for before, step in pairwise(steps):
        items = [inner for entry in entries if entry for inner in entry.get("Value") or []]
        chosen = items if before.item is None else items[before.item : before.item + 1]
        entries = [inner.get(f"{step.number:08X}") for inner in chosen if inner]
    for entry in entries:
        found += _element_texts(entry) if entry else []
    return found


def text(item: Mapping[str, Any], tag: TagLike) -> str:
    """Give the first value of an element as text, "" where there is none.

    Examples
    --------
    >>> text({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J", "Phonetic": "d"}]}}, "PatientName")
    'Doe^J==d'
    """
    return next(iter(texts(item, tag)), "")


def _element_texts(entry: Mapping[str, Any]) -> list[str]:
    values = entry.get("Value")
    if values is None:
        return []
    found = [value_text(value) for value in (values if isinstance(values, list) else [values])]
    return found if any(found) else []


def value_text(value: Any) -> str:
    """Write one value as text: a name with its groups, a number in its shortest form, null as nothing."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "=".join(str(value.get(group) or "") for group in _GROUPS).rstrip("=")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
