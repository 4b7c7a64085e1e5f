"""Jobs of an Orthanc server: started, watched, and cancelled with Ctrl-C."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.errors import JobError, OrthancError, TransportError

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


def run_job(
    get: Callable[[str], Any], post: Callable[[str, Any], Any], path: str, body: Mapping[str, Any], label: str
) -> dict[str, Any]:
    """Start a job with ``get`` and ``post`` of `simple_orthanc.rest.Rest`, and wait for its end: see its `run_job`."""
    # Older and newer versions of Orthanc name this option differently.
    answer = post(path, {**body, "Asynchronous": True, "Synchronous": False})
    number = _job_of(answer)
    if number is None:
        return {"State": "Success", "Content": answer}
    job = f"/jobs/{number}"
    try:
        state = _wait(get, job, label, path)
    except BaseException:
        with contextlib.suppress(OrthancError):
            post(f"{job}/cancel", {})
        raise
    content = state.get("Content")
    content = content if isinstance(content, dict) else {}
    failed = _integer(content.get("FailedInstancesCount"))
    if state["State"] != "Success" or failed:
        reason = " ".join(str(state.get("ErrorDetails") or state.get("ErrorDescription") or "").split())
        raise JobError(
            f"The server's job for {path} ended as {state['State']}"
            + (f", with {failed} of {content.get('InstancesCount', 'its')} instances failed" if failed else "")
            + f": {reason or 'it gives no reason'}. The server's log may say more.",
            method="POST",
            path=path,
            details=reason,
        )
    return state


def _job_of(answer: Any) -> str | None:
    """Return the number of the job that a route has started, or None if it answered without one.

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


def _integer(value: object) -> int:
    """Return a count of the server, 0 where it gives none."""
    return value if isinstance(value, int) else 0


def _wait(get: Callable[[str], Any], job: str, label: str, path: str) -> dict[str, Any]:
    done, pause = 0, _FIRST_PAUSE
    with progress_bar(100, label) as advance:
        while True:
            state = get(job)
            if not isinstance(state, dict) or not isinstance(state.get("State"), str):
                raise TransportError(
                    f"The server started a job for {path}, and its answer to {job} is not the state of a job: "
                    f"{str(state)[:80]!r}. Check {job} before the request is repeated: the server may go on with it."
                )
            percent = max(done, _integer(state.get("Progress")))
            advance(percent - done)
            done = percent
            if state["State"] not in ("Pending", "Running", "Retry", "Paused"):
                return state
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)
