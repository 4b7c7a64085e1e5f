"""Anonymized and modified copies, on each version of Orthanc."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pydicom
import pytest
import requests
from pydicom.dataset import Dataset
from requests.adapters import HTTPAdapter

from simple_orthanc import LocalOrthanc, Orthanc
from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.phantom import make_segmentation, make_series, make_structure_set
from tests.conftest import MakeServer

READING_POSTS = ("/tools/find", "/tools/lookup", "/tools/bulk-content")
KEPT = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]


def study(patient: str, uid: str, series: Mapping[str, int]) -> list[Dataset]:
    """Make a study whose second series refers to the images of the first."""
    datasets: list[Dataset] = []
    for number, (name, slices) in enumerate(series.items(), 1):
        datasets += make_series(
            (slices, 4, 4),
            PatientID=patient,
            PatientName=f"Doe^{patient}",
            StudyInstanceUID=uid,
            SeriesInstanceUID=f"{uid}.{number}",
            StudyDate="20200131",
            StudyDescription="head of Jane",
            SeriesDescription=name,
            InstitutionName="Ward",
        )
    for dataset in datasets:
        dataset.add_new(0x00990010, "LO", "MYPRIV")
        dataset.add_new(0x00991001, "LO", "Doe in private")
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = datasets[0].SOPClassUID, datasets[0].SOPInstanceUID
        dataset.ReferencedImageSequence = [item]
    return datasets


@pytest.fixture
def filled(orthanc: Orthanc) -> Orthanc:
    """A server with two studies of one patient, and one of another."""
    orthanc.upload_dataset(
        study("P1", "1.2.1", {"a": 3, "b": 2}) + study("P1", "1.2.2", {"c": 2}) + study("P2", "1.2.3", {"d": 2})
    )
    return orthanc


def uids(orthanc: Orthanc, level: str = "series") -> set[str]:
    return {described["ID"] for described in orthanc.rest.get(f"/{level}", {"expand": ""})}


def copied_headers(orthanc: Orthanc, table: Any) -> list[pydicom.Dataset]:
    with orthanc.copy() as other:
        return list(other.reset().select(SeriesInstanceUID=list(table.new_SeriesInstanceUID)).get_headers())


def test_everything_of_a_patient_is_copied_with_its_references(filled: Orthanc) -> None:
    before = {key: filled.rest.get(f"/instances/{key}/attachments/dicom/md5") for key in uids(filled, "instances")}
    table = filled.select(PatientID="P1").anonymize()
    assert table.status.tolist() == ["anonymized"] * 3, table.message.tolist()
    assert table.SeriesInstanceUID.tolist() == ["1.2.1.1", "1.2.1.2", "1.2.2.1"]
    assert table.instance_count.tolist() == [3, 2, 2]
    assert table.new_PatientID.nunique() == 1
    assert table.new_PatientID[0] != "P1"
    assert table.new_StudyInstanceUID.nunique() == 2
    assert table.new_SeriesInstanceUID.nunique() == 3
    assert {filled.rest.get(f"/series/{key}/metadata/AnonymizedFrom") for key in table.new_orthanc_id} == set(
        table.orthanc_id
    )
    headers = copied_headers(filled, table)
    assert len(headers) == 7
    assert "Doe" not in " ".join(map(str, headers))
    assert "Jane" not in " ".join(map(str, headers))
    present = {header.SOPInstanceUID for header in headers}
    assert {header.ReferencedImageSequence[0].ReferencedSOPInstanceUID for header in headers} <= present
    assert {header.PatientIdentityRemoved for header in headers} == {"YES"}
    with filled.copy() as copies:
        copies.reset().select(SeriesInstanceUID=table.new_SeriesInstanceUID[0])
        with filled.copy() as first:
            assert np.array_equal(copies.get_array(), first.select("1.2.1.1").get_array())
    # The originals are as they were, and still selected.
    assert all(filled.rest.get(f"/instances/{key}/attachments/dicom/md5") == md5 for key, md5 in before.items())
    assert filled.PatientIDs == ["P1"]
    assert filled.instance_count == 7


def test_masks_belong_to_the_copies_of_their_images(orthanc: Orthanc) -> None:
    images = make_series((3, 8, 8), seed=1, PatientID="P1")
    mask = np.zeros((3, 8, 8), bool)
    mask[1:, 2:5, 3] = True
    contours = {"lesion of Jane": [[[1, 1, 0], [5, 1, 0], [5, 5, 0]]]}
    orthanc.upload_dataset([*images, make_segmentation(images, {"Jane": mask}), make_structure_set(images, contours)])
    table = orthanc.select(PatientID="P1").anonymize()
    assert table.status.tolist() == ["anonymized"] * 3, table.message.tolist()
    orthanc.select(PatientID="P1").exclude(Modality="CT")
    before = {name: volume.array for name, volume in orthanc.get_masks().items()}
    orthanc.reset().select(PatientID=table.new_PatientID[0])
    # The originals are not there any more, so that nothing but the copies can be found.
    with orthanc.copy() as originals:
        originals.reset().select(PatientID="P1").delete()
    after = [volume.array for volume in orthanc.refresh().exclude(Modality="CT").get_masks().values()]
    assert len(after) == len(before) == 2
    assert all(any(np.array_equal(one, other) for one in after) for other in before.values())


@pytest.mark.parametrize("level", ["patient", "study", "series", "instance"])
def test_each_level_has_its_rows(filled: Orthanc, level: Any) -> None:
    table = filled.select(PatientID="P1").anonymize(level=level)
    assert table.status.unique().tolist() == ["anonymized"]
    assert len(table) == {"patient": 1, "study": 2, "series": 3, "instance": 7}[level]
    assert set(table.level) == {level}
    assert table.instance_count.sum() == 7
    assert table.new_orthanc_id.is_unique
    assert table.new_orthanc_id.notna().all()
    route = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}[level]
    assert set(table.new_orthanc_id) <= uids(filled, route)


def test_a_selection_that_cuts_through_is_copied_exactly(filled: Orthanc) -> None:
    filled.select("1.2.1.1", InstanceNumber=(1, 2))
    table = filled.anonymize()
    assert table.instance_count.tolist() == [2]
    assert len(copied_headers(filled, table)) == 2
    whole = filled.anonymize(level="study", whole=True)
    assert whole.instance_count.tolist() == [5]
    assert filled.rest.get("/statistics")["CountInstances"] == 9 + 2 + 5


def test_what_is_kept_replaced_and_removed(filled: Orthanc) -> None:
    changes: dict[str, Any] = {
        "keep": ["StudyDescription", "StudyDate"],
        "replace": {"PatientID": "S042", "PatientName": "Subject", "PatientWeight": 70.5},
        "remove": ["ImageType"],
    }
    table = filled.select("1.2.1").anonymize(**changes)
    assert set(table.new_PatientID) == {"S042"}
    header = copied_headers(filled, table)[0]
    assert (header.PatientID, str(header.PatientName), header.PatientWeight) == ("S042", "Subject", 70.5)
    assert (header.StudyDescription, header.StudyDate) == ("head of Jane", "20200131")
    assert "ImageType" not in header
    assert 0x00991001 not in header
    assert "InstitutionName" not in header
    assert header.DeidentificationMethod.startswith("Orthanc")
    with_private = filled.reset().select("1.2.3").anonymize(keep_private=True)
    assert copied_headers(filled, with_private)[0][0x00991001].value == "Doe in private"


def test_a_patient_may_stay_who_it_is(filled: Orthanc) -> None:
    names = ["PatientID", "PatientName", "PatientBirthDate", "PatientSex"]
    with pytest.raises(SelectionError, match="another PatientName"):
        filled.select("1.2.3").anonymize(keep=names[:1])
    table = filled.anonymize(keep=names)
    assert table.new_PatientID.tolist() == ["P2"], table.message.tolist()
    header = copied_headers(filled, table)[0]
    assert (header.PatientID, header.PatientName) == ("P2", "Doe^P2")
    assert "StudyDescription" not in header
    assert header.StudyInstanceUID != "1.2.3"


def test_the_same_call_makes_nothing_twice(filled: Orthanc) -> None:
    first = filled.anonymize(everything=True)
    assert first.status.tolist() == ["anonymized"] * 4
    count = filled.rest.get("/statistics")["CountInstances"]
    again = filled.anonymize(everything=True)
    assert sorted(again.status.tolist()) == ["already there"] * 4 + ["skipped"] * 4
    done = again[again.status == "already there"].set_index("SeriesInstanceUID").new_SeriesInstanceUID
    assert done.to_dict() == first.set_index("SeriesInstanceUID").new_SeriesInstanceUID.to_dict()
    assert filled.rest.get("/statistics")["CountInstances"] == count == 18
    other = filled.select(PatientID="P2").anonymize(keep=["StudyDate"])
    assert other.status.tolist() == ["anonymized"]
    assert filled.rest.get("/statistics")["CountInstances"] == 20


class Recording(HTTPAdapter):
    """Writes down the requests that may change something."""

    def __init__(self) -> None:
        super().__init__()
        self.changing: list[str] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        path = urlsplit(str(request.url)).path
        if request.method != "GET" and path not in READING_POSTS:
            self.changing.append(f"{request.method} {path}")
        return super().send(request, **options)


def test_a_dry_run_and_a_refusal_change_nothing(filled: Orthanc, empty_server: LocalOrthanc) -> None:
    http, adapter = requests.Session(), Recording()
    http.mount("http://", adapter)
    before = filled.rest.get("/changes?last")["Last"]
    with Orthanc(empty_server.url, http=http) as session:
        session.select(PatientID="P1")
        assert session.anonymize(dry_run=True).status.tolist() == ["would be anonymized"] * 3
        assert session.modify({"StudyDescription": "x"}, dry_run=True).status.tolist() == ["would be modified"] * 3
        for refused in ({"replace": {"StudyInstanceUID": "9.9"}}, {"remove": ["PatientID"]}, {"keep": ["PatientID"]}):
            with pytest.raises(SelectionError):
                session.anonymize(**refused)
        assert adapter.changing == []
        assert filled.rest.get("/changes?last")["Last"] == before
        session.anonymize(level="patient")
        assert "POST /tools/bulk-anonymize" in adapter.changing


def test_originals_are_deleted_after_their_copies_are_known(filled: Orthanc) -> None:
    table = filled.select("1.2.1", SeriesDescription="a").anonymize(delete_originals=True)
    assert table.status.tolist() == ["anonymized"]
    assert table.message.tolist() == ["original deleted"]
    assert filled.reset().select("1.2.1").SeriesDescription == ["b"]
    assert len(copied_headers(filled, table)) == 3


def test_a_new_description_makes_a_new_study_and_none_with_two(filled: Orthanc) -> None:
    table = filled.select("1.2.1").modify({"StudyDescription": "Schaedel"}, remove=["InstitutionName"])
    assert table.status.tolist() == ["modified"] * 2
    assert table.new_StudyInstanceUID.nunique() == 1
    assert table.new_StudyInstanceUID[0] != "1.2.1"
    assert set(table.new_PatientID) == {"P1"}
    headers = copied_headers(filled, table)
    assert {header.StudyDescription for header in headers} == {"Schaedel"}
    assert not any("InstitutionName" in header for header in headers)
    assert filled.reset().select("1.2.1").StudyDescription == ["head of Jane"]
    # Below the study a new series of the same study.
    series = filled.reset().select("1.2.2.1").modify({"SeriesDescription": "c2", "WindowWidth": 80})
    assert series.new_StudyInstanceUID.tolist() == ["1.2.2"]
    assert series.new_SeriesInstanceUID[0] != "1.2.2.1"


def test_a_study_goes_to_another_patient(filled: Orthanc) -> None:
    with pytest.raises(SelectionError, match="another PatientName"):
        filled.select("1.2.2").modify({"PatientID": "P2"})
    with pytest.raises(SelectionError, match="another PatientName"):
        filled.modify({"PatientName": "New"})
    table = filled.modify({"PatientID": "P2", "PatientName": "Doe^P2"}, keep=KEPT, delete_originals=True)
    assert table.status.tolist() == ["modified"], table.message.tolist()
    assert table.new_SeriesInstanceUID.tolist() == ["1.2.2.1"]
    moved = filled.reset().select("1.2.2")
    assert moved.PatientIDs == ["P2"]
    assert moved.PatientNames == ["Doe^P2"]


def test_copies_are_not_mixed_with_what_is_there(filled: Orthanc) -> None:
    count = filled.rest.get("/statistics")["CountInstances"]
    filled.select("1.2.2")
    for refused in (
        {"replace": {"StudyInstanceUID": "1.2.3"}},
        {"replace": {"SeriesInstanceUID": "1.2.1.1"}},
        {"replace": {"PatientID": "P2", "PatientName": "Doe^P2", "StudyInstanceUID": "1.2.3"}},
        {"replace": {"StudyDescription": "x"}, "keep": ["StudyInstanceUID"]},
    ):
        with pytest.raises(SelectionError, match="mixed with"):
            filled.modify(**refused)
    given = {"PatientID": "P9", "StudyInstanceUID": "1.2.9"}
    assert filled.modify(given).new_StudyInstanceUID.tolist() == ["1.2.9"]
    assert filled.modify(given).status.tolist() == ["already there"]
    kept = filled.modify({"PatientID": "P8"}, keep=KEPT)
    assert kept.new_SeriesInstanceUID.tolist() == ["1.2.2.1"]
    filled.reset().select(StudyInstanceUID="1.2.2", PatientID="P1")
    with pytest.raises(SelectionError, match=r"the study 1\.2\.2 of the patient"):
        filled.modify({"PatientID": "P8", "WindowWidth": 4}, keep=KEPT)
    assert filled.rest.get("/statistics")["CountInstances"] == count + 4


def test_values_outside_of_the_character_set_leave_no_copy(filled: Orthanc) -> None:
    count = filled.rest.get("/statistics")["CountInstances"]
    table = filled.select("1.2.3").modify({"PatientID": "X", "PatientName": "王^Müller"})
    assert table.status.tolist() == ["failed"]
    assert "character" in table.message[0]
    assert filled.rest.get("/statistics")["CountInstances"] == count


def test_modification_in_place(make_server: MakeServer) -> None:
    server: LocalOrthanc = make_server({"OverwriteInstances": True})
    with server, server.connect() as session:
        session.upload_dataset(study("P1", "1.2.1", {"a": 3, "b": 2}) + study("P2", "1.2.3", {"d": 2}))
        session.select("1.2.1.1")
        with pytest.raises(SelectionError, match="whole=True"):
            session.modify({"StudyDescription": "new"}, keep=KEPT)
        table = session.modify({"StudyDescription": "new"}, keep=KEPT, whole=True)
        assert table.status.tolist() == ["modified"], table.message.tolist()
        assert table.StudyInstanceUID.tolist() == ["1.2.1"]
        assert table.instance_count.tolist() == [5]
        session.reset().select("1.2.1")
        assert session.StudyDescription == ["new"]
        assert {header.StudyDescription for header in session.get_headers()} == {"new"}
        named = session.reset().select(PatientID="P1").modify({"PatientName": "Roe"}, keep=KEPT)
        assert named[["level", "status"]].values.tolist() == [["patient", "modified"]], named.message.tolist()
        assert session.PatientNames == ["Roe"]
        assert session.instance_count == 5
        part = session.reset().select("1.2.1.1", InstanceNumber=1).modify({"WindowWidth": 7}, keep=KEPT)
        assert part.instance_count.tolist() == [1]
        assert part.status.tolist() == ["modified"]
        headers = session.reset().select("1.2.1.1").sort_by("InstanceNumber").get_headers()
        assert [header.get("WindowWidth") == 7 for header in headers] == [True, False, False]


def test_long_values_are_read_back_whole(make_server: MakeServer) -> None:
    # Orthanc leaves out values of more than 256 characters unless it is asked for them. Nor is a server in the way that
    # compares revisions and forgets each job that has ended.
    server = make_server({"OverwriteInstances": True, "CheckRevisions": True, "JobsHistorySize": 1})
    with server.connect() as session:
        session.upload_dataset(study("P1", "1.2.1", {"a": 2}))
        session.select("1.2.1.1")
        for comment, keep in (("x" * 700, ()), ("y" * 700, KEPT)):
            table = session.modify({"ImageComments": comment}, keep=keep)
            assert table.status.tolist() == ["modified"], table.message.tolist()
        assert {header.ImageComments for header in session.get_headers()} == {"y" * 700}


def test_a_server_that_does_not_overwrite_modifies_nothing_in_place(filled: Orthanc) -> None:
    filled.select("1.2.3")
    if filled.rest.capabilities.version > (1, 11):
        with pytest.raises(UnsupportedError, match="OverwriteInstances"):
            filled.modify({"StudyDescription": "new"}, keep=KEPT)
    else:
        table = filled.modify({"StudyDescription": "new"}, keep=KEPT)
        assert table.status.tolist() == ["failed"]
        assert "OverwriteInstances" in table.message[0]
    assert filled.refresh().StudyDescription == ["head of Jane"]


def test_what_is_gone_is_a_row(filled: Orthanc) -> None:
    filled.select(PatientID="P1")
    gone = filled.get_orthanc_ids("series")[0]
    filled.rest.delete(f"/series/{gone}")
    table = filled.anonymize()
    assert sorted(table.status.tolist()) == ["anonymized", "anonymized", "gone"]


@pytest.mark.parametrize("is_shared", [True, False])
def test_equal_calls_of_two_threads_make_the_copies_once(filled: Orthanc, is_shared: bool) -> None:
    filled.select(PatientID="P1")
    sessions = [filled, filled if is_shared else filled.copy()]
    together = threading.Barrier(len(sessions), timeout=60)

    def anonymize(session: Orthanc) -> list[str]:
        together.wait()
        return sorted(set(session.anonymize(replace={"PatientID": "A1"}).status))

    with ThreadPoolExecutor(len(sessions)) as pool:
        outcomes = list(pool.map(anonymize, sessions))
    assert sorted(outcomes) == [["already there"], ["anonymized"]]
    copies = filled.reset().refresh().select(PatientID="A1")
    assert (copies.study_count, copies.series_count, copies.instance_count) == (2, 3, 7)
    assert filled.reset().instance_count == 9 + 7
