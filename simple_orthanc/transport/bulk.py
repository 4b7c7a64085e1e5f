"""Many plain GETs in a row, over connections of their own, each into memory that is reused.

For files of half a megabyte on a fast network, what requests and urllib3 do for each of them takes as long as the
transfer. With a pool of urllib3 2.8 instead, a volume of 200 slices of 512 x 512 takes 1.10 times as long from Orthanc
1.10.1 and 1.17 times from 1.12.7 (processor time of this side 1.14 and 1.19 times; medians of 20 interleaved rounds).

This is for one case only: http without a proxy, credentials that do not change, a response 200 with a stated length.
Anything else is asked for again through `Sender.exchange`, which knows what it means.
"""

from __future__ import annotations

import math
import re
import socket
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from urllib3.util.wait import wait_for_read

from simple_orthanc import limits
from simple_orthanc.concurrency import interruption
from simple_orthanc.transport.address import DEFAULT_PORTS
from simple_orthanc.transport.bodies import AT_ONCE
from simple_orthanc.transport.connections import MAX_IDLE, shut
from simple_orthanc.transport.heads import END, parse_head
from simple_orthanc.transport.pace import Pace
from simple_orthanc.transport.pipelining import Responses
from simple_orthanc.transport.secret import Secret
from simple_orthanc.transport.watching import Watch

# A longer head is not plain.
_MOST_HEAD = 1 << 16
_SECONDS_BETWEEN_LOOKS = 0.2
_NOT_IN_PATHS = re.compile(r"[^\x21-\x7e]")
# Bytes of the requests in a row, which then never wait for room while the server waits to send responses.
_MOST_IN_A_ROW = 1 << 14
# Bytes of "GET  HTTP/1.1" and the two ends of lines.
_FIRST_LINE = 17
# After so many rows that ended early, one after the other, requests are sent one by one.
_MOST_ENDED = 3

BufferProvider = Callable[[int], memoryview]
"""Returns memory of so many bytes: the caller's own, which may be the same each time."""


CROWDED = (429, 503)
"""What servers and proxies answer where they serve no more requests at a time."""


class CrowdedError(Exception):
    """The server has not served a request, perhaps because of those beside it.

    Attributes
    ----------
    waited_in_vain : bool
        Whether it accepted a new connection, and answered others since; else it refused the connection or the request.
    """

    def __init__(self, waited_in_vain: bool = False) -> None:
        super().__init__()
        self.waited_in_vain = waited_in_vain


class _Connection:
    """A connection, which is open where `sock` is not None, and memory for the heads of responses."""

    def __init__(self, pace: Pace) -> None:
        self.sock: socket.socket | None = None
        self.is_new = True
        self._pace = pace
        self.memory = memoryview(bytearray(_MOST_HEAD))

    def answered(self) -> None:
        if self.is_new:
            self.is_new = False
            self._pace.serves(1)

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None
            if not self.is_new:
                self.is_new = True
                self._pace.serves(-1)


