"""Dates moved by whole days: intervals stay, times of day stay, and what cannot be moved is not kept."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simple_orthanc.deidentification.dates import LONGEST_SHIFT, check_most, common_age, days_of, shifted
from simple_orthanc.deidentification.keys import Key
from simple_orthanc.deidentification.pseudonyms import Pseudonyms
from simple_orthanc.dicom.times import parse_date, parse_datetime, parse_moment, split_moment
from simple_orthanc.errors import SelectionError
from tests.examples import examples

PSEUDONYMS = Pseudonyms(Key("correct horse battery staple"))
SHIFTS = st.integers(-LONGEST_SHIFT, LONGEST_SHIFT)
DAYS = st.dates(date(150, 1, 1), date(9800, 1, 1))
MOMENTS = st.datetimes(datetime(150, 1, 1), datetime(9800, 1, 1))


@settings(max_examples=examples(60))
@given(DAYS, DAYS, SHIFTS)
def test_intervals_between_dates_stay(first: date, second: date, days: int) -> None:
    moved = [parse_date(shifted(f"{day.year:04}{day:%m%d}", "DA", days) or "") for day in (first, second)]
    assert moved[0] == first + timedelta(days=days)
    assert moved[1] is not None
    assert moved[1] - moved[0] == second - first


@settings(max_examples=examples(60))
@given(MOMENTS, MOMENTS, SHIFTS, st.sampled_from(["", "+0100", "-0330", "+1400"]))
def test_intervals_between_moments_stay(first: datetime, second: datetime, days: int, offset: str) -> None:
    texts = [f"{each.year:04}{each:%m%d%H%M%S.%f}{offset}" for each in (first, second)]
    moved = [shifted(text, "DT", days) or "" for text in texts]
    assert [text[8:] for text in moved] == [text[8:] for text in texts], "times of day and offsets are kept"
    before, after = (list(map(parse_datetime, each)) for each in (texts, moved))
    assert None not in [*before, *after]
    assert after[1] - after[0] == before[1] - before[0]  # type: ignore[operator]
    # A DA and a DT of one day stay on one day.
    assert moved[0][:8] == shifted(texts[0][:8], "DA", days)


@pytest.mark.parametrize(
    ("text", "vr", "days", "moved"),
    [
        ("20200228", "DA", 1, "20200229"),
        ("20191231", "DA", 1, "20200101"),
        ("2020.01.31", "DA", 1, "20200201"),
        ("2020-01-31 ", "DA", 1, "20200201"),
        ("", "DA", 1, ""),
        (" ", "DT", 1, ""),
        ("20200101-", "DA", 1, "20200102-"),
        ("-20200101", "DA", -1, "-20191231"),
        ("20200101-20200131", "DA", -1, "20191231-20200130"),
        ("2020", "DA", 1, None),
        ("20200231", "DA", 1, None),
        ("2020013", "DA", 1, None),
        ("anonymous", "DA", 1, None),
        ("00010101", "DA", -1, None),
        ("99991231", "DA", 1, None),
        ("99991231", "DA", -1, "99991230"),
        ("0000", "DT", 1, None),
        ("20200131103000.123456-0330", "DT", 1, "20200201103000.123456-0330"),
        ("2020013110", "DT", 1, "2020020110"),
        ("20200131", "DT", 1, "20200201"),
        ("202001", "DT", 15, "202001"),
        ("202001", "DT", 16, "202002"),
        ("2020", "DT", 100, "2020"),
        ("2020", "DT", 300, "2021"),
        ("202001-0500", "DT", 31, "202002-0500"),
        ("2020-0500", "DT", 365, "2021-0500"),
        ("2020-01-31T23:59:60,5Z", "DT", 1, "20200201235960.5+0000"),
        ("20200101-20200131", "DT", 1, "20200102-20200201"),
        ("20200101103000-0500-20200131", "DT", 1, "20200102103000-0500-20200201"),
        ("20200101250000", "DT", 1, None),
        ("99991231235959", "DT", 1, None),
        ("103000.5", "TM", 1, "103000.5"),
        ("1030-1100", "TM", 1, "1030-1100"),
        ("Jane Doe", "TM", 1, None),
    ],
)
def test_single_values(text: str, vr: str, days: int, moved: str | None) -> None:
    assert shifted(text, vr, days) == moved


@settings(max_examples=examples(100))
@given(st.text(alphabet="0123456789-+.:TZ ", max_size=30), st.sampled_from(["DA", "DT", "TM"]), SHIFTS)
def test_nothing_that_is_no_date_passes(text: str, vr: str, days: int) -> None:
    moved = shifted(text, vr, days)
    if vr == "DT" and moved and split_moment(text):
        assert parse_moment(moved) is not None
    if vr == "DA" and moved and parse_date(text):
        assert parse_date(moved) == parse_date(text) + timedelta(days=days)  # type: ignore[operator]
    if moved is None:
        assert shifted(text, vr, 0) is None or days


def test_days_are_of_the_patient_and_of_the_key_and_never_zero() -> None:
    shifts = [days_of(PSEUDONYMS, str(number), 3) for number in range(600)]
    assert set(shifts) == {-3, -2, -1, 1, 2, 3}
    assert min(shifts.count(days) for days in set(shifts)) > 60, "each is about as likely"
    other = Pseudonyms(Key("another horse battery staple"))
    assert [days_of(other, str(number), 365) for number in range(20)] != [
        days_of(PSEUDONYMS, str(number), 365) for number in range(20)
    ]
    assert days_of(PSEUDONYMS, "4711", 365) == days_of(PSEUDONYMS, " 4711 ", 365)


@pytest.mark.parametrize("most", [0, -1, 36501, 1.5, "365", None, True])
def test_other_ranges_are_refused(most: object) -> None:
    with pytest.raises(SelectionError, match=r"max_shift=.*as in max_shift=365"):
        check_most(most)
    assert check_most(365) == 365


@pytest.mark.parametrize(
    ("age", "kept"),
    [
        ("", ""),
        ("000D", "000D"),
        ("089Y", "089Y"),
        ("090Y", "090Y"),
        ("102Y ", "090Y"),
        ("999M", "999M"),
        ("45", None),
        ("Jane", None),
    ],
)
def test_ages_over_89_are_one_group(age: str, kept: str | None) -> None:
    assert common_age(age) == kept
