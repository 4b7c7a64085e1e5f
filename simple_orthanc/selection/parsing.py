"""Parsing of the values that users give for tags: keyword values and operands become predicates, or an error.

Everything that can be wrong with a value is found here, before any request is sent.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Collection, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from simple_orthanc.dicom.tags import BINARY_VRS, DATE_VRS, NUMBER_VRS, PADDING, REAL_VRS, Tag
from simple_orthanc.dicom.times import DAYS_IN_YEAR, utc
from simple_orthanc.dicom.values import Comparable, comparable, parse_number
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.ages import PATIENT_AGE
from simple_orthanc.selection.conditions import Field, ServerField
from simple_orthanc.selection.predicates import (
    Age,
    AnyOf,
    Between,
    IsMissing,
    Matches,
    Predicate,
    RangeString,
    Relation,
    StringIs,
    StringMode,
    Where,
    WholeValue,
    has_wildcard,
    is_identifier,
)
from simple_orthanc.selection.rewriting import as_date, as_decimal, as_list, as_range, as_relation

_DATE_FORMS = {
    "DA": 'a date is written "20200131", "2020-01-31" or datetime.date(2020, 1, 31)',
    "TM": 'a time is written "103000", "10:30:00" or datetime.time(10, 30)',
    "DT": 'a date-time is written "20200131103000", "2020-01-31 10:30:00" or datetime.datetime(2020, 1, 31, 10, 30)',
    "AS": 'an age is a number of years, or is written "045Y", "003M", "002W" or "010D"',
}
_RANGE = re.compile(r"([^-]*?)\s*-\s*([^-]*)\Z")
# In these a backslash is a character like any other, and does not separate values (PS3.5, section 6.2).
_VRS_WITH_BACKSLASH = ("LT", "ST", "UT", "UR")


@dataclass(frozen=True)
class Exact:
    """A string that matches only itself, character by character: made by `exact`.

    Examples
    --------
    >>> from simple_orthanc import exact, tag
    >>> tag("SeriesDescription") == exact("T2*_GRE")
    tag("SeriesDescription") == exact 'T2*_GRE'
    """

    string: str

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"exact({self.string!r})"


@dataclass(frozen=True)
class Like:
    """A string whose ``*`` and ``?`` are wildcards, whatever the archive holds: made by `like`.

    Examples
    --------
    >>> from simple_orthanc import like, tag
    >>> tag("SeriesDescription") == like("T2*")
    tag("SeriesDescription") == like 'T2*'
    """

    string: str

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"like({self.string!r})"


def predicate_for(field: Field, value: Any) -> Predicate:
    """Return the predicate that a value means, given for a field.

    Raises
    ------
    SelectionError
        The value is not possible for this field; the message shows the right form.
    """
    value = _without_pydicom(field, value)
    if is_missing(value):
        return missing_for(field)
    if isinstance(value, tuple):
        return _tuple_predicate(field, value)
    if isinstance(value, (list, Set, range)) or _is_vector(value):
        return AnyOf(tuple(predicate_for(field, item) for item in value))
    if isinstance(value, re.Pattern):
        return Matches(compiled(value))
    if isinstance(value, (str, Exact, Like)):
        return _string_predicate(field, value)
    if callable(value):
        return Where(value)
    return _single_predicate(field, value)


def missing_for(field: Field) -> IsMissing:
    """Return the predicate that holds where a field is missing.

    Lists and tables show a number that cannot be read as missing, so it is found as missing too.
    """
    return IsMissing(isinstance(field, Tag) and field.vr in NUMBER_VRS and not field.is_multiple)


def is_missing(value: Any) -> bool:
    """Check whether a given value means "missing": None, an empty string, NaN, or pandas' NA and NaT."""
    if value is None or (isinstance(value, str) and not value.strip(PADDING)):
        return True
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    if isinstance(value, Decimal):
        return value.is_qnan()
    # pandas is not imported for this: its NA and NaT are the only objects of these types.
    return type(value).__name__ in ("NAType", "NaTType") or (
        isinstance(value, (np.datetime64, np.timedelta64)) and bool(np.isnat(value))
    )


