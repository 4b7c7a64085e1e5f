"""Many plain GETs in a row, over connections of their own, each into memory that is reused.

For files of half a megabyte on a fast network, what requests and urllib3 do for each of them takes as long as the
transfer. With a pool of urllib3 2.8 instead, a volume of 200 slices of 512 x 512 takes 1.10 times as long from Orthanc
1.10.1 and 1.17 times from 1.12.7 (processor time of this side 1.14 and 1.19 times; medians of 20 interleaved rounds).

This is for one case only: http without a proxy, credentials that do not change, a response 200 with a stated length.
Anything else is asked for again through `Sender.exchange`, which knows what it means.
"""

from __future__ import annotations

import http.client
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

from simple_orthanc import limits
from simple_orthanc.concurrency import interruption
from simple_orthanc.transport.bodies import AT_ONCE
from simple_orthanc.transport.connections import MAX_IDLE, shut
from simple_orthanc.transport.secret import Secret
from simple_orthanc.transport.watching import WatchedResponse

_MOST_DIGITS = 18

BufferProvider = Callable[[int], memoryview]
"""Returns memory of so many bytes: the caller's own, which may be the same each time."""


class _Connection(http.client.HTTPConnection):
    response_class = WatchedResponse


class BulkReader:
    """Kept connections to one server, safe to use from several threads at once.

    Parameters
    ----------
    host, port : str, int
        The server.
    headers : mapping
        Sent with every request.
    """

    def __init__(self, host: str, port: int, headers: Mapping[str, str]) -> None:
        self._host, self._port, self._headers = host, port, Secret(dict(headers))
        # Those that are not in use, each with the time of its last use; the last one used is reused first.
        self._free: deque[tuple[http.client.HTTPConnection, float]] = deque()
        # A session that is deleted without having been closed leaves nothing open.
        weakref.finalize(self, _close, self._free)

    def read(
        self, path: str, allocate: BufferProvider, timeout: tuple[float | None, float | None], part: str | None = None
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
        part : str, optional
            The header Range.

        Raises
        ------
        TimeoutError
            If no byte came in time.
        """
        interruption.check()
        connection = self._connection(timeout[0])
        wait: interruption.Wait | None = None
        complete = False
        try:
            if not _open(connection):
                return None
            connection.sock.settimeout(timeout[1])
            wait = interruption.begin(partial(shut, connection.sock))
            own = {} if part is None else {"Range": part}
            connection.request("GET", path, headers={**self._headers.reveal(), **own})
            response = connection.getresponse()
            length = response.getheader("Content-Length", "")
            if (
                response.status != (200 if part is None else 206)
                or not length.isdecimal()
                # As a string, since the number may have any number of digits.
                or len(length) > _MOST_DIGITS
                or response.getheader("Content-Encoding")
            ):
                return None
            if response.getheader("Transfer-Encoding"):
                # It decides where the body ends, whatever length is stated beside it (RFC 9112, section 6.3).
                return None
            body = _body(response, int(length), allocate)
            if body is None:
                return None
            # Tells the connection that the response is over.
            complete = not response.read() and not response.will_close
            return body
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            return None
        finally:
            if wait is not None:
                wait.over()
            if complete:
                self._free.append((connection, time.monotonic()))
            else:
                connection.close()

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        try:
            connection, last_used = self._free.pop()
        except IndexError:
            return _Connection(self._host, self._port, timeout=timeout)
        if time.monotonic() - last_used > MAX_IDLE:
            # A closed connection opens itself again.
            connection.close()
        return connection

    def close(self) -> None:
        """Close the connections that are not in use."""
        _close(self._free)


def _body(response: http.client.HTTPResponse, length: int, allocate: BufferProvider) -> memoryview | None:
    """Read a body of a stated length; return None if it is cut short, or longer than the limit."""
    if length > limits.body_bytes:
        return None
    # Memory for what is longer is taken as it comes, since nothing but the length has come so far.
    grown = bytearray(min(length, AT_ONCE)) if length > AT_ONCE else None
    body = allocate(length) if grown is None else memoryview(grown)
    filled = 0
    while filled < length:
        if grown is not None and filled == len(grown):
            body.release()
            grown += bytes(min(length - filled, AT_ONCE))
            body = memoryview(grown)
        count = response.readinto(body[filled:])
        if not count:
            return None
        filled += count
    return body


def _close(free: deque[tuple[http.client.HTTPConnection, float]]) -> None:
    while free:
        free.pop()[0].close()


def _open(connection: http.client.HTTPConnection) -> bool:
    if connection.sock is None:
        try:
            connection.connect()
        except OSError:
            return False
    return True
