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

from simple_orthanc.dicomweb.searching import Search
from simple_orthanc.dicomweb.service import JSON_TYPE, resource
from simple_orthanc.dicomweb.store_response import Reason, StoreResponse, parse_store_response
from simple_orthanc.errors import SelectionError, ServerError, TransportError
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.files.opening import open_regular
from simple_orthanc.transport import HttpResponse

Storable: TypeAlias = "str | os.PathLike[str] | bytes | Dataset"
StoreStatus = Literal["stored", "stored, changed", "already stored", "failed", "not DICOM", "no answer", "not sent"]

MOST_BYTES = 1 << 26
"""The size of one request in bytes, unless a single file is larger: no more is lost with it, and sent again."""

MOST_FILES = 500
"""The number of files in one request."""

# Statuses whose body reports on each instance (PS3.18 table 10.5.3-1).
_REPORTS = (400, 409)

_DUPLICATE = 0x0111


@dataclass(frozen=True)
class Stored:
    """What became of one instance.

    Attributes
    ----------
    path : str or None
        The file; None for bytes and datasets.
    SOPInstanceUID : str or None
        None if it could not be read.
    status : str
        "stored", "stored, changed" (the server changed or left out something, which the message says), "already
        stored", "failed", "not DICOM" (and so not sent), "no answer" (the server did not report on it: check before
        relying on it), or "not sent" (after the connection was lost).
    reason : int or None
        Failure Reason (0008,1197) or Warning Reason (0008,1196).
    message : str
        The reason in words, with those of the server, or what else is known; "" if there is nothing to report.

    Examples
    --------
    >>> from simple_orthanc.phantom import ct_phantom
    >>> stored = dicomweb.rest.store(ct_phantom((1, 8, 8)))[0]
    >>> stored.status, stored.path
    ('stored', None)
    """

    path: str | None
    SOPInstanceUID: str | None
    status: StoreStatus
    reason: int | None = None
    message: str = ""


@dataclass(frozen=True)
class _Candidate:
    """One file to send, which stays on disk until then."""

    path: str | None
    uid: str
    source: Path | bytes = field(repr=False)
    size: int

    def result(self, status: StoreStatus, reason: int | None = None, message: str = "") -> Stored:
        return Stored(self.path, self.uid, status, reason, message)


