"""Descriptions of jobs, as Orthanc writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

ACTIVE = ("Pending", "Running", "Retry", "Paused")
"""The states of a job that has not ended."""


class JobFailure(NamedTuple):
    """Why a job failed.

    Attributes
    ----------
    code : int
        Orthanc's number of the error: 9 for the network, 37 for a cancelled job, ...
    description : str
        Orthanc's words for that number.
    details : str
        What happened, "" if the server does not report it.

    Examples
    --------
    >>> from simple_orthanc import JobError
    >>> orthanc.modalities["GONE"] = ["GONE", "127.0.0.1", 9]
    >>> job = orthanc.rest.start_job("/modalities/GONE/store", orthanc.get_orthanc_ids()[:1])
    >>> try:
    ...     job.wait()
    ... except JobError:
    ...     print(job.error.code, job.error.description)
    9 Error in the network protocol
    """

    code: int
    description: str
    details: str


def is_description(answer: Any) -> bool:
    """Check whether an answer describes a job."""
    return isinstance(answer, dict) and isinstance(answer.get("State"), str)


def failure_of(description: Mapping[str, Any]) -> JobFailure | None:
    """Return why a job failed, None if it did not."""
    code = integer(description.get("ErrorCode"))
    if description["State"] != "Failure" and not code:
        return None
    return JobFailure(
        code, str(description.get("ErrorDescription") or ""), str(description.get("ErrorDetails") or "").strip()
    )


def integer(value: object) -> int:
    """Return a count of the server, 0 if it is not one; some plugins write counts as strings.

    Examples
    --------
    >>> integer(3), integer("3"), integer(None), integer("many")
    (3, 3, 0, 0)
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:18])
    return value if isinstance(value, int) else 0


def string(value: object) -> str | None:
    """Return a value if it is a string, else None."""
    return value if isinstance(value, str) else None