class BulkReader:
    """Kept connections to one server, safe to use from several threads at once.

    Parameters
    ----------
    host, port : str, int
        The server.
    headers : mapping
        Sent with every request.
    pace : Pace
        What is known of how many connections the server serves.
    """

    def __init__(self, host: str, port: int, headers: Mapping[str, str], pace: Pace) -> None:
        self._address, self._pace = (host, port), pace
        self._lines = Secret(_request_lines(host, port, headers))
        self._ended = 0
        # Those that are not in use, each with the time of its last use; the last one used is reused first.
        self._free: deque[tuple[_Connection, float]] = deque()
        # A session that is deleted without having been closed leaves nothing open.
        weakref.finalize(self, _close, self._free)

    def read(
        self,
        path: str,
        allocate: BufferProvider,
        timeout: tuple[float | None, float | None],
        watch: Watch,
        part: str | None = None,
    ) -> memoryview | None:
        """GET a path into memory; return None if anything is not as expected, and nothing is known then.

        Parameters
        ----------
        path : str
            From the root of the host, encoded.
        allocate : callable
            Returns the memory, once the length is known.
        timeout : (float or None, float or None)
            Seconds for connecting, and for each wait for bytes.
        watch : Watch
            What the response may take.
        part : str, optional
            The header Range.

        Raises
        ------
        TimeoutError
            If no byte came in time.
        NetworkError
            If the response takes longer than the watch allows.
        CrowdedError
            If the server does not serve a new connection, or no more requests.
        """
        if _NOT_IN_PATHS.search(path):
            return None
        interruption.check()
        connection = self._connection()
        wait: interruption.Wait | None = None
        complete = False
        try:
            sock = self._opened(connection, timeout[0])
            if sock is None:
                return None
            sock.settimeout(timeout[1])
            wait = interruption.begin(partial(shut, sock))
            own = b"" if part is None else b"Range: %s\r\n" % part.encode("ascii")
            watch.sending()
            sock.sendall(b"GET %s HTTP/1.1\r\n%s%s\r\n" % (path.encode("ascii"), self._lines.reveal(), own))
            received = self._receive_head(connection, sock, timeout[1], watch)
            if received is None:
                return None
            head, rest = parse_head(received[0]), received[1]
            if head is not None and head.status in CROWDED:
                raise CrowdedError
            if head is None or head.status != (200 if part is None else 206) or head.encoding:
                return None
            body = _body(sock, watch, rest, head.length, allocate)
            complete = body is not None and not head.is_last and len(rest) <= head.length
            return body
        except TimeoutError:
            raise
        except OSError:
            if connection.is_new and not watch.has_begun:
                raise CrowdedError from None
            return None
        finally:
            if wait is not None:
                wait.over()
            self._keep_or_close(connection, complete)

    def read_several(self, paths: Sequence[str], timeout: tuple[float | None, float | None]) -> list[bytes | None]:
        """GET several paths, sent at once over one connection.

        Parameters
        ----------
        paths : sequence of str
            From the root of the host, encoded.
        timeout : (float or None, float or None)
            Seconds for connecting, and for each wait for bytes.

        Returns
        -------
        list of bytes or None
            Their bodies. None where anything was not as expected, and nothing is known then.

        Raises
        ------
        KeyboardInterrupt
            If the call that this thread works for is interrupted.
        """
        bodies: list[bytes | None] = [None] * len(paths)
        size = sum(len(path) + len(self._lines.reveal()) + _FIRST_LINE for path in paths)
        if self._ended >= _MOST_ENDED or size > _MOST_IN_A_ROW or any(map(_NOT_IN_PATHS.search, paths)):
            return bodies
        interruption.check()
        connection = self._connection()
        complete = False
        try:
            complete = self._read_row(connection, paths, timeout, bodies)
        except OSError:
            # What was not received is asked for by itself, which tells what is wrong.
            pass
        finally:
            # A new connection without any answer may not be served because of others.
            if not connection.is_new:
                self._ended = 0 if complete else self._ended + 1
            self._keep_or_close(connection, complete)
        if not complete:
            interruption.check()
        return bodies

    def _read_row(
        self,
        connection: _Connection,
        paths: Sequence[str],
        timeout: tuple[float | None, float | None],
        bodies: list[bytes | None],
    ) -> bool:
        """Fill in the bodies that come; return whether all responses came, and the connection serves further ones."""
        sock = self._opened(connection, timeout[0])
        if sock is None:
            return False
        responses, lines = Responses(sock, connection.memory, timeout[1]), self._lines
        with interruption.ended_by(partial(shut, sock)):
            sock.sendall(
                b"".join(b"GET %s HTTP/1.1\r\n%s\r\n" % (path.encode("ascii"), lines.reveal()) for path in paths)
            )
            for number in range(len(paths)):
                response = responses.next()
                if response is None:
                    return False
                connection.answered()
                if response.head.status == 200 and not response.head.encoding:
                    bodies[number] = response.body
                if response.head.is_last:
                    return False
            return not responses.has_more

    def _keep_or_close(self, connection: _Connection, is_complete: bool) -> None:
        """Keep a connection on which nothing is on its way any more, and close any other."""
        if is_complete:
            self._free.append((connection, time.monotonic()))
        else:
            connection.close()

    def _receive_head(
        self, connection: _Connection, sock: socket.socket, timeout: float | None, watch: Watch
    ) -> tuple[bytes, memoryview] | None:
        """Receive a head as `_receive_head` does, unless the server does not serve the connection."""
        if connection.is_new:
            self._wait_for_first(sock, timeout, watch)
        received = _receive_head(sock, watch, connection.memory)
        if received is not None:
            connection.answered()
        elif connection.is_new and not watch.has_begun:
            # Closed, by the server or by an interruption.
            interruption.check()
            raise CrowdedError
        return received

    def _wait_for_first(self, sock: socket.socket, timeout: float | None, watch: Watch) -> None:
        """Wait for the first byte on a new connection, unless the server does not serve it."""
        began = time.monotonic()
        look = min(_SECONDS_BETWEEN_LOOKS, math.inf if timeout is None else timeout)
        with self._pace.first_answer() as is_in_vain:
            while not wait_for_read(sock, look):
                now = time.monotonic()
                watch.check(now)
                if is_in_vain():
                    raise CrowdedError(waited_in_vain=True)
                if timeout is not None and now - began >= timeout:
                    raise TimeoutError

    def _connection(self) -> _Connection:
        try:
            connection, last_used = self._free.pop()
        except IndexError:
            return _Connection(self._pace)
        # What has come since then, if not the end, belongs to no request.
        if time.monotonic() - last_used > MAX_IDLE or (
            connection.sock is not None and wait_for_read(connection.sock, 0)
        ):
            connection.close()
        return connection

    def _opened(self, connection: _Connection, timeout: float | None) -> socket.socket | None:
        """Return the socket of a connection, connected where it is not; None if that takes too long."""
        if connection.sock is None:
            try:
                connection.sock = socket.create_connection(self._address, timeout)
            except TimeoutError:
                return None
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection.sock

    def close(self) -> None:
        """Close the connections that are not in use."""
        _close(self._free)