class Store(Search):
    """Storing and deleting; see `Transactions`."""

    def store(
        self, what: Storable | Iterable[Storable], study: str | None = None, *, repeat: bool = True
    ) -> list[Stored]:
        """Store DICOM files and datasets.

        Parameters
        ----------
        what : path, bytes, Dataset or iterable of them
            Files are read from disk while they are sent. An iterable is consumed while it is sent too, so that it may
            be larger than memory.
        study : str, optional
            StudyInstanceUID to which all of them must belong; the server refuses what does not.
        repeat : bool, default True
            Whether a request whose response got lost is sent again: an instance that is sent twice is stored once, and
            may then be reported as stored already.

        Returns
        -------
        list of Stored
            One for each file or dataset, in the same order.

        Raises
        ------
        TransportError
            If the connection is lost for good; its `table` lists what became of each file.
        ServerError
            If the server refuses the first request, because this user may not store, or it does not offer storing. If
            it refuses a later one, the results say so.

        Examples
        --------
        >>> from pathlib import Path
        >>> from simple_orthanc.phantom import ct_phantom
        >>> ct_phantom((1, 8, 8))[0].save_as("slice.dcm", enforce_file_format=True)
        >>> _ = Path("notes.txt").write_text("not an image")
        >>> for result in dicomweb.rest.store(["slice.dcm", "notes.txt"]):
        ...     print(result.path, result.status)
        slice.dcm stored
        notes.txt not DICOM
        """
        path = self._path("stow", *(resource(study) or ["studies"]))
        # What was sent is replaced by its result, so that no more than one batch is held in memory.
        entries: list[Stored | _Candidate] = []
        batch: list[int] = []
        size = 0
        first = True
        source = iter(_each(what))
        try:
            for storable in source:
                candidate = _candidate(storable)
                entries.append(candidate)
                if isinstance(candidate, Stored):
                    continue
                if batch and (size + candidate.size > MOST_BYTES or len(batch) >= MOST_FILES):
                    self._send_batch(path, entries, batch, repeat)
                    batch, size, first = [], 0, False
                batch.append(len(entries) - 1)
                size += candidate.size
            if batch:
                self._send_batch(path, entries, batch, repeat)
        except TransportError as error:
            message = "The connection was lost; search for it, or store it again."
            rows = _broken_off(entries, batch, source, "no answer", message)
            error.table = pd.DataFrame([asdict(row) for row in rows], columns=list(Stored.__dataclass_fields__))
            raise
        except ServerError as error:
            if first and not any(isinstance(entries[index], Stored) for index in batch):
                raise
            return _broken_off(entries, batch, source, "failed", str(error))
        return [entry for entry in entries if isinstance(entry, Stored)]

    def delete_study(self, study: str) -> None:
        """Delete a study, if the server offers that.

        Raises
        ------
        UnsupportedError
            If it does not: Orthanc deletes through its own REST API only.
        NotFoundError
            If there is no such study.

        Examples
        --------
        >>> dicomweb.rest.delete_study(dicomweb.select(PatientID="EX-006").StudyInstanceUIDs[0])
        >>> dicomweb.reset().refresh().PatientIDs
        ['EX-002', 'EX-003']
        """
        self._delete("studies", study)

    def delete_series(self, study: str, series: str) -> None:
        """Delete a series, if the server offers that; otherwise as `delete_study`.

        Examples
        --------
        >>> pet = dicomweb.select(Modality="PT")
        >>> dicomweb.rest.delete_series(pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0])
        >>> dicomweb.reset().refresh().Modalities
        ['CT', 'SEG', 'RTSTRUCT', 'SR']
        """
        self._delete("series", study, series)

    def delete_instance(self, study: str, series: str, instance: str) -> None:
        """Delete an instance, if the server offers that; otherwise as `delete_study`.

        Examples
        --------
        >>> pet = dicomweb.select(Modality="PT")
        >>> dicomweb.rest.delete_instance(pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0], pet.SOPInstanceUIDs[0])
        >>> dicomweb.refresh().instance_count
        39
        """
        self._delete("instances", study, series, instance)

    def _delete(self, kind: str, study: str, series: str | None = None, instance: str | None = None) -> None:
        path = self._path("delete", *resource(study, series, instance))

        def ask() -> HttpResponse:
            return self._transport.request("DELETE", path)

        self._offered(f"deleting {kind}", ask, study, series, instance)

    def _send_batch(self, path: str, entries: list[Stored | _Candidate], batch: Sequence[int], repeat: bool) -> None:
        files = [entry for entry in (entries[index] for index in batch) if isinstance(entry, _Candidate)]
        try:
            response = self._post(path, files, repeat)
        except ServerError as error:
            if error.status != 413 or len(batch) == 1:
                raise
            half = len(batch) // 2
            self._send_batch(path, entries, batch[:half], repeat)
            self._send_batch(path, entries, batch[half:], repeat)
            return
        results = _results(files, response.status, parse_store_response(response.content))
        for index, result in zip(batch, results, strict=True):
            entries[index] = result

    def _post(self, path: str, files: Sequence[_Candidate], repeat: bool) -> HttpResponse:
        boundary = secrets.token_hex(20)
        body = MultipartBody(files, boundary)
        content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'

        def ask(accept: str) -> HttpResponse:
            body.seek(0)
            return self._transport.request(
                "POST",
                path,
                data=body,
                headers={"Content-Type": content_type, "Accept": accept},
                idempotent=repeat,
                accepted_statuses=_REPORTS,
                limit="json_bytes",
            )

        return self._negotiated((JSON_TYPE, "application/dicom+xml"), ask, (406,))


