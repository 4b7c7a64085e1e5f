"""Store single files over DICOMweb, and compare each with what the server holds: its answer tells little about that."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from pydicom.dataset import Dataset

from simple_orthanc.dicomweb import Stored, Transactions, text
from simple_orthanc.errors import NotFoundError, OrthancError, SelectionError, ServerError
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.files.parsing import parse_file, parse_header
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.files.walker import PIXELS
from simple_orthanc.selection.store import Comparison, StoreOutcome

_IDENTIFIERS = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]

# How the object that the server holds under the same UIDs compares with the file: the key by which uploads compare it.
_SAME, _OTHER = "same", "another"

# How servers refuse to show what they hold to those who may store: no right, no such search, no such transaction.
_UNSEEN = (400, 403, 405, 406, 415, 422, 501)


class CheckedStore:
    """Stores files on a DICOMweb server; see `simple_orthanc.selection.store.Store` for the members.

    Parameters
    ----------
    rest : Transactions
        The transactions of the server.
    connect : callable
        Sends a small request, and raises an error if the server does not answer it.
    pauses : callable
        Returns the pauses before a file is sent again.
    """

    transcodes = False

    def __init__(
        self, rest: Transactions, connect: Callable[[], object], pauses: Callable[[], Iterator[float]]
    ) -> None:
        self._rest, self._connect, self._pauses = rest, connect, pauses

    def pauses(self) -> Iterator[float]:
        """Return the pauses before a file is sent again."""
        return self._pauses()

    def store(self, content: bytes | LongFile) -> StoreOutcome:
        """Store a file, unless the server has it.

        What the server says of it is compared with what it then holds.

        Parameters
        ----------
        content : bytes or LongFile
            The DICOM file.

        Returns
        -------
        StoreOutcome
            Its key is whether the server holds the same object or another one under its UIDs, which come after that.

        Raises
        ------
        ServerError
            The server refused it, or does not say that it stored it, and does not hold it.
        """
        # All elements are compared with those that the server holds, so the whole file is needed.
        content = _with_preamble(content.whole() if isinstance(content, LongFile) else content)
        header = _identifiers(content)
        before, refusal = self._look(header)
        if before is not None and same_object(before, content):
            return StoreOutcome("already stored", _SAME)
        (result,) = self._rest.store(content, repeat=False)
        if result.status == "stored, changed":
            return StoreOutcome("stored, changed", "", result.message)
        now, refusal = (None, refusal) if refusal else self._look(header, of_any_patient=True)
        if refusal is not None:
            return _uncompared(result, refusal)
        if before is None and result.status == "stored":
            return self._confirmed(header, content, now)
        if now is None:
            message = result.message or "the server says nothing about it"
            message += "" if result.status == "failed" else "; it does not hold it under its UIDs"
            raise ServerError(message, status=409, method="POST", details=message)
        if same_object(now, content):
            if before is not None or result.status != "already stored":
                words = f"the server refused it, and holds it all the same: {result.message}"
                return StoreOutcome("stored", "", words if result.status == "failed" else "")
            return StoreOutcome("already stored", _SAME)
        if before is None and result.status == "no answer" and _patient_in(now) == _patient_in(content):
            message = "the server did not report on it, and holds it with other values: compare it with the file"
            return StoreOutcome("stored, changed", "", message)
        return StoreOutcome("already stored", _OTHER)

    def _confirmed(self, header: Dataset, content: bytes, now: bytes | None) -> StoreOutcome:
        """Return what became of a new file that the server says it stored."""
        if now is None:
            message = "the server says that it stored it, and does not show it yet, so that it was not compared"
            return StoreOutcome("stored", "", message)
        if same_object(now, content):
            return StoreOutcome("stored")
        # For uploads to find out in what the two differ.
        return StoreOutcome("stored", " ".join([_OTHER, *_uids(header)]))

    def find(self, content: bytes | LongFile) -> str | None:
        """Return how what the server holds under the UIDs of a file compares with it; None if it holds nothing."""
        content = _with_preamble(content.whole() if isinstance(content, LongFile) else content)
        held = self._held(_identifiers(content))
        if held is None:
            return None
        return _SAME if same_object(held, content) else _OTHER

    def md5_of(self, identifiers: Sequence[str]) -> str | None:
        """Return None: a DICOMweb server keeps no checksums."""
        return None

    def patients(self, level: Literal["study", "series"], identifiers: Sequence[str]) -> set[str]:
        """Return the PatientIDs under which the server holds the UID of a study or series."""
        _, study, series = identifiers[:3]
        if level == "study":
            keyword, uid = "StudyInstanceUID", study
            answers = self._rest.search_studies({keyword: uid}, fields=["PatientID"])
        else:
            keyword, uid = "SeriesInstanceUID", series
            answers = self._rest.search_series(None, {keyword: uid}, fields=["PatientID"])
        # A server that does not know the filter returns everything, and one that leaves PatientID out tells nothing.
        return {
            text(answer, "PatientID") for answer in answers if text(answer, keyword) == uid and "00100020" in answer
        }

    def compare(self, files: Sequence[tuple[str, str]]) -> list[Comparison]:
        """Return how files compare with what the server holds, which `store` and `find` have found out."""
        return ["same" if key == _SAME else "another" for key, _ in files]

    def content(self, key: str) -> bytes:
        """Read the file that the server holds under a key."""
        _, *uids = key.split()
        if len(uids) != 3:
            raise SelectionError("A DICOMweb server holds no file under this key.")
        return self._rest.retrieve_instance(*uids)

    def is_alive(self) -> bool:
        """Wait for the server to answer, as long as patience lasts, and return whether it does."""
        try:
            self._connect()
        except OrthancError:
            return False
        return True

    def _look(self, header: Dataset, *, of_any_patient: bool = False) -> tuple[bytes | None, ServerError | None]:
        """Return what `_held` returns, or None and the error of a server that does not show what it holds."""
        try:
            return self._held(header, of_any_patient=of_any_patient), None
        except ServerError as error:
            if error.status not in _UNSEEN:
                raise
            return None, error

    def _held(self, header: Dataset, *, of_any_patient: bool = False) -> bytes | None:
        """Return the file that the server holds under these UIDs for this patient, or for any."""
        patient = str(header.get("PatientID") or "").strip()
        study, series, instance = _uids(header)
        if not (study and series and instance):
            return None
        try:
            query = {"SOPInstanceUID": instance}
            for answer in self._rest.search_instances(study, series, query, fields=["PatientID"]):
                is_asked = of_any_patient or (text(answer, "PatientID") or patient) == patient
                if text(answer, "SOPInstanceUID") == instance and is_asked:
                    return self._rest.retrieve_instance(study, series, instance)
        except NotFoundError:
            pass
        return None


def _uncompared(result: Stored, refusal: ServerError) -> StoreOutcome:
    """Return what became of a file as the server says, which does not show what it holds."""
    if result.status in ("stored", "already stored"):
        message = f"not compared with what the server holds, since it does not show that: {refusal.message}"
        return StoreOutcome("stored" if result.status == "stored" else "already stored", "", message)
    message = result.message or "the server says nothing about it"
    raise ServerError(message, status=409, method="POST", details=message)


def same_object(one: bytes, other: bytes, *, transcoded: bool = True) -> bool:
    """Check whether two files hold the same object.

    A server may rewrite a file, with other file meta information and in another byte order. So all elements are
    compared, and pixels only where both files have the same transfer syntax; with ``transcoded=False`` files of
    different transfer syntaxes differ.
    """
    if one == other:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            first, second = (parse_file(content) for content in (one, other))
            syntaxes = {dataset.file_meta.get("TransferSyntaxUID") for dataset in (first, second)}
            if len(syntaxes) > 1 and not transcoded:
                return False
            for dataset in (first, second):
                for number in PIXELS if len(syntaxes) > 1 else ():
                    if number in dataset:
                        del dataset[number]
            return bool(first == second)
        except Exception:  # whatever pydicom cannot read is not known to be the same
            return False


def _identifiers(content: bytes) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return parse_header(io.BytesIO(content), lambda tag, vr, length: tag in PIXELS)


def _uids(header: Dataset) -> list[str]:
    return [str(header.get(keyword) or "").strip() for keyword in _IDENTIFIERS[1:]]


def _patient_in(content: bytes) -> str:
    return str(_identifiers(content).get("PatientID") or "").strip()


def _with_preamble(content: bytes) -> bytes:
    """Return a PS3.10 file; a dataset without the preamble gets one, since DICOMweb accepts no others."""
    if content[128:132] == b"DICM":
        return content
    try:
        return dataset_bytes(parse_file(content))
    except SelectionError:
        return content
    except Exception:  # for the server to judge
        return content
