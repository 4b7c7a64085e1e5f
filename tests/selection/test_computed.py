"""Attributes that an archive computes are answered from its rows, not from the files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import tag
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.selection.computed import computed_level
from simple_orthanc.session import Session
from tests.memory_source import MemorySource, instance

CT, SEG = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.66.4"
SERIES = (("1", "1", "CT", 3), ("1", "2", "SEG", 1), ("2", "1", "CT", 2), ("3", "1", "MR", 1))


def archive() -> list[Dataset]:
    """Make studies 1 and 2 of patient A, and 3 of patient B; one file holds wrong values of its own."""
    made = [
        instance(
            number,
            series=series,
            study=study,
            patient="B" if study == "3" else "A",
            Modality=modality,
            SOPClassUID=SEG if modality == "SEG" else CT,
        )
        for study, series, modality, count in SERIES
        for number in range(count)
    ]
    made[0].ModalitiesInStudy, made[0].NumberOfStudyRelatedInstances = "US", 99
    return made


@pytest.fixture
def session() -> Session:
    return Session(MemorySource(archive()))


@pytest.mark.parametrize(
    ("keyword", "level", "values"),
    [
        ("ModalitiesInStudy", "study", [("CT", "SEG"), ("CT",), ("MR",)]),
        ("SOPClassesInStudy", "study", [(CT, SEG), (CT,), (CT,)]),
        ("NumberOfPatientRelatedStudies", "patient", [2, 1]),
        ("NumberOfPatientRelatedSeries", "patient", [3, 1]),
        ("NumberOfPatientRelatedInstances", "patient", [6, 1]),
        ("NumberOfStudyRelatedSeries", "study", [2, 1, 1]),
        ("NumberOfStudyRelatedInstances", "study", [4, 2, 1]),
        ("NumberOfSeriesRelatedInstances", "series", [3, 1, 2, 1]),
    ],
)
def test_values_at_their_level(session: Session, keyword: str, level: Any, values: list[Any]) -> None:
    assert parse_tag(keyword).level == level
    assert session.table(keyword, level=level)[keyword].tolist() == values
    assert session.get_dicom_tag(keyword, unique=False) == values
    assert session.get_dicom_tag(keyword) == list(dict.fromkeys(values))
    rows = session.table(keyword, "SOPInstanceUID", level="instance")[keyword]
    assert len(rows) == 7
    assert rows.iloc[0] == values[0]
    assert rows.iloc[-1] == values[-1]


def test_they_are_columns_of_any_table(session: Session) -> None:
    frame = session.table("NumberOfPatientRelatedStudies", "ModalitiesInStudy", "KVP", "series_count", level="study")
    assert frame.ModalitiesInStudy.tolist() == [("CT", "SEG"), ("CT",), ("MR",)]
    assert frame.NumberOfPatientRelatedStudies.tolist() == [2, 2, 1]
    assert frame.NumberOfPatientRelatedStudies.dtype == pd.Int64Dtype()
    assert frame.KVP.isna().all()


@pytest.mark.parametrize(
    ("narrow", "studies"),
    [
        (lambda s: s.select(ModalitiesInStudy="CT"), ["1", "2"]),
        (lambda s: s.select(ModalitiesInStudy="seg"), ["1"]),
        (lambda s: s.select(ModalitiesInStudy="M*"), ["3"]),
        (lambda s: s.select(ModalitiesInStudy=["SEG", "MR"]), ["1", "3"]),
        (lambda s: s.select(ModalitiesInStudy=("CT", "SEG")), ["1"]),
        (lambda s: s.select(ModalitiesInStudy="CT\\SEG"), ["1"]),
        (lambda s: s.select((tag("ModalitiesInStudy") == "CT") & (tag("ModalitiesInStudy") == "SEG")), ["1"]),
        (lambda s: s.exclude(ModalitiesInStudy="CT"), ["3"]),
        (lambda s: s.select(~(tag("ModalitiesInStudy") == "SEG")), ["2", "3"]),
        (lambda s: s.select(tag("ModalitiesInStudy") != "MR"), ["1", "2"]),
        (lambda s: s.select(SOPClassesInStudy=SEG), ["1"]),
        (lambda s: s.exclude(SOPClassesInStudy=SEG), ["2", "3"]),
        (lambda s: s.select(NumberOfStudyRelatedInstances=2), ["2"]),
        (lambda s: s.select(NumberOfStudyRelatedInstances=(2, None)), ["1", "2"]),
        (lambda s: s.select(tag("NumberOfStudyRelatedSeries") > 1), ["1"]),
        (lambda s: s.exclude(NumberOfStudyRelatedInstances=None), ["1", "2", "3"]),
        (lambda s: s.select(NumberOfPatientRelatedStudies=2), ["1", "2"]),
        (lambda s: s.select(NumberOfPatientRelatedInstances=lambda count: count < 2), ["3"]),
        (lambda s: s.select(Modality="SEG").select(NumberOfSeriesRelatedInstances=1), ["1"]),
        # What is computed is about the archive, not about what is selected.
        (lambda s: s.select(Modality="SEG", ModalitiesInStudy="CT"), ["1"]),
        (lambda s: s.select(Modality="CT").select(NumberOfStudyRelatedSeries=2), ["1"]),
    ],
)
def test_selections(session: Session, narrow: Callable[[Session], Session], studies: list[str]) -> None:
    whole = session.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        narrow(session)
    names = {uid: uid.rpartition(".")[2] for uid in whole.StudyInstanceUIDs}
    assert [names[uid] for uid in session.StudyInstanceUIDs] == studies


@pytest.mark.parametrize("keyword", ["ModalitiesInStudy", "NumberOfStudyRelatedInstances", "SOPClassesInStudy"])
def test_they_are_never_missing(session: Session, keyword: str) -> None:
    with pytest.warns(UserWarning, match="Nothing is selected"):
        assert session.select(**{keyword: None}).study_count == 0


def test_a_study_is_selected_with_all_its_series(session: Session) -> None:
    session.select(ModalitiesInStudy="SEG")
    assert (session.study_count, session.series_count, session.instance_count) == (1, 2, 4)
    assert session.Modalities == ["CT", "SEG"]
    assert session.explain().decided.tolist() == ["here, from the index"]


def test_they_follow_a_refresh() -> None:
    datasets = archive()
    source = MemorySource(datasets)
    session = Session(source)
    assert session.NumberOfStudyRelatedInstances == [4, 2, 1]
    source.datasets.append(instance(9, series="9", study="3", patient="B", Modality="PT"))
    session.refresh()
    assert session.NumberOfStudyRelatedInstances == [4, 2]
    assert session.table("ModalitiesInStudy", level="study").ModalitiesInStudy.tolist()[-1] == ("MR", "PT")


def test_counts_read_no_files(session: Session) -> None:
    session.table("ModalitiesInStudy", "NumberOfStudyRelatedInstances", level="study")
    assert not session._index._columns


@pytest.mark.parametrize("name", ["Modality", "StudyDate", "0018,0060", "RequestAttributesSequence[0].StudyID"])
def test_other_tags_are_not_computed(name: str) -> None:
    assert computed_level(parse_tag(name)) is None
