"""Responses that come too slowly are given up, and those that only pause are not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import requests

from simple_orthanc import limits
from simple_orthanc.concurrency.threads import ReusableBuffer
from simple_orthanc.errors import RequestTimeout, TransportError
from simple_orthanc.transport import Transport, watching
from simple_orthanc.transport.failures import NetworkError
from simple_orthanc.transport.watching import Watch
from tests.http_stand_in import StandIn, always

INTERVAL = 0.02
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: 100000\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

READS: dict[str, Callable[[Transport], object]] = {
    "json": lambda transport: transport.json("GET", "/"),
    "content": lambda transport: transport.content("GET", "/"),
    "at most": lambda transport: transport.request("GET", "/", limit="json_bytes"),
    "bulk": lambda transport: transport.read_into("/", ReusableBuffer()),
    "post": lambda transport: transport.json("POST", "/instances", data=b"DICM"),
}


@contextmanager
def dripping(pieces: list[bytes], interval: float = INTERVAL) -> Iterator[str]:
    """Serve each connection, after its request has come, the same pieces one by one."""
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)
                if ended.wait(interval):
                    return

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.fixture(autouse=True)
def _short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "RATE_WINDOW", 0.15)
    monkeypatch.setattr(watching, "_LONGEST_WAIT", 0.05)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize(
    "pieces",
    [
        [WHOLE, *[b" "] * 1000],
        [CHUNKED, *[b"1\r\n \r\n"] * 1000],
        [CHUNKED, *[b"0"] * 1000],
        [bytes([byte]) for byte in HEAD * 20],
        [CHUNKED + b"0\r\n", *[b"a: b\r\n"] * 1000],
    ],
    ids=["body", "chunks", "length of a chunk", "head", "trailers"],
)
def test_a_drip_is_given_up(pieces: list[bytes], read: Callable[[Transport], object]) -> None:
    with dripping(pieces) as url:
        transport = Transport(url, minimum_rate=1000)
        with pytest.raises(RequestTimeout, match=r"bytes in 0.15 s. The limit is minimum_rate=1000 bytes per second"):
            read(transport)


def test_a_drip_in_a_stream_is_given_up() -> None:
    with dripping([WHOLE, *[b" "] * 1000]) as url:
        transport = Transport(url, minimum_rate=1000)
        with pytest.raises(RequestTimeout, match="minimum_rate"), transport.stream("/") as body:
            list(body)
        assert transport.requests == 1


@pytest.mark.parametrize("rate", [0, 10])
def test_a_slow_response_above_the_minimum_is_read(rate: float) -> None:
    with dripping([HEAD + b"Content-Length: 20\r\n\r\n", *[b"7"] * 20]) as url:
        assert Transport(url, minimum_rate=rate).json("GET", "/") == int("7" * 20)


def receive_drops(watch: Watch) -> None:
    for _ in range(100):
        watch.received(1, 1.0, time.monotonic())


def test_a_long_pause_is_no_drip(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(100, 300)
    watch.received(200, 250.0, time.monotonic())
    watch.end_head(None)
    monkeypatch.setattr(watching, "RATE_WINDOW", 30.0)
    monkeypatch.setattr(watching, "_LONGEST_WAIT", 10.0)
    # What a server computes for two minutes before each large part.
    for _ in range(20):
        watch.received(5000, 120.0, time.monotonic())
    with pytest.raises(NetworkError):
        receive_drops(watch)


@pytest.mark.parametrize("read", ["json", "bulk"])
def test_a_head_without_end_is_given_up(read: str) -> None:
    with limits.changed(head_seconds=0.1):
        with (
            dripping([CONTINUE] * 1000) as url,
            pytest.raises(RequestTimeout, match=r"its head has no end.*limits\.head_seconds = 0\.1"),
        ):
            READS[read](Transport(url, minimum_rate=0))
        with dripping([HEAD[:20]], 1.0) as url, pytest.raises(RequestTimeout, match=r"limits\.head_seconds"):
            READS[read](Transport(url, timeout=5))
    with (
        limits.changed(head_bytes=5000),
        dripping([CONTINUE * 200] * 100, 0) as url,
        pytest.raises(TransportError, match=r"exceeds a limit.*limits\.head_bytes = 5000"),
    ):
        READS[read](Transport(url))


def test_the_wait_before_the_head_is_not_part_of_it() -> None:
    with limits.changed(head_seconds=0.1), dripping([b"", HEAD + b"Content-Length: 2\r\n\r\n", b"[]"], 0.2) as url:
        assert Transport(url).json("GET", "/") == []


@pytest.mark.parametrize(
    ("pieces", "interval"),
    [([b""], 3.0), ([WHOLE], 3.0), ([HEAD], 3.0), ([WHOLE, *[b" "] * 1000], INTERVAL)],
    ids=["silence", "stalled body", "stalled head", "drip"],
)
@pytest.mark.parametrize("read", ["json", "content"])
def test_a_deadline_ends_a_request(read: str, pieces: list[bytes], interval: float) -> None:
    options: dict[str, Any] = {"deadline": 0.3}
    with dripping(pieces, interval) as url:
        transport = Transport(url, minimum_rate=0)
        with pytest.raises(RequestTimeout, match=r"the limit for the whole is deadline=0\.3 s"):
            getattr(transport, read)("GET", "/", **options)


def test_a_session_that_was_given_is_not_watched() -> None:
    with dripping([HEAD + b"Content-Length: 9\r\n\r\n", *[b"7"] * 9]) as url, requests.Session() as http:
        assert Transport(url, http=http, minimum_rate=10**6).json("GET", "/") == 777777777


FLOODS = {
    "chunk extensions": b"5;" + b"x=y;" * 50_000,
    "the length of a chunk": b"0" * 200_000,
    "trailers": b"0\r\n" + b"X-Trailer: something\r\n" * 20_000,
    "one trailer": b"0\r\nX-Trailer: " + b"y" * 200_000,
}


@pytest.mark.parametrize("name", FLOODS)
def test_what_surrounds_the_chunks_is_limited(name: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n"
    with StandIn(always(head + FLOODS[name])) as server, limits.changed(head_bytes=100_000):
        transport = Transport(server.url, patience=0, timeout=5)
        # The library below ends a single line by itself.
        refused = r"limits\.head_bytes = 100000|broke before the answer"
        with pytest.raises(TransportError, match=refused):
            transport.json("GET", "/")
        with pytest.raises(TransportError, match=refused), transport.stream("/") as body:
            list(body)


EXTENDED = {
    "extensions": b"1;" + b"x" * 5000 + b"\r\n \r\n",
    "zeros": b"0" * 5000 + b"1\r\n \r\n",
    "extensions of longer chunks": b"14;" + b"x=y;" * 2000 + b"\r\n" + b" " * 20 + b"\r\n",
}


@pytest.mark.parametrize("name", EXTENDED)
def test_what_surrounds_many_small_chunks_is_limited_in_all(name: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = head + EXTENDED[name] * 100 + b"2\r\n[]\r\n0\r\n\r\n"
    with StandIn(always(answer)) as server, limits.changed(head_bytes=100_000):
        transport = Transport(server.url, patience=0, timeout=5)
        with pytest.raises(TransportError, match=r"limits\.head_bytes = 100000"):
            transport.json("GET", "/")
        with pytest.raises(TransportError, match=r"limits\.head_bytes = 100000"), transport.stream("/") as body:
            list(body)


@pytest.mark.parametrize("chunk", [b"1\r\n \r\n", b"01;a=1\r\n \r\n"])
def test_many_small_chunks_are_read(chunk: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with StandIn(always(head + chunk * 5000 + b"2\r\n[]\r\n0\r\n\r\n")) as server, limits.changed(head_bytes=10_000):
        assert Transport(server.url).json("GET", "/") == []


@pytest.mark.parametrize("size", [b"fffffffffffffffff", b"-5", b"five", b"", b"0x5"])
def test_impossible_lengths_of_chunks_are_errors(size: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Close: yes\r\n\r\n"
    with (
        StandIn(always(head + size + b"\r\n[]\r\n")) as server,
        pytest.raises(TransportError, match=r"broke|cannot be read"),
    ):
        Transport(server.url, patience=0).json("GET", "/")
