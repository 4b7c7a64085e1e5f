"""The responses to several GETs that were sent at once over one connection: they come in order, one behind the other.

HTTP/1.1 allows that (RFC 9112, section 9.3.2), and Orthanc does it. For files of 10 kB, a request that waits for the
one before costs this side 0.3 ms of processor time, most of it for waking threads, and one of sixteen in a row 0.04 ms.

Not everything between here and the server need be able to do it. So each response has little time, and one that does
not come, is cut or cannot be told from the next is the end: what was not received is asked for by itself.
"""

from __future__ import annotations

import socket
import time
from typing import NamedTuple

from simple_orthanc.transport.bodies import AT_ONCE
from simple_orthanc.transport.heads import END, Head, parse_head

SECONDS = 3.0
"""How long one response is waited for, beyond what it takes to be on its way."""

IN_A_ROW = 16
"""How many requests are best sent at once over one connection."""

# Bytes per second that are expected of the slowest link.
_SLOWEST = 1e5
# What the end of a head may have in the bytes that were searched already.
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
    r"""The responses that come over a connection.

    Parameters
    ----------
    sock : socket
        Gets a timeout.
    memory : memoryview
        Is filled with what comes. A head must fit into it.
    timeout : float, optional
        Seconds of each wait, if that is less than usual.

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
        # What came and was not used yet.
        self._start = self._filled = 0

    @property
    def has_more(self) -> bool:
        """Whether more came than was used."""
        return self._filled > self._start

    def next(self) -> PlainResponse | None:
        """Return the next response; None if it is not plain, not whole, or too slow, and then nothing comes any more.

        Raises
        ------
        OSError
            Of the socket, such as the timeout.
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
        """Receive more, in room that is made where there is little; return whether there is any, and in time."""
        left = self._filled - self._start
        if not left or self._start > len(self._memory) // 2:
            self._memory[:left] = self._memory[self._start : self._filled]
            self._start, self._filled = 0, left
        room = self._memory[self._filled :]
        received = self._sock.recv_into(room) if room else 0
        self._filled += received
        return received > 0 and time.monotonic() <= end
