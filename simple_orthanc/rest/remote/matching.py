"""Which matching keys of a C-FIND (PS3.4, section C.2.2.2) find at least what a predicate holds for.

Nothing in an answer shows that a match is missing, and modalities differ in whether case matters, in what they make of
wildcards, and in how they compare numbers and times. So a key is sent only if no reading of it leaves out a match, and
every predicate is decided here on the answers. Sent are UIDs, the other identifiers, StudyDate, and strings given by
`simple_orthanc.exact`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from simple_orthanc.dicom.tags import DATE_VRS, NUMBER_VRS, Tag
from simple_orthanc.selection.predicates import (
    AnyOf,
    Between,
    Predicate,
    RangeString,
    Relation,
    StringIs,
    is_identifier,
)

# Every modality must match these, by ranges too; others need not.
_DATES = ("StudyDate", "ScheduledProcedureStepStartDate")
_UID = re.compile(r"[0-9.]{1,64}\Z")
# PatientID and the like: wildcards keep their meaning, since case matters here too.
_PLAIN_OR_WILDCARD = re.compile(r"[A-Za-z0-9 ._*?^-]+\Z")
# A backslash separates alternatives, and control characters end nothing well.
_SENDABLE = re.compile(r"[^\\\x00-\x1f]+\Z")

MOST_ALTERNATIVES = 20
"""Of more alternatives than this none is sent, except UIDs, of which one key can name several."""

# An element with explicit VR holds less than 64 kB.
_UIDS_IN_KEY = 100
# Each combination of keys is a C-FIND of its own.
_MOST_QUERIES = 100


def keys_for(tag: Tag, predicate: Predicate, *, as_written: bool = False) -> tuple[str, ...]:
    r"""List the keys that together find at least the objects for which a predicate holds.

    Parameters
    ----------
    tag : Tag
        What is asked about.
    predicate : Predicate
        What is asked of its value.
    as_written : bool
        Send any string as it is, and leave it to the modality whether case matters: a match may be missing.

    Returns
    -------
    tuple of str
        One C-FIND for each; ``("",)`` if nothing can be sent, so that every object matches.

    Examples
    --------
    >>> from simple_orthanc.dicom.tags import parse_tag
    >>> keys_for(parse_tag("PatientID"), StringIs("P7", cased=True))
    ('P7',)
    >>> keys_for(parse_tag("StudyDate"), Relation(">=", date(2020, 1, 31)))
    ('20200131-',)
    >>> keys_for(parse_tag("PatientName"), StringIs("Doe*"))
    ('',)
    >>> keys_for(parse_tag("PatientName"), StringIs("Doe*"), as_written=True)
    ('Doe*',)
    """
    if isinstance(predicate, AnyOf):
        inner = [key for part in predicate.predicates for key in keys_for(tag, part, as_written=as_written)]
        keys = tuple(dict.fromkeys(inner))
        if not keys or "" in keys:
            return ("",)
        if tag.vr == "UI":
            starts = range(0, len(keys), _UIDS_IN_KEY)
            return tuple("\\".join(keys[start : start + _UIDS_IN_KEY]) for start in starts)
        return keys if len(keys) <= MOST_ALTERNATIVES else ("",)
    if isinstance(predicate, StringIs):
        return (_key_for_string(tag, predicate, as_written),)
    return (_key_for_date(predicate) if tag.keyword in _DATES else "",)


def _key_for_string(tag: Tag, predicate: StringIs, as_written: bool) -> str:
    string, is_exact = predicate.string, predicate.mode == "exact"
    if tag.vr == "UI":
        return string if _UID.match(string) else ""
    if not _SENDABLE.match(string):
        return ""
    if is_identifier(tag):
        return string if as_written or _PLAIN_OR_WILDCARD.match(string) else ""
    # A list matches if one of its values does, and a date or a number in more than one spelling: not every modality
    # compares like that.
    is_plain = not tag.is_multiple and tag.vr not in DATE_VRS | NUMBER_VRS
    return string if as_written or (is_exact and is_plain) else ""


def _key_for_date(predicate: Predicate) -> str:
    if isinstance(predicate, RangeString):
        predicate = predicate.range
    if isinstance(predicate, Relation) and predicate.operator == "==":
        return _day(predicate.operand)
    if isinstance(predicate, Relation):
        day = _day(predicate.operand)
        return day and (f"{day}-" if predicate.operator in (">", ">=") else f"-{day}")
    if isinstance(predicate, Between):
        low, high = _day(predicate.low), _day(predicate.high)
        return f"{low}-{high}" if low or high else ""
    return ""


def _day(operand: Any) -> str:
    is_day = isinstance(operand, date) and not isinstance(operand, datetime)
    return f"{operand.year:04d}{operand.month:02d}{operand.day:02d}" if is_day else ""


def queries_for(alternatives: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, str]]:
    """Yield the keys of each C-FIND that is needed, since a key can hold one alternative only.

    Parameters
    ----------
    alternatives : mapping of str to tuple of str
        Name of the tag to its keys.

    Examples
    --------
    >>> list(queries_for({"PatientID": ("P1", "P2"), "StudyDate": ("20200131",)}))
    [{'PatientID': 'P1', 'StudyDate': '20200131'}, {'PatientID': 'P2', 'StudyDate': '20200131'}]
    """
    sent = dict(alternatives)
    while math.prod(map(len, sent.values())) > _MOST_QUERIES:
        sent[max(sent, key=lambda name: len(sent[name]))] = ("",)
    for keys in itertools.product(*sent.values()):
        yield dict(zip(sent, keys, strict=True))
