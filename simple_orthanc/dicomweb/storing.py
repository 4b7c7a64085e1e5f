"""STOW-RS and DELETE: the store and delete transactions (PS3.18 section 10.5; deleting is not in the standard)."""

from __future__ import annotations

import io
import os
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd
import pydicom
from pydicom.dataset import Dataset

from simple_orthanc.dicomweb.answers import Answers, read_answers, reason_text
from simple_orthanc.dicomweb.searching import Search
from simple_orthanc.dicomweb.service import JSON_TYPE, LARGEST_JSON, resource
from simple_orthanc.errors import SelectionError, ServerError, TransportError
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.transport import HttpResponse

Storable: TypeAlias = "str | os.PathLike[str] | bytes | Dataset"
Status = Literal["stored", "already stored", "failed", "not DICOM", "no answer", "not sent"]

MOST_BYTES = 1 << 26
"""Bytes in one request, unless a single file is larger: what is lost and sent again is no more."""

MOST_FILES = 500
"""Files in one request."""

# Statuses whose body says what became of each instance (PS3.18 table 10.5.3-1).
_ANSWERS = (400, 409)

_DUPLICATE = 0x0111


@dataclass(frozen=True)
class Stored:
    """What became of one instance.

    Attributes
    ----------
    path : str or None
        The file; None for what came as bytes or as a dataset.
    SOPInstanceUID : str or None
        None where it could not be read.
    status : str
        "stored", "already stored", "failed", "not DICOM" (and so not sent), "no answer" (the server said nothing about
        it, so look before relying on it), or "not sent" (after the connection was lost).
    reason : int or None
        Failure Reason (0008,1197) or Warning Reason (0008,1196).
    message : str
        That reason in words, or what else is known; "" where all is well.
    """

    path: str | None
    SOPInstanceUID: str | None
    status: Status
    reason: int | None = None
    message: str = ""


@dataclass(frozen=True)
class _Candidate:
    """One file to send, which is on disk until it is sent."""

    path: str | None
    uid: str
    source: Path | bytes = field(repr=False)
    size: int

    def result(self, status: Status, reason: int | None = None, message: str = "") -> Stored:
        return Stored(self.path, self.uid, status, reason, message)


