"""A scripted HTTP server on 127.0.0.1, which can also do what no decent server does: drop, cut short, redirect away."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from simple_orthanc.concurrency import interruption
from simple_orthanc.transport import patience


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


Script = Callable[[Asked, int], "bytes | None"]


def reply(
    body: object = b"",
    status: int = 200,
    headers: dict[str, str] | None = None,
    *,
    length: int | None = None,
    chunked: bool = False,
) -> bytes:
    """An answer as it goes over the wire. `length` announces another length than the body has."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Some Reason"]
    given = dict(headers or {})
    if not isinstance(body, bytes):
        given.setdefault("Content-Type", "application/json")
    if chunked:
        given["Transfer-Encoding"] = "chunked"
        pieces = [payload[start : start + 1000] for start in range(0, len(payload), 1000)]
        payload = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        given["Content-Length"] = str(len(payload) if length is None else length)
    lines += [f"{name}: {value}" for name, value in given.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + payload


class StandIn:
    """Answers the n-th request (from 0) with what ``script(asked, n)`` returns; None closes the connection unanswered.

    A connection is closed after an answer with the header ``X-Close: yes``, and after `idle` seconds without a request.
    The first `deaf` connections are closed as soon as they are accepted; each request is read after `slow` seconds.
    """

    def __init__(
        self,
        script: Script,
        *,
        deaf: int = 0,
        idle: float = 10.0,
        slow: float = 0.0,
        certificate: tuple[Path, Path] | None = None,
        port: int = 0,
    ) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self._deaf, self._idle, self._slow = deaf, idle, slow
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self.port}"
        self._start(self._accept)

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _start(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number = self.connections
            self.connections += 1
            if number < self._deaf:
                connection.close()
            else:
                self._start(self._serve, connection, number)

    def _serve(self, plain: socket.socket, number: int) -> None:
        connection = plain
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(plain, server_side=True)
            with self._lock:
                self._open.add(connection)
            connection.settimeout(self._idle)
            with connection.makefile("rb") as file:
                while self._one(connection, file, number):
                    pass
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()
            plain.close()

    def _one(self, connection: socket.socket, file: BinaryIO, number: int) -> bool:
        if self._slow:
            time.sleep(self._slow)
        first = file.readline().decode("latin-1").split()
        if len(first) < 2:
            return False
        headers: dict[str, str] = {}
        while line := file.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        asked = Asked(first[0], first[1], headers, file.read(int(headers.get("content-length", 0))), number)
        with self._lock:
            count = len(self.asked)
            self.asked.append(asked)
        answer = self.script(asked, count)
        if answer is None:
            return False
        connection.sendall(answer)
        return b"X-Close: yes" not in answer


def always(answer: bytes | None) -> Script:
    return lambda asked, count: answer


def in_turn(*answers: bytes | None) -> Script:
    """Return one answer after the other, the last one for ever."""
    return lambda asked, count: answers[min(count, len(answers) - 1)]


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class QuickClock:
    """A clock that only pauses move on, so that they take no time.

    Attributes
    ----------
    waited : list of float
        The pauses so far, in seconds.
    """

    def __init__(self) -> None:
        self.waited: list[float] = []

    def monotonic(self) -> float:
        return sum(self.waited)

    def pause(self, seconds: float) -> None:
        interruption.check()
        self.waited.append(seconds)


def make_environment_plain(monkeypatch: pytest.MonkeyPatch) -> QuickClock:
    """Wait by a clock of its own, and ignore proxies and certificate bundles of the environment."""
    clock = QuickClock()
    monkeypatch.setattr(patience, "monotonic", clock.monotonic)
    monkeypatch.setattr(interruption, "pause", clock.pause)
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name)
    return clock
