"""Dates and times survive the way to DICOM and back, and what is none is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.errors import SelectionError
from simple_orthanc.testing import dates

ZONES = st.none() | st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.dates())
def test_dates_come_back(day: date) -> None:
    assert dates.from_dicom_date(dates.to_dicom_date(day)) == day
    assert len(dates.to_dicom_date(day)) == 8


@given(st.times())
def test_times_come_back(moment: time) -> None:
    assert dates.from_dicom_time(dates.to_dicom_time(moment)) == moment


@given(st.timedeltas(timedelta(), timedelta(days=1) - timedelta(microseconds=1)))
def test_times_since_midnight_come_back(since_midnight: timedelta) -> None:
    read = dates.from_dicom_date_and_time("20200101", dates.to_dicom_time(since_midnight))
    assert read == datetime(2020, 1, 1) + since_midnight


@given(st.datetimes(timezones=ZONES))
def test_datetimes_come_back_with_their_offset(moment: datetime) -> None:
    read = dates.from_dicom_datetime(dates.to_dicom_datetime(moment))
    assert read == moment
    assert read.utcoffset() == moment.utcoffset()


def test_old_forms_and_padding_are_read() -> None:
    assert dates.from_dicom_date("2020.01.31") == dates.from_dicom_date("20200131 ") == date(2020, 1, 31)
    assert dates.from_dicom_time("09:30:15") == dates.from_dicom_time("093015") == time(9, 30, 15)
    assert dates.from_dicom_time("09") == time(9)


def test_fractions_are_kept_to_the_microsecond() -> None:
    assert dates.from_dicom_time("093015.25") == time(9, 30, 15, 250000)
    assert dates.from_dicom_time("093015.123456") == time(9, 30, 15, 123456)
    assert dates.from_dicom_date_and_time("20200131", "093015.5") == datetime(2020, 1, 31, 9, 30, 15, 500000)


def test_a_leap_second_is_the_next_second() -> None:
    assert dates.from_dicom_time("093060") == time(9, 31)
    assert dates.from_dicom_date_and_time("20161231", "235960") == datetime(2017, 1, 1)
    with pytest.raises(SelectionError, match="from_dicom_date_and_time"):
        dates.from_dicom_time("235960")


@pytest.mark.parametrize("read", [dates.from_dicom_date, dates.from_dicom_time, dates.from_dicom_datetime])
def test_empty_values_are_none(read: Callable[[str | None], object]) -> None:
    assert read("") is None
    assert read("  ") is None
    # As of a dataset without that tag.
    assert read(None) is None


def test_a_date_without_a_time_is_midnight() -> None:
    assert dates.from_dicom_date_and_time("20200131", "") == datetime(2020, 1, 31)
    assert dates.from_dicom_date_and_time("", "0930") is None
    assert dates.from_dicom_date_and_time(None, None) is None
    assert dates.from_dicom_date_and_time("20200131", None) == datetime(2020, 1, 31)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (dates.from_dicom_date, "20200231"),
        (dates.from_dicom_date, "31.01.2020"),
        (dates.from_dicom_date, "2020"),
        (dates.from_dicom_time, "2400"),
        (dates.from_dicom_time, "9:30"),
        (dates.from_dicom_datetime, "2020013199"),
        (dates.from_orthanc_datetime, ""),
        (dates.from_orthanc_datetime, "yesterday"),
    ],
)
def test_what_is_no_date_or_time_is_named(read: Callable[[str], object], value: str) -> None:
    with pytest.raises(SelectionError, match=repr(value)):
        read(value)


@pytest.mark.parametrize("moment", [timedelta(days=1), timedelta(seconds=-1)])
def test_times_outside_of_a_day_are_refused(moment: timedelta) -> None:
    with pytest.raises(SelectionError, match="not a time of day"):
        dates.to_dicom_time(moment)


def test_offsets_with_seconds_are_refused() -> None:
    with pytest.raises(SelectionError, match="seconds"):
        dates.to_dicom_datetime(datetime(1900, 1, 1, tzinfo=timezone(timedelta(minutes=19, seconds=32))))


def test_orthanc_writes_utc() -> None:
    read = dates.from_orthanc_datetime("20200131T093015.123456")
    assert read == datetime(2020, 1, 31, 9, 30, 15, 123456, tzinfo=timezone.utc)


@pytest.mark.parametrize("write", [dates.to_dicom_date, dates.to_dicom_time])
@pytest.mark.parametrize("value", [None, "20200131", 5])
def test_what_has_no_date_or_time_is_not_written(write: Callable[[Any], str], value: Any) -> None:
    with pytest.raises(SelectionError, match=f"of type {type(value).__name__}"):
        write(value)


def test_random_dates_are_in_the_range_and_follow_the_seed() -> None:
    first, last = date(2000, 2, 28), date(2000, 3, 1)
    drawn = {dates.random_dicom_date(first, last, seed=seed) for seed in range(50)}
    assert drawn == {"20000228", "20000229", "20000301"}
    assert dates.random_dicom_date(first, seed=7) == dates.random_dicom_date(first, seed=7)
    with pytest.raises(SelectionError, match="earlier"):
        dates.random_dicom_date(last, first)


def test_the_last_date_is_the_day_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow(date):
        @classmethod
        def today(cls) -> date:
            return date(2300, 1, 1)

    monkeypatch.setattr(dates, "date", Tomorrow)
    assert dates.random_dicom_date(date(2300, 1, 1)) == "23000101"
