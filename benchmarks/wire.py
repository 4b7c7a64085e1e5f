"""The wire itself: bytes with http.client over kept connections and nothing else."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

CONNECTIONS = 4

Result = TypeVar("Result")


class Wire:
    """Kept connections to one server, one for each thread that uses it, until the end of a ``with`` block.

    Parameters
    ----------
    url : str
        The server's.
    """

    def __init__(self, url: str) -> None:
        self._netloc = urlsplit(url).netloc
        self._own = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def __enter__(self) -> Wire:
        """Return this object."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all connections."""
        for connection in self._opened:
            connection.close()

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request and read the whole answer.

        Raises
        ------
        RuntimeError
            The server answered anything but 200.
        """
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection(self._netloc, timeout=600)
            self._opened.append(connection)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
        except ConnectionError:
            # The server has closed a connection that was kept for too long. These requests may be repeated.
            connection.close()
            connection.request(method, path, body)
            answer = connection.getresponse()
        content: bytes = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
        return content

    def json(self, path: str, body: Any = None) -> Any:
        """GET a path, or POST JSON to it, and parse the answer."""
        if body is None:
            return json.loads(self.ask("GET", path))
        return json.loads(self.ask("POST", path, json.dumps(body).encode()))

    def each(
        self, function: Callable[[str], Result], items: Sequence[str], connections: int = CONNECTIONS
    ) -> list[Result]:
        """Call a function for each item over several connections."""
        with ThreadPoolExecutor(connections) as pool:
            return list(pool.map(function, items))


def file_path(instance: str) -> str:
    """Return the route to the DICOM file of an instance."""
    return f"/instances/{instance}/file"


def read_files(url: str, instances: Sequence[str]) -> int:
    """Read DICOM files and forget them: the floor of everything that needs these bytes.

    Returns
    -------
    int
        How many bytes there were.
    """
    with Wire(url) as wire:
        return sum(wire.each(lambda instance: len(wire.ask("GET", file_path(instance))), instances))


def store(url: str, contents: Sequence[bytes], connections: int = CONNECTIONS) -> None:
    """Store DICOM files, or zips of them."""
    with Wire(url) as wire, ThreadPoolExecutor(connections) as pool:
        list(pool.map(lambda content: wire.ask("POST", "/instances", content), contents))
