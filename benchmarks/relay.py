"""A relay between a client and a server that counts requests and bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ")


class Relay:
    """Passes bytes between clients and a server, and counts requests and answered bytes.

    Parameters
    ----------
    target : str
        The server's URL.

    Attributes
    ----------
    url : str
        Where clients connect to.
    requests : int
        How many were sent. Clients write each request's head in one piece, after the answer to the one before.
    received : int
        Bytes the server answered, with the heads of its answers.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        self.received = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Relay:
        """Start to listen."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, asking: bool) -> None:
        # Either side may close at any time; the other is then closed too.
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                with self._lock:
                    if asking:
                        self.requests += piece.startswith(_METHODS)
                    else:
                        self.received += len(piece)
                sink.sendall(piece)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()
