"""Jobs that are started, and those that are also waited for."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import JobError, TransportError
from simple_orthanc.rest.jobs import run_job, start_job
from tests.rest.jobs.server import JobServer, quick

STORE = "/peers/a/store"
AS_JOB = {"Asynchronous": True, "Synchronous": False}
AT_ONCE = [
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
]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def run(server: Any) -> dict[str, Any]:
    return run_job(server, STORE, {"Resources": ["x"]}, "sending")


def test_a_started_job_is_not_waited_for() -> None:
    server = JobServer({"State": "Running"})
    job = start_job(server, STORE, ["x"])
    assert (job.id, job.path, server.got) == ("7", STORE, [])
    assert server.posted == [(STORE, {"Resources": ["x"], **AS_JOB})]
    assert job.state == "Running"


@pytest.mark.parametrize("answer", AT_ONCE)
def test_a_route_that_answers_at_once_is_a_job_that_has_ended(answer: Any) -> None:
    server = JobServer(answer=answer)
    job = start_job(server, STORE, ["x"]).wait()
    assert (job.id, job.state, job.progress, job.content) == (None, "Success", 100, answer)
    assert server.got == []


def test_a_route_that_answers_at_once_can_report_failures() -> None:
    server = JobServer(answer={"InstancesCount": 4, "FailedInstancesCount": 1, "RemoteAet": "FAR"})
    with pytest.raises(JobError, match=f"The server's job for {STORE} ended as Success, with 1 of 4 instances failed"):
        start_job(server, STORE, ["x"]).wait()
    with pytest.raises(JobError, match="1 of 4"):
        run(server)


def test_a_job_is_run() -> None:
    last = {"State": "Success", "Progress": 100, "Content": {"InstancesCount": 3, "FailedInstancesCount": 0}}
    server = JobServer({"State": "Pending"}, {"State": "Running", "Progress": 40}, {"State": "Retry"}, last)
    assert run(server) == last
    assert server.posted == [(STORE, {"Resources": ["x"], **AS_JOB})]


@pytest.mark.parametrize("answer", [{"ID": "7"}, {"ID": "7", "Path": "../../jobs/7"}])
def test_a_job_is_known_by_its_number(answer: dict[str, str]) -> None:
    assert run(JobServer({"State": "Success"}, answer=answer))["State"] == "Success"


@pytest.mark.parametrize("answer", AT_ONCE)
def test_running_a_route_that_answers_at_once_returns_its_answer(answer: Any) -> None:
    server = JobServer(answer=answer)
    assert run(server) == {"State": "Success", "Content": answer}
    assert len(server.posted) == 1


@pytest.mark.parametrize("path", ["/tools/x", "/patients/0a/reconstruct"])
def test_a_route_that_answers_with_null_returns_it(path: str) -> None:
    server = JobServer()
    server.answer = None
    assert run_job(server, path) == {"State": "Success", "Content": None}


@pytest.mark.parametrize("state", [None, [], "<html>", b"", {}, {"State": 3}])
def test_an_invalid_state_is_an_error(state: Any) -> None:
    with pytest.raises(TransportError, match=r"/peers/a/store.*not the state of a job.*Check /jobs/7"):
        run(JobServer(state))


@pytest.mark.parametrize(
    "content", [None, [], "text", {"FailedInstancesCount": "many"}, {"FailedInstancesCount": None}]
)
def test_an_odd_content_of_a_job_is_returned_as_it_is(content: Any) -> None:
    state = {"State": "Success", "Content": content, "Progress": None}
    assert run(JobServer(state)) == state


def test_a_failed_job_raises_its_reason() -> None:
    state = {"State": "Failure", "ErrorDetails": "no\nroute", "ErrorDescription": "x"}
    with pytest.raises(JobError, match="job for /peers/a/store ended as Failure: no route"):
        run(JobServer(state))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, TransportError])
def test_ctrl_c_cancels_the_job(error: type[BaseException]) -> None:
    server = JobServer({"State": "Running"}, error())
    with pytest.raises(error):
        run(server)
    assert server.posted[1:] == [("/jobs/7/cancel", {})]


def test_a_job_that_somebody_paused_is_not_cancelled() -> None:
    server = JobServer({"State": "Paused"})
    with pytest.raises(JobError, match=r"is Paused.*resume\(\)"):
        run(server)
    assert len(server.posted) == 1


def test_what_cannot_be_cancelled_does_not_hide_the_reason() -> None:
    server = JobServer({"State": "Running"}, KeyboardInterrupt())
    server.refusals["/jobs/7/cancel"] = TransportError("gone")
    with pytest.raises(KeyboardInterrupt):
        run(server)
