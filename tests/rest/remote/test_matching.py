"""Which keys are sent: only those that no modality can read so that a match is missing."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import pytest

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.rest.remote.matching import MOST_ALTERNATIVES, keys_for, queries_for
from simple_orthanc.selection.conditions import Comparison
from simple_orthanc.selection.criteria import condition_for, exact, like


def keys(name: str, value: Any, **options: Any) -> tuple[str, ...]:
    tag = parse_tag(name)
    condition = condition_for(tag, value)
    assert isinstance(condition, Comparison)
    return keys_for(tag, condition.predicate, **options)


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("StudyInstanceUID", "1.2.3", ("1.2.3",)),
        ("StudyInstanceUID", ["1.2", "1.3", "1.2"], ("1.2\\1.3",)),
        ("SeriesInstanceUID", [f"1.{number}" for number in range(50)], ("\\".join(f"1.{n}" for n in range(50)),)),
        ("PatientID", "P1", ("P1",)),
        ("PatientID", "QR*", ("QR*",)),
        ("PatientID", ["P1", "P2"], ("P1", "P2")),
        ("AccessionNumber", "A-17", ("A-17",)),
        ("StudyID", exact("a?"), ("a?",)),
        ("StudyDate", "20200131", ("20200131",)),
        ("StudyDate", date(2020, 1, 31), ("20200131",)),
        ("StudyDate", ("20200101", "20200131"), ("20200101-20200131",)),
        ("StudyDate", ("20200101", None), ("20200101-",)),
        ("StudyDate", (None, "20200131"), ("-20200131",)),
        ("StudyDate", "20200101-20200131", ("20200101-20200131",)),
        ("StudyDate", ["20200101", "20210101"], ("20200101", "20210101")),
        ("PatientName", exact("Doe^Jane"), ("Doe^Jane",)),
        ("PatientName", exact("王^小东"), ("王^小东",)),
        ("SeriesDescription", exact("T2*_GRE"), ("T2*_GRE",)),
    ],
)
def test_what_no_modality_can_misread_is_sent(name: str, value: Any, sent: tuple[str, ...]) -> None:
    assert keys(name, value) == sent


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PatientName", "Doe*"),
        ("PatientName", "Doe^Jane"),
        ("PatientName", like("Doe*")),
        ("PatientID", "Müller"),
        ("PatientID", "a\\b"),
        ("PatientID", None),
        ("PatientID", ["P1", None]),
        ("PatientID", [f"P{number}" for number in range(MOST_ALTERNATIVES + 1)]),
        ("PatientID", re.compile("P")),
        ("PatientID", str.isdigit),
        ("StudyInstanceUID", "1.2*"),
        ("SeriesDescription", "axial"),
        ("SeriesDescription", exact("a\\b")),
        ("Modality", "CT"),
        ("ModalitiesInStudy", exact("CT")),
        ("SeriesNumber", 3),
        ("StudyTime", ("100000", "110000")),
        ("PatientBirthDate", "19700101"),
        ("StudyDate", exact("unknown")),
        ("StudyDate", "2020*"),
    ],
)
def test_everything_else_is_decided_here(name: str, value: Any) -> None:
    assert keys(name, value) == ("",)


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("PatientName", "Doe*", ("Doe*",)),
        ("PatientName", ["Doe*", "Roe"], ("Doe*", "Roe")),
        ("ModalitiesInStudy", "CT", ("CT",)),
        ("PatientName", re.compile("Doe"), ("",)),
        ("SeriesDescription", "a\tb", ("",)),
    ],
)
def test_strings_are_sent_as_written_on_request(name: str, value: Any, sent: tuple[str, ...]) -> None:
    assert keys(name, value, as_written=True) == sent


def test_a_key_holds_no_more_uids_than_an_element_can() -> None:
    uids = [f"1.2.{number}" for number in range(250)]
    sent = keys("StudyInstanceUID", uids)
    assert [len(key.split("\\")) for key in sent] == [100, 100, 50]
    assert "\\".join(sent).split("\\") == uids


def test_a_day_with_a_time_is_no_study_date() -> None:
    from simple_orthanc.selection.predicates import Relation

    assert keys_for(parse_tag("StudyDate"), Relation("==", datetime(2020, 1, 31, 10))) == ("",)


def test_alternatives_of_several_tags_are_queries_of_their_own_up_to_a_limit() -> None:
    few = {"PatientID": ("P1", "P2"), "StudyDate": ("20200101", "20210101"), "PatientName": ("",)}
    assert len(list(queries_for(few))) == 4
    many = {"PatientID": tuple(f"P{number}" for number in range(51)), "StudyDate": ("20200101", "20210101")}
    assert list(queries_for(many)) == [
        {"PatientID": "", "StudyDate": "20200101"},
        {"PatientID": "", "StudyDate": "20210101"},
    ]
    assert list(queries_for({})) == [{}]
