"""docs/coming-from.md is complete: every capability has its call, or the reason why there is none."""

from __future__ import annotations

import ast

import pytest

from tests.coming_from import ROWS, TEXT, Row, calls_below
from tests.live.coming_from_checks import CHECKS, LINES

COUNT = 154
WITHOUT_A_CALL = {15, 124}


def test_every_capability_is_there_once() -> None:
    assert [row.number for row in ROWS] == list(range(1, COUNT + 1))
    assert len({row.what for row in ROWS}) == COUNT


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_a_row_works_or_has_its_reason(row: Row) -> None:
    assert row.elsewhere
    if row.number in WITHOUT_A_CALL:
        assert (row.codes, row.number in CHECKS) == ([], False)
        assert len(row.outcome) > 40
    else:
        assert row.codes
        assert row.number in CHECKS
        assert row.outcome.startswith("works") or len(row.outcome) > 20


def test_nearly_all_work() -> None:
    assert sum(row.outcome.startswith("works") for row in ROWS) == COUNT - len(WITHOUT_A_CALL)


def test_calls_are_python() -> None:
    for code in [code for row in ROWS for code in row.codes] + [
        code for heading in LINES for code in calls_below(heading)
    ]:
        compile(code, "<document>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("heading", LINES)
def test_checks_of_lines_are_of_calls_that_are_there(heading: str) -> None:
    assert LINES[heading].keys() <= set(calls_below(heading))
    assert len(calls_below(heading)) >= len(LINES[heading]) > 5


def test_every_client_has_its_section() -> None:
    clients = ("simple-orthanc 0.9", "PyOrthanc", "orthanc-api-client", "beren", "dicomweb-client")
    for client in clients:
        assert f"\n## {client}" in TEXT