def is_table(value: Any) -> bool:
    """Check whether this is a pandas DataFrame; iterating over one yields the names of its columns."""
    return hasattr(value, "to_numpy") and hasattr(value, "columns")


def _is_vector(value: Any) -> bool:
    """Check whether this is an array, a pandas Series or Index, or a view of a dictionary."""
    return (isinstance(value, np.ndarray) and value.ndim > 0) or (
        hasattr(value, "__iter__") and hasattr(value, "to_numpy")
    )


def _without_pydicom(field: Field, value: Any) -> Any:
    """Return a name or a multiple value from a header as plain strings."""
    if isinstance(value, PersonName):
        return str(value)
    if isinstance(value, MultiValue):
        # In a header it is the whole value of the element; for a tag with one value, a tuple would be a range.
        return tuple(value) if isinstance(field, Tag) and field.is_multiple else list(value)
    return value


# Strings that cannot be read as the date, time, number or age that their tag holds


def unreadable_strings(tag: Tag, value: Any) -> list[str]:
    """List the strings in a value that are not the date, time, number or age that the tag holds.

    Examples
    --------
    >>> from simple_orthanc.dicom.tags import parse_tag
    >>> unreadable_strings(parse_tag("StudyDate"), ["20200131", "unknown"])
    ['unknown']
    """
    if tag.vr not in DATE_VRS | NUMBER_VRS | {"AS"}:
        return []
    value = _without_pydicom(tag, value)
    if isinstance(value, str):
        string = value.strip(PADDING)
        return [string] if string and not _is_readable(tag, string) else []
    if _has_items(tag, value):
        return [string for item in value for string in unreadable_strings(tag, item)]
    return []


