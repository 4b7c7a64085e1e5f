"""What is reported of each file, whatever the server does meanwhile."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydicom
import pytest

from simple_orthanc.errors import OrthancError, RequestTimeout, ServerError, TransportError
from simple_orthanc.files import streaming as long_files
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.selection.store import StoreOutcome
from simple_orthanc.session.uploads import files as uploads
from simple_orthanc.session.uploads.files import (
    Job,
    Report,
    jobs_for,
    jobs_in_folder,
)
from tests.memory_source import as_file, instance
from tests.session.store_stand_in import FILE, OTHER, OTHER_UID, UID, Server, folder, one, rows


@pytest.fixture(autouse=True)
def _one_file_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send one file after the other: which of two equal files comes first is then no matter of chance."""
    monkeypatch.setattr(uploads, "_WORKERS", 1)


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
