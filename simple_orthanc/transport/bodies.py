"""Bodies of responses, read whole or in chunks, and known to be complete.

Bodies are read from the raw connection: joining the 10 kB chunks of ``requests.Response.content`` takes about twice the
time for files of half a megabyte. They are decompressed here, because a compressed body that was cut short must be an
error, and decoders that return what they have would hide it.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from simple_orthanc import limits
from simple_orthanc.transport.failures import Cause, NetworkError, network

# Statuses without a body, whatever Content-Length says.
_BODILESS = (204, 304)

AT_ONCE = 1 << 24
"""Bytes for which memory is taken at once if that length is announced; for more it is taken as they come."""

# What begins the first member of a zip, or the end of an empty one; and the record at its end, followed by a comment.
_ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_END, _ZIP_END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 0xFFFF

_BLOCK = 1 << 20
_MOST_MEMBERS = 100_000
# What is compressed is hardly larger than its content, unless its blocks or members hold next to nothing.
_MOST_EMPTY = 1 << 22


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

    Examples
    --------
    >>> instance = orthanc.select(Modality="PT").get_orthanc_ids("instance")[0]
    >>> with orthanc.rest.stream(f"/instances/{instance}/file") as body:
    ...     beginning = next(body)
    >>> beginning[128:132], body.status
    (b'DICM', 200)
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


def read_all(response: requests.Response, limit: str = "body_bytes") -> bytes:
    """Read a whole body in one go.

    Parameters
    ----------
    response : requests.Response
        With a body that was not read yet.
    limit : str
        The name of the limit of `simple_orthanc.limits` that holds for it.

    Raises
    ------
    NetworkError
        If it breaks off, is shorter than announced, longer than the limit, or was compressed in a way that was not
        asked for.
    """
    most = int(getattr(limits, limit))
    with network(reading=True):
        announced = _announced(response)
        if announced is not None and announced > most:
            raise _excess(f"Content-Length is {announced}", limit)
        if announced is not None and announced <= AT_ONCE and not _is_gzip(response):
            wire: bytes = response.raw.read(decode_content=False) or b""
            _check_length(response, len(wire))
            return wire
    content = io.BytesIO()
    for chunk in chunks(response, _BLOCK):
        if content.tell() + len(chunk) > most:
            raise _excess(f"more than {most} bytes came", limit)
        content.write(chunk)
    # Shares the memory of the buffer.
    return content.getvalue()


def chunks(response: requests.Response, size: int) -> Iterator[bytes]:
    """Read a body in chunks of at most `size` bytes as sent, decompressed into pieces of at most 1 MiB.

    Raises
    ------
    NetworkError
        As `read_all`.
    """
    with network(reading=True):
        decoder = _Gunzip() if _is_gzip(response) else None
        zip_end = _ZipEnd(response) if decoder is None and not _has_end(response) else None
    received = 0
    # Chunked answers come in the server's own pieces, however small; `stream` passes them on without waiting.
    source: Iterator[bytes] = response.raw.stream(size, decode_content=False)
    while True:
        with network(reading=True):
            chunk = next(source, None)
            if chunk is None:
                _check_length(response, received)
                if decoder is not None:
                    decoder.end()
                if zip_end is not None:
                    zip_end.check()
                return
            received += len(chunk)
            if zip_end is not None:
                zip_end.add(chunk)
        if decoder is None:
            if chunk:
                yield chunk
        else:
            yield from decoder.pieces(chunk)


class _ZipEnd:
    """Checks that a zip whose length was not announced has the record at its end.

    Orthanc sends archives without Content-Length and not in chunks, so that nothing else tells a whole archive from one
    that the end of the server cut off.
    """

    def __init__(self, response: requests.Response) -> None:
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self._is_announced = media_type in ("application/zip", "application/x-zip-compressed")
        self._beginning, self._tail = b"", b""

    def add(self, chunk: bytes) -> None:
        """Note the next bytes of the body."""
        if len(self._beginning) < len(_ZIP_END):
            self._beginning = (self._beginning + chunk)[: len(_ZIP_END)]
        self._tail = (self._tail + chunk)[-_ZIP_END_SIZE - _LONGEST_COMMENT :]

    def check(self) -> None:
        """Raise a `NetworkError` if the body is a zip that was cut off."""
        is_zip = self._is_announced or self._beginning in _ZIP_BEGINNINGS
        if is_zip and not ends_as_zip(self._tail):
            raise NetworkError(Cause.DROPPED, "a zip came without the record at its end")


def ends_as_zip(tail: bytes) -> bool:
    """Check whether bytes end with the record at the end of a zip and its comment."""
    start = tail.rfind(_ZIP_END)
    while start >= 0:
        comment = int.from_bytes(tail[start + _ZIP_END_SIZE - 2 : start + _ZIP_END_SIZE], "little")
        if start + _ZIP_END_SIZE + comment == len(tail):
            return True
        start = tail.rfind(_ZIP_END, 0, start)
    return False


class _Gunzip:
    """Decompresses what is packed by gzip: one member or several (RFC 1952), piece by piece."""

    def __init__(self) -> None:
        self._decoder: zlib._Decompress | None = None
        self._members = 0
        self._packed, self._unpacked = 0, 0

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        """Decompress some bytes into pieces of at most 1 MiB.

        Raises
        ------
        NetworkError
            If all so far decompress to more than `limits.expansion` allows, or to next to nothing.
        """
        self._packed += len(packed)
        while packed:
            with network(reading=True):
                if self._decoder is None:
                    packed = packed if self._members == 0 else packed.lstrip(b"\0")
                    if not packed:
                        break
                    self._next_member()
                assert self._decoder is not None
                piece = self._decoder.decompress(packed, _BLOCK)
                packed = self._decoder.unconsumed_tail
                if self._decoder.eof:
                    packed, self._decoder = self._decoder.unused_data, None
            if piece:
                self._unpacked += len(piece)
                if self._unpacked > max(limits.expanded_bytes, limits.expansion * self._packed):
                    raise _excess(f"{self._packed} bytes of it decompress to {self._unpacked} and more", "expansion")
                yield piece
        if self._packed > 2 * self._unpacked + _MOST_EMPTY:
            raise NetworkError(Cause.EXCESS, f"{self._packed} bytes of it decompress to no more than {self._unpacked}")

    def end(self) -> None:
        """Check that the last member is complete."""
        if self._decoder is not None:
            raise EOFError

    def _next_member(self) -> None:
        self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise NetworkError(Cause.GARBLED, f"it is compressed in more than {_MOST_MEMBERS} members")


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
    asked = str(response.request.headers.get("Accept-Encoding", ""))
    if encoding in ("gzip", "x-gzip") and "gzip" in asked:
        return True
    raise NetworkError(Cause.GARBLED, f"it is compressed as {encoding[:20]!r}, which was not asked for")


def _announced(response: requests.Response) -> int | None:
    """Return the length of the body that is on its way, None if it is not announced or not one number."""
    if _has_no_body(response):
        return 0
    announced = response.headers.get("Content-Length", "").strip()
    if _is_chunked(response) or not announced.isdecimal():
        return None
    # No length has more digits, and to convert many of them takes long.
    return int(announced[:40])


def _has_end(response: requests.Response) -> bool:
    """Check whether the head tells where the body ends."""
    return _has_no_body(response) or _is_chunked(response) or "Content-Length" in response.headers


def _is_chunked(response: requests.Response) -> bool:
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()


def _has_no_body(response: requests.Response) -> bool:
    return response.request.method == "HEAD" or response.status_code in _BODILESS


def _excess(found: str, limit: str) -> NetworkError:
    return NetworkError(Cause.EXCESS, f"{found}. {limits.advice(limit)}")


def _check_length(response: requests.Response, received: int) -> None:
    announced: Any = response.headers.get("Content-Length")
    if announced is None or _is_chunked(response) or _has_no_body(response):
        return
    if not all(
        part.strip().isdecimal() and (part.strip().lstrip("0") or "0") == str(received) for part in announced.split(",")
    ):
        raise NetworkError(Cause.DROPPED, f"Content-Length is {announced[:20]}, but {received} bytes came")
