"""A link of a chosen rate and round trip between clients and a server, in a process of its own.

All connections share one link. Each direction passes so many bytes a second, in turns of a few kilobytes among the
connections that have something to send, and delivers them half a round trip later. A client that connects waits for a
round trip more, as TCP does. What is not emulated: the slow start of TCP, lost packets, and the heads of packets, which
take 3 to 5 % of a real link. So the link is never worse than a real one of the same figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

RATE = 12.5e6
"""Bytes per second of a link of 100 Mbit/s."""
ROUND_TRIP = 0.02
"""Seconds from a request to the first byte of its answer, without what the server takes."""

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ")
_TURN = 8 << 10
_PIECE = 1 << 16
# Twice what is under way on a link of 100 Mbit/s with 20 ms.
_WINDOW = 1 << 19


@dataclass
class Figures:
    """What has passed over a link.

    Attributes
    ----------
    requests, connections : int
        How many were sent, and opened. Clients write each request's head in one piece.
    most_connections : int
        How many were open at once.
    sent, received : int
        Bytes to the server, and from it.
    processor : float
        Seconds that the link itself has worked.
    """

    requests: int = 0
    connections: int = 0
    most_connections: int = 0
    sent: int = 0
    received: int = 0
    processor: float = 0.0

    def since(self, before: Figures) -> Figures:
        """Return what has passed since figures that were taken before; what was open at once is kept."""
        return Figures(
            self.requests - before.requests,
            self.connections - before.connections,
            self.most_connections,
            self.sent - before.sent,
            self.received - before.received,
            self.processor - before.processor,
        )


class Flow:
    """One direction of one connection: what waits to be sent, is under way, or has arrived and waits for the reader."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.waiting: deque[tuple[float, memoryview]] = deque()
        self.arrived: deque[memoryview] = deque()
        self.held = 0
        self.source_ended = self.ended = False

    @property
    def may_read(self) -> bool:
        """Whether more is taken from the source."""
        return not self.source_ended and not self.ended and self.held < _WINDOW


class Lane:
    """One direction of a link, which all connections share.

    Parameters
    ----------
    rate : float
        Bytes per second.
    delay : float
        Seconds from the last byte's being sent to its arrival.
    """

    def __init__(self, rate: float, delay: float) -> None:
        self._rate, self._delay = rate, delay
        self._free = 0.0
        self._turns: deque[Flow] = deque()
        self._under_way: deque[tuple[float, Flow, memoryview]] = deque()

    def put(self, flow: Flow, content: bytes, now: float) -> None:
        """Take bytes of a connection; none are its end, which arrives behind all others."""
        if not flow.waiting:
            self._turns.append(flow)
        flow.waiting.append((now, memoryview(content)))
        flow.held += len(content)

    def arrivals(self, now: float) -> list[tuple[Flow, memoryview]]:
        """Return what has arrived until now, in order."""
        # Counted from when the link was free, not from now: a late look makes no byte late.
        while self._turns and self._free <= now:
            flow = self._turns.popleft()
            since, content = flow.waiting.popleft()
            turn, rest = content[:_TURN], content[_TURN:]
            if rest:
                flow.waiting.appendleft((since, rest))
            if flow.waiting:
                self._turns.append(flow)
            self._free = max(self._free, since) + len(turn) / self._rate
            self._under_way.append((self._free + self._delay, flow, turn))
        found = []
        while self._under_way and self._under_way[0][0] <= now:
            _, flow, turn = self._under_way.popleft()
            found.append((flow, turn))
        return found

    def next_event(self) -> float | None:
        """Return when there is something to do again; None if nothing is waited for."""
        times = [self._free] if self._turns else []
        times += [self._under_way[0][0]] if self._under_way else []
        return min(times, default=None)


