"""What the transport sends again and what it never does, how long it waits, and which redirects it follows."""

from __future__ import annotations

import io
import time

import pytest

from simple_orthanc.errors import NotFoundError, RequestTimeout, ServerError, TransportError
from simple_orthanc.transport import Transport
from tests.http_stand_in import StandIn, always, in_turn, reply


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_idempotent_requests_survive_drops_and_busy_servers(method: str) -> None:
    answers = in_turn(None, reply(b"", 503), reply(b"", 502, {"Retry-After": "0"}), reply(b""))
    with StandIn(answers) as server:
        transport = Transport(server.url)
        assert transport.content(method, "/x") == b""
        assert transport.requests == len(server.asked) == 4
    with StandIn(always(reply(b"late")), deaf=2) as server:
        assert Transport(server.url).content("GET", "/x") == b"late"


def test_a_cut_body_is_requested_again_and_finally_an_error() -> None:
    cut = reply(b"abc", length=9, headers={"X-Close": "yes"})
    with StandIn(in_turn(cut, reply(b"whole"))) as server:
        assert Transport(server.url).content("GET", "/") == b"whole"
    with StandIn(always(cut)) as server:
        transport = Transport(server.url)
        with pytest.raises(TransportError, match="more than once"):
            transport.content("GET", "/")
        assert transport.requests == 4
    ends = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Close: yes\r\n\r\n5\r\nabc"
    with StandIn(always(ends)) as server, pytest.raises(TransportError, match="broke"):
        Transport(server.url).content("GET", "/")


@pytest.mark.parametrize("answer", [None, reply(b"", 503), reply(b"", 504)])
def test_a_post_that_may_have_been_carried_out_is_not_repeated(answer: bytes | None) -> None:
    with StandIn(always(answer)) as server:
        transport = Transport(server.url)
        with pytest.raises((TransportError, ServerError)) as caught:
            transport.json("POST", "/instances", data=b"DICM")
        assert len(server.asked) == 1
        assert answer is not None or "may have been carried out" in str(caught.value)


def test_a_post_called_idempotent_is_repeated_with_its_whole_body() -> None:
    with StandIn(in_turn(None, reply([1]))) as server:
        file = io.BytesIO(b"skip" + bytes(100_000))
        file.seek(4)
        assert Transport(server.url).json("POST", "/tools/find", data=file, idempotent=True) == [1]
        assert [asked.body for asked in server.asked] == [bytes(100_000)] * 2
    with StandIn(always(None)) as server:
        with pytest.raises(TransportError):
            Transport(server.url).json("POST", "/tools/find", data=iter([b"once"]), idempotent=True)
        assert len(server.asked) == 1


def test_an_error_after_a_lost_response_warns_that_the_first_attempt_may_have_worked() -> None:
    answers = in_turn(None, reply({"Message": "Unknown resource"}, 404))
    with StandIn(answers) as server, pytest.raises(NotFoundError, match="may have been carried out"):
        Transport(server.url).json("DELETE", "/series/x")


def test_a_retry_after_beyond_the_limit_is_not_waited_for() -> None:
    for value in ("3600", "Fri, 31 Dec 2999 23:59:59 GMT"):
        with StandIn(always(reply(b"", 503, {"Retry-After": value}))) as server:
            started = time.monotonic()
            with pytest.raises(ServerError) as caught:
                Transport(server.url).content("GET", "/")
            assert caught.value.status == 503
            assert len(server.asked) == 1
            assert time.monotonic() - started < 1


def test_a_slow_answer_is_a_timeout_and_not_repeated() -> None:
    with StandIn(always(reply([])), slow=0.4) as server:
        transport = Transport(server.url, timeout=(5, 0.1))
        with pytest.raises(RequestTimeout, match=r"nothing for 0.1 s; asked for GET /slow") as caught:
            transport.json("GET", "/slow")
        assert isinstance(caught.value, TimeoutError)
        assert transport.requests == 1
        assert transport.json("GET", "/slow", timeout=5) == []


def test_a_body_that_stalls_is_a_timeout() -> None:
    with StandIn(always(reply(bytes(10), length=20))) as server, pytest.raises(RequestTimeout):
        Transport(server.url, timeout=(5, 0.1)).content("GET", "/")


@pytest.mark.parametrize("timeout", [0, -1, (5,), (5, 0), (1, 2, 3)])
def test_impossible_timeouts_are_refused(timeout: object) -> None:
    with pytest.raises(TransportError, match="timeout="):
        Transport("http://127.0.0.1:8042", timeout=timeout)


def test_redirects_on_the_same_server_are_followed_for_get_only() -> None:
    with StandIn(in_turn(reply(b"", 302, {"Location": "/b?c=1"}), reply(["b"]))) as server:
        assert Transport(server.url, token="abcdefgh").json("GET", "/a", params={"x": 1}) == ["b"]
        assert [asked.path for asked in server.asked] == ["/a?x=1", "/b?c=1"]
        assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer abcdefgh"}
    with StandIn(always(reply(b"", 307, {"Location": "/b"}))) as server:
        with pytest.raises(TransportError, match="only GET and HEAD"):
            Transport(server.url).json("POST", "/a", idempotent=True)
        with pytest.raises(TransportError, match="circle"):
            Transport(server.url).json("GET", "/a")


@pytest.mark.parametrize(
    "location",
    ["http://localhost:{port}/b", "http://u:p@127.0.0.1:{own}/b", "https://127.0.0.1:{own}/", ""],
)
def test_redirects_to_another_server_are_not_followed(location: str) -> None:
    with StandIn(always(reply([]))) as other, StandIn(lambda asked, count: answer) as server:
        answer = reply(b"", 302, {"Location": location.format(port=other.port, own=server.port)})
        with pytest.raises(TransportError, match="redirect to"):
            Transport(server.url, auth=("alice", "wonderland")).json("GET", "/a")
        assert other.asked == []
        assert len(server.asked) == 1
