"""What a function may return for one object, converted to plain values of a row."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import numbers
import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.errors import SelectionError

Value: TypeAlias = Any
"""None, bool, int, float, str, naive datetime, timedelta, or a tuple of these."""

RESULT = "result"
"""The column of a result without names."""
ERROR, SECONDS = "error", "seconds"
RESERVED = frozenset({*IDENTIFIERS.values(), ERROR, SECONDS})

# A longer list is probably an array returned by mistake.
_LONGEST_TUPLE = 1000
_ADVICE = (
    "A function returns a number, a string, a date, or a dictionary or Series of them: compute numbers from it, or "
    "save it in the function and return its path."
)


def plain_values(result: Any) -> dict[str, Value]:
    """Convert the return value of a function to values by column.

    Parameters
    ----------
    result : object
        A scalar is the column "result"; a mapping, a Series, a table of one row, a record of NumPy, a named tuple or a
        dataclass has a column for each name. None is a row without values.

    Raises
    ------
    SelectionError
        A row cannot hold the value, or a name is that of a column which every table has.

    Examples
    --------
    >>> plain_values(np.float32(0.5)), plain_values({"mean": 3, "kernel": None})
    ({'result': 0.5}, {'mean': 3, 'kernel': None})
    >>> plain_values({"error": 0.1})
    Traceback (most recent call last):
    simple_orthanc.errors.SelectionError: The function returned a value named 'error', which is a column of every \
