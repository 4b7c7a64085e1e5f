"""What is asked of the server for anonymized copies, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simple_orthanc.errors import EmptySelectionError, SelectionError, UnsupportedError
from simple_orthanc.phantom import make_series
from simple_orthanc.session import Orthanc
from tests.session.acts.copying_server import CopyingServer

UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]


@pytest.fixture
def archive() -> Iterator[CopyingServer]:
    """Two patients of other names."""
    datasets = make_series((2, 4, 4), seed=1, PatientID="P1", PatientName="Doe^Jane")
    datasets += make_series((2, 4, 4), seed=2, PatientID="P2", PatientName="Roe^Rick")
    with CopyingServer(datasets) as running:
        yield running


@pytest.fixture
def session(archive: CopyingServer) -> Orthanc:
    return archive.connect(patience=0).select(PatientID="P1")


def test_every_version_is_asked_for_the_same_edition(archive: CopyingServer, session: Orthanc) -> None:
    session.anonymize()
    ((route, body),) = archive.asked
    assert route == "/tools/bulk-anonymize"
    assert body.pop("Resources") == session.get_orthanc_ids()
    assert body == {
        "KeepSource": True,
        "Keep": [],
        "Replace": {},
        "Remove": [],
        "DicomVersion": "2021b",
        "Asynchronous": True,
        "Synchronous": False,
    }


def test_private_elements_stay_if_asked_for(archive: CopyingServer, session: Orthanc) -> None:
    session.anonymize(keep_private=True)
    assert archive.asked[0][1]["KeepPrivateTags"] is True


def test_orthanc_1_10_is_told_to_name_itself_where_newer_versions_do(archive: CopyingServer) -> None:
    archive.version = "1.10.1"
    with archive.connect(patience=0) as older:
        older.select(PatientID="P1").anonymize(keep=["StudyDate"])
        assert archive.asked[0][1]["Replace"] == {"0012,0063": "Orthanc 1.10.1"}
        older.reset().select(PatientID="P2").anonymize()
        assert archive.asked[1][1]["Replace"] == {}
        older.anonymize(replace={"DeidentificationMethod": "mine"})
        assert archive.asked[2][1]["Replace"] == {"0012,0063": "mine"}


def test_a_patient_who_stays_must_stay_the_same(archive: CopyingServer, session: Orthanc) -> None:
    with pytest.raises(SelectionError, match="another PatientName"):
        session.anonymize(keep=["PatientID"])
    names = ["PatientID", "PatientName", "PatientBirthDate", "PatientSex"]
    table = session.anonymize(keep=names)
    assert set(table.new_PatientID) == {"P1"}
    # Orthanc 1.10.1 keeps a PatientID only as a replacement.
    assert archive.asked[0][1]["Replace"] == {"0010,0020": "P1"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"keep": ["PatientID", "StudyInstanceUID"]}, "take the place of their originals"),
        ({"keep": ["PatientID", *UIDS]}, "take the place of their originals"),
        ({"replace": {"PatientID": "P2"}}, "another PatientName"),
        ({"replace": {"StudyInstanceUID": "1.2"}, "keep": ["StudyInstanceUID"]}, "both in keep and in replace"),
    ],
)
def test_copies_that_would_be_mixed_with_others_are_refused(
    archive: CopyingServer, session: Orthanc, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(SelectionError, match=says):
        session.anonymize(**changes)
    assert archive.changing == []


def test_all_uids_are_kept_only_by_a_server_that_overwrites(archive: CopyingServer, session: Orthanc) -> None:
    with pytest.raises(UnsupportedError, match="OverwriteInstances is false"):
        session.anonymize(keep=UIDS)
    archive.overwrites = True
    assert session.anonymize(keep=UIDS).status.tolist() == ["anonymized"]
    assert archive.asked[0][1]["Force"] is True


@pytest.mark.parametrize(
    ("name", "says"),
    [("PatientID", "2 patients"), ("StudyInstanceUID", "2 studies"), ("SeriesInstanceUID", "2 series")],
)
def test_several_objects_do_not_get_one_identifier(
    archive: CopyingServer, session: Orthanc, name: str, says: str
) -> None:
    with pytest.raises(SelectionError, match=f"one {name} to {says}"):
        session.reset().anonymize(replace={name: "1.2"}, everything=True)
    with pytest.raises(SelectionError, match="the whole archive would be anonymized"):
        session.anonymize()
    with pytest.warns(UserWarning, match="Nothing is selected any more"):
        session.select(PatientID="nobody")
    with pytest.raises(EmptySelectionError):
        session.anonymize()
    assert archive.changing == []
