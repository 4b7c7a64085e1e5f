"""What receives copies holds what it held before, and takes the rest whole."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Folder
from simple_orthanc.errors import SelectionError, ServerError, TransportError, UnsupportedError
from simple_orthanc.files.paths import put_new
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.session.acts import receiving
from simple_orthanc.session.acts.originals import Original, OriginalError
from simple_orthanc.session.acts.receiving import FolderReceiver, ServerReceiver, Unchecked
from simple_orthanc.session.acts.reports import Target
from simple_orthanc.session.uploads.files import Uploader
from tests.killed import contents
from tests.memory_source import MemorySource, as_file, instance
from tests.session.store_stand_in import Server

ONE, CHANGED = instance(1), instance(1, PatientComments="changed")
UID = str(ONE.SOPInstanceUID)


class Telling(MemorySource):
    """Tells the MD5 of its files, as an Orthanc does."""

    def stored_file(self, key: str) -> StoredFile:
        content = as_file(self._dataset(key))
        return StoredFile(len(content), hashlib.md5(content).hexdigest())


class Silent(MemorySource):
    """Tells nothing of its files, as a DICOMweb server does."""

    def stored_file(self, key: str) -> StoredFile:
        return StoredFile()


def original_of(source: MemorySource, dataset: Dataset, scratch: Path) -> Original:
    identifiers = (dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    key = source.key(dataset, "instance")
    return Original(source, Target("instance", key, tuple(map(str, identifiers)), (key,)), scratch)


# Servers


def sent_to(server: Server, source: MemorySource, scratch: Path, dataset: Dataset = ONE) -> tuple[str, str]:
    receiver = ServerReceiver(Uploader(server))
    with receiver.started():
        taken = receiver.take(original_of(source, dataset, scratch))
    if isinstance(taken, Unchecked):
        assert taken.outcome.message
        (taken,) = receiver.check([taken])
    return taken.status, taken.message


@pytest.mark.parametrize("kind", [MemorySource, Telling, Silent])
def test_what_a_server_lacks_is_sent_and_compared(kind: type[MemorySource], tmp_path: Path) -> None:
    server = Server()
    assert sent_to(server, kind([ONE]), tmp_path) == ("sent", "")
    assert server.held == {UID: as_file(ONE)}


@pytest.mark.parametrize("kind", [MemorySource, Telling, Silent])
def test_what_a_server_holds_is_not_sent_again(kind: type[MemorySource], tmp_path: Path) -> None:
    server, source = Server(), kind([ONE])
    server.held[UID] = as_file(ONE)
    assert sent_to(server, source, tmp_path) == ("already there", "")
    assert server.received == []
    # Nor is it read, where both know checksums.
    assert ("content" in source.asked) is (kind is not Telling)


@pytest.mark.parametrize("kind", [MemorySource, Telling, Silent])
def test_what_a_server_holds_in_another_form_is_not_replaced(kind: type[MemorySource], tmp_path: Path) -> None:
    server = Server()
    server.held[UID] = as_file(CHANGED)
    status, message = sent_to(server, kind([ONE]), tmp_path)
    assert status == "conflict"
    assert "keeps it" in message
    assert server.received == []
    server.transcodes = True
    status, message = sent_to(server, kind([ONE]), tmp_path)
    assert status == "already there"
    assert "transcodes" in message


def with_other_meta(dataset: Dataset) -> bytes:
    """Write a dataset as another program would: with other file meta information."""
    copy = pydicom.dcmread(io.BytesIO(as_file(dataset)))
    copy.file_meta.ImplementationVersionName = "OTHER"
    stream = io.BytesIO()
    copy.save_as(stream)
    return stream.getvalue()


def test_the_same_object_in_another_file_is_no_conflict(tmp_path: Path) -> None:
    server, equal = Server(), "in a file with other bytes, and equal in all elements"
    server.held[UID] = with_other_meta(ONE)
    assert sent_to(server, Telling([ONE]), tmp_path) == ("already there", equal)
    assert server.received == []
    folder = target(tmp_path, {"mine.dcm": with_other_meta(ONE)})
    assert written_to(folder, Telling([ONE]), tmp_path) == [("already there", equal)]
    # Pixels of two transfer syntaxes are not compared, so that such files differ.
    other = pydicom.dcmread(io.BytesIO(as_file(ONE)))
    stream = io.BytesIO()
    other.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    pydicom.dcmwrite(stream, other, enforce_file_format=True)
    server.held[UID] = stream.getvalue()
    assert sent_to(server, Telling([ONE]), tmp_path)[0] == "conflict"


def test_what_cannot_be_read_for_a_comparison_is_a_conflict(tmp_path: Path) -> None:
    class Sealed(Server):
        def content(self, key: str) -> bytes:
            raise ServerError("forbidden", status=403)

    server = Sealed()
    server.held[UID] = as_file(CHANGED)
    assert sent_to(server, Telling([ONE]), tmp_path)[0] == "conflict"


def test_a_study_that_the_server_holds_under_another_patient_is_sent_only_if_allowed(tmp_path: Path) -> None:
    server, foreign = Server(), instance(2, patient="P2")
    server.held[UID] = as_file(ONE)
    status, message = sent_to(server, MemorySource([foreign]), tmp_path, foreign)
    assert status == "conflict"
    assert "the same call with allow_foreign_uids=True" in message
    receiver = ServerReceiver(Uploader(server), allow_foreign_uids=True)
    taken = receiver.take(original_of(MemorySource([foreign]), foreign, tmp_path))
    assert isinstance(taken, Unchecked)
    assert receiver.check([taken])[0].status == "sent"


def test_a_server_without_checksums_is_compared_by_identifiers(tmp_path: Path) -> None:
    server = Server()
    server.held[UID], server.keeps_checksums = as_file(CHANGED), False
    status, message = sent_to(server, Telling([ONE]), tmp_path)
    assert status == "already there"
    assert "no checksums" in message


def test_what_a_server_refuses_or_changes_is_said(tmp_path: Path) -> None:
    server = Server()
    server.answers = [ServerError("no", status=507, details="Full storage"), ("filtered", "")]
    assert sent_to(server, MemorySource([ONE]), tmp_path) == ("failed", "Full storage")
    assert sent_to(server, MemorySource([ONE]), tmp_path) == ("failed", "the server's filter refused it")

    class Changing(Server):
        def changed(self, content: bytes) -> bytes:
            return as_file(CHANGED)

    status, message = sent_to(Changing(), MemorySource([ONE]), tmp_path)
    assert status == "sent"
    assert "other values of PatientComments" in message


def test_an_original_that_goes_before_it_is_compared_again_is_said(tmp_path: Path) -> None:
    source = MemorySource([ONE])

    class Changing(Server):
        def changed(self, content: bytes) -> bytes:
            source.datasets = []
            return as_file(CHANGED)

    status, message = sent_to(Changing(), source, tmp_path)
    assert status == "sent"
    assert "cannot be compared" in message


def test_a_server_that_does_not_show_what_it_holds_is_sent_to(tmp_path: Path) -> None:
    class Blind(Server):
        def find(self, content: Any) -> str | None:
            raise ServerError("forbidden", status=403)

    assert sent_to(Blind(), MemorySource([ONE]), tmp_path) == ("sent", "")


def test_a_server_that_is_gone_is_an_error_at_once(tmp_path: Path) -> None:
    server = Server()
    server.does_answer = False
    receiver = ServerReceiver(Uploader(server))
    with pytest.raises(TransportError, match="connection refused"):
        receiver.take(original_of(MemorySource([ONE]), ONE, tmp_path))
    server.does_answer = True
    # It is not waited for a second time.
    assert not receiver.is_alive()


def test_an_original_that_is_gone_is_no_fault_of_the_server(tmp_path: Path) -> None:
    with pytest.raises(OriginalError):
        ServerReceiver(Uploader(Server())).take(original_of(MemorySource([]), ONE, tmp_path))


# Folders


def target(tmp_path: Path, files: dict[str, bytes]) -> Folder:
    """Open a folder that holds files, and one more that makes it an archive."""
    top = tmp_path / "target"
    for name, content in {**files, "other.dcm": as_file(instance(9, patient="OTHER"))}.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with warnings.catch_warnings():
        # A file in the way is called DICOM and is not.
        warnings.simplefilter("ignore", UserWarning)
        return Folder(top, cache=False)


def written_to(
    folder: Folder, source: MemorySource, scratch: Path, datasets: Sequence[Dataset] = (ONE,)
) -> list[tuple[str, str]]:
    originals = [original_of(source, dataset, scratch) for dataset in datasets]
    receiver = folder._receiver([original.target for original in originals], False)
    outcomes = []
    with receiver.started():
        for original in originals:
            taken = receiver.take(original)
            assert not isinstance(taken, Unchecked)
            outcomes.append((taken.status, taken.message))
    assert receiver.check([]) == []
    assert receiver.is_alive()
    return outcomes


PATH = "P1/1.2.1/1.2.1.1/1.2.1.1.1.dcm"


@pytest.mark.parametrize("kind", [MemorySource, Telling, Silent])
def test_a_file_is_written_whole_and_once(kind: type[MemorySource], tmp_path: Path) -> None:
    folder = target(tmp_path, {})
    before = contents(tmp_path / "target")
    assert written_to(folder, kind([ONE]), tmp_path) == [("sent", "")]
    assert contents(tmp_path / "target") == {**before, PATH: as_file(ONE)}
    assert written_to(folder, kind([ONE]), tmp_path) == [("already there", "")]
    assert contents(tmp_path / "target") == {**before, PATH: as_file(ONE)}


@pytest.mark.parametrize("kind", [MemorySource, Telling, Silent])
@pytest.mark.parametrize("name", ["elsewhere/mine.dcm", PATH])
def test_a_file_under_any_name_is_found(kind: type[MemorySource], name: str, tmp_path: Path) -> None:
    folder = target(tmp_path, {name: as_file(ONE)})
    assert written_to(folder, kind([ONE]), tmp_path) == [("already there", "")]
    folder = target(tmp_path, {name: as_file(CHANGED)})
    before = contents(tmp_path / "target")
    ((status, message),) = written_to(folder, kind([ONE]), tmp_path)
    assert status == "conflict"
    assert f"{name} has the same identifiers" in message
    assert contents(tmp_path / "target") == before


def test_a_member_of_a_zip_is_found(tmp_path: Path) -> None:
    folder = target(tmp_path, {})
    with zipfile.ZipFile(tmp_path / "target" / "z.zip", "w") as archive:
        archive.writestr("a.dcm", as_file(ONE))
    assert written_to(folder, Telling([ONE]), tmp_path) == [("already there", "")]
    ((status, message),) = written_to(folder, Telling([CHANGED]), tmp_path)
    assert (status, "a.dcm in" in message) == ("conflict", True)


def test_a_file_in_the_way_stays(tmp_path: Path) -> None:
    folder = target(tmp_path, {PATH: b"notes"})
    before = contents(tmp_path / "target")
    ((status, message),) = written_to(folder, MemorySource([ONE]), tmp_path)
    assert status == "conflict"
    assert "is there, and is not this instance: move it away" in message
    assert contents(tmp_path / "target") == before


def test_a_file_that_another_process_writes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    folder = target(tmp_path, {})
    path = tmp_path / "target" / PATH

    class Racing(MemorySource):
        def save(self, key: str, to: Path) -> None:
            super().save(key, to)
            path.parent.mkdir(parents=True)
            path.write_bytes(self.other)

    source = Racing([ONE])
    source.other = as_file(ONE)  # type: ignore[attr-defined]
    assert written_to(folder, source, tmp_path) == [("already there", "")]
    path.unlink()
    os.removedirs(path.parent)
    source.other = b"notes"  # type: ignore[attr-defined]
    ((status, _),) = written_to(folder, source, tmp_path)
    assert status == "conflict"
    assert path.read_bytes() == b"notes"


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    folder = target(tmp_path, {})
    assert written_to(folder, MemorySource([ONE]), tmp_path) == [("sent", "")]
    assert (tmp_path / "target" / PATH).read_bytes() == as_file(ONE)
    part = tmp_path / "part"
    part.write_bytes(b"new")
    assert not put_new(part, tmp_path / "target" / PATH)
    assert (tmp_path / "target" / PATH).read_bytes() == as_file(ONE)


def test_a_full_disk_is_written_to_no_more(tmp_path: Path) -> None:
    class Full(MemorySource):
        def save(self, key: str, path: Path) -> None:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    datasets = [instance(number) for number in (1, 2, 3)]
    folder = target(tmp_path, {"there.dcm": as_file(datasets[2])})
    before = contents(tmp_path / "target")
    outcomes = written_to(folder, Full(datasets), tmp_path, datasets)
    assert [status for status, _ in outcomes] == ["failed", "not tried", "already there"]
    assert outcomes[0][1] == f"cannot be written to {tmp_path / 'target'}: No space left on device"
    assert "disk is full: free some space" in outcomes[1][1]
    assert contents(tmp_path / "target") == before


def test_what_cannot_be_compared_is_a_row(tmp_path: Path) -> None:
    class Gone(Telling):
        def is_copy(self, key: str, path: Path) -> bool:
            path.unlink()
            return path.stat().st_size == 0

    folder = target(tmp_path, {"mine.dcm": as_file(ONE)})
    ((status, message),) = written_to(folder, Gone([ONE]), tmp_path)
    assert status == "failed"
    assert message == f"cannot be compared with what is in {tmp_path / 'target'}: No such file or directory"


def test_what_cannot_be_written_is_a_row(tmp_path: Path) -> None:
    folder = target(tmp_path, {"P1": b"a file in the place of a folder"})
    ((status, message),) = written_to(folder, MemorySource([ONE]), tmp_path)
    assert status == "failed"
    assert message.startswith(f"cannot be written to {tmp_path / 'target'}: ")


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> Any:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(receiving, "staging_folder", refuse)
    receiver = target(tmp_path, {})._receiver([], False)
    with pytest.raises(SelectionError, match=r"cannot be written to: Read-only.*Nothing was sent"), receiver.started():
        raise AssertionError


def test_what_is_no_folder_takes_nothing(tmp_path: Path) -> None:
    folder = target(tmp_path, {})
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a.dcm", as_file(ONE))
    with pytest.raises(UnsupportedError, match="is no folder"):
        Folder(tmp_path / "z.zip", cache=False)._receiver([], False)
    with pytest.raises(UnsupportedError, match="recursive=False"):
        Folder(folder._source.description, recursive=False, cache=False)._receiver([], False)


def test_hostile_identifiers_stay_inside(tmp_path: Path) -> None:
    folder = target(tmp_path, {})
    hostile = [
        instance(number, patient=patient) for number, patient in enumerate(("../../x", "/etc", "a\0b", "", "CON"))
    ]
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {status for status, _ in written_to(folder, Silent(hostile), tmp_path, hostile)} == {"sent"}
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert len(new) == len(hostile)
    assert all((tmp_path / "target") in path.parents for path in new)
    # All of them are then part of the archive.
    assert folder.refresh().instance_count == len(hostile) + 1


def test_the_source_of_a_folder_is_looked_at_again(tmp_path: Path) -> None:
    folder = target(tmp_path, {})
    assert folder.instance_count == 1
    (tmp_path / "target" / "later.dcm").write_bytes(as_file(ONE))
    assert written_to(folder, MemorySource([ONE]), tmp_path) == [("already there", "")]
    assert isinstance(folder._receiver([], False), FolderReceiver)
