"""Many GETs over connections of their own: the same bytes and errors as with other requests."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable

import pytest

from simple_orthanc.concurrency.threads import ReusableBuffer, run_all
from simple_orthanc.errors import AuthenticationError, NotFoundError, RequestTimeout, TransportError
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, always, free_port, in_turn, reply

BODY = bytes(range(256)) * 400


def test_a_body_is_read_into_the_memory_provided() -> None:
    buffer = ReusableBuffer()
    with StandIn(always(reply(BODY))) as server, Transport(server.url) as transport:
        first = transport.read_into("/a", buffer)
        assert bytes(first) == BODY
        second = transport.read_into("/b", buffer)
        assert second.obj is first.obj
        assert transport.requests == 2
        assert server.connections == 1


def test_a_reader_that_is_not_closed_leaves_no_connection_open() -> None:
    with StandIn(always(reply(BODY))) as server, warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        transport = Transport(server.url)
        transport.read_into("/a", ReusableBuffer())
        bulk = transport._sender._bulk
        assert bulk is not None
        ((connection, _),) = bulk._free
        del transport, bulk
        gc.collect()
        assert connection.sock is None


@pytest.mark.parametrize(
    "answer",
    [
        reply(BODY, chunked=True),
        reply(BODY, headers={"X-Close": "yes"}),
        reply(BODY, status=203),
    ],
    ids=["chunked", "closed after it", "another status"],
)
def test_responses_that_are_not_plain_are_read_too(answer: bytes) -> None:
    with StandIn(always(answer)) as server, Transport(server.url) as transport:
        assert [bytes(transport.read_into("/a", ReusableBuffer())) for _ in range(3)] == [BODY] * 3


@pytest.mark.parametrize(
    "broken", [None, reply(BODY[:50], length=len(BODY), headers={"X-Close": "yes"}), b"rubbish\r\n\r\n"]
)
def test_a_connection_that_breaks_is_tried_again(broken: bytes | None) -> None:
    with StandIn(in_turn(broken, reply(BODY))) as server, Transport(server.url) as transport:
        assert bytes(transport.read_into("/a", ReusableBuffer())) == BODY


def test_a_content_length_with_chunks_cuts_nothing() -> None:
    answer = reply(BODY, chunked=True, headers={"Content-Length": "100"})
    with StandIn(always(answer)) as server, Transport(server.url) as transport:
        assert bytes(transport.read_into("/a", ReusableBuffer())) == BODY


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (401, AuthenticationError)])
def test_refusals_raise_the_same_errors_as_other_requests(status: int, error: type[Exception]) -> None:
    with StandIn(always(reply(b"", status))) as server, Transport(server.url) as transport, pytest.raises(error):
        transport.read_into("/a", ReusableBuffer())


def test_a_missing_server_raises_the_same_error_as_other_requests() -> None:
    with pytest.raises(TransportError), Transport(f"http://127.0.0.1:{free_port()}") as transport:
        transport.read_into("/a", ReusableBuffer())


def test_a_silent_server_is_asked_once_more() -> None:
    with StandIn(always(reply(BODY)), slow=1.0) as server:
        with Transport(server.url, timeout=(5, 0.2)) as transport, pytest.raises(RequestTimeout):
            transport.read_into("/a", ReusableBuffer())
        assert transport.requests == 2
    with StandIn(always(reply(BODY)), slow=1.0) as server:
        with Transport(server.url, timeout=(5, 0.2), patience=0) as transport, pytest.raises(RequestTimeout):
            transport.read_into("/a", ReusableBuffer())
        assert transport.requests == 1


def test_credentials_and_headers_are_sent_as_with_other_requests() -> None:
    with StandIn(always(reply(BODY))) as server:
        with Transport(server.url + "/root", auth=("alice", "wünder"), headers={"X-Key": "k"}) as transport:
            transport.read_into("/instances/1/file", ReusableBuffer())
            transport.content("GET", "/instances/1/file")
        direct, general = server.asked
    assert direct.path == general.path == "/root/instances/1/file"
    for name in ("Authorization", "X-Key", "Accept-Encoding", "User-Agent"):
        assert lowered(direct)[name.lower()] == lowered(general)[name.lower()]
    assert "alice" not in repr(transport)


def lowered(asked: Asked) -> dict[str, str]:
    return {name.lower(): value for name, value in asked.headers.items()}


def test_a_changing_token_is_requested_every_time() -> None:
    tokens = iter(["one", "two"])
    give: Callable[[], str] = lambda: next(tokens)  # noqa: E731
    with StandIn(always(reply(BODY))) as server:
        with Transport(server.url, token=give) as transport:
            transport.read_into("/a", ReusableBuffer())
            transport.read_into("/a", ReusableBuffer())
        assert [lowered(asked)["authorization"] for asked in server.asked] == ["Bearer one", "Bearer two"]


def test_several_threads_have_connections_and_memory_of_their_own() -> None:
    def script(asked: Asked, number: int) -> bytes:
        return reply(asked.path.encode() * 1000)

    buffer = ReusableBuffer()
    with StandIn(script) as server, Transport(server.url) as transport:
        found = run_all(lambda number: bytes(transport.read_into(f"/{number}", buffer)), range(100), workers=4)
        assert server.connections <= 4
    assert found == [f"/{number}".encode() * 1000 for number in range(100)]


def test_an_idle_connection_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from simple_orthanc.transport import bulk

    monkeypatch.setattr(bulk, "MAX_IDLE", 0.0)
    with StandIn(always(reply(BODY))) as server, Transport(server.url) as transport:
        for _ in range(3):
            transport.read_into("/a", ReusableBuffer())
        assert server.connections == 3
