"""Conditions as JSON, so that the file of a cohort can hold its query, and as conditions again.

A condition that holds a function of the user's cannot be written. What is read is data: nothing in it is executed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date, datetime, timedelta
from typing import Any, get_args

from simple_orthanc.dicom.tags import Tag, parse_tag
from simple_orthanc.selection.conditions import (
    AgeField,
    And,
    Comparison,
    Condition,
    Not,
    Or,
    SeriesField,
    ServerField,
)
from simple_orthanc.selection.predicates import (
    Age,
    AnyOf,
    Between,
    IsMissing,
    IsSet,
    Matches,
    Operator,
    RangeString,
    Relation,
    StringIs,
    StringMode,
    WholeValue,
)

_CONDITIONS = (Comparison, And, Or, Not)
_PREDICATES = (IsMissing, IsSet, StringIs, Relation, Between, RangeString, WholeValue, AnyOf, Matches)
_FIELDS = (ServerField, AgeField, SeriesField)
_CLASSES = {kind.__name__: kind for kind in (*_CONDITIONS, *_PREDICATES, *_FIELDS)}
_MICROSECOND = timedelta(microseconds=1)


class NotWritableError(Exception):
    """A condition holds what JSON cannot, such as a function; never leaves the package."""


class NotReadableError(ValueError):
    """What was read is not a condition as `to_json` writes it; never leaves the package."""


def to_json(value: Any) -> Any:
    """Return a condition, or a part of one, as values that JSON has.

    Raises
    ------
    NotWritableError
        It holds a function.

    Examples
    --------
    >>> from simple_orthanc import tag
    >>> to_json(tag("KVP") >= 100)
    {'Comparison': {'field': {'tag': 'KVP'}, 'predicate': {'Relation': {'operator': '>=', 'operand': 100}}}}
    """
    if value is None or isinstance(value, (str, bool)) or type(value) in (int, float):
        return value
    if isinstance(value, Age):
        return {"age": float(value)}
    if isinstance(value, Tag):
        return {"tag": value.name}
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, timedelta):
        return {"microseconds": value // _MICROSECOND}
    if isinstance(value, re.Pattern):
        return {"pattern": value.pattern, "flags": value.flags}
    if isinstance(value, tuple):
        return [to_json(part) for part in value]
    kind = type(value)
    if _CLASSES.get(kind.__name__) is not kind:
        raise NotWritableError(kind.__name__)
    return {kind.__name__: {field.name: to_json(getattr(value, field.name)) for field in fields(value)}}


def condition_from_json(written: Any) -> Condition:
    """Read what `to_json` returned for a condition.

    Raises
    ------
    NotReadableError
        It is not what `to_json` returns for one.

    Examples
    --------
    >>> from simple_orthanc import tag
    >>> condition = (tag("Modality") == "CT") & ~(tag("SliceThickness") > 3)
    >>> condition_from_json(to_json(condition)) == condition
    True
    """
    try:
        condition: Condition = _read(written, _CONDITIONS)
    except (ValueError, RecursionError) as error:
        raise NotReadableError(str(error)) from error
    return condition


def _read(written: Any, kinds: tuple[type, ...]) -> Any:
    """Read an object of one of several classes."""
    name, values = _single(written)
    kind = _CLASSES.get(name)
    if kind not in kinds or not isinstance(values, Mapping):
        raise ValueError(f"{name!r} is not expected here")
    names = {field.name for field in fields(kind)}
    if values.keys() != names:
        raise ValueError(f"{name} has {sorted(names)}")
    return kind(**{each: _READERS[kind][each](value) for each, value in values.items()})


def _single(written: Any) -> tuple[str, Any]:
    if not isinstance(written, Mapping) or len(written) != 1:
        raise ValueError("an object with one name is expected")
    return next(iter(written.items()))


def _condition(written: Any) -> Any:
    return _read(written, _CONDITIONS)


def _predicate(written: Any) -> Any:
    return _read(written, _PREDICATES)


def _predicates(written: Any) -> tuple[Any, ...]:
    if not isinstance(written, list):
        raise ValueError("a list is expected")
    return tuple(map(_predicate, written))


def _field(written: Any) -> Any:
    name, value = _single(written)
    return parse_tag(_of(str)(value)) if name == "tag" else _read(written, _FIELDS)


def _range(written: Any) -> Any:
    return _read(written, (Between,))


def _pattern(written: Any) -> re.Pattern[str]:
    if not isinstance(written, Mapping) or written.keys() != {"pattern", "flags"}:
        raise ValueError("a pattern and its flags are expected")
    try:
        return re.compile(_of(str)(written["pattern"]), _of(int)(written["flags"]))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"a regular expression cannot be read: {error}") from error


def _operand(written: Any) -> Any:
    if type(written) in (int, float):
        return written
    name, value = _single(written)
    if name == "age":
        return Age(_of(float)(value))
    if name == "microseconds":
        try:
            return timedelta(microseconds=_of(int)(value))
        except OverflowError as error:
            raise ValueError("a time of day is expected") from error
    if name == "datetime":
        return datetime.fromisoformat(_of(str)(value))
    if name == "date":
        return date.fromisoformat(_of(str)(value))
    raise ValueError(f"{name!r} is no value to compare with")


def _end(written: Any) -> Any:
    return None if written is None else _operand(written)


def _of(kind: type) -> Callable[[Any], Any]:
    def read(written: Any) -> Any:
        # True is an int in Python.
        if type(written) is not kind:
            raise ValueError(f"{kind.__name__} is expected")
        return written

    return read


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], Any]:
    def read(written: Any) -> Any:
        if written not in choices:
            raise ValueError(f"one of {choices} is expected")
        return written

    return read


_READERS: dict[type, dict[str, Callable[[Any], Any]]] = {
    Comparison: {"field": _field, "predicate": _predicate},
    And: {"left": _condition, "right": _condition},
    Or: {"left": _condition, "right": _condition},
    Not: {"inner": _condition},
    IsMissing: {"is_one_number": _of(bool)},
    IsSet: {},
    StringIs: {"string": _of(str), "mode": _one_of(get_args(StringMode)), "cased": _of(bool)},
    Relation: {"operator": _one_of(get_args(Operator)), "operand": _operand},
    Between: {"low": _end, "high": _end},
    RangeString: {"string": _of(str), "range": _range},
    WholeValue: {"predicates": _predicates},
    AnyOf: {"predicates": _predicates},
    Matches: {"pattern": _pattern},
    ServerField: {"kind": _one_of(("label", "metadata")), "name": _of(str), "vr": _of(str)},
    AgeField: {},
    SeriesField: {"condition": _condition, "of": _one_of(("study", "patient"))},
}
