"""Uploads: find what is DICOM among files, send it, and report on each file."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydicom.dataset import Dataset

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.errors import OrthancError, SelectionError, ServerError, TransportError
from simple_orthanc.files.detection import (
    PassedBy,
    dataset_bytes,
    is_zip,
    looks_like_dicom,
    object_uid,
    refusal,
    walk,
)
from simple_orthanc.files.differences import differing_elements
from simple_orthanc.files.opening import open_regular
from simple_orthanc.files.paths import path_text
from simple_orthanc.files.streaming import LongFile, nesting_refusal, read_file, read_member
from simple_orthanc.files.zips import member_problem, members_of, open_zip
from simple_orthanc.selection.store import Comparison, Store, StoreOutcome
from simple_orthanc.session.uploads.uid_owners import UidOwners
from simple_orthanc.showing.text import agreeing

if TYPE_CHECKING:
    import pandas as pd

Status: TypeAlias = Literal[
    "stored", "stored, changed", "already stored", "conflict", "not DICOM", "filtered", "failed", "skipped"
]

# The server's writing limits uploads; more threads only wait for its database.
_WORKERS = 4
# How often a file is sent whose response gets lost: what ends the server each time must not do so for ever.
_MOST_LOSSES = 3
# Statuses of a server, or of a proxy before it, that may be gone a moment later.
_MOMENTARY = (429, 500, 502, 503, 504)
# After these of them the file may be stored nevertheless.
_UNCERTAIN = (500, 502, 504)

_UNKNOWN = "the upload ended early, so it may or may not be stored: the same call sends the rest"


@dataclass(frozen=True)
class Report:
    """The outcome for one file."""

    path: str | None
    member: str | None = None
    status: Status = "failed"
    uid: str | None = None
    message: str = ""


@dataclass(frozen=True)
class Job:
    """A file, or a member of a zip, to check and send; ``read`` returns its bytes, or a long file to read them from."""

    path: str | None
    member: str | None
    read: Callable[[], bytes | LongFile]


Pending: TypeAlias = "Job | Report"


def report_table(reports: Iterable[Report]) -> pd.DataFrame:
    """Return the table of an upload: path, member, status, SOPInstanceUID, message."""
    import pandas as pd

    rows = [(report.path, report.member, report.status, report.uid, report.message) for report in reports]
    table: pd.DataFrame = pd.DataFrame(rows, columns=["path", "member", "status", "SOPInstanceUID", "message"])
    return table.astype("string")


def jobs_for(files: Any) -> Iterator[Pending]:
    """Yield the jobs for the argument of `upload_file`: a path, a list of paths, a zip, bytes, or an open file."""
    if isinstance(files, (bytes, bytearray, memoryview)):
        content = bytes(files)
        yield from _jobs_in_bytes(None, content)
    elif isinstance(files, (str, os.PathLike)):
        path = Path(path_text(files, 'upload_file("image.dcm")')).expanduser()
        if path.is_dir():
            yield Report(str(path), status="skipped", message="a folder: upload_folder uploads what is in it")
        else:
            yield from _jobs_in_file(path)
    elif isinstance(files, Dataset):
        raise SelectionError("upload_file takes files; upload_dataset takes a pydicom Dataset.")
    elif callable(getattr(files, "read", None)):
        yield from _jobs_in_stream(files)
    elif isinstance(files, Iterable) and not isinstance(files, Mapping):
        for item in files:
            yield from jobs_for(item)
    else:
        raise SelectionError(
            f"upload_file takes a path, a list of paths, or bytes, not a {type(files).__name__}. For one file: "
            f'upload_file("image.dcm"); for several: upload_file(["first.dcm", "second.dcm"]).'
        )


def jobs_in_folder(folder: str | os.PathLike[str], recursive: bool) -> Iterator[Pending]:
    """Yield the jobs for a folder in the order of names; folders that are not entered are reported."""
    top = Path(path_text(folder, 'upload_folder("scans")')).expanduser()
    if not top.is_dir():
        raise SelectionError(f"{top} is not a folder. upload_file uploads a single file.")
    for entry in walk(str(top), recursive):
        if isinstance(entry, PassedBy):
            is_lost = entry.reason in ("no such file", "not a regular file")
            yield Report(entry.path, status="failed" if is_lost else "skipped", message=entry.message)
        else:
            yield from _jobs_in_file(Path(entry.path))


def _jobs_in_file(path: Path) -> Iterator[Pending]:
    if not path.is_file():
        kind = "not a regular file" if path.exists() else "no such file"
        yield Report(str(path), status="failed", message=kind)
        return
    try:
        with open_regular(path) as stream:
            beginning = stream.read(4)
    except OSError as error:
        yield Report(str(path), status="failed", message=f"the file cannot be read: {error.strerror}")
        return
    if is_zip(beginning):
        yield from _jobs_in_zip(str(path), path)
    else:
        yield Job(str(path), None, lambda: read_file(path))


def _jobs_in_stream(stream: Any) -> Iterator[Pending]:
    """Yield the jobs for an open file, which is read as a whole: iterating would split it at line ends."""
    name = getattr(stream, "name", None)
    path = str(name) if isinstance(name, (str, os.PathLike)) else None
    try:
        # Reading in text mode would try to decode it.
        content = None if isinstance(stream, io.TextIOBase) else stream.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        yield Report(path, status="failed", message=f"cannot be read: {error}")
        return
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise SelectionError(
            f'upload_file takes a file that is open for reading bytes, open({path or "image.dcm"!r}, "rb"), not a '
            f"{type(stream).__name__} in text mode; or its path alone."
        )
    yield from _jobs_in_bytes(path, bytes(content))


def _jobs_in_bytes(path: str | None, content: bytes) -> Iterator[Pending]:
    if is_zip(content):
        yield from _jobs_in_zip(path, io.BytesIO(content))
    else:
        yield Job(path, None, lambda: content)


def _jobs_in_zip(path: str | None, file: Path | io.BytesIO) -> Iterator[Pending]:
    """Yield the jobs for the members of a zip; each is read when it is sent, so that memory never holds all of them."""
    try:
        archive = open_zip(file)
    except (OSError, ValueError) as error:
        yield Report(path, status="failed", message=str(error))
        return
    members = members_of(archive)
    if not members:
        yield Report(path, status="skipped", message="a zip without files")
    for member in members:
        problem = member_problem(member)
        if problem is not None:
            yield Report(path, member.filename, "failed", None, problem)
        else:
            yield Job(path, member.filename, lambda member=member: read_member(archive, member))  # type: ignore[misc]


def jobs_for_datasets(datasets: Sequence[Dataset]) -> Iterator[Pending]:
    """Yield the jobs for datasets in memory."""
    for dataset in datasets:
        if not isinstance(dataset, Dataset):
            raise SelectionError(
                f"upload_dataset takes a pydicom Dataset or a list of them, not a {type(dataset).__name__}."
            )
        name = getattr(dataset, "filename", None)
        path = str(name) if isinstance(name, (str, os.PathLike)) and name else None
        yield Job(path, None, lambda dataset=dataset: dataset_bytes(dataset))  # type: ignore[misc]


class Uploader:
    """Checks files, sends what is DICOM, compares it with what the server then holds, and reports on each.

    A response that got lost is no reason to send a file again: the server is asked what it holds, as soon as it
    answers, and only what is missing is sent once more.

    Parameters
    ----------
    store : Store
        The server.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._gone: TransportError | None = None
        self._owners: UidOwners | None = UidOwners(store)

    def allow_foreign_uids(self) -> None:
        """Send files whose study or series the server holds under another PatientID, too."""
        self._owners = None

    def run(self, pending: Iterable[Pending], test_dicom: bool, *, allow_foreign_uids: bool = False) -> list[Report]:
        """Upload, four files at a time.

        Parameters
        ----------
        pending : iterable of Job or Report
        test_dicom : bool
            Whether to send only what is DICOM.
        allow_foreign_uids : bool
            Whether to send files whose study or series the server holds under another PatientID.

        Raises
        ------
        TransportError
            The server is gone; ``.table`` reports on each file so far, as on the error of Ctrl-C.
        """
        jobs = list(pending)
        if allow_foreign_uids:
            self.allow_foreign_uids()
        sent: list[Sent] = []
        try:
            for outcome in map_ordered(
                lambda job: self.send(job, test_dicom), jobs, workers=_WORKERS, total=len(jobs), label="uploading"
            ):
                if isinstance(outcome, Gone):
                    raise outcome.error
                sent.append(outcome)
            return self.compare(jobs, sent)
        except TransportError as error:
            raise self._interrupted(error, jobs, [each.report for each in sent]) from None
        except BaseException as error:
            rest = [
                job if isinstance(job, Report) else Report(job.path, job.member, "failed", None, _UNKNOWN)
                for job in jobs[len(sent) :]
            ]
            vars(error)["table"] = report_table([*(each.report for each in sent), *rest])
            raise

    def _interrupted(self, error: TransportError, jobs: Sequence[Pending], reports: list[Report]) -> TransportError:
        sent = len(reports)
        for job in jobs[sent:]:
            message = (
                "the server was gone when this was sent, so it may or may not be stored" if job is jobs[sent] else ""
            )
            reports.append(
                job
                if isinstance(job, Report)
                else Report(
                    job.path, job.member, "failed", None, message or "not sent, or sent while the server went away"
                )
            )
        stored = sum(report.status in ("stored", "already stored") for report in reports)
        return TransportError(
            f"The server went away during the upload: {stored} of {len(jobs)} files {agreeing(stored, 'are')} known "
            f"to be stored; .table lists which. Running the upload again sends the rest. {error.message}",
            table=report_table(reports),
        )

    def send(self, job: Pending, test_dicom: bool) -> Sent | Gone:
        """Check one file, and send it if it is DICOM; several threads may call this at once."""
        if isinstance(job, Report):
            return Sent(job)
        report = Report(job.path, job.member)
        try:
            content = job.read()
            beginning = content.beginning() if isinstance(content, LongFile) else content
        except OrthancError as error:
            return Sent(replace(report, message=error.message))
        except Exception as error:  # zip, pydicom and the file system raise many kinds of errors
            return Sent(replace(report, message=f"cannot be read: {error}"))
        refused = refusal(beginning, test_dicom=test_dicom, in_zip=job.member is not None)
        if refused is not None:
            return Sent(replace(report, status=refused[0], message=refused[1]))
        problem = nesting_refusal(content, beginning)
        if problem is not None:
            return Sent(replace(report, uid=object_uid(beginning), message=problem))
        is_dicom = looks_like_dicom(beginning)
        report = replace(report, uid=object_uid(beginning))
        try:
            return self._foreign(report, content) or self._until_answered(report, content, is_dicom)
        except OSError:
            # A file that must be sent as a whole is read once more.
            if not isinstance(content, LongFile) or content.failure is None:
                raise
            return Sent(replace(report, message=f"cannot be read: {content.failure}"))
        finally:
            if isinstance(content, LongFile):
                content.close()

    def _foreign(self, report: Report, content: bytes | LongFile) -> Sent | Gone | None:
        """Refuse a file that puts the UIDs of one patient under another."""
        try:
            conflict = None if self._owners is None else self._owners.conflict(content)
        except TransportError as error:
            return Gone(error)
        return None if conflict is None else Sent(replace(report, status="conflict", message=conflict))

    def _until_answered(self, report: Report, content: bytes | LongFile, is_dicom: bool) -> Sent | Gone:
        """Send a file until its response arrives, or until the server is known to hold it."""
        pauses = self.store.pauses()
        losses, may_be_stored = 0, False
        while self._gone is None:
            lost: OrthancError
            try:
                return self._answered(report, content, self._stored(content), is_again=may_be_stored)
            except ServerError as error:
                if error.status not in _MOMENTARY:
                    # Orthanc answers 400 to everything that it cannot parse, damaged DICOM included.
                    status: Status = "failed" if error.status != 400 or is_dicom else "not DICOM"
                    return Sent(replace(report, status=status, message=_words_of(error)))
                lost, may_be_stored = error, may_be_stored or error.status in _UNCERTAIN
            except TransportError as error:
                if isinstance(content, LongFile) and content.failure is not None:
                    return Sent(replace(report, message=f"cannot be read: {content.failure}"))
                lost, losses, may_be_stored = error, losses + 1, True
            held = self._held(report, content, lost)
            pause = next(pauses, None) if losses < _MOST_LOSSES else None
            if held is not None:
                return held
            if pause is None:
                return Sent(replace(report, message=_words_of(lost)))
            interruption.pause(pause)
        return Gone(self._gone)

    def _held(self, report: Report, content: bytes | LongFile, lost: OrthancError) -> Sent | Gone | None:
        """Ask what the server holds, after a response that got lost; None if it does not hold the file."""
        if not self.store.is_alive():
            self._gone = lost if isinstance(lost, TransportError) else TransportError(lost.message)
            return Gone(self._gone)
        try:
            key = self.store.find(content)
        except ServerError:
            return None
        except TransportError as error:
            return Gone(error)
        return None if key is None else self._answered(report, content, StoreOutcome("stored", key), is_again=True)

    def _stored(self, content: bytes | LongFile) -> StoreOutcome:
        if isinstance(content, LongFile):
            content.seek(0)
        return self.store.store(content)

    def _answered(self, report: Report, content: bytes | LongFile, outcome: StoreOutcome, *, is_again: bool) -> Sent:
        status, key, message = outcome
        if status == "filtered":
            return Sent(replace(report, status=status, message="the server's filter refused it"))
        if is_again and status == "already stored":
            # By the attempt whose response got lost.
            status = "stored"
        if not key:
            return Sent(replace(report, status=status, message=message))
        try:
            md5 = content.md5() if isinstance(content, LongFile) else _md5(content)
        except OSError as error:  # the file has been removed since
            return Sent(replace(report, status=status, message=f"not compared with what the server holds: {error}"))
        if status == "stored":
            return Sent(replace(report, status=status), key, md5, is_again)
        message = "the server holds a file under this SOPInstanceUID, which was not compared with this one"
        return Sent(replace(report, message=message), key, md5)

    # What the server holds afterwards

    def compare(self, jobs: Sequence[Pending], sent: Sequence[Sent]) -> list[Report]:
        """Compare what was sent with what the server holds, many files at once, and report on each.

        Parameters
        ----------
        jobs : sequence
            What was sent.
        sent : sequence of Sent
            What `send` returned for each.

        Raises
        ------
        TransportError
            The server is gone.
        """
        keyed = [(index, each) for index, each in enumerate(sent) if each.key]
        reports = [each.report for each in sent]
        comparisons = self.store.compare([(each.key, each.md5) for _, each in keyed])
        last = {each.key: each.md5 for _, each in keyed if each.report.status == "stored"}
        for (index, each), comparison in zip(keyed, comparisons, strict=True):
            replaced = last.get(each.key, each.md5) != each.md5
            reports[index] = self._judged(jobs[index], each, comparison, replaced)
        return reports

    def _judged(self, job: Pending, sent: Sent, comparison: Comparison, replaced: bool) -> Report:
        """Return the report on a file that was compared.

        Parameters
        ----------
        job : Job
            Reads the file.
        sent : Sent
            What became of it.
        comparison : str
            What it is to what the server holds.
        replaced : bool
            Whether a later file of this upload was stored under the same SOPInstanceUID.
        """
        report = sent.report
        was_new = report.status == "stored"
        status: Status = "stored" if was_new else "already stored"
        if comparison == "same":
            return replace(report, status=status, message="")
        if comparison == "unknown":
            message = "not compared with what the server holds, since it keeps no checksums"
            return replace(report, status=status, message=message)
        if comparison == "gone":
            message = (
                "the server accepted it, and does not hold it any more: a script or a limit of it may remove files"
            )
            return replace(report, status="failed", message=message)
        if not was_new or sent.is_again:
            if self.store.transcodes:
                return replace(report, status=status, message="")
            message = "not stored: the server holds another file under this SOPInstanceUID, and keeps it"
            return replace(report, status="conflict", message=message)
        if replaced:
            message = "replaced by a later file of this upload with the same SOPInstanceUID"
            return replace(report, status="stored, changed", message=message)
        if self.store.transcodes:
            message = "the server is set to change the transfer syntax of what it stores (IngestTranscoding)"
            return replace(report, status="stored, changed", message=message)
        assert isinstance(job, Job)
        return self._explained(job, report, sent.key)

    def _explained(self, job: Job, report: Report, key: str) -> Report:
        """Find out how the file that the server holds differs from the one that was sent."""
        try:
            content = job.read()
            whole = content.whole() if isinstance(content, LongFile) else content
            different = differing_elements(whole, self.store.content(key))
        except (OrthancError, OSError) as error:
            message = f"the server holds it with another MD5, and it cannot be compared: {error}"
            return replace(report, status="stored, changed", message=message)
        if different == ["PixelData"] or not different:
            message = (
                "what the server holds has other bytes than the file, in its pixels or outside of its elements: it was "
                "damaged on its way. Delete it, and upload it again"
            )
            return replace(report, status="failed", message=message)
        message = f"the server holds it with other values of {', '.join(different)}: by its settings, or damaged"
        return replace(report, status="stored, changed", message=message)


def _words_of(error: OrthancError) -> str:
    # A proxy's page about the size of a request does not help.
    if isinstance(error, ServerError) and error.details and error.status != 413:
        return error.details
    return error.message


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Sent:
    """What became of a file; where it is to be compared, also its key, and the MD5 of what was sent."""

    report: Report
    key: str = ""
    md5: str = ""
    is_again: bool = False
    """Whether a response got lost before, so that the server may have held the file already."""


@dataclass(frozen=True)
class Gone:
    """The server no longer answers."""

    error: TransportError