class Store(Search):
    """Storing and deleting; see `Transactions`."""

    def store(self, what: Storable | Iterable[Storable], study: str | None = None) -> list[Stored]:
        """Store DICOM files and datasets.

        Parameters
        ----------
        what : path, bytes, Dataset or iterable of them
            Files are read from disk while they are sent. An iterable is read as it is sent too, so that it may be
            longer than fits into memory.
        study : str, optional
            StudyInstanceUID to which all of them must belong; the server refuses what does not.

        Returns
        -------
        list of Stored
            One for each given, in that order.

        Raises
        ------
        TransportError
            If the connection is lost for good; its `table` says of each file what became of it. After a connection
            that broke once the same files are sent again, whole.
        ServerError
            If the server refuses the first request, because it does not let this user store, or does not offer it. If
            it refuses a later one, what is returned says so.

        Examples
        --------
        >>> transactions.store(["a.dcm", "notes.txt"])  # doctest: +SKIP
        [Stored(path='a.dcm', SOPInstanceUID='1.2.3', status='stored', reason=None, message=''),
         Stored(path='notes.txt', SOPInstanceUID=None, status='not DICOM', reason=None, message='...')]
        """
        path = self._path("stow", *(resource(study) or ["studies"]))
        # What was sent is replaced by what became of it, so that no more than a batch of it is held in memory.
        given: list[Stored | _Candidate] = []
        batch: list[int] = []
        size = 0
        first = True
        source = iter(_each(what))
        try:
            for thing in source:
                candidate = _candidate(thing)
                given.append(candidate)
                if isinstance(candidate, Stored):
                    continue
                if batch and (size + candidate.size > MOST_BYTES or len(batch) >= MOST_FILES):
                    self._send_batch(path, given, batch)
                    batch, size, first = [], 0, False
                batch.append(len(given) - 1)
                size += candidate.size
            if batch:
                self._send_batch(path, given, batch)
        except TransportError as error:
            said = "The connection was lost; look for it, or store it again."
            rows = _broken_off(given, batch, source, "no answer", said)
            error.table = pd.DataFrame([asdict(row) for row in rows], columns=list(Stored.__dataclass_fields__))
            raise
        except ServerError as error:
            if first and not any(isinstance(given[place], Stored) for place in batch):
                raise
            return _broken_off(given, batch, source, "failed", str(error))
        return [entry for entry in given if isinstance(entry, Stored)]

    def delete_study(self, study: str) -> None:
        """Delete a study, where the server offers that.

        Raises
        ------
        UnsupportedError
            If it does not: Orthanc deletes by its own REST API only.
        NotFoundError
            If there is no such study.
        """
        self._delete("studies", study)

    def delete_series(self, study: str, series: str) -> None:
        """Delete a series, where the server offers that; otherwise as `delete_study`."""
        self._delete("series", study, series)

    def delete_instance(self, study: str, series: str, instance: str) -> None:
        """Delete an instance, where the server offers that; otherwise as `delete_study`."""
        self._delete("instances", study, series, instance)

    def _delete(self, kind: str, study: str, series: str | None = None, instance: str | None = None) -> None:
        path = self._path("delete", *resource(study, series, instance))

        def ask() -> HttpResponse:
            return self._transport.request("DELETE", path)

        self._offered(f"deleting {kind}", ask, study, series, instance)

    def _send_batch(self, path: str, given: list[Stored | _Candidate], batch: Sequence[int]) -> None:
        files = [entry for entry in (given[place] for place in batch) if isinstance(entry, _Candidate)]
        try:
            answer = self._post(path, files)
        except ServerError as error:
            if error.status != 413 or len(batch) == 1:
                raise
            half = len(batch) // 2
            self._send_batch(path, given, batch[:half])
            self._send_batch(path, given, batch[half:])
            return
        outcomes = _outcomes(files, answer.status, read_answers(answer.content))
        for place, outcome in zip(batch, outcomes, strict=True):
            given[place] = outcome

    def _post(self, path: str, files: Sequence[_Candidate]) -> HttpResponse:
        boundary = secrets.token_hex(20)
        body = Body(files, boundary)
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'

        def ask(accept: str) -> HttpResponse:
            body.seek(0)
            # The same instance sent twice is stored once, so that what got lost may be sent again.
            return self._transport.request(
                "POST",
                path,
                data=body,
                headers={"Content-Type": kind, "Accept": accept},
                idempotent=True,
                accepted_statuses=_ANSWERS,
                max_bytes=LARGEST_JSON,
            )

        return self._negotiated((JSON_TYPE, "application/dicom+xml"), ask, (406,))


