"""Jobs that report success are not believed."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.errors import JobError, NotFoundError, ServerError
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.remote.checked_jobs import check_sent, start_checked
from tests.rest.remote.stand_in import Server, serving

STORE = "/modalities/PACS/store"


def job(state: str, **fields: Any) -> dict[str, Any]:
    return {"ID": "j1", "State": state, "Progress": 0, "Type": "DicomModalityStore", "Content": {}, **fields}


def started(*states: dict[str, Any]) -> Server:
    waiting = list(states)
    return Server(
        {
            f"POST {STORE}": lambda body: {"ID": "j1", "Path": "/jobs/j1"},
            "GET /jobs/j1": lambda body: waiting.pop(0) if len(waiting) > 1 else waiting[0],
            "POST /jobs/j1/cancel": lambda body: {},
        }
    )


def never(job: Job) -> None:
    raise JobError("The check found nothing.")


def accept(job: Job) -> None:
    pass


def test_a_job_is_waited_for_and_checked_once() -> None:
    checked: list[str] = []
    stand_in = started(job("Running"), job("Success"))
    with serving(stand_in) as rest:
        done = start_checked(rest, STORE, {}, lambda job: checked.append(job.state), "Sending failed", wait=True)
        assert done.wait() is done
    assert checked == ["Success"]
    assert stand_in.asked[0][2] == {"Asynchronous": True, "Synchronous": False}


def test_a_check_that_disagrees_is_the_error() -> None:
    with serving(started(job("Success"))) as rest:
        with pytest.raises(JobError, match="The check found nothing"):
            start_checked(rest, STORE, {}, never, "Sending failed", wait=True)
        going_on = start_checked(rest, STORE, {}, never, "Sending failed", wait=False)
        for _ in range(2):
            with pytest.raises(JobError, match="The check found nothing"):
                going_on.wait()


@pytest.mark.parametrize("wait", [True, False])
def test_an_interruption_cancels_a_job_that_was_started_to_be_waited_for(wait: bool) -> None:
    def interrupt(job: Job) -> None:
        raise KeyboardInterrupt

    stand_in = started(job("Running"), job("Success"))
    with serving(stand_in) as rest, pytest.raises(KeyboardInterrupt):
        start_checked(rest, STORE, {}, interrupt, "Sending failed", wait=wait).wait()
    assert ("/jobs/j1/cancel" in stand_in.requests("POST")) is wait


def test_a_job_that_fails_is_explained_and_not_checked() -> None:
    failure = job("Failure", ErrorCode=9, ErrorDetails="TCP Initialization Error: Connection refused")
    with (
        serving(started(failure)) as rest,
        pytest.raises(JobError, match=r"Sending failed: TCP .* Nothing listens at its host and port"),
    ):
        start_checked(rest, STORE, {}, never, "Sending failed", wait=True)


@pytest.mark.parametrize("status", [422, 500])
def test_a_route_that_answers_at_its_end_fails_as_a_job_does(status: int) -> None:
    details = {"Message": "Error in the network protocol", "Details": "DIMSE status 0xC000"}
    stand_in = Server({f"POST {STORE}": lambda body: (details, status)})
    with (
        serving(stand_in) as rest,
        pytest.raises(JobError, match=r"Sending failed: .*0xC000. It does not hold") as caught,
    ):
        start_checked(rest, STORE, {}, accept, "Sending failed", wait=True)
    assert caught.value.status == status


def test_a_request_that_is_refused_is_no_failed_job() -> None:
    with serving(Server()) as rest, pytest.raises(NotFoundError):
        start_checked(rest, STORE, {}, accept, "Sending failed", wait=True)
    stand_in = Server({f"POST {STORE}": lambda body: ({"Message": "Bad file format"}, 400)})
    with serving(stand_in) as rest, pytest.raises(ServerError) as caught:
        start_checked(rest, STORE, {}, accept, "Sending failed", wait=True)
    assert not isinstance(caught.value, JobError)


@pytest.mark.parametrize("content", [{"InstancesCount": 3}, {"InstancesCount": "3"}])
def test_a_count_is_a_number_or_a_string(content: dict[str, Any]) -> None:
    with serving(started(job("Success", Content=content))) as rest:
        start_checked(rest, STORE, {}, check_sent, "Sending failed", wait=True)


@pytest.mark.parametrize("content", [{"InstancesCount": 0}, {"InstancesCount": "0"}, {}, None, []])
def test_a_job_that_sent_nothing_has_failed(content: Any) -> None:
    with (
        serving(started(job("Success", Content=content))) as rest,
        pytest.raises(JobError, match="reports no instance that was sent"),
    ):
        start_checked(rest, STORE, {}, check_sent, "Sending failed", wait=True)
