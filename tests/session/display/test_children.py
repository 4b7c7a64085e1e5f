"""Child sessions as tables of what is known of them."""

from __future__ import annotations

import pytest

from simple_orthanc import Session
from simple_orthanc.showing.table import Table
from tests.memory_source import instance
from tests.session.sessions import SOURCES, session_of, source_of, three_series


def shown(session: Session, plural: str) -> Table:
    children = getattr(session, plural)
    before = source_of(session).requests
    table: Table = children._shown()
    assert source_of(session).requests == before
    return table


def test_patients_studies_series_and_instances() -> None:
    session = three_series()
    session.table()
    assert shown(session, "patients").title == "2 sessions, each on one patient"
    assert shown(session, "patients").rows[0][:2] == ("P1", "Doe^Jane")
    studies = shown(session, "studies")
    assert dict(zip(studies.header, studies.rows[0], strict=True))["series"] == 2
    series = shown(session, "series")
    assert [row[series.header.index("SeriesDescription")] for row in series.rows] == ["scout", "head", "wb"]
    assert [row[series.header.index("instances")] for row in series.rows] == [1, 2, 1]
    instances = shown(session, "instances")
    assert "SOPInstanceUID" in instances.header
    assert len(instances.rows) == 4


def test_the_numbers_are_of_what_is_selected() -> None:
    session = session_of(*(instance(number, series="1") for number in range(5))).select(InstanceNumber=[1, 2])
    series = shown(session, "series")
    assert [row[series.header.index("instances")] for row in series.rows] == [2]


@pytest.mark.parametrize("kind", list(SOURCES))
@pytest.mark.parametrize("plural", ["patients", "studies", "series", "instances"])
def test_a_table_of_children_sends_no_request(kind: str, plural: str) -> None:
    session = three_series(**SOURCES[kind])
    children = getattr(session, plural)
    source_of(session).break_at(source_of(session).requests + 1, AssertionError("asked"))
    assert "sessions" in children._repr_html_()
    assert repr(children[1:]) == f"<{len(children) - 1} sessions>"
    assert f"{len(children) - 1} session" in children[1:]._repr_html_()


def test_many_children_are_counted() -> None:
    session = session_of(*(instance(1, series=str(number)) for number in range(50)))
    table = shown(session, "series")
    assert (len(table.rows), table.more) == (20, 30)
