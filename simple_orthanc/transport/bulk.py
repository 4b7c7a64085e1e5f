"""Many plain GETs in a row, over connections of their own, each into memory that is used again.

For files of half a megabyte on a fast network, what requests and urllib3 do for each of them takes as long as the
transfer. This is for one case only: http without a proxy, credentials that do not change, an answer 200 with a stated
length. Whatever comes differently is asked for again in the general way, which knows what it means.
"""

from __future__ import annotations

import http.client
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping

from simple_orthanc.transport.connections import MAX_IDLE

BufferProvider = Callable[[int], memoryview]
"""Gives memory of so many bytes; the caller's own, which may be the same each time."""


class Bulk:
    """Kept connections to one server; it may be used from several threads at once.

    Parameters
    ----------
    host, port : str, int
        The server.
    headers : mapping
        Sent with every request.
    """

    def __init__(self, host: str, port: int, headers: Mapping[str, str]) -> None:
        self._host, self._port, self._headers = host, port, dict(headers)
        # Those that are not in use, each with the time since when; the last one used is the first to be used again.
        self._free: deque[tuple[http.client.HTTPConnection, float]] = deque()
        # A session that is dropped without having been closed leaves nothing open.
        weakref.finalize(self, _close, self._free)

    def read(
        self, path: str, allocate: BufferProvider, timeout: tuple[float | None, float | None], part: str | None = None
    ) -> memoryview | None:
        """GET a path into memory; None where anything is not as expected, and nothing is known then.

        Parameters
        ----------
        path : str
            From the root of the host, encoded.
        allocate : callable
            Gives the memory, once the length is known.
        timeout : (float or None, float or None)
            Seconds for connecting, and for each wait for bytes.
        part : str, optional
            The header Range; a server that does not know it gives the whole.

        Raises
        ------
        TimeoutError
            Bytes were waited for too long.
        """
        connection = self._connection(timeout[0])
        complete = False
        try:
            if not _open(connection):
                return None
            connection.sock.settimeout(timeout[1])
            connection.request("GET", path, headers=self._headers if part is None else {**self._headers, "Range": part})
            answer = connection.getresponse()
            length = answer.getheader("Content-Length", "")
            if (
                answer.status != (200 if part is None else 206)
                or not length.isdecimal()
                or answer.getheader("Content-Encoding")
            ):
                return None
            if answer.getheader("Transfer-Encoding"):
                # It says where the body ends, whatever length is stated beside it (RFC 9112, section 6.3).
                return None
            body = allocate(int(length))
            filled = 0
            while filled < len(body):
                count = answer.readinto(body[filled:])
                if not count:
                    return None
                filled += count
            # Lets the connection know that the answer is over.
            complete = not answer.read() and not answer.will_close
            return body
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            return None
        finally:
            if complete:
                self._free.append((connection, time.monotonic()))
            else:
                connection.close()

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        try:
            connection, since = self._free.pop()
        except IndexError:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        if time.monotonic() - since > MAX_IDLE:
            # A closed connection opens itself again.
            connection.close()
        return connection

    def close(self) -> None:
        """Close the connections that are not in use."""
        _close(self._free)


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
