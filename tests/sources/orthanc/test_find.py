"""Finding objects on an Orthanc server page by page, and which queries are sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import TransportError
from simple_orthanc.rest import Rest
from simple_orthanc.sources.orthanc import find, find_limit
from simple_orthanc.sources.orthanc.find import Finder, queries_for
from simple_orthanc.sources.orthanc.find_limit import Observed
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, reply
from tests.orthanc_stand_in import OrthancServer
from tests.sources.contract import make_archive

VERSIONS = ["1.10.1", "1.12.7"]


@pytest.fixture(params=VERSIONS)
def stand_in(request: pytest.FixtureRequest) -> Iterator[OrthancServer]:
    with OrthancServer(make_archive(), request.param) as stand_in:
        yield stand_in


@pytest.fixture
def finder(stand_in: OrthancServer) -> Iterator[Finder]:
    with Transport(stand_in.url, patience=3) as transport:
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


@pytest.mark.parametrize("is_nearby", [True, False])
def test_a_listing_from_far_away_comes_in_several_pages_at_once(
    stand_in: OrthancServer, finder: Finder, monkeypatch: pytest.MonkeyPatch, is_nearby: bool
) -> None:
    count = len(ids(stand_in, "instance"))
    monkeypatch.setattr(find, "_WORTH_PAGES_FAR_AWAY", count)
    monkeypatch.setattr(Transport, "is_nearby", is_nearby)
    assert {answer["ID"] for answer in finder.all("instance")} == ids(stand_in, "instance")
    size = -(-count // 4)
    starts = [0] if is_nearby else [0, size, 2 * size, 3 * size]
    if finder._rest.capabilities.extended_find:
        assert sorted({start for start, _ in pages(stand_in)}) == starts
    else:
        queries = [parse_qs(urlsplit(asked.path).query) for asked in stand_in.asked if "/instances?" in asked.path]
        assert sorted({int(query["since"][0]) for query in queries}) == starts


@pytest.mark.parametrize("is_nearby", [True, False])
def test_what_has_arrived_of_a_listing_is_handed_over_page_by_page(
    stand_in: OrthancServer, finder: Finder, monkeypatch: pytest.MonkeyPatch, is_nearby: bool
) -> None:
    monkeypatch.setattr(find, "_WORTH_PAGES_FAR_AWAY", 2)
    monkeypatch.setattr(Transport, "is_nearby", is_nearby)
    arrived: list[Any] = []
    answers = finder.all("series", arrived.append)
    assert len(arrived) == (1 if is_nearby else 3)
    assert {id(answer) for answer in answers} == {id(answer) for page in arrived for answer in page}


def test_an_object_that_is_gone_is_left_out(stand_in: OrthancServer, finder: Finder) -> None:
    study = stand_in.identifier_of(stand_in.datasets[0], "study")
    (answer,) = finder.by_id("study", [study, "00000000-00000000-00000000-00000000-00000000"])
    assert answer["ID"] == study
    assert finder.below("series", "00000000-00000000-00000000-00000000-00000000", ()) == []


@pytest.mark.parametrize("large", [0, 50_000], ids=["large", "small"])
@pytest.mark.parametrize("is_nearby", [True, False])
def test_that_a_first_find_is_whole_is_seen_beside_it(
    stand_in: OrthancServer, finder: Finder, monkeypatch: pytest.MonkeyPatch, is_nearby: bool, large: int
) -> None:
    monkeypatch.setattr(find_limit, "_LARGE_FAR_AWAY", large)
    monkeypatch.setattr(Transport, "is_nearby", is_nearby)
    finder.count()
    finder.find("study", {"PatientName": "*roe*"})
    # The find, and one other request; before Orthanc 1.12.5 it waits for the answer of a server that is nearby.
    asked = [json.loads(asked.body) for asked in stand_in.asked if asked.path == "/tools/find"]
    others = [body for body in asked if "PatientName" not in body["Query"]]
    assert (len(asked), len(others)) == (2, 1)
    if not is_nearby or finder._rest.capabilities.extended_find:
        before = len(stand_in.asked)
        query = {"StudyInstanceUID": str(stand_in.datasets[0].StudyInstanceUID)}
        assert finder.find("series", query)
        assert len(stand_in.asked) == before + 1


@pytest.mark.parametrize("status", [403, 500])
def test_what_cannot_be_asked_beside_a_find_is_asked_behind_it(
    stand_in: OrthancServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(Transport, "is_nearby", False)
    script = stand_in.script

    def refuses(asked: Asked, count: int) -> bytes | None:
        is_beside = asked.path == "/tools/find" and b'"Query": {}' in asked.body and b'"Limit": 6' in asked.body
        return reply({"Message": "not for you"}, status) if is_beside else script(asked, count)

    stand_in.script = refuses
    with Transport(stand_in.url, patience=0) as transport:
        finder = Finder(transport, Rest(transport), Observed())
        found = {answer["ID"] for answer in finder.find("study", {"PatientName": "*roe*"})}
    assert found >= {stand_in.identifier_of(data, "study") for data in stand_in.datasets if data.PatientID == "2"}


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


# Listings that hide something

LISTINGS = ("/studies", "/series", "/instances")


def is_listing(path: str) -> bool:
    return path in LISTINGS or (path.count("/") == 3 and path.endswith(LISTINGS))


def first_pages(pages: dict[Any, Any]) -> Callable[[str, Any, int], Any]:
    """Answer every page with the first one of its path, of two objects or ids at most."""

    def first_page(path: str, answer: Any, count: int) -> Any:
        return pages.setdefault((path, type((answer or [{}])[0])), answer[:2]) if is_listing(path) else answer

    return first_page


FAULTS: dict[str, Callable[[], Callable[[str, Any, int], Any]]] = {
    "empty once": lambda: lambda path, answer, count: [] if is_listing(path) and count == 0 else answer,
    "capped": lambda: lambda path, answer, count: answer[:2] if is_listing(path) else answer,
    "ignores where pages begin": lambda: first_pages({}),
    "an object in place of a list": lambda: lambda path, answer, count: {"a": 1} if count == 0 else answer,
    "a list of numbers": lambda: lambda path, answer, count: [1, 2] if count == 0 else answer,
    "another path's answer": lambda: lambda path, answer, count: ["x"] if count == 0 else answer,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_a_level_is_whole_or_an_error_says_what_is_missing(
    stand_in: OrthancServer, finder: Finder, level: Level, fault: str
) -> None:
    finder.count()
    stand_in.change_answer = FAULTS[fault]()
    is_paged = not finder._rest.capabilities.extended_find
    # The studies are also listed by their patients, who fit into one page.
    if fault == "ignores where pages begin" and is_paged and level != "study":
        with pytest.raises(TransportError, match=rf"lists \d+ of the \d+ objects of level {level} that it counts"):
            finder.all(level)
        return
    assert {answer["ID"] for answer in finder.all(level)} == ids(stand_in, level)


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_a_level_that_stays_empty_is_an_error(stand_in: OrthancServer, finder: Finder, level: Level) -> None:
    stand_in.change_answer = lambda path, answer, count: [] if isinstance(answer, list) else answer
    with pytest.raises(TransportError, match=rf"lists 0 of the \d+ objects of level {level} that it counts"):
        finder.all(level)
    stand_in.datasets = []
    assert finder.all(level) == []


@pytest.mark.parametrize("fault", ["empty once", "capped", "ignores where pages begin"])
def test_objects_below_another_are_whole(stand_in: OrthancServer, finder: Finder, fault: str) -> None:
    (series, *_) = [answer for answer in finder.all("series") if len(answer["Instances"]) > 2]
    stand_in.change_answer = FAULTS[fault]()
    answers = finder.below("instance", series["ID"], series["Instances"])
    assert {answer["ID"] for answer in answers} == set(series["Instances"])


def test_objects_below_another_of_which_none_is_known_are_whole(
    stand_in: OrthancServer, finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (series, *_) = [answer for answer in finder.all("series") if len(answer["Instances"]) > 2]
    monkeypatch.setattr(find, "PAGE", 1)
    answers = finder.below("instance", series["ID"], ())
    assert {answer["ID"] for answer in answers} == set(series["Instances"])


def test_objects_that_listings_hide_are_an_error(stand_in: OrthancServer, finder: Finder) -> None:
    series = next(answer for answer in finder.all("series") if len(answer["Instances"]) > 1)
    stand_in.change_answer = lambda path, answer, count: [] if isinstance(answer, list) else answer
    hidden = len(series["Instances"])
    with pytest.raises(TransportError, match=rf"do not contain it: {hidden} objects? would be missing"):
        finder.below("instance", series["ID"], series["Instances"])
    # What was deleted meanwhile is no error.
    stand_in.datasets = []
    assert finder.below("instance", series["ID"], series["Instances"]) == []


def test_a_find_whose_pages_are_all_the_same_is_replaced_by_a_listing(stand_in: OrthancServer, finder: Finder) -> None:
    first: dict[type, Any] = {}

    def same_page(path: str, answer: Any, count: int) -> Any:
        return first.setdefault(type((answer or [{}])[0]), answer[:2]) if path == "/tools/find" else answer

    finder.count()
    stand_in.change_answer = same_page
    found = {answer["ID"] for answer in finder.find("instance", {"PatientName": "*roe*"})}
    wanted = [dataset for dataset in stand_in.datasets if dataset.PatientName == "Roe^Rick"]
    if finder._rest.capabilities.extended_find:
        assert found >= {stand_in.identifier_of(dataset, "instance") for dataset in wanted}


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_a_search_misses_nothing_while_objects_are_deleted(
    stand_in: OrthancServer, finder: Finder, monkeypatch: pytest.MonkeyPatch, level: Level
) -> None:
    monkeypatch.setattr(find, "PAGE", 2)
    finder.count()

    def recycle(path: str, answer: Any, count: int) -> Any:
        if path == "/tools/find" and len(pages(stand_in)) == 1:
            first = answer[0]["ID"]
            stand_in.datasets = [data for data in stand_in.datasets if stand_in.identifier_of(data, level) != first]
        return answer

    stand_in.change_answer = recycle
    found = {answer["ID"] for answer in finder.find(level, {"PatientName": "*"})}
    assert found >= ids(stand_in, level)


def test_a_search_among_deletions_without_end_is_an_error(
    stand_in: OrthancServer, finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "PAGE", 2)
    finder.count()

    def recycle(path: str, answer: Any, count: int) -> Any:
        del stand_in.datasets[0]
        return answer

    stand_in.change_answer = recycle
    with pytest.raises(TransportError, match="objects of level instance were deleted or stored"):
        finder.find("instance", {"PatientName": "*"})


@pytest.mark.parametrize("level", ["series", "instance"])
def test_a_page_from_which_an_object_has_vanished_is_not_the_last(
    stand_in: OrthancServer, finder: Finder, monkeypatch: pytest.MonkeyPatch, level: Level
) -> None:
    monkeypatch.setattr(find, "PAGE", 4)
    monkeypatch.setattr(find, "_PART_GONE", 4)
    finder.count()

    def vanish(path: str, answer: Any, count: int) -> Any:
        if path != "/tools/find" or len(pages(stand_in)) > 1:
            return answer
        gone = answer[1]["ID"]
        stand_in.datasets = [data for data in stand_in.datasets if stand_in.identifier_of(data, level) != gone]
        return [row for row in answer if row["ID"] != gone]

    stand_in.change_answer = vanish
    found = {answer["ID"] for answer in finder.find(level, {"PatientName": "*"})}
    assert found == ids(stand_in, level)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_page_is_requested_behind_one_that_is_clearly_the_last(
    stand_in: OrthancServer, finder: Finder, count: int
) -> None:
    finder.find("instance", {"PatientName": "*"})
    before = len(pages(stand_in))
    uids = [str(dataset.SOPInstanceUID) for dataset in stand_in.datasets[:count]]
    assert len(finder.find("instance", {"SOPInstanceUID": "\\".join(uids)})) == count
    assert pages(stand_in)[before : before + 1] == [(0, find.PAGE)]
    assert len(pages(stand_in)) == before + 1


def test_an_empty_find_is_asked_for_twice(stand_in: OrthancServer, finder: Finder) -> None:
    stand_in.change_answer = lambda path, answer, count: [] if path == "/tools/find" and count == 0 else answer
    found = {answer["ID"] for answer in finder.find("study", {"PatientName": "ROE*"})}
    wanted = [dataset for dataset in stand_in.datasets if dataset.PatientName == "Roe^Rick"]
    assert found == {stand_in.identifier_of(dataset, "study") for dataset in wanted}
    assert wanted
    assert len(pages(stand_in)) > 1
    before = len(pages(stand_in))
    assert finder.find("study", {"PatientName": "NOBODY"}) == []
    # And it is checked that a find finds anything.
    assert pages(stand_in)[before:] == [*[(0, find.PAGE)] * 2, (0, 1)]


@pytest.mark.parametrize("answer", [{}, [], "x", None, 3, {"CountPatients": None}])
def test_counts_of_another_shape_are_an_error(stand_in: OrthancServer, finder: Finder, answer: Any) -> None:
    stand_in.change_answer = lambda path, right, count: answer
    with pytest.raises(TransportError, match="GET /statistics with JSON of another shape than Orthanc's"):
        finder.count()


# Answers that are empty, although something is there

HIDDEN: dict[str, Callable[[str, Any, int], Any]] = {
    "finds": lambda path, answer, count: [] if path == "/tools/find" else answer,
    "finds and listings": lambda path, answer, count: [] if path == "/tools/find" or is_listing(path) else answer,
    "every list": lambda path, answer, count: [] if isinstance(answer, list) else answer,
}


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize("is_late", [False, True], ids=["from the start", "later"])
def test_a_search_is_not_taken_as_empty_if_every_find_is(
    stand_in: OrthancServer, finder: Finder, level: Level, hidden: str, is_late: bool
) -> None:
    if is_late:
        assert finder.find(level, {"PatientName": "ROE*"})
    stand_in.change_answer = HIDDEN[hidden]
    wanted = {stand_in.identifier_of(data, level) for data in stand_in.datasets if data.PatientName == "Roe^Rick"}
    # Studies are also listed by their patients.
    if hidden == "every list" or (hidden == "finds and listings" and level != "study"):
        with pytest.raises(TransportError, match=rf"lists 0 of the \d+ objects of level {level} that it counts"):
            finder.find(level, {"PatientName": "ROE*"})
    else:
        assert {answer["ID"] for answer in finder.find(level, {"PatientName": "ROE*"})} >= wanted


@pytest.mark.parametrize("options", [{"Labels": ["x"]}, {"MetadataQuery": {"RemoteAET": "*"}}])
def test_labels_and_metadata_are_not_missing_if_every_find_is_empty(
    stand_in: OrthancServer, finder: Finder, options: dict[str, Any]
) -> None:
    if not finder._rest.capabilities.extended_find:
        # Orthanc before 1.12.5 has no such find.
        return
    assert finder.find("study", {}, ResponseContent=["Labels", "Metadata"], **options) == []
    stand_in.change_answer = HIDDEN["finds"]
    with pytest.raises(TransportError, match="nobody knows which of the 3 objects of level study would"):
        finder.find("study", {}, ResponseContent=["Labels", "Metadata"], **options)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("level", ["series", "instance"])
def test_what_a_row_does_not_list_is_looked_for_in_its_object(
    stand_in: OrthancServer, finder: Finder, level: Level, hidden: str
) -> None:
    above: Level = "study" if level == "series" else "series"
    parent = stand_in.identifier_of(stand_in.datasets[0], above)
    wanted = {
        stand_in.identifier_of(data, level)
        for data in stand_in.datasets
        if stand_in.identifier_of(data, above) == parent
    }
    stand_in.change_answer = HIDDEN[hidden]
    if hidden == "every list":
        with pytest.raises(TransportError, match=rf"do not contain it: {len(wanted)} objects? would be missing"):
            finder.below(level, parent, ())
    else:
        assert {answer["ID"] for answer in finder.below(level, parent, ())} == wanted


def test_an_object_that_lists_nothing_is_an_error(stand_in: OrthancServer, finder: Finder) -> None:
    series = stand_in.identifier_of(stand_in.datasets[0], "series")

    def childless(path: str, answer: Any, count: int) -> Any:
        return [] if isinstance(answer, list) else {**answer, "Instances": []}

    stand_in.change_answer = childless
    with pytest.raises(TransportError, match=f"lists nothing in /series/{series}, but no object in Orthanc is empty"):
        finder.below("instance", series, ())


def test_one_object_that_is_gone_does_not_hide_others(stand_in: OrthancServer, finder: Finder) -> None:
    # The ids are compared in their order, and this one is the first.
    gone = "00000000-00000000-00000000-00000000-00000000"
    held = stand_in.identifier_of(stand_in.datasets[0], "instance")
    assert [answer["ID"] for answer in finder.completed("instance", [], [gone, held])] == [held]
    stand_in.change_answer = HIDDEN["every list"]
    with pytest.raises(TransportError, match="do not contain it: 1 object would be missing"):
        finder.completed("instance", [], [gone, held])
