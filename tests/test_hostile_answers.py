"""Answers made to exhaust memory or time end as errors, in little of both."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import chain, repeat

import pytest

# The limits allow 134; the peak is that of all answers so far, and grows by what the allocator does not use again.
MEGABYTES = 250
# Of the processor; measured are about two. In all it may be more, since the machine that runs the tests may be busy.
SECONDS_AT_WORK = 5
SECONDS_IN_ALL = 20
BLOCK = 1 << 20
OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: application/json\r\n"
MULTIPART = OK + b'Content-Type: multipart/related; type="application/dicom+json"; boundary=b\r\n\r\n'


@cache
def gzip_of(size: int) -> bytes:
    """Return the gzip of so many blanks, made without as much memory."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join(packer.compress(b" " * BLOCK) for _ in range(size // BLOCK)) + packer.flush()


def packed(body: bytes) -> list[bytes]:
    return [JSON + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body), body]


def plain(body: bytes) -> list[bytes]:
    return [JSON + b"Content-Length: %d\r\n\r\n" % len(body), body]


def listed(value: bytes, count: int) -> Iterator[bytes]:
    """Return a list of so many times 100,000 values, of which this process holds little at a time."""
    block = value * 100_000
    head = JSON + b"Content-Length: %d\r\n\r\n[" % (len(block) * count + 3)
    return chain([head], repeat(block, count), [b"0]"])


# What the server sends after each request, piece by piece.
BOMBS = {
    "3 GB of blanks": lambda: chain([JSON + b"Content-Length: 3221225472\r\n\r\n"], repeat(b" " * BLOCK, 3072)),
    "3 GB of blanks without a length": lambda: chain([JSON + b"\r\n"], repeat(b" " * BLOCK, 3072)),
    "blanks in chunks without end": lambda: chain(
        [JSON + b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"100000\r\n" + b" " * BLOCK + b"\r\n", 3072)
    ),
    "8 GiB announced": lambda: [JSON + b"Content-Length: 8589934592\r\n\r\n[]"],
    "10^30 announced": lambda: [JSON + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n[]"],
    "two lengths": lambda: [JSON + b"Content-Length: 2\r\nContent-Length: 8589934592\r\n\r\n[]"],
    "a negative length": lambda: [JSON + b"Content-Length: -2\r\n\r\n[]"],
    "a huge chunk": lambda: [JSON + b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n[]"],
    "300 MB inflated": lambda: packed(gzip_of(300 << 20)),
    "gzip of gzip": lambda: packed(gzip.compress(gzip_of(300 << 20))),
    "a million members of gzip": lambda: packed(gzip.compress(b"") * 1_000_000),
    "deep lists": lambda: plain(b"[" * 5_000_000 + b"]" * 5_000_000),
    "empty lists": lambda: plain(b"[" + b"[]," * 20_000_000 + b"0]"),
    "short numbers": lambda: listed(b"1000,", 65),
    "short strings": lambda: listed(b'"ab",', 65),
    "digits": lambda: listed(b"1,", 600),
    "as many short strings as are parsed": lambda: listed(b'"ab",', 19),
    "chunks with extensions without end": lambda: chain(
        [JSON + b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"1;" + b"x" * 50_000 + b"\r\n \r\n", 100_000)
    ),
    "ten million digits": lambda: plain(b"[" + b"7" * 10_000_000 + b"]"),
    "headers without end": lambda: chain([OK], repeat(b"X-Some: header\r\n" * 1000, 10_000)),
    "one header without end": lambda: chain([OK + b"X-Some: "], repeat(b"x" * BLOCK, 1000)),
    "a status line without end": lambda: chain([b"HTTP/1.1 200 "], repeat(b"x" * BLOCK, 1000)),
    "100 Continue without end": lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 10_000),
    "trailers without end": lambda: chain(
        [JSON + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"], repeat(b"X-Some: trailer\r\n" * 1000, 10_000)
    ),
    "a part without end": lambda: chain([MULTIPART + b"--b\r\n\r\n"], repeat(b" " * BLOCK, 3000)),
    "a part's header without end": lambda: chain([MULTIPART + b"--b\r\nX-Some: "], repeat(b"x" * BLOCK, 1000)),
    "parts without end": lambda: chain([MULTIPART], repeat(b"--b\r\n\r\n[]\r\n" * 10_000, 10_000)),
    "no boundary": lambda: chain([MULTIPART], repeat(b"--a\r\n" * 100_000, 1000)),
}


@contextmanager
def sending(pieces: str) -> Iterator[str]:
    """Yield the URL of a server that sends the pieces of a bomb after each request."""
    # What takes long to make is made before the server is asked.
    BOMBS[pieces]()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                for piece in BOMBS[pieces]():
                    connection.sendall(piece)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(10)


@pytest.mark.parametrize("protocol", ["orthanc", "dicomweb"])
def test_bombs_are_errors_in_little_memory_and_time(protocol: str) -> None:
    with ExitStack() as stack:
        urls = [stack.enter_context(sending(name)) for name in BOMBS]
        command = [sys.executable, "-m", "tests.hostile_answers", protocol, *urls]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=300, env={**os.environ, "NO_PROXY": "*"}
        )
    assert ended.returncode == 0, ended.stderr[-1000:]
    for name, url, line in zip(BOMBS, urls, ended.stdout.splitlines(), strict=True):
        peak, at_work, in_all, outcome = line.split(" ", 3)
        found = f"{name}: {line}"
        assert outcome.startswith(("TransportError: ", "RequestTimeout: ")), found
        assert url in outcome, found
        assert float(peak) < MEGABYTES, found
        assert float(at_work) < SECONDS_AT_WORK, found
        assert float(in_all) < SECONDS_IN_ALL, found
