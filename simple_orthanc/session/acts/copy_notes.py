"""What is written on the server about copies, so that a call that was cut short is finished by the next one.

While a job runs, a note is kept with the patient whose objects it copies: which call it is of, and which copies were
there before. It is removed at the end, so that a note that is found is of a call that did not come to its end. Series
of complete copies are marked with a digest of the call, so that the same call does not make them again. Both are
metadata under numbers that Orthanc leaves to users; they are no part of the DICOM objects.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from simple_orthanc.errors import NotFoundError, UnknownNameError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.objects import Patient, Series

NOTE, MARK = "39921", "39922"


@dataclass(frozen=True)
class Note:
    """A call that has begun.

    Attributes
    ----------
    mark : str
        The digest of the call and of the instances that it copies.
    trace : str
        The metadata by which its copies are traced.
    series : dict
        Orthanc's id of each series that it copies to the number of instances.
    before : list of str
        Those of the copies of these series that were there before.
    begun : str
        When it began, by the clock of the server.
    job : str or None
        The id of its job, None before that is known.
    call : str
        What distinguishes it from the same call that another process makes at the same time.
    """

    mark: str
    trace: str
    series: dict[str, int]
    before: list[str]
    begun: str
    job: str | None = None
    call: str = ""

    @property
    def full_mark(self) -> str:
        """The mark of its copies, once they are known to be complete."""
        return f"{self.mark}:{self.call}"


class Notes:
    """The notes and marks on a server."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def read(self, patient: str) -> Note | None:
        """Return the note that an earlier call has left, None if there is none, or none that can be read."""
        try:
            note = Note(**json.loads(Patient(self._rest, patient).metadata[NOTE]))
            datetime.strptime(note.begun, "%Y%m%dT%H%M%S")
        except (UnknownNameError, NotFoundError):
            return None
        except (ValueError, TypeError):
            # Written by something else under this number.
            return None
        return note

    def write(self, patient: str, note: Note, job: str | None = None) -> None:
        """Write a note, in place of an older one."""
        Patient(self._rest, patient).metadata[NOTE] = json.dumps(asdict(replace(note, job=job)))

    def remove(self, patient: str) -> None:
        """Remove the note."""
        with suppress(UnknownNameError, NotFoundError):
            del Patient(self._rest, patient).metadata[NOTE]

    def mark_of(self, series: str) -> str:
        """Return the mark of a series, "" if it has none."""
        try:
            return Series(self._rest, series).metadata[MARK]
        except (UnknownNameError, NotFoundError):
            return ""

    def mark(self, series: str, mark: str) -> None:
        """Mark a series of complete copies."""
        Series(self._rest, series).metadata[MARK] = mark
