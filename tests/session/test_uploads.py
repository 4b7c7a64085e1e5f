"""What is DICOM in a pile of files, and what is reported of each, whatever the server does meanwhile."""

from __future__ import annotations

import copy
import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
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

from simple_orthanc.errors import OrthancError, RequestTimeout, SelectionError, ServerError, TransportError
from simple_orthanc.files import streaming as long_files
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.selection.source import StoreOutcome
from simple_orthanc.session import uploads
from simple_orthanc.session.uploads import (
    Job,
    Report,
    Uploader,
    jobs_for,
    jobs_for_datasets,
    jobs_in_folder,
    looks_like_dicom,
    report_table,
)
from tests.memory_source import as_file, instance

FILE = as_file(instance(1))
OTHER = as_file(instance(2))
UID, OTHER_UID = "1.2.1.1.1", "1.2.1.1.2"


@pytest.fixture(autouse=True)
def _one_file_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send one file after the other: which of two equal files comes first is then no matter of chance."""
    monkeypatch.setattr(uploads, "_WORKERS", 1)


class Server:
    """Stores by SOPInstanceUID as Orthanc does, and can do worse; see `simple_orthanc.selection.source.Store`."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.received: list[bytes] = []
        self.does_answer = True
        self.answers: list[BaseException | tuple[Any, ...] | None] = []
        self.keeps_checksums = True
        self.transcodes = False
        self.most_pauses = 10

    def pauses(self) -> Iterator[float]:
        return iter([0.0] * self.most_pauses)

    def store(self, content: bytes | LongFile) -> StoreOutcome:
        if isinstance(content, LongFile):
            assert content.tell() == 0
            try:
                content = content.whole()
            except OSError:
                raise TransportError("the connection broke") from None
        self.received.append(content)
        answer = self.answers.pop(0) if self.answers else None
        if not self.does_answer:
            raise TransportError("connection refused")
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            return StoreOutcome(*answer)
        return StoreOutcome(*self.keep(content))

    def keep(self, content: bytes) -> tuple[Any, str]:
        try:
            uid = str(pydicom.dcmread(io.BytesIO(content), force=True).SOPInstanceUID)
        except Exception:
            raise ServerError("no", status=400, details="Bad file format") from None
        if uid in self.held:
            return "already stored", uid
        self.held[uid] = self.changed(content)
        return "stored", uid

    def changed(self, content: bytes) -> bytes:
        return content

    def find(self, content: bytes | LongFile) -> str | None:
        whole = content.whole() if isinstance(content, LongFile) else content
        uid = str(pydicom.dcmread(io.BytesIO(whole), force=True).SOPInstanceUID)
        return uid if uid in self.held else None

    def compare(self, files: Sequence[tuple[str, str]]) -> list[Any]:
        return [self._compared(key, md5) for key, md5 in files]

    def _compared(self, key: str, md5: str) -> str:
        if key not in self.held:
            return "gone"
        if not self.keeps_checksums:
            return "unknown"
        return "same" if hashlib.md5(self.held[key]).hexdigest() == md5 else "another"

    def content(self, key: str) -> bytes:
        return self.held[key]

    def is_alive(self) -> bool:
        return self.does_answer

    def upload(self, what: Any, test_dicom: bool = True) -> list[Report]:
        return self.run(jobs_for(what), test_dicom)

    def run(self, pending: Any, test_dicom: bool = True) -> list[Report]:
        return Uploader(self).run(pending, test_dicom)


def one(reports: list[Report]) -> Report:
    (report,) = reports
    return report


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


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


def folder(tmp_path: Path) -> Path:
    (tmp_path / "b.dcm").write_bytes(FILE)
    (tmp_path / "a.txt").write_bytes(b"notes")
    (tmp_path / "inner" / "deep").mkdir(parents=True)
    (tmp_path / "inner" / "c").write_bytes(OTHER)
    (tmp_path / "inner" / "deep" / "d").write_bytes(b"")
    (tmp_path / "z.zip").write_bytes(zipped(x=FILE))
    return tmp_path


def rows(reports: list[Report], top: Path) -> list[tuple[str, str | None, str]]:
    return [(os.path.relpath(str(report.path), top), report.member, report.status) for report in reports]


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


