"""Modification in place: objects with the same UIDs and other values, which takes a server that overwrites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.errors import JobError, SelectionError, ServerError, TransportError, UnsupportedError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.jobs.starting import wait_or_cancel
from simple_orthanc.rest.objects import Patient
from simple_orthanc.session.acts.annotations import Annotations
from simple_orthanc.session.acts.copy_checks import read_tags, wrong_header
from simple_orthanc.session.acts.copy_groups import CopyGroup, CopyOrder, group_by_patient
from simple_orthanc.session.acts.copy_runs import CopyOptions
from simple_orthanc.session.acts.reports import ActReport, Outcome, is_unanswered
from simple_orthanc.session.acts.tag_changes import TagChanges
from simple_orthanc.session.acts.targets import selected_targets, whole_targets
from simple_orthanc.session.orthanc_state import OrthancState
from simple_orthanc.showing.text import agreeing

if TYPE_CHECKING:
    import pandas as pd

_OPTION = "the server's option OverwriteInstances, which is false by default"
# Older versions keep the values in their database until they are told to read the files again.
_UPDATES_DATABASE = (1, 11)


def modify_in_place(
    session: OrthancState, order: CopyOrder, changes: TagChanges, level: Level, options: CopyOptions
) -> pd.DataFrame:
    """Modify what is selected in place, and return one row per object.

    Parameters
    ----------
    session : OrthancState
        The session on the server.
    order : CopyOrder
        What is asked of the server.
    changes : TagChanges
        The new values.
    level : str
        The highest level at which something changes: its objects are modified as a whole, so that they agree with
        themselves.
    options : CopyOptions
        What else was asked for.
    """
    rest = session.rest
    if options.delete_originals:
        raise SelectionError("Modified in place, the originals are no more: leave delete_originals out.")
    if rest.get("/system").get("OverwriteInstances") is False:
        raise UnsupportedError(
            f"Modifying in place needs {_OPTION}: set it to true in the configuration, or leave keep out, for copies "
            "with new UIDs. Nothing was modified."
        )
    if changes.level != "instance":
        # Something above the instances changes, so that all of them must.
        level = LEVELS[min(depth(level), depth(options.level))]
        targets = whole_targets(session, level, order.done, everything=options.everything, whole=options.whole)
    else:
        targets = selected_targets(
            session, options.level, order.done, everything=options.everything, whole=options.whole
        )
    report = ActReport(targets, order.done, ["orthanc_id"])
    if options.dry_run:
        return report.planned()
    order = replace(order, keeps_patient=level == "patient")
    worker = _InPlace(session, order, changes, report)
    groups = group_by_patient(session._index.updated(), report.pending)
    with session._acting(report), progress_bar(sum(len(group.instances) for group in groups), order.done) as advance:
        for group in groups:
            worker.modify(group)
            advance(len(group.instances))
    return report.table()


class _InPlace:
    """Modifies group by group."""

    def __init__(self, session: OrthancState, order: CopyOrder, changes: TagChanges, report: ActReport) -> None:
        self._rest: Rest = session.rest
        self._is_alive = session._is_alive
        self._order, self._changes, self._report = order, changes, report

    def modify(self, group: CopyGroup) -> None:
        """Modify a group, and write down what became of its objects."""
        self._report.attempt(
            group.targets,
            lambda: self._modify(group),
            is_alive=self._is_alive,
            unknown="so that it may be modified in part; the same call modifies the rest",
        )

    def _modify(self, group: CopyGroup) -> None:
        annotations = Annotations(self._rest, group)
        try:
            self._read_back(group, self._run(group))
        finally:
            annotations.restore()

    def _run(self, group: CopyGroup) -> str:
        """Modify a group, twice if need be, since doing it again does no harm; return why it failed, "" if not."""
        patient_id = Patient(self._rest, group.patient).dicom_id
        body = self._order.body(group, patient_id)
        failure = ""
        for _ in range(2):
            try:
                wait_or_cancel(self._rest.start_job(self._order.route, body), progress=False)
            except JobError as error:
                failure = error.message
            except (TransportError, ServerError) as error:
                if not is_unanswered(error):
                    raise
                # Raises in its turn if the server is gone for good.
                self._rest.get("/system")
                failure = "The server restarted meanwhile."
            else:
                return ""
        return failure

    def _read_back(self, group: CopyGroup, failure: str) -> None:
        if self._rest.capabilities.version < _UPDATES_DATABASE:
            self._rest.post(f"/patients/{group.patient}/reconstruct", "", idempotent=True)
        wrong: dict[str, str] = {}
        for series, members in group.series.items():
            headers = read_tags(self._rest, f"/series/{series}/instances-tags", self._changes)
            for instance in members:
                problem = wrong_header(self._changes, headers[instance]) if instance in headers else "it is gone"
                if problem:
                    wrong[instance] = problem
        for target in group.targets:
            bad = [instance for instance in target.instances if instance in wrong]
            self._report.set(target, self._outcome(bad, wrong, len(target.instances), failure))

    def _outcome(self, bad: list[str], wrong: Mapping[str, str], count: int, failure: str) -> Outcome:
        if not bad:
            return Outcome(self._order.done)
        reason = failure or f"{wrong[bad[0]]}."
        left = f"{len(bad)} of {count} instances {agreeing(len(bad), 'are')} unchanged"
        return Outcome("failed", f"{left}: {reason} It needs {_OPTION}.")
