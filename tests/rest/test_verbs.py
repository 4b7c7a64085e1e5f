"""Any route by its path: what is sent, how responses are read, and bodies that are streamed."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc.errors import (
    AuthenticationError,
    NotFoundError,
    OrthancError,
    RequestTimeout,
    SelectionError,
    ServerError,
    TransportError,
)
from simple_orthanc.rest import Rest
from simple_orthanc.transport import Transport
from tests.http_stand_in import StandIn, always, in_turn, reply


def one_answer(answer: bytes) -> StandIn:
    return StandIn(always(answer))


def rest_of(server: StandIn, **options: Any) -> Rest:
    return Rest(Transport(server.url, **options))


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
        (lambda rest: rest.get("/series", {"expand": ""}), "GET", "/series?expand=", b"", None),
        (lambda rest: rest.request("GET", "/series", None, {"a": 1}).value, "GET", "/series?a=1", b"", None),
        (lambda rest: rest.request("put", "/x", {"a": 1}).value, "PUT", "/x", b'{"a": 1}', "json"),
        (lambda rest: rest.post("/instances", bytearray(b"DICM")), "POST", "/instances", b"DICM", None),
        (lambda rest: rest.post("/instances", memoryview(b"DICM")), "POST", "/instances", b"DICM", None),
        (lambda rest: rest.post("/tools/find", {"Level": "a"}), "POST", "/tools/find", b'{"Level": "a"}', "json"),
        (lambda rest: rest.post("/tools/lookup", "1.2"), "POST", "/tools/lookup", b"1.2", None),
        (lambda rest: rest.post("/instances", b"\x00DICM"), "POST", "/instances", b"\x00DICM", None),
        (lambda rest: rest.post("/tools/shutdown"), "POST", "/tools/shutdown", b"", None),
        (lambda rest: rest.post("/x", []), "POST", "/x", b"[]", "json"),
        (lambda rest: rest.put("/series/a/labels/b", ""), "PUT", "/series/a/labels/b", b"", None),
        (lambda rest: rest.put("/x", {"a": 1}, {"force": True}), "PUT", "/x?force=true", b'{"a": 1}', "json"),
        (lambda rest: rest.delete("/series/a"), "DELETE", "/series/a", b"", None),
        (lambda rest: rest.delete("/x", {"a": "b c"}), "DELETE", "/x?a=b+c", b"", None),
        (lambda rest: rest.post("/x", {}, {"a": 1}), "POST", "/x?a=1", b"{}", "json"),
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
        (lambda rest: rest.request("GET", None), "The path None is not a string"),
        (lambda rest: rest.request(None, "/x"), 'The method None is not a string; give one of HTTP, such as "GET"'),
        (lambda rest: rest.put("/x", "a", revision=5), r"revision is 5; give .* revision=rest.request\("),
        (lambda rest: rest.delete("/x", revision="5"), "revision is '5'"),
        (lambda rest: rest.put("/x", "a", revision='1-a"\r\nX: b'), "revision is "),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_right_form(call: Any, says: str) -> None:
    with one_answer(reply({})) as server:
        with pytest.raises((TransportError, SelectionError), match=says):
            call(Rest(Transport(server.url)))
        assert not server.asked


def request(rest: Rest, path: str, **options: Any) -> Any:
    return rest.request("GET", path, **options)


def stream(rest: Rest, path: str, **options: Any) -> Any:
    with rest.stream(path, **options) as body:
        return b"".join(body)


VERBS = [Rest.get, Rest.post, Rest.put, Rest.delete, request, stream]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_every_verb_takes_headers_and_a_timeout(verb: Any) -> None:
    with one_answer(reply({})) as server:
        rest = Rest(Transport(server.url, headers={"X-Kept": "a"}))
        verb(rest, "/x", headers={"X-Mine": "b"}, timeout=20)
        verb(rest, "/x")
        first, second = (asked.headers for asked in server.asked)
    assert (first["x-kept"], first["x-mine"], second["x-kept"]) == ("a", "b", "a")
    assert "x-mine" not in second
    with StandIn(lambda asked, count: reply({}), slow=0.2) as server, pytest.raises(RequestTimeout, match=r"0\.1 s"):
        verb(Rest(Transport(server.url)), "/x", timeout=0.1)
    with StandIn(lambda asked, number: None) as server:
        transport = Transport(server.url)
        with pytest.raises(TransportError):
            verb(Rest(transport), "/x", patience=0)
        assert transport.requests == 1
    with StandIn(lambda asked, number: reply({}), slow=0.2) as server, pytest.raises(RequestTimeout, match="deadline="):
        verb(Rest(Transport(server.url)), "/x", deadline=0.1)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("given", ["expand", ["expand"], 5, b"a"], ids=lambda given: type(given).__name__)
def test_a_query_or_headers_that_are_no_dict_are_refused(verb: Any, given: Any) -> None:
    with one_answer(reply({})) as server:
        kind = type(given).__name__
        with pytest.raises(TransportError, match=f"params is of type {kind}; give the query as a dict"):
            verb(rest_of(server), "/x", params=given)
        with pytest.raises(TransportError, match=f"headers is of type {kind}; give a dict"):
            verb(rest_of(server), "/x", headers=given)
        assert server.asked == []


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("unknown", ["since", "expand", "header", "json", "stream"])
def test_an_unknown_keyword_is_not_a_query_parameter(verb: Any, unknown: str) -> None:
    with one_answer(reply({})) as server:
        with pytest.raises(TypeError, match=unknown):
            verb(Rest(Transport(server.url)), "/x", **{unknown: 1})
        assert server.asked == []


def test_a_content_type_in_the_headers_replaces_that_of_json() -> None:
    with one_answer(reply({})) as server:
        Rest(Transport(server.url)).post("/x", {"a": 1}, headers={"Content-Type": "application/dicom+json"})
        assert server.asked[0].headers["content-type"] == "application/dicom+json"


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (401, AuthenticationError), (500, ServerError)])
def test_a_refusal_raises_its_error(status: int, error: type[ServerError]) -> None:
    answer = reply({"Message": "Bad thing", "Details": "in detail"}, status)
    with one_answer(answer) as server, pytest.raises(error) as caught:
        Rest(Transport(server.url)).delete("/series/a")
    assert (caught.value.status, caught.value.method, caught.value.path) == (status, "DELETE", "/series/a")
    assert "Bad thing" in caught.value.details


REFUSAL = reply({"Message": "Bad thing", "Details": "in detail"}, 404, {"X-A": "b"})


def test_a_request_returns_status_headers_content_and_value() -> None:
    answer = reply({"a": 1}, 201, {"X-A": "b", "ETag": '"3-0cc175b9c0f1b6a831c399e269772661"'})
    with one_answer(answer) as server:
        response = rest_of(server).request("GET", "/x")
    assert (response.status, response.headers["x-a"], response.content) == (201, "b", b'{"a": 1}')
    assert (response.value, response.revision) == ({"a": 1}, "3-0cc175b9c0f1b6a831c399e269772661")
    assert "a" not in repr(response).partition("revision")[0].replace("status", "").replace("RestResponse", "")


@pytest.mark.parametrize("status", [400, 404, 405, 409, 416, 422])
def test_a_refused_request_is_returned_without_a_check(status: int) -> None:
    with one_answer(reply({"Message": "Bad thing"}, status, {"Content-Type": "text/plain"})) as server:
        response = rest_of(server).request("PUT", "/x", "a", check=False)
        assert (response.status, response.value) == (status, {"Message": "Bad thing"})
        with pytest.raises(ServerError, match="Bad thing"):
            rest_of(server).request("PUT", "/x", "a")


@pytest.mark.parametrize(("body", "expected"), [(b"", ""), (b"no", "no"), (b"{no", "{no"), (b'{"a": 1}', {"a": 1})])
def test_an_error_of_another_form_is_its_text(body: bytes, expected: Any) -> None:
    with one_answer(reply(body, 404, {"Content-Type": "text/plain"})) as server:
        assert rest_of(server).request("GET", "/x", check=False).value == expected


@pytest.mark.parametrize("status", [500, 503])
def test_a_failure_of_the_server_raises_without_a_check_too(status: int) -> None:
    answer = reply({"Message": "Bad thing", "OrthancStatus": 9}, status)
    with one_answer(answer) as server, pytest.raises(ServerError, match="Bad thing"):
        rest_of(server, patience=0).request("POST", "/x", {}, check=False)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"text"])
@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 500])
def test_a_refusal_with_any_body_names_the_request(status: int, body: bytes) -> None:
    with one_answer(reply(body, status)) as server, pytest.raises(ServerError, match=rf"{status} .* to POST /a/b") as e:
        rest_of(server, patience=0).post("/a/b", {})
    assert (e.value.status, e.value.method, e.value.path) == (status, "POST", "/a/b")


@pytest.mark.parametrize("given", ["0-5d41", '"0-5d41"'])
@pytest.mark.parametrize("verb", ["put", "delete", "request"])
def test_a_revision_is_sent_as_if_match(verb: str, given: str) -> None:
    with one_answer(reply()) as server:
        rest = rest_of(server)
        if verb == "request":
            rest.request("PUT", "/x", b"a", revision=given)
        else:
            getattr(rest, verb)("/x", revision=given)
        rest.put("/x", b"a")
        first, second = server.asked
    assert first.headers["if-match"] == '"0-5d41"'
    assert "if-match" not in second.headers


def zipped(size: int = 3000) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        # Without the time of the day.
        archive.writestr(zipfile.ZipInfo("a.dcm"), bytes(range(256)) * (size // 256))
        archive.comment = b"a comment"
    return content.getvalue()


def unannounced(body: bytes, content_type: str = "application/zip") -> bytes:
    """Return an answer that ends with its connection, as Orthanc's archives do."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nX-Close: yes\r\n\r\n".encode() + body


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", {"a": 1})])
def test_a_body_is_streamed(method: str, body: Any) -> None:
    content = bytes(range(256)) * 1000
    with one_answer(reply(content, headers={"Content-Type": "application/json"})) as server:
        with rest_of(server).stream("/x", {"b": 2}, body=body, headers={"X-A": "c"}) as stream:
            assert (stream.status, stream.headers["content-length"]) == (200, str(len(content)))
            assert b"".join(stream) == content
        (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["x-a"]) == (method, "/x?b=2", "c")
    assert asked.body == (b'{"a": 1}' if body else b"")


