"""Deleting what is selected, and making sure that it is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import ServerError, UnsupportedError
from simple_orthanc.selection.source import Source
from simple_orthanc.session.acts.reports import ActReport, Outcome, Target

DELETED = "deleted"


def delete_all(
    report: ActReport, delete_object: Callable[[Level, str], bool], source: Source, is_alive: Callable[[], bool]
) -> None:
    """Delete the objects of a report one after the other, and look whether they are gone.

    Parameters
    ----------
    report : ActReport
        The objects, and what becomes of them.
    delete_object : callable
        Deletes an object and everything below it; returns False if it was gone already.
    source : Source
        The archive, which is asked what it still holds.
    is_alive : callable
        Returns whether the server answers.

    Raises
    ------
    UnsupportedError
        The server deletes none of them.
    TransportError
        The server is gone; ``.table`` reports on each object.
    """

    def act(target: Target) -> Outcome:
        if delete_object(target.level, target.key):
            return Outcome(DELETED)
        return Outcome("gone", "not there any more when it was to be deleted")

    tried = report.pending
    report.walk(act, is_alive=is_alive, label="deleting")
    with report.attached():
        errors = [report.outcome(target).error for target in tried]
        if errors and all(isinstance(error, UnsupportedError) for error in errors):
            # Nothing was deleted.
            raise errors[0] or AssertionError
        _check(report, source)


def _check(report: ActReport, source: Source) -> None:
    """Correct the outcome of objects that are still there although the server answered that they were deleted."""
    deleted = report.having(DELETED)
    # The source then asks anew.
    source.revision()
    for level in dict.fromkeys(target.level for target in deleted):
        targets = [target for target in deleted if target.level == level]
        left = _held_patients(source) if level == "patient" else _held(source, level, targets)
        for target in targets:
            if target.key in left:
                error = ServerError(
                    "The server answered that it was deleted, and still holds it: somebody may have stored it again, "
                    "or the server only pretends to delete."
                )
                report.set(target, Outcome.failure(error))


def _held(source: Source, level: Level, targets: Sequence[Target]) -> set[str]:
    return {row.key for row in source.rows(level, [target.key for target in targets])}


def _held_patients(source: Source) -> set[str]:
    """Return all patients of the archive; they have no rows of their own."""
    return {row.parent for row in source.listing("study")}
