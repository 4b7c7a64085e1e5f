"""Jobs of an Orthanc server: started, watched, and cancelled with Ctrl-C."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from simple_orthanc.errors import JobError, OrthancError
from simple_orthanc.rest import Rest
from simple_orthanc.workers import Progress

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


def run_job(rest: Rest, path: str, body: dict[str, Any], label: str) -> dict[str, Any]:
    """Start a job, and wait for its end.

    Parameters
    ----------
    rest : Rest
    path : str
        The route that starts it.
    body : dict
        What it is asked; that it is not to be waited for is added here.
    label : str
        What the progress bar says.

    Returns
    -------
    dict
        Its ``Content``.

    Raises
    ------
    JobError
        It failed, was cancelled, or left something out; the message gives the server's reason.
    """
    # The two names are those of older and newer versions of Orthanc.
    answer = rest.post(path, {**body, "Asynchronous": True, "Synchronous": False})
    job = f"/jobs/{answer['ID']}"
    try:
        state = _wait(rest, job, label)
    except BaseException:
        with contextlib.suppress(OrthancError):
            rest.post(f"{job}/cancel", {})
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
    return content


def _wait(rest: Rest, job: str, label: str) -> dict[str, Any]:
    meter = Progress(100, label)
    shown, pause = 0, _FIRST_PAUSE
    try:
        while True:
            state: dict[str, Any] = rest.get(job)
            for _ in range(shown, int(state.get("Progress") or 0)):
                meter.step(None)
                shown += 1
            if state.get("State") not in ("Pending", "Running", "Retry", "Paused"):
                return state
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)
    finally:
        meter.close()