@pytest.mark.parametrize("as_string", [True, False])
@pytest.mark.parametrize(
    "answer",
    [reply(zipped()), reply(zipped(), chunked=True), unannounced(zipped())],
    ids=["length", "chunked", "unannounced"],
)
def test_a_body_is_written_to_a_file(tmp_path: Path, answer: bytes, as_string: bool) -> None:
    target = tmp_path / "a.zip"
    target.write_bytes(b"old")
    with one_answer(answer) as server:
        written = rest_of(server).stream("/x", to=str(target) if as_string else target)
    assert written == target
    assert target.read_bytes() == zipped()
    assert list(tmp_path.iterdir()) == [target]


CUT = [
    unannounced(zipped()[:-1]),
    unannounced(zipped()[:1000]),
    unannounced(zipped() + b"PK"),
    unannounced(b""),
    unannounced(zipped()[:-1], "application/octet-stream"),
    reply(zipped()[:1000], length=len(zipped()), headers={"X-Close": "yes"}),
    reply(zipped(), chunked=True, headers={"X-Close": "yes"})[:-5],
]


@pytest.mark.parametrize("answer", CUT, ids=range(len(CUT)))
def test_a_body_that_was_cut_leaves_no_file(tmp_path: Path, answer: bytes) -> None:
    old, new = tmp_path / "old.zip", tmp_path / "new.zip"
    old.write_bytes(b"old")
    with one_answer(answer) as server:
        for target in (old, new):
            with pytest.raises(TransportError, match=r"(broke before the answer to|answered to) GET /x"):
                rest_of(server, patience=0).stream("/x", to=target)
        with rest_of(server, patience=0).stream("/x") as body, pytest.raises(TransportError):
            list(body)
        with pytest.raises(TransportError):
            rest_of(server, patience=0).get("/x")
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_bytes() == b"old"


