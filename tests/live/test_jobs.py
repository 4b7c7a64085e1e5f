"""What only the server's own API does, from a selection: identifiers for its routes, and jobs that are waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simple_orthanc import JobError, LocalOrthanc, NotFoundError, Orthanc, SelectionError, ServerError
from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.local.server import free_port
from tests.conftest import MakeServer
from tests.live.archives import simple_file, store


@contextmanager
def silent_port() -> Iterator[int]:
    """A port where connections are accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture
def filled(empty_server: LocalOrthanc, orthanc: Orthanc) -> Orthanc:
    store(
        empty_server,
        *(
            simple_file(
                number,
                PatientID=f"p{number % 2}",
                StudyInstanceUID=f"1.2.{number % 2}",
                SeriesInstanceUID=f"1.2.{number % 2}.{number % 4}",
                SeriesNumber=str(number % 4),
                InstanceNumber=str(9 - number),
            )
            for number in range(8)
        ),
    )
    return orthanc.refresh()


def test_identifiers_have_the_order_of_the_table(filled: Orthanc) -> None:
    keywords = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    for level, keyword in zip(LEVELS, keywords, strict=True):
        route = "series" if level == "series" else "studies" if level == "study" else f"{level}s"
        found = [
            filled.rest.get(f"/{route}/{identifier}")["MainDicomTags"][keyword]
            for identifier in filled.get_orthanc_ids(level)
        ]
        assert found == filled.table(keyword, level=level)[keyword].tolist()
    filled.sort_by("InstanceNumber").select(PatientID="p1")
    numbers = [
        filled.rest.get(f"/instances/{identifier}/content/0020-0013").strip()
        for identifier in filled.get_orthanc_ids("instance")
    ]
    assert [int(number) for number in numbers] == [2, 4, 6, 8]
    with pytest.raises(SelectionError, match="image"):
        filled.get_orthanc_ids("image")  # type: ignore[arg-type]


def test_a_job_is_waited_for(filled: Orthanc) -> None:
    (study,) = filled.select(PatientID="p0").get_orthanc_ids("study")
    job = filled.rest.run_job(f"/studies/{study}/anonymize", {"Replace": {"PatientID": "new"}, "Force": True})
    assert job["State"] == "Success"
    assert filled.reset().refresh().select(PatientID="new").get_orthanc_ids("study") == [job["Content"]["ID"]]
    assert filled.instance_count == 4


def test_a_route_that_answers_at_once_returns_its_answer(filled: Orthanc) -> None:
    run_job = filled.rest.run_job
    (instance, *_), (patient, *_) = filled.get_orthanc_ids("instance"), filled.get_orthanc_ids("patient")
    modified = run_job(f"/instances/{instance}/modify", {"Replace": {"PatientName": "x"}})
    assert modified["Content"][128:132] == b"DICM"
    assert run_job(f"/patients/{patient}/reconstruct") == {"State": "Success", "Content": ""}
    assert run_job("/tools/lookup", {})["State"] == "Success"


def test_the_error_of_a_failed_job_holds_the_reason(filled: Orthanc) -> None:
    filled.rest.put("/peers/nobody", {"Url": "http://127.0.0.1:9/"})
    try:
        with pytest.raises(JobError, match="/peers/nobody/store ended as Failure"):
            filled.rest.run_job("/peers/nobody/store", {"Resources": filled.get_orthanc_ids()})
    finally:
        filled.rest.delete("/peers/nobody")
    with pytest.raises(ServerError):
        filled.rest.run_job("/studies/none/anonymize")


def test_jobs_are_listed_and_found(filled: Orthanc) -> None:
    (study, *_) = filled.get_orthanc_ids("study")
    job = filled.rest.start_job(f"/studies/{study}/anonymize").wait(timeout=60)
    assert (job.type, job.progress, job.error) == ("ResourceModification", 100, None)
    assert job.creation_time is not None
    assert job.completion_time is not None
    assert job.creation_time.tzname() == "UTC"
    assert job in filled.jobs
    assert filled.jobs[str(job.id)] == list(filled.jobs)[-1] == job
    row = filled.jobs.table().iloc[-1]
    assert (row["id"], row["state"], row["progress"]) == (job.id, "Success", 100)
    assert row["creation_time"] == job.creation_time
    with pytest.raises(NotFoundError, match="knows no job 'nope'"):
        filled.jobs["nope"]


def test_jobs_are_controlled(filled: Orthanc) -> None:
    (study, *_) = filled.get_orthanc_ids("study")
    job = filled.rest.start_job(f"/studies/{study}/anonymize").wait()
    assert job.cancel().state == "Success"
    for action in ("resume", "resubmit"):
        with pytest.raises(JobError, match=f"was to {action}, and is Success"):
            getattr(job, action)()
    filled.rest.put("/peers/nobody", {"Url": "http://127.0.0.1:9/"})
    try:
        failed = filled.rest.start_job("/peers/nobody/store", filled.rest.series.ids())
        for attempt in (failed, failed.resubmit):
            if attempt is not failed:
                attempt()
            with pytest.raises(JobError, match="ended as Failure"):
                failed.wait(timeout=60)
        assert failed.error is not None
        with pytest.raises(JobError, match="was to resume, and is Failure"):
            failed.resume()
        with pytest.raises(JobError, match="with Permissive, and nothing was sent"):
            filled.rest.start_job("/peers/nobody/store", {"Resources": filled.rest.series.ids(), "Permissive": True})
    finally:
        filled.rest.delete("/peers/nobody")


def test_a_job_that_the_server_forgot(filled: Orthanc) -> None:
    (instance, *_) = filled.get_orthanc_ids("instance")
    body = {"Resources": [instance], "Level": "Series"}
    first = filled.rest.start_job("/tools/bulk-anonymize", body)
    # It keeps ten of those that ended.
    for _ in range(11):
        filled.rest.start_job("/tools/bulk-anonymize", body).wait()
    with pytest.raises(JobError, match="what became of it is not known"):
        first.wait()
    assert first not in filled.jobs


@pytest.mark.one_version
def test_a_job_that_modifies_survives_a_restart(make_server: MakeServer, tmp_path: Path) -> None:
    with silent_port() as port:
        server = make_server({"HttpPort": free_port(), "ConcurrentJobs": 1}, folder=tmp_path)
        store(server, *(simple_file(number) for number in range(3)))
        rest = server.connect(patience=30).rest
        # A job that waits for a silent machine keeps all others from starting.
        rest.put("/peers/silent", {"Url": f"http://127.0.0.1:{port}/", "Timeout": 2})
        (study,) = rest.studies.ids()
        archive = rest.start_job("/tools/create-archive", [study])
        archive.wait()
        rest.start_job("/peers/silent/store", [study])
        job = rest.start_job(f"/studies/{study}/anonymize", {"Priority": -1})
        assert job.state == "Pending"
        job.pause()
        with pytest.raises(JobError, match=r"is Paused.*resume\(\)"):
            job.wait()
        server.stop()
        server.start()
        job.resume()
        assert job.wait(timeout=60).content["InstancesCount"] == 3
        with pytest.raises(JobError, match="what became of it is not known"):
            archive.refresh()
