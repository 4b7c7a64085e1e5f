"""Which copies a call has left that was cut short: neither those of other calls, nor those of other people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from simple_orthanc.session.acts.copy_notes import Note

# The form in which Orthanc writes times, in UTC, without a fraction of a second.
_FORM = "%Y%m%dT%H%M%S"
# How long a job that nobody knows any more may have gone on without leaving part of a series.
_LONGEST = timedelta(hours=1)
# How long a call may take to read back what its job has made.
_CHECKING = timedelta(minutes=1)


@dataclass(frozen=True)
class CopiedSeries:
    """A series of copies that was not there before a call.

    Attributes
    ----------
    key, origin : str
        Orthanc's ids of it, and of the series that it was made from.
    count : int
        Number of its instances.
    last_update : str
        When an instance arrived in it last, as Orthanc writes it.
    """

    key: str
    origin: str
    count: int
    last_update: str


def left_behind(note: Note, candidates: Sequence[CopiedSeries], *, ended: str = "") -> list[CopiedSeries]:
    """Return the series that a call has left that was cut short.

    A call leaves incomplete series, and those that were completed before them. What was completed later was made by
    somebody else, and is not to be removed.

    Parameters
    ----------
    note : Note
        The note of the call.
    candidates : sequence of CopiedSeries
        The copies that were not there when it began, and are not marked as complete.
    ended : str
        When its job ended, as Orthanc writes it; "" if that is not known.

    Examples
    --------
    >>> note = Note("mark", "ModifiedFrom", {"a": 2, "b": 2}, [], "20200101T120000")
    >>> whole = CopiedSeries("1", "a", 2, "20200101T120005")
    >>> part = CopiedSeries("2", "b", 1, "20200101T120007")
    >>> of_others = CopiedSeries("3", "a", 2, "20200201T090000")
    >>> [series.key for series in left_behind(note, [whole, part, of_others])]
    ['1', '2']
    """
    until = max([ended, *(series.last_update for series in incomplete(note, candidates))])
    if not until:
        until = (_time(note.begun) + _LONGEST).strftime(_FORM)
    return [series for series in candidates if series.last_update <= until]


def incomplete(note: Note, candidates: Sequence[CopiedSeries]) -> list[CopiedSeries]:
    """Return those that hold another number of instances than were to be copied."""
    return [series for series in candidates if series.count != note.series.get(series.origin)]


def is_recent(ended: str, now: str) -> bool:
    """Check whether a job ended so recently that its copies may still be read back.

    Examples
    --------
    >>> is_recent("20200101T120000.5", "20200101T120030"), is_recent("20200101T120000.5", "20200101T120130")
    (True, False)
    """
    if not ended:
        return False
    return _time(now) - _time(ended) < _CHECKING


def _time(written: str) -> datetime:
    return datetime.strptime(written.partition(".")[0], _FORM)
