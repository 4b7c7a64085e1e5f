"""Searches: every page is read, no page twice, and nothing is cut silently, however the server pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from simple_orthanc import limits
from simple_orthanc.dicomweb import Transactions, searching, text
from simple_orthanc.errors import (
    NotFoundError,
    SelectionError,
    ServerError,
    TransportError,
    UnknownTagError,
    UnsupportedError,
)
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, always, in_turn, reply

JSON = {"Content-Type": "application/dicom+json"}


def study(number: int) -> dict[str, Any]:
    return {"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}, "00100020": {"vr": "LO", "Value": ["p"]}}


def dicom_json(items: object, **headers: str) -> bytes:
    return reply(json.dumps(items).encode(), headers={**JSON, **headers})


def archive(
    count: int,
    *,
    heeds_offset: bool = True,
    heeds_limit: bool = True,
    cap: int | None = None,
    most: int | None = None,
    takes_offset: bool = True,
) -> Callable[[Asked, int], bytes]:
    """A server of so many studies, which gives at most `cap` at once, and refuses limits above `most`.

    One that takes no offset cuts an answer with a limit only.
    """

    def answer(asked: Asked, _: int) -> bytes:
        query = dict(parse_qsl(urlsplit(asked.path).query))
        if not takes_offset and "offset" in query:
            return reply({"Message": "Bad request"}, 400)
        if most is not None and int(query.get("limit", 0)) > most:
            return reply({"Message": "limit too high"}, 400)
        found = [study(number) for number in range(count)]
        found = found[int(query.get("offset", 0)) if heeds_offset else 0 :]
        found = found[: int(query["limit"])] if heeds_limit and "limit" in query else found
        return dicom_json(found[:cap] if takes_offset or "limit" in query else found)

    return answer


def numbers(items: Iterator[dict[str, Any]]) -> list[int]:
    return [int(text(item, "StudyInstanceUID").rpartition(".")[2]) for item in items]


def transactions(server: StandIn, **prefixes: str) -> Transactions:
    return Transactions(Transport(server.url), **prefixes)


@pytest.mark.parametrize(
    "habits",
    [
        {},
        {"cap": 4},
        {"heeds_offset": False},
        {"heeds_offset": False, "heeds_limit": False},
        {"heeds_limit": False},
        {"most": 100},
        {"takes_offset": False},
        {"takes_offset": False, "cap": 4},
    ],
)
@pytest.mark.parametrize("page", [1000, 7, 26, 1])
def test_all_are_found_once_whatever_the_server_does_with_paging(habits: dict[str, Any], page: int) -> None:
    with StandIn(archive(26, **habits)) as server:
        assert numbers(transactions(server).search_studies(page=page)) == list(range(26))
        assert len(server.asked) <= 28


@pytest.mark.parametrize(
    "habits",
    [{}, {"cap": 4}, {"heeds_offset": False}, {"heeds_limit": False}, {"takes_offset": False, "cap": 4}],
)
@pytest.mark.parametrize(("limit", "offset"), [(5, 0), (5, 20), (10, 20), (0, 0), (1, 25), (3, 40), (26, 0), (30, 3)])
def test_a_limit_is_the_total_number_of_results(habits: dict[str, Any], limit: int, offset: int) -> None:
    with StandIn(archive(26, **habits)) as server:
        found = numbers(transactions(server).search_studies(limit=limit, offset=offset))
        assert found == list(range(26))[offset : offset + limit]


def test_every_form_of_an_empty_result_is_empty() -> None:
    for answer in (reply(b"", 204), dicom_json([])):
        with StandIn(always(answer)) as server:
            assert list(transactions(server).search_studies()) == []
            assert len(server.asked) == 1


def test_a_page_is_requested_when_it_is_needed() -> None:
    with StandIn(archive(26)) as server:
        found = transactions(server).search_studies(page=10)
        assert server.asked == []
        assert numbers(islice(found, 10)) == list(range(10))
        assert len(server.asked) == 1


def test_an_endless_list_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MOST_RESULTS", 500)

    def endless(asked: Asked, count: int) -> bytes:
        return dicom_json([study(count * 100 + number) for number in range(100)])

    with StandIn(endless) as server, pytest.raises(TransportError, match="more than 500 results"):
        list(transactions(server).search_studies())


def test_results_of_one_page_may_share_their_uids() -> None:
    items = [study(1), {**study(1), "00100020": {"vr": "LO", "Value": ["q"]}}, {"00080060": {"vr": "CS"}}, {}]
    with StandIn(in_turn(dicom_json([*items, items[0]]), dicom_json([]))) as server:
        assert list(transactions(server).search_studies()) == [*items, items[0]]


def deaf_to_escapes(asked: Asked, _: int) -> bytes:
    """A server of three series that takes what stands in the URL for what is meant, as some Orthancs do."""
    found = ["T2 AXIAL", "T2-AXIAL", "T2 axial", "ünï", "unï"]
    items = [
        {**study(number), "0008103E": {"vr": "LO", "Value": [name]}, "0020000E": {"vr": "UI", "Value": [f"1.{number}"]}}
        for number, name in enumerate(found)
    ]
    query = dict(pair.split("=") for pair in urlsplit(asked.path).query.split("&"))
    for name, pattern in query.items():
        if name in ("00100020", "0008103E", "0020000D"):
            items = [item for item in items if fnmatchcase(text(item, name), pattern)]
    items = items[int(query.get("offset", 0)) :][: int(query["limit"])]
    return dicom_json(items)


@pytest.mark.parametrize(
    ("description", "found"),
    [
        ("T2 AXIAL", [0]),
        ("T2?AXIAL", [0, 1]),
        ("T2 *", [0, 2]),
        ("ünï", [3]),
        ("*nï", [3, 4]),
        ("none here", []),
        ("T2*", [0, 1, 2]),
    ],
)
def test_a_server_that_does_not_decode_filters_finds_the_same(description: str, found: list[int]) -> None:
    for page in (1000, 2):
        with StandIn(deaf_to_escapes) as server:
            client = transactions(server)
            filters = {"SeriesDescription": description, "PatientID": "p"}
            assert numbers(client.search_series(filters=filters, page=page)) == found
            assert numbers(client.search_series(filters=filters, page=page, limit=1, offset=1)) == found[1:2]
            probes = [asked for asked in server.asked if asked.path.startswith("/studies?")]
            assert len(probes) == (0 if description in ("T2?AXIAL", "T2*") else 2)


def test_filters_that_such_a_server_cannot_match_are_refused() -> None:
    with StandIn(deaf_to_escapes) as server:
        client = transactions(server)
        with pytest.raises(UnsupportedError, match="StudyDate"):
            list(client.search_studies({"StudyDate": "2020 01"}))
        with pytest.raises(UnsupportedError, match="fuzzy"):
            list(client.search_studies({"PatientName": "Doe^J"}, fuzzy=True))


def test_paths_filters_and_fields_reach_the_server_as_they_are() -> None:
    with StandIn(always(dicom_json([]))) as server:
        client = transactions(server, qido_prefix="/qido/")
        filters = {"PatientName": "Müller^A&B=*", "0008,0050": "a b+c", "StudyDate": "20200101-", "SeriesNumber": 3}
        list(client.search_series("1.2", filters, fields=["StudyDescription", "0010,0010"], fuzzy=True))
        # An empty archive says nothing of how it reads URLs.
        assert server.asked.pop(0).path == "/qido/studies?limit=1"
        list(client.search_instances("1.2", "1.2.3", fields="all"))
        list(client.search_instances("1.2/x y"))
        list(client.search_series())
        asked = [urlsplit(one.path) for one in server.asked]
        assert [one.path for one in asked] == [
            "/qido/studies/1.2/series",
            "/qido/studies/1.2/series/1.2.3/instances",
            "/qido/studies/1.2%2Fx%20y/instances",
            "/qido/series",
        ]
        assert parse_qs(asked[0].query) == {
            "00100010": ["Müller^A&B=*"],
            "00080050": ["a b+c"],
            "00080020": ["20200101-"],
            "00200011": ["3"],
            "fuzzymatching": ["true"],
            "includefield": ["00081030", "00100010"],
            "limit": ["1000"],
        }
        assert "a%20b%2Bc" in asked[0].query
        assert parse_qs(asked[1].query)["includefield"] == ["all"]
        assert server.asked[0].headers["accept"] == "application/dicom+json"


@pytest.mark.parametrize("root", ["{}", "{}/", "{}/dicom-web/", "{}/dicom-web"])
def test_no_path_has_an_empty_segment(root: str) -> None:
    with StandIn(always(dicom_json([]))) as server:
        client = Transactions(Transport(root.format(server.url)), qido_prefix="/")
        list(client.search_studies())
        assert "//" not in server.asked[0].path
        assert server.asked[0].path.endswith("/studies?limit=1000")
    # The address may be one of IPv6.
    assert repr(Transactions(Transport("http://[::1]:8042/dicom-web/"))) == "<DICOMweb of http://[::1]:8042/dicom-web>"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda client: client.search_studies({"PatientNme": "x"}), UnknownTagError),
        (lambda client: client.search_studies({'(0009,"X",01)': "x"}), SelectionError),
        (lambda client: client.search_studies({"RequestAttributesSequence[0].StudyInstanceUID": "x"}), SelectionError),
        (lambda client: client.search_studies({"PatientName": None}), SelectionError),
        (lambda client: client.search_studies({"PatientName": ["a"]}), SelectionError),
        (lambda client: client.search_studies(fields=["Foo"]), UnknownTagError),
        (lambda client: client.search_studies(limit=-1), SelectionError),
        (lambda client: client.search_studies(limit=True), SelectionError),
        (lambda client: client.search_studies(offset=None), SelectionError),
        (lambda client: client.search_studies(page=0), SelectionError),
        (lambda client: client.search_series(""), SelectionError),
        (lambda client: client.search_series(7), SelectionError),
        (lambda client: client.search_instances(None, "1.2"), SelectionError),
        (lambda client: client.search_instances("..", "1.2"), TransportError),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    call: Callable[[Transactions], Iterator[Any]], error: type[Exception]
) -> None:
    with StandIn(always(dicom_json([study(1)]))) as server:
        with pytest.raises(error):
            list(call(transactions(server)))
        assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(b"<html>Log in</html>", headers={"Content-Type": "text/html"}), "text/html, beginning with '<html>Log"),
        (reply(b"[{", headers=JSON), "not DICOM JSON"),
        (reply(b"[" * 100_000, headers=JSON), "not DICOM JSON"),
        (reply({"Message": "hello"}), "not DICOM JSON"),
        (reply([1, 2]), "not DICOM JSON"),
        (reply([{"0020000D": "1.2"}]), "not DICOM JSON"),
        (reply([{"StudyInstanceUID": {"vr": "UI"}}]), "not DICOM JSON"),
        (reply([None]), "not DICOM JSON"),
        (reply(b"7"), "no media type|not DICOM JSON"),
        (reply(b"<?xml version='1.0'?>", headers={"Content-Type": "application/dicom+xml"}), "dicom.xml"),
    ],
)
def test_a_response_that_is_not_dicom_json_is_an_error(answer: bytes, said: str) -> None:
    with StandIn(always(answer)) as server:
        with pytest.raises(TransportError, match=said) as caught:
            list(transactions(server).search_studies())
        assert server.url in str(caught.value)
        assert len(server.asked) == 4


def test_json_in_several_parts_and_tags_in_lower_case_are_understood() -> None:
    part = b"Content-Type: application/dicom+json\r\n\r\n"
    body = b"--b\r\n" + part + json.dumps({"0020000d": {"vr": "UI", "Value": ["1.2.7"]}}).encode() + b"\r\n--b--"
    kind = {"Content-Type": 'multipart/related; type="application/dicom+json"; boundary=b'}
    with StandIn(in_turn(reply(body, headers=kind), reply(b"", 204))) as server:
        assert numbers(transactions(server).search_studies()) == [7]


def test_endless_json_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "json_bytes", 1000)
    with (
        StandIn(always(dicom_json([study(number) for number in range(100)]))) as server,
        pytest.raises(TransportError, match=r"limits\.json_bytes = 1000"),
    ):
        list(transactions(server).search_studies())


def test_a_server_that_knows_only_plain_json_is_asked_for_that() -> None:
    def picky(asked: Asked, _: int) -> bytes:
        return dicom_json([]) if asked.headers["accept"] == "application/json" else reply(b"", 406)

    with StandIn(picky) as server:
        client = transactions(server)
        assert list(client.search_studies()) == list(client.search_studies()) == []
        # What it took is remembered.
        assert len(server.asked) == 3
    with StandIn(always(reply(b"", 406))) as server, pytest.raises(ServerError) as caught:
        list(transactions(server).search_studies())
    assert caught.value.status == 406


def test_names_matched_literally_despite_fuzzy_cause_a_warning() -> None:
    said = "299 http://x: The fuzzymatching parameter is not supported. Only literal matching has been performed."
    with StandIn(in_turn(dicom_json([study(1)], Warning=said), dicom_json([], Warning=said))) as server:
        with pytest.warns(UserWarning, match="does not match names of persons by sound") as caught:
            assert numbers(transactions(server).search_studies({"PatientName": "Doe"}, fuzzy=True)) == [1]
        assert len(caught) == 1
        assert caught[0].filename == __file__


def test_other_warnings_of_the_server_are_passed_on_once() -> None:
    said = "299 x: The attribute 00101010 cannot be matched and was ignored."
    with StandIn(in_turn(dicom_json([study(1)], Warning=said), dicom_json([], Warning=said))) as server:
        with pytest.warns(UserWarning, match="00101010 cannot be matched") as caught:
            list(transactions(server).search_studies())
        assert len(caught) == 1


MORE = "299 x: The number of results exceeded the maximum supported by the server. Additional results can be requested."


def test_further_results_that_the_server_announces_are_fetched() -> None:
    answers = [dicom_json([study(0), study(1)], Warning=MORE), dicom_json([study(2)]), dicom_json([])]
    with StandIn(in_turn(*answers)) as server:
        assert numbers(transactions(server).search_studies()) == [0, 1, 2]
        assert [dict(parse_qsl(urlsplit(one.path).query)).get("offset") for one in server.asked] == [None, "2", "3"]


@pytest.mark.parametrize("then", [dicom_json([study(0)], Warning=MORE), dicom_json([], Warning=MORE)])
def test_further_results_that_cannot_be_fetched_are_an_error(then: bytes) -> None:
    with StandIn(in_turn(dicom_json([study(0)], Warning=MORE), then)) as server:
        found = transactions(server).search_studies()
        assert numbers(islice(found, 1)) == [0]
        with pytest.raises(UnsupportedError, match="more results than it gave"):
            next(found)


def test_a_refusal_is_raised_at_once_and_a_busy_server_is_asked_again() -> None:
    for status, error in ((400, ServerError), (404, NotFoundError), (500, ServerError)):
        with StandIn(always(reply({"Message": "No"}, status))) as server:
            with pytest.raises(error, match="No") as caught:
                list(transactions(server).search_studies(page=50))
            assert isinstance(caught.value, ServerError)
            # A server may fail at one result of a page.
            assert (caught.value.status, len(server.asked)) == (status, 6 if status == 500 else 1)
    for status in (429, 503):
        busy = reply(b"", status, {"Retry-After": "0"})
        with StandIn(in_turn(busy, busy, dicom_json([study(1)]), busy, dicom_json([]))) as server:
            assert numbers(transactions(server).search_studies()) == [1]
            assert len(server.asked) == 5
        with StandIn(always(busy)) as server:
            with pytest.raises(ServerError) as caught:
                list(transactions(server).search_studies())
            assert caught.value.status == status
            assert len(server.asked) > 10


def paged(count: int, broken: set[int], status: int = 500) -> Callable[[Asked, int], bytes]:
    """Answer with pages of `count` studies, and fail at each page with a broken one."""

    def script(asked: Asked, _: int) -> bytes:
        query = dict(parse_qsl(urlsplit(asked.path).query))
        start = int(query.get("offset", 0))
        page = range(start, min(start + int(query.get("limit", count)), count))
        if broken & set(page):
            return reply({"Message": "cannot convert", "HttpStatus": status}, status)
        return reply([{"0020000D": {"vr": "UI", "Value": [f"1.{number}"]}} for number in page])

    return script


@pytest.mark.parametrize("broken", [{0}, {7}, {29}, {3, 20}, {8, 9, 10}])
def test_results_at_which_a_server_fails_are_left_out_with_a_warning(broken: set[int]) -> None:
    with StandIn(paged(30, broken)) as server:
        client = Transactions(Transport(server.url, patience=0))
        with pytest.warns(UserWarning, match=f"fails at {len(broken)} of the results"):
            studies = list(client.search_studies())
    assert [text(study, "StudyInstanceUID") for study in studies] == [f"1.{n}" for n in range(30) if n not in broken]


@pytest.mark.parametrize(("count", "broken"), [(30, set(range(30))), (1, {0}), (30, {1, 5, 9, 13})])
def test_a_server_that_fails_at_many_results_is_an_error(count: int, broken: set[int]) -> None:
    with StandIn(paged(count, broken)) as server, pytest.raises(ServerError, match="500"):
        list(Transactions(Transport(server.url, patience=0)).search_studies())


@pytest.mark.parametrize("again", [[0], [1], [10, 11], list(range(1, 12))])
def test_a_part_of_the_first_page_at_an_offset_is_no_sign_of_more(again: list[int]) -> None:
    shown = [{"0020000D": {"vr": "UI", "Value": [f"1.{number}"]}} for number in range(12)]

    def counts_before_it_compares(asked: Asked, _: int) -> bytes:
        query = dict(parse_qsl(urlsplit(asked.path).query))
        page = [shown[number] for number in again] if query.get("offset", "0") != "0" else shown
        return reply([] if "2.25.0" in asked.path else page[: int(query.get("limit", 12))])

    # A warning would be an error.
    with StandIn(counts_before_it_compares) as server:
        assert len(list(Transactions(Transport(server.url)).search_studies())) == 12


@pytest.mark.parametrize("heeds_limit", [False, True])
def test_a_server_that_ignores_the_offset_may_hide_more(heeds_limit: bool) -> None:
    shown = [{"0020000D": {"vr": "UI", "Value": [f"1.{number}"]}} for number in range(12)]

    def deaf(asked: Asked, _: int) -> bytes:
        limit = int(dict(parse_qsl(urlsplit(asked.path).query)).get("limit", 12)) if heeds_limit else 12
        return reply([] if "2.25.0" in asked.path else shown[:limit])

    with StandIn(deaf) as server, pytest.warns(UserWarning, match="it showed 12 results, and shows no others"):
        assert len(list(Transactions(Transport(server.url)).search_studies())) == 12
    # A static server shows everything it has, whatever is asked.
    with StandIn(always(reply(shown))) as server:
        assert len(list(Transactions(Transport(server.url)).search_studies())) == 12


@pytest.mark.parametrize("status", [500, 502])
def test_a_server_that_fails_at_the_only_result_that_is_asked_for_is_not_empty(status: int) -> None:
    with StandIn(always(reply(b"", status))) as server, pytest.raises(ServerError):
        list(transactions(server).search_studies(limit=1))
