"""Descriptions of jobs, as Orthanc writes them."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.rest.jobs.answers import JobFailure, failure_of, integer, is_description, string


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        ("3", 3),
        ("0", 0),
        ("-1", 0),
        ("many", 0),
        ("٣", 0),
        (None, 0),
        ([], 0),
        (2.5, 0),
        ("9" * 5000, int("9" * 18)),
    ],
)
def test_counts(value: Any, number: int) -> None:
    assert integer(value) == number


@pytest.mark.parametrize(
    ("answer", "expected"),
    [({"State": "Running"}, True), ({"State": 3}, False), ({}, False), (None, False), ([], False)],
)
def test_what_describes_a_job(answer: Any, expected: bool) -> None:
    assert is_description(answer) is expected


@pytest.mark.parametrize(
    ("description", "failure"),
    [
        ({"State": "Success", "ErrorCode": 0}, None),
        ({"State": "Running"}, None),
        ({"State": "Failure"}, JobFailure(0, "", "")),
        (
            {"State": "Failure", "ErrorCode": 9, "ErrorDescription": "network", "ErrorDetails": " refused\n"},
            JobFailure(9, "network", "refused"),
        ),
        ({"State": "Failure", "ErrorCode": 37, "ErrorDetails": None}, JobFailure(37, "", "")),
    ],
)
def test_why_a_job_failed(description: dict[str, Any], failure: JobFailure | None) -> None:
    assert failure_of(description) == failure


def test_strings() -> None:
    assert (string("a"), string(None), string(3)) == ("a", None, None)
