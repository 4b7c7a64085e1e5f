"""Many GETs over connections of their own: the same bytes and errors as with other requests."""

from __future__ import annotations

import gc
import socket
import threading
import warnings
from collections.abc import Callable

import pytest

from simple_orthanc.concurrency.threads import ReusableBuffer, run_all
from simple_orthanc.errors import AuthenticationError, NotFoundError, RequestTimeout, TransportError
from simple_orthanc.transport import Transport, bulk
from simple_orthanc.transport.watching import Watch
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
        reader = transport._sender._bulk
        assert reader is not None
        ((connection, _),) = reader._free
        del transport, reader
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


def head(*lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"X-Close: yes", *lines, b"", b""))


LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKS = b"Transfer-Encoding: chunked"
CHUNKED_BODY = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

# An answer, and whether its connection is used again; None where it is not plain, and is asked for once more.
HEADS: dict[str, tuple[bytes, bool | None]] = {
    "plain": (head(LENGTH) + BODY, True),
    "names in capitals": (head(LENGTH.upper(), b"CONNECTION: Keep-Alive") + BODY, True),
    "many lines": (head(*[b"X-Line: 1"] * 90, LENGTH) + BODY, True),
    "without a reason": (head(LENGTH).replace(b" OK", b"") + BODY, True),
    "HTTP/1.0": (head(LENGTH).replace(b"1.1", b"1.0") + BODY, False),
    "closed after it": (head(LENGTH, b"Connection: close") + BODY, False),
    "an interim response": (b"HTTP/1.1 100 Continue\r\n\r\n" + head(LENGTH) + BODY, None),
    "the length twice": (head(LENGTH, LENGTH) + BODY, None),
    "two lengths in one": (head(LENGTH + b", %d" % len(BODY)) + BODY, None),
    "no length": (head() + BODY, None),
    "lines without a carriage return": (head(LENGTH).replace(b"\r\n", b"\n") + BODY, None),
    "chunks behind a line feed": (head(b"A: b\n" + CHUNKS, LENGTH) + CHUNKED_BODY, None),
    "chunks behind the first line": (head(LENGTH).replace(b"OK", b"OK\n" + CHUNKS) + CHUNKED_BODY, None),
    "chunks behind a carriage return": (head(b"A: b\r" + CHUNKS, LENGTH) + CHUNKED_BODY, None),
    "a line that goes on": (head(b"A: b", b" c: d", LENGTH) + BODY, None),
    "a long head": (head(b"A: " + b"b" * 40_000, b"C: " + b"d" * 40_000, LENGTH) + BODY, None),
}


@pytest.mark.parametrize(("answer", "is_kept"), HEADS.values(), ids=HEADS)
def test_each_head_is_read_as_with_other_requests(answer: bytes, is_kept: bool | None) -> None:
    with StandIn(always(answer)) as server, Transport(server.url, timeout=2) as transport:
        assert bytes(transport.read_into("/a", ReusableBuffer())) == BODY
        assert transport.requests == (2 if is_kept is None else 1)
        reader = transport._sender._bulk
        assert reader is not None
        assert len(reader._free) == bool(is_kept)


@pytest.mark.parametrize("size", [10, 70_000], ids=["with the head", "behind the body"])
def test_what_comes_behind_a_response_is_no_response(size: int) -> None:
    answers = in_turn(reply(bytes(size)) + reply(b"to nothing"), reply(b"right"))
    with StandIn(answers) as server, Transport(server.url) as transport:
        assert bytes(transport.read_into("/a", ReusableBuffer())) == bytes(size)
        assert bytes(transport.read_into("/b", ReusableBuffer())) == b"right"
        assert transport.requests == server.connections == 2


@pytest.mark.parametrize("cut", range(1, len(head(LENGTH)) + 2))
def test_a_head_may_come_in_any_two_pieces(cut: int) -> None:
    ours, theirs = socket.socketpair()
    answer = head(LENGTH) + b"body"
    with ours, theirs:
        theirs.sendall(answer[:cut])
        sending = threading.Timer(0.001, theirs.sendall, [answer[cut:]])
        sending.start()
        found = bulk._receive_head(ours, Watch(0, 5), memoryview(bytearray(1000)))
        sending.join()
    assert found is not None
    assert found[0] == head(LENGTH)[:-4]
    assert b"body".startswith(found[1])


@pytest.mark.parametrize(
    ("host", "port", "headers", "expected"),
    [
        ("pacs", 80, {}, b"Host: pacs\r\n"),
        ("pacs", 8042, {"X-Key": "k\xfc"}, b"Host: pacs:8042\r\nX-Key: k\xfc\r\n"),
        ("::1", 8042, {}, b"Host: [::1]:8042\r\n"),
        ("pacs", 8042, {"host": "archive"}, b"host: archive\r\n"),
    ],
)
def test_the_host_is_named_once(host: str, port: int, headers: dict[str, str], expected: bytes) -> None:
    assert bulk._request_lines(host, port, headers) == expected


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX-Evil: 1", "/\xfc"])
def test_a_path_that_is_not_encoded_is_left_to_other_requests(path: str) -> None:
    with StandIn(always(reply(BODY))) as server, Transport(server.url) as transport:
        assert bytes(transport.read_into(path, ReusableBuffer())) == BODY
        assert "%" in server.asked[0].path
        assert "x-evil" not in server.asked[0].headers


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
    monkeypatch.setattr(bulk, "MAX_IDLE", 0.0)
    with StandIn(always(reply(BODY))) as server, Transport(server.url) as transport:
        for _ in range(3):
            transport.read_into("/a", ReusableBuffer())
        assert server.connections == 3
