"""What a function may return, what it becomes in the table, and what is refused with advice."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import DA, DT, IS, TM, DSdecimal, DSfloat, PersonName

from simple_orthanc import Folder, SelectionError
from simple_orthanc.session.mapping.columns import result_columns, typed_column
from simple_orthanc.session.mapping.results import RESERVED, plain_values

UTC_MINUS_2 = datetime.timezone(datetime.timedelta(hours=-2))
UTC_PLUS_2 = datetime.timezone(datetime.timedelta(hours=2))


class Pair(NamedTuple):
    first: float
    second: int


@dataclasses.dataclass
class Fit:
    slope: float
    points: int


class Array(np.ndarray[Any, Any]):
    """An array of a package's own type."""


class Kernel(str, enum.Enum):
    SHARP = "sharp"


class Verdict(enum.Enum):
    GOOD = "good"
    UNKNOWN = None
    BOTH = ("a", 2)


class Grade(enum.IntEnum):
    SECOND = 2


class Found(enum.Flag):
    CT = 1
    SEG = 2


class Labelled(str):
    """A string that is printed otherwise."""

    def __str__(self) -> str:
        return f"<{super().__str__()}>"


class BytesPath:
    """A path whose name is bytes."""

    def __fspath__(self) -> bytes:
        return b"a.nii.gz"


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (3, 3),
        (np.int16(3), 3),
        (IS("3"), 3),
        (True, True),
        (np.bool_(False), False),
        (0.5, 0.5),
        (np.float32(0.5), 0.5),
        (np.float64("inf"), float("inf")),
        (DSfloat("0.5"), 0.5),
        (decimal.Decimal("0.5"), 0.5),
        (np.array(7), 7),
        (np.array("2020-02-29T12:00", "datetime64[ns]"), datetime.datetime(2020, 2, 29, 12)),
        (np.array(90_000_000_000, "timedelta64[ns]"), datetime.timedelta(seconds=90)),
        (np.array(7).view(Array), 7),
        (float("nan"), None),
        (np.float32("nan"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (np.datetime64("NaT", "s"), None),
        (np.timedelta64("NaT", "s"), None),
        (np.ma.masked_less(np.zeros(3), 1).mean(), None),
        (np.ma.array(5, mask=True), None),
        (np.ma.array(5, mask=False), 5),
        ("CT", "CT"),
        (np.str_("CT"), "CT"),
        (UID("1.2"), "1.2"),
        (PersonName("Doe^Jane"), "Doe^Jane"),
        (Path("a") / "b.nii.gz", str(Path("a") / "b.nii.gz")),
        ("a\udc80b", "a?b"),
        (datetime.date(2020, 2, 29), datetime.datetime(2020, 2, 29)),
        (datetime.datetime(2020, 2, 29, 12, tzinfo=UTC_MINUS_2), datetime.datetime(2020, 2, 29, 14)),
        (pd.Timestamp("2020-02-29 12:00:00.000001999"), datetime.datetime(2020, 2, 29, 12, 0, 0, 1)),
        (np.datetime64("2020-02-29"), datetime.datetime(2020, 2, 29)),
        (datetime.time(1, 2, 3), datetime.timedelta(hours=1, minutes=2, seconds=3)),
        (np.timedelta64(90, "s"), datetime.timedelta(seconds=90)),
        (pd.Timedelta(90, "s"), datetime.timedelta(seconds=90)),
        ([1, np.float32(0.5), None, "a"], (1, 0.5, None, "a")),
        ([np.ma.masked, 1], (None, 1)),
        ((2, 3), (2, 3)),
        (MultiValue(DSfloat, ["0.5", "0.75"]), (0.5, 0.75)),
        (MultiValue(str, ["ORIGINAL", "PRIMARY"]), ("ORIGINAL", "PRIMARY")),
        (DSdecimal("0.5"), 0.5),
        (fractions.Fraction(1, 2), 0.5),
        (decimal.Decimal("sNaN"), None),
        (decimal.Decimal("-Infinity"), float("-inf")),
        (np.longdouble("0.5"), 0.5),
        (np.longdouble("inf"), float("inf")),
        (np.float16(0.5), 0.5),
        (np.uint64(2**63 - 1), 2**63 - 1),
        (np.array("a", dtype=object), "a"),
        (Kernel.SHARP, "sharp"),
        (Verdict.GOOD, "good"),
        (Verdict.UNKNOWN, None),
        (Verdict.BOTH, ("a", 2)),
        (Grade.SECOND, 2),
        (Found.CT | Found.SEG, 3),
        ([Kernel.SHARP, Verdict.GOOD], ("sharp", "good")),
        (Labelled("a"), "a"),
        (BytesPath(), "a.nii.gz"),
        (DA("20200229"), datetime.datetime(2020, 2, 29)),
        (DT("20200229120000.5"), datetime.datetime(2020, 2, 29, 12, 0, 0, 500_000)),
        (DT("20200229120000-0200"), datetime.datetime(2020, 2, 29, 14)),
        (TM("010203.5"), datetime.timedelta(hours=1, minutes=2, seconds=3.5)),
        (MultiValue(DT, ["20200229120000"]), (datetime.datetime(2020, 2, 29, 12),)),
        (pd.Timestamp("2020-02-29 12:00", tz="Europe/Berlin"), datetime.datetime(2020, 2, 29, 11)),
    ],
)
def test_one_value_is_the_column_result(result: Any, value: Any) -> None:
    ((name, plain),) = plain_values(result).items()
    assert name == "result"
    assert plain == value
    assert kinds(plain) == kinds(value)


