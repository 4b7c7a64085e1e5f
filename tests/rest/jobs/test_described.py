"""What a job shows of itself."""

from __future__ import annotations

import pickle
from datetime import datetime, timezone
from typing import Any

import pytest

from simple_orthanc import JobError, ServerError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.jobs import Job, JobFailure
from simple_orthanc.transport import Transport
from tests.rest.jobs.server import FAILURE, GONE, RUNNING, SUCCESS, JobServer, quick


def test_each_attribute_asks_until_the_job_has_ended() -> None:
    server = JobServer(RUNNING, RUNNING, SUCCESS)
    job = server.job()
    assert (job.state, job.progress) == ("Running", 40)
    assert job.content == {"InstancesCount": 3}
    assert (job.state, job.progress, job.has_ended, job.error) == ("Success", 100, True, None)
    assert len(server.got) == 3


def test_what_never_changes_is_asked_once() -> None:
    times = {"CreationTime": "20261129T011739.250000", "Priority": -2, "EffectiveRuntime": 0.5}
    server = JobServer({**RUNNING, **times})
    job = server.job()
    assert (job.type, job.priority) == ("Archive", -2)
    assert job.creation_time == datetime(2026, 11, 29, 1, 17, 39, 250000, timezone.utc)
    assert len(server.got) == 1
    assert (job.completion_time, job.runtime) == (None, 0.5)


def test_an_ended_job_can_be_forgotten_by_the_server() -> None:
    job = JobServer(SUCCESS, GONE).job()
    assert job.state == "Success"
    assert job.state == "Success"
    with pytest.raises(JobError, match="not known to the server any more"):
        job.refresh()


@pytest.mark.parametrize("state", [RUNNING, SUCCESS, FAILURE])
def test_its_representation_asks_nothing(state: dict[str, Any]) -> None:
    server = JobServer(state)
    job = server.job()
    assert repr(job) == "<Job 7>"
    job.refresh()
    asked = len(server.got)
    assert str(state["State"]) in repr(job)
    assert len(server.got) == asked


def test_the_error_of_a_job() -> None:
    assert JobServer(FAILURE).job().error == JobFailure(9, "Network", "no\nroute")
    assert JobServer({"State": "Failure"}).job().error == JobFailure(0, "", "")


def test_jobs_are_equal_by_their_ids() -> None:
    server = JobServer(RUNNING)
    assert server.job() == JobServer(SUCCESS).job()
    assert len({server.job(), server.job(), Job(server, "8")}) == 2
    assert Job(server, None) != Job(server, None)
    assert len({Job(server, None), Job(server, None)}) == 2
    assert server.job() != "7"


def test_a_job_is_not_pickled_with_its_connection() -> None:
    with pytest.raises(TypeError, match="pickle the session"):
        pickle.dumps(Job(Rest(Transport("http://127.0.0.1:8042")), "7"))


@pytest.mark.parametrize("count", [1, 3])
def test_a_description_that_the_server_cannot_write_for_a_moment(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    unwritable = ServerError("400", status=400)
    assert JobServer(*[unwritable] * count, SUCCESS).job().wait().state == "Success"


@pytest.mark.parametrize(("status", "count"), [(400, 4), (500, 1)])
def test_a_description_that_the_server_never_writes(status: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    server = JobServer(ServerError("unwritable", status=status))
    with pytest.raises(ServerError, match="unwritable"):
        server.job().wait()
    assert len(server.got) == count
