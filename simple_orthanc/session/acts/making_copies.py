"""Copies that an Orthanc server makes of what is selected: made by one job per patient, counted, and read back.

For each patient
----------------
1. What an earlier call has left is finished or removed (`copy_notes`), and copies that the same call made are not made
   again.
2. One job makes the copies; the originals stay.
3. The copies are read back: one of each original, of no other, and with the new values (`copy_traces`). If not, they
   are removed. A job that was lost when the server restarted is started once more.
4. Only then are the originals deleted, where that was asked for.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, depth
from simple_orthanc.errors import JobError, NotFoundError, OrthancError, SelectionError, ServerError, TransportError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.jobs.job import Job
from simple_orthanc.rest.jobs.starting import wait_or_cancel
from simple_orthanc.rest.objects import Patient, Series
from simple_orthanc.selection.index import Index
from simple_orthanc.session.acts.copy_groups import CopyGroup, CopyOrder
from simple_orthanc.session.acts.copy_leftovers import CopiedSeries, incomplete, is_recent, left_behind
from simple_orthanc.session.acts.copy_notes import Note, Notes
from simple_orthanc.session.acts.copy_traces import Copies, Tracer
from simple_orthanc.session.acts.reports import ActReport, Outcome, Target, is_unanswered
from simple_orthanc.session.display import counted

ALREADY_THERE = "already there"
_JOB_TYPE = "ResourceModification"
# Errors of jobs that a restart has spoiled: Orthanc 1.12.7 and 1.13.0 end them as failed without an error, and those of
# Orthanc 1.10.1 may meet their own copies, which cannot be stored again.
_NO_ERROR, _CANNOT_STORE = 0, 2018
_BATCH = 1000


class JobLostError(JobError):
    """A job whose end is not known, or that a restart of the server spoiled."""


class CopyMaker:
    """Makes copies, group by group, and writes down what became of each object.

    Parameters
    ----------
    rest : Rest
        The server.
    order : CopyOrder
        What is asked for.
    report : ActReport
        The rows.
    refuse : callable
        Takes a group that is to be copied, and raises an error if it must not be.
    check : callable
        Takes copies that are complete, and returns what is wrong with them, "" for nothing.
    remark : callable
        Takes a row and its copies, and returns what is to be known of them, "" for nothing.
    is_alive : callable
        Returns whether the server answers.
    delete_originals : bool
        Whether originals are deleted once their copies are known to be complete.
    """

    def __init__(
        self,
        rest: Rest,
        order: CopyOrder,
        report: ActReport,
        *,
        refuse: Callable[[CopyGroup], None],
        check: Callable[[Copies], str],
        remark: Callable[[Target, Copies], str],
        is_alive: Callable[[], bool],
        delete_originals: bool = False,
    ) -> None:
        self._rest, self._order, self._report = rest, order, report
        self._refuse, self._check, self._remark = refuse, check, remark
        self._is_alive, self._delete_originals = is_alive, delete_originals
        self._tracer, self._notes = Tracer(rest, order.trace), Notes(rest)
        # How many instances there are if nobody else stores or deletes any.
        self._expected = self._count()
        self._copied = self._tracer.copied_series()
        self._shows_jobs = False

    # What is known before

    def copies_among(self, index: Index, series: Iterable[str]) -> dict[str, str]:
        """Return those of some series that are copies and not to be copied in their turn, each with the reason.

        That is what the same call has made before, and what a call that was cut short has left: it is finished or
        removed with its originals.
        """
        reasons: dict[str, str] = {}
        for key in series:
            if key not in self._copied:
                continue
            mark = self._notes.mark_of(key)
            if mark.startswith(self._order.fingerprint):
                reasons[key] = "it is a copy that the same call has made"
            elif not mark and self._is_left(index, key):
                reasons[key] = (
                    "it belongs to copies that are not complete: the same call on the originals finishes them"
                )
        return reasons

    def _is_left(self, index: Index, series: str) -> bool:
        """Check whether a series of copies was made by a call that has not come to its end."""
        origin = self._copied[series]
        try:
            (patient,) = index.up("series", [origin], "patient")
        except SelectionError:
            # The originals are not there any more.
            return False
        note = self._notes.read(patient)
        return note is not None and origin in note.series and series not in note.before

    def plan(self, groups: Sequence[CopyGroup], *, dry_run: bool) -> None:
        """Refuse what must not be copied, before anything is changed; for a dry run write down what has its copies.

        What an earlier call has left may be in the way of the refusal; it is judged again before it is copied.
        """
        for group in groups:
            copies = self._marked(group)
            if copies is None and self._notes.read(group.patient) is None:
                self._refuse(group)
            elif copies is not None and dry_run:
                self._write_down(group, copies, ALREADY_THERE)

    def _marked(self, group: CopyGroup) -> Copies | None:
        """Return the complete copies that the same call has made of a group, None if there are none.

        It may have made several, in several processes at once.
        """
        mark = group.mark(self._order)
        by_call: dict[str, list[str]] = {}
        for key, origin in self._copied.items():
            if origin in group.series and (full := self._notes.mark_of(key)).startswith(mark):
                by_call.setdefault(full, []).append(key)
        for full in sorted(by_call):
            copies = self._tracer.read(group, by_call[full])
            # Somebody may have modified them in place since.
            if copies.is_exact and not self._check(copies):
                return copies
        return None

    # Making them

    def run(self, groups: Sequence[CopyGroup]) -> None:
        """Copy group by group.

        Raises
        ------
        TransportError
            The server is gone; ``.table`` reports on each object.
        KeyboardInterrupt
            With the same ``.table``; the job is cancelled.
        """
        self._shows_jobs = len(groups) == 1
        total = None if self._shows_jobs else sum(len(group.instances) for group in groups)
        with self._report.attached(), progress_bar(total, self._order.done) as advance:
            for group in groups:
                self._report.attempt(
                    group.targets,
                    partial(self._copy, group),
                    is_alive=self._is_alive,
                    unknown="so its copies may be there in part; the same call removes or finishes them",
                )
                advance(len(group.instances))

    def _copy(self, group: CopyGroup, lost: str = "") -> None:
        try:
            copies, status = self._settled(group), self._order.done
            if copies is None:
                copies, status = self._marked(group), ALREADY_THERE
            if copies is None:
                copies, status = self._make(group), self._order.done
        except ServerError as error:
            gone = [] if lost or isinstance(error, JobError) or error.status not in (400, 404) else self._gone(group)
            if not gone:
                raise
            self._report_gone(group, gone)
            rest = group.without(gone)
            if rest.targets:
                self._copy(rest, f"{counted({'instance': len(gone)})} were gone and have no copy")
            return
        self._write_down(group, copies, status, lost)
        if self._delete_originals:
            self._delete(group)

    def _settled(self, group: CopyGroup) -> Copies | None:
        """Finish or remove what a call that was cut short has left; return what it made, if it was this call."""
        note = self._notes.read(group.patient)
        if note is None:
            return None
        mark = group.mark(self._order)
        for job in self._active_jobs(note):
            if note.mark != mark:
                raise ServerError(
                    f"The job {job.id} of another call makes copies of the same patient: wait for it with "
                    f"orthanc.jobs[{job.id!r}].wait(), and call again."
                )
            with suppress(JobError):
                self._wait(job)
        tracer = Tracer(self._rest, note.trace)
        candidates = self._unmarked(tracer, note)
        if note.mark == mark:
            made = tracer.read(group, [series.key for series in candidates], but=group.instances)
            if made.is_exact and not self._check(made):
                self._finish(group, made, note)
                return made
        ended, succeeded = self._end_of(note)
        if note.mark != mark and succeeded and is_recent(ended, self._now()):
            raise ServerError(
                "Another call has just made copies of the same patient, and may be checking them: call again in a "
                "minute."
            )
        left = [series.key for series in left_behind(note, candidates, ended=ended)]
        if any(self._notes.mark_of(series.key) == note.full_mark for series in tracer.since(note)):
            # They were known to be complete, and only some of them are marked.
            for key in left:
                self._notes.mark(key, note.full_mark)
        else:
            self._remove(tracer.read(group, left, but=group.instances))
        self._notes.remove(group.patient)
        return None

    def _now(self) -> str:
        return str(self._rest.get("/tools/now")).strip()

    def _unmarked(self, tracer: Tracer, note: Note) -> list[CopiedSeries]:
        """Return the series of copies that were made since a note was written, and are not known to be complete."""
        return [series for series in tracer.since(note) if not self._notes.mark_of(series.key)]

    def _end_of(self, note: Note) -> tuple[str, bool]:
        """Return when the job of a note ended, "" if the server does not know, and whether it succeeded."""
        for job in self._rest.jobs:
            if job.id == note.job:
                return str(job.description.get("CompletionTime") or ""), job.state == "Success"
        return "", False

    def _active_jobs(self, note: Note) -> list[Job]:
        jobs = [job for job in self._rest.jobs if job.type == _JOB_TYPE and not job.has_ended]
        return [job for job in jobs if note.job in (None, job.id)]

    def _make(self, group: CopyGroup) -> Copies:
        self._refuse(group)
        if self._count() != self._expected:
            # Others may have made copies since this call began.
            self._copied = self._tracer.copied_series()
        before = [key for key, origin in self._copied.items() if origin in group.series]
        members = {key: len(instances) for key, instances in group.series.items()}
        call = secrets.token_hex(4)
        note = Note(group.mark(self._order), self._order.trace, members, before, self._now(), call=call)
        try:
            return self._attempt(group, note)
        except JobLostError:
            return self._attempt(group, note)

    def _attempt(self, group: CopyGroup, note: Note) -> Copies:
        """Make the copies, all or none."""
        self._notes.write(group.patient, note)
        count = self._count()
        try:
            copies = self._tracer.read(group, self._run_job(group, note), but=group.instances)
            failure: OrthancError | None = None
        except JobError as error:
            copies, failure = Copies(group), error
        except ServerError:
            # Refused, so that nothing was begun.
            self._notes.remove(group.patient)
            raise
        if not copies.is_exact or self._count() != count + len(group.instances):
            # A job that went on after a restart reports less than was made.
            copies = self._all_new(group, note, copies)
        problem = self._problem(copies)
        if not problem and not (problem := self._check(copies)):
            self._finish(group, copies, note)
            return copies
        self._remove(copies)
        self._notes.remove(group.patient)
        kind = JobError if copies.is_exact else JobLostError
        raise failure or kind(f"{problem}. The copies were removed.")

    def _all_new(self, group: CopyGroup, note: Note, reported: Copies) -> Copies:
        """Return what was made since a note was written; beside a right report, only remove what is incomplete."""
        candidates = self._unmarked(self._tracer, note)
        if not reported.is_exact:
            return self._tracer.read(group, [series.key for series in candidates], but=group.instances)
        others = [series for series in candidates if series.key not in reported.series]
        left = left_behind(note, others) if incomplete(note, others) else []
        self._remove(self._tracer.read(group, [series.key for series in left], but=group.instances))
        return reported

    def _count(self) -> int:
        return len(self._rest.instances)

    def _run_job(self, group: CopyGroup, note: Note) -> list[str]:
        """Run the job, and return the ids of the series that it reports."""
        patient_id = Patient(self._rest, group.patient).dicom_id if self._order.keeps_patient else ""
        try:
            job = self._rest.start_job(self._order.route, self._order.body(group, patient_id))
        except (TransportError, ServerError) as error:
            if not is_unanswered(error):
                raise
            # Once it answers again, its job may be there all the same.
            self._rest.get("/system")
            for begun in self._active_jobs(note):
                self._wait(begun)
            return []
        self._notes.write(group.patient, note, job.id)
        content = self._wait(job)
        created = content.get("Resources") if isinstance(content, dict) else None
        listed = created if isinstance(created, list) else []
        return [str(item["ID"]) for item in listed if isinstance(item, dict) and item.get("Type") == "Series"]

    def _wait(self, job: Job) -> Any:
        try:
            return wait_or_cancel(job, progress=self._shows_jobs, label=self._order.done).content
        except JobError as error:
            lost = self._is_lost(job)
            with suppress(OrthancError):
                # Somebody may have paused it.
                job.cancel()
            if lost:
                raise JobLostError(error.message, details=error.details) from None
            raise

    def _is_lost(self, job: Job) -> bool:
        try:
            failure = job.error
        except JobError:
            return True
        return failure is not None and failure.code in (_NO_ERROR, _CANNOT_STORE)

    def _problem(self, copies: Copies) -> str:
        """Return what is wrong with the number of copies, "" for nothing."""
        if copies.is_exact:
            return ""
        wanted = len(copies.group.instances)
        return (
            f"There were {counted({'instance': len(copies.made)})} after the server had copied {wanted}: one copy of "
            "each was expected. What is selected may have changed meanwhile: refresh() shows it"
        )

    def _finish(self, group: CopyGroup, copies: Copies, note: Note) -> None:
        for series in copies.series:
            self._notes.mark(series, note.full_mark)
        self._notes.remove(group.patient)
        self._expected += len(copies.made)

    def _remove(self, copies: Copies) -> None:
        left = delete_instances(self._rest, copies.keys)
        if left:
            raise ServerError(
                f"{counted({'instance': len(left)})} of incomplete copies could not be removed: {', '.join(left[:3])}. "
                "Delete them with orthanc.rest.delete(f'/instances/{id}'), and call again."
            )

    # What is not there any more

    def _gone(self, group: CopyGroup) -> list[str]:
        """Return the instances of a group that are not there any more."""
        gone: list[str] = []
        for series, members in group.series.items():
            try:
                held = {instance.id for instance in Series(self._rest, series).instances}
            except NotFoundError:
                held = set()
            gone += [key for key in members if key not in held]
        return gone

    def _report_gone(self, group: CopyGroup, gone: Sequence[str]) -> None:
        for target in group.targets:
            if not set(target.instances).difference(gone):
                self._report.set(target, Outcome("gone", "not in the archive any more"))

    # Originals

    def _delete(self, group: CopyGroup) -> None:
        left: list[str] = []
        failure = ""
        try:
            left = delete_instances(self._rest, group.instances)
        except OrthancError as error:
            failure = f"the original may not be deleted: {error.message}"
        self._expected -= len(group.instances) - len(left)
        for target in group.targets:
            outcome = self._report.outcome(target)
            kept = len(set(target.instances).intersection(left))
            message = failure or (
                f"{counted({'instance': kept})} of the original could not be deleted" if kept else "original deleted"
            )
            self._report.set(
                target, Outcome(outcome.status, "; ".join(filter(None, (outcome.message, message))), outcome.values)
            )

    # Rows

    def _write_down(self, group: CopyGroup, copies: Copies, status: str, message: str = "") -> None:
        for target in group.targets:
            text = "; ".join(filter(None, (message, self._remark(target, copies))))
            self._report.set(target, Outcome(status, text, new_values(target, copies)))


def new_values(target: Target, copies: Copies) -> dict[str, Any]:
    """Return the columns of what an object became, as deep as its level."""
    made = copies.of(target.instances)
    values: dict[str, Any] = {
        f"new_{IDENTIFIERS[level]}": _joined(copy.identifiers[level] for copy in made)
        for level in LEVELS[: depth(target.level) + 1]
    }
    return values | {"new_orthanc_id": _joined(copy.keys[target.level] for copy in made)}


def delete_instances(rest: Rest, keys: Sequence[str]) -> list[str]:
    """Delete instances, and return those that are still there."""
    left: list[str] = []
    for start in range(0, len(keys), _BATCH):
        batch = list(keys[start : start + _BATCH])
        # It answers 200 whatever it did.
        rest.post("/tools/bulk-delete", {"Resources": batch}, idempotent=True)
        answer = rest.post("/tools/bulk-content", {"Resources": batch, "Short": True}, idempotent=True)
        left += [str(item["ID"]) for item in answer or () if isinstance(item, dict) and "ID" in item]
    return left


def _joined(values: Iterable[str]) -> str | None:
    return ", ".join(dict.fromkeys(values)) or None
