"""What is DICOM in a pile of files, and what is reported of each, whatever the server does meanwhile."""

from __future__ import annotations

import copy
import hashlib
import io
import os
import threading
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

from simple_orthanc.errors import NotFoundError, RequestTimeout, SelectionError, ServerError, TransportError
from simple_orthanc.files import streaming as long_files
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.files.streaming import LongFile
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
    """Stores by SOPInstanceUID as Orthanc does, and can do worse."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.received: list[bytes] = []
        self.is_alive = True
        self.answers: list[BaseException | tuple[str, str] | None] = []
        self.refuses_checksums: ServerError | None = None
        self.transcodes = False

    def store(self, file: bytes | LongFile) -> tuple[str, str]:
        if isinstance(file, LongFile):
            assert file.tell() == 0
            try:
                content = file.whole()
            except OSError:
                raise TransportError("the connection broke") from None
        else:
            content = file
        self.received.append(content)
        answer = self.answers.pop(0) if self.answers else None
        if not self.is_alive:
            raise TransportError("connection refused")
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            return answer
        try:
            uid = str(pydicom.dcmread(io.BytesIO(content), force=True).SOPInstanceUID)
        except Exception:
            raise ServerError("no", status=400, details="Bad file format") from None
        if uid in self.held:
            return "AlreadyStored", uid
        self.held[uid] = content
        return "Success", uid

    def checksum(self, key: str) -> str | None:
        if self.refuses_checksums is not None:
            raise self.refuses_checksums
        return None if self.transcodes else hashlib.md5(self.held[key], usedforsecurity=False).hexdigest()

    def alive(self) -> bool:
        return self.is_alive

    def upload(self, what: Any, test_dicom: bool = True) -> list[Report]:
        return self.run(jobs_for(what), test_dicom)

    def run(self, pending: Any, test_dicom: bool = True) -> list[Report]:
        return Uploader(self.store, self.checksum, self.alive).run(pending, test_dicom)


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
        (("Success", "k"), "stored", ""),
        (("FilteredOut", ""), "filtered", "the server's filter refused it"),
        (("Whatever", ""), "failed", "the server answered 'Whatever'"),
        (ServerError("no", status=400, details="Bad file format"), "failed", "Bad file format"),
        (ServerError("no", status=507, details="Full storage"), "failed", "Full storage"),
        (ServerError("said no", status=500), "failed", "said no"),
    ],
)
def test_each_answer_has_its_status(answer: Any, status: str, message: str) -> None:
    server = Server()
    server.answers = [answer]
    first, second = server.run([*jobs_for(FILE)]) + server.run([*jobs_for(OTHER)])
    assert (first.status, first.message, first.uid) == (status, message, UID)
    assert second.status == "stored"


def test_the_same_again_and_another_under_the_same_uid() -> None:
    server = Server()
    changed = as_file(instance(1, PatientComments="changed"))
    reports = [one(server.upload(content)) for content in (FILE, FILE, changed)]
    assert [report.status for report in reports] == ["stored", "already stored", "conflict"]
    assert "holds another file under this SOPInstanceUID" in reports[2].message
    server.transcodes = True
    assert one(server.upload(changed)).status == "already stored"


@pytest.mark.parametrize(
    "refusal", [NotFoundError("no", status=404, details="Unknown resource"), ServerError("no", status=403)]
)
def test_a_server_that_keeps_no_checksums(refusal: ServerError) -> None:
    server = Server()
    server.upload(FILE)
    server.refuses_checksums = refusal
    report, after = server.upload([FILE, OTHER])
    assert report.status == "already stored"
    assert report.message == f"not compared with what the server holds: {refusal.details or refusal.message}"
    assert after.status == "stored"


# A server that goes away


def many(count: int) -> list[bytes]:
    return [as_file(instance(number)) for number in range(count)]


@pytest.mark.parametrize("dies_at", [0, 1, 5, 11])
def test_a_server_that_dies_in_the_middle(dies_at: int) -> None:
    class Dying(Server):
        gate = threading.Lock()

        def store(self, content: bytes) -> tuple[str, str]:
            with self.gate:  # so that not two threads find room for the last one
                self.is_alive = self.is_alive and len(self.held) < dies_at
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


def test_a_server_that_dies_before_it_could_compare() -> None:
    server = Server()
    server.upload(FILE)

    def dead(key: str) -> str | None:
        raise TransportError("connection reset")

    with pytest.raises(TransportError, match="connection reset") as caught:
        Uploader(server.store, dead, server.alive).run(list(jobs_for([FILE])), True)
    assert caught.value.table["status"].tolist() == ["failed"]


def test_a_lost_connection_is_tried_again_while_the_server_lives() -> None:
    server = Server()
    server.answers = [TransportError("reset")]
    assert one(server.upload(FILE)).status == "stored"
    assert len(server.received) == 2
    server.answers = [TransportError("reset"), TransportError("reset again")]
    report = one(server.upload(OTHER))
    assert (report.status, report.message, report.uid) == ("failed", "reset again", OTHER_UID)
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
    def store(file: bytes | LongFile) -> tuple[str, str]:
        return "Success", str(len(file if isinstance(file, bytes) else file.whole()))

    server = Server()
    pending = [shortened(tmp_path), Job(None, None, lambda: OTHER)]
    reports = Uploader(store, server.checksum, server.alive).run(pending, True)
    assert [report.status for report in reports] == ["failed", "stored"]
    assert reports[0].message == "cannot be read: it has become shorter"


@pytest.mark.usefixtures("_long")
def test_a_long_file_that_is_gone_before_it_is_compared_is_stored_already(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(FILE)
    server = Server()
    assert one(server.upload(path)).status == "stored"
    held = server.checksum

    def checksum(key: str) -> str | None:
        path.unlink()
        return held(key)

    report = one(Uploader(server.store, checksum, server.alive).run(jobs_for(path), True))
    assert report.status == "already stored"
    assert report.message.startswith("not compared with what the server holds: ")
    assert "No such file" in report.message


def test_a_server_that_is_silent_when_asked_for_its_checksum_ends_the_upload() -> None:
    server = Server()
    assert one(server.upload(FILE)).status == "stored"

    def checksum(key: str) -> str | None:
        raise RequestTimeout("no answer")

    with pytest.raises(TransportError, match="no answer"):
        Uploader(server.store, checksum, server.alive).run(jobs_for(FILE), True)
