"""Store single files over DICOMweb, and compare each with what the server holds: its answer tells little about that."""

from __future__ import annotations

import io
import warnings

from pydicom import dcmread
from pydicom.dataset import Dataset

from simple_orthanc.dicomweb import Transactions, text
from simple_orthanc.errors import NotFoundError, SelectionError, ServerError
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.files.walker import PIXELS

_IDENTIFIERS = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]

# How the object that the server holds under the same UIDs compares with the file.
_SAME, _OTHER = "the same", "another"


class CheckedStore:
    """Stores files on a DICOMweb server, with the answers that Orthanc would give.

    Parameters
    ----------
    rest : Transactions
        The transactions of the server.
    """

    def __init__(self, rest: Transactions) -> None:
        self._rest = rest

    def store(self, content: bytes | LongFile) -> tuple[str, str]:
        """Store a file, unless the server has it.

        Parameters
        ----------
        content : bytes or LongFile
            The DICOM file.

        Returns
        -------
        status : {"Success", "AlreadyStored"}
            What Orthanc would answer.
        comparison : str
            Whether the server holds the same object or another one under its UIDs; "" where there was none before.

        Raises
        ------
        ServerError
            The server refused it, or its answer does not mention it.
        """
        # All elements are compared with those that the server holds, so the whole file is needed.
        content = _with_preamble(content.whole() if isinstance(content, LongFile) else content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dcmread(io.BytesIO(content), force=True, specific_tags=list(_IDENTIFIERS))
        held = self._held(header)
        if held is not None and same_object(held, content):
            return "AlreadyStored", _SAME
        (result,) = self._rest.store(content)
        if result.status not in ("stored", "already stored"):
            message = result.message or "the server says nothing about it"
            raise ServerError(message, status=409, method="POST", details=message)
        if held is None and result.status == "stored":
            return "Success", ""
        now = self._held(header)
        if now is None or same_object(now, content):
            return ("AlreadyStored" if held is None else "Success"), _SAME
        return "AlreadyStored", _OTHER

    def checksum(self, comparison: str) -> str | None:
        """Return None where `comparison` is of the same object, else a checksum that no file has."""
        return None if comparison == _SAME else comparison

    def _held(self, header: Dataset) -> bytes | None:
        """Return the file that the server holds under these UIDs for this patient."""
        patient, study, series, instance = (str(header.get(keyword) or "").strip() for keyword in _IDENTIFIERS)
        if not (study and series and instance):
            return None
        try:
            query = {"SOPInstanceUID": instance}
            for answer in self._rest.search_instances(study, series, query, fields=["PatientID"]):
                if text(answer, "SOPInstanceUID") == instance and (text(answer, "PatientID") or patient) == patient:
                    return self._rest.retrieve_instance(study, series, instance)
        except NotFoundError:
            pass
        return None


def same_object(one: bytes, other: bytes) -> bool:
    """Check whether two files hold the same object.

    A server may rewrite a file, with other file meta information and in another byte order. So all elements are
    compared, and pixels only where both files have the same transfer syntax.
    """
    if one == other:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            first, second = (dcmread(io.BytesIO(content), force=True) for content in (one, other))
            syntaxes = {dataset.file_meta.get("TransferSyntaxUID") for dataset in (first, second)}
            for dataset in (first, second):
                for number in PIXELS if len(syntaxes) > 1 else ():
                    if number in dataset:
                        del dataset[number]
            return bool(first == second)
        except Exception:  # whatever pydicom cannot read is not known to be the same
            return False


def _with_preamble(content: bytes) -> bytes:
    """Return a PS3.10 file; a dataset without the preamble gets one, since DICOMweb accepts no others."""
    if content[128:132] == b"DICM":
        return content
    try:
        return dataset_bytes(dcmread(io.BytesIO(content), force=True))
    except SelectionError:
        return content
    except Exception:  # for the server to judge
        return content
