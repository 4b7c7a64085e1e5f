"""Heads that are parsed quickly have the meaning that ``http.client`` gives them, and all others are left to it."""

from __future__ import annotations

import http.client
import socket

import pytest

from simple_orthanc.transport.heads import parse_head
from simple_orthanc.transport.watching import Watch, WatchedResponse, watched


def head(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((first, *lines))


PLAIN = {
    "plain": head(b"Content-Length: 4", b"Content-Type: application/json"),
    "names in capitals": head(b"CONTENT-LENGTH:4", b"CONNECTION: Keep-Alive"),
    "spaces": head(b"Content-Length: \t4  ", b"X-Empty:", b"X-Two:  a  b"),
    "a name twice": head(b"Content-Length: 4", b"Set-Cookie: a=1", b"Set-Cookie: b=2"),
    "compressed": head(b"Content-Length: 4", b"Content-Encoding: gzip"),
    "not ASCII": head(b"Content-Length: 4", b"X-Name: M\xfcller"),
    "refused": head(b"Content-Length: 4", first=b"HTTP/1.1 404 Not Found"),
    "long reason": head(b"Content-Length: 4", first=b"HTTP/1.1 507 Insufficient  Storage "),
    "no reason": head(b"Content-Length: 4", first=b"HTTP/1.1 200"),
    "leading zeros": head(b"Content-Length: 0004"),
}
LEFT = {
    "interim": head(b"Content-Length: 0", first=b"HTTP/1.1 100 Continue"),
    "without a body": head(b"Content-Length: 4", first=b"HTTP/1.1 204 No Content"),
    "not modified": head(b"Content-Length: 4", first=b"HTTP/1.1 304 Not Modified"),
    "status of four digits": head(b"Content-Length: 4", first=b"HTTP/1.1 2000 OK"),
    "no HTTP": head(b"Content-Length: 4", first=b"ICY 200 OK"),
    "no length": head(b"Content-Type: text/plain"),
    "a negative length": head(b"Content-Length: -4"),
    "a length of many digits": head(b"Content-Length: " + b"0" * 5000 + b"4"),
    "a length in other digits": head(b"Content-Length: \xb2"),
    "the length twice": head(b"Content-Length: 4", b"content-length: 4"),
    "chunks": head(b"Content-Length: 4", b"Transfer-Encoding: chunked"),
    "chunks behind a carriage return": head(b"A: b\rTransfer-Encoding: chunked", b"Content-Length: 4"),
    "chunks behind a line feed": head(b"A: b\nTransfer-Encoding: chunked", b"Content-Length: 4"),
    "chunks behind the first line": head(b"Content-Length: 4", first=b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked"),
    "a space before the colon": head(b"Transfer-Encoding : chunked", b"Content-Length: 4"),
    "a line that goes on": head(b"A: b", b" c: d", b"Content-Length: 4"),
    "a line without a colon": head(b"A", b"Content-Length: 4"),
    "nothing": b"",
}


@pytest.mark.parametrize("plain", PLAIN.values(), ids=PLAIN)
def test_a_plain_head_is_parsed(plain: bytes) -> None:
    parsed = parse_head(plain)
    assert parsed is not None
    assert (parsed.length, parsed.is_last) == (4, False)


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_any_other_head_is_left(left: bytes) -> None:
    assert parse_head(left) is None


@pytest.mark.parametrize(
    "closing",
    [
        head(b"Content-Length: 4", b"Connection: close"),
        head(b"Content-Length: 4", b"Connection: keep-alive, close"),
        head(b"Content-Length: 4", first=b"HTTP/1.0 200 OK"),
    ],
)
def test_the_end_of_the_connection_is_noticed(closing: bytes) -> None:
    parsed = parse_head(closing)
    assert parsed is not None
    assert parsed.is_last


def described(answer: bytes, response: type[http.client.HTTPResponse], method: str) -> object:
    """Return everything that a response tells, or its error."""
    ours, theirs = socket.socketpair()
    with ours, theirs, watched(Watch(0, 5)):
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        read = response(ours, method=method)
        try:
            read.begin()
            framing = (read.status, read.code, read.reason, read.version, read.length, read.chunked, read.will_close)
            return *framing, [(name, value.rstrip()) for name, value in read.getheaders()], read.read()
        except http.client.HTTPException as error:
            return type(error)
        finally:
            read.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("answer", [*PLAIN.values(), *LEFT.values()], ids=[*PLAIN, *LEFT])
def test_a_response_is_that_of_the_standard_library(answer: bytes, method: str) -> None:
    whole = answer + b"\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    assert described(whole, WatchedResponse, method) == described(whole, http.client.HTTPResponse, method)