# What the server says


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (("stored", ""), "stored", ""),
        (("filtered", ""), "filtered", "the server's filter refused it"),
        (ServerError("no", status=400, details="Bad file format"), "failed", "Bad file format"),
        (ServerError("no", status=507, details="Full storage"), "failed", "Full storage"),
        (ServerError("said no", status=413), "failed", "said no"),
        (ServerError("raise the limit", status=413, details="text/html, <html>"), "failed", "raise the limit"),
    ],
)
def test_each_answer_has_its_status(answer: Any, status: str, message: str) -> None:
    server = Server()
    server.answers = [answer]
    first, second = server.run([*jobs_for(FILE)]) + server.run([*jobs_for(OTHER)])
    assert (first.status, first.message, first.uid) == (status, message, UID)
    assert second.status == "stored"
    assert len(server.received) == 2


CHANGED = as_file(instance(1, PatientComments="changed"))


def test_the_same_again_and_another_under_the_same_uid() -> None:
    server = Server()
    reports = [one(server.upload(content)) for content in (FILE, FILE, CHANGED)]
    assert [report.status for report in reports] == ["stored", "already stored", "conflict"]
    assert "holds another file under this SOPInstanceUID" in reports[2].message
    server.transcodes = True
    assert one(server.upload(CHANGED)).status == "already stored"


def test_the_same_and_another_in_one_upload() -> None:
    server = Server()
    reports = server.upload([FILE, FILE, CHANGED])
    assert [report.status for report in reports] == ["stored", "already stored", "conflict"]


def test_a_server_that_keeps_no_checksums() -> None:
    server = Server()
    server.upload(FILE)
    server.keeps_checksums = False
    reports = server.upload([FILE, OTHER])
    assert [report.status for report in reports] == ["already stored", "stored"]
    assert {report.message for report in reports} == {
        "not compared with what the server holds, since it keeps no checksums"
    }


# What the server holds afterwards