@pytest.mark.parametrize("content_type", ["application/gzip", "application/octet-stream", "text/plain"])
def test_a_body_of_another_kind_may_end_with_its_connection(tmp_path: Path, content_type: str) -> None:
    with one_answer(unannounced(b"PK, not a zip", content_type)) as server:
        rest_of(server).stream("/x", to=tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"PK, not a zip"


def test_a_cut_archive_is_asked_for_again(tmp_path: Path) -> None:
    with StandIn(in_turn(unannounced(zipped()[:-1]), unannounced(zipped()))) as server:
        rest_of(server).stream("/x", to=tmp_path / "a.zip")
        assert len(server.asked) == 2
    assert (tmp_path / "a.zip").read_bytes() == zipped()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TransportError("wrong"), ZeroDivisionError()])
def test_a_check_that_fails_leaves_no_file(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "old").write_bytes(b"old")

    def check(path: Path) -> None:
        assert path.read_bytes() == b"new"
        raise error

    with one_answer(reply(b"new")) as server, pytest.raises(type(error)):
        rest_of(server).stream("/x", to=tmp_path / "old", check=check)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_refused_stream_leaves_no_file(tmp_path: Path) -> None:
    with one_answer(REFUSAL) as server:
        with pytest.raises(NotFoundError, match="in detail"):
            rest_of(server).stream("/x", to=tmp_path / "a")
        with pytest.raises(NotFoundError, match="in detail"), rest_of(server).stream("/x"):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("folder", "folder was to be written, but it is a folder. Name a file in it"),
        ("missing/a.zip", "there is no folder .*missing. Create it"),
        ("a\0b", "cannot be a file: its name holds a NUL character"),
        ("pipe", "pipe was to be written, but it is a device or a pipe. Name a file"),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_anything_is_asked(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    # A device, such as /dev/null, would be replaced by a file in the same way.
    os.mkfifo(tmp_path / "pipe")
    with one_answer(reply(b"a")) as server:
        with pytest.raises(OrthancError, match=says):
            rest_of(server).stream("/x", to=tmp_path / name)
        assert server.asked == []


@pytest.mark.parametrize("given", [5, b"a", "", ["a"]])
def test_a_target_that_is_no_path_is_refused(given: Any) -> None:
    with one_answer(reply(b"a")) as server:
        with pytest.raises(SelectionError, match=r'A path was expected.* rest.stream\(\'/x\', to="file.zip"\)'):
            rest_of(server).stream("/x", to=given)
        assert server.asked == []


def test_a_file_that_cannot_be_written_is_an_error_of_the_library(tmp_path: Path) -> None:
    target = tmp_path / ("a" * 300)
    with (
        one_answer(reply(b"a")) as server,
        pytest.raises(OrthancError, match=r"cannot be (written|a file)") as e,
    ):
        rest_of(server).stream("/x", to=target)
    assert "another" in str(e.value)
