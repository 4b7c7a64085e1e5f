"""Jobs that are not believed: what they report is compared with what is there at their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simple_orthanc.errors import JobError, ServerError
from simple_orthanc.rest.jobs import STALL, Job, start_job, wait_or_cancel
from simple_orthanc.rest.jobs.answers import integer
from simple_orthanc.rest.remote.explaining import explained

if TYPE_CHECKING:
    from typing_extensions import Self

    from simple_orthanc.rest.api import RestApi

Check = Callable[[Job], None]
"""Raises `JobError` unless a job that reports success has done all that it was to do."""


class CheckedJob(Job):
    """A job whose `wait` also checks what it has done; see `Job` for everything else.

    Orthanc reports success for transfers of which nothing, or not all, has arrived. ``state`` is what it reports;
    `wait` raises unless the check agrees.
    """

    def __init__(self, job: Job, check: Check, failed: str) -> None:
        super().__init__(job._rest, job.id, job._description, path=job.path)
        self._check, self._failed = check, failed
        self._is_checked = False

    def wait(
        self, timeout: float | None = None, progress: bool = True, *, stall: float = STALL, label: str = ""
    ) -> Self:
        """Wait for the end of the job, and check what it has done; parameters and errors as for `Job.wait`."""
        try:
            super().wait(timeout, progress, stall=stall, label=label)
        except JobError as error:
            raise explained(error, self._failed) if error.details else error from None
        if not self._is_checked:
            self._check(self)
            self._is_checked = True
        return self


def start_checked(
    rest: RestApi,
    path: str,
    body: dict[str, Any],
    check: Check,
    failed: str,
    *,
    wait: bool,
    timeout: float | None = None,
) -> CheckedJob:
    """Start a job, and wait for its checked end if that is wanted.

    Parameters
    ----------
    rest : Rest
        The REST API of the server.
    path, body : str, dict
        The route, and the request.
    check : callable
        Decides whether all was done.
    failed : str
        What failed, as the beginning of the sentence of an error.
    wait : bool
        Whether to wait for the end; Ctrl-C then cancels the job.
    timeout : float, optional
        Seconds for the request that starts the job, where the server answers at its end.

    Raises
    ------
    JobError
        It failed, or has not done all.
    """
    try:
        job = start_job(rest, path, body, timeout=timeout)
    except ServerError as error:
        if error.status not in (422, 500):
            raise
        reason = error
    else:
        return finish_checked(job, check, failed, wait=wait)
    # A route that answers at its end reports the failure of its work as that of the request.
    failure = JobError(
        reason.message, status=reason.status, method=reason.method, path=reason.path, details=reason.details
    )
    raise explained(failure, failed)


def finish_checked(job: Job, check: Check, failed: str, *, wait: bool) -> CheckedJob:
    """Return a job that has been started as a checked one, at its end if that is waited for: see `start_checked`."""
    checked = CheckedJob(job, check, failed)
    return wait_or_cancel(checked) if wait else checked


def check_sent(job: Job) -> None:
    """Raise `JobError` unless a job that stores reports at least one instance; `Job.wait` raises for failed ones."""
    check_counted(job, "InstancesCount", "sent")


def check_counted(job: Job, field: str, what: str) -> None:
    """Raise `JobError` unless a field of a job's content counts at least one instance."""
    content = job.content if isinstance(job.content, dict) else {}
    if not integer(content.get(field)):
        raise JobError(
            f"The server's job for {job.path} ended as Success, and reports no instance that was {what}. Check whether "
            "the objects still exist on the server that sends them.",
            method="POST",
            path=job.path,
        )
