"""The jobs that a server knows."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from simple_orthanc import NotFoundError, TransportError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.jobs import Jobs
from simple_orthanc.transport import Transport
from tests.http_stand_in import StandIn, always, reply
from tests.rest.jobs.server import FAILURE, JobServer

LATER = {
    "ID": "7",
    "Type": "DicomModalityStore",
    "State": "Failure",
    "Progress": 50,
    "Priority": 3,
    "CreationTime": "20261129T011740",
    "CompletionTime": "20261129T011741.5",
    "EffectiveRuntime": 0.25,
    "ErrorCode": 9,
    "ErrorDescription": "Error in the network protocol",
    "ErrorDetails": "refused",
}
EARLIER = {"ID": "9", "Type": "Archive", "State": "Running", "Progress": 10, "CreationTime": "20261129T011739.25"}


def test_jobs_are_listed_in_the_order_of_their_submission() -> None:
    server = JobServer([LATER, EARLIER])
    jobs = Jobs(server)
    assert [job.id for job in jobs] == ["9", "7"]
    assert [job.type for job in jobs] == ["Archive", "DicomModalityStore"]
    assert len(jobs) == 2
    assert server.got == ["/jobs"] * 3
    assert server.options == [{"params": {"expand": ""}}] * 3


def test_a_job_by_its_id() -> None:
    jobs = Jobs(JobServer(LATER))
    assert jobs["7"].state == "Failure"
    assert "7" in jobs
    assert jobs["7"] in jobs
    assert "8" not in jobs
    assert 7 not in jobs
    assert ".." not in jobs


@pytest.mark.parametrize("job_id", ["8", "", 7, None, "../system", "..", "."])
def test_an_unknown_job_is_named(job_id: Any) -> None:
    with pytest.raises(NotFoundError, match=r"knows no job .*list\(orthanc.jobs\)") as caught:
        Jobs(JobServer(LATER))[job_id]
    assert repr(job_id) in str(caught.value)
    assert caught.value.status == 404


def test_an_id_stays_inside_its_route() -> None:
    with StandIn(always(reply(b"", 404))) as stand_in:
        with pytest.raises(NotFoundError, match="no job '7/cancel'"):
            Jobs(Rest(Transport(stand_in.url)))["7/cancel"]
        assert [asked.path for asked in stand_in.asked] == ["/jobs/7%2Fcancel"]


def test_the_table_of_jobs() -> None:
    table = Jobs(JobServer([LATER, EARLIER])).table()
    assert table.dtypes.astype(str).to_dict() == {
        "id": "string",
        "type": "string",
        "state": "string",
        "progress": "Int64",
        "priority": "Int64",
        "creation_time": "datetime64[ns, UTC]",
        "completion_time": "datetime64[ns, UTC]",
        "runtime": "Float64",
        "error_code": "Int64",
        "error": "string",
    }
    assert table["id"].tolist() == ["9", "7"]
    assert table["creation_time"].tolist()[0] == pd.Timestamp("2026-11-29T01:17:39.25", tz="UTC")
    assert table["error"].isna().tolist() == [True, False]
    assert table.iloc[1].to_dict() | {"creation_time": None, "completion_time": None} == {
        "id": "7",
        "type": "DicomModalityStore",
        "state": "Failure",
        "progress": 50,
        "priority": 3,
        "creation_time": None,
        "completion_time": None,
        "runtime": 0.25,
        "error_code": 9,
        "error": "refused",
    }


def test_a_table_without_jobs_has_the_same_columns() -> None:
    empty, filled = Jobs(JobServer([])).table(), Jobs(JobServer([LATER])).table()
    assert empty.dtypes.to_dict() == filled.dtypes.to_dict()
    assert len(empty) == 0


@pytest.mark.parametrize("answer", [None, {}, "text", ["7"], [{"ID": "7"}], [{"State": "Running"}], [None]])
def test_an_invalid_list_is_an_error(answer: Any) -> None:
    for ask in (len, list, Jobs.table):
        with pytest.raises(TransportError, match="/jobs is not a list of jobs"):
            ask(Jobs(JobServer(answer)))


def test_its_representation_asks_nothing() -> None:
    server = JobServer([])
    jobs = Jobs(server)
    assert repr(jobs) == "<Jobs of http://127.0.0.1:8042>"
    assert bool(jobs)
    assert "orthanc.jobs.table() lists them" in jobs._repr_html_()
    assert server.got == []


def test_the_last_listing_is_shown_with_what_became_of_each_job() -> None:
    server = JobServer([{**FAILURE, "Content": {"Password": "wonderland"}}])
    assert len(Jobs(server)) == 1
    # Another object on the same server shows it too.
    shown = Jobs(server)._repr_html_()
    assert all(text in shown for text in ("<td>7</td>", "Failure", "no\\nroute"))
    assert "wonderland" not in shown
    assert server.got == ["/jobs"]
