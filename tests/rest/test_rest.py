"""Any route by its path: what is sent, and how responses are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simple_orthanc.errors import AuthenticationError, NotFoundError, RequestTimeout, ServerError, TransportError
from simple_orthanc.rest import Rest
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply
from tests.rest.test_capabilities import SYSTEM


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
def test_a_response_is_read_by_its_content_type(body: Any, headers: dict[str, str], expected: Any) -> None:
    with one_answer(reply(body, headers=headers)) as server:
        assert Rest(Transport(server.url)).get("/x") == expected


def test_invalid_json_is_an_error() -> None:
    answer = reply(b"<html>", headers={"Content-Type": "application/json"})
    with one_answer(answer) as server, pytest.raises(TransportError, match="/x answered with JSON that"):
        Rest(Transport(server.url)).get("/x")


@pytest.mark.parametrize(
    ("call", "method", "path", "body", "content_type"),
    [
        (
            lambda rest: rest.get("/series", params={"since": 0, "limit": 5, "short": None}),
            "GET",
            "/series?since=0&limit=5",
            b"",
            None,
        ),
        (lambda rest: rest.get("/series", params={"expand": ""}), "GET", "/series?expand=", b"", None),
        (lambda rest: rest.post("/tools/find", {"Level": "a"}), "POST", "/tools/find", b'{"Level": "a"}', "json"),
        (lambda rest: rest.post("/tools/lookup", "1.2"), "POST", "/tools/lookup", b"1.2", None),
        (lambda rest: rest.post("/instances", b"\x00DICM"), "POST", "/instances", b"\x00DICM", None),
        (lambda rest: rest.post("/tools/shutdown"), "POST", "/tools/shutdown", b"", None),
        (lambda rest: rest.post("/x", []), "POST", "/x", b"[]", "json"),
        (lambda rest: rest.put("/series/a/labels/b", ""), "PUT", "/series/a/labels/b", b"", None),
        (lambda rest: rest.put("/x", {"a": 1}, params={"force": True}), "PUT", "/x?force=true", b'{"a": 1}', "json"),
        (lambda rest: rest.delete("/series/a"), "DELETE", "/series/a", b"", None),
        (lambda rest: rest.delete("/x", params={"a": "b c"}), "DELETE", "/x?a=b+c", b"", None),
        (lambda rest: rest.post("/x", {}, params={"a": 1}), "POST", "/x?a=1", b"{}", "json"),
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


VERBS = ["get", "post", "put", "delete"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_headers_and_a_timeout(verb: str) -> None:
    with one_answer(reply({})) as server:
        rest = Rest(Transport(server.url, headers={"X-Kept": "a"}))
        getattr(rest, verb)("/x", headers={"X-Mine": "b"}, timeout=20)
        getattr(rest, verb)("/x")
        first, second = (asked.headers for asked in server.asked)
    assert (first["x-kept"], first["x-mine"], second["x-kept"]) == ("a", "b", "a")
    assert "x-mine" not in second
    with StandIn(lambda asked, count: reply({}), slow=0.4) as server, pytest.raises(RequestTimeout, match=r"0\.1 s"):
        getattr(Rest(Transport(server.url)), verb)("/x", timeout=0.1)
    with StandIn(lambda asked, number: None) as server:
        transport = Transport(server.url)
        with pytest.raises(TransportError):
            getattr(Rest(transport), verb)("/x", patience=0)
        assert transport.requests == 1
    with StandIn(lambda asked, number: reply({}), slow=0.5) as server, pytest.raises(RequestTimeout, match="deadline="):
        getattr(Rest(Transport(server.url)), verb)("/x", deadline=0.1)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("unknown", ["since", "expand", "header", "query"])
def test_an_unknown_keyword_is_not_a_query_parameter(verb: str, unknown: str) -> None:
    with one_answer(reply({})) as server:
        with pytest.raises(TypeError, match=unknown):
            getattr(Rest(Transport(server.url)), verb)("/x", **{unknown: 1})
        assert server.asked == []


def test_a_content_type_in_the_headers_replaces_that_of_json() -> None:
    with one_answer(reply({})) as server:
        Rest(Transport(server.url)).post("/x", {"a": 1}, headers={"Content-Type": "application/dicom+json"})
        assert server.asked[0].headers["content-type"] == "application/dicom+json"


@pytest.mark.parametrize(("verb", "body"), [("get", b""), ("post", b'{"a": 1}')])
def test_a_body_is_streamed(verb: str, body: bytes) -> None:
    content = bytes(range(256)) * 1000
    with one_answer(reply(content, headers={"Content-Type": "application/json"})) as server:
        rest = Rest(Transport(server.url))
        arguments = [json.loads(body)] if body else []
        with getattr(rest, verb)("/x", *arguments, params={"b": 2}, headers={"X-A": "c"}, stream=True) as stream:
            assert (stream.status, stream.headers["content-length"]) == (200, str(len(content)))
            assert b"".join(stream) == content
        (asked,) = server.asked
        assert (asked.method, asked.path, asked.body, asked.headers["x-a"]) == (verb.upper(), "/x?b=2", body, "c")


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (401, AuthenticationError), (500, ServerError)])
def test_a_refusal_raises_its_error(status: int, error: type[ServerError]) -> None:
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
def test_a_server_that_is_not_orthanc_is_an_error(body: Any) -> None:
    def script(asked: Asked, count: int) -> bytes:
        return reply(body) if not isinstance(body, bytes) else reply(body, headers={"Content-Type": "text/html"})

    with StandIn(script) as server, pytest.raises(TransportError, match=r"it is not Orthanc: its /system .* 8042"):
        Rest(Transport(server.url)).connect()
