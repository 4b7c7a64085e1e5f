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

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.errors import OrthancError, SelectionError, ServerError, TransportError
from simple_orthanc.files.detection import (
    PassedBy,
    dataset_bytes,
    is_zip,
    looks_like_dicom,
    members_of,
    object_uid,
    open_zip,
    refusal,
    walk,
)
from simple_orthanc.files.paths import path_text
from simple_orthanc.files.streaming import LongFile, read_file, read_member

if TYPE_CHECKING:
    import pandas as pd

Status: TypeAlias = Literal["stored", "already stored", "conflict", "not DICOM", "filtered", "failed", "skipped"]

# The server's writing limits uploads; more threads only wait for its database.
_WORKERS = 4


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
        with path.open("rb") as stream:
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
    except ValueError as error:
        yield Report(path, status="failed", message=str(error))
        return
    members = members_of(archive)
    if not members:
        yield Report(path, status="skipped", message="a zip without files")
    for member in members:
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
    """Checks files, sends what is DICOM, and reports on each.

    Parameters
    ----------
    store : callable
        Sends a file; returns the answer ("Success", "AlreadyStored", "FilteredOut") and the key of the instance.
    checksum : callable
        Returns the MD5 of the file that the server holds under a key, or None where it cannot be compared.
    alive : callable
        Checks whether the server still answers.
    """

    def __init__(
        self,
        store: Callable[[bytes | LongFile], tuple[str, str]],
        checksum: Callable[[str], str | None],
        alive: Callable[[], bool],
    ) -> None:
        self._store, self._checksum, self._alive = store, checksum, alive

    def run(self, pending: Iterable[Pending], test_dicom: bool) -> list[Report]:
        """Upload, four files at a time.

        Raises
        ------
        TransportError
            The server is gone; ``.table`` reports on each file so far.
        """
        jobs = list(pending)
        reports: list[Report] = []
        try:
            for report in map_ordered(
                lambda job: self._one(job, test_dicom), jobs, workers=_WORKERS, total=len(jobs), label="uploading"
            ):
                if isinstance(report, _Gone):
                    raise report.error
                reports.append(report)
        except TransportError as error:
            raise self._interrupted(error, jobs, reports) from None
        return reports

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
            f"The server went away during the upload: {stored} of {len(jobs)} files are known to be stored; .table "
            f"lists which. Running the upload again sends the rest. {error.message}",
            table=report_table(reports),
        )

    def _one(self, job: Pending, test_dicom: bool) -> Report | _Gone:
        if isinstance(job, Report):
            return job
        report = Report(job.path, job.member)
        try:
            content = job.read()
            beginning = content.beginning() if isinstance(content, LongFile) else content
        except OrthancError as error:
            return replace(report, message=error.message)
        except Exception as error:  # zip, pydicom and the file system raise many kinds of errors
            return replace(report, message=f"cannot be read: {error}")
        refused = refusal(beginning, test_dicom=test_dicom, in_zip=job.member is not None)
        if refused is not None:
            return replace(report, status=refused[0], message=refused[1])
        is_dicom = looks_like_dicom(beginning)
        try:
            return self._send(replace(report, uid=object_uid(beginning)), content, is_dicom)
        except OSError:
            # A file that must be sent as a whole is read once more.
            if not isinstance(content, LongFile) or content.failure is None:
                raise
            return replace(report, message=f"cannot be read: {content.failure}")
        finally:
            if isinstance(content, LongFile):
                content.close()

    def _send(self, report: Report, content: bytes | LongFile, is_dicom: bool) -> Report | _Gone:
        try:
            word, key = self._stored(content)
        except ServerError as error:
            # Orthanc answers 400 to everything that it cannot parse, damaged DICOM included.
            status: Status = "failed" if error.status != 400 or is_dicom else "not DICOM"
            return replace(report, status=status, message=error.details or error.message)
        except TransportError as error:
            if isinstance(content, LongFile) and content.failure is not None:
                return replace(report, message=f"cannot be read: {content.failure}")
            return self._after_loss(report, content, error)
        return self._judged(report, content, word, key)

    def _stored(self, content: bytes | LongFile) -> tuple[str, str]:
        if isinstance(content, LongFile):
            content.seek(0)
        return self._store(content)

    def _after_loss(self, report: Report, content: bytes | LongFile, error: TransportError) -> Report | _Gone:
        """Send once more if the server still answers: storing the same file twice does no harm."""
        if not self._alive():
            return _Gone(error)
        try:
            word, key = self._stored(content)
        except ServerError as refused:
            return replace(report, message=refused.details or refused.message)
        except TransportError as again:
            return _Gone(again) if not self._alive() else replace(report, message=again.message)
        return self._judged(report, content, word, key)

    def _judged(self, report: Report, content: bytes | LongFile, word: str, key: str) -> Report:
        if word == "Success":
            return replace(report, status="stored")
        if word == "FilteredOut":
            return replace(report, status="filtered", message="the server's filter refused it")
        if word != "AlreadyStored":
            return replace(report, message=f"the server answered {word!r}")
        try:
            held = self._checksum(key)
        except ServerError as error:
            # A server may be configured to keep no checksums.
            message = f"not compared with what the server holds: {error.details or error.message}"
            return replace(report, status="already stored", message=message)
        try:
            is_held = held is None or held == _md5(content)
        except OSError as error:  # the file has been removed since
            message = f"not compared with what the server holds: {error}"
            return replace(report, status="already stored", message=message)
        if is_held:
            return replace(report, status="already stored")
        return replace(
            report,
            status="conflict",
            message="not stored: the server holds another file under this SOPInstanceUID, and keeps it",
        )


def _md5(content: bytes | LongFile) -> str:
    return content.md5() if isinstance(content, LongFile) else hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class _Gone:
    """The server no longer answers."""

    error: TransportError
