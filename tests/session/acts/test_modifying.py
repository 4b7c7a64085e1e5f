"""What is asked of the server for modified copies, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from simple_orthanc.errors import SelectionError
from simple_orthanc.phantom import make_series
from simple_orthanc.session import Orthanc
from tests.session.acts.copying_server import CopyingServer

UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]


@pytest.fixture
def archive() -> Iterator[CopyingServer]:
    """A study of a CT and a segmentation of it, as far as Modality tells."""
    datasets = make_series((2, 4, 4), seed=1, PatientID="P1", PatientName="Doe^Jane", StudyInstanceUID="1.2")
    segmentation = make_series((2, 4, 4), seed=2, PatientID="P1", PatientName="Doe^Jane", StudyInstanceUID="1.2")
    for dataset in segmentation:
        dataset.Modality = "SEG"
    with CopyingServer(datasets + segmentation) as running:
        yield running


@pytest.fixture
def session(archive: CopyingServer) -> Orthanc:
    return archive.connect(patience=0).select(PatientID="P1")


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"replace": {"PatientID": "P2", "PatientName": "Roe"}}, "Patient"),
        ({"replace": {"StudyDescription": "x", "SeriesDescription": "y"}}, "Study"),
        ({"replace": {"SeriesDescription": "x"}}, "Series"),
        ({"replace": {"WindowWidth": 7}}, "Series"),
        ({"remove": ["WindowWidth"]}, "Series"),
        ({"remove": ["AccessionNumber"]}, "Study"),
        ({"remove_private": True}, "Series"),
    ],
)
def test_new_objects_begin_where_something_changes(
    archive: CopyingServer, session: Orthanc, changes: dict[str, Any], level: str
) -> None:
    refers_elsewhere = pytest.warns(UserWarning, match="copies of SEG refer to images of the original study")
    with nullcontext() if level == "Series" else refers_elsewhere:
        table = session.modify(**changes)
    assert table.status.tolist() == ["modified"] * 2
    ((route, body),) = archive.asked
    assert (route, body["Level"], body["KeepSource"]) == ("/tools/bulk-modify", level, True)
    assert body.get("RemovePrivateTags", False) is changes.get("remove_private", False)
    assert (table.new_StudyInstanceUID == "1.2").all() == (level == "Series")


def test_a_given_identifier_sets_the_level(archive: CopyingServer, session: Orthanc) -> None:
    session.select(Modality="CT").modify({"StudyInstanceUID": "1.3"})
    assert archive.asked[0][1]["Level"] == "Study"
    assert archive.asked[0][1]["Force"] is True


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "Nothing was to be modified"),
        ({"replace": {"StudyID": "x"}, "keep": ["StudyDate"]}, "was to keep StudyDate"),
        ({"replace": {"StudyID": "x"}, "keep": UIDS[:1]}, "two kinds of values"),
        ({"replace": {"PatientName": "Roe"}}, "another PatientName"),
        ({"remove": ["PatientBirthDate", "PatientName"]}, "another PatientName"),
        ({"replace": {"StudyID": "x"}, "delete_originals": True}, "SEG, whose copies would go on referring"),
        ({"replace": {"StudyInstanceUID": "1.2"}}, "mixed with"),
    ],
)
def test_what_would_contradict_is_refused_before_anything_is_changed(
    archive: CopyingServer, session: Orthanc, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(SelectionError, match=says):
        session.modify(**arguments)
    assert archive.changing == []


def test_a_reference_is_no_reason_where_its_object_stays(archive: CopyingServer, session: Orthanc) -> None:
    table = session.select(Modality="SEG").modify({"SeriesDescription": "x"}, delete_originals=True)
    assert table.message.tolist() == ["original deleted"]


def test_a_patient_of_the_same_name_may_get_a_study(archive: CopyingServer, session: Orthanc) -> None:
    archive.datasets += make_series((1, 4, 4), seed=3, PatientID="P2", PatientName="DOE^Jane^")
    session.refresh()
    assert session.select(Modality="CT").modify({"PatientID": "P2"}).status.tolist() == ["modified"]


def test_with_its_uids_a_study_refers_to_itself(archive: CopyingServer, session: Orthanc) -> None:
    table = session.modify({"PatientID": "P3"}, keep=UIDS, delete_originals=True)
    assert table.message.tolist() == ["original deleted"] * 2
