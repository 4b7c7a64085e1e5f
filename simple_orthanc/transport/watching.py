"""How slowly a response may arrive.

The timeout of a socket limits each single wait, so that one byte a second could go on for ever. Here every read from a
socket is watched: `Watch` knows what one attempt of a request may take, and `WatchedResponse` asks it.
"""

from __future__ import annotations

import http.client
import io
import math
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from simple_orthanc import limits
from simple_orthanc.concurrency.contexts import Setting
from simple_orthanc.transport.failures import Cause, NetworkError
from simple_orthanc.transport.heads import END, parse_head

RATE_WINDOW = 30.0
"""Seconds of waiting after which it is judged whether what came in them was enough."""

# A single wait is the matter of the timeout: a server may pause while it computes the next part.
_LONGEST_WAIT = RATE_WINDOW / 3

# A chunk of one byte has a line of three bytes, and ends in two.
_LINES_PER_BODY = 8

current: ContextVar[Watch | None] = ContextVar("watch", default=None)
"""The watch of the attempt that this thread makes; the response takes it with it to wherever it is read."""


class Watch:
    """What one attempt of a request may take.

    Parameters
    ----------
    minimum_rate : float
        Bytes per second below which the response is given up.
    timeout : float, optional
        Seconds of each wait.
    deadline : float, optional
        What `remaining` is a part of, for the message.
    remaining : float, optional
        Seconds from now on until the response must be complete.
    answered : callable, optional
        Called with the seconds from the request to the first byte of its response.
    """

    def __init__(
        self,
        minimum_rate: float,
        timeout: float | None,
        deadline: float | None = None,
        remaining: float | None = None,
        answered: Callable[[float], object] | None = None,
    ) -> None:
        self._answered, self._sent = answered, math.inf
        self._rate = minimum_rate
        self._timeout = math.inf if timeout is None else timeout
        self._deadline = deadline
        self._end = math.inf if remaining is None else time.monotonic() + remaining
        self._waited, self._bytes = 0.0, 0
        self.start_head()

    @property
    def has_begun(self) -> bool:
        """Whether the first byte of the response has come."""
        return self._head_bytes != 0

    def sending(self) -> None:
        """Note that the request is about to be sent, or a part of it."""
        self._sent = time.monotonic()

    def start_head(self) -> None:
        """Note that the head of a response is awaited."""
        self._head_bytes = 0
        self._head_end = math.inf
        # Whether single waits may have to be shorter than the timeout.
        self.is_limited = self._end < math.inf
        self._shortened = False

    def end_head(self, sock: Any) -> None:
        """Note that the head is complete."""
        self._head_bytes, self._head_end = -1, math.inf
        self.is_limited = self._end < math.inf
        if self._shortened:
            self.shorten(sock)

    def shorten(self, sock: Any) -> None:
        """Limit the next wait of a socket to what is left.

        Raises
        ------
        NetworkError
            If nothing is left.
        """
        self._shortened = True
        now = time.monotonic()
        self.check(now)
        seconds = min(self._timeout, self._end - now, self._head_end - now)
        sock.settimeout(None if seconds == math.inf else seconds)

    def check(self, now: float) -> None:
        """Raise a `NetworkError` if the time for the head or for the whole is over."""
        if now >= self._end:
            raise NetworkError(Cause.SLOW, f"the limit for the whole is deadline={self._deadline:g} s")
        if now >= self._head_end:
            raise NetworkError(Cause.SLOW, f"its head has no end. {limits.advice('head_seconds')}")

    def receive_into(self, sock: Any, buffer: Any) -> int:
        """Read what comes next from a socket into memory, and return how many bytes it was; 0 at the end.

        Raises
        ------
        NetworkError
            As `received`.
        TimeoutError
            If nothing came in time.
        """
        if self.is_limited:
            self.shorten(sock)
        before = time.monotonic()
        try:
            count: int = sock.recv_into(buffer)
        except TimeoutError:
            self.check(time.monotonic())
            raise
        now = time.monotonic()
        self.received(count, now - before, now)
        return count

    def received(self, count: int, waited: float, now: float) -> None:
        """Note bytes, and the seconds that they were waited for.

        Raises
        ------
        NetworkError
            If they are too few, or if a head has no end.
        """
        if self._head_bytes >= 0:
            if not self._head_bytes:
                # How long the server thinks before its first byte is the matter of the timeout.
                self._head_end, self.is_limited = now + limits.head_seconds, True
                waited = 0.0
                if self._answered is not None and count and now > self._sent:
                    self._answered(now - self._sent)
            self._head_bytes += count
            if self._head_bytes > limits.head_bytes:
                raise NetworkError(Cause.EXCESS, f"its head has no end. {limits.advice('head_bytes')}")
        if self.is_limited:
            self.check(now)
        self._bytes += count
        self._waited += min(waited, _LONGEST_WAIT)
        if self._waited >= RATE_WINDOW:
            if self._bytes < self._rate * RATE_WINDOW:
                raise NetworkError(
                    Cause.SLOW,
                    f"{self._bytes} bytes in {RATE_WINDOW:g} s. The limit is minimum_rate={self._rate:g} bytes per "
                    "second; give a lower one, or 0 for none",
                )
            self._waited, self._bytes = 0.0, 0


