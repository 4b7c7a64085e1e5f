"""Patients, studies and series as a tree: in order, counted, and cut without a word left out."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Session
from simple_orthanc.session.display import tree as module
from simple_orthanc.session.display.tree import Branch, lines
from tests.memory_source import instance
from tests.session.sessions import session_of, source_of, three_series


def branches(session: Session) -> tuple[list[Branch], str]:
    before = source_of(session).requests
    overview = session._overview()
    assert source_of(session).requests == before
    return list(overview.branches), overview.more


def test_the_levels_are_nested_in_the_usual_order() -> None:
    session = session_of(
        instance(1, patient="B", study="2", series="9", StudyDate="20240102", Modality="MR", SeriesNumber=1),
        instance(1, patient="A", study="1", series="2", Modality="CT", SeriesNumber=2, SeriesDescription="thin"),
        instance(1, patient="A", study="1", series="1", Modality="CT", SeriesNumber=1, PatientName="Doe^Jane"),
        instance(2, patient="A", study="1", series="1", Modality="CT", SeriesNumber=1, PatientName="Doe^Jane"),
    )
    session.table()
    found, more = branches(session)
    assert list(lines(found)) == [
        "A: 1 study",
        "└─ study: 2 series",
        "   ├─ CT 1: 2 instances",
        "   └─ CT 2 thin: 1 instance",
        "B: 1 study",
        "└─ 2024-01-02: 1 series",
        "   └─ MR 1: 1 instance",
    ]
    assert more == ""


def test_only_selected_instances_are_counted() -> None:
    session = session_of(*(instance(number, Modality="CT") for number in range(5)))
    session.table()
    (patient,), _ = branches(session.select(InstanceNumber=[1, 2]))
    assert patient.children[0].children[0].detail == "2 instances"


def test_of_studies_whose_series_are_not_known_only_the_number_is_shown() -> None:
    (patient,), _ = branches(three_series().select(PatientName="Doe*"))
    assert patient.children == (Branch("study", "2 series"),)


def test_a_child_shows_itself() -> None:
    (patient,), more = branches(three_series().series[0])
    assert [child.title for child in patient.children[0].children] == ["CT scout"]
    assert more == ""


def test_what_is_cut_is_counted_at_its_level() -> None:
    datasets = [
        instance(
            **{"patient": f"P{patient:02}", "study": f"{patient}{study}", "series": str(series)},
            **{"Modality": "CT", "StudyDescription": f"trial {patient}"},
        )
        for patient in range(13)
        for study in range(8)
        for series in range(14)
    ]
    session = session_of(*datasets)
    session.table()
    found, more = branches(session)
    assert len(list(lines(found))) < 80
    assert [branch.title for branch in found] == [f"P{number:02}" for number in range(len(found))]
    assert more == f"and {13 - len(found)} more patients"
    assert found[0].more == f"and {8 - len(found[0].children)} more studies"
    assert found[0].children[0].more == "and 2 more series"


def cohort(first: int, last: int, *descriptions: str, title: str = "head") -> list[Dataset]:
    return [
        instance(
            **{"patient": f"C-{patient:02}", "study": f"{patient}.{visit}", "series": f"{visit}.{number}"},
            **{"Modality": "MR", "SeriesNumber": number, "SeriesDescription": description, "StudyDescription": title},
        )
        for patient in range(first, last + 1)
        for visit in range(2)
        for number, description in enumerate(descriptions)
    ]


def test_patients_of_the_same_shape_share_a_line_so_that_others_are_seen() -> None:
    session = session_of(*cohort(0, 14, "T1", "FLAIR"), *cohort(15, 15, "T1"), *cohort(16, 29, "FLAIR"))
    session.table()
    found, more = branches(session)
    assert list(lines(found)) == [
        "C-00 … C-14: 15 patients, 2 studies each: MR T1, FLAIR",
        "C-15: 2 studies",
        "├─ head: 1 series",
        "│  └─ MR 0 T1: 1 instance",
        "└─ head: 1 series",
        "   └─ MR 0 T1: 1 instance",
        "C-16 … C-29: 14 patients, 2 studies each: MR FLAIR",
    ]
    assert more == ""


def test_patients_are_listed_one_by_one_where_there_is_room_for_it() -> None:
    session = session_of(*cohort(0, 3, "T1"))
    session.table()
    found, _ = branches(session)
    assert [branch.title for branch in found] == [f"C-0{number}" for number in range(4)]


def test_alike_means_the_same_names_of_studies_and_series() -> None:
    session = session_of(*cohort(0, 6, "T1"), *cohort(7, 13, "T1", title="neck"), *cohort(14, 20, "T1", "T1"))
    session.table()
    found, _ = branches(session)
    assert [branch.title for branch in found] == ["C-00 … C-06", "C-07 … C-13", "C-14 … C-20"]
    assert found[2].detail == "7 patients, 2 studies each: MR T1"


def test_patients_of_unknown_series_are_not_taken_for_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_LINES", 4)
    session = session_of(*cohort(0, 5, "T1")).select(StudyDescription="head")
    found, more = branches(session)
    assert [branch.title for branch in found] == ["C-00", "C-01"]
    assert more == "and 4 more patients"


def test_many_patients_that_are_alike_are_named_without_a_range_if_they_are_not_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST_ORDERED", 3)
    monkeypatch.setattr(module, "_MOST_COMPARED", 20)
    session = session_of(*cohort(0, 14, "T1" * 100))
    session.table()
    (found,), more = branches(session)
    assert found.title == "C-00, C-01, …"
    assert found.detail.startswith("10 patients, 2 studies each: MR T1T1")
    assert len(found.detail) < 110
    assert more == "and 5 more patients"


@pytest.mark.parametrize("options", [{}, {"extra": True}, {"searchable": False}])
@pytest.mark.parametrize("tags", [{}, {"PatientName": "Doe*"}, {"Modality": "CT"}, {"InstanceNumber": 1}])
def test_the_numbers_of_many_studies_are_right_though_they_are_not_put_in_order(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], tags: dict[str, Any]
) -> None:
    datasets = [
        instance(
            *(number,),
            **{"patient": f"P{patient}", "study": f"{patient}.{study}", "series": str(series)},
            **{"PatientName": "Doe^J", "Modality": "CT" if series else "PT", "StudyDate": f"2024010{study + 1}"},
        )
        for number in range(2)
        for series in range(3)
        for study in range(2)
        for patient in (1, 0)
    ]
    session = session_of(*datasets, **options)
    session.table()
    session.select(**tags)
    in_order, more = branches(session)
    monkeypatch.setattr(module, "_MOST_ORDERED", 3)
    found, more_of_found = branches(session)
    assert sorted(found, key=lambda branch: branch.title) == in_order
    assert more == more_of_found == ""
    expected = [study.series_count for patient in session.patients for study in patient.studies]
    shown = [int(study.detail.split()[0]) for patient in in_order for study in patient.children]
    assert shown == expected
    sizes = [
        int(each.detail.split()[0]) for patient in in_order for study in patient.children for each in study.children
    ]
    assert sizes == [series.instance_count for series in session.series]


def test_long_titles_are_cut_and_nothing_in_them_steers_the_terminal() -> None:
    (line,) = lines([Branch("\x1b[2J" + "x" * 1000, "3 series")])
    assert line.startswith("\\x1b[2Jx")
    assert line.endswith("x…: 3 series")
    assert len(line) < 100
