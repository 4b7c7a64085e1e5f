"""How many requests a server is sent at a time: few nearby, many over a slow link, and never more than it serves."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from simple_orthanc.concurrency.interruption import Interruption
from simple_orthanc.concurrency.threads import READERS, WORKERS, ReusableBuffer, run_all
from simple_orthanc.transport import Transport, pace
from simple_orthanc.transport.pace import MOST, Pace
from tests.http_stand_in import Asked, StandIn, always, reply

FAR = 0.02


def far_away(round_trip: float = FAR) -> Pace:
    server = Pace()
    for _ in range(3):
        server.answered(round_trip)
    return server


@contextmanager
def under_way(server: Pace, count: int) -> Iterator[None]:
    """Take turns as other threads do."""
    others = set(range(-count, 0))
    server._under_way |= others
    yield
    server._under_way -= others


class Clock:
    """Stands for the module ``time``, and moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock() -> None:
    """Pauses take their time here, in place of the fixture of this name."""


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(pace, "time", moved)
    return moved


@pytest.mark.parametrize(
    ("round_trip", "size", "expected"),
    [
        (None, 1_000, READERS),
        (0.0004, 1_000, READERS),
        (0.0029, 1_000, READERS),
        (FAR, 1_000, MOST),
        (FAR, 100_000, MOST),
        (FAR, 500_000, 6),
        (FAR, 5_000_000, READERS),
        (FAR, 0, MOST),
        (FAR, None, 21),
        (0.3, 5_000_000, 9),
    ],
)
def test_small_files_of_a_server_far_away_are_read_many_at_a_time(
    round_trip: float | None, size: int | None, expected: int
) -> None:
    server = Pace() if round_trip is None else far_away(round_trip)
    assert server.at_once(size) == expected
    # The number for a server nearby is never gone below.
    assert server.at_once(size, WORKERS) == max(expected, WORKERS)


def test_the_shortest_wait_decides_how_far_away_a_server_is() -> None:
    server = Pace()
    for seconds in (0.5, FAR, 3.0):
        assert server.is_nearby
        server.answered(seconds)
    assert not server.is_nearby
    assert server.round_trip == FAR
    server.answered(0.001)
    assert server.is_nearby


def test_requests_that_were_refused_together_halve_their_number_once(moved: Clock) -> None:
    server = far_away()
    with under_way(server, 20):
        assert all(server.refused(moved.now) for _ in range(12))
    assert server.at_once(1000) == 10
    moved.now += 1
    with under_way(server, 10):
        assert server.refused(moved.now)
    assert server.at_once(1000) == 5
    assert server.at_once(1000, nearby=8) == 5


def test_a_request_that_was_alone_was_not_refused_because_of_others(moved: Clock) -> None:
    server = Pace()
    with server.turn():
        assert not server.refused(moved.now)
    assert server.at_once(1000) == READERS


def test_a_server_that_goes_on_answering_is_sent_more_again(moved: Clock) -> None:
    server = far_away()

    def refuse(of: int) -> None:
        with under_way(server, of):
            moved.now += 1
            server.refused(moved.now)

    def answers_until_more() -> int:
        before, count = server.at_once(1000), 0
        while server.at_once(1000) == before:
            server.succeeded()
            count += 1
        return count

    refuse(8)
    first = answers_until_more()
    assert server.at_once(1000) == 5
    refuse(5)
    refuse(2)
    assert server.at_once(1000) == 1
    assert answers_until_more() > first / 4
    for _ in range(100_000):
        server.succeeded()
    assert server.at_once(1000) == MOST


def test_a_server_that_restarts_is_soon_sent_as_many_as_before(moved: Clock) -> None:
    server = far_away()
    for _ in range(10):
        for at_a_time in (16, 8, 4, 2):
            with under_way(server, at_a_time):
                moved.now += 1
                assert server.refused(moved.now)
        assert server.at_once(1000) == 1
        count = 0
        while server.at_once(1000) < READERS:
            server.succeeded()
            count += 1
    assert count <= 2000


def test_only_connections_that_others_have_overtaken_wait_in_vain(moved: Clock) -> None:
    server = Pace()
    with ExitStack() as stack:
        stack.enter_context(under_way(server, 6))
        server.serves(2)
        waiting = [stack.enter_context(server.first_answer()) for _ in range(4)]
        moved.now += 5
        assert not any(is_in_vain() for is_in_vain in waiting)
        for _ in range(13):
            server.succeeded()
        assert all(is_in_vain() for is_in_vain in waiting)
        late = stack.enter_context(server.first_answer())
        for _ in range(13):
            server.succeeded()
        # A slow answer is given a second.
        assert not late()
        assert server.refused(moved.now, waited_in_vain=True)
    assert server.at_once(1000) == 2
    assert not server._under_way


def test_the_last_request_does_not_wait_for_a_connection_that_is_not_served(moved: Clock) -> None:
    server = Pace()
    with server.turn(), server.first_answer() as is_in_vain:
        moved.now += 5
        # Perhaps the server is slow.
        assert not is_in_vain()
        server.succeeded()
        assert is_in_vain()
        server.serves(1)
        assert server.refused(moved.now, waited_in_vain=True)
        assert server.at_once(1000) == 1


def test_no_more_requests_than_the_limit_are_under_way() -> None:
    server = Pace()
    most, lock, under_way = 0, threading.Lock(), 0

    def one(_: int) -> None:
        nonlocal most, under_way
        with server.turn():
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.002)
            with lock:
                under_way -= 1

    run_all(one, range(100), workers=40)
    assert most <= MOST
    assert not server._under_way