table: leave it out, or choose another name.
    """
    named = _named(result)
    if named is None:
        return {RESULT: _plain(result, "what it returned")}
    values: dict[str, Value] = {}
    for key, value in named:
        name = _column_name(key)
        if name in RESERVED:
            raise SelectionError(
                f"The function returned a value named {name!r}, which is a column of every table: leave it out, or "
                "choose another name."
            )
        if name in values:
            raise SelectionError(f"The function returned two values named {name!r}.")
        values[name] = _plain(value, f"its value {name!r}")
    return values


def _named(result: Any) -> list[tuple[Any, Any]] | None:
    """List the names and values of a result that has names; None for a scalar."""
    if result is None:
        return []
    kind = type(result)
    if isinstance(result, Mapping):
        return list(result.items())
    if isinstance(result, tuple) and hasattr(kind, "_fields"):
        return list(zip(kind._fields, result, strict=True))
    if dataclasses.is_dataclass(result) and not isinstance(result, type) and not _is_own(kind):
        return [(field.name, getattr(result, field.name)) for field in dataclasses.fields(result)]
    if isinstance(result, (np.void, np.ndarray)) and result.shape == () and result.dtype.names:
        return [(name, result[name]) for name in result.dtype.names]
    if kind.__module__.partition(".")[0] == "pandas":
        import pandas as pd

        if isinstance(result, pd.Series):
            return list(result.items())
        if isinstance(result, pd.DataFrame):
            if len(result) != 1:
                raise SelectionError(
                    f"The function returned a table of {len(result)} rows, and the result of one object is one row: "
                    "select it, as in table.iloc[0], or compute numbers from the table."
                )
            # By column: a row as a Series would have one type for all values.
            return [(name, result.iloc[0, position]) for position, name in enumerate(result.columns)]
    return None


def _column_name(key: Any) -> str:
    if isinstance(key, enum.Enum):
        return _column_name(key.value)
    if isinstance(key, (str, numbers.Real)):
        return _text(str.__str__(key) if isinstance(key, str) else str(key))
    raise SelectionError(
        f"The function returned a value named {key!r}: names of columns are strings or numbers, as in "
        f"{{{str(key)!r}: ...}}."
    )


def _plain(value: Any, what: str, inside: bool = False) -> Value:
    """Convert a value to one of the types of `Value`; missing values of every kind become None."""
    if isinstance(value, enum.Enum):
        return _plain(value.value, what, inside)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str):
        # A class derived from it may print otherwise.
        return _text(str.__str__(value))
    if isinstance(value, (PersonName, os.PathLike)):
        return _text(os.fsdecode(value) if isinstance(value, os.PathLike) else str(value))
    if value is None or _is_missing(value):
        return None
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)):
        return _plain_time(value, what)
    if isinstance(value, (numbers.Complex, decimal.Decimal)):
        return _plain_number(value, what)
    # The value of a multi-valued element of a header is no list.
    if isinstance(value, (list, tuple, MultiValue)) and not inside:
        if len(value) > _LONGEST_TUPLE:
            raise SelectionError(f"The function returned a list of {len(value):,} values ({what}). {_ADVICE}")
        return tuple(_plain(item, what, inside=True) for item in value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        # An array without axes, of any library. The `item` of NumPy would turn times in nanoseconds into integers.
        return _plain(value[()] if isinstance(value, np.ndarray) else value.item(), what, inside)
    raise SelectionError(f"The function returned {_kind_of(value)} ({what}). {_ADVICE}")


def _is_missing(value: Any) -> bool:
    """Check whether a value is NumPy's masked value, pandas's NA or NaT, or a NaN of `decimal`."""
    if value is np.ma.masked:
        return True
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    return type(value).__name__ in ("NAType", "NaTType") and type(value).__module__.startswith("pandas")


def _plain_number(value: Any, what: str) -> int | float | None:
    """Convert a real number to an integer or float of 64 bits, and NaN to None."""
    if isinstance(value, numbers.Integral):
        if not -(2**63) <= int(value) < 2**63:
            raise SelectionError(
                f"The function returned a number that needs more than 64 bits ({what}): return float(...)."
            )
        return int(value)
    if isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real):
        raise SelectionError(f"The function returned the complex number {value} ({what}): return its parts by name.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number) and value not in (math.inf, -math.inf):
        raise SelectionError(
            f"The function returned a number that is beyond the largest one of 64 bits, 1.8e308 ({what}): return its "
            "logarithm."
        )
    return None if math.isnan(number) else number


def _plain_time(value: Any, what: str) -> datetime.datetime | datetime.timedelta | None:
    """Convert a date to a datetime, in UTC if it has an offset, and a time of day to the timedelta since midnight."""
    is_date = isinstance(value, (datetime.date, np.datetime64))
    try:
        if isinstance(value, datetime.time):
            return datetime.timedelta(
                hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
            )
        return _as_datetime(value) if is_date else _as_timedelta(value)
    except (ValueError, OverflowError):
        limits = "a date from year 1 to 9999" if is_date else "a fixed duration of less than 292,000 years"
        raise SelectionError(f"The function returned {value}, which is not {limits} ({what}).") from None


def _as_timedelta(value: datetime.timedelta | np.timedelta64) -> datetime.timedelta | None:
    import pandas as pd

    duration = pd.Timedelta(value)
    if _is_missing(duration):
        return None
    # pandas 2.1 cannot round to a unit that is finer than the duration's own.
    return (duration.floor("us") if duration.unit == "ns" else duration).to_pytimedelta()


def _as_datetime(value: datetime.date | np.datetime64) -> datetime.datetime | None:
    import pandas as pd

    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
        if _is_missing(value):
            return None
    if not isinstance(value, datetime.datetime):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, pd.Timestamp):
        value = value.floor("us").to_pydatetime()
    if value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    # Not of a class derived from it, such as that of pydicom.
    return datetime.datetime.combine(value.date(), value.time())


def _text(value: str) -> str:
    """Return a string that can be encoded as UTF-8: lone surrogates become question marks."""
    return value.encode("utf-8", "replace").decode("utf-8")


def _is_own(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "simple_orthanc"


def _kind_of(value: Any) -> str:
    kind = type(value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and not _is_own(kind):
        return f"an array of shape {shape}"
    return f"a {kind.__name__}" if _is_own(kind) else f"a {kind.__module__}.{kind.__qualname__}"
