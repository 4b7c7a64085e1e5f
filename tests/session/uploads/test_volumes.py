"""Volumes, arrays and images go to an archive as a series; the table tells what became of each slice."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset

from simple_orthanc.errors import AmbiguousSelectionError, SelectionError, TransportError, VolumeError
from simple_orthanc.selection.store import StoreOutcome
from simple_orthanc.session.acting import ActingSession
from simple_orthanc.session.asynchronous import AsyncSession
from simple_orthanc.session.uploads.files import Uploader
from simple_orthanc.testing import make_series
from simple_orthanc.volume.volume import Volume
from tests.memory_source import MemorySource, as_file
from tests.session.sessions import source_of
from tests.session.store_stand_in import Server

CT = make_series((3, 4, 5), seed=1, SeriesDescription="scan")
MR = make_series((3, 4, 5), modality="MR", seed=2, like=CT[0])


class Uploading(ActingSession):
    """A session on an archive in memory that keeps what is uploaded."""

    def __init__(self, datasets: list[Dataset]) -> None:
        super().__init__(MemorySource([pydicom.dcmread(io.BytesIO(as_file(one))) for one in datasets]))
        self.__dict__["server"] = Server()

    @property
    def _server(self) -> Server:
        server: Server = self.__dict__["server"]
        return server

    def _uploader(self) -> Uploader:
        return Uploader(_Keeping(self._server, source_of(self)))


class _Keeping:
    """The server, which shows what it holds in the archive."""

    def __init__(self, server: Server, source: MemorySource) -> None:
        self._server, self._source = server, source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def store(self, content: bytes) -> StoreOutcome:
        outcome = self._server.store(content)
        if outcome.status == "stored":
            self._source.datasets.append(pydicom.dcmread(io.BytesIO(content)))
        return outcome


def test_a_volume_comes_back() -> None:
    session = Uploading(CT)
    volume = session.get_volume()
    half = volume.with_array(volume.array * 0.5)
    table = session.upload_volume(half, SeriesDescription="half")
    assert list(table.columns) == [
        *("level", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
        *("instance_count", "status", "message"),
    ]
    assert set(table.status) == {"stored"}
    assert set(table.StudyInstanceUID) == {CT[0].StudyInstanceUID}
    back = session.select(SeriesInstanceUID=table.SeriesInstanceUID[0]).get_volume()
    assert np.allclose(back.array, half.array, atol=0.05)
    assert back.geometry == half.geometry
    assert back.header.SeriesDescription == "half"


def test_the_same_call_stores_nothing_twice() -> None:
    session = Uploading(CT)
    volume = session.get_volume()
    first, again = session.upload_volume(volume), session.upload_volume(volume)
    assert list(again.status) == ["already stored"] * 3
    assert list(first.SOPInstanceUID) == list(again.SOPInstanceUID)


def test_a_study_that_the_archive_holds_under_another_patient_is_left_to_the_user() -> None:
    session = Uploading(CT)
    volume = session.get_volume()
    session.upload_dataset(make_series((1, 4, 5), like=CT[0], PatientID="other"))
    assert set(session.upload_volume(volume).status) == {"conflict"}
    assert set(session.upload_volume(volume, allow_foreign_uids=True).status) == {"stored"}


@pytest.mark.parametrize("of", ["volume", "session"])
def test_an_array_takes_the_place_of_what_it_was_computed_from(of: str) -> None:
    session = Uploading(CT)
    volume = session.get_volume()
    table = session.upload_volume(volume.array // 2, like=volume if of == "volume" else session)
    back = session.select(SeriesInstanceUID=table.SeriesInstanceUID[0]).get_volume()
    assert np.array_equal(back.array, volume.array // 2)
    assert (back.geometry, back.units) == (volume.geometry, "HU")


@pytest.mark.parametrize("of", ["volume", "session", "header"])
def test_an_image_has_its_own_place(of: str) -> None:
    session = Uploading(CT)
    image = SimpleITK.Shrink(session.get_image(), [1, 2, 1])
    like = {"volume": session.get_volume(), "session": session, "header": session.get_header(0)}[of]
    table = session.upload_volume(image, like=like)
    back = session.select(SeriesInstanceUID=table.SeriesInstanceUID[0]).get_image()
    assert np.allclose(back.GetOrigin(), image.GetOrigin())
    assert np.array_equal(SimpleITK.GetArrayFromImage(back), SimpleITK.GetArrayFromImage(image))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_file_of_a_volume(tmp_path: Path, suffix: str) -> None:
    session = Uploading(CT)
    volume = session.get_volume()
    path = volume.with_array(volume.array + 7).save(tmp_path / f"result{suffix}")
    table = session.upload_volume(path, like=session, SeriesDescription="from a file")
    back = session.select(SeriesInstanceUID=table.SeriesInstanceUID[0]).get_volume()
    assert np.array_equal(back.array, volume.array + 7)
    assert back.geometry is not None
    assert volume.geometry is not None
    assert back.geometry.isclose(volume.geometry, 1e-4)
    assert back.units == "HU"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("image.dcm", "by upload_file"),
        ("missing.nii.gz", "no such file"),
        ("damaged.nrrd", "cannot be read as a volume"),
    ],
)
def test_files_that_are_no_volume(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "damaged.nrrd").write_bytes(b"NRRD0004\ntype: short\n")
    session = Uploading(CT)
    with pytest.raises(VolumeError, match=problem):
        session.upload_volume(tmp_path / name, like=session)


def test_a_mean_over_time_refers_to_all_steps() -> None:
    later = make_series((3, 4, 5), seed=3, like=CT[0], TemporalPositionIdentifier=2)
    for one, other in zip(later, CT, strict=True):
        one.SeriesInstanceUID = other.SeriesInstanceUID
        other.TemporalPositionIdentifier = 1
    session = Uploading([*CT, *later])
    volume = session.get_volume(dims="time")
    table = session.upload_volume(volume.array.mean(axis=0), like=volume)
    header = session.select(SeriesInstanceUID=table.SeriesInstanceUID[0]).get_header(0)
    assert len(header.SourceImageSequence) == 2


@pytest.mark.parametrize(
    ("given", "like", "error", "problem"),
    [
        (np.zeros((3, 4, 5)), None, VolumeError, "upload_volume\\(array, like=volume\\)"),
        (np.zeros((3, 4, 5)), CT[0], VolumeError, "no place in the patient"),
        (np.zeros((2, 4, 5)), "session", VolumeError, "shape"),
        ([1, 2], None, VolumeError, "A list was given"),
        (SimpleITK.Image(2, 2, 2, SimpleITK.sitkInt16), None, VolumeError, "PatientID"),
    ],
)
def test_what_is_refused_before_anything_is_sent(given: Any, like: Any, error: Any, problem: str) -> None:
    session = Uploading(CT)
    with pytest.raises(error, match=problem):
        session.upload_volume(given, like=session if isinstance(like, str) else like)
    with pytest.raises(SelectionError, match="PatientID"):
        session.upload_volume(session.get_volume(), PatientID="another")
    assert not session._server.received


def test_a_session_on_several_series_is_ambiguous() -> None:
    session = Uploading([*CT, *MR])
    volume = session.copy().select(Modality="CT").get_volume()
    with pytest.raises(AmbiguousSelectionError):
        session.upload_volume(volume, like=session)
    with pytest.raises(AmbiguousSelectionError):
        session.upload_volume(volume.array, like=session)


def test_a_server_that_goes_away() -> None:
    session = Uploading(CT)
    volume = session.get_volume()
    session._server.does_answer = False
    with pytest.raises(TransportError) as caught:
        session.upload_volume(volume)
    assert list(caught.value.table.status) == ["failed"] * 3
    assert caught.value.table.SOPInstanceUID.notna().all()
    session._server.does_answer = True
    assert list(session.upload_volume(volume).status) == ["stored"] * 3


def test_an_interruption_tells_that_nothing_is_known() -> None:
    session = Uploading(CT)
    volume = session.get_volume()
    session._server.answers = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt) as caught:
        session.upload_volume(volume)
    table = vars(caught.value)["table"]
    # What another thread has sent meanwhile is stored.
    assert "failed" in set(table.status) <= {"failed", "stored"}
    assert any("may or may not be stored" in message for message in table.message)


def test_an_interruption_tells_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simple_orthanc.session.uploads.files._WORKERS", 1)
    session = Uploading(make_series((6, 4, 4), seed=1))
    volume = session.get_volume()
    session._server.answers = [None, None, KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt) as caught:
        session.upload_volume(volume)
    table = vars(caught.value)["table"]
    assert list(table.status) == ["stored"] * 2 + ["failed"] * 4
    assert set(table.message[2:]) == {
        "the upload ended early, so it may or may not be stored: the same call sends the rest"
    }
    assert list(session.upload_volume(volume).status) == ["already stored"] * 2 + ["stored"] * 4
    session._server.answers = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt) as caught:
        session.upload_dataset(make_series((2, 4, 4), seed=2))
    assert list(vars(caught.value)["table"].status) == ["failed"] * 2


def test_an_asynchronous_session_is_its_own_source() -> None:
    session = Uploading(CT)

    async def main() -> None:
        asynchronous = AsyncSession(session)
        volume = await asynchronous.get_volume()
        for source in (asynchronous, volume):
            table = await asynchronous.upload_volume(volume.array // 2, like=source)
            assert set(table.status) <= {"stored", "already stored"}
        series = await asynchronous.SeriesInstanceUIDs
        assert table.SeriesInstanceUID[0] in series

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_volume_of_nothing_but_tags() -> None:
    session = Uploading(CT)
    volume = Volume.from_sitk(SimpleITK.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)))
    table = session.upload_volume(volume, PatientID="P9", Modality="OT", StudyInstanceUID="1.2.3.4")
    assert session.select("P9").instance_count == 2
    assert set(table.PatientID) == {"P9"}
