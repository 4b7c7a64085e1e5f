"""Criteria on the command line."""

from __future__ import annotations

import re
from argparse import ArgumentParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc import SelectionError, UnknownTagError, age, exact, label, metadata, tag
from simple_orthanc.cli.selecting import add_selection, criteria, criterion
from simple_orthanc.session import Session
from tests.memory_source import MemorySource, instance

MEANINGS = {
    "Modality=CT": tag("Modality") == "CT",
    " Modality = CT ": tag("Modality") == "CT",
    "PatientName=Doe*": tag("PatientName") == "Doe*",
    "Modality=CT|PT": tag("Modality").isin(["CT", "PT"]),
    "Modality!=CT": tag("Modality") != "CT",
    "Modality!=CT|PT": ~tag("Modality").isin(["CT", "PT"]),
    "SliceThickness=3": tag("SliceThickness") == 3.0,
    "SliceThickness==3": tag("SliceThickness") == 3.0,
    "SliceThickness<=3": tag("SliceThickness") <= 3.0,
    "SliceThickness < 3": tag("SliceThickness") < 3.0,
    "SliceThickness>3": tag("SliceThickness") > 3.0,
    "SliceThickness>=-3": tag("SliceThickness") >= -3.0,
    "SliceThickness=1..3": tag("SliceThickness").between(1.0, 3.0),
    "SliceThickness=..3": tag("SliceThickness").between(None, 3.0),
    "StudyDate=2020-01-01..": tag("StudyDate").between("20200101", None),
    "StudyDate=2020-01-01..2020-12-31": tag("StudyDate").between("20200101", "20201231"),
    "StudyDate=20200101-20201231": tag("StudyDate").between("20200101", "20201231"),
    "StudyTime=08:00..12:00": tag("StudyTime").between("0800", "1200"),
    "KVP=80..90|120": tag("KVP").between(80.0, 90.0) | (tag("KVP") == ["120"]),
    "SeriesDescription=a..b": tag("SeriesDescription") == "a..b",
    "SeriesDescription==T2*|x..y": tag("SeriesDescription") == exact("T2*|x..y"),
    "SeriesDescription=a=b<c": tag("SeriesDescription") == "a=b<c",
    "SeriesDescription~^ax|sag": tag("SeriesDescription").matches("^ax|sag"),
    "KVP=": tag("KVP").is_missing(),
    "KVP==": tag("KVP").is_missing(),
    "KVP!=": ~tag("KVP").is_missing(),
    "0018,0050<=3": tag("SliceThickness") <= 3.0,
    '(0009,"A=B<C",0D)=x': tag('(0009,"A=B<C",0D)') == "x",
    "RequestAttributesSequence.ScheduledProcedureStepID=7": tag("RequestAttributesSequence.ScheduledProcedureStepID")
    == "7",
    "age>=60": age() >= 60.0,
    "age=18..65": age().between(18.0, 65.0),
    "age=": age().is_missing(),
    "label=reviewed": label("reviewed"),
    "label!=reviewed": ~label("reviewed"),
    "metadata:RemoteAET=SCANNER": metadata("RemoteAET") == "SCANNER",
}


@pytest.mark.parametrize("text", MEANINGS)
def test_a_criterion_is_parsed_as_the_library_parses_it(text: str) -> None:
    assert str(criterion(text)) == str(MEANINGS[text])


@pytest.mark.parametrize("text", ["", "Modality", "=CT", "Modality CT", "label<3", "SeriesDescription~(", "KVP=80|"])
def test_an_invalid_criterion_is_an_error(text: str) -> None:
    with pytest.raises(SelectionError):
        criterion(text)


@pytest.mark.parametrize("text", ["PatientNme=x", "0018=3", "metadata=x"])
def test_an_unknown_tag_is_an_error(text: str) -> None:
    with pytest.raises(UnknownTagError):
        criterion(text)


@pytest.mark.parametrize("text", ["SliceThickness<=thin", "StudyDate=yesterday", "StudyDate=2021..2020", "Modality<CT"])
def test_a_value_that_cannot_be_meant_is_an_error(text: str) -> None:
    with pytest.raises(SelectionError):
        criterion(text)


@given(st.text(min_size=1).filter(lambda text: text.strip(" \0\t\r\n") == text and text.strip() == text))
def test_any_string_can_be_selected_exactly(text: str) -> None:
    assert str(criterion(f"SeriesDescription=={text}")) == str(tag("SeriesDescription") == exact(text))
    assert str(criterion(f"SeriesDescription~{re.escape(text)}")) == str(
        tag("SeriesDescription").matches(re.escape(text))
    )


@pytest.mark.parametrize(
    ("options", "patients"),
    [
        (["--has-series", "Modality=SEG"], ["P1"]),
        (["--has-series", "Modality=SEG", "--has-series", "Modality=MR"], ["P1"]),
        (["--has-series", "Modality=MR", "--exclude", "Modality=SEG"], ["P1", "P2"]),
        (["--where", "age>=60"], ["P2"]),
        (["--where", "age=18..60", "--has-series", "SeriesDescription~t1"], ["P1"]),
    ],
)
def test_ages_and_series_of_the_study_are_asked_for(options: list[str], patients: list[str]) -> None:
    datasets = [
        instance(1, series="1", study="1", patient="P1", Modality="MR", PatientAge="045Y", SeriesDescription="t1"),
        instance(1, series="2", study="1", patient="P1", Modality="SEG", PatientAge="045Y"),
        instance(1, series="1", study="2", patient="P2", Modality="MR", PatientAge="061Y"),
    ]
    parser = ArgumentParser()
    add_selection(parser)
    narrow = criteria(parser.parse_args(options))
    assert narrow(Session(MemorySource(datasets))).PatientIDs == patients