def test_waiting_for_a_turn_ends_with_an_interruption() -> None:
    server, interruption = Pace(), Interruption()
    ended = queue.SimpleQueue[bool]()
    with under_way(server, MOST):

        def wait() -> None:
            with interruption:
                try:
                    with server.turn():
                        ended.put(False)
                except KeyboardInterrupt:
                    ended.put(True)

        threading.Thread(target=wait, daemon=True).start()
        interruption.interrupt()
        assert ended.get(timeout=5)


def test_a_transport_measures_how_far_away_its_server_is() -> None:
    def slowly(asked: Asked, count: int) -> bytes:
        time.sleep(0.02)
        return reply({"a": 1})

    with StandIn(slowly) as server, Transport(server.url) as transport:
        assert transport.at_once(1000) == READERS
        for _ in range(3):
            transport.json("GET", "/a")
        assert transport.at_once(1000) == MOST
    with StandIn(slowly) as server, Transport(server.url) as transport:
        for _ in range(3):
            transport.read_into("/a", ReusableBuffer())
        assert transport.at_once(1000) == MOST


def test_json_is_packed_on_a_slow_link_through_a_tunnel() -> None:
    with StandIn(always(reply({"a": 1}))) as server, Transport(server.url) as transport:
        transport.json("GET", "/a")
        transport._sender.pace = far_away()
        # What follows may be answered sooner than the link allows.
        transport._sender.pace.answered = lambda seconds: None  # type: ignore[method-assign]
        transport.json("GET", "/a")
        transport.json_in_a_row("/a", ReusableBuffer())
    assert [asked.headers["accept-encoding"] for asked in server.asked] == ["identity", "gzip", "gzip"]


class Crowded:
    """A server that serves so many connections at once, and does with others as it likes."""

    def __init__(self, most: int, how: str, body: bytes) -> None:
        self._most, self._how, self._answer = most, how, reply(body)
        self._slots = threading.Semaphore(most)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.refused = self.answered = 0
        self.end = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Crowded:
        return self

    def __exit__(self, *_: object) -> None:
        self.end.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            # An idle connection is closed after a moment, as Orthanc does; where others are not served, never.
            connection.settimeout(30 if self._how == "silent" else 0.3)
            if not self._slots.acquire(blocking=False):
                self.refused += 1
                if self._how == "503":
                    connection.recv(1 << 16)
                    connection.sendall(reply(b"busy", 503, {"Connection": "close"}))
                if self._how != "silent":
                    return
                while not self._slots.acquire(timeout=0.1):
                    if self.end.is_set():
                        return
            try:
                while connection.recv(1 << 16):
                    time.sleep(0.02)
                    connection.sendall(self._answer)
                    self.answered += 1
            except OSError:
                return
            finally:
                self._slots.release()


@pytest.mark.parametrize("how", ["closed", "503", "silent"])
@pytest.mark.parametrize("most", [1, 2, 6])
def test_a_server_that_serves_few_connections_answers_everything(how: str, most: int) -> None:
    body = bytes(range(256)) * 40
    with Crowded(most, how, body) as server, Transport(server.url) as transport:
        for _ in range(3):
            transport.read_into("/first", ReusableBuffer())
        assert transport.at_once(len(body)) == MOST
        buffer = ReusableBuffer()

        def read(number: int) -> bool:
            return bytes(transport.read_into(f"/{number}", buffer)) == body

        workers = transport.at_once(len(body))
        assert sum(run_all(read, range(120), workers=workers)) == 120
        assert server.refused
        fewer = transport.at_once(len(body)) < MOST
    assert fewer


def test_all_connections_are_used_where_the_server_serves_them() -> None:
    together, barrier_of = [], threading.Barrier(MOST)

    def script(asked: Asked, count: int) -> bytes:
        if count >= 3:
            # Broken if fewer are asked for at a time.
            together.append(barrier_of.wait(timeout=20))
        else:
            time.sleep(FAR)
        return reply(b"x" * 1000)

    with StandIn(script) as server, Transport(server.url) as transport:
        buffer = ReusableBuffer()
        for _ in range(3):
            transport.read_into("/first", buffer)
        workers = transport.at_once(1000)
        run_all(lambda number: transport.read_into(f"/{number}", buffer), range(MOST), workers=workers)
    assert len(together) == MOST


def test_a_pickled_transport_measures_anew() -> None:
    import pickle

    with StandIn(always(reply({"a": 1}))) as server, Transport(server.url) as transport:
        transport.json("GET", "/a")
        twin = pickle.loads(pickle.dumps(transport))
        assert twin._sender.pace is not transport._sender.pace
        assert twin.at_once(1000) == READERS


def test_what_is_sent_inside_a_turn_needs_no_other() -> None:
    server = Pace()
    server._limit = 1
    with server.turn(), server.turn():
        assert len(server._under_way) == 1
    assert not server._under_way


@pytest.mark.parametrize("how", ["closed", "503"])
def test_json_and_bodies_are_asked_for_as_many_at_a_time_as_are_served(how: str) -> None:
    with Crowded(2, how, b'{"a": 1}') as server, Transport(server.url) as transport:
        transport._sender.pace = far_away()
        expected = [{"a": 1}, b'{"a": 1}']

        def read(number: int) -> bool:
            return [transport.json("GET", f"/{number}"), transport.content("GET", f"/{number}")] == expected

        assert sum(run_all(read, range(40), workers=MOST)) == 40
        assert server.refused
