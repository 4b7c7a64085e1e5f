"""Dates, times and ages by one rule, against pydicom's own reading, and in everything that reads them."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, DT, TM

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.times import (
    parse_age,
    parse_date,
    parse_datetime,
    parse_moment,
    parse_offset,
    parse_time,
    utc,
)
from simple_orthanc.dicom.values import comparable
from simple_orthanc.errors import SelectionError
from simple_orthanc.pixels.suv_times import acquisition_start, injection_time
from simple_orthanc.selection.tables import typed_column
from simple_orthanc.volume.discriminators import read_discriminators

# What is a time (PS3.5, section 6.2, and what can only mean one time), in seconds since midnight; None is no time.
TIMES = [
    ("10", 36000.0),
    ("1030", 37800.0),
    ("103015", 37815.0),
    ("103015 ", 37815.0),
    ("10:30", 37800.0),
    ("10:30:15.5", 37815.5),
    ("103015.25", 37815.25),
    ("103015,5", 37815.5),
    ("103015.", 37815.0),
    ("103015.1234567", 37815.123456),
    ("103015.1234569999", 37815.123456),
    ("000000", 0.0),
    ("235959.999999", 86399.999999),
    ("235960", 86400.0),
    ("235960.5", 86400.5),
    ("102960", 37800.0),
    ("1", None),
    ("103", None),
    ("10301", None),
    ("10:3", None),
    ("24", None),
    ("2400", None),
    ("240000", None),
    ("1060", None),
    ("106015", None),
    ("103061", None),
    ("1030.5", None),
    ("-1030", None),
    ("103015+0100", None),
    ("10 30 15", None),
    ("١٠٣٠", None),
    ("noon", None),
]
READABLE = [(text, seconds) for text, seconds in TIMES if seconds is not None]
UNREADABLE = [text for text, seconds in TIMES if seconds is None]


@pytest.mark.parametrize(("text", "seconds"), TIMES)
def test_what_is_a_time(text: str, seconds: float | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert parse_time(text) == expected
    assert parse_time("") is None


# A sign begins an offset from UTC there.
@pytest.mark.parametrize(("text", "seconds"), [(text, seconds) for text, seconds in TIMES if not {*"+-"} & {*text}])
def test_the_time_of_a_date_time_is_read_as_a_time(text: str, seconds: float | None) -> None:
    expected = None if seconds is None else datetime(2020, 1, 31) + timedelta(seconds=seconds)
    assert parse_datetime(f"20200131{text.strip()}") == expected


def acquired_at(text: str) -> Dataset:
    header = Dataset()
    header.AcquisitionDate = "19700101"
    # Written as it is: pydicom refuses some of these.
    header.add_new("AcquisitionTime", "LO", text)
    return header


@pytest.mark.parametrize(("text", "seconds"), READABLE)
def test_tables_conditions_grouping_and_suv_read_the_same_time(text: str, seconds: float) -> None:
    time = timedelta(seconds=seconds)
    header, item = acquired_at(text), Dataset()
    item.add_new("RadiopharmaceuticalStartTime", "LO", text)
    assert comparable(text, "TM") == time
    assert typed_column([(text,)], parse_tag("AcquisitionTime"))[0].to_pytimedelta() == time
    assert read_discriminators(header, [], 1)[0]["acquisition time"] == seconds
    assert acquisition_start(header) == datetime(1970, 1, 1) + time
    # Without a date, the last midnight before the image counts.
    reference = datetime(1970, 1, 1) + time + timedelta(hours=1)
    given_at, _ = injection_time(header, item, reference, 6586.2)
    assert (given_at - time).time() == datetime.min.time()


@pytest.mark.parametrize("text", UNREADABLE)
def test_tables_conditions_grouping_and_suv_refuse_the_same_time(text: str) -> None:
    header = acquired_at(text)
    assert comparable(text, "TM") is None
    with pytest.warns(UserWarning, match="cannot be read as TM"):
        assert typed_column([(text,)], parse_tag("AcquisitionTime")).isna().all()
    assert not isinstance(read_discriminators(header, [], 1)[0]["acquisition time"], float)
    assert acquisition_start(header) is None


@given(st.dates())
def test_a_date_is_the_date_pydicom_reads(day: date) -> None:
    text = f"{day:%Y%m%d}".rjust(8, "0")
    assert parse_date(text) == day == date.fromisoformat(str(DA(text).isoformat()))
    assert parse_date(day.isoformat()) == day
    assert parse_date(f"{text[:4]}.{text[4:6]}.{text[6:]}") == day


@pytest.mark.parametrize(
    "text",
    ["", "2020", "202001", "20200231", "20201301", "2020-0131", "2020.01-31", "2020013", "0131/2020", "00000000"],
)
def test_invalid_dates(text: str) -> None:
    assert parse_date(text) is None
    assert comparable(text, "DA") is None


@given(st.times(), st.integers(1, 6))
def test_a_time_is_the_time_pydicom_reads(moment: object, digits: int) -> None:
    assert hasattr(moment, "strftime")
    text = moment.strftime("%H%M%S.%f")[: 7 + digits]
    read = TM(text)
    expected = timedelta(hours=read.hour, minutes=read.minute, seconds=read.second, microseconds=read.microsecond)
    assert parse_time(text) == expected
    assert parse_time(f"{text[:2]}:{text[2:4]}:{text[4:]}") == expected


OFFSETS = st.none() | st.integers(-12 * 60, 14 * 60)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)), st.integers(4, 20), OFFSETS)
def test_a_moment_is_the_moment_pydicom_reads(moment: datetime, length: int, offset: int | None) -> None:
    # The parts that are not said count as the lowest; half a part cannot be said.
    length = length - length % 2 if length < 15 else max(length, 16)
    text = f"{moment.year:04}{moment:%m%d%H%M%S.%f}"[:length]
    if offset is not None:
        text += f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}{abs(offset) % 60:02}"
    # pydicom allows -0000 no more than the standard does.
    read = DT(text)
    found = parse_datetime(text)
    assert found is not None
    assert found.tzinfo is None
    expected = datetime(*read.timetuple()[:6], read.microsecond, read.tzinfo)
    assert found == utc(expected)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020", datetime(2020, 1, 1)),
        ("202003", datetime(2020, 3, 1)),
        ("2020-03", datetime(2020, 3, 1)),
        ("2020-01-31T10:30:15.5", datetime(2020, 1, 31, 10, 30, 15, 500000)),
        ("2020-01-31 10:30+01:00", datetime(2020, 1, 31, 9, 30)),
        ("2020-01-31T10:30Z", datetime(2020, 1, 31, 10, 30)),
        ("20200131103000-0500", datetime(2020, 1, 31, 15, 30)),
        ("20200131-0500", datetime(2020, 1, 31, 5)),
        ("202001-0500", datetime(2020, 1, 1, 5)),
        ("2020-0500", datetime(2020, 1, 1, 5)),
        ("2020+0100", datetime(2019, 12, 31, 23)),
        ("20161231235960", datetime(2017, 1, 1)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    assert parse_datetime(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "202",
        "20201",
        "20201301",
        "20200231",
        "2020013125",
        "20200131+9999",
        "20200131+1430",
        "20200131-1230",
        "20200131+0160",
        "202001-202006",
        "2020-2021",
        "20200101-20201231",
        "0001+1400",
        "yesterday",
    ],
)
def test_invalid_moments(text: str) -> None:
    assert parse_datetime(text) is None


@pytest.mark.parametrize(("year", "hours"), [(1, 5), (9999, -5)])
def test_a_moment_outside_of_all_years_in_utc_is_refused(year: int, hours: int) -> None:
    moment = datetime(year, 1 if year == 1 else 12, 1 if year == 1 else 31, 0 if year == 1 else 23)
    with pytest.raises(SelectionError, match="outside the years 1 to 9999"):
        utc(moment.replace(tzinfo=timezone(timedelta(hours=hours))))


def test_a_moment_with_a_zone_is_brought_to_utc() -> None:
    assert utc(datetime(2020, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == datetime(2019, 12, 31, 23)
    assert utc(datetime(2020, 1, 1, 1)) == datetime(2020, 1, 1, 1)


@pytest.mark.parametrize(
    ("text", "days"),
    [("010D", 10.0), ("002W", 14.0), ("1W", 7.0), ("045Y", 45 * 365.2425), ("045", None), ("45y", None), ("", None)],
)
def test_ages(text: str, days: float | None) -> None:
    assert parse_age(text) == days
    assert comparable(text, "AS") == days


def test_ages_of_one_year_and_twelve_months_are_equal() -> None:
    assert parse_age("012M") == parse_age("001Y")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("+0100", 60),
        ("-0330", -210),
        ("+14:00", 840),
        ("-1200", -720),
        ("Z", 0),
        ("+0000 ", 0),
        ("+1401", None),
        ("-1201", None),
        ("+0160", None),
        ("0100", None),
        ("+01", None),
        ("", None),
    ],
)
def test_offsets_from_utc(text: str, minutes: int | None) -> None:
    assert parse_offset(text) == (None if minutes is None else timedelta(minutes=minutes))


def test_a_moment_keeps_its_clock_and_its_offset_apart() -> None:
    moment = parse_moment("20200131103000-0500")
    assert moment is not None
    assert (moment.clock, moment.offset) == (datetime(2020, 1, 31, 10, 30), timedelta(hours=-5))
    assert moment.local(timedelta()) == datetime(2020, 1, 31, 15, 30)
    assert moment.local(None) == moment.clock


@pytest.mark.parametrize(("text", "has_time"), [("2020", False), ("20200131", False), ("2020013110", True)])
def test_a_date_alone_is_a_moment_without_a_time(text: str, has_time: bool) -> None:
    moment = parse_moment(text)
    assert moment is not None
    assert moment.has_time is has_time
