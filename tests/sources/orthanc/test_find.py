"""Finding objects on an Orthanc server page by page, and which queries are sent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.rest import Rest
from simple_orthanc.sources.orthanc import find
from simple_orthanc.sources.orthanc.find import Finder, Observed, queries_for
from simple_orthanc.transport import Transport
from tests.orthanc_stand_in import OrthancServer
from tests.sources.contract import make_archive

VERSIONS = ["1.10.1", "1.12.7"]


@pytest.fixture(params=VERSIONS)
def stand_in(request: pytest.FixtureRequest) -> Iterator[OrthancServer]:
    with OrthancServer(make_archive(), request.param) as stand_in:
        yield stand_in


@pytest.fixture
def finder(stand_in: OrthancServer) -> Iterator[Finder]:
    with Transport(stand_in.url) as transport:
        yield Finder(transport, Rest(transport), Observed())


def ids(stand_in: OrthancServer, level: Level) -> set[str]:
    return {stand_in.identifier_of(dataset, level) for dataset in stand_in.datasets}


def pages(stand_in: OrthancServer) -> list[tuple[int, int]]:
    """Return where each page of a find began, and how much it could hold."""
    bodies = [json.loads(asked.body) for asked in stand_in.asked if asked.path == "/tools/find"]
    return [(body["Since"], body["Limit"]) for body in bodies]


@pytest.mark.parametrize("size", [1, 4, 5, 15, 16])
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_whole_levels_are_found_whatever_the_size_of_a_page(
    stand_in: OrthancServer, finder: Finder, monkeypatch: pytest.MonkeyPatch, level: Level, size: int
) -> None:
    monkeypatch.setattr(find, "PAGE", size)
    answers = finder.all(level)
    assert sorted(answer["ID"] for answer in answers) == sorted(ids(stand_in, level))


@pytest.mark.parametrize("size", [1, 4, 5, 15, 16])
def test_a_query_is_followed_to_its_last_page(
    stand_in: OrthancServer, finder: Finder, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(find, "PAGE", size)
    answers = finder.find("instance", {"PatientName": "*roe*"})
    wanted = [dataset for dataset in stand_in.datasets if dataset.PatientName == "Roe^Rick"]
    found = {answer["ID"] for answer in answers}
    assert found >= {stand_in.identifier_of(dataset, "instance") for dataset in wanted}
    assert len(found) == len(answers)


def test_no_page_is_requested_once_all_that_was_expected_is_there(stand_in: OrthancServer, finder: Finder) -> None:
    expected = ids(stand_in, "series")
    assert {answer["ID"] for answer in finder.find("series", {}, expected)} == expected
    assert pages(stand_in) == [(0, find.PAGE)]


def test_an_object_that_is_gone_is_left_out(stand_in: OrthancServer, finder: Finder) -> None:
    study = stand_in.identifier_of(stand_in.datasets[0], "study")
    (answer,) = finder.by_id("study", [study, "00000000-00000000-00000000-00000000-00000000"])
    assert answer["ID"] == study
    assert finder.below("series", "00000000-00000000-00000000-00000000-00000000", ()) == []


def test_counts_are_remembered(finder: Finder) -> None:
    counts = finder.count()
    assert counts == {"patient": 2, "study": 3, "series": 6, "instance": 15}
    assert finder._observed.counts == counts


@pytest.mark.parametrize(
    ("name", "patterns", "queries"),
    [
        ("PatientName", ["*Müller*"], ["*M*ller*"]),
        ("PatientName", ["*a_b%c*", "*a b*"], ["*a*b*c*", "*a b*"]),
        ("SeriesDescription", ["*ä*", "*ö*"], ["*"]),
        ("SeriesDescription", [f"*{number}*" for number in range(9)], ["*"]),
        ("StudyInstanceUID", ["1.2", "1.3"], ["1.2\\1.3"]),
        ("StudyInstanceUID", ["1.2*"], [""]),
        ("StudyInstanceUID", [str(number) for number in range(401)], ["\\".join(map(str, range(400))), "400"]),
    ],
)
def test_patterns_are_sent_as_orthanc_takes_them(name: str, patterns: list[str], queries: list[str]) -> None:
    assert queries_for(parse_tag(name), patterns) == queries
