"""Jobs: waited for, failed, cancelled."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import JobError
from simple_orthanc.rest import jobs
from simple_orthanc.rest.jobs import run_job


class Server:
    """Gives the states of one job one after the other; an exception in their place is raised."""

    def __init__(self, *states: Any) -> None:
        self.states, self.posted = list(states), []  # type: ignore[var-annotated]

    def post(self, path: str, body: Any) -> Any:
        self.posted.append((path, body))
        return {"ID": "7", "Path": "/jobs/7"}

    def get(self, path: str) -> Any:
        assert path == "/jobs/7"
        state = self.states.pop(0)
        if isinstance(state, BaseException):
            raise state
        return state


def run(server: Any) -> dict[str, Any]:
    return run_job(server.get, server.post, "/peers/a/store", {"Resources": ["x"]}, "sending")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.time, "sleep", lambda seconds: None)


def test_a_job_is_waited_for() -> None:
    server = Server(
        {"State": "Pending"},
        {"State": "Running", "Progress": 40},
        {"State": "Retry", "Progress": 40},
        {"State": "Success", "Progress": 100, "Content": {"InstancesCount": 3, "FailedInstancesCount": 0}},
    )
    assert run(server)["Content"] == {"InstancesCount": 3, "FailedInstancesCount": 0}
    assert server.posted == [("/peers/a/store", {"Resources": ["x"], "Asynchronous": True, "Synchronous": False})]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"State": "Failure", "ErrorDetails": "no\nroute", "ErrorDescription": "x"}, "ended as Failure: no route"),
        ({"State": "Failure", "ErrorDescription": "network"}, "ended as Failure: network"),
        ({"State": "Failure"}, "it gives no reason"),
        (
            {"State": "Success", "Content": {"InstancesCount": 5, "FailedInstancesCount": 2}},
            "with 2 of 5 instances failed",
        ),
    ],
)
def test_a_failed_job_raises_its_reason(state: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match=message):
        run(Server(state))


def test_ctrl_c_cancels_the_job() -> None:
    server = Server({"State": "Running"}, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(server)
    assert server.posted[1:] == [("/jobs/7/cancel", {})]
