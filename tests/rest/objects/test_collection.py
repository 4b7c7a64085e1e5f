"""All objects of a level: paged, counted, looked up."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from pydicom.uid import UID

from simple_orthanc import AmbiguousSelectionError, NotFoundError, SelectionError, TransportError
from simple_orthanc.rest.objects import Resources, Series, Study, collection
from tests.http_stand_in import Asked, reply
from tests.rest.objects.server import KEY, STUDY, ObjectServer

COUNTS = {"CountPatients": 1, "CountStudies": 2, "CountSeries": 3, "CountInstances": "4"}


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "PAGE", 3)


class Listing:
    """Studies page by page; `change` is called with itself before each page."""

    def __init__(self, count: int, change: Any = lambda listing, number: None, ignore: tuple[str, ...] = ()) -> None:
        self.ids = [f"s{number}" for number in range(count)]
        self.change, self.ignore, self.pages = change, ignore, 0

    def __call__(self, asked: Asked) -> bytes:
        self.change(self, self.pages)
        self.pages += 1
        query = {name: int(value[0]) for name, value in parse_qs(urlsplit(asked.path).query).items()}
        since = 0 if "since" in self.ignore else query["since"]
        stop = None if "limit" in self.ignore else since + query["limit"]
        return reply([{"ID": key, "MainDicomTags": {}} for key in self.ids[since:stop]])


def listed(listing: Any) -> list[str]:
    with ObjectServer({"GET /studies": listing}) as server:
        return [study.id for study in Resources(server.rest, Study)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7, 20])
def test_each_object_is_listed_once(count: int) -> None:
    listing = Listing(count)
    assert listed(listing) == listing.ids


def test_pages_are_read_as_they_are_needed() -> None:
    listing = Listing(20)
    with ObjectServer({"GET /studies": listing}) as server:
        iterator = iter(Resources(server.rest, Study))
        assert server.calls == []
        first = next(iterator)
        assert (first.id, first.main_dicom_tags, listing.pages) == ("s0", {}, 1)
        assert server.calls == ["GET /studies?expand=&since=0&limit=3"]


@pytest.mark.parametrize("gone", ["s0", "s1", "s2", "s3"])
def test_none_is_left_out_if_others_are_deleted_meanwhile(gone: str) -> None:
    def delete(listing: Listing, page: int) -> None:
        if page == 1:
            listing.ids.remove(gone)

    found = listed(Listing(10, delete))
    assert len(found) == len(set(found))
    assert set(found) | {gone} == {f"s{number}" for number in range(10)}


@pytest.mark.parametrize("place", [0, 2, 3, 10])
def test_none_is_left_out_or_repeated_if_others_arrive_meanwhile(place: int) -> None:
    def add(listing: Listing, page: int) -> None:
        if page == 1:
            listing.ids.insert(place, "new")

    found = listed(Listing(10, add))
    assert len(found) == len(set(found))
    assert set(found) >= {f"s{number}" for number in range(10)}


def test_all_are_deleted_meanwhile() -> None:
    def delete(listing: Listing, page: int) -> None:
        if page == 1:
            listing.ids.clear()

    assert listed(Listing(10, delete)) == ["s0", "s1", "s2"]


@pytest.mark.parametrize("count", [0, 2, 4, 20])
def test_a_server_that_ignores_the_limit_does_not_loop_for_ever(count: int) -> None:
    listing = Listing(count, ignore=("limit",))
    assert listed(listing) == listing.ids


@pytest.mark.parametrize("count", [0, 2, 4, 20])
def test_a_server_that_ignores_limit_and_since(count: int) -> None:
    listing = Listing(count, ignore=("limit", "since"))
    assert listed(listing) == listing.ids
    assert listing.pages == 1


def test_a_server_that_ignores_since_is_an_error() -> None:
    listing = Listing(20, ignore=("since",))
    with pytest.raises(TransportError, match=r"other pages of its studies than those asked for.*rest.studies.ids\(\)"):
        listed(listing)
    assert listing.pages < 50


@pytest.mark.parametrize("answer", [{}, "text", [1], [{"id": 1}], ["s0"]])
def test_an_invalid_page(answer: Any) -> None:
    with pytest.raises(TransportError, match="something else than Orthanc does"):
        listed(reply(answer))


def test_an_object_that_was_deleted_while_its_page_was_made() -> None:
    assert listed([None, {"ID": "s1", "MainDicomTags": {}}]) == ["s1"]


@pytest.mark.parametrize(("name", "count"), [("patients", 1), ("studies", 2), ("series", 3), ("instances", 4)])
def test_objects_are_counted(name: str, count: int) -> None:
    with ObjectServer({"GET /statistics": COUNTS}) as server:
        objects = getattr(server.rest, name)
        assert len(objects) == count
        assert repr(objects) == f"<{name} of {server.url}>"
        assert server.calls == ["GET /statistics"]
        assert bool(objects)


@pytest.mark.parametrize("answer", [{}, [], {"CountStudies": "many"}, {"CountStudies": None}])
def test_invalid_counts(answer: Any) -> None:
    with (
        ObjectServer({"GET /statistics": reply(answer)}) as server,
        pytest.raises(TransportError, match="something else"),
    ):
        len(server.rest.studies)


def test_an_object_by_its_id() -> None:
    with ObjectServer({f"GET /studies/{KEY}": STUDY}) as server:
        study = server.rest.studies[KEY]
        assert (study, study.dicom_id) == (Study(server.rest, KEY), "1.2")
        assert server.calls == [f"GET /studies/{KEY}"]
        assert KEY in server.rest.studies
        assert study in server.rest.studies
        assert Series(server.rest, KEY) not in server.rest.studies
        for other in ("nope", "", None, 7, "."):
            assert other not in server.rest.studies


@pytest.mark.parametrize("name", ["patients", "studies", "series", "instances"])
@pytest.mark.parametrize("key", ["nope", "", None, 7, "a/b", ".", ".."])
def test_an_unknown_id_is_named(name: str, key: Any) -> None:
    with ObjectServer({}) as server:
        objects = getattr(server.rest, name)
        with pytest.raises(NotFoundError, match=f"with the id {key!r}"):
            objects[key]


def test_all_ids_take_one_request() -> None:
    with ObjectServer({"GET /studies": ["a", "b"]}) as server:
        assert server.rest.studies.ids() == ["a", "b"]
        assert server.calls == ["GET /studies"]
        server.routes["GET /studies"] = [{"ID": "a"}]
        with pytest.raises(TransportError, match="something else"):
            server.rest.studies.ids()


# By a DICOM identifier


def match(key: str, level: str = "Study") -> dict[str, str]:
    return {"ID": key, "Type": level, "Path": "x"}


def test_an_object_by_its_dicom_identifier() -> None:
    with ObjectServer(
        {"POST /tools/lookup": [match("x", "Series"), match(KEY)], f"GET /studies/{KEY}": STUDY}
    ) as server:
        for identifier in (" 1.2 ", UID("1.2"), np.str_("1.2")):
            assert server.rest.studies.lookup(identifier).id == KEY
        assert server.asked[0].body == b"1.2"


@pytest.mark.parametrize("identifier", ["1.2.3", "A1", "P1", "20200101"])
def test_another_spelling_is_another_object(identifier: str) -> None:
    # Orthanc ignores case and accents.
    with ObjectServer({"POST /tools/lookup": [match(KEY)], f"GET /studies/{KEY}": STUDY}) as server:
        assert server.rest.studies.lookup_all(identifier) == []
        with pytest.raises(NotFoundError, match=f"no study with StudyInstanceUID '{identifier}'"):
            server.rest.studies.lookup(identifier)


@pytest.mark.parametrize("identifier", ["A*", "A?", "*"])
def test_an_identifier_with_a_wildcard_is_listed_for(identifier: str) -> None:
    # Orthanc refuses to look it up.
    patients = [{"ID": key, "MainDicomTags": {"PatientID": value}} for key, value in (("a", identifier), ("b", "A1"))]
    routes = {"POST /tools/lookup": reply({"Message": "Wildcards"}, 400), "GET /patients": patients}
    with ObjectServer(routes) as server:
        assert server.rest.patients.lookup(identifier).id == "a"
        assert server.rest.patients.lookup_all("?") == []


def test_one_study_of_two_patients() -> None:
    routes = {"POST /tools/lookup": [match("a"), match("b"), match("a"), match("gone")]}
    with ObjectServer({**routes, **{f"GET /studies/{key}": {**STUDY, "ID": key} for key in "ab"}}) as server:
        assert [study.id for study in server.rest.studies.lookup_all("1.2")] == ["a", "b"]
        with pytest.raises(AmbiguousSelectionError, match=r"2 objects of level study .*lookup_all\('1.2'\)") as caught:
            server.rest.studies.lookup("1.2")
        assert caught.value.candidates == ("a", "b")


@pytest.mark.parametrize("identifier", ["", "  ", None, 7, ["1.2"]])
def test_an_invalid_identifier(identifier: Any) -> None:
    with ObjectServer({}) as server:
        with pytest.raises(SelectionError, match="is not an identifier; give PatientID as a string"):
            server.rest.patients.lookup(identifier)
        assert server.calls == []


@pytest.mark.parametrize("answer", [{}, [1], [{"Type": "Study"}]])
def test_an_invalid_answer_to_a_lookup(answer: Any) -> None:
    with (
        ObjectServer({"POST /tools/lookup": reply(answer)}) as server,
        pytest.raises(TransportError, match="something else"),
    ):
        server.rest.studies.lookup("1.2")
