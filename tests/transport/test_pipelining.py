"""Requests that are sent at once: what comes is what was asked for, and what does not come is asked for by itself."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest
import requests

from simple_orthanc.concurrency.interruption import Interruption
from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.transport import Transport, pipelining
from simple_orthanc.transport.pipelining import Responses
from tests.http_stand_in import Asked, StandIn, always, in_turn, reply

PATHS = [f"/{number}" for number in range(8)]


def body_of(path: str) -> bytes:
    number = int(path.rpartition("/")[2])
    # One fits into no memory for heads, and one is empty.
    return b"%d" % number * {3: 90_000, 5: 0}.get(number, 1000)


def each_body(asked: Asked, count: int) -> bytes | None:
    return reply(body_of(asked.path))


def contacted(url: str, **options: object) -> Transport:
    """Return a connection over which the server has answered once."""
    transport = Transport(url, **options)  # type: ignore[arg-type]
    transport.content("GET", "/0")
    return transport


def test_all_bodies_come_in_order_over_one_connection() -> None:
    with StandIn(each_body) as server, contacted(server.url) as transport:
        for _ in range(3):
            assert transport.read_several(PATHS) == [body_of(path) for path in PATHS]
        assert server.connections == 2
        assert transport.requests == 25


def test_several_threads_read_rows() -> None:
    with StandIn(each_body) as server, contacted(server.url) as transport:
        rows = run_all(transport.read_several, [PATHS] * 20, workers=4)
        assert rows == [[body_of(path) for path in PATHS]] * 20
        assert server.connections <= 5


@pytest.mark.parametrize("size", [120, 1 << 16])
def test_responses_may_come_in_any_pieces(size: int) -> None:
    stream = b"".join(reply(b"\r\n\r\n" + b"x" * length) for length in (0, 3, 200))
    for cut in range(1, len(stream)):
        here, there = socket.socketpair()
        with here, there:
            responses = Responses(here, memoryview(bytearray(size)))
            there.sendall(stream[:cut])
            sender = threading.Timer(0.0, there.sendall, [stream[cut:]])
            sender.start()
            found = [responses.next() for _ in range(3)]
            sender.join()
            assert [None if each is None else len(each.body) for each in found] == [4, 7, 204]
            assert not responses.has_more


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (reply(b"x", 404), [0, 1, 3]),
        (reply(b"x", 503), [0, 1, 3]),
        (reply(b"x", headers={"Content-Encoding": "gzip"}), [0, 1, 3]),
        (reply(b"x" * 5000, chunked=True), [0, 1]),
        (reply(b"xx", length=1), [0, 1, 2]),
        (reply(b"x", length=5, headers={"X-Close": "yes"}), [0, 1]),
        (reply(b"x", headers={"Connection": "close", "X-Close": "yes"}), [0, 1, 2]),
        (b"rubbish\r\n\r\n", [0, 1]),
        (None, [0, 1]),
    ],
    ids=["refused", "crowded", "packed", "chunked", "too long", "cut", "last", "rubbish", "broken"],
)
def test_what_is_not_as_expected_is_left_to_other_requests(answer: bytes | None, kept: list[int]) -> None:
    def script(asked: Asked, count: int) -> bytes | None:
        return answer if asked.path == "/2" else each_body(asked, count)

    with StandIn(script) as server, contacted(server.url) as transport:
        found = transport.read_several(PATHS[:4])
    bodies = {number: b"x" if number == 2 else body_of(PATHS[number]) for number in kept}
    assert {number: body for number, body in enumerate(found) if body is not None} == bodies


def test_a_server_that_answers_one_request_at_a_time_is_soon_asked_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelining, "SECONDS", 0.6)
    quiet = threading.Event()

    def script(asked: Asked, count: int) -> bytes | None:
        if asked.path == "/1":
            quiet.wait(20)
            return None
        return each_body(asked, count)

    with StandIn(script) as server, contacted(server.url) as transport:
        for _ in range(3):
            assert transport.read_several(PATHS[:3]) == [body_of("/0"), None, None]
        before = len(server.asked)
        assert transport.read_several(PATHS[:3]) == [None] * 3
        assert len(server.asked) == before
        quiet.set()


def test_a_row_that_ends_early_now_and_then_ends_no_others() -> None:
    with StandIn(in_turn(*[reply(b"a"), None, reply(b"a"), reply(b"a")] * 9)) as server:
        with contacted(server.url) as transport:
            for _ in range(9):
                transport.read_several(PATHS[:1])
        assert len(server.asked) > 9


@pytest.mark.parametrize("size", [300, 90_000])
def test_a_response_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(pipelining, "SECONDS", 0.3)
    monkeypatch.setattr(pipelining, "_SLOWEST", 1e9)
    is_over = threading.Event()
    here, there = socket.socketpair()

    def trickle() -> None:
        for byte in reply(bytes(size)):
            if is_over.wait(0.02):
                return
            there.sendall(bytes([byte]))

    with here, there:
        responses = Responses(here, memoryview(bytearray(1 << 16)))
        sender = threading.Thread(target=trickle)
        sender.start()
        assert responses.next() is None
        is_over.set()
        sender.join()


def test_a_body_of_an_incredible_length_takes_no_memory() -> None:
    with StandIn(always(reply(b"x", length=10**15))) as server, Transport(server.url, patience=0) as transport:
        transport._sender._contacted = True
        assert transport.read_several(PATHS[:2]) == [None, None]


def test_an_interruption_ends_the_wait() -> None:
    asked_for, is_over = threading.Event(), threading.Event()

    def script(asked: Asked, count: int) -> bytes | None:
        if asked.path == "/1":
            asked_for.set()
            is_over.wait(20)
        return each_body(asked, count)

    call, errors = Interruption(), list[BaseException]()

    def read(transport: Transport) -> None:
        with call:
            try:
                transport.read_several(PATHS)
            except BaseException as error:
                errors.append(error)

    with StandIn(script) as server, contacted(server.url) as transport:
        reader = threading.Thread(target=read, args=[transport])
        began = time.monotonic()
        reader.start()
        assert asked_for.wait(20)
        call.interrupt()
        reader.join(20)
        assert time.monotonic() - began < pipelining.SECONDS
        is_over.set()
    assert [type(error) for error in errors] == [KeyboardInterrupt]


def test_nothing_is_sent_before_the_server_has_answered() -> None:
    with StandIn(each_body) as server, Transport(server.url) as transport:
        assert transport.read_several(PATHS) == [None] * 8
        assert server.asked == []


OPTIONS: dict[str, Callable[[], dict[str, object]]] = {
    "a token that may change": lambda: {"token": lambda: "token"},
    "a session of the user": lambda: {"http": requests.Session()},
    "long headers": lambda: {"headers": {"X-Long": "x" * 3000}},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_what_is_not_plain_is_sent_in_no_row(options: str) -> None:
    with StandIn(each_body) as server, contacted(server.url, **OPTIONS[options]()) as transport:
        assert transport.read_several(PATHS) == [None] * 8
        assert len(server.asked) == 1


def test_credentials_are_sent_with_each_request() -> None:
    with StandIn(each_body) as server, contacted(server.url + "/root", auth=("alice", "pw")) as transport:
        transport.read_several(["/1", "/2"])
    assert [asked.path for asked in server.asked[1:]] == ["/root/1", "/root/2"]
    assert len({asked.headers["authorization"] for asked in server.asked}) == 1
