"""What is DICOM in a pile of files, and what is reported of each."""

from __future__ import annotations

import copy
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from simple_orthanc.errors import SelectionError, ServerError
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.session.uploads import files as uploads
from simple_orthanc.session.uploads.files import (
    Report,
    jobs_for,
    jobs_for_datasets,
    jobs_in_folder,
    looks_like_dicom,
    report_table,
)
from tests.memory_source import as_file, instance
from tests.session.store_stand_in import FILE, OTHER, OTHER_UID, UID, Server, folder, one, rows, zipped


@pytest.fixture(autouse=True)
def _one_file_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send one file after the other: which of two equal files comes first is then no matter of chance."""
    monkeypatch.setattr(uploads, "_WORKERS", 1)


def without_preamble(dataset: Dataset, *, implicit: bool, little: bool) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = implicit, little
    write_dataset(stream, dataset)
    return stream.getvalue()


def dicomdir() -> bytes:
    dataset = Dataset()
    dataset.FileSetID = "SET"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.UID("1.2.840.10008.1.3.10")
    dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("1.2.3")
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


# What a file is


BROKEN_META = FILE[:132] + b"\x02\x00\x00\x00UL\x04\x00\xff\xff\xff\x7f" + FILE[144:]


@pytest.mark.parametrize(
    ("content", "status", "message", "sent"),
    [
        (FILE, "stored", "", True),
        (without_preamble(instance(1), implicit=True, little=True), "stored", "", True),
        (without_preamble(instance(1), implicit=False, little=True), "stored", "", True),
        (without_preamble(instance(1), implicit=False, little=False), "stored", "", True),
        (b"", "not DICOM", "the file is empty", False),
        (b"\x00" * 500, "not DICOM", "neither the DICM prefix nor", False),
        (b"%PDF-1.4 and so on", "not DICOM", "neither the DICM prefix nor", False),
        (b"\x08\x00\x05\x00not really DICOM at all", "not DICOM", "neither the DICM prefix nor", False),
        (b"\x08\x00", "not DICOM", "neither the DICM prefix nor", False),
        (dicomdir(), "skipped", "a DICOMDIR: a list of files, not an object", False),
        (bytes(128) + b"DICM", "failed", "Bad file format", True),
        (BROKEN_META, "failed", "", True),
    ],
)
def test_what_becomes_of_a_file(tmp_path: Path, content: bytes, status: str, message: str, sent: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for what in (path, str(path), content):
        server = Server()
        if content is BROKEN_META:
            server.answers = [ServerError("no", status=400, details="Bad file format")]
        report = one(server.upload(what))
        assert report.status == status
        assert message in report.message
        assert (len(server.received) == 1) == sent
        assert report.path == (None if isinstance(what, bytes) else str(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"\x00" * 500, b"%PDF-1.4 and so on"])
def test_without_the_test_the_server_judges(content: bytes) -> None:
    server = Server()
    report = one(server.upload(content, test_dicom=False))
    assert (report.status, report.message) == ("not DICOM", "Bad file format")
    assert server.received == [content]
    # These two are known without looking for DICOM.
    assert one(server.upload(b"", test_dicom=False)).status == "not DICOM"
    assert one(server.upload(dicomdir(), test_dicom=False)).status == "skipped"
    assert len(server.received) == 1


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "ExplVR_BigEndNoMeta.dcm"])
def test_real_files_look_like_dicom(name: str) -> None:
    path = get_testdata_file(name)
    assert path is not None
    content = Path(str(path)).read_bytes()
    assert looks_like_dicom(content)
    report = one(Server().upload(content))
    assert report.status == "stored"
    assert report.uid == pydicom.dcmread(path, force=True).SOPInstanceUID


def test_the_report_names_the_instance_and_the_table_has_its_columns() -> None:
    reports = Server().upload([FILE, b""])
    assert reports[0] == Report(None, None, "stored", UID, "")
    frame = report_table(reports)
    assert list(frame.columns) == ["path", "member", "status", "SOPInstanceUID", "message"]
    assert {str(kind) for kind in frame.dtypes} == {"string"}
    assert frame["status"].tolist() == ["stored", "not DICOM"]
    assert pd.isna(frame["SOPInstanceUID"][1])
    empty = report_table([])
    assert list(empty.columns) == list(frame.columns)
    assert len(empty) == 0


# Piles of files


def test_a_folder_in_the_order_of_names(tmp_path: Path) -> None:
    top = folder(tmp_path)
    flat = Server().run(jobs_in_folder(top, False))
    assert rows(flat, top) == [
        ("a.txt", None, "not DICOM"),
        ("b.dcm", None, "stored"),
        ("inner", None, "skipped"),
        ("z.zip", "x", "already stored"),
    ]
    assert "recursive=True" in flat[2].message
    assert rows(Server().run(jobs_in_folder(str(top), True)), top) == [
        ("a.txt", None, "not DICOM"),
        ("b.dcm", None, "stored"),
        ("inner/c", None, "stored"),
        ("inner/deep/d", None, "not DICOM"),
        ("z.zip", "x", "already stored"),
    ]


def test_links_are_followed_once_and_what_leads_nowhere_is_a_row(tmp_path: Path) -> None:
    top = folder(tmp_path)
    (top / "inner" / "up").symlink_to(top)
    (top / "twin").symlink_to(top / "inner")
    (top / "gone").symlink_to(top / "nowhere")
    reports = Server().run(jobs_in_folder(top, True))
    found = {os.path.relpath(str(report.path), top): (report.status, report.message) for report in reports}
    assert found["inner/up"] == ("skipped", "a link to a folder that was entered already")
    assert found["twin"] == ("skipped", "a link to a folder that was entered already")
    assert found["gone"] == ("failed", "no such file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    report = one(Server().run(jobs_in_folder(tmp_path, True)))
    assert (report.status, report.message) == ("failed", "not a regular file")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_row(tmp_path: Path) -> None:
    top = folder(tmp_path)
    (top / "b.dcm").chmod(0)
    (top / "inner").chmod(0)
    try:
        reports = Server().run(jobs_in_folder(top, True))
    finally:
        (top / "inner").chmod(0o700)
    assert [report.message for report in reports[1:3]] == [
        "the file cannot be read: Permission denied",
        "the folder cannot be read: Permission denied",
    ]


def test_a_file_that_is_gone_when_its_turn_comes_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(FILE)
    jobs = list(jobs_for(path))
    path.unlink()
    report = one(Server().run(jobs))
    assert report.status == "failed"
    assert "cannot be read" in report.message


def test_lists_of_anything(tmp_path: Path) -> None:
    top = folder(tmp_path)
    pile = [top / "b.dcm", [OTHER, str(top / "inner")], bytearray(FILE), memoryview(b""), top / "none"]
    reports = Server().upload(pile)
    statuses = [report.status for report in reports]
    assert statuses[1:3] + statuses[4:] == ["stored", "skipped", "not DICOM", "failed"]
    # The same file twice: several are sent at a time, so either may be the first.
    assert sorted([statuses[0], statuses[3]]) == ["already stored", "stored"]
    assert reports[2].message == "a folder: upload_folder uploads what is in it"
    assert reports[5].message == "no such file"
    assert Server().upload([]) == []


def test_a_file_that_is_open_is_read_whole_whatever_bytes_it_holds(tmp_path: Path) -> None:
    server = Server()
    content = as_file(instance(1, PatientComments="first\nsecond\n"))
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    with path.open("rb") as stream:
        reports = server.run(jobs_for([io.BytesIO(content), stream]))
    assert sorted(report.status for report in reports) == ["already stored", "stored"]
    assert [report.path for report in reports] == [None, str(path)]
    assert set(server.received) == {content}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("member", OTHER)
    buffer.seek(0)
    assert one(server.run(jobs_for(buffer))).member == "member"
    assert one(server.run(jobs_for(stream))).message == "cannot be read: read of closed file"


def test_a_text_file_is_refused_with_the_right_form(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(FILE)
    with path.open(encoding="utf-8") as stream, pytest.raises(SelectionError, match=r'a\.dcm\', "rb"\)'):
        Server().run(jobs_for(stream))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda top: jobs_for(io.StringIO("x")), r"open\('image.dcm', \"rb\"\), not a StringIO in text mode"),
        (lambda top: jobs_for({"a.dcm": 1}), r'not a dict. For one file: upload_file\("image.dcm"\)'),
        (lambda top: jobs_for(5), "upload_file takes a path, a list of paths, or bytes, not a int"),
        (lambda top: jobs_for(instance(1)), "upload_dataset takes a pydicom Dataset"),
        (lambda top: jobs_for([FILE, None]), "not a NoneType"),
        (lambda top: jobs_in_folder(top / "b.dcm", True), "is not a folder. upload_file uploads a single file"),
        (lambda top: jobs_in_folder(top / "none", True), "is not a folder"),
        (lambda top: jobs_in_folder(None, True), r'of type NoneType.*upload_folder\("scans"\)'),  # type: ignore[arg-type]
        (lambda top: jobs_in_folder(b"..", True), "of type bytes"),  # type: ignore[arg-type]
        (lambda top: jobs_in_folder("", True), "an empty string"),
        (lambda top: jobs_for(""), r'an empty string.*upload_file\("image.dcm"\)'),
        (lambda top: jobs_for_datasets([instance(1), "x"]), "or a list of them, not a str"),  # type: ignore[list-item]
    ],
)
def test_what_cannot_be_uploaded_is_refused_before_anything_is_sent(
    tmp_path: Path, make: Callable[[Path], Any], says: str
) -> None:
    server = Server()
    with pytest.raises(SelectionError, match=says):
        server.run(make(folder(tmp_path)))
    assert server.received == []


# Zips


def test_the_members_of_a_zip_are_rows(tmp_path: Path) -> None:
    content = zipped(a=FILE, inner__b=OTHER, readme=b"notes", empty=b"", again=FILE, zip=zipped(x=FILE), d=dicomdir())
    path = tmp_path / "study.zip"
    path.write_bytes(content)
    for what in (path, content):
        reports = Server().upload(what)
        assert [(report.member, report.status) for report in reports] == [
            ("a", "stored"),
            ("inner/b", "stored"),
            ("readme", "not DICOM"),
            ("empty", "not DICOM"),
            ("again", "already stored"),
            ("zip", "skipped"),
            ("d", "skipped"),
        ]
        assert reports[5].message == "a zip inside a zip"
        assert {report.path for report in reports} == {None if what is content else str(path)}


def test_a_zip_without_files() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.mkdir("folder") if hasattr(archive, "mkdir") else archive.writestr("folder/", b"")
    for content in (zipped(), stream.getvalue()):
        assert one(Server().upload(content)) == Report(None, None, "skipped", None, "a zip without files")


def test_a_broken_zip_is_one_row_and_the_rest_is_uploaded(tmp_path: Path) -> None:
    whole = zipped(a=FILE)
    directory = whole.index(b"PK\x01\x02")
    newer = bytearray(whole)
    newer[directory + 6] = 200  # the version of zip that is needed to read it
    for number, content in enumerate((whole[:-30], whole[:40], b"PK\x03\x04", bytes(newer))):
        (tmp_path / f"{number}.zip").write_bytes(content)
    (tmp_path / "z.dcm").write_bytes(OTHER)
    reports = Server().run(jobs_in_folder(tmp_path, False))
    assert [report.status for report in reports] == ["failed"] * 4 + ["stored"]
    assert all("a broken zip" in report.message for report in reports[:4])


def test_a_broken_member_is_one_row() -> None:
    content = bytearray(zipped(a=FILE, b=OTHER))
    content[60] ^= 0xFF
    server = Server()
    broken, whole = server.upload(bytes(content))
    assert (broken.member, broken.status) == ("a", "failed")
    assert "cannot be read" in broken.message
    assert (whole.member, whole.status, whole.uid) == ("b", "stored", OTHER_UID)


def test_an_encrypted_member_is_one_row() -> None:
    content = bytearray(zipped(a=FILE, b=OTHER))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    locked, whole = Server().upload(bytes(content))
    assert (locked.status, whole.status) == ("failed", "stored")
    assert "encrypted" in locked.message


# Datasets


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "JPEG2000.dcm"])
def test_a_dataset_is_sent_unchanged_and_not_modified(name: str) -> None:
    path = get_testdata_file(name)
    assert path is not None
    dataset, before = pydicom.dcmread(path), pydicom.dcmread(path)
    server = Server()
    report = one(server.run(jobs_for_datasets([dataset])))
    assert (report.path, report.status, report.uid) == (str(path), "stored", str(before.SOPInstanceUID))
    sent = pydicom.dcmread(io.BytesIO(server.received[0]))
    assert sent == before == dataset
    assert sent.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert dataset.file_meta == before.file_meta


def test_a_dataset_made_in_memory_gets_what_a_file_needs() -> None:
    dataset = instance(1)
    before = copy.deepcopy(dataset)
    sent = pydicom.dcmread(io.BytesIO(dataset_bytes(dataset)))
    assert sent.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert sent.file_meta.MediaStorageSOPInstanceUID == UID
    assert Dataset(sent) == Dataset(before) == Dataset(dataset)
    assert not hasattr(dataset, "file_meta")


def test_a_renamed_dataset_is_renamed_in_its_file_meta_too() -> None:
    path = get_testdata_file("CT_small.dcm")
    assert path is not None
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = "1.2.3"
    assert pydicom.dcmread(io.BytesIO(dataset_bytes(dataset))).file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert dataset.file_meta.MediaStorageSOPInstanceUID != "1.2.3"


def test_pixels_keep_their_values_without_file_meta() -> None:
    path = get_testdata_file("MR_small_bigendian.dcm")
    assert path is not None
    reference = pydicom.dcmread(path)
    bare = pydicom.dcmread(io.BytesIO(without_preamble(reference, implicit=False, little=False)), force=True)
    assert "TransferSyntaxUID" not in bare.file_meta
    sent = pydicom.dcmread(io.BytesIO(dataset_bytes(bare)))
    assert np.array_equal(sent.pixel_array, reference.pixel_array)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
def test_a_dataset_that_is_no_object_is_a_row(keyword: str) -> None:
    lacking = instance(1)
    delattr(lacking, keyword)
    server = Server()
    first, second = server.run(jobs_for_datasets([lacking, instance(2)]))
    assert first.status == "failed"
    assert first.message == f"the dataset has no {keyword}, which every DICOM file must have"
    assert second.status == "stored"


def test_a_dataset_whose_character_set_cannot_hold_it_is_not_sent() -> None:
    lossy = instance(1)
    lossy.SpecificCharacterSet, lossy.PatientName = "ISO_IR 100", "Иванов^Иван"
    server = Server()
    first, second = server.run(jobs_for_datasets([lossy, instance(2)]))
    assert (first.status, second.status, len(server.received)) == ("failed", "stored", 1)
    assert "PatientName (0010,0010) has the character 'И'" in first.message
    assert "'ISO_IR 100'" in first.message
