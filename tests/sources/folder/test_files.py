"""What becomes of each file of a folder or a zip, and what is read of it later."""

from __future__ import annotations

import gzip
import io
import os
import warnings
import zipfile
from pathlib import Path

import pytest

from simple_orthanc import Folder
from simple_orthanc.errors import (
    SelectionError,
    TransportError,
)
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.selection.store import StoreOutcome
from simple_orthanc.session.uploads.files import jobs_in_folder
from simple_orthanc.sources.folder import files as folder_files
from tests.memory_source import as_file, instance
from tests.session.uploads.test_files import Server, dicomdir, without_preamble, zipped
from tests.sources.folder.folders import (
    counts,
    image,
    opened_quietly,
    rows,
    statuses,
    write,
    zipfile_stored,
)


def nameless() -> bytes:
    dataset = instance(1)
    del dataset.SeriesInstanceUID
    dataset.StudyInstanceUID = ""
    return as_file(dataset)


KINDS: dict[str, tuple[bytes, str, str]] = {
    "explicit": (without_preamble(instance(1), implicit=False, little=True), "indexed", ""),
    "implicit": (without_preamble(instance(2), implicit=True, little=True), "indexed", ""),
    "big": (without_preamble(instance(3), implicit=False, little=False), "indexed", ""),
    "empty": (b"", "not DICOM", "the file is empty"),
    "notes.txt": (b"notes", "not DICOM", "neither the DICM prefix"),
    "report.pdf": (b"%PDF-1.4", "not DICOM", "neither the DICM prefix"),
    "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(200), "not DICOM", "neither the DICM prefix"),
    "zeros": (bytes(1000), "not DICOM", "neither the DICM prefix"),
    "almost": (b"\x08\x00\x05\x00not really DICOM at all", "not DICOM", "neither the DICM prefix"),
    "bare prefix": (bytes(128) + b"DICM", "incomplete", "it has no StudyInstanceUID"),
    "nameless": (nameless(), "incomplete", "it has no StudyInstanceUID and no SeriesInstanceUID, without which"),
    "cut": (image()[:-1], "unreadable", "cut off"),
    "cut early": (image()[:700], "unreadable", "cut off"),
    "DICOMDIR": (dicomdir(), "skipped", "a DICOMDIR: a list of files"),
    "no zip": (b"PK\x03\x04", "unreadable", "a broken zip"),
    "cut zip": (zipped(a=as_file(instance(9)))[:-30], "unreadable", "a broken zip"),
    "empty zip": (zipped(), "skipped", "a zip without files"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_becomes_of_a_file(tmp_path: Path, name: str) -> None:
    content, status, message = KINDS[name]
    write(tmp_path, {name: content})
    found = rows(opened_quietly(tmp_path))[name]
    assert found[0] == status
    assert message in found[1]


def test_one_warning_counts_what_should_have_been_dicom(tmp_path: Path) -> None:
    write(tmp_path, {name: content for name, (content, _, _) in KINDS.items()})
    write(tmp_path, {"slice.DCM": b"notes", "x.dcm": b""})
    with pytest.warns(UserWarning, match="should be DICOM") as caught:
        folder = Folder(tmp_path)
    (warning,) = caught
    assert str(warning.message) == (
        f"8 files in {tmp_path} should be DICOM and are not used: 2 named like DICOM but something else; "
        f"2 without an identifier; 4 unreadable. Folder.files lists them."
    )
    assert warning.filename == __file__
    assert folder.instance_count == 3
    # Told once.
    assert folder.refresh().instance_count == 3
    write(tmp_path, {"y.dcm": b""})
    with pytest.warns(UserWarning, match=r"^1 file in .* is not used: 1 named like DICOM but something else"):
        folder.refresh()


def test_other_files_are_no_reason_to_warn(tmp_path: Path) -> None:
    write(tmp_path, {"a": as_file(instance(1)), "notes.txt": b"notes", "b.pdf": b"%PDF", "Thumbs.db": bytes(300)})
    assert counts(Folder(tmp_path)) == [1, 1, 1, 1]


def test_compressed_images_in_a_folder_are_warned_about(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm.gz").write_bytes(gzip.compress(as_file(instance(number))))
    (tmp_path / "notes.txt.gz").write_bytes(gzip.compress(b"notes"))
    (tmp_path / "image.dcm").write_bytes(as_file(instance(9)))
    with pytest.warns(UserWarning, match="3 compressed with gzip, to be unpacked first"):
        assert Folder(tmp_path, cache=False).instance_count == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_row(top: Path) -> None:
    (top / "c").chmod(0)
    (top / "a").chmod(0)
    try:
        with pytest.warns(UserWarning, match="2 unreadable"):
            folder = Folder(top)
    finally:
        (top / "a").chmod(0o700)
    assert rows(folder)["a"] == ("unreadable", "the folder cannot be read: Permission denied")
    assert rows(folder)["c"] == ("unreadable", "the file cannot be read: Permission denied")


def test_a_file_that_fails_while_it_is_read_is_a_row_and_is_tried_again(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(folder_files, "SLOWEST_CLOCK", 0)
    with monkeypatch.context() as patch:
        patch.setattr(folder_files, "read_tags", failing)
        folder = opened_quietly(top, cache=tmp_path)
        assert set(rows(folder).values()) == {("unreadable", "the file cannot be read: Input/output error")}
    assert counts(Folder(top, cache=tmp_path)) == counts(folder.refresh()) == [2, 3, 4, 7]


def test_links_in_a_circle_and_pipes(top: Path) -> None:
    (top / "a" / "up").symlink_to(top)
    (top / "a" / "b" / "self").symlink_to(top / "a" / "b" / "self")
    (top / "twin").symlink_to(top / "a")
    (top / "z").symlink_to(top / "c")
    os.mkfifo(top / "pipe")
    with pytest.warns(UserWarning, match="1 unreadable"):
        folder = Folder(top)
    assert counts(folder) == [2, 3, 4, 7]
    found = statuses(folder)
    names = ("a/up", "twin", "z", "pipe", "a/b/self")
    assert [found[name] for name in names] == ["skipped"] * 4 + ["unreadable"]


def test_uploading_agrees_on_what_is_dicom(tmp_path: Path) -> None:
    write(tmp_path, {name: content for name, (content, _, _) in KINDS.items()})
    write(tmp_path, {"z.zip": zipped(a=as_file(instance(5)), b=b"notes", c=zipped(x=b""), d=dicomdir())})

    class Accepting(Server):
        def store(self, content: bytes | LongFile) -> StoreOutcome:
            return StoreOutcome("stored", "")

    uploaded = Accepting().run(jobs_in_folder(tmp_path, True))
    folder = opened_quietly(tmp_path)
    reports = {(os.path.basename(str(each.path)), each.member): each.status for each in uploaded}
    expected = {"indexed": "stored", "incomplete": "stored", "unreadable": "stored"}
    for name, status in statuses(folder).items():
        path, _, member = name.partition("!")
        said = reports[path, member or None]
        broken_zip = said == "failed"
        assert said == expected.get(status, status) or (broken_zip and status == "unreadable"), name
    assert len(reports) == len(folder.files)


def test_the_members_of_a_zip(tmp_path: Path) -> None:
    members = {"a": as_file(instance(1)), "in__b.dcm": as_file(instance(2)), "c.dcm": b"notes", "d": dicomdir()}
    write(tmp_path, {"x/study.zip": zipped(**members, e=zipped(f=as_file(instance(3))))})
    with pytest.warns(UserWarning, match="1 named like DICOM but something else"):
        folder = Folder(tmp_path)
    assert statuses(folder) == {
        "x/study.zip!a": "indexed",
        "x/study.zip!in/b.dcm": "indexed",
        "x/study.zip!c.dcm": "not DICOM",
        "x/study.zip!d": "skipped",
        "x/study.zip!e": "skipped",
    }
    assert [header.InstanceNumber for header in folder.get_headers()] == [1, 2]
    paths = folder.download(tmp_path / "copies")
    assert [path.read_bytes() for path in paths] == [members["a"], members["in__b.dcm"]]
    alone = opened_quietly(tmp_path / "x" / "study.zip")
    assert counts(alone) == counts(folder)
    assert folder.get_dicom_tag("SOPClassUID") == ["1.2.840.10008.5.1.4.1.1.7"]


def test_members_of_one_name_and_of_hostile_names(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)
        for number, name in enumerate(["same", "same", "../../up", "/etc/passwd"]):
            archive.writestr(name, as_file(instance(number)))
    (tmp_path / "x.zip").write_bytes(stream.getvalue())
    folder = Folder(tmp_path)
    assert [header.InstanceNumber for header in folder.get_headers()] == [0, 1, 2, 3]
    paths = folder.download(tmp_path / "copies")
    assert all(path.is_relative_to(tmp_path / "copies") for path in paths)


def test_broken_and_locked_members_are_rows(tmp_path: Path) -> None:
    broken = bytearray(zipped(a=as_file(instance(1)), b=as_file(instance(2))))
    broken[60] ^= 0xFF
    locked = bytearray(zipped(a=as_file(instance(3)), b=as_file(instance(4))))
    locked[6] |= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    # Broken behind the header, where only the checksum of the whole shows it.
    late = bytearray(zipfile_stored(a=image()))
    late[late.index(b"PK\x01\x02") - 20] ^= 0xFF
    write(tmp_path, {"broken.zip": bytes(broken), "locked.zip": bytes(locked), "late.zip": bytes(late)})
    with pytest.warns(UserWarning, match="3 unreadable"):
        folder = Folder(tmp_path)
    found = rows(folder)
    assert [found[f"{name}.zip!a"][0] for name in ("broken", "locked", "late")] == ["unreadable"] * 3
    assert "encrypted" in found["locked.zip!a"][1]
    assert "CRC" in found["late.zip!a"][1]
    assert folder.instance_count == 2


def test_many_zips(tmp_path: Path) -> None:
    write(tmp_path, {f"{number}.zip": zipped(a=as_file(instance(number))) for number in range(12)})
    folder = Folder(tmp_path)
    assert [header.InstanceNumber for header in folder.get_headers()] == list(range(12))
    assert len(folder.get_headers()) == 12


def test_what_changed_since_is_not_taken_for_what_it_was(top: Path, tmp_path: Path) -> None:
    folder = Folder(top).select(StudyInstanceUID="1.2.2")
    (top / "c").write_bytes(as_file(instance(5)))
    for read in (folder.get_header, folder.get_instances, lambda: folder.download(tmp_path), lambda: folder.KVP):
        with pytest.raises(SelectionError, match=r"is gone, or has changed.*refresh\(\) looks again"):
            read()
    (top / "c").unlink()
    with pytest.raises(SelectionError, match="is gone, or has changed"):
        folder.get_header()
    assert list(tmp_path.rglob("*.part")) == []


def test_a_zip_that_changed_or_went_bad(tmp_path: Path) -> None:
    write(tmp_path, {"x.zip": zipped(a=as_file(instance(1)))})
    folder = Folder(tmp_path)
    assert folder.get_header().InstanceNumber == 1
    write(tmp_path, {"x.zip": zipped(a=as_file(instance(1)), b=as_file(instance(2)))})
    with pytest.raises(SelectionError, match="has changed"):
        folder.get_header()
    assert len(folder.refresh().get_headers()) == 2
    (tmp_path / "x.zip").unlink()
    with pytest.raises(SelectionError, match="is gone"):
        folder.get_headers()


def test_what_fails_while_it_is_read(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(top).select(StudyInstanceUID="1.2.2")
    folder.get_header()

    class Failing(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(folder._source.files, "opened", lambda item: Failing())  # type: ignore[attr-defined]
    for read in (folder.get_header, folder.get_instances, lambda: folder.KVP):
        with pytest.raises(TransportError, match="cannot be read: Input/output error"):
            read()
