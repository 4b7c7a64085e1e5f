"""What is met in a folder, and what is DICOM."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from simple_orthanc.files import detection
from simple_orthanc.files.detection import (
    PassedBy,
    Walked,
    is_dicomdir,
    is_zip,
    looks_like_dicom,
    object_uid,
    packed_kind,
    refusal,
    walk,
)
from tests.bombs import element, meta
from tests.files.test_walker import FILES, content_of
from tests.memory_source import as_file, instance

FILE = as_file(instance(1))


def met(top: Path, recursive: bool = True) -> list[tuple[str, str]]:
    """Return the names of what a walk visits, with the reason for not reading it, "" for a file."""
    return [
        (os.path.relpath(each.path, top).replace(os.sep, "/"), each.reason if isinstance(each, PassedBy) else "")
        for each in walk(str(top), recursive)
    ]


def test_everything_is_met_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b", "a.txt", "a/z", "a/b/c", "a/a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert met(tmp_path) == [(name, "") for name in ("a/a", "a/b/c", "a/z", "a.txt", "b")]
    assert met(tmp_path, recursive=False) == [("a", "folder not entered"), ("a.txt", ""), ("b", "")]
    first = next(walk(str(tmp_path), True))
    assert isinstance(first, Walked)
    assert first.stat.st_size == 0


def test_circles_end_and_what_is_reached_twice_is_met_once(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").touch()
    (tmp_path / "inner" / "self").symlink_to(tmp_path / "inner")
    (tmp_path / "inner" / "top").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "inner" / "file")
    os.link(tmp_path / "inner" / "file", tmp_path / "other name")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    found = dict(met(tmp_path))
    assert found == {
        "a": "no such file",
        "b": "no such file",
        "gone": "no such file",
        "inner/file": "",
        "inner/self": "reached already",
        "inner/top": "reached already",
        "link": "reached already",
        "other name": "reached already",
    }


def test_a_link_out_of_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "elsewhere")
    assert met(tmp_path / "top") == [("link/file", "")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_anything_but_a_file_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    assert met(tmp_path) == [("device", "not a regular file"), ("pipe", "not a regular file")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (FILE, None),
        (b"", ("not DICOM", "the file is empty")),
        (b"%PDF-1.4", ("not DICOM", "neither the DICM prefix nor a DICOM dataset without it")),
        (b"PK\x03\x04", ("skipped", "a zip inside a zip")),
    ],
)
def test_what_is_refused(content: bytes, expected: tuple[str, str] | None) -> None:
    assert refusal(content, in_zip=True) == expected
    assert looks_like_dicom(content) == (expected is None)


def test_a_file_that_mentions_a_dicomdir_is_not_one() -> None:
    assert not is_dicomdir(as_file(instance(1, ReferencedSOPClassUIDInFile="1.2.840.10008.1.3.10")))


def test_the_object_is_named_by_its_dataset() -> None:
    assert object_uid(FILE) == "1.2.1.1.1"
    assert object_uid(b"") is None


SOP_CLASS = element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.7\0")
AFTER = element(0x00080060, "CS", b"CT")


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (SOP_CLASS + element(0x00080018, "UI", b"1.2.3 ") + AFTER, "1.2.3"),
        (element(0x00080018, "UI", b"\\1.2.3\\1.2.4\0"), "1.2.3"),
        (element(0x00080018, "UI", b"1.2\0003"), "1.2\0003"),
        (element(0x00080018, "SH", b"1.2.3 "), "1.2.3"),
        (element(0x00080018, "UI", b"") + AFTER, ""),
        (SOP_CLASS + AFTER, ""),
        (AFTER + element(0x00080018, "UI", b"1.2.3 "), ""),
        (element(0x00080018, "UI", b"1.2.3 ", length=2000), None),
        (b"", ""),
    ],
    ids=["padded", "several", "zero inside", "other VR", "empty", "missing", "out of order", "cut off", "no element"],
)
def test_a_plain_object_is_named_as_pydicom_reads_it(elements: bytes, expected: str | None) -> None:
    content = meta(ExplicitVRLittleEndian) + elements
    by_pydicom = detection._uid_by_pydicom(content)
    assert expected is None or by_pydicom == expected
    # Without one, the file meta information names it.
    assert object_uid(content) == (by_pydicom or "1.2.1.1.1")


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_any_transfer_syntax_is_named_without_pydicom(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = dcmread(io.BytesIO(content_of(name))).SOPInstanceUID
    monkeypatch.setattr(detection, "_uid_by_pydicom", lambda content: "by pydicom")
    assert object_uid(content_of(name)) == expected


def test_zips() -> None:
    assert is_zip(b"PK\x05\x06" + bytes(18))
    assert not is_zip(FILE)


def tarred(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("image.dcm")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


PACKED = {
    "a gzip file": gzip.compress(FILE),
    "a tar archive": tarred(FILE),
    "a bzip2 file": bz2.compress(FILE),
    "an xz file": lzma.compress(FILE),
    "a zstd file": b"\x28\xb5\x2f\xfd" + bytes(300),
    "a 7z archive": b"7z\xbc\xaf\x27\x1c" + bytes(300),
    "a RAR archive": b"Rar!\x1a\x07\x01\x00" + bytes(300),
}


@pytest.mark.parametrize(("kind", "content"), PACKED.items(), ids=list(PACKED))
def test_a_packed_file_is_refused_by_what_it_is(kind: str, content: bytes) -> None:
    assert packed_kind(content) == kind
    assert refusal(content, in_zip=False) == ("not DICOM", f"{kind}, which is not opened: unpack it first")
    # What a server is to judge is not judged here.
    assert refusal(content, in_zip=False, test_dicom=False) is None


def test_an_image_is_no_packed_file() -> None:
    assert packed_kind(FILE) is None
    assert packed_kind(b"") is None
