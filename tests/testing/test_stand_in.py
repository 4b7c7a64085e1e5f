"""A session works on the stand-in as on an Orthanc, and what it does not know is refused."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from simple_orthanc import NotFoundError, Orthanc, OrthancError, SelectionError, ServerError, UnsupportedError, label
from simple_orthanc.testing import OrthancStandIn, as_bytes, make_series, orthanc_id_of

JANE = make_series((3, 4, 5), seed=1, PatientName="JaneDoe", PatientID="J1", SeriesDescription="ct_scan")
JOHN = make_series((2, 4, 5), seed=2, modality="MR", PatientName="JohnDoe", PatientID="J2")


@pytest.fixture
def stand_in() -> Iterator[OrthancStandIn]:
    with OrthancStandIn([*JANE, *JOHN]) as running:
        yield running


@pytest.fixture
def session(stand_in: OrthancStandIn) -> Iterator[Orthanc]:
    with stand_in.connect() as connected:
        yield connected


def test_select_table_and_volume(session: Orthanc) -> None:
    assert (session.patient_count, session.study_count, session.series_count, session.instance_count) == (2, 2, 2, 5)
    assert session.table("PatientID", "Modality").to_numpy().tolist() == [["J1", "CT"], ["J2", "MR"]]
    volume = session.select(PatientName="JaneDoe", SeriesDescription="ct_scan").get_volume()
    assert volume.array[:, 0, 0].tolist() == [-1024, -1023, -1022]
    assert [image.InstanceNumber for image in session.get_instances()] == [1, 2, 3]
    assert session.get_header(0).PatientName == "JaneDoe"


def test_objects_have_the_identifiers_that_orthanc_gives(session: Orthanc) -> None:
    session.select(PatientID="J2")
    assert session.get_orthanc_ids() == [orthanc_id_of(JOHN[0], "series")]
    assert session.rest.get(f"/patients/{orthanc_id_of(JOHN[0], 'patient')}")["MainDicomTags"]["PatientID"] == "J2"


def test_uploads_are_stored_once(session: Orthanc) -> None:
    new = make_series((1, 4, 5), seed=3, PatientID="J3")
    assert session.upload_dataset([*new, JANE[0]]).status.tolist() == ["stored", "already stored"]
    answer = session.rest.post("/instances", as_bytes(new[0]))
    assert answer["ParentStudy"] == orthanc_id_of(new[0], "study")
    assert session.patient_count == 3
    with pytest.raises(ServerError, match="400"):
        session.rest.post("/instances", b"no DICOM")


@pytest.mark.parametrize(
    "content",
    [
        b"no DICOM",
        bytes(128) + b"DICM",
        bytes(128) + b"DICM" + b"junk",
        bytes(128) + b"DICM" + bytes(200),
        as_bytes(JANE[0])[:300],
    ],
)
def test_what_orthanc_would_not_store_is_refused_and_not_kept(session: Orthanc, content: bytes) -> None:
    with pytest.raises(ServerError, match="400"):
        session.rest.post("/instances", content)
    assert session.refresh().instance_count == 5


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/series?since=x&limit=1", None),
        ("GET", "/changes?since=x", None),
        ("POST", "/tools/find", "no JSON"),
        ("POST", "/tools/find", []),
        ("POST", "/tools/find", {"Level": 5}),
    ],
)
def test_a_question_that_cannot_be_read_is_refused(session: Orthanc, method: str, path: str, body: Any) -> None:
    with pytest.raises(ServerError, match=r"answered (400|500)"):
        session.rest.request(method, path, body)
    assert session.refresh().instance_count == 5


def test_one_dataset_is_refused() -> None:
    with pytest.raises(SelectionError, match=r"takes a list of datasets.*\[dataset\]"):
        OrthancStandIn(JANE[0])


def test_files_are_what_was_stored(session: Orthanc, tmp_path: Path) -> None:
    paths = session.select(PatientID="J2").download(tmp_path)
    assert sorted(path.read_bytes() for path in paths) == sorted(map(as_bytes, JOHN))
    key = orthanc_id_of(JOHN[0])
    assert session.rest.get(f"/instances/{key}/file") == as_bytes(JOHN[0])
    header = pydicom.dcmread(io.BytesIO(session.rest.get(f"/instances/{key}/attachments/dicom/data")))
    assert header.PatientID == "J2"


def test_deleting(session: Orthanc, stand_in: OrthancStandIn) -> None:
    session.select(PatientID="J1").delete_selected_series()
    assert session.reset().PatientID == ["J2"]
    session.delete_selected_patient(everything=True)
    assert stand_in.datasets == []
    with pytest.raises(NotFoundError):
        session.rest.delete(f"/patients/{orthanc_id_of(JANE[0], 'patient')}")


def test_labels_and_metadata(session: Orthanc, stand_in: OrthancStandIn) -> None:
    key = orthanc_id_of(JANE[0], "series")
    session.rest.put(f"/series/{key}/labels/seen")
    assert session.rest.get(f"/series/{key}/labels") == ["seen"] == stand_in.labels[key]
    assert session.select(label("seen")).PatientID == ["J1"]
    session.rest.delete(f"/series/{key}/labels/seen")
    assert session.rest.get(f"/series/{key}/labels") == []
    session.rest.put(f"/series/{key}/metadata/1024", "my value")
    assert session.rest.get(f"/series/{key}/metadata/1024") == "my value"
    session.rest.delete(f"/series/{key}/metadata/1024")
    with pytest.raises(NotFoundError):
        session.rest.get(f"/series/{key}/metadata/1024")
    with pytest.raises(NotFoundError):
        session.rest.put(f"/series/{'0' * 44}/labels/seen")


def test_datasets_that_are_added_are_seen_at_once(session: Orthanc, stand_in: OrthancStandIn) -> None:
    assert session.instance_count == 5
    stand_in.datasets += make_series((4, 4, 5), seed=4)
    assert session.refresh().instance_count == 9
    assert session.rest.get("/changes", params={"last": ""})["Last"] == 9


def test_a_pickle_lands_whose_last_entry_in_the_feed_is_gone() -> None:
    newest = make_series((1, 4, 5), seed=4, PatientID="P2")
    with OrthancStandIn([*make_series((3, 4, 5), PatientID="P1"), *newest]) as server:
        packed = pickle.dumps(server.connect().select(PatientID="P1"))
        del server.datasets[-1]
        session = pickle.loads(packed)
        assert (session.PatientIDs, session.instance_count) == (["P1"], 3)
        assert re.fullmatch(r"\d{8}T\d{6}", session.rest.get("/tools/now"))


@pytest.mark.parametrize("path", ["/jobs", "/modalities", "/instances/x/preview", "/tools/dicom-conformance"])
def test_what_it_does_not_know_is_refused(session: Orthanc, path: str) -> None:
    with pytest.raises(ServerError) as caught:
        session.rest.get(path)
    assert caught.value.status in (404, 501)


def test_an_older_version_has_no_labels(tmp_path: Path) -> None:
    with OrthancStandIn(JANE, "1.10.1") as server, server.connect() as session:
        assert session.select(PatientName="janedoe").get_array().shape == (3, 4, 5)
        with pytest.raises(UnsupportedError, match=r"1\.12\.0"):
            session.rest.put(f"/series/{orthanc_id_of(JANE[0], 'series')}/labels/seen")


def test_objects_without_pixels_or_numbers() -> None:
    (structures,) = make_series(modality="RTSTRUCT", like=JANE[0])
    with OrthancStandIn([*JANE, structures]) as server, server.connect() as session:
        assert sorted(session.table("Modality").Modality) == ["CT", "RTSTRUCT"]
        assert np.array_equal(session.select(Modality="CT").get_array()[:, 0, 0], [-1024, -1023, -1022])


def test_it_starts_and_stops() -> None:
    server = OrthancStandIn(JANE)
    with pytest.raises(OrthancError, match="not running"):
        assert server.url
    assert repr(server) == "<OrthancStandIn: not running, 3 instances>"
    with server:
        assert server.start() is server
        assert server.url in repr(server)
    server.stop()
    with server, server.connect() as session:
        assert session.instance_count == 3