class _Shaper:
    """Passes bytes between clients and a server over two lanes, in one thread."""

    def __init__(self, target: tuple[str, int], rate: float, round_trip: float) -> None:
        self._target, self._round_trip = target, round_trip
        self._up, self._down = Lane(rate, round_trip / 2), Lane(rate, round_trip / 2)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self._flows: dict[Flow, Lane] = {}
        self._connecting: deque[tuple[float, socket.socket]] = deque()
        self.figures = Figures()
        self.port = self._listener.getsockname()[1]

    def run(self, commands: Any, answer: Callable[[str], object]) -> None:
        """Pass bytes until the commands end; any line is answered by the figures."""
        while True:
            now = time.monotonic()
            self._open(now)
            for lane in (self._up, self._down):
                for flow, content in lane.arrivals(now):
                    self._deliver(flow, content)
            readable, _, _ = self._wait(commands, now)
            for sock in readable:
                if sock is commands:
                    if not commands.readline():
                        return
                    self.figures.processor = time.process_time()
                    answer(json.dumps(vars(self.figures)))
                elif sock is self._listener:
                    self._accept()
                else:
                    self._read(sock)

    def _wait(self, commands: Any, now: float) -> tuple[list[Any], list[Any], list[Any]]:
        times = [event for lane in (self._up, self._down) if (event := lane.next_event()) is not None]
        times += [self._connecting[0][0]] if self._connecting else []
        reading = {flow.source: flow for flow in self._flows if flow.may_read}
        writing = {flow.sink: flow for flow in self._flows if flow.arrived}
        timeout = max(0.0, min(times) - now) if times else None
        # Not epoll, whose timeouts are whole milliseconds in Python.
        readable, writable, _ = select.select([commands, self._listener, *reading], list(writing), [], timeout)
        for sock in writable:
            self._write(writing[sock])
        return [reading.get(sock, sock) for sock in readable], [], []

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                # What it sends meanwhile waits in its socket.
                self._connecting.append((time.monotonic() + self._round_trip, client))

    def _open(self, now: float) -> None:
        while self._connecting and self._connecting[0][0] <= now:
            _, client = self._connecting.popleft()
            try:
                server = socket.create_connection(self._target, 5)
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._flows[Flow(client, server)] = self._up
            self._flows[Flow(server, client)] = self._down
            self.figures.connections += 1
            self.figures.most_connections = max(self.figures.most_connections, len(self._flows) // 2)

    def _read(self, flow: Flow) -> None:
        lane = self._flows.get(flow)
        if lane is None:
            return
        try:
            content = flow.source.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if lane is self._up:
            self.figures.requests += content.startswith(_METHODS)
            self.figures.sent += len(content)
        else:
            self.figures.received += len(content)
        flow.source_ended = not content
        lane.put(flow, content, time.monotonic())

    def _deliver(self, flow: Flow, content: memoryview) -> None:
        if not flow.ended:
            flow.arrived.append(content)
            self._write(flow)

    def _write(self, flow: Flow) -> None:
        try:
            while flow.arrived:
                content = flow.arrived[0]
                if not content:
                    self._end(flow)
                    return
                count = flow.sink.send(content)
                flow.held -= count
                if count < len(content):
                    flow.arrived[0] = content[count:]
                    return
                flow.arrived.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._end(flow)

    def _end(self, flow: Flow) -> None:
        """End both directions of a connection: no client of HTTP closes one direction alone."""
        for other in [each for each in self._flows if each.source in (flow.source, flow.sink)]:
            other.ended = True
            other.arrived.clear()
            del self._flows[other]
        for sock in (flow.source, flow.sink):
            sock.close()


class Link:
    """A link between clients and a server.

    Parameters
    ----------
    target : str
        The server's URL.
    rate : float
        Bytes per second, in each direction.
    round_trip : float
        Seconds that a byte and its answer are under way.

    Attributes
    ----------
    url : str
        Where clients connect to, once the link is open.
    """

    def __init__(self, target: str, rate: float = RATE, round_trip: float = ROUND_TRIP) -> None:
        self._target, self.rate, self.round_trip = target, rate, round_trip
        self.url = ""

    def __enter__(self) -> Link:
        """Open the link."""
        words = [self._target, str(self.rate), str(self.round_trip)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.throttle", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = f"http://127.0.0.1:{self._line()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the link and all that is connected."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def figures(self) -> Figures:
        """Return what has passed so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("figures\n")
        self._process.stdin.flush()
        return Figures(**json.loads(self._line()))

    def seconds_for(self, figures: Figures) -> float:
        """Return what the link needs at least for what has passed: the bytes that came, and one round trip."""
        return figures.received / self.rate + self.round_trip

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the link to {self._target} has ended")
        return line.strip()


def main(words: Sequence[str] | None = None) -> None:
    """Be the process of a link: print its port, then its figures for each line of the standard input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throttle", description=__doc__)
    parser.add_argument("target", help="the server's URL")
    parser.add_argument("rate", type=float, help="bytes per second, in each direction")
    parser.add_argument("round_trip", type=float, help="seconds")
    arguments = parser.parse_args(words)
    parts = urlsplit(arguments.target)
    shaper = _Shaper((parts.hostname or "127.0.0.1", parts.port or 80), arguments.rate, arguments.round_trip)
    print(shaper.port, flush=True)
    shaper.run(sys.stdin, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