class MultipartBody(io.RawIOBase):
    """A multipart body that is read from disk while it is sent, and again from its beginning if needed."""

    def __init__(self, files: Sequence[_Candidate], boundary: str) -> None:
        self._segments: list[tuple[bytes | Path, int]] = []
        for file in files:
            self._add(f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii"))
            self._segments.append((file.source, file.size))
        self._add(f"\r\n--{boundary}--\r\n".encode("ascii"))
        self._length = sum(size for _, size in self._segments)
        self._segment = self._offset = self._position = 0
        self._file: io.BufferedReader | None = None

    def _add(self, content: bytes) -> None:
        self._segments.append((content, len(content)))

    def __len__(self) -> int:
        """Return the length in bytes."""
        return self._length

    def readable(self) -> bool:
        """Return True: it can be read."""
        return True

    def seekable(self) -> bool:
        """Return True: it can be sent again."""
        return True

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to the beginning or to the end: no more is needed to send a body again."""
        if whence == os.SEEK_END and not offset:
            self._position = self._length
            self._segment, self._offset = len(self._segments), 0
        elif whence == os.SEEK_SET and not offset:
            self._position = self._segment = self._offset = 0
        else:
            raise io.UnsupportedOperation("a body is read from its beginning only")
        self._close_file()
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes, of one segment at most."""
        view = memoryview(buffer).cast("B")
        while self._segment < len(self._segments):
            source, size = self._segments[self._segment]
            wanted = min(len(view), size - self._offset)
            if wanted:
                count = self._read(source, view[:wanted])
                self._offset += count
                self._position += count
                return count
            self._close_file()
            self._segment, self._offset = self._segment + 1, 0
        return 0

    def _read(self, source: bytes | Path, view: memoryview) -> int:
        if isinstance(source, bytes):
            view[:] = source[self._offset : self._offset + len(view)]
            return len(view)
        try:
            if self._file is None:
                self._file = open_regular(source)
            count = self._file.readinto(view)
        except OSError as error:
            problem = str(error.strerror or "it cannot be read")
        else:
            if count:
                return count
            problem = "it became shorter"
        # Not the error of the operating system, which would count as one of the network.
        raise TransportError(
            f"The file {source} changed while it was sent: {problem}. The files before it in this request may or may "
            "not be stored; store them again."
        )

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Close the file that is being read."""
        if not self.closed:
            self._close_file()
        super().close()


def _each(what: Storable | Iterable[Storable]) -> Iterable[Storable]:
    # A dataset is iterable too, over its elements.
    if isinstance(what, (str, os.PathLike, bytes, Dataset)):
        return [what]
    return what


def _candidate(storable: Any) -> Stored | _Candidate:
    path = _path_of(storable)
    try:
        source = _source(storable)
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        uid = _uid_of(source)
    except SelectionError as error:
        is_object = isinstance(storable, Dataset) and "SOPInstanceUID" in storable
        return Stored(path, None, "failed" if is_object else "not DICOM", None, str(error))
    except OSError as error:
        return Stored(path, None, "failed", None, f"The file cannot be read: {error.strerror}; it was not sent.")
    if uid is None:
        return Stored(path, None, "not DICOM", None, "This is not a DICOM file with a SOPInstanceUID; it was not sent.")
    return _Candidate(path, uid, source, size)


def _path_of(storable: Any) -> str | None:
    return str(storable) if isinstance(storable, (str, os.PathLike)) else None


def _source(storable: Any) -> Path | bytes:
    if isinstance(storable, Dataset):
        return dataset_bytes(storable)
    if isinstance(storable, (bytes, bytearray, memoryview)):
        return bytes(storable)
    if isinstance(storable, (str, os.PathLike)):
        return Path(storable)
    raise SelectionError(f"A {type(storable).__name__} cannot be stored; give paths, bytes or datasets.")


def _uid_of(source: Path | bytes) -> str | None:
    """Read the SOPInstanceUID of a DICOM file; None if it is not a DICOM file or has none."""
    opened: Any = io.BytesIO(source) if isinstance(source, bytes) else open_regular(source)
    with opened as file:
        if file.read(132)[128:] != b"DICM":
            return None
        file.seek(0)
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
            return str(header.get("SOPInstanceUID") or "") or None
        except OSError:
            raise
        except Exception:  # What pydicom cannot read is not sent.
            return None


def _results(files: Sequence[_Candidate], status: int, response: StoreResponse | None) -> Iterator[Stored]:
    if response is None:
        if status in _REPORTS:
            result: StoreStatus = "failed"
            message = f"The server refused the request ({status}) without a report on each instance; see its log."
        else:
            result = "no answer"
            message = f"The server answered {status}, but did not report which instances it stored; search for it."
        yield from (file.result(result, None, message) for file in files)
        return
    stored, failed = defaultdict(list, _copied(response.stored)), defaultdict(list, _copied(response.failed))
    for file in files:
        # An instance that was sent twice is reported twice, or once for both.
        if reasons := failed[file.uid]:
            reason = reasons.pop(0) if len(reasons) > 1 else reasons[0]
            status_of: StoreStatus = "already stored" if reason.code == _DUPLICATE else "failed"
            yield file.result(status_of, reason.code, str(reason))
        elif warnings := stored[file.uid]:
            reason = warnings.pop(0) if len(warnings) > 1 else warnings[0]
            is_changed = bool(reason.code or reason.words)
            yield file.result(
                "stored, changed" if is_changed else "stored", reason.code, str(reason) if is_changed else ""
            )
        else:
            others = "; ".join(dict.fromkeys(map(str, response.others)))
            message = "The server did not report on this instance; search for it."
            message += f" It reported on another one that it did not name: {others}" if others else ""
            yield file.result("no answer", None, message)


def _copied(reported: Mapping[str, list[Reason]]) -> dict[str, list[Reason]]:
    return {uid: list(reasons) for uid, reasons in reported.items()}


def _broken_off(
    entries: Sequence[Stored | _Candidate],
    batch: Sequence[int],
    rest: Iterable[Storable],
    status: StoreStatus,
    message: str,
) -> list[Stored]:
    """List what became of each file if a batch was the last, and of those that were never sent."""
    unsent = "An earlier request did not succeed, so this was not sent; store it again."
    rows: list[Stored] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, Stored):
            rows.append(entry)
        elif index in batch:
            rows.append(entry.result(status, None, message))
        else:
            rows.append(entry.result("not sent", None, unsent))
    rows += [Stored(_path_of(storable), None, "not sent", None, unsent) for storable in rest]
    return rows
