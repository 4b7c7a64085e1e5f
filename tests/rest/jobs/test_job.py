"""One job: what it shows, waited for, controlled."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import JobError, NotFoundError, RequestTimeout, SelectionError, ServerError, TransportError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.jobs import Job
from simple_orthanc.transport import Transport
from tests.http_stand_in import QuickClock, StandIn, in_turn, reply
from tests.rest.jobs.server import FAILURE, GONE, RUNNING, SUCCESS, JobServer, quick


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> QuickClock:
    return quick(monkeypatch)


# Waiting


def test_a_job_is_waited_for() -> None:
    server = JobServer({"State": "Pending"}, RUNNING, {"State": "Retry"}, SUCCESS)
    job = server.job()
    assert job.wait(progress=False) is job
    assert job.content == {"InstancesCount": 3}
    assert job.wait() is job
    assert len(server.got) == 4


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (FAILURE, "job 7 ended as Failure: no route"),
        ({"State": "Failure", "ErrorDescription": "network"}, "ended as Failure: network"),
        ({"State": "Failure"}, "it gives no reason"),
        ({"State": "Failure", "ErrorCode": 37, "ErrorDescription": "canceled"}, "canceled"),
        (
            {"State": "Success", "Content": {"InstancesCount": 5, "FailedInstancesCount": 2}},
            "with 2 of 5 instances failed",
        ),
        (
            {"State": "Success", "Content": {"InstancesCount": "5", "FailedInstancesCount": "2"}},
            "2 of 5 instances failed",
        ),
    ],
)
def test_a_failed_job_raises_its_reason(state: dict[str, Any], message: str) -> None:
    job = JobServer(RUNNING, state).job()
    for _ in range(2):
        with pytest.raises(JobError, match=message):
            job.wait()


def test_the_details_of_the_server_are_in_the_error() -> None:
    with pytest.raises(JobError) as caught:
        Job(JobServer(FAILURE), "7", path="/peers/a/store").wait()
    assert (caught.value.details, caught.value.path) == ("no route", "/peers/a/store")


def test_a_timeout_does_not_cancel_the_job(waits: QuickClock) -> None:
    server = JobServer(RUNNING)
    with pytest.raises(RequestTimeout, match=r"did not end within 5 s; it is Running at 40 %, and goes on. Wait again"):
        server.job().wait(timeout=5)
    assert waits.monotonic() == pytest.approx(5)
    assert server.posted == []
    assert all(0 < options["deadline"] <= 5 for options in server.options)


def test_a_timeout_of_nothing_looks_once() -> None:
    assert JobServer(SUCCESS).job().wait(timeout=0).state == "Success"
    with pytest.raises(TimeoutError, match="0 s"):
        JobServer(RUNNING).job().wait(timeout=0)


@pytest.mark.parametrize("name", ["timeout", "stall"])
@pytest.mark.parametrize("seconds", [-1, "5", True, float("nan"), float("inf")])
def test_invalid_times(name: str, seconds: Any) -> None:
    with pytest.raises(TransportError, match=f"{name} is .*; give seconds, as in {name}=60"):
        JobServer(RUNNING).job().wait(**{name: seconds})
    with pytest.raises(TransportError, match="stall is None"):
        JobServer(RUNNING).job().wait(stall=None)  # type: ignore[arg-type]


def test_a_job_without_any_change_is_not_waited_for_for_ever(waits: QuickClock) -> None:
    with pytest.raises(RequestTimeout, match="has not changed for 3600 s"):
        JobServer({**RUNNING, "EffectiveRuntime": 1.0}).job().wait()
    assert 3600 <= waits.monotonic() < 3610


@pytest.mark.parametrize("change", [{"Progress": 41}, {"Content": {"a": 1}}, {"State": "Retry"}])
def test_a_change_begins_that_time_again(waits: QuickClock, change: dict[str, Any]) -> None:
    server = JobServer(*[RUNNING] * 15, {**RUNNING, **change})
    with pytest.raises(RequestTimeout, match="has not changed for 10 s"):
        server.job().wait(stall=10)
    assert 12 < waits.monotonic() < 25


def test_a_server_that_is_silent_is_not_waited_for_longer_than_the_timeout(waits: QuickClock) -> None:
    def silent(path: str, **options: Any) -> Any:
        waits.pause(options["deadline"])
        raise RequestTimeout("exceeded deadline=")

    server = JobServer(RUNNING)
    server.get = silent  # type: ignore[method-assign]
    with pytest.raises(RequestTimeout, match="did not end within 5 s; it is in an unknown state"):
        server.job().wait(timeout=5)


def test_a_connection_that_is_not_accepted_is_not_the_timeout() -> None:
    with pytest.raises(RequestTimeout, match=r"^no connection$"):
        JobServer(RequestTimeout("no connection")).job().wait(timeout=5)


def test_a_paused_job_does_not_end_by_itself() -> None:
    with pytest.raises(JobError, match=r"is Paused.*orthanc.jobs\['7'\].resume\(\)"):
        JobServer(RUNNING, {"State": "Paused"}).job().wait()


def test_a_forgotten_job_is_an_error() -> None:
    with pytest.raises(JobError, match=r"what became of it is not known.*JobsHistorySize, 10"):
        JobServer(RUNNING, GONE).job().wait()


@pytest.mark.parametrize("state", [None, [], "<html>", b"", {}, {"State": 3}])
def test_an_invalid_state_is_an_error(state: Any) -> None:
    with pytest.raises(TransportError, match="/jobs/7 is not the state of a job"):
        JobServer(state).job().wait()


def test_ctrl_c_leaves_the_job_alone() -> None:
    server = JobServer(RUNNING, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        server.job().wait()
    assert server.posted == []


def test_a_restart_of_the_server_is_survived() -> None:
    # What broke the connection ends for a while all that follows.
    answers = in_turn(reply(RUNNING), None, None, reply({"Message": "starting"}, 503), reply(RUNNING), reply(SUCCESS))
    with StandIn(answers) as stand_in:
        job = Job(Rest(Transport(stand_in.url, patience=5)), "7").wait()
    assert job.state == "Success"


# Output


def zipped(path: Path, count: int) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.dcm", "x")
    content = path.read_bytes()
    path.unlink()
    return content


def archive_server(description: dict[str, Any], output: bytes) -> StandIn:
    """Serve job 7, which has ended, and its output."""
    return StandIn(lambda asked, count: output if asked.path == "/jobs/7/archive" else reply(description))


def job_of(server: StandIn) -> Job:
    return Job(Rest(Transport(server.url, patience=0)), "7")


def test_the_output_of_a_job_is_written_whole(tmp_path: Path) -> None:
    content = zipped(tmp_path / "made.zip", 3)
    with archive_server(SUCCESS, reply(content)) as server:
        assert job_of(server).output(tmp_path / "a.zip") == tmp_path / "a.zip"
    assert (tmp_path / "a.zip").read_bytes() == content


@pytest.mark.parametrize(
    ("count", "cut", "says"),
    [(2, 0, "has 3 instances, and the zip holds 2"), (3, 9, "bytes came|broke|not a whole zip")],
)
def test_an_output_that_is_not_whole_leaves_no_file(count: int, cut: int, says: str, tmp_path: Path) -> None:
    content = zipped(tmp_path / "made.zip", count)
    output = reply(content[: len(content) - cut], 200, {"X-Close": "yes"}, length=len(content))
    with archive_server(SUCCESS, output) as server, pytest.raises(TransportError, match=says):
        job_of(server).output(tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_the_server_forgot(tmp_path: Path) -> None:
    with (
        archive_server(SUCCESS, reply({"Message": "no such output"}, 404)) as server,
        pytest.raises(JobError, match=r"archive of job 7 is not on the server.*MediaArchiveSize, 1 by default"),
    ):
        job_of(server).output(tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_an_output_is_a_string(tmp_path: Path) -> None:
    name: Any = 5
    with archive_server(SUCCESS, reply(b"")) as server, pytest.raises(SelectionError, match="and 5 was given"):
        job_of(server).output(tmp_path / "a.zip", name=name)


def test_a_failed_job_has_no_output(tmp_path: Path) -> None:
    with archive_server(FAILURE, reply(b"")) as server, pytest.raises(JobError, match="ended as Failure"):
        job_of(server).output(tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", None, 7])
def test_an_output_needs_a_path(path: Any) -> None:
    with pytest.raises(SelectionError, match="A path was expected"):
        JobServer(SUCCESS).job().output(path)


def test_a_route_that_answered_at_once_has_no_output(tmp_path: Path) -> None:
    job = Job(JobServer(RUNNING), None, {"State": "Success", "Content": {}}, path="/x")
    with pytest.raises(JobError, match="answered at once"):
        job.output(tmp_path / "a.zip")


# Controlling


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "resubmit"])
def test_actions(action: str) -> None:
    server = JobServer({"State": "Failure"}, RUNNING)
    job = server.job()
    assert job.state == "Failure"
    assert getattr(job, action)() is job
    assert server.posted == [(f"/jobs/7/{action}", {})]
    assert job.state == "Running"


@pytest.mark.parametrize(
    ("action", "state", "needed"),
    [
        ("pause", "Success", "Pending or Running"),
        ("resume", "Running", "Paused"),
        ("resubmit", "Success", "Failure"),
        ("resubmit", "Running", "Failure"),
    ],
)
def test_an_action_from_another_state_names_it(action: str, state: str, needed: str) -> None:
    server = JobServer({"State": state})
    server.refusals[f"/jobs/7/{action}"] = ServerError("400", status=400)
    with pytest.raises(JobError, match=f"was to {action}, and is {state}: only a job that is {needed} can") as caught:
        getattr(server.job(), action)()
    assert caught.value.status == 400


def test_a_job_that_was_still_about_to_be_paused_is_resumed() -> None:
    class Pausing(JobServer):
        """Refuses until the job is paused."""

        def post(self, path: str, *arguments: Any, **options: Any) -> Any:
            answer = super().post(path, *arguments, **options)
            if len(self.posted) == 1:
                raise ServerError("400", status=400)
            return answer

    server = Pausing({"State": "Paused"}, RUNNING)
    assert server.job().resume().state == "Running"
    assert server.posted == [("/jobs/7/resume", {})] * 2


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "resubmit"])
def test_an_action_on_an_unknown_job(action: str) -> None:
    server = JobServer(RUNNING)
    server.refusals[f"/jobs/7/{action}"] = GONE
    with pytest.raises(NotFoundError, match="knows no job '7'"):
        getattr(server.job(), action)()
    server.refusals[f"/jobs/7/{action}"] = ServerError("500", status=500)
    with pytest.raises(ServerError, match="500"):
        getattr(server.job(), action)()


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "resubmit"])
def test_an_action_on_a_route_that_answered_at_once(action: str) -> None:
    job = Job(JobServer(RUNNING), None, {"State": "Success", "Content": b"DICM"}, path="/instances/0a/modify")
    with pytest.raises(JobError, match=rf"/instances/0a/modify answered at once, .* no job to {action}.*\.content"):
        getattr(job, action)()
    assert (job.wait().content, job.refresh().content, job.type, job.creation_time) == (b"DICM", b"DICM", None, None)
    assert repr(job) == "<Job of /instances/0a/modify Success>"
