"""Whose study and series UIDs are: files that put those of one patient under another are refused.

DICOM's UIDs are unique, so that a study belongs to one patient. Orthanc stores a study under each PatientID that its
files have, and most programs then find the wrong one, or both.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import Literal

from simple_orthanc.errors import ServerError, TransportError, UnsupportedError
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.selection.store import Store
from simple_orthanc.sources.identity import Identity, identity_in, is_another_patient

_MOST_QUESTIONS = 3
_KEYWORDS: dict[Literal["study", "series"], str] = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID"}


class UidOwners:
    """Knows under which PatientID an archive holds each UID of an upload, and asks for each of them once.

    Parameters
    ----------
    store : Store
        The server.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._owners: dict[tuple[str, str], _Owners] = {}

    def conflict(self, content: bytes | LongFile) -> str | None:
        """Return why a file is refused, or None.

        A UID that the archive does not hold belongs to the patient of the first file that has it.

        Parameters
        ----------
        content : bytes or LongFile
            The file.

        Raises
        ------
        TransportError
            The server does not answer.
        """
        known = content.beginning() if isinstance(content, LongFile) else content
        identity = identity_in(io.BytesIO(known), len(known))
        for level, keyword in _KEYWORDS.items():
            uid = identity.study if level == "study" else identity.series
            owners = self._owners_of(level, uid, identity) if uid else set()
            if owners and all(is_another_patient(owner, identity.patient) for owner in owners):
                return (
                    f"not sent: the archive holds its {keyword} {uid} under {_named(sorted(owners))}, and the file has "
                    f"{_named([identity.patient])}. Correct the PatientID if both are one patient, else give the file "
                    "UIDs of its own; the same call with allow_foreign_uids=True sends it as it is"
                )
        return None

    def _owners_of(self, level: Literal["study", "series"], uid: str, identity: Identity) -> set[str]:
        with self._lock:
            owners = self._owners.setdefault((level, uid), _Owners())
        with owners.lock:
            if owners.patients is None:
                owners.patients = self._held_by(level, identity)
            return owners.patients or owners.claimed_by(identity.patient)

    def _held_by(self, level: Literal["study", "series"], identity: Identity) -> set[str]:
        """Ask the server; an answer that is lost or not understood is no reason to end an upload while it is alive."""
        for attempt in range(1, _MOST_QUESTIONS + 1):
            try:
                return set(self._store.patients(level, identity))
            except TransportError:
                if attempt == _MOST_QUESTIONS or not self._store.is_alive():
                    raise
            except (ServerError, UnsupportedError):
                # Those who may store may not be allowed to search.
                break
        return set()


class _Owners:
    """The PatientIDs of one UID: None until the server was asked."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.patients: set[str] | None = None

    def claimed_by(self, patient: str) -> set[str]:
        self.patients = {patient}
        return self.patients


def _named(patients: Sequence[str]) -> str:
    return "the PatientID " + " and ".join(repr(patient) for patient in patients) if any(patients) else "no PatientID"
