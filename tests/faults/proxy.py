"""A proxy on 127.0.0.1 that passes requests on to a server, and breaks those that a fault is aimed at."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.faults.messages import Answer, Connection, Request, ask

Aim = Callable[[Request], bool]


class Exchange:
    """One request to the proxy, and what may become of it."""

    def __init__(self, proxy: Proxy, connection: Connection, request: Request) -> None:
        self.proxy = proxy
        self.connection = connection
        self.request = request
        self.is_over = False

    def answer(self) -> Answer:
        """Have the server carry out the request, and return its answer."""
        self.connection.read_body(self.request)
        return ask(self.proxy.server, self.request)

    def send(self, data: bytes) -> None:
        """Send bytes to the client."""
        self.connection.socket.sendall(data)

    def reply(self, answer: Answer) -> None:
        """Send a proper response."""
        self.connection.read_body(self.request)
        self.send(answer.whole() if self.request.method != "HEAD" else answer.whole()[: -len(answer.body) or None])

    def hang_up(self) -> None:
        """End the connection in an orderly way."""
        self.connection.hang_up()
        self.is_over = True

    def reset(self) -> None:
        """End the connection with a reset."""
        self.connection.reset()
        self.is_over = True

    def pause(self, seconds: float) -> None:
        """Wait, unless the proxy is closed meanwhile."""
        if self.proxy.closing.wait(seconds):
            raise ConnectionError("the proxy is closed")


Act = Callable[[Exchange], None]


@dataclass
class Trouble:
    """What a proxy does to requests.

    Attributes
    ----------
    act : callable
        Called instead of passing a request on.
    aim : callable
        Whether a request is meant.
    skip : int
        So many of them are passed on first.
    times : int or None
        So many of them are broken; None for all.
    sticks : bool
        Whether only requests for the object that was struck first are struck.
    """

    act: Act
    aim: Aim
    skip: int = 0
    times: int | None = None
    sticks: bool = False


class Proxy:
    """A proxy before the server at `server`; its address is `url`.

    Attributes
    ----------
    struck : int
        How many requests were broken.
    swap : callable
        Turns the path of an object into that of another.
    """

    def __init__(self, server: str) -> None:
        self.server = server
        self.closing = threading.Event()
        self.struck = 0
        self.swap: Callable[[str], str] = lambda target: target
        self._trouble: Trouble | None = None
        self._aimed = 0
        self._stuck_to = ""
        self._resets = 0
        self._closes_after_answers = False
        self._lock = threading.Lock()
        self._open: set[Connection] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._start(self._accept, self._listener)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        with self._lock:
            self.closing.set()
            listener = self._listener
        self._end(listener)
        self._drop_connections()

    def make(self, trouble: Trouble) -> None:
        """Break the requests that `trouble` is aimed at, from now on."""
        self._aimed = self.struck = 0
        self._trouble = trouble

    def make_peace(self) -> None:
        """Pass every request on, from now on."""
        self._trouble = None
        self._resets = 0
        self._closes_after_answers = False

    def go_down(self, seconds: float | None) -> None:
        """End all connections and refuse new ones for so long; None for good."""
        with self._lock:
            if self.closing.is_set():
                return
            self._end(self._listener)
            # Bound and not listening: the port stays taken, and connections are refused.
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", self.port))
            listener = self._listener
        self._drop_connections()
        if seconds is not None:
            self._start(self._come_back, listener, seconds)

    def _come_back(self, listener: socket.socket, seconds: float) -> None:
        if self.closing.wait(seconds):
            return
        listener.listen(64)
        self._accept(listener)

    def reset_connections(self, count: int) -> None:
        """Reset the next connections as soon as they are made."""
        self._drop_connections()
        self._resets = count

    def close_after_answers(self) -> None:
        """Close each connection after its answer without a word, as an impatient proxy does with idle ones."""
        self._closes_after_answers = True

    @staticmethod
    def _end(listener: socket.socket) -> None:
        # Wakes the thread that accepts.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    def _drop_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _start(function: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            connection = Connection(plain)
            if self._resets:
                self._resets -= 1
                connection.reset()
            else:
                self._start(self._serve, connection)

    def _serve(self, connection: Connection) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            while request := connection.read_request_head():
                exchange = Exchange(self, connection, request)
                if self._is_struck(request) and self._trouble is not None:
                    self._trouble.act(exchange)
                else:
                    exchange.reply(exchange.answer())
                if exchange.is_over or self._closes_after_answers:
                    return
        except (OSError, ValueError, http.client.HTTPException):
            # The client has gone, or the server.
            return
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.hang_up()

    def _is_struck(self, request: Request) -> bool:
        trouble = self._trouble
        if trouble is None or not trouble.aim(request):
            return False
        with self._lock:
            if trouble.sticks and self._stuck_to:
                return request.path == self._stuck_to
            self._aimed += 1
            number = self._aimed - trouble.skip
            struck = 0 < number <= (number if trouble.times is None else trouble.times)
            self.struck += struck
            self._stuck_to = request.path if struck else ""
        return struck