def kinds(value: Any) -> Any:
    return [kinds(item) for item in value] if isinstance(value, tuple) else type(value)


@pytest.mark.parametrize(
    ("result", "values"),
    [
        (None, {}),
        ({}, {}),
        ({"a": 1, 2: np.float32(2)}, {"a": 1, "2": 2.0}),
        (pd.Series({"mean": 1.5, "n": 2}), {"mean": 1.5, "n": 2.0}),
        (pd.Series([1, 2]), {"0": 1, "1": 2}),
        (pd.DataFrame({"mean": [1.5], "name": ["a"]}), {"mean": 1.5, "name": "a"}),
        (pd.DataFrame({"n": [2**53 + 1], "mean": [0.5]}), {"n": 2**53 + 1, "mean": 0.5}),
        (Pair(1.5, 2), {"first": 1.5, "second": 2}),
        (Fit(1.5, 2), {"slope": 1.5, "points": 2}),
        (np.array([(1.5, 2)], dtype=[("slope", "f4"), ("points", "i2")])[0], {"slope": 1.5, "points": 2}),
        (np.array((1.5, 2), dtype=[("slope", "f4"), ("points", "i2")]), {"slope": 1.5, "points": 2}),
        ({Kernel.SHARP: 1, Verdict.GOOD: 2, Grade.SECOND: 3}, {"sharp": 1, "good": 2, "2": 3}),
    ],
)
def test_names_are_columns(result: Any, values: dict[str, Any]) -> None:
    plain = plain_values(result)
    assert plain == values
    assert list(map(type, plain.values())) == list(map(type, values.values()))


