"""Bodies of responses, read whole or in chunks, and known to be complete.

Bodies are read from the raw connection: joining the 10 kB chunks of ``requests.Response.content`` takes about twice the
time for files of half a megabyte. They are decompressed here, because a compressed body that was cut short must be an
error, and decoders that return what they have would hide it.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from simple_orthanc.transport.failures import Cause, NetworkError, network

# Statuses without a body, whatever Content-Length says.
_BODILESS = (204, 304)

_BLOCK = 1 << 20


@dataclass(frozen=True)
class HttpResponse:
    """One response, read to its end.

    Attributes
    ----------
    status : int
        HTTP status, below 400.
    headers : mapping
        Looked up without regard to case.
    content : bytes
        The body, decompressed.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


class Stream(Iterator[bytes]):
    """The body of a response, chunk by chunk, while it arrives.

    Iterating raises `TransportError` if the connection breaks off, since what came so far is then not the whole.

    Attributes
    ----------
    status : int
        HTTP status, below 400.
    headers : mapping
        Looked up without regard to case.
    """

    def __init__(self, response: requests.Response, chunk_size: int, fail: Callable[[NetworkError], Exception]) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._chunks = chunks(response, chunk_size)
        self._fail = fail

    def __repr__(self) -> str:
        """Show the status."""
        return f"Stream(status={self.status})"

    def __next__(self) -> bytes:
        """Return the next chunk."""
        try:
            return next(self._chunks)
        except NetworkError as failure:
            error = self._fail(failure)
        raise error


def read_all(response: requests.Response) -> bytes:
    """Read a whole body in one go.

    Raises
    ------
    NetworkError
        If it breaks off, is shorter than announced, or was compressed in a way that was not asked for.
    """
    with network():
        raw = response.raw
        wire: bytes = raw.read(decode_content=False) or b""
        _check_length(response, len(wire))
        if not wire or not _is_gzip(response):
            return wire
        return gzip.decompress(wire)


def read_at_most(response: requests.Response, max_bytes: int) -> bytes | None:
    """Read a whole body of at most `max_bytes` bytes; return None if it is longer.

    Raises
    ------
    NetworkError
        As `read_all`.
    """
    pieces: list[bytes] = []
    size = 0
    for chunk in chunks(response, _BLOCK):
        size += len(chunk)
        if size > max_bytes:
            return None
        pieces.append(chunk)
    return b"".join(pieces)


def chunks(response: requests.Response, size: int) -> Iterator[bytes]:
    """Read a body in chunks of at most `size` bytes as sent, decompressed.

    Raises
    ------
    NetworkError
        As `read_all`.
    """
    with network():
        compressed = _is_gzip(response)
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS) if compressed else None
    received = 0
    # Chunked answers come in the server's own pieces, however small; `stream` passes them on without waiting.
    source: Iterator[bytes] = response.raw.stream(size, decode_content=False)
    while True:
        with network():
            chunk = next(source, None)
            if chunk is None:
                _check_length(response, received)
                if decoder is not None and received and not decoder.eof:
                    raise EOFError
                return
            received += len(chunk)
            plain = chunk if decoder is None else decoder.decompress(chunk)
            if decoder is not None and decoder.unused_data:
                raise NetworkError(Cause.GARBLED, "bytes follow the end of the compressed data")
        if plain:
            yield plain


def read_beginning(response: requests.Response, size: int) -> bytes:
    """Read about the first `size` bytes of a body that only explains a failure, without an error if it breaks off."""
    beginning: list[bytes] = []
    try:
        for chunk in chunks(response, size):
            beginning.append(chunk)
            if sum(map(len, beginning)) >= size:
                break
    except NetworkError:
        pass
    return b"".join(beginning)[:size]


def _is_gzip(response: requests.Response) -> bool:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return False
    if encoding in ("gzip", "x-gzip"):
        return True
    raise NetworkError(Cause.GARBLED, "it is compressed in a way that was not asked for")


def _check_length(response: requests.Response, received: int) -> None:
    announced: Any = response.headers.get("Content-Length")
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    if announced is None or chunked or response.request.method == "HEAD" or response.status_code in _BODILESS:
        return
    if not all(part.strip().isdecimal() and int(part) == received for part in announced.split(",")):
        raise NetworkError(Cause.DROPPED, f"Content-Length is {announced[:20]}, but {received} bytes came")
