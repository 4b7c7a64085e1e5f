"""The responses to pipelined GETs: several requests sent together over one connection and answered in order.

HTTP/1.1 allows this (RFC 9112, section 9.3.2), and Orthanc supports it. For files of 10 kB, a request that waits for
the previous response costs the client 0.3 ms of processor time, most of it to wake threads; one of sixteen that are
pipelined costs 0.04 ms.

A proxy on the way may not support it. So each response has little time, and one that does not arrive, is truncated or
cannot be told from the next ends the row: what was not received is requested by itself.
"""

from __future__ import annotations

import socket
import time
from typing import NamedTuple

from simple_orthanc.transport.bodies import AT_ONCE
from simple_orthanc.transport.heads import END, Head, parse_head

SECONDS = 3.0
"""How long to wait for one response, besides the time that its bytes take on a slow link."""

IN_A_ROW = 16
"""How many requests are best sent together over one connection."""

# Bytes per second that even the slowest link is expected to carry.
_SLOWEST = 1e5
# How many bytes of the end of a head may be among those that were searched already.
_MOST_OVERLAP = 3


class PlainResponse(NamedTuple):
    """A whole response of a stated length.

    Attributes
    ----------
    head : Head
    body : bytes
    """

    head: Head
    body: bytes


class Responses:
    r"""The responses that arrive over a connection.

    Parameters
    ----------
    sock : socket
        The connection; its timeout is set.
    memory : memoryview
        Receives what arrives. A head must fit into it.
    timeout : float, optional
        Seconds of each wait, if shorter than usual.

    Examples
    --------
    >>> here, there = socket.socketpair()
    >>> there.sendall(2 * b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
    >>> responses = Responses(here, memoryview(bytearray(1024)))
    >>> responses.next().body, responses.has_more, responses.next().body, responses.has_more
    (b'ab', True, b'ab', False)
    >>> here.close(), there.close()
    (None, None)
    """

    def __init__(self, sock: socket.socket, memory: memoryview, timeout: float | None = None) -> None:
        self._sock, self._memory = sock, memory
        sock.settimeout(SECONDS if timeout is None else min(SECONDS, timeout))
        # The bytes that have arrived and are not used yet.
        self._start = self._filled = 0

    @property
    def has_more(self) -> bool:
        """Whether more has arrived than was used."""
        return self._filled > self._start

    def next(self) -> PlainResponse | None:
        """Return the next response; None if it is not plain, not whole, or too slow, and then none follows.

        Raises
        ------
        OSError
            The socket failed or timed out.
        """
        end = time.monotonic() + SECONDS
        head = self._head(end)
        if head is None or head.length > AT_ONCE:
            return None
        body = self._body(head.length, end + head.length / _SLOWEST)
        return None if body is None else PlainResponse(head, body)

    def _head(self, end: float) -> Head | None:
        searched = 0
        while (found := END.search(self._memory, self._start + searched, self._filled)) is None:
            searched = max(0, self._filled - self._start - _MOST_OVERLAP)
            if not self._receive(end):
                return None
        head = bytes(self._memory[self._start : found.start()])
        self._start = found.end()
        return parse_head(head)

    def _body(self, length: int, end: float) -> bytes | None:
        if self._filled - self._start >= length:
            body = bytes(self._memory[self._start : self._start + length])
            self._start += length
            return body
        grown = bytearray(length)
        view, count = memoryview(grown), self._filled - self._start
        view[:count] = self._memory[self._start : self._filled]
        self._start = self._filled = 0
        while count < length:
            received = self._sock.recv_into(view[count:])
            if not received or time.monotonic() > end:
                return None
            count += received
        return bytes(grown)

    def _receive(self, end: float) -> bool:
        """Receive more, making room first if there is little; return whether anything arrived in time."""
        left = self._filled - self._start
        if not left or self._start > len(self._memory) // 2:
            self._memory[:left] = self._memory[self._start : self._filled]
            self._start, self._filled = 0, left
        room = self._memory[self._filled :]
        received = self._sock.recv_into(room) if room else 0
        self._filled += received
        return received > 0 and time.monotonic() <= end