def _request_lines(host: str, port: int, headers: Mapping[str, str]) -> bytes:
    """Return the lines that every request has behind its first."""
    name = f"[{host}]" if ":" in host else host
    given = {"Host": name if port == DEFAULT_PORTS["http"] else f"{name}:{port}"}
    if any(header.lower() == "host" for header in headers):
        given = {}
    return "".join(f"{header}: {value}\r\n" for header, value in {**given, **headers}.items()).encode("latin-1")


def _receive_head(sock: socket.socket, watch: Watch, memory: memoryview) -> tuple[bytes, memoryview] | None:
    """Return the head of a response, and what has come of its body; None if it has no end that is plain."""
    watch.start_head()
    filled = 0
    while filled < len(memory):
        count = watch.receive_into(sock, memory[filled:])
        if not count:
            return None
        end = END.search(memory[: filled + count], max(0, filled - 3))
        filled += count
        if end is not None:
            watch.end_head(sock)
            return bytes(memory[: end.start()]), memory[end.end() : filled]
    return None


def _body(
    sock: socket.socket, watch: Watch, beginning: memoryview, length: int, allocate: BufferProvider
) -> memoryview | None:
    """Read a body of a stated length; return None if it is cut short, or longer than the limit."""
    if length > limits.body_bytes:
        return None
    # Memory for what is longer is taken as it comes, since nothing but the length has come so far.
    grown = bytearray(min(length, AT_ONCE)) if length > AT_ONCE else None
    body = allocate(length) if grown is None else memoryview(grown)
    filled = min(len(beginning), length)
    body[:filled] = beginning[:filled]
    while filled < length:
        if grown is not None and filled == len(grown):
            body.release()
            grown += bytes(min(length - filled, AT_ONCE))
            body = memoryview(grown)
        count = watch.receive_into(sock, body[filled:])
        if not count:
            return None
        filled += count
    return body


def _close(free: deque[tuple[_Connection, float]]) -> None:
    while free:
        free.pop()[0].close()
