"""Bodies of requests that start jobs."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import JobError, SelectionError
from simple_orthanc.rest.jobs.bodies import job_body

AS_JOB = {"Asynchronous": True, "Synchronous": False}


@pytest.mark.parametrize(
    "path",
    [
        "/modalities/PACS/store",
        "/peers/far/store",
        "/tools/create-archive",
        "/tools/create-media",
        "/tools/create-media-extended",
        "/tools/bulk-anonymize",
        "/tools/bulk-modify",
        "/tools/bulk-delete",
        "/studies/0a-4c/merge",
        "/dicom-web/servers/far/stow",
        "/elsewhere/servers/far/retrieve",
    ],
)
def test_a_list_is_named_where_the_route_has_a_name_for_it(path: str) -> None:
    assert job_body(path, ["a", "b"]) == {"Resources": ["a", "b"], **AS_JOB}
    assert job_body(path, ("a",)) == {"Resources": ["a"], **AS_JOB}
    assert job_body(path, "a") == {"Resources": ["a"], **AS_JOB}
    assert job_body(path.lstrip("/"), ["a"]) == {"Resources": ["a"], **AS_JOB}
    assert job_body(path, []) == {"Resources": [], **AS_JOB}


@pytest.mark.parametrize("path", ["/queries/7/retrieve", "/queries/7/answers/0/retrieve"])
def test_a_string_is_the_target_of_a_retrieval(path: str) -> None:
    assert job_body(path, "NEAR") == {"TargetAet": "NEAR", **AS_JOB}
    with pytest.raises(SelectionError, match="is of type list, which this route does not take, and nothing was sent"):
        job_body(path, ["NEAR"])


@pytest.mark.parametrize(
    ("path", "body", "right"),
    [
        ("/studies/0a/split", ["a"], r'\{"Series": \[...\]\} or \{"Instances": \[...\]\}'),
        ("/modalities/PACS/move", ["1.2"], r'\{"Level": "Study", "Resources"'),
        ("/modalities/PACS/get", "1.2", r'\{"Level": "Study", "Resources"'),
        ("/studies/0a/anonymize", [], "a dict of its options"),
        ("/studies/0a/modify", "text", "a dict of its options"),
        ("/peers/far/store", 7, "a dict of its options"),
        ("/studies/0a/store", ["a"], "a dict of its options"),
    ],
)
def test_a_body_that_a_route_does_not_take_is_refused_with_what_it_takes(path: str, body: Any, right: str) -> None:
    with pytest.raises(SelectionError, match=f"The body for {path} is of type .*: give {right}"):
        job_body(path, body)


@pytest.mark.parametrize("body", [{}, None, {"Asynchronous": False, "Synchronous": True}])
def test_it_always_runs_as_a_job(body: Any) -> None:
    assert job_body("/studies/0a/anonymize", body) == AS_JOB


def test_the_body_of_the_caller_stays_as_it_is() -> None:
    body = {"Resources": ["a"]}
    assert job_body("/peers/far/store", body) is not body
    assert body == {"Resources": ["a"]}


@pytest.mark.parametrize("body", [b"DICM", bytearray(b"DICM"), memoryview(b"DICM")])
def test_bytes_are_sent_as_they_are(body: Any) -> None:
    assert job_body("/modalities/PACS/store-straight", body) is body


@pytest.mark.parametrize(
    "path",
    ["/modalities/PACS/store", "/peers/far/store", "peers/far/store", "/peers/far/store/", "/peers/far/store?x=1"],
)
def test_a_store_whose_failure_would_be_success_is_not_sent(path: str) -> None:
    with pytest.raises(JobError, match=r"with Permissive, and nothing was sent.*Leave Permissive out"):
        job_body(path, {"Resources": ["a"], "Permissive": True})
    with pytest.raises(JobError, match="Permissive"):
        job_body(path, b'{"Resources": ["a"], "Permissive": true}')
    assert job_body(path, {"Resources": ["a"], "Permissive": False})["Permissive"] is False
    assert job_body(path, b"4ac2") == b"4ac2"


def test_other_routes_count_what_permissive_leaves_out() -> None:
    assert job_body("/studies/0a/anonymize", {"Permissive": True}) == {"Permissive": True, **AS_JOB}


@pytest.mark.parametrize("path", [None, 7, b"/x"])
def test_an_invalid_path_is_left_to_the_request(path: Any) -> None:
    assert job_body(path, {}) == AS_JOB
