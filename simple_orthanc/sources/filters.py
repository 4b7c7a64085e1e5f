"""Which filters find at least what a predicate holds for, whatever the server.

They are sent by QIDO-RS (PS3.18, section 8.3.4) and by C-FIND (PS3.4, section C.2.2.2).

Servers differ in whether case matters, in what they make of wildcards, accents and component groups of names, and in
how they compare dates that are written in the form before DICOM 3. Nothing in a response shows that a match is missing.
So a filter is sent only if no reading of it leaves out a match; every other predicate is decided here, on all rows.

- Identifiers match exactly as to case (`simple_orthanc.selection.predicates.is_identifier`), so a server that ignores
  case returns more, and never less. Those of plain characters are sent.
- Names, and other strings, match here in any case: only those given by `exact` are sent.
- Dates are sent in both forms that DICOM has had. A server that validates filters refuses the old form, and then does
  not hold it either.
- Only attributes that every server must match are sent (PS3.18, table 10.6.1-5; PS3.4, table C.6-5).

An identifier or date of several values breaks DICOM, which allows one, and so does a date written 2020-01-31. A server
may compare these as a whole, so that such an object is found once its level has been listed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from simple_orthanc.dicom.tags import Tag
from simple_orthanc.selection.predicates import AnyOf, Between, Predicate, RangeString, Relation, StringIs
from simple_orthanc.sources.keys import UID_TAGS, is_plain, is_uid

_UIDS = frozenset(UID_TAGS.values()) - {"PatientID"}
_IDENTIFIERS = frozenset({"PatientID", "AccessionNumber", "StudyID"})

# Wildcards beside plain characters: a server that reads them as such returns more.
_PLAIN_OR_WILDCARD = re.compile(r"[A-Za-z0-9._*?-]+\Z")
_NAME = re.compile(r"[A-Za-z0-9._*? ^-]+\Z")

MOST = 20
"""Of more values than this all rows are listed, unless one filter can name many of them, as for UIDs."""


class Filter(NamedTuple):
    """One value to search for.

    Attributes
    ----------
    value : str
        What is sent.
    is_optional : bool
        Whether a refusal means that the server holds no such value.
    """

    value: str
    is_optional: bool = False


def filters_for(tag: Tag, predicate: Predicate, most: int | None = MOST) -> tuple[Filter, ...] | None:
    """List the filters that together find at least the rows for which a predicate holds; None if there are none.

    Parameters
    ----------
    tag : Tag
        What the predicate is about.
    predicate : Predicate
        What is asked.
    most : int, optional
        Of more values than this there are none, except UIDs; None for no limit.

    Examples
    --------
    >>> from simple_orthanc.dicom.tags import parse_tag
    >>> filters_for(parse_tag("PatientID"), StringIs("P7", cased=True))
    (Filter(value='P7', is_optional=False),)
    >>> filters_for(parse_tag("StudyDate"), Relation(">=", date(2020, 1, 31)))
    (Filter(value='20200131-', is_optional=False), Filter(value='2020.01.31-', is_optional=True))
    >>> filters_for(parse_tag("PatientName"), StringIs("Doe^Jane")) is None
    True
    """
    if isinstance(predicate, AnyOf):
        listed: dict[Filter, None] = {}
        for alternative in predicate.predicates:
            filters = filters_for(tag, alternative, most)
            if filters is None:
                return None
            listed.update(dict.fromkeys(filters))
        return tuple(listed) if most is None or len(listed) <= most or tag.name in _UIDS else None
    if isinstance(predicate, StringIs):
        return _filters_for_string(tag, predicate)
    return _filters_for_dates(predicate) if tag.name == "StudyDate" else None


def _filters_for_string(tag: Tag, predicate: StringIs) -> tuple[Filter, ...] | None:
    string, is_exact = predicate.string, predicate.mode == "exact"
    if tag.name in _UIDS:
        return (Filter(string),) if is_uid(string) else None
    if tag.name in _IDENTIFIERS and (is_exact or predicate.cased):
        is_sent = is_plain(string) or (is_exact and _PLAIN_OR_WILDCARD.match(string))
        return (Filter(string),) if is_sent else None
    if tag.name == "PatientName" and is_exact and _NAME.match(string):
        # The groups that may follow are empty: "Doe^Jane=" is the same name.
        return (Filter(string), Filter(f"{string}=*", is_optional=True))
    return None


def _filters_for_dates(predicate: Predicate) -> tuple[Filter, ...] | None:
    if isinstance(predicate, RangeString):
        predicate = predicate.range
    ends: list[Any]
    if isinstance(predicate, Relation):
        operand = predicate.operand
        if predicate.operator == "==":
            ends = [operand]
        else:
            ends = [operand, None] if predicate.operator in (">", ">=") else [None, operand]
    elif isinstance(predicate, Between):
        ends = [predicate.low, predicate.high]
    else:
        return None
    if not any(ends) or not all(end is None or _is_day(end) for end in ends):
        return None
    now, before = (_range_of(ends, separator) for separator in ("", "."))
    return (Filter(now), Filter(before, is_optional=True))


def _is_day(operand: Any) -> bool:
    return isinstance(operand, date) and not isinstance(operand, datetime)


def _range_of(ends: Sequence[Any], separator: str) -> str:
    return "-".join(
        "" if end is None else separator.join((f"{end.year:04d}", f"{end.month:02d}", f"{end.day:02d}")) for end in ends
    )


def loose_filters_for(predicate: Predicate) -> tuple[Filter, ...] | None:
    """List filters that find what a server itself takes for a match; None if there are none.

    They are for servers that refuse to list: a match may be missing.

    Examples
    --------
    >>> loose_filters_for(StringIs("Doe*"))
    (Filter(value='Doe*', is_optional=False),)
    """
    if isinstance(predicate, AnyOf):
        listed = [loose_filters_for(alternative) for alternative in predicate.predicates]
        if not listed or None in listed:
            return None
        return tuple(dict.fromkeys(item for filters in listed for item in filters or ()))
    return (Filter(predicate.string),) if isinstance(predicate, StringIs) and predicate.string else None


def misses_nothing(predicate: Predicate) -> bool:
    """Check whether the filters of `loose_filters_for` find all matches, since a match is the very string."""
    return isinstance(predicate, StringIs) and predicate.mode == "exact" and predicate.string.isascii()
