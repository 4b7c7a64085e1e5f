"""What a user writes, turned into conditions: keyword values, ``tag("KVP") > 100``, ``exact``, ``like``, ``label``.

Everything that can be wrong with a value is found here, before any request is sent.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Iterable, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from simple_orthanc.dicom.tags import BINARY_VRS, DATE_VRS, NUMBER_VRS, PADDING, Tag, TagLike, parse_tag
from simple_orthanc.dicom.times import utc
from simple_orthanc.dicom.values import Comparable, comparable
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.conditions import (
    AnyOf,
    Between,
    Comparison,
    Condition,
    Field,
    IsMissing,
    Matches,
    Not,
    Operator,
    Predicate,
    RangeString,
    Relation,
    ServerField,
    StringIs,
    StringMode,
    Where,
    WholeValue,
    has_wildcard,
    is_identifier,
)

_DATE_FORMS = {
    "DA": 'a date is written "20200131", "2020-01-31" or datetime.date(2020, 1, 31)',
    "TM": 'a time is written "103000", "10:30:00" or datetime.time(10, 30)',
    "DT": 'a moment is written "20200131103000", "2020-01-31 10:30:00" or datetime.datetime(2020, 1, 31, 10, 30)',
    "AS": 'an age is written "045Y", "003M", "002W" or "010D"',
}
_RANGE_TEXT = re.compile(r"([^-]*?)\s*-\s*([^-]*)\Z")


@dataclass(frozen=True)
class Exact:
    """A text that means itself, letter by letter: made by `exact`."""

    text: str


@dataclass(frozen=True)
class Like:
    """A text whose ``*`` and ``?`` are wildcards, whatever the archive holds: made by `like`."""

    text: str


def exact(text: str) -> Exact:
    """Mean a text letter by letter, with ``*`` and ``?`` as plain characters and with regard to case.

    Examples
    --------
    >>> exact("T2*_GRE")
    Exact(text='T2*_GRE')
    """
    return Exact(_text_or_raise(text, "exact"))


def like(text: str) -> Like:
    """Mean a text with ``*`` and ``?`` as wildcards, even if the archive holds the text as it stands.

    Examples
    --------
    >>> like("T2*")
    Like(text='T2*')
    """
    return Like(_text_or_raise(text, "like"))


def _text_or_raise(text: object, name: str) -> str:
    if not isinstance(text, str):
        raise SelectionError(f"{name}(...) takes a text, and {text!r} is a {type(text).__name__}.")
    return text


class TagField:
    """A tag that waits to be compared: made by `tag`, and by `metadata` for Orthanc's own entries."""

    # Comparing gives a condition, so a field can be neither a member of a set nor a key.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, field: Field) -> None:
        self._field = field

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return condition_for(self._field, value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return Not(condition_for(self._field, value))

    def __lt__(self, value: Any) -> Condition:
        return self._ordered("<", value)

    def __le__(self, value: Any) -> Condition:
        return self._ordered("<=", value)

    def __gt__(self, value: Any) -> Condition:
        return self._ordered(">", value)

    def __ge__(self, value: Any) -> Condition:
        return self._ordered(">=", value)

    def between(self, low: Any, high: Any) -> Condition:
        """Hold where a value lies from ``low`` to ``high``, both included; an end that is None is open."""
        return Comparison(self._field, _range(self._field, low, high))

    def isin(self, values: Iterable[Any]) -> Condition:
        """Hold where a value is one of several; each is meant as in ``==``."""
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise SelectionError(f"isin takes a list: {self!r}.isin([{values!r}]).")
        return condition_for(self._field, values if _is_table(values) else list(values))

    def matches(self, pattern: str | re.Pattern[str]) -> Condition:
        """Hold where a regular expression is found in a value."""
        return Comparison(self._field, Matches(_compiled(pattern)))

    def is_missing(self) -> Condition:
        """Hold where the element is not there, or is empty; of a single number also where it is none."""
        return Comparison(self._field, _missing(self._field))

    def where(self, function: Callable[[Any], Any]) -> Condition:
        """Hold where a function is true for a value, given as a number, date, time since midnight or text."""
        if not callable(function):
            raise SelectionError(f'where takes a function: tag("{self._field}").where(lambda value: value > 3).')
        return Comparison(self._field, Where(function))

    def _ordered(self, operator: Operator, value: Any) -> Condition:
        return Comparison(self._field, Relation(operator, _operand(self._field, value)))

    def __repr__(self) -> str:
        return f'tag("{self._field}")' if isinstance(self._field, Tag) else str(self._field)

    def __bool__(self) -> bool:
        raise SelectionError(
            f'{self!r} is a tag, not a condition: compare it, as in {self!r} == "..." or {self!r}.is_missing().'
        )


def tag(name: TagLike) -> TagField:
    """Name a tag, to make conditions of it by comparing.

    Parameters
    ----------
    name : str, int or tuple
        Any spelling of a tag: keyword, number, private with its creator, path into sequences.

    Returns
    -------
    TagField
        Compare it with ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, or call ``between``, ``isin``, ``matches``,
        ``is_missing``, ``where``; join the conditions with ``&``, ``|`` and ``~``.

    Raises
    ------
    UnknownTagError
        There is no such tag.

    Examples
    --------
    >>> (tag("SliceThickness") <= 3) & ~(tag("Modality") == "PT")
    (tag("SliceThickness") <= 3) & (~(tag("Modality") == 'PT'))
    """
    parsed = parse_tag(name)
    _check_searchable(parsed)
    return TagField(parsed)


def _check_searchable(tag: Tag) -> None:
    if tag.is_pixels:
        raise SelectionError(
            f"{tag} holds pixels, which are not searched. Objects without an image lack Rows: "
            "select(Rows=None), or exclude(Rows=None) for the others."
        )


def label(name: str) -> Condition:
    """Hold for what carries one of Orthanc's labels, itself or through its series, study or patient (Orthanc 1.12.0).

    Examples
    --------
    >>> label("reviewed")
    label('reviewed') is set
    """
    return Comparison(ServerField("label", _text_or_raise(name, "label")), _IsSet())


def metadata(name: str) -> TagField:
    """Name an entry of Orthanc's metadata, to be compared as a tag is; it may stand at any level.

    Examples
    --------
    >>> metadata("RemoteAET") == "SCANNER"
    metadata('RemoteAET') == 'SCANNER'
    """
    return TagField(ServerField("metadata", _text_or_raise(name, "metadata")))


@dataclass(frozen=True)
class _IsSet:
    """Holds for whatever has the field at all."""

    def holds(self, value: Any, vr: str) -> bool:
        return value is not None

    def __str__(self) -> str:
        return "is set"


def condition_for(field: Field, value: Any) -> Condition:
    """Turn what a user gave for a tag into a condition.

    Raises
    ------
    SelectionError
        The value cannot be meant for this tag; the message shows the right form.
    """
    if isinstance(value, (Condition, TagField)):
        raise SelectionError(f"A condition stands by itself: select({value!r}), not select({field}={value!r}).")
    if _is_table(value):
        raise SelectionError(
            f"{field} is given a table, and a table is no list of values: name the column that is meant, as in "
            f'frame["{field}"].'
        )
    if isinstance(field, Tag):
        _check_searchable(field)
    if isinstance(field, Tag) and field.is_sequence and not _is_missing(value):
        raise SelectionError(
            f"{field} is a sequence and has no value of its own: name a tag in it, "
            f'as in tag("{field}[0].CodeMeaning") == ...'
        )
    return Comparison(field, _test(field, value))


def _is_table(value: Any) -> bool:
    """Say whether this is a pandas DataFrame; going through one gives the names of its columns."""
    return hasattr(value, "to_numpy") and hasattr(value, "columns")


def _without_pydicom(field: Field, value: Any) -> Any:
    """Take a name or several values from a header as the text or texts that they are."""
    if isinstance(value, PersonName):
        return str(value)
    if isinstance(value, MultiValue):
        # In a header it is the whole value of the element; where a tag has one value, a tuple would be a range.
        return tuple(value) if isinstance(field, Tag) and field.is_multiple else list(value)
    return value


def _test(field: Field, value: Any) -> Predicate:
    value = _without_pydicom(field, value)
    if _is_missing(value):
        return _missing(field)
    if isinstance(value, tuple):
        return _tuple(field, value)
    if isinstance(value, (list, Set, range)) or _is_vector(value):
        return AnyOf(tuple(_test(field, item) for item in value))
    if isinstance(value, re.Pattern):
        return Matches(_compiled(value))
    if isinstance(value, (str, Exact, Like)):
        return _text_test(field, value)
    if callable(value):
        return Where(value)
    return _single(field, value)


def _missing(field: Field) -> IsMissing:
    # Lists and tables show a number that cannot be read as missing, so it is found as that.
    return IsMissing(isinstance(field, Tag) and field.vr in NUMBER_VRS and not field.is_multiple)


def literal_where_unreadable(field: Tag, value: Any, stands: Callable[[str], bool]) -> Any:
    """Mean letter by letter each text that is no date, time or number, and yet stands in the archive as a value.

    Parameters
    ----------
    field : Tag
        What the value is given for.
    value : object
        As the user gave it.
    stands : function
        Says whether a text is known to be a value of the tag.
    """
    if field.vr not in DATE_VRS | NUMBER_VRS:
        return value
    value = _without_pydicom(field, value)
    if isinstance(value, str):
        text = value.strip(PADDING)
        return exact(text) if text and not _is_readable(field, text) and stands(text) else value
    if isinstance(value, (list, Set)) or _is_vector(value) or (isinstance(value, tuple) and field.is_multiple):
        changed = [literal_where_unreadable(field, item, stands) for item in value]
        if any(isinstance(after, Exact) and after is not before for before, after in zip(value, changed, strict=True)):
            return tuple(changed) if isinstance(value, tuple) else changed
    return value


def _is_readable(field: Tag, text: str) -> bool:
    try:
        _text_test(field, text)
    except SelectionError:
        return False
    return True


def _is_missing(value: Any) -> bool:
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


def _is_vector(value: Any) -> bool:
    """Say whether this is an array, a pandas Series or Index, or a view of a dictionary."""
    return (isinstance(value, np.ndarray) and value.ndim > 0) or (
        hasattr(value, "__iter__") and hasattr(value, "to_numpy")
    )


def _tuple(field: Field, value: tuple[Any, ...]) -> Predicate:
    vr = field.vr
    # A tag that may have one value in each of several items is given as a range if an end is open.
    open_range = len(value) == 2 and any(_is_missing(end) for end in value) and not all(map(_is_missing, value))
    per_item = isinstance(field, Tag) and field.is_multiple and not field.is_list
    if isinstance(field, Tag) and field.is_multiple and not (per_item and open_range):
        return WholeValue(tuple(_whole_part(field, part) for part in value))
    if vr in NUMBER_VRS or vr in DATE_VRS or vr == "AS":
        if len(value) != 2:
            raise SelectionError(
                f"{field}={value!r}: a tuple is a range (low, high) with both ends included; for any of several values "
                f"give a list, {list(value)!r}."
            )
        return _range(field, *value)
    raise SelectionError(
        f"{field}={value!r}: a tuple is a range, and text has none. For any of these give a list: {list(value)!r}."
    )


def _whole_part(field: Field, part: Any) -> Predicate:
    part = _without_pydicom(field, part)
    if isinstance(part, str):
        if not part.strip(PADDING):
            return IsMissing()
        return _text_test(field, part) if field.vr not in NUMBER_VRS else _single(field, part)
    return _test(field, part)


def _range(field: Field, low: Any, high: Any) -> Between:
    ends = [None if _is_missing(end) else _operand(field, end) for end in (low, high)]
    if ends == [None, None]:
        raise SelectionError(f"{field}=({low!r}, {high!r}): a range needs at least one end.")
    bottom, top = ends
    if bottom is not None and top is not None and Relation(">", top).accepts(bottom):
        raise SelectionError(
            f"{field}=({low!r}, {high!r}): the range is empty, since its low end lies above its high end."
        )
    return Between(bottom, top)


def _text_test(field: Field, value: str | Exact | Like) -> Predicate:
    mode: StringMode = "exact" if isinstance(value, Exact) else "like" if isinstance(value, Like) else "auto"
    text = value.strip(" \0") if isinstance(value, str) else value.text
    vr = field.vr
    if vr in BINARY_VRS and vr != "UN":
        raise SelectionError(f"{field} holds binary data ({vr}) and cannot be compared with {text!r}.")
    cased = isinstance(field, Tag) and is_identifier(field)
    if mode == "auto" and vr in NUMBER_VRS | DATE_VRS and not (has_wildcard(text) and vr in DATE_VRS):
        return _typed_text(field, text)
    if mode == "exact" and "\\" in text and vr not in ("LT", "ST", "UT", "UR"):
        return WholeValue(tuple(StringIs(part, mode, cased) for part in text.split("\\")))
    if mode == "auto" and "\\" in text and vr not in ("LT", "ST", "UT", "UR"):
        return WholeValue(tuple(_whole_part(field, part) for part in text.split("\\")))
    return StringIs(text, mode, cased)


def _typed_text(field: Field, text: str) -> Predicate:
    """Read a text given for a number, a date or a time: a value, or a range in DICOM's own words."""
    vr = field.vr
    if "\\" in text:
        return WholeValue(tuple(_whole_part(field, part) for part in text.split("\\")))
    found = comparable(text, vr)
    if found is not None:
        return Relation("==", found)
    if vr in DATE_VRS and (ends := _RANGE_TEXT.match(text)):
        return RangeString(text, _range(field, ends[1] or None, ends[2] or None))
    raise SelectionError(_malformed(field, text))


def _single(field: Field, value: Any) -> Predicate:
    vr = field.vr
    if vr in NUMBER_VRS | DATE_VRS | {"AS"}:
        return Relation("==", _operand(field, value))
    if _is_number(value):
        if vr == "UN":
            return Relation("==", _operand(field, value))
        # A number that is none says so in one of these ways.
        with suppress(ValueError, OverflowError):
            if value == int(value):
                return StringIs(str(int(value)), "auto", isinstance(field, Tag) and is_identifier(field))
    raise SelectionError(
        f"{field} is text ({vr}), and {value!r} is a {type(value).__name__}: give a text or a list of texts."
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, (bool, np.bool_))


def _operand(field: Field, value: Any) -> Comparable:
    """Turn a value into what the tag's own values compare with."""
    vr = field.vr
    if vr not in NUMBER_VRS | DATE_VRS | {"AS", "UN"} and not isinstance(field, ServerField):
        raise SelectionError(
            f"{field} is text ({vr}) and has no order, so {value!r} cannot bound it: "
            "use == with wildcards, isin([...]) or matches(...)."
        )
    if isinstance(field, ServerField):
        vr = "DS"
    found = _convert(vr, value)
    if found is None:
        raise SelectionError(_malformed(field, value))
    return found


def _convert(vr: str, value: Any) -> Comparable | None:
    if isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.astype("datetime64[us]" if isinstance(value, np.datetime64) else "timedelta64[us]").item()
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


def _number(value: Any) -> int | float | None:
    if not _is_number(value):
        return None
    try:
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    except (ValueError, OverflowError):  # a Decimal that signals, a Fraction beyond what a float holds
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
    literal = f"; the text itself is exact({value!r})" if field.vr in DATE_VRS and isinstance(value, str) else ""
    return (
        f"{field}={value!r}: {form}; a range is a tuple (low, high), either end None; several values are a list"
        f"{literal}."
    )


def _compiled(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise SelectionError(f"{pattern!r} is no regular expression: {error}.") from None
    if not isinstance(compiled.pattern, str):
        raise SelectionError(f"{pattern!r} is a regular expression for bytes; give one for text.")
    return compiled