def with_exact(tag: Tag, value: Any, strings: Collection[str]) -> Any:
    """Return a value in which these of its strings are marked with `exact`.

    Examples
    --------
    >>> from simple_orthanc.dicom.tags import parse_tag
    >>> with_exact(parse_tag("StudyDate"), ["20200131", "unknown"], {"unknown"})
    ['20200131', exact('unknown')]
    """
    value = _without_pydicom(tag, value)
    if isinstance(value, str):
        string = value.strip(PADDING)
        return Exact(string) if string in strings else value
    if _has_items(tag, value):
        items = [with_exact(tag, item, strings) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _has_items(tag: Tag, value: Any) -> bool:
    """Check whether a value gives several alternatives, or the several values of one element."""
    return isinstance(value, (list, Set)) or _is_vector(value) or (isinstance(value, tuple) and tag.is_multiple)


def _is_readable(tag: Tag, string: str) -> bool:
    try:
        _string_predicate(tag, string)
    except SelectionError:
        return False
    return True


# Predicates


def _tuple_predicate(field: Field, value: tuple[Any, ...]) -> Predicate:
    vr = field.vr
    # For a tag that may have one value in each of several items, a tuple with one open end is a range.
    open_range = len(value) == 2 and any(is_missing(end) for end in value) and not all(map(is_missing, value))
    per_item = isinstance(field, Tag) and field.is_multiple and not field.is_list
    if isinstance(field, Tag) and field.is_multiple and not (per_item and open_range):
        return WholeValue(tuple(_part_predicate(field, part) for part in value))
    if vr in NUMBER_VRS or vr in DATE_VRS or vr == "AS":
        if len(value) != 2:
            raise SelectionError(
                f"{field}={value!r}: a tuple is a range (low, high) with both ends included; for any of several values "
                f"give a list, {list(value)!r}."
            )
        return range_for(field, *value)
    raise SelectionError(
        f"{field}={value!r}: a tuple is a range, and strings have none. For any of these give a list: {list(value)!r}."
    )


def _part_predicate(field: Field, part: Any) -> Predicate:
    """Return the predicate for one of the several values of an element."""
    part = _without_pydicom(field, part)
    if isinstance(part, str):
        if not part.strip(PADDING):
            return IsMissing()
        return _string_predicate(field, part) if field.vr not in NUMBER_VRS else _single_predicate(field, part)
    return predicate_for(field, part)


def range_for(field: Field, low: Any, high: Any) -> Between:
    """Return the predicate that holds from ``low`` to ``high``; an end that is missing is open.

    Raises
    ------
    SelectionError
        An end is not a value of the field, both are missing, or the low one lies above the high one.
    """
    ends = [None if is_missing(end) else operand_for(field, end) for end in (low, high)]
    if ends == [None, None]:
        raise SelectionError(f"{field}=({low!r}, {high!r}): a range needs at least one end.")
    bottom, top = ends
    if bottom is not None and top is not None and Relation(">", top).accepts(bottom):
        raise SelectionError(
            f"{field}=({low!r}, {high!r}): the range is empty, since its low end lies above its high end."
        )
    return Between(bottom, top)


def _string_predicate(field: Field, value: str | Exact | Like) -> Predicate:
    mode: StringMode = "exact" if isinstance(value, Exact) else "like" if isinstance(value, Like) else "auto"
    string = value.strip(" \0") if isinstance(value, str) else value.string
    vr = field.vr
    if vr in BINARY_VRS and vr != "UN":
        raise SelectionError(f"{field} holds binary data ({vr}) and cannot be compared with {string!r}.")
    cased = isinstance(field, Tag) and is_identifier(field)
    if mode == "auto" and vr in NUMBER_VRS | DATE_VRS and not (has_wildcard(string) and vr in DATE_VRS):
        return _typed_predicate(field, string)
    if mode == "auto" and vr == "AS" and (relation := as_relation(string)) and _age(relation[1]) is not None:
        raise SelectionError(_malformed(field, string))
    if mode != "like" and "\\" in string and vr not in _VRS_WITH_BACKSLASH:
        parts = string.split("\\")
        if mode == "exact":
            return WholeValue(tuple(StringIs(part, mode, cased) for part in parts))
        return WholeValue(tuple(_part_predicate(field, part) for part in parts))
    return StringIs(string, mode, cased)


def _typed_predicate(field: Field, string: str) -> Predicate:
    """Read a string given for a number, a date or a time: a value, or a range in DICOM's own notation."""
    vr = field.vr
    if "\\" in string:
        return WholeValue(tuple(_part_predicate(field, part) for part in string.split("\\")))
    operand = comparable(string, vr)
    if operand is not None:
        return Relation("==", operand)
    # 2020-01 is a month that lacks its day, and not the range of two years.
    is_month = vr == "DA" and as_date(string) is not None
    if vr in DATE_VRS and not is_month and (ends := _RANGE.match(string)):
        return RangeString(string, range_for(field, ends[1] or None, ends[2] or None))
    raise SelectionError(_malformed(field, string))


def _single_predicate(field: Field, value: Any) -> Predicate:
    vr = field.vr
    if vr in NUMBER_VRS | DATE_VRS | {"AS"}:
        return Relation("==", operand_for(field, value))
    if _is_number(value):
        if vr == "UN":
            return Relation("==", operand_for(field, value))
        # NaN and infinity raise one of these.
        with suppress(ValueError, OverflowError):
            if value == int(value):
                return StringIs(str(int(value)), "auto", isinstance(field, Tag) and is_identifier(field))
    raise SelectionError(
        f"{field} holds strings ({vr}), and {value!r} is of type {type(value).__name__}: give a string or a list of "
        f"strings."
    )


def compiled(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    """Compile a regular expression for strings.

    Raises
    ------
    SelectionError
        It is not a regular expression, or one for bytes.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise SelectionError(f"{pattern!r} is not a regular expression: {error}.") from None
    if not isinstance(expression.pattern, str):
        raise SelectionError(f"{pattern!r} is a regular expression for bytes; give one for strings.")
    return expression


# Operands


def operand_for(field: Field, value: Any) -> Comparable:
    """Return a value in the type with which the field's own values are compared.

    Raises
    ------
    SelectionError
        The field holds strings, which have no order, or the value cannot be read as what the field holds.
    """
    vr = field.vr
    if vr not in NUMBER_VRS | DATE_VRS | {"AS", "UN"}:
        raise SelectionError(
            f"{field} holds strings ({vr}) and has no order, so {value!r} cannot bound it: "
            "use == with wildcards, isin([...]) or matches(...)."
        )
    if isinstance(field, ServerField) and vr == "UN":
        vr = "DS"
    operand = _convert(vr, value)
    if operand is None:
        raise SelectionError(_malformed(field, value))
    return operand


def _convert(vr: str, value: Any) -> Comparable | None:
    if isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.astype("datetime64[us]" if isinstance(value, np.datetime64) else "timedelta64[us]").item()
    if vr == "AS":
        return _age(value)
    if isinstance(value, str):
        return comparable(value, vr)
    if vr in NUMBER_VRS or vr == "UN":
        return _number(value)
    if vr == "DA":
        return _date(value)
    if vr == "TM":
        return _time(value)
    if vr == "DT":
        if isinstance(value, datetime):
            return utc(value)
        return datetime(value.year, value.month, value.day) if isinstance(value, date) else None
    return None


def _age(value: Any) -> Age | None:
    """Read an age: a string as DICOM writes it, or a number of years."""
    days = comparable(value, "AS") if isinstance(value, str) else None
    if days is None:
        years = parse_number(value, "DS") if isinstance(value, str) else _number(value)
        days = None if years is None or not math.isfinite(years) or years < 0 else years * DAYS_IN_YEAR
    return Age(days) if isinstance(days, (int, float)) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, (bool, np.bool_))


def _number(value: Any) -> int | float | None:
    if not _is_number(value):
        return None
    try:
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    except (ValueError, OverflowError):  # a signalling Decimal, a Fraction beyond what a float holds
        return None


def _date(value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date() if value.time() == time() else None
    if isinstance(value, date):
        return value
    return comparable(str(value), "DA") if isinstance(value, numbers.Integral) else None  # type: ignore[return-value]


def _time(value: Any) -> timedelta | None:
    if isinstance(value, timedelta):
        return timedelta(microseconds=value // timedelta(microseconds=1))
    if isinstance(value, time):
        return timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    return None


def _malformed(field: Field, value: Any) -> str:
    form = _DATE_FORMS.get(field.vr, 'a number is written 3, 2.5 or "2.5"')
    has_literal = field.vr in DATE_VRS | {"AS"} and isinstance(value, str)
    literal = f"; the string itself is exact({value!r})" if has_literal else ""
    meant = _meant_by(field, value) if isinstance(value, str) else None
    return (
        f"{field}={value!r}: {form}; a range is a tuple (low, high), either end None; several values are a list"
        f"{literal}.{f' Perhaps {meant} is meant.' if meant else ''}"
    )


def _meant_by(field: Field, string: str) -> str | None:
    """Return what a string in the notation of other tools means for a number, a date or a time."""
    if field.vr == "DA" and (written := as_date(string)):
        return f"{field}={written!r}"
    if field.vr in REAL_VRS and (number := parse_number(as_decimal(string), field.vr)) is not None:
        return f"{field}={number!r}"
    relation = as_relation(string)
    if relation and _plain(field, relation[1]) is not None:
        named = "age()" if field == PATIENT_AGE else f'tag("{field}")' if isinstance(field, Tag) else str(field)
        return f"{named} {relation[0]} {_plain(field, relation[1])!r}"
    ends = [None if end is None else _plain(field, end) for end in ends_] if (ends_ := as_range(string)) else []
    if ends and not any(end is None and given for end, given in zip(ends, ends_ or (), strict=True)):
        return f"{field}={tuple(ends)!r}"
    items = [_plain(field, item) for item in as_list(string) or ()]
    return f"{field}={items!r}" if items and None not in items else None


def _plain(field: Field, string: str) -> Any:
    """Return a number or an age in years as a number, and a date or time as it is written; None if it is neither."""
    if field.vr == "AS":
        age = _age(string)
        return None if age is None else age.years
    operand = comparable(as_decimal(string) if field.vr in REAL_VRS else string, field.vr)
    return operand if operand is None or field.vr in NUMBER_VRS else string
