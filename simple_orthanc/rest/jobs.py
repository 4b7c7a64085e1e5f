"""Jobs of an Orthanc server: started, watched, and cancelled with Ctrl-C."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.errors import JobError, OrthancError

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


def run_job(
    get: Callable[[str], Any], post: Callable[[str, Any], Any], path: str, body: Mapping[str, Any], label: str
) -> dict[str, Any]:
    """Start a job with ``get`` and ``post`` of `simple_orthanc.rest.Rest`, and wait for its end: see its `run_job`."""
    # Older and newer versions of Orthanc name this option differently.
    answer = post(path, {**body, "Asynchronous": True, "Synchronous": False})
    job = f"/jobs/{answer['ID']}"
    try:
        state = _wait(get, job, label)
    except BaseException:
        with contextlib.suppress(OrthancError):
            post(f"{job}/cancel", {})
        raise
    content: dict[str, Any] = state.get("Content") or {}
    failed = int(content.get("FailedInstancesCount") or 0)
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


def _wait(get: Callable[[str], Any], job: str, label: str) -> dict[str, Any]:
    done, pause = 0, _FIRST_PAUSE
    with progress_bar(100, label) as advance:
        while True:
            state: dict[str, Any] = get(job)
            percent = max(done, int(state.get("Progress") or 0))
            advance(percent - done)
            done = percent
            if state.get("State") not in ("Pending", "Running", "Retry", "Paused"):
                return state
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)