def watched(watch: Watch) -> Setting[Watch | None]:
    """Make a watch the `current` one for the time of a block."""
    return Setting(current, watch)


class WatchedResponse(http.client.HTTPResponse):
    """A response of ``http.client`` whose reads are watched by the `Watch` that is `current` when it is made."""

    def __init__(self, sock: Any, debuglevel: int = 0, method: str | None = None, url: str | None = None) -> None:
        self._watch, self._sock = current.get(), sock
        self._has_body = method != "HEAD"
        source: Any = sock if self._watch is None else _WatchedSocket(sock, self._watch)
        super().__init__(source, debuglevel, method, url)

    def begin(self) -> None:
        """Read the head."""
        if self._watch is None:
            super().begin()
            return
        self._watch.start_head()
        if not self._begin_plain():
            super().begin()
        self._watch.end_head(self._sock)
        # The socket belongs to the connection again.
        del self._sock

    def _begin_plain(self) -> bool:
        """Read the head as ``http.client`` does; return False, with nothing read, if it is not plain or not there."""
        reader: Any = self.fp
        beginning = reader.peek()
        end = END.search(beginning) if self._has_body else None
        head = None if end is None else parse_head(beginning[: end.start()])
        if end is None or head is None or head.is_last:
            return False
        reader.read(end.end())
        self.headers = self.msg = http.client.HTTPMessage()
        for name, value in head.fields:
            self.msg.set_raw(name.decode("latin-1"), value.decode("latin-1"))
        self.code = self.status = head.status
        self.reason, self.version, self.length = head.reason, 11, head.length
        self.chunked = self.will_close = False
        return True


class _WatchedSocket:
    """A socket, as far as a response needs it."""

    def __init__(self, sock: Any, watch: Watch) -> None:
        self._sock, self._watch = sock, watch

    def makefile(self, mode: str) -> io.BufferedReader:
        return _BoundedReader(_WatchedFile(self._sock, self._watch))


class _BoundedReader(io.BufferedReader):
    """Gives up lines without an end: urllib3 reads the lengths of chunks and what follows the last without a limit.

    The lines in a row are limited, and all of them in proportion to what they surround.
    """

    _in_lines = 0
    _in_all_lines = 0
    _in_body = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        most = limits.head_bytes
        line = super().readline(most + 1 if size is None or size < 0 else size)
        self._in_lines += len(line)
        self._in_all_lines += len(line)
        if self._in_lines > most or self._in_all_lines > most + _LINES_PER_BODY * self._in_body:
            raise NetworkError(
                Cause.EXCESS, f"its head, a chunk or what follows its body has no end. {limits.advice('head_bytes')}"
            )
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self._in_lines = 0
        self._in_body += len(content)
        return content

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._in_lines = 0
        self._in_body += count
        return count


class _WatchedFile(io.RawIOBase):
    def __init__(self, sock: Any, watch: Watch) -> None:
        self._sock, self._watch = sock, watch
        # Keeps the socket open after its connection was closed, until the response was read.
        self._file: io.RawIOBase = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        return self._watch.receive_into(self._sock, buffer)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            super().close()
