"""Ages in years: what they are, where they are read, and what selections by them keep."""

from __future__ import annotations

import warnings
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.ages import age_on
from simple_orthanc.selection.criteria import age, has_series, tag
from simple_orthanc.selection.index import Index
from simple_orthanc.session import Session
from tests.memory_source import MemorySource, instance

STUDY_DAY = date(2020, 3, 1)


def study_of(patient: str, stated: str | None, birth: str | None, series: int = 2) -> list[Dataset]:
    """Make a study of a patient; PatientAge, if there is one, is in its last series alone."""
    tags = {"StudyDate": f"{STUDY_DAY:%Y%m%d}"} | ({"PatientBirthDate": birth} if birth else {})
    made = [instance(1, study=patient, series=str(number), patient=patient, **tags) for number in range(series - 1)]
    tags |= {"PatientAge": stated} if stated else {}
    return [*made, instance(1, study=patient, series=str(series), patient=patient, **tags)]


ARCHIVE = [
    *study_of("stated", "063Y", None),
    *study_of("born", None, "19601231"),
    *study_of("both", "060Y", "19600301"),
    *study_of("hidden", "030Y", "19000101"),
    *study_of("infant", "003M", None),
    *study_of("newborn", None, "20200228"),
    *study_of("unread", "63", "1960"),
    *study_of("neither", None, None),
    *study_of("unborn", None, "20210101"),
]


def session_of(*datasets: Dataset) -> Session:
    return Session(MemorySource(datasets))


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        (age() > 60, {"stated"}),
        (age() >= 60, {"stated", "both"}),
        (age() == 59, {"born"}),
        (age().between(30, 60), {"hidden", "born", "both"}),
        (age().between(None, 0.25), {"infant", "newborn"}),
        (age().isin([30, 63]), {"hidden", "stated"}),
        (age() < 1, {"infant", "newborn"}),
        (age().is_missing(), {"unread", "neither", "unborn"}),
        (age().where(lambda years: years % 2 == 1), {"stated", "born"}),
        (~(age() > 1), {"infant", "newborn", "unread", "neither", "unborn"}),
        ((age() > 60) | (tag("PatientID") == "infant"), {"stated", "infant"}),
        (has_series(age() > 60), {"stated"}),
    ],
)
@pytest.mark.filterwarnings("ignore:In 1 of 9 studies, PatientAge differs", "ignore:In 3 of 9 studies the age")
def test_ages_are_those_of_the_age_or_else_of_the_dates(condition: object, kept: set[str]) -> None:
    session = session_of(*ARCHIVE)
    assert set(session.copy().select(condition).PatientIDs) == kept  # type: ignore[arg-type]
    assert set(session.copy().exclude(condition).PatientIDs) == set(session.PatientIDs) - kept  # type: ignore[arg-type]


def test_an_age_is_decided_for_the_study_as_a_whole() -> None:
    session = session_of(*study_of("P", "063Y", None, series=3), *study_of("Q", "020Y", None))
    selected = session.select(age() > 60)
    assert (selected.study_count, selected.series_count) == (1, 3)
    assert selected.explain()["decided"].tolist() == ["here, by one file of each study"]
    assert selected.selection["conditions"][0] is not None
    assert str(selected.selection["conditions"]) == "[age() > 60]"


def test_few_files_are_read() -> None:
    datasets = [
        instance(number, study=study, series=series, patient="P", PatientAge="063Y", StudyDate="20200301")
        for study in "12"
        for series in "12"
        for number in (1, 2, 3)
    ]
    source = MemorySource(datasets)
    index = Index(source)
    session = Session(source)
    session._index = index
    assert session.select(age() > 60).study_count == 2
    assert {key.rpartition("|")[0] for key in index._columns["PatientAge"]} == {"P|1.2.1|1.2.1.1", "P|1.2.2|1.2.2.1"}


def test_other_criteria_come_before_ages() -> None:
    source = MemorySource(ARCHIVE)
    session = Session(source).select(age() > 1, PatientID="stated")
    assert session.patient_count == 1
    assert set(session._index._columns["PatientAge"]) == {
        MemorySource.key(dataset, "instance") for dataset in ARCHIVE if dataset.PatientID == "stated"
    }