class Changing(Server):
    """Stores something else than it was sent."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self.change = change

    def changed(self, content: bytes) -> bytes:
        return self.change(content)


IMAGE = as_file(instance(1, BitsAllocated=8, Rows=4, Columns=4, PixelData=bytes(16)))


def with_tag(content: bytes, keyword: str, value: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    setattr(dataset, keyword, value)
    return as_file(dataset)


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        (lambda content: content[:-1] + b"\1", "failed", "it was damaged on its way. Delete it, and upload it again"),
        (lambda content: with_tag(content, "InstitutionName", "X"), "stored, changed", "of InstitutionName: by its"),
        (lambda content: with_tag(content, "PatientName", "X"), "stored, changed", "other values of PatientName"),
        (lambda content: b"x" + content[1:], "failed", "outside of its elements"),
        (lambda content: b"<html>", "stored, changed", "other values of"),
    ],
)
def test_what_is_stored_is_compared_with_what_was_sent(
    change: Callable[[bytes], bytes], status: str, says: str
) -> None:
    report = one(Changing(change).upload(IMAGE))
    assert report.status == status
    assert says in report.message


def test_a_server_that_transcodes_is_expected_to_change_files() -> None:
    server = Changing(lambda content: content[:-1] + b"\1")
    server.transcodes = True
    report = one(server.upload(IMAGE))
    assert report.status == "stored, changed"
    assert "IngestTranscoding" in report.message


def test_a_file_that_the_server_removed_is_no_stored_one() -> None:
    class Removing(Server):
        def keep(self, content: bytes) -> tuple[Any, str]:
            return "stored", "no key"

    report = one(Removing().upload(FILE))
    assert report.status == "failed"
    assert "does not hold it any more" in report.message


def test_a_file_that_a_later_one_replaced_is_named() -> None:
    class Overwriting(Server):
        def keep(self, content: bytes) -> tuple[Any, str]:
            self.held.clear()
            return super().keep(content)

    first, second = Overwriting().upload([FILE, CHANGED])
    assert first.status == "stored, changed"
    assert "replaced by a later file of this upload" in first.message
    assert (second.status, second.message) == ("stored", "")


# A server that goes away


def many(count: int) -> list[bytes]:
    return [as_file(instance(number)) for number in range(count)]


@pytest.mark.parametrize("dies_at", [0, 1, 5, 11])
def test_a_server_that_dies_in_the_middle(dies_at: int) -> None:
    class Dying(Server):
        gate = threading.Lock()

        def store(self, content: bytes | LongFile) -> StoreOutcome:
            with self.gate:  # so that not two threads find room for the last one
                self.does_answer = self.does_answer and len(self.held) < dies_at
                return super().store(content)

    server, files = Dying(), many(12)
    with pytest.raises(TransportError, match=r"during the upload: \d+ of 13 files .*connection refused") as caught:
        server.upload([b"", *files])
    table = caught.value.table
    assert len(table) == 13
    assert table["status"][0] == "not DICOM"
    # What is said to be stored is stored; what is not said to be may be.
    stored = set(table["SOPInstanceUID"][table["status"] == "stored"])
    assert stored <= set(server.held)
    assert len(server.held) == dies_at
    assert set(table["status"][1:]) <= {"stored", "failed"}
    failed = table[table["status"] == "failed"]
    assert failed["message"].str.contains("server").all()
    # Running again finishes the job.
    again = Server()
    again.held = server.held
    statuses = [report.status for report in again.upload([b"", *files])]
    assert statuses.count("already stored") == dies_at
    assert statuses.count("stored") == 12 - dies_at


@pytest.mark.parametrize("error", [TransportError("connection reset"), RequestTimeout("connection reset")])
def test_a_server_that_dies_before_it_could_compare(error: TransportError) -> None:
    class Dying(Server):
        def compare(self, files: Sequence[tuple[str, str]]) -> list[Any]:
            raise error

    server = Dying()
    server.held[UID] = FILE
    with pytest.raises(TransportError, match="connection reset") as caught:
        server.upload([FILE, OTHER])
    assert caught.value.table["status"].tolist() == ["failed", "stored"]
    assert "was not compared with this one" in caught.value.table["message"][0]


class Losing(Server):
    """Loses responses: of the requests in `lost`, counted from 0, with or without having carried them out."""

    def __init__(self, *lost: int, carries_out: bool, error: OrthancError | None = None) -> None:
        super().__init__()
        self.lost, self.carries_out = lost, carries_out
        self.error = TransportError("reset") if error is None else error

    def keep(self, content: bytes) -> tuple[Any, str]:
        if len(self.received) - 1 not in self.lost:
            return super().keep(content)
        if self.carries_out:
            super().keep(content)
        raise self.error


ERRORS = [TransportError("reset"), *(ServerError("busy", status=status) for status in (429, 500, 502, 503, 504))]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_a_file_whose_response_got_lost_is_sent_again_only_if_it_is_missing(error: OrthancError) -> None:
    server = Losing(0, 1, 3, carries_out=False, error=error)
    assert [report.status for report in server.upload([FILE, OTHER])] == ["stored", "stored"]
    assert server.received == [FILE, FILE, FILE, OTHER, OTHER]
    server = Losing(0, 1, carries_out=True, error=error)
    assert server.upload([FILE, OTHER]) == [Report(None, None, "stored", uid) for uid in (UID, OTHER_UID)]
    assert server.received == [FILE, OTHER]


def test_a_file_that_was_found_after_a_loss_is_compared() -> None:
    server = Losing(0, carries_out=True)
    server.held[UID] = CHANGED
    report = one(server.upload(FILE))
    assert report.status == "conflict"
    assert server.received == [FILE]


class Slow(Losing):
    """Has not finished the first request when it is asked what it holds."""

    def find(self, content: bytes | LongFile) -> str | None:
        return None


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_a_file_that_the_first_attempt_stored_is_not_an_earlier_one(error: OrthancError) -> None:
    # A server that is busy (429, 503) has stored nothing.
    may_be_stored = not isinstance(error, ServerError) or error.status in (500, 502, 504)
    server = Slow(0, carries_out=True, error=error)
    assert one(server.upload(FILE)).status == ("stored" if may_be_stored else "already stored")
    assert server.received == [FILE, FILE]


def test_a_file_that_is_lost_each_time_is_not_sent_for_ever() -> None:
    server = Losing(*range(20), carries_out=False)
    report, _ = server.upload([FILE, OTHER])
    assert (report.status, report.message, report.uid) == ("failed", "reset", UID)
    assert server.received == [FILE] * 3 + [OTHER] * 3
    busy = Losing(*range(40), carries_out=False, error=ServerError("no", status=503, details="busy"))
    assert one(busy.upload(FILE)).message == "busy"
    assert len(busy.received) == 1 + busy.most_pauses
    impatient = Losing(0, carries_out=False)
    impatient.most_pauses = 0
    assert one(impatient.upload(FILE)).status == "failed"
    assert impatient.received == [FILE]


def test_a_refusal_after_a_loss_is_the_reason() -> None:
    server = Server()
    server.answers = [TransportError("reset"), ServerError("no", status=507, details="Full storage")]
    assert one(server.upload(OTHER)).message == "Full storage"


def test_ctrl_c_ends_the_upload() -> None:
    server = Server()
    server.answers = [None, KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        server.upload(many(100))
    assert len(server.received) < 30


def test_many_files_keep_their_order() -> None:
    files = many(40)
    reports = Server().upload(files)
    assert [report.uid for report in reports] == [f"1.2.1.1.{number}" for number in range(40)]
    assert {report.status for report in reports} == {"stored"}


# Files too long for the memory


@pytest.fixture
def _long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_files, "IN_MEMORY", 10)


@pytest.mark.usefixtures("_long")
def test_long_files_are_reported_on_as_short_ones(tmp_path: Path) -> None:
    top = folder(tmp_path)
    (top / "other.dcm").write_bytes(OTHER + b"\0\0")
    server = Server()
    reports = server.run(jobs_in_folder(top, True))
    assert rows(reports, top) == [
        ("a.txt", None, "not DICOM"),
        ("b.dcm", None, "stored"),
        ("inner/c", None, "stored"),
        ("inner/deep/d", None, "not DICOM"),
        ("other.dcm", None, "conflict"),
        ("z.zip", "x", "already stored"),
    ]
    assert [report.uid for report in reports][1:3] == [UID, OTHER_UID]
    assert server.received[:2] == [FILE, OTHER]


@pytest.mark.usefixtures("_long")
def test_a_long_file_is_sent_again_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(FILE)
    server = Server()
    server.answers = [TransportError("lost")]
    assert one(server.upload(path)).status == "stored"
    assert server.received == [FILE, FILE]


def shortened(folder: Path) -> Job:
    """Give the job of a long file that becomes shorter once it has been opened."""
    path = folder / "long"
    path.write_bytes(FILE)
    (job,) = jobs_for(path)
    assert isinstance(job, Job)
    content = job.read()
    path.write_bytes(FILE[:200])
    return Job(job.path, None, lambda: content)


@pytest.mark.usefixtures("_long")
def test_a_long_file_that_becomes_shorter_meanwhile_is_a_row(tmp_path: Path) -> None:
    report = one(Server().run([shortened(tmp_path)]))
    assert (report.status, report.message) == ("failed", "cannot be read: it has become shorter")


@pytest.mark.usefixtures("_long")
def test_a_long_file_that_can_only_be_sent_as_a_whole_is_a_row_where_it_cannot_be_read(tmp_path: Path) -> None:
    class Whole(Server):
        def store(self, content: bytes | LongFile) -> StoreOutcome:
            return StoreOutcome(*self.keep(content if isinstance(content, bytes) else content.whole()))

    reports = Whole().run([shortened(tmp_path), Job(None, None, lambda: OTHER)])
    assert [report.status for report in reports] == ["failed", "stored"]
    assert reports[0].message == "cannot be read: it has become shorter"


@pytest.mark.usefixtures("_long")
def test_a_long_file_that_is_gone_before_it_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(FILE)

    class Removing(Server):
        def keep(self, content: bytes) -> tuple[Any, str]:
            path.unlink()
            return super().keep(content)

    report = one(Removing().upload(path))
    assert report.status == "stored"
    assert report.message.startswith("not compared with what the server holds: ")
    assert "No such file" in report.message


def test_what_a_server_says_of_a_file_is_repeated() -> None:
    server, files = Server(), many(2)
    server.answers = [("stored, changed", "", "the server changed it (B000H)"), ("stored", "", "refused, and held")]
    reports = server.upload(files)
    assert {(report.status, report.message) for report in reports} == {
        ("stored, changed", "the server changed it (B000H)"),
        ("stored", "refused, and held"),
    }
