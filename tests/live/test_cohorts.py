"""Cohorts on servers: frozen, opened there and elsewhere, and compared with what is there after changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Cohort, CohortError, Folder, LocalOrthanc, Orthanc
from simple_orthanc.phantom import as_bytes, make_series
from tests.conftest import MakeServer
from tests.live.archives import store

pytestmark = pytest.mark.on_postgresql


def ct_and_mr() -> list[Dataset]:
    return [*make_series((4, 16, 16)), *make_series((3, 16, 16), seed=5, Modality="MR")]


@pytest.fixture
def overwriting(make_server: MakeServer) -> LocalOrthanc:
    """A server that takes a file in the place of another one with the same identifiers."""
    server = make_server({"OverwriteInstances": True})
    store(server, *map(as_bytes, ct_and_mr()))
    return server


def test_checksums_are_those_of_the_files_and_take_few_requests(overwriting: LocalOrthanc) -> None:
    session = overwriting.connect().select(Modality="CT")
    before = session._source.requests
    table = session.freeze().table("instance")
    requests = session._source.requests - before
    contents = [session._source.content(key) for key in session._instances()]
    assert table["md5"].tolist() == [hashlib.md5(content).hexdigest() for content in contents]
    assert table["size"].tolist() == list(map(len, contents))
    lists_checksums = session.rest.capabilities.extended_find
    assert requests <= (8 if lists_checksums else 8 + len(contents))


def test_what_is_frozen_is_opened_on_another_server_over_dicomweb_and_from_a_folder(
    overwriting: LocalOrthanc, make_server: MakeServer, tmp_path: Path
) -> None:
    session = overwriting.connect().select(Modality="CT")
    session.freeze(tmp_path / "ct.cohort")
    cohort = Cohort.load(tmp_path / "ct.cohort")
    expected = session.get_volume().array
    session.download(tmp_path / "files")
    other = make_server({})
    other.connect().upload_folder(tmp_path / "files", recursive=True)
    there = [overwriting.connect(), other.connect(), Folder(tmp_path / "files")]
    if "dicom-web" in overwriting.connect().rest.get("/plugins"):
        there.append(overwriting.connect().dicomweb)
    for archive in there:
        opened = cohort.open(archive)
        assert (opened.get_volume().array == expected).all()
        assert len(opened.get_headers()) == 4
        assert opened.table("KVP", "instance_count").instance_count.tolist() == [4]
        assert not cohort.difference(archive)
        assert opened.freeze() == cohort


def test_what_was_replaced_is_found_and_refused(overwriting: LocalOrthanc) -> None:
    session = overwriting.connect()
    cohort = session.freeze()
    opened = cohort.open(session)
    opened.table("KVP", level="instance")
    replaced = session.select(Modality="CT").get_instances()[1]
    replaced.PixelData = bytes(len(replaced.PixelData))
    store(overwriting, as_bytes(replaced))
    for archive in (opened.select(Modality="CT"), opened.copy().select(SOPInstanceUID=replaced.SOPInstanceUID)):
        with pytest.raises(CohortError, match="differs from what was frozen"):
            archive.get_volume()
        with pytest.raises(CohortError, match="differs from what was frozen"):
            archive.get_headers()
        with pytest.raises(CohortError, match="differs from what was frozen"):
            archive.table("SliceThickness", level="instance")
        with pytest.raises(CohortError, match="differs from what was frozen"):
            archive.delete("instance")
    difference = cohort.difference(session)
    assert difference.changed.SOPInstanceUID.tolist() == [replaced.SOPInstanceUID]
    assert difference.gone.empty
    assert difference.new.empty
    assert opened.reset().select(Modality="MR").get_volume().array.shape == (3, 16, 16)
    if session.rest.capabilities.extended_find:
        with pytest.warns(UserWarning, match=r"1 of 7 instances .* has changed"):
            cohort.open(session)


def test_what_was_deleted_and_added_is_found(overwriting: LocalOrthanc) -> None:
    session = overwriting.connect()
    cohort = session.select(Modality="CT").freeze()
    gone = session.copy().select(InstanceNumber=2)
    uid = gone.SOPInstanceUIDs[0]
    gone.delete("instance")
    extra = make_series((1, 16, 16), seed=9)
    store(overwriting, as_bytes(extra[0]))
    difference = cohort.difference(session)
    assert difference.gone.SOPInstanceUID.tolist() == [uid]
    assert difference.new.SOPInstanceUID.tolist() == [extra[0].SOPInstanceUID]
    with pytest.raises(CohortError, match="1 of 4 instances"):
        cohort.open(session)
    with pytest.warns(UserWarning, match="1 of 4 instances"):
        opened = cohort.open(session, missing="warn")
    assert opened.instance_count == 3


def test_acts_take_what_was_frozen_alone(overwriting: LocalOrthanc, tmp_path: Path) -> None:
    session = overwriting.connect()
    opened = session.copy().select(Modality="CT", InstanceNumber=[1, 2]).freeze().open(session)
    assert opened.archive(tmp_path / "two.zip").is_file()
    assert Folder(tmp_path / "two.zip").instance_count == 2
    assert opened.delete("instance").status.tolist() == ["deleted", "deleted"]
    assert session.refresh().instance_count == 5


def test_a_transfer_over_the_network_keeps_the_dataset(
    overwriting: LocalOrthanc, make_server: MakeServer, orthanc: Orthanc
) -> None:
    """The receiver of C-STORE writes the File Meta Information itself; what is sent here is written by pydicom."""
    session = overwriting.connect().select(Modality="CT")
    cohort, strict = session.freeze(checksums="datasets"), session.freeze()
    other = make_server({})
    for dataset in session.get_instances():
        dataset.file_meta.SourceApplicationEntityTitle = "ELSEWHERE"
        store(other, as_bytes(dataset))
    there = other.connect()
    assert not cohort.difference(there)
    assert cohort.open(there).get_volume().array.shape == (4, 16, 16)
    assert len(strict.difference(there).changed) == 4
