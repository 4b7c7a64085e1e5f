"""Objects as they are sent to other processes: several as one selection, so that they are read together there."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.source import Row, learn_files

SECONDS = 0.5
"""How long one parcel should take: sending it then costs little, and the last one does not last long."""
# The objects of a parcel are pickled by their keys, so that more would make a large pickle.
_MOST = 32


@dataclass(frozen=True)
class Parcel:
    """Some objects.

    Attributes
    ----------
    session : Session
        A session that has selected these objects alone, or the session of a single one.
    level : str or None
        The level of the objects; None for a single one.
    count : int
        Number of objects.
    rows : mapping
        By level, the known rows of the objects and of what contains them, so that they are not requested again.
    files : object, optional
        What the source knows of their files, if the other process would have to find it out again.
    """

    session: Any
    level: Level | None = None
    count: int = 1
    rows: Mapping[Level, Sequence[Row]] = field(default_factory=dict)
    files: object | None = None

    def sessions(self) -> Sequence[Any]:
        """Return the sessions of the objects, in the order in which they were put in.

        Raises
        ------
        SelectionError
            The archive does not have all of them any more. Sent one by one, each raises its own error.
        """
        for level, rows in self.rows.items():
            self.session._index.add(level, rows)
        if self.files is not None:
            learn_files(self.session._source, self.files)
        if self.level is None:
            return [self.session]
        sessions: Sequence[Any] = self.session._children(self.level)
        if len(sessions) != self.count:
            raise SelectionError(
                f"{self.count} objects of level {self.level!r} were sent, and there are {len(sessions)}."
            )
        return sessions


class UnreadableParcelError(RuntimeError):
    """Another process cannot read a parcel; the message is the reason."""


def read_parcel(content: bytes) -> Parcel:
    """Read a pickled parcel.

    Raises
    ------
    UnreadableParcelError
        The session holds something that cannot be imported in this process, such as a function in its criteria.
    """
    try:
        parcel: Parcel = pickle.loads(content)
    except Exception as error:
        raise UnreadableParcelError(f"{type(error).__name__}: {error}") from None
    return parcel


def unreadable_session(where: str, reason: str) -> SelectionError:
    """Return the error of a parcel that cannot be read in another process."""
    return SelectionError(
        f"The session cannot be read {where}: {reason}. A function in its criteria, as in select(Modality=function), "
        "must be importable there by its name: define it in a module, not in a script or notebook; or use threads, "
        "which need no import: map(function)."
    )


class ParcelSize:
    """Computes the number of objects of the next parcel from the time that earlier objects took."""

    def __init__(self) -> None:
        self._seconds, self._count = 0.0, 0

    def add(self, seconds: float) -> None:
        """Add the time that one object took."""
        self._seconds += seconds
        self._count += 1

    def next(self, left: int, workers: int) -> int:
        """Return the size of the next parcel.

        Parameters
        ----------
        left : int
            Number of objects that are left.
        workers : int
            Number of parcels that are computed at a time. Parcels shrink towards the end, so that all workers finish at
            about the same time.
        """
        if not self._count:
            return 1
        in_time = SECONDS * self._count / max(self._seconds, 1e-6)
        return max(1, min(_MOST, int(in_time), left // (2 * workers)))
