"""HTTP messages, read from sockets and written to them byte by byte, so that they can be written wrongly too."""

from __future__ import annotations

import http.client
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

# These describe one connection, and are written anew for the next one.
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass
class Request:
    """A request as it arrived; `body` is None until it has been read."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True)
class Answer:
    """A response, without the headers that describe how it is transferred."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def head(self, *lines: str) -> bytes:
        """Return status line and headers, with further header lines."""
        named = [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([f"HTTP/1.1 {self.status} Reason", *named, *lines]).encode("latin-1") + b"\r\n\r\n"

    def whole(self, length: int | None = None) -> bytes:
        """Return the response with a Content-Length, which may be wrong."""
        return self.head(f"Content-Length: {len(self.body) if length is None else length}") + self.body

    def chunked(self, *, ended: bool = True) -> bytes:
        """Return the response in chunks, with or without the last one."""
        chunk = b"%x\r\n%s\r\n" % (len(self.body), self.body) if self.body else b""
        return self.head("Transfer-Encoding: chunked") + chunk + (b"0\r\n\r\n" if ended else b"")

    def cut(self, share: float = 0.6) -> Answer:
        """Return the response with only the first part of its body."""
        return replace(self, body=self.body[: int(len(self.body) * share)])

    def with_headers(self, **headers: str) -> Answer:
        """Return the response with other headers; underscores in their names are hyphens."""
        return replace(
            self, headers={**self.headers, **{name.replace("_", "-"): text for name, text in headers.items()}}
        )


class Connection:
    """A socket that is read by lines and lengths."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain
        self._buffer = b""

    def read_request_head(self) -> Request | None:
        """Read up to the body of a request; None if the other side is done."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._receive():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        return Request(method, target, {name.strip().lower(): value.strip() for name, _, value in pairs})

    def read_body(self, request: Request) -> bytes:
        """Read the body of a request, which is kept in it."""
        if request.body is None:
            if "chunked" in request.headers.get("transfer-encoding", ""):
                request.body = b"".join(iter(self._read_chunk, b""))
            else:
                request.body = self._read_exactly(int(request.headers.get("content-length", 0)))
        return request.body

    def _read_chunk(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._receive_more()
        size, _, self._buffer = self._buffer.partition(b"\r\n")
        return self._read_exactly(int(size, 16) + 2)[:-2]

    def _read_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._receive_more()
        content, self._buffer = self._buffer[:count], self._buffer[count:]
        return content

    def _receive_more(self) -> None:
        if not self._receive():
            raise ConnectionError("the request is incomplete")

    def _receive(self) -> bool:
        received = self.socket.recv(1 << 16)
        self._buffer += received
        return bool(received)

    def hang_up(self) -> None:
        """End the connection in an orderly way."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def reset(self) -> None:
        """End the connection with a reset instead of an end."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def ask(root: str, request: Request) -> Answer:
    """Send a request to the server at `root` over a connection of its own, and return its whole answer."""
    connection = http.client.HTTPConnection(urlsplit(root).netloc, timeout=60)
    headers = {name: value for name, value in request.headers.items() if name not in (*HOP_BY_HOP, "host")}
    try:
        connection.request(request.method, request.target, request.body or None, headers)
        response = connection.getresponse()
        kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
        return Answer(response.status, response.read(), kept)
    finally:
        connection.close()
