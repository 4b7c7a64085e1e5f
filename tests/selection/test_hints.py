"""What would have matched: each hint is true, is found with few requests, and never gets in the way."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import EmptySelectionError, TransportError
from simple_orthanc.selection import hints
from simple_orthanc.selection.conditions import Comparison
from simple_orthanc.selection.criteria import age, condition_for, exact, has_series, tag
from simple_orthanc.selection.resolving import Trial, narrow
from simple_orthanc.selection.selection import Criterion, Selection
from simple_orthanc.session import Session
from tests.memory_source import MemorySource, archives, instance
from tests.session.sessions import SOURCES


def series(patient: str, study: str, number: int, modality: str, description: str, **tags: Any) -> list[Dataset]:
    tags = {"StudyDate": f"2020010{study}", "PatientName": f"Doe^Jane {patient}", "SliceThickness": "2.5"} | tags
    made = {"Modality": modality, "SeriesDescription": description, **tags}
    return [instance(each, series=str(number), study=study, patient=patient, **made) for each in (1, 2)]


ARCHIVE = [
    *series("P001", "1", 1, "CT", "T1 axial", PatientAge="060Y"),
    *series("P001", "1", 2, "SEG", "liver", PatientAge="060Y"),
    *series("p2", "2", 1, "MR", "T1 sagittal", SliceThickness="1"),
    *series("p2", "2", 2, "MR", "T2 axial\x1b[31m", SliceThickness="5"),
]


def warned(*steps: Callable[[Session], object], **options: Any) -> str:
    """Return the warning about the last of some selections on the archive."""
    session = Session(MemorySource(ARCHIVE, **options))
    for step in steps[:-1]:
        step(session)
    with pytest.warns(UserWarning, match="Nothing is selected") as caught:
        steps[-1](session)
    return str(caught[-1].message)


@pytest.mark.parametrize(
    ("tags", "hint"),
    [
        ({"SeriesDescription": "T1"}, "SeriesDescription='*T1*' matches 2 series"),
        ({"SeriesDescription": "axial*"}, "SeriesDescription='*axial*' matches 2 series"),
        ({"SeriesDescription": "T1 axail"}, "SeriesDescription='T1 axial' matches 1 series"),
        ({"SeriesDescription": "t1-axial"}, "SeriesDescription='T1 axial' matches 1 series"),
        ({"SeriesDescription": exact("t1 axial")}, "SeriesDescription='T1 axial' matches 1 series"),
        ({"SeriesDescription": ["liver segm", "x"]}, "SeriesDescription='liver' matches 1 series"),
        ({"Modality": "CT,MR"}, "Modality=['CT', 'MR'] matches 3 series"),
        ({"Modality": "['CT', 'MR']"}, "Modality=['CT', 'MR'] matches 3 series"),
        ({"Modality": "CT|MR"}, "Modality=['CT', 'MR'] matches 3 series"),
        ({"Modality": "(CT)"}, "Modality=['CT'] matches 1 series"),
        ({"Modality": "CT\\MR"}, "Modality=['CT', 'MR'] matches 3 series"),
        ({"Modality": "MRI"}, "Modality='MR' matches 2 series"),
        ({"PatientID": "P2"}, "PatientID='p2' matches 1 study"),
        ({"PatientID": "P1"}, "PatientID='P001' matches 1 study"),
        ({"PatientID": "1"}, "PatientID='*1*' matches 1 study"),
        ({"PatientID": "p0*"}, ". PatientID='P0*' matches 1 study. Identifiers such as PatientID are case-sensitive."),
        ({"PatientID": ["x", "P?"]}, ". PatientID='p?' matches 1 study; "),
        ({"PatientName": "jane p2 doe"}, "PatientName='Doe^Jane p2' matches 1 study"),
        ({"StudyDescription": "CT"}, "Modality='CT' matches 1 study"),
        ({"SliceThickness": 2}, "SliceThickness=1.0 matches 1 series; SliceThickness=2.5 matches 2 series"),
        ({"SliceThickness": (7, None)}, "SliceThickness=(1.0, 5.0) matches 4 series"),
        ({"StudyDate": "20200203"}, "StudyDate='20200102' matches 1 study"),
        ({"PatientAge": "60"}, "PatientAge=60 matches 2 series"),
        ({"KVP": 120}, "KVP=None matches 4 series"),
    ],
)
@pytest.mark.parametrize("kind", ["as a server", "without search"])
def test_a_wrong_guess_is_answered_by_what_would_match(tags: dict[str, Any], hint: str, kind: str) -> None:
    assert hint in warned(lambda session: session.select(**tags), **SOURCES[kind])


def test_ages_and_questions_about_series_have_hints_too() -> None:
    assert "age().between(60, 60) matches 1 study" in warned(lambda session: session.select(age() > 90))
    inner = warned(lambda session: session.select(has_series(Modality="SEGM")))
    assert "In the whole archive, Modality='SEG' matches 1 series." in inner
    narrowed = warned(
        lambda session: session.select(Modality="MR"), lambda session: session.select(has_series(Modality="SEG"))
    )
    assert "In the whole archive, 1 study have such a series." not in narrowed
    assert "In the whole archive, 1 study has such a series." in narrowed


WAY_OUT = "Start over with reset().select(...), or call copy() before each select() to keep selections independent."


def test_an_earlier_criterion_that_excludes_a_later_one_is_named_with_the_way_out() -> None:
    message = warned(
        lambda session: session.select(tag("SeriesDescription") == "T*"),
        lambda session: session.select(Modality="MR"),
        lambda session: session.select(PatientID="P001"),
    )
    assert message == (
        "Nothing is selected any more: no object satisfies PatientID == 'P001' among those already selected. "
        "PatientID == 'P001' matches 1 study of the whole archive, but the earlier criterion Modality == 'MR' excludes "
        f"it. {WAY_OUT}"
    )


def test_another_patient_is_not_answered_by_the_one_selected_before() -> None:
    session = Session(MemorySource([*ARCHIVE, *series("P002", "3", 1, "MR", "T1")]))
    session.select(PatientID="P001", Modality="CT")
    with pytest.warns(UserWarning, match="already selected") as caught:
        session.select(PatientID="P002")
    message = str(caught[-1].message)
    assert "but each of the earlier criteria PatientID == 'P001' and Modality == 'CT' excludes it." in message
    assert "PatientID='P001'" not in message
    assert session.reset().select(PatientID="P002").series_count == 1


def test_what_would_match_without_the_earlier_criteria_is_shown_where_nothing_else_is() -> None:
    message = warned(
        lambda session: session.select(Modality="SEG"), lambda session: session.select(SeriesDescription="T2")
    )
    assert f"already selected. In the whole archive, SeriesDescription='*T2*' matches 1 series. {WAY_OUT}" in message


def test_identifiers_are_never_answered_by_those_of_an_earlier_selection() -> None:
    session = Session(MemorySource([*ARCHIVE, *series("P002", "3", 1, "MR", "T1")]))
    session.select(Modality="CT")
    with pytest.warns(UserWarning, match=re.escape("In the whole archive, PatientID='P002' matches 1 study")) as caught:
        session.select(PatientID="p002")
    assert "P001" not in str(caught[-1].message)
    assert f"Identifiers such as PatientID are case-sensitive. {WAY_OUT}" in str(caught[-1].message)


def test_criteria_that_exclude_only_together_are_named_as_such() -> None:
    message = warned(
        lambda session: session.select(tag("SliceThickness") > 2),
        lambda session: session.select(SeriesDescription="T1*"),
        lambda session: session.select(PatientID="p2"),
    )
    assert "the earlier criteria SliceThickness > 2 and SeriesDescription == 'T1*' together exclude it." in message


def test_criteria_of_one_call_exclude_each_other_without_a_way_out() -> None:
    message = warned(lambda session: session.select(PatientID="p2", SeriesDescription="T1 axial"))
    assert "SeriesDescription='T1 sagittal' matches 1 series" in message
    assert "matches 1 series of the whole archive, but the criterion PatientID == 'p2' excludes it." in message
    assert "reset()" not in message
    mixed = warned(
        lambda session: session.select(tag("SliceThickness") > 2),
        lambda session: session.select(PatientID="p2", SeriesDescription="T1*"),
    )
    assert "the criteria SliceThickness > 2 and PatientID == 'p2' together exclude them." in mixed


def test_what_is_excluded_from_an_earlier_selection_needs_no_way_out() -> None:
    message = warned(
        lambda session: session.SeriesDescriptions,
        lambda session: session.select(Modality="SEG"),
        lambda session: session.exclude(Modality="SEG"),
    )
    assert "not (Modality == 'SEG') matches 3 series of the whole archive" in message
    assert "reset()" not in message


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ({"PatientID": "p2"}, "PatientID == 'p2' matches 1 study of the whole archive, but the earlier criterion "),
        ({"StudyDate": "20200102"}, "Only what Modality == 'CT' left was searched. Start over with reset()"),
        ({"PatientID": "P003"}, "already selected."),
    ],
)
def test_in_a_large_archive_the_way_out_is_shown_too(
    wanted: dict[str, str], hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "_LISTED", 1)
    source = MemorySource(ARCHIVE)
    session = Session(source).select(Modality="CT")
    before = source.requests
    with pytest.warns(UserWarning, match=re.escape(hint)):
        session.select(**wanted)
    assert not any(what.startswith("listing") for what in source.asked)
    assert source.requests <= before + 4


def test_the_error_about_an_empty_selection_has_the_hint() -> None:
    session = Session(MemorySource(ARCHIVE))
    with pytest.warns(UserWarning, match="Nothing is selected any more"):
        session.select(SeriesDescription="T1")
    with pytest.raises(EmptySelectionError, match=re.escape("SeriesDescription='*T1*' matches 2 series. explain()")):
        session.get_volume()


def test_values_cannot_steer_a_terminal() -> None:
    message = warned(lambda session: session.select(SeriesDescription="T2 axail"))
    assert r"'T2 axial\x1b[31m' matches 1 series" in message
    assert "\x1b" not in message


def test_a_large_archive_is_searched_once_and_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_LISTED", 1)
    source = MemorySource(ARCHIVE)
    session = Session(source)
    with pytest.warns(UserWarning, match=re.escape("SeriesDescription='*1 sag*' matches 1 series")):
        session.select(SeriesDescription="1 sag")
    assert not any(what.startswith("listing") for what in source.asked)
    before = source.requests
    with pytest.warns(UserWarning, match="Nothing is selected"):
        session.reset().select(Modality="CT,MR")
    assert source.requests <= before + 4


def test_no_hint_is_worth_an_error() -> None:
    sent = []
    for with_hints in (False, True):
        source = MemorySource(ARCHIVE)
        session = Session(source)
        condition = condition_for(parse_tag("SeriesDescription"), "T1")
        narrow(session._index, Selection(), Criterion(condition, "", condition), with_hints=with_hints)
        sent.append(source.requests)
    assert sent[0] < sent[1]
    for request in range(sent[0] + 1, sent[1] + 1):
        source = MemorySource(ARCHIVE)
        session = Session(source)
        source.break_at(request, TransportError("gone"))
        with pytest.warns(UserWarning, match="no object satisfies SeriesDescription == 'T1'"):
            session.select(SeriesDescription="T1")
        assert session.series_count == 0


WRONG = st.sampled_from(
    [
        *({"SeriesDescription": text} for text in ("t2", "T2*_GR", "GRE", "x]", "[x]z", "ä,[x]y", "CT")),
        *({"PatientID": text} for text in ("B1", "A", "a", "b", "c", "CT", "A*", "a*", "b?")),
        *({"PatientName": text} for text in ("Jane Doe", "doe", "Yamada", "M", "a")),
        *({"Modality": text} for text in ("ct|pt", "['CT']", "C", "PTT")),
        *({"ProtocolName": text} for text in ("hea", "0head", "b", "Modality")),
        *({"SliceThickness": value} for value in (7, 1.2, (8, 9), [4, 5])),
        *({"StudyDate": value} for value in ("20190101", ("20220101", None))),
        *({"PatientAge": value} for value in ("1", 3, "2y", (50, None))),
        *({"KVP": value} for value in (120,)),
    ]
)


EARLIER = st.sampled_from([{}, {"Modality": "CT"}, {"PatientSex": "M"}])


@given(archives(least=1), WRONG, EARLIER, st.sampled_from(list(SOURCES)))
def test_every_hint_is_true(datasets: list[Dataset], wrong: dict[str, Any], earlier: dict[str, Any], kind: str) -> None:
    session = Session(MemorySource(datasets, **SOURCES[kind]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        session.select(**earlier)
        session.copy().select(**wrong)
        ((name, value),) = wrong.items()
        condition = condition_for(parse_tag(name), value)
        assert isinstance(condition, Comparison)
        for hint in hints.proposals(Trial(session._index, session._selection), condition):
            found = eval(f"session.copy().select({hint.call})", {"session": session, "tag": tag})
            counts = {"study": found.study_count, "series": found.series_count}
            assert counts[hint.level] == hint.count > 0


@pytest.mark.parametrize("string", ["(1)", "(None)", "{[1]}", "('CT')", "['\\d']", "9" * 5000])
def test_a_string_in_brackets_that_lists_nothing_is_no_error(string: str) -> None:
    assert "no object satisfies" in warned(lambda session: session.select(SeriesDescription=string))
    assert "no object satisfies" in warned(lambda session: session.select(PatientAge=string))


def test_a_selection_by_age_that_becomes_empty_says_where_ages_are_not_known() -> None:
    dates = {"PatientBirthDate": "19500101", "StudyDate": "20200101"}
    session = Session(MemorySource([instance(study=study, **dates) for study in "12"]))
    with pytest.warns(UserWarning, match=r"Nothing is selected.*PatientAge is missing in 2 of 2 studies.*between\(60"):
        session.copy().select(PatientAge=(60, None))
    session = Session(MemorySource([instance(study=study) for study in "12"]))
    with pytest.warns(UserWarning, match="Nothing is selected.*In 2 of 2 studies the age is not known"):
        session.select(age() > 60)
    one = Session(MemorySource([instance(study="1", **dates), instance(study="2", PatientAge="020Y", **dates)]))
    with pytest.warns(UserWarning, match="missing in 1 of 2 studies, so that it does not satisfy"):
        one.select(PatientAge=(60, None))
