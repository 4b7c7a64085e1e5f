"""One job of an Orthanc server: what it does, waited for, and controlled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.errors import JobError, NotFoundError, RequestTimeout, SelectionError, ServerError
from simple_orthanc.files.paths import path_text
from simple_orthanc.rest.jobs.answers import failure_of, integer
from simple_orthanc.rest.jobs.clock import Clock, checked_seconds
from simple_orthanc.rest.jobs.described import DescribedJob
from simple_orthanc.rest.zips import zip_check

if TYPE_CHECKING:
    from typing_extensions import Self

STALL = 3600.0
"""Seconds without any change of state, progress or content after which `Job.wait` gives up."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_ZIP_JOBS = ("Archive", "Media")
# The states from which each action works (Orthanc refuses others with an empty body).
_ACTION_NEEDS = {"pause": "Pending or Running", "resume": "Paused", "resubmit": "Failure", "cancel": "not over"}


class Job(DescribedJob):
    """A job of an Orthanc server.

    Until the job has ended, each attribute asks the server; the last description is kept afterwards, even if the server
    has forgotten the job. Two jobs are equal if their ids are.

    Attributes
    ----------
    id : str or None
        The server's id; None for a route that answered at once, so that there is no job: ``state`` is "Success" and
        ``content`` the answer.
    path : str
        The route that started it, "" if that is not known.

    Examples
    --------
    >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
    >>> job = orthanc.rest.start_job(f"/studies/{study}/anonymize", {"Keep": ["StudyDate"]})
    >>> copy = job.wait().content["ID"]
    >>> orthanc.rest.studies[copy].main_dicom_tags["StudyDate"]
    '20230309'
    """

    def wait(
        self, timeout: float | None = None, progress: bool = True, *, stall: float = STALL, label: str = ""
    ) -> Self:
        """Wait for the end of the job.

        Neither a limit that is exceeded nor Ctrl-C cancels it: `cancel` does. The server may restart meanwhile if that
        takes no longer than the patience of the connection; jobs that modify or store go on afterwards.

        Parameters
        ----------
        timeout : number, optional
            Seconds within which it must end; None for no limit.
        progress : bool, default True
            Whether to show a progress bar, which appears after a second.
        stall : number, default 3600
            Seconds within which its state, progress or content must change.
        label : str
            The label of the progress bar; by default the route or the type.

        Returns
        -------
        Job
            The job itself, which has succeeded, so that calls chain.

        Raises
        ------
        JobError
            If it failed, was cancelled or left something out (the message has the server's reason), if somebody paused
            it, or if the server forgot it before its end was seen.
        RequestTimeout
            If a limit was exceeded; the job goes on.
        TransportError
            If the server cannot be reached, or its description of the job cannot be read.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait(timeout=60, progress=False).state
        'Success'
        """
        clock = Clock(checked_seconds("timeout", timeout), checked_seconds("stall", stall) or 0.0)
        pause, done = _FIRST_PAUSE, 0
        with progress_bar(100 if progress else None, label or self.path or "job") as advance:
            while not self._has_ended():
                self._read_within(clock)
                assert self._description is not None
                percent = max(done, integer(self._description.get("Progress")))
                advance(percent - done)
                done = percent
                if self._description["State"] == "Paused":
                    raise self._paused()
                if not self._has_ended():
                    seconds = clock.pause(self._description, pause)
                    if seconds <= 0:
                        raise self._timed_out(clock)
                    interruption.pause(seconds)
                    pause = min(1.5 * pause, _LONGEST_PAUSE)
        self._raise_if_failed()
        return self

    def _read_within(self, clock: Clock) -> None:
        left = clock.left()
        if left is None or self.id is None:
            self._read()
            return
        try:
            # At least one look, also with timeout=0.
            self._read(deadline=max(left, 1.0))
        except RequestTimeout:
            if (clock.left() or 0.0) > 0:
                raise
            raise self._timed_out(clock) from None

    def _raise_if_failed(self) -> None:
        known = self._description or {}
        content = known.get("Content")
        content = content if isinstance(content, dict) else {}
        failed = integer(content.get("FailedInstancesCount"))
        if known["State"] == "Success" and not failed:
            return
        failure = failure_of(known)
        reason = " ".join((failure.details or failure.description).split()) if failure else ""
        raise self._job_error(
            f"{self._name()} ended as {known['State']}"
            + (f", with {failed} of {content.get('InstancesCount', 'its')} instances failed" if failed else "")
            + f": {reason or 'it gives no reason'}. The server's log may say more.",
            details=reason,
        )

    def _paused(self) -> JobError:
        return self._job_error(
            f"{self._name()} is Paused, so that it does not end by itself: continue it with "
            f"orthanc.jobs[{self.id!r}].resume(), or end it with .cancel()."
        )

    def _timed_out(self, clock: Clock) -> RequestTimeout:
        known = self._description or {}
        return RequestTimeout(
            f"{self._name()} {clock.reason}; it is {known.get('State', 'in an unknown state')} at "
            f"{integer(known.get('Progress'))} %, and goes on. Wait again with orthanc.jobs[{self.id!r}].wait(), allow "
            f"longer with timeout= or stall=, or end it with .cancel()."
        )

    def output(self, path: str | os.PathLike[str], *, name: str = "archive") -> Path:
        """Wait for the end of the job, and write its output to a file, which appears when it is whole.

        The server keeps the output of the last archives only (its option MediaArchiveSize, 1 by default): write one
        before the next is started.

        Parameters
        ----------
        path : str or Path
            The file; an older one of that name is replaced at the end.
        name : str, default "archive"
            The name of the output.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        JobError
            If the job failed, or the server has no such output, or not any more.
        TransportError
            If the output is cut off, or a zip without every instance: Orthanc silently leaves out what it cannot
            read.
        SelectionError
            If there can be no such file, or `name` is not a string.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.output("study.zip").name
        'study.zip'
        """
        path, route = path_text(path, 'job.output("archive.zip")'), self._route("write")
        given: object = name
        if not isinstance(given, str):
            raise SelectionError(f'The name of an output is a string such as "archive", and {name!r} was given.')
        content = self.wait().content
        content = content if isinstance(content, dict) else {}
        count = integer(content.get("InstancesCount"))
        what = f"The {name} of job {self.id}"
        check = zip_check(what, count, lambda: count) if self.type in _ZIP_JOBS else None
        try:
            target: Path = self._rest.stream(f"{route}/{quote(name, safe='')}", to=path, check=check)
        except NotFoundError:
            raise self._job_error(
                f"{what} is not on the server: the job makes none of that name, or the server forgot it, as it keeps "
                "the last archives only (MediaArchiveSize, 1 by default) and none over a restart. Start the job again "
                "and write its output before the next one is started."
            ) from None
        return target

    # Controlling

    def cancel(self) -> Self:
        """Cancel the job; one that has ended stays as it is.

        A job that runs ends only between two steps: one that waits for a silent machine ends with its network timeout.

        Raises
        ------
        NotFoundError
            If the server does not know it any more.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().cancel().state
        'Success'
        """
        return self._act("cancel")

    def pause(self) -> Self:
        """Pause the job; a step that has begun is finished first.

        Raises
        ------
        JobError
            If it has ended.
        NotFoundError
            If the server does not know it any more.

        Examples
        --------
        >>> job.state
        'Running'
        >>> job.pause().state
        'Paused'
        """
        return self._act("pause")

    def resume(self) -> Self:
        """Continue a paused job.

        Raises
        ------
        JobError
            If it is not paused.
        NotFoundError
            If the server does not know it any more.

        Examples
        --------
        >>> job.pause().resume().state
        'Running'
        """
        return self._act("resume")

    def resubmit(self) -> Self:
        """Start a failed job again.

        Raises
        ------
        JobError
            If it has not failed.
        NotFoundError
            If the server does not know it any more.

        Examples
        --------
        >>> from simple_orthanc import JobError
        >>> orthanc.modalities["GONE"] = ["GONE", "127.0.0.1", 9]
        >>> job = orthanc.rest.start_job("/modalities/GONE/store", orthanc.get_orthanc_ids()[:1])
        >>> try:
        ...     job.wait()
        ... except JobError:
        ...     print(job.resubmit().type)
        DicomModalityStore
        """
        return self._act("resubmit")

    def _act(self, action: str, *, is_second: bool = False) -> Self:
        path = f"{self._route(action)}/{action}"
        try:
            self._rest.post(path, {})
        except NotFoundError:
            raise unknown_job(str(self.id)) from None
        except ServerError as error:
            if error.status != 400:
                raise
            # Only the status is kept: Orthanc gives no reason.
            refusal = error
        else:
            self._description = None
            return self
        self._read()
        state = (self._description or {})["State"]
        if state in _ACTION_NEEDS[action] and not is_second:
            # It has come to this state since it was asked: a job that is paused finishes its step first.
            return self._act(action, is_second=True)
        raise JobError(
            f"{self._name()} was to {action}, and is {state}: only a job that is {_ACTION_NEEDS[action]} can. "
            "resume() continues a paused job, resubmit() starts a failed one again, and wait() waits for its end.",
            status=400,
            method="POST",
            path=path,
            details=refusal.details,
        )


def unknown_job(job_id: object) -> NotFoundError:
    """Make the error for an id that the server does not know."""
    return NotFoundError(
        f"The server knows no job {job_id!r}. It forgets all but the last jobs that ended (JobsHistorySize, 10 by "
        "default): list(orthanc.jobs) has those that it knows.",
        status=404,
        method="GET",
        path=f"/jobs/{job_id}",
    )