def test_ages_that_contradict_each_other_are_told() -> None:
    with pytest.warns(UserWarning, match=r"In 1 of 9 studies, PatientAge differs by more than a year") as caught:
        session_of(*ARCHIVE).select(age() > 1)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_studies_whose_age_is_not_known_are_told() -> None:
    session = session_of(*ARCHIVE)
    with pytest.warns(UserWarning, match=r"In 3 of 9 studies the age is not known.* age\(\)\.is_missing\(\) selects"):
        session.select(age() > 60)
    with pytest.warns(UserWarning, match="differs") as caught:
        assert session_of(*ARCHIVE).select(age().is_missing()).study_count == 3
    assert "not known" not in str(caught[0].message)


def test_studies_that_lack_the_tag_are_told() -> None:
    session = session_of(*ARCHIVE)
    with pytest.warns(
        UserWarning,
        match=r"missing in 2 of 9 studies, .* do not satisfy PatientAge > 40 years",
    ):
        assert session.select(tag("PatientAge") > 40).patient_count == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session_of(*ARCHIVE).select(PatientAge=None)
        session_of(*ARCHIVE[:2]).select(PatientAge=(60, None))


@pytest.mark.parametrize("value", ["old", None, "060Y"])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(SelectionError, match="a number is written"):
        age() > value  # noqa: B015


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 45000))
def test_an_age_never_falls_and_rises_at_birthdays(birth: date, days: int) -> None:
    day = birth + timedelta(days)
    years, next_years = age_on(birth, day), age_on(birth, day + timedelta(1))
    assert years is not None
    assert next_years is not None
    assert 0 <= years <= next_years <= years + 1
    assert abs(years - days / 365.2425) < 1.01
    if days > 731:
        is_birthday = (day + timedelta(1)).strftime("%m%d") == birth.strftime("%m%d")
        is_leap = birth.strftime("%m%d") == "0229"
        assert (next_years > years) == is_birthday or is_leap


STATED = {"063Y": 63.0, "002Y": 2.0, "018M": 1.5, "030M": 2.0, "x": None, None: None}
BORN = {"19600301": 60.0, "19600302": 59.0, "20200301": 0.0, "20200302": None, "never": None, None: None}


PEOPLE = st.lists(st.tuples(st.sampled_from(list(STATED)), st.sampled_from(list(BORN))), min_size=1, max_size=4)


@given(PEOPLE, st.integers(0, 64))
def test_selections_by_age_keep_what_a_loop_keeps(people: list[tuple[str | None, str | None]], limit: int) -> None:
    datasets, expected = [], set()
    for number, (stated, born) in enumerate(people):
        datasets += study_of(str(number), stated, None if born == "never" else born)
        years = BORN[born] if STATED[stated] is None else STATED[stated]
        if years is not None and years >= limit:
            expected.add(str(number))
    session = session_of(*datasets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert set(session.copy().select(age() >= limit).PatientIDs) == expected
        rest = {str(number) for number in range(len(people))} - expected
        assert set(session.copy().select(~(age() >= limit)).PatientIDs) == rest


def test_ages_are_a_column_of_tables() -> None:
    later = [instance(1, study="later", patient="both", PatientAge="061Y", StudyDate="20210301")]
    session = session_of(*ARCHIVE, *later)
    by_series = session.table("PatientID", "age").drop_duplicates()
    assert str(by_series.age.dtype) == "Float64"
    ages = by_series.groupby("PatientID").age.agg(list).to_dict()
    assert ages["both"] == [60, 61]
    assert ages["infant"] == [0.25]
    assert by_series.age.isna().sum() == 3
    with pytest.warns(UserWarning, match="age differs within 1 of 9 rows of level 'patient'"):
        by_patient = session.table("PatientID", "age", level="patient").set_index("PatientID")
    assert by_patient.age.isna().sum() == 4
    listed = session.table("PatientID", "age", level="patient", varying="list").set_index("PatientID")
    assert listed.age["both"] == [60, 61]
    assert listed.age["neither"] == []
    assert session.table("age", level="instance").age.count() == 13
