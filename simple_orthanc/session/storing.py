"""Storing single files over DICOMweb, with what became of each: a server says little about what it had already."""

from __future__ import annotations

import io
import warnings

from pydicom import dcmread
from pydicom.dataset import Dataset

from simple_orthanc.dicomweb import Transactions, text
from simple_orthanc.errors import NotFoundError, SelectionError, ServerError
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.files.fast_headers import PIXELS
from simple_orthanc.files.streaming import LongFile

_IDENTIFIERS = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]

# What `Keeper.store` names a file that the server has under the same UIDs.
_SAME, _OTHER = "the same", "another"


class Keeper:
    """Stores files for `simple_orthanc.session.uploads.Uploader`."""

    def __init__(self, rest: Transactions) -> None:
        self._rest = rest

    def store(self, content: bytes | LongFile) -> tuple[str, str]:
        """Store a file, unless the server has it; what Orthanc would say of it, and how it compares with what is held.

        Raises
        ------
        ServerError
            The server refused it, or says nothing about it.
        """
        # Compared with what the server holds, element by element, for which the whole is needed.
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

    def checksum(self, key: str) -> str | None:
        """Stand for the checksum of what the server holds: None where it is the file itself, else nobody's."""
        return None if key == _SAME else key

    def _held(self, header: Dataset) -> bytes | None:
        """Give the file that the server holds under these UIDs for this patient."""
        patient, study, series, instance = (str(header.get(keyword) or "").strip() for keyword in _IDENTIFIERS)
        if not (study and series and instance):
            return None
        try:
            found = list(self._rest.search_instances(study, series, {"SOPInstanceUID": instance}, fields=["PatientID"]))
            for answer in found:
                if text(answer, "SOPInstanceUID") == instance and (text(answer, "PatientID") or patient) == patient:
                    return self._rest.retrieve_instance(study, series, instance)
        except NotFoundError:
            pass
        return None


def same_object(one: bytes, other: bytes) -> bool:
    """Say whether two files hold the same object.

    A server may write a file anew, with other file meta information and in another order of bytes; so all elements
    are compared, and pixels only where both have them in the same transfer syntax.
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
        except Exception:  # whatever pydicom stumbles over, it is not known to be the same
            return False


def _with_preamble(content: bytes) -> bytes:
    """Make a file of PS3.10 of a dataset without its preamble: DICOMweb takes no others."""
    if content[128:132] == b"DICM":
        return content
    try:
        return dataset_bytes(dcmread(io.BytesIO(content), force=True))
    except SelectionError:
        return content
    except Exception:  # the server's to judge
        return content
