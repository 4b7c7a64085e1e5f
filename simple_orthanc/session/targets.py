"""What acting on a selection touches: exactly what is selected, and what else would go with whole objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simple_orthanc.dicom.levels import Level, depth
from simple_orthanc.errors import EmptySelectionError, SelectionError, UnsupportedError
from simple_orthanc.selection import tables
from simple_orthanc.selection.index import Index
from simple_orthanc.session.acting import ActingSession
from simple_orthanc.session.base import Session
from simple_orthanc.session.display import counted


@dataclass(frozen=True)
class Extent:
    """What some whole objects hold.

    Attributes
    ----------
    counts : dict
        Number of objects at their own level and at each one below.
    left_out : str
        What of it is not selected, such as ``"2 instances"``; "" if everything is.
    """

    counts: dict[Level, int]
    left_out: str


def check_narrowed(session: Session, verb: str, everything: bool) -> None:
    """Refuse to act on the whole archive unless that is allowed, and on nothing.

    Parameters
    ----------
    session : Session
        The session to act on.
    verb : str
        The past participle for messages, such as ``"deleted"``.
    everything : bool
        Whether a selection that was never narrowed is allowed.

    Raises
    ------
    SelectionError
        Nothing was selected, so the whole archive would be meant.
    EmptySelectionError
        Nothing is left in the selection.
    """
    if not session.selection and not everything:
        raise SelectionError(
            f"Nothing was selected, so the whole archive would be {verb}: narrow it with select(...), or allow it with "
            "everything=True."
        )
    if not session.series_count:
        raise EmptySelectionError(f"Nothing is selected, so nothing was {verb}.")


def selected_keys(session: Session, level: Level) -> list[str]:
    """Return the source's keys of the selected objects of a level, in the order of tables."""
    return tables.row_keys(session._index, session._selection, level)


def exact_resources(session: Session) -> list[str]:
    """Return the keys of exactly what is selected: whole series, and single instances of the others."""
    if session._selection.level != "instance":
        return selected_keys(session, "series")
    index = session._index
    by_series: dict[str, list[str]] = {key: [] for key in selected_keys(session, "series")}
    instances = selected_keys(session, "instance")
    for key, owner in zip(instances, index.up("instance", instances, "series"), strict=True):
        by_series[owner].append(key)
    resources = []
    for series, members in by_series.items():
        is_whole = len(index.down("series", [series], "instance")) == len(members)
        resources += [series] if is_whole else members
    return resources


def whole_extent(session: Session, level: Level) -> Extent:
    """Count what the selected objects of a level hold, and what of it the selection leaves out."""
    index, keys = session._index, selected_keys(session, level)
    counts: dict[Level, int] = {level: len(keys)}
    top, below = level, keys
    if level == "patient":
        top, below = "study", _studies_of(index, keys)
        counts["study"] = len(below)
    for deeper in ("series", "instance"):
        if depth(deeper) > depth(top):
            counts[deeper] = len(index.down(top, below, deeper))
    for deeper, count in counts.items():
        more = 0 if deeper == level else count - len(selected_keys(session, deeper))
        if more:
            return Extent(counts, counted({deeper: more}))
    return Extent(counts, "")


def _studies_of(index: Index, patients: Sequence[str]) -> list[str]:
    studies, wanted = index.everything("study"), set(patients)
    return [key for key, owner in zip(studies, index.up("study", studies, "patient"), strict=True) if owner in wanted]


def plan_deletion(session: Session, level: Level, *, everything: bool = False, whole: bool = False) -> dict[Level, int]:
    """Check that the selected objects of a level may be deleted, and count what would go.

    Parameters
    ----------
    session : Session
        The session on the archive.
    level : {"patient", "study", "series", "instance"}
        What is deleted as a whole.
    everything : bool
        Whether a selection that was never narrowed is allowed.
    whole : bool
        Whether the objects may hold more than is selected.

    Returns
    -------
    dict
        Number of objects that would go, by level.

    Raises
    ------
    UnsupportedError
        The archive is only read.
    EmptySelectionError, SelectionError
        Nothing is selected, or the whole archive, or the objects hold more than is selected.
    """
    _check_acts(session)
    check_narrowed(session, "deleted", everything)
    extent = whole_extent(session, level)
    if extent.left_out and not whole:
        raise SelectionError(
            f"The {counted({level: extent.counts[level]})} hold {extent.left_out} that the selection left out, and "
            "would go too: delete at a deeper level, or allow it with whole=True. Nothing was deleted."
        )
    return extent.counts


def delete(session: Session, level: Level) -> None:
    """Delete the selected objects of a level, each as a whole, once `plan_deletion` has allowed it."""
    _check_acts(session)._delete(level, everything=True)


def _check_acts(session: Session) -> ActingSession:
    if not isinstance(session, ActingSession):
        raise UnsupportedError(f"A {type(session).__name__} is only read, so nothing was deleted: name a server.")
    return session
