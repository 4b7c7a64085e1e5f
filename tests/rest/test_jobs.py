"""Jobs: waited for, failed, cancelled."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import JobError, TransportError
from simple_orthanc.rest import jobs
from simple_orthanc.rest.jobs import run_job


class Server:
    """Gives the states of one job one after the other; an exception in their place is raised."""

    def __init__(self, *states: Any, answer: Any = None) -> None:
        self.states, self.posted = list(states), []  # type: ignore[var-annotated]
        self.answer = {"ID": "7", "Path": "/jobs/7"} if answer is None else answer

    def post(self, path: str, body: Any) -> Any:
        self.posted.append((path, body))
        return self.answer

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


@pytest.mark.parametrize("answer", [{"ID": "7"}, {"ID": "7", "Path": "../../jobs/7"}])
def test_a_job_is_known_by_its_number(answer: dict[str, str]) -> None:
    assert run(Server({"State": "Success"}, answer=answer))["State"] == "Success"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ID": "0a-4c", "Path": "/studies/0a-4c", "Type": "Study", "PatientID": "0b-4c"},
        {"ID": 7, "Path": "/jobs/7"},
        {"Description": "REST API", "RemoteAet": "FAR"},
        [],
        [{"ID": "7", "Path": "/jobs/7"}],
        "",
        "{}",
        b"DICM",
        7,
    ],
)
def test_a_route_that_answers_at_once_returns_its_answer(answer: Any) -> None:
    server = Server(answer=answer)
    assert run(server) == {"State": "Success", "Content": answer}
    assert len(server.posted) == 1


def test_a_route_that_answers_with_null_returns_it() -> None:
    assert run_job(Server().get, lambda path, body: None, "/tools/x", {}, "") == {"State": "Success", "Content": None}


@pytest.mark.parametrize("state", [None, [], "<html>", b"", {}, {"State": 3}])
def test_a_state_that_is_none_is_an_error(state: Any) -> None:
    with pytest.raises(TransportError, match=r"/peers/a/store.*not the state of a job.*Check /jobs/7"):
        run(Server(state))


@pytest.mark.parametrize(
    "content", [None, [], "text", {"FailedInstancesCount": "many"}, {"FailedInstancesCount": None}]
)
def test_an_odd_content_of_a_job_is_returned_as_it_is(content: Any) -> None:
    state = {"State": "Success", "Content": content, "Progress": None}
    assert run(Server(state)) == state


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
