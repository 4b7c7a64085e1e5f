"""Jobs are started here, and waited for."""

from __future__ import annotations

import contextlib
from typing import Any, TypeVar

from simple_orthanc.errors import JobError, OrthancError
from simple_orthanc.rest.api import RestApi
from simple_orthanc.rest.jobs.bodies import job_body
from simple_orthanc.rest.jobs.job import Job

AnyJob = TypeVar("AnyJob", bound=Job)


def start_job(rest: RestApi, path: str, body: Any = None, **options: Any) -> Job:
    """Start a job; see `simple_orthanc.rest.Rest.start_job`."""
    answer = rest.post(path, job_body(path, body), **options)
    job_id = _job_of(answer)
    if job_id is None:
        return Job(rest, None, {"State": "Success", "Content": answer}, path=path)
    return Job(rest, job_id, path=path)


def run_job(rest: RestApi, path: str, body: Any = None, label: str = "") -> dict[str, Any]:
    """Start a job and wait for its end; see `simple_orthanc.rest.Rest.run_job`."""
    return wait_or_cancel(start_job(rest, path, body), label=label).description


def wait_or_cancel(job: AnyJob, **options: Any) -> AnyJob:
    """Wait for the end of a job, as `Job.wait` does, and cancel it on Ctrl-C or when it cannot be waited for."""
    try:
        job.wait(**options)
    except JobError:
        # It has ended, or somebody has paused it.
        raise
    except BaseException:
        with contextlib.suppress(OrthancError):
            job.cancel()
        raise
    return job


def _job_of(answer: Any) -> str | None:
    """Return the id of the job that a route has started, or None if it answered without one.

    A route that always answers at once may name an object by ``ID`` and ``Path`` too.

    Examples
    --------
    >>> _job_of({"ID": "7", "Path": "/jobs/7"}), _job_of({"ID": "4c", "Path": "/studies/4c"}), _job_of([])
    ('7', None, None)
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("ID"), str):
        return None
    path = answer.get("Path", f"/jobs/{answer['ID']}")
    return answer["ID"] if str(path).endswith(f"/jobs/{answer['ID']}") else None