def volume() -> Any:
    return Folder.example().select(PatientID="EX-002", Modality="CT").get_volume()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: np.zeros((2, 3)), "returned an array of shape (2, 3) (what it returned). A function returns a number"),
        (lambda: {"mean": np.zeros(3)}, "returned an array of shape (3,) (its value 'mean')"),
        (volume, "returned a Volume (what it returned)"),
        (Folder.example, "returned a Folder (what it returned)"),
        (lambda: {"session": Folder.example()}, "returned a Folder (its value 'session')"),
        (Dataset, "returned a pydicom.dataset.Dataset (what it returned)"),
        (lambda: {"a": {"b": 1}}, "returned a builtins.dict (its value 'a')"),
        (lambda: [[1]], "returned a builtins.list (what it returned)"),
        (lambda: [0] * 1001, "returned a list of 1,001 values (what it returned)"),
        (lambda: b"abc", "returned a builtins.bytes (what it returned)"),
        (lambda: 1j, "returned the complex number 1j (what it returned): return its parts by name"),
        (lambda: 2**63, "needs more than 64 bits"),
        (lambda: np.uint64(2**63), "needs more than 64 bits"),
        (lambda: {"n": 10**5000}, "a number that needs more than 64 bits (its value 'n')"),
        (lambda: decimal.Decimal("1e400"), "a number that is beyond the largest one of 64 bits"),
        (lambda: fractions.Fraction(10**400), "a number that is beyond the largest one of 64 bits"),
        (lambda: np.datetime64("20000-01-01"), "20000-01-01, which is not a date from year 1 to 9999"),
        (lambda: [np.timedelta64(10**18, "s")], "seconds, which is not a fixed duration of less than 292,000 years"),
        (lambda: np.timedelta64(1, "M"), "1 months, which is not a fixed duration"),
        (lambda: datetime.datetime(1, 1, 1, tzinfo=UTC_PLUS_2), "which is not a date from year 1 to 9999"),
        (lambda: Fit, "returned a builtins.type (what it returned)"),
        (lambda: pd.Interval(0, 1), "returned a pandas.Interval (what it returned)"),
        (lambda: pd.Period("2020-01"), "returned a pandas.Period (what it returned)"),
        (lambda: pd.DataFrame({"a": [1, 2]}), "returned a table of 2 rows"),
        (lambda: {("a", "b"): 1}, "returned a value named ('a', 'b')"),
        (lambda: {1: 0, "1": 0}, "returned two values named '1'"),
        (lambda: pd.Series([1, 2], index=["a", "a"]), "returned two values named 'a'"),
        *((lambda name=name: {name: 0}, f"named {name!r}, which is a column") for name in sorted(RESERVED)),
    ],
)
def test_what_no_row_can_hold_is_refused(make: Any, message: str) -> None:
    with pytest.raises(SelectionError, match=re.escape(message)):
        plain_values(make())


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, None, 2], "Int64"),
        ([1, None, 2.5], "Float64"),
        ([2**53, 0.5], "Float64"),
        ([2**53 + 1, 0.5, None], "object"),
        ([True, None], "boolean"),
        (["a", None], "string"),
        ([datetime.datetime(1, 1, 1), None], "datetime64[us]"),
        ([datetime.timedelta(1), None], "timedelta64[us]"),
        ([(1, 2), None], "object"),
        ([1, "a", None], "object"),
        ([True, 2, None], "object"),
        ([None, None], "Float64"),
        ([], "Float64"),
    ],
)
def test_a_column_has_the_type_of_its_values(values: list[Any], dtype: str) -> None:
    column = typed_column(values)
    assert column.dtype == dtype
    assert [None if missing else value for value, missing in zip(column, column.isna(), strict=True)] == values


def test_rows_without_a_name_have_na_there() -> None:
    columns = result_columns([{"a": 1}, None, {"b": "x", "a": 2}, {}])
    assert {name: column.isna().tolist() for name, column in columns.items()} == {
        "a": [False, True, False, True],
        "b": [True, True, False, True],
    }


def test_without_any_name_there_is_one_column() -> None:
    assert {name: len(column) for name, column in result_columns([None, {}]).items()} == {"result": 2}


INTEGERS = st.integers(-(2**63), 2**63 - 1)
DATES = st.datetimes(timezones=st.none())
DURATIONS = st.timedeltas(datetime.timedelta(-10_000), datetime.timedelta(10_000))
PLAIN = st.one_of(st.none(), st.booleans(), INTEGERS, st.floats(allow_nan=False), st.text(), DATES, DURATIONS)
VALUES = PLAIN | st.lists(PLAIN, max_size=3).map(tuple)
ROWS = st.dictionaries(st.text(max_size=3).filter(lambda name: name not in RESERVED), VALUES, max_size=4)


@given(ROWS)
def test_plain_values_stay_what_they_are(row: dict[str, Any]) -> None:
    plain = plain_values(row)
    assert list(plain.items()) == [(name.encode("utf-8", "replace").decode(), value) for name, value in row.items()]


@given(st.lists(ROWS | st.none(), max_size=5))
def test_columns_hold_exactly_what_rows_hold(rows: list[dict[str, Any] | None]) -> None:
    for name, column in result_columns(rows).items():
        assert len(column) == len(rows)
        for row, value, missing in zip(rows, column, column.isna(), strict=True):
            wanted = None if row is None else row.get(name)
            assert (None if missing else value) == wanted
