"""Any route by its path: what is sent, how answers are read, and what a server says it can do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.errors import AuthenticationError, NotFoundError, ServerError, TransportError
from simple_orthanc.rest import Capabilities, Rest, parse_version
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply

SYSTEM: dict[str, Any] = {
    "ApiVersion": 28,
    "Version": "1.12.7",
    "HasLabels": True,
    "Capabilities": {"HasExtendedFind": True},
    "IngestTranscoding": "",
    "MainDicomTags": {
        "Patient": "0010,0010;0010,0020",
        "Study": "0008,0020;0020,000D",
        "Series": "0008,103E",
        "Instance": "0008,0018",
    },
}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.10.1", (1, 10, 1)),
        ("1.12.7", (1, 12, 7)),
        ("1.12.7+dfsg", (1, 12, 7)),
        ("1.13", (1, 13)),
        ("1.12.5rc1", (1, 12, 5)),
        ("", ()),
        ("unknown", ()),
    ],
)
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@given(st.lists(st.integers(0, 99), min_size=3, max_size=3), st.lists(st.integers(0, 99), min_size=3, max_size=3))
def test_versions_are_ordered_as_numbers_and_the_development_line_is_newest(one: list[int], other: list[int]) -> None:
    first, second = (parse_version(".".join(map(str, parts))) for parts in (one, other))
    assert (first < second) == (one < other)
    assert parse_version("mainline-a1b2c3") > first


def test_what_a_server_can_do() -> None:
    found = Capabilities.from_system(SYSTEM)
    assert (found.extended_find, found.labels, found.ranges, found.transcodes) == (True, True, True, False)
    assert found.tags_by_level["study"] == ("0008,0020", "0020,000d")
    assert found.main_tags == {"0010,0010", "0010,0020", "0008,0020", "0020,000d", "0008,103e", "0008,0018"}


def test_what_an_old_server_can_do() -> None:
    found = Capabilities.from_system({"ApiVersion": 16, "Version": "1.10.1"})
    assert (found.extended_find, found.labels, found.ranges, found.transcodes) == (False, False, False, False)
    assert found.tags_by_level == {}
    assert found.main_tags == frozenset()
    assert Capabilities.from_system({"Version": "1.11.0", "IngestTranscoding": "1.2.840.10008.1.2.4.80"}).transcodes


def one_answer(answer: bytes) -> StandIn:
    return StandIn(lambda asked, count: answer)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"a": [1, None]}, {}, {"a": [1, None]}),
        (b'"text"', {"Content-Type": "application/json; charset=utf-8"}, "text"),
        (b"null", {"Content-Type": "application/json"}, None),
        ("1.12.7 ä".encode(), {"Content-Type": "text/plain"}, "1.12.7 ä"),
        (b"\xff", {"Content-Type": "text/plain"}, "\ufffd"),
        (b"\x00DICM", {"Content-Type": "application/dicom"}, b"\x00DICM"),
        (b"\x00", {}, b"\x00"),
    ],
)
def test_an_answer_is_read_by_its_type(body: Any, headers: dict[str, str], expected: Any) -> None:
    with one_answer(reply(body, headers=headers)) as server:
        assert Rest(Transport(server.url)).get("/x") == expected


def test_json_that_is_none_is_said() -> None:
    answer = reply(b"<html>", headers={"Content-Type": "application/json"})
    with one_answer(answer) as server, pytest.raises(TransportError, match="/x answered with JSON that"):
        Rest(Transport(server.url)).get("/x")


@pytest.mark.parametrize(
    ("call", "method", "path", "body", "content_type"),
    [
        (lambda rest: rest.get("/series", since=0, limit=5), "GET", "/series?since=0&limit=5", b"", None),
        (lambda rest: rest.get("/series", expand=""), "GET", "/series?expand=", b"", None),
        (lambda rest: rest.post("/tools/find", {"Level": "a"}), "POST", "/tools/find", b'{"Level": "a"}', "json"),
        (lambda rest: rest.post("/tools/lookup", "1.2"), "POST", "/tools/lookup", b"1.2", None),
        (lambda rest: rest.post("/instances", b"\x00DICM"), "POST", "/instances", b"\x00DICM", None),
        (lambda rest: rest.post("/tools/shutdown"), "POST", "/tools/shutdown", b"", None),
        (lambda rest: rest.post("/x", []), "POST", "/x", b"[]", "json"),
        (lambda rest: rest.put("/series/a/labels/b", ""), "PUT", "/series/a/labels/b", b"", None),
        (lambda rest: rest.put("/x", {"a": 1}, force=1), "PUT", "/x?force=1", b'{"a": 1}', "json"),
        (lambda rest: rest.delete("/series/a"), "DELETE", "/series/a", b"", None),
    ],
)
def test_what_is_sent(call: Any, method: str, path: str, body: bytes, content_type: str | None) -> None:
    with one_answer(reply({})) as server:
        assert call(Rest(Transport(server.url))) == {}
        (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == (method, path, body)
    assert ("json" in asked.headers.get("content-type", "")) == (content_type == "json")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda rest: rest.get(None), "The path None is not a string; give that of a resource, as in '/system'"),
        (lambda rest: rest.delete(5), "The path 5 is not a string"),
        (lambda rest: rest.post("/tools/find", {1, 2}), "body for /tools/find cannot be written as JSON.*Give dicts"),
        (lambda rest: rest.put("/x", {"a": object()}), "body for /x cannot be written as JSON"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_right_form(call: Any, says: str) -> None:
    with one_answer(reply({})) as server:
        with pytest.raises(TransportError, match=says):
            call(Rest(Transport(server.url)))
        assert not server.asked


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (401, AuthenticationError), (500, ServerError)])
def test_a_server_that_says_no(status: int, error: type[ServerError]) -> None:
    answer = reply({"Message": "Bad thing", "Details": "in detail"}, status)
    with one_answer(answer) as server, pytest.raises(error) as caught:
        Rest(Transport(server.url)).delete("/series/a")
    assert (caught.value.status, caught.value.method, caught.value.path) == (status, "DELETE", "/series/a")
    assert "Bad thing" in caught.value.details


def test_system_is_asked_once() -> None:
    with one_answer(reply(SYSTEM)) as server:
        rest = Rest(Transport(server.url))
        assert rest.capabilities.version == (1, 12, 7)
        assert rest.capabilities.labels
        assert [asked.path for asked in server.asked] == ["/system"]
        assert rest.connect()["ApiVersion"] == 28
        assert repr(rest) == f"<REST API of {server.url}>"


@pytest.mark.parametrize(
    "body", [{}, [], {"Version": "3.0"}, {"ApiVersion": 5}, b"<html>Welcome to nginx", json.dumps("Orthanc").encode()]
)
def test_what_is_not_orthanc_is_said(body: Any) -> None:
    def script(asked: Asked, count: int) -> bytes:
        return reply(body) if not isinstance(body, bytes) else reply(body, headers={"Content-Type": "text/html"})

    with StandIn(script) as server, pytest.raises(TransportError, match=r"it is not Orthanc: its /system .* 8042"):
        Rest(Transport(server.url)).connect()