class Body(io.RawIOBase):
    """A multipart body that is read from disk while it is sent, and again from its beginning where that is needed."""

    def __init__(self, files: Sequence[_Candidate], boundary: str) -> None:
        self._segments: list[tuple[bytes | Path, int]] = []
        for file in files:
            self._add(f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii"))
            self._segments.append((file.source, file.size))
        self._add(f"\r\n--{boundary}--\r\n".encode("ascii"))
        self._length = sum(size for _, size in self._segments)
        self._place = self._offset = self._told = 0
        self._file: io.BufferedReader | None = None

    def _add(self, text: bytes) -> None:
        self._segments.append((text, len(text)))

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be sent again."""
        return True

    def tell(self) -> int:
        """Say how much was read."""
        return self._told

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go back to the beginning, or ask for the length; nothing else is needed to send a body again."""
        if whence == os.SEEK_END and not offset:
            self._told = self._length
            self._place, self._offset = len(self._segments), 0
        elif whence == os.SEEK_SET and not offset:
            self._told = self._place = self._offset = 0
        else:
            raise io.UnsupportedOperation("a body is read from its beginning only")
        self._leave()
        return self._told

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes, of one segment at most."""
        view = memoryview(buffer).cast("B")
        while self._place < len(self._segments):
            source, size = self._segments[self._place]
            wanted = min(len(view), size - self._offset)
            if wanted:
                count = self._read(source, view[:wanted])
                self._offset += count
                self._told += count
                return count
            self._leave()
            self._place, self._offset = self._place + 1, 0
        return 0

    def _read(self, source: bytes | Path, view: memoryview) -> int:
        if isinstance(source, bytes):
            view[:] = source[self._offset : self._offset + len(view)]
            return len(view)
        try:
            if self._file is None:
                self._file = source.open("rb")
            count = self._file.readinto(view)
        except OSError as error:
            problem = str(error.strerror or "it cannot be read")
        else:
            if count:
                return count
            problem = "it became shorter"
        # Not the error of the system, which would be taken for one of the network.
        raise TransportError(
            f"The file {source} changed while it was sent: {problem}. What went before it in this request may or may "
            "not be stored; store these files again."
        )

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Close the file that is being read."""
        if not self.closed:
            self._leave()
        super().close()


def _each(what: Storable | Iterable[Storable]) -> Iterable[Storable]:
    # A dataset is iterable too: over its elements.
    if isinstance(what, (str, os.PathLike, bytes, Dataset)):
        return [what]
    return what


def _candidate(thing: Any) -> Stored | _Candidate:
    name = str(thing) if isinstance(thing, (str, os.PathLike)) else None
    try:
        source = _source(thing)
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        uid = _uid_of(source)
    except SelectionError as error:
        return Stored(name, None, "not DICOM", None, str(error))
    except OSError as error:
        return Stored(name, None, "failed", None, f"The file cannot be read: {error.strerror}; it was not sent.")
    if uid is None:
        return Stored(name, None, "not DICOM", None, "This is no DICOM file with a SOPInstanceUID; it was not sent.")
    return _Candidate(name, uid, source, size)


def _source(thing: Any) -> Path | bytes:
    if isinstance(thing, Dataset):
        return dataset_bytes(thing)
    if isinstance(thing, (bytes, bytearray, memoryview)):
        return bytes(thing)
    if isinstance(thing, (str, os.PathLike)):
        return Path(thing)
    raise SelectionError(f"What is of type {type(thing).__name__} cannot be stored; give paths, bytes or datasets.")


def _uid_of(source: Path | bytes) -> str | None:
    """Read the SOPInstanceUID of a DICOM file; None where it is none or has none."""
    opened: Any = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with opened as file:
        if file.read(132)[128:] != b"DICM":
            return None
        file.seek(0)
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
            return str(header.get("SOPInstanceUID") or "") or None
        except OSError:
            raise
        except Exception:  # Whatever pydicom stumbles over, such a file is not sent.
            return None


def _outcomes(files: Sequence[_Candidate], status: int, answers: Answers | None) -> Iterator[Stored]:
    if answers is None:
        if status in _ANSWERS:
            said: Status = "failed"
            text = f"The server refused the request ({status}) and said nothing about single instances; see its log."
        else:
            said, text = "no answer", f"The server answered {status}, but not which instances it stored; look for it."
        yield from (file.result(said, None, text) for file in files)
        return
    stored, failed = defaultdict(list, _copied(answers.stored)), defaultdict(list, _copied(answers.failed))
    for file in files:
        # One instance may have been sent twice, and is then answered twice, or once for both.
        if reasons := failed[file.uid]:
            reason = reasons.pop(0) if len(reasons) > 1 else reasons[0]
            if reason == _DUPLICATE:
                yield file.result("already stored", reason, reason_text(reason))
            else:
                yield file.result("failed", reason, reason_text(reason))
        elif warnings := stored[file.uid]:
            reason = warnings.pop(0) if len(warnings) > 1 else warnings[0]
            yield file.result("stored", reason, "" if reason is None else reason_text(reason))
        else:
            others = "; ".join(dict.fromkeys(map(reason_text, answers.others)))
            text = "The server said nothing about this instance; look for it"
            yield file.result("no answer", None, f"{text}. It said of some other: {others}" if others else f"{text}.")


def _copied(answers: Mapping[str, list[int | None]]) -> dict[str, list[int | None]]:
    return {uid: list(reasons) for uid, reasons in answers.items()}


def _broken_off(
    given: Sequence[Stored | _Candidate],
    batch: Sequence[int],
    rest: Iterable[Storable],
    status: Status,
    message: str,
) -> list[Stored]:
    """Say of each file what became of it where a batch was the last, also of those that nobody came to."""
    unsent = "An earlier request did not succeed, so this was not sent; store it again."
    rows: list[Stored] = []
    for place, entry in enumerate(given):
        if isinstance(entry, Stored):
            rows.append(entry)
        elif place in batch:
            rows.append(entry.result(status, None, message))
        else:
            rows.append(entry.result("not sent", None, unsent))
    for thing in rest:
        name = str(thing) if isinstance(thing, (str, os.PathLike)) else None
        rows.append(Stored(name, None, "not sent", None, unsent))
    return rows
