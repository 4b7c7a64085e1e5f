"""Work ahead of a loop: in order, bounded by bytes, ended with the loop, by errors and by Ctrl-C."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.ahead import Ahead, Job, Sized
from simple_orthanc.concurrency.threads import Crew


def crews() -> int:
    return sum(thread.name == "simple_orthanc" for thread in threading.enumerate())


def wait_until(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def squares(count: int, size: int = 8) -> Iterator[Job[int]]:
    return (Job(size, lambda number=number: [Sized(number**2, size)]) for number in range(count))  # type: ignore[misc]


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=20), st.integers(1, 4), st.integers(0, 40))
def test_results_come_in_the_order_of_the_jobs(items: list[list[int]], workers: int, most: int) -> None:
    def work(delays: list[int], index: int) -> list[Sized[tuple[int, int]]]:
        time.sleep(sum(delays) / 5000)
        return [Sized((index, delay), delay) for delay in delays]

    jobs = (
        Job(sum(delays), lambda delays=delays, index=index: work(delays, index))  # type: ignore[misc]
        for index, delays in enumerate(items)
    )
    with Ahead(jobs, most, workers) as results:
        assert list(results) == [(index, delay) for index, delays in enumerate(items) for delay in delays]
        assert results.held == 0


@pytest.mark.parametrize(("most", "reached"), [(0, 10), (9, 10), (35, 30), (1000, 200)])
def test_what_waits_is_bounded_by_bytes(most: int, reached: int) -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def work(number: int) -> list[Sized[int]]:
        with lock:
            begun.append(number)
        return [Sized(number, 10)]

    jobs = (Job(10, lambda number=number: work(number)) for number in range(20))  # type: ignore[misc]
    with Ahead(jobs, most, workers=3) as results:
        for taken, number in enumerate(results, 1):
            assert number == taken - 1
            # The next ones are begun as far as there is room, and no more.
            room = min(20, taken + most // 10)
            assert wait_until(lambda room=room: len(begun) >= room)  # type: ignore[misc]
            time.sleep(0.002)
            assert len(begun) <= max(room, taken)
            assert results.held <= min(most, reached)


def test_a_result_counts_with_the_bytes_that_it_takes() -> None:
    jobs = (Job(1, lambda: [Sized("large", 100)]) for _ in range(5))
    with Ahead(jobs, most=150, workers=1) as results:
        assert next(results) == "large"
        assert wait_until(lambda: results.held == 200 and not crews())
        assert list(results) == ["large"] * 4


def test_jobs_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def jobs() -> Iterator[Job[int]]:
        for number in range(100):
            taken.append(number)
            yield Job(10, lambda number=number: [Sized(number, 10)])  # type: ignore[misc]

    results = Ahead(jobs(), most=30, workers=2)
    assert taken == []
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert wait_until(lambda: not crews())
    assert len(taken) <= 3 + 3 + 1
    results.close()
    assert list(results) == []


def blocking(started: threading.Event) -> Iterator[Job[int]]:
    """Jobs of which the second waits until it is interrupted, as one that waits for a server does."""

    def wait() -> list[Sized[int]]:
        started.set()
        interruption.pause(600)
        raise AssertionError("waited to the end")

    yield Job(1, lambda: [Sized(1, 1)])
    yield Job(1, wait)


def leave_by_break(started: threading.Event) -> None:
    for _ in Ahead(blocking(started), 100, 2):
        assert started.wait(10)
        break


def leave_by_error(started: threading.Event) -> None:
    def loop() -> None:
        for _ in Ahead(blocking(started), 100, 2):
            assert started.wait(10)
            raise ValueError("of the loop")

    # What keeps the error keeps the frame of the loop, but not what it iterates over.
    with pytest.raises(ValueError, match="of the loop") as kept:
        loop()
    assert wait_until(lambda: not crews())
    del kept


def leave_by_block(started: threading.Event) -> None:
    with Ahead(blocking(started), 100, 2) as results:
        assert next(results) == 1
        assert started.wait(10)
    assert list(results) == []


def leave_by_collection(started: threading.Event) -> None:
    results = [Ahead(blocking(started), 100, 2)]
    assert next(results[0]) == 1
    assert started.wait(10)
    # In a circle, so that only the collector finds it.
    results.append(results)  # type: ignore[arg-type]
    del results
    gc.collect()


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_error, leave_by_block, leave_by_collection])
def test_leaving_a_loop_ends_what_has_begun(leave: Callable[[threading.Event], None]) -> None:
    leave(threading.Event())
    assert wait_until(lambda: not crews())


def test_ctrl_c_ends_what_has_begun() -> None:
    started, ready = threading.Event(), threading.Event()
    results = Ahead(blocking(started), 100, 1)
    assert next(results) == 1

    def press() -> None:
        assert started.wait(10)
        assert ready.wait(10)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    def take() -> int:
        ready.set()
        return next(results)

    threading.Thread(target=press).start()
    # Ready inside the block, since a Ctrl-C that comes early must not end the tests.
    with pytest.raises(KeyboardInterrupt):
        take()
    assert wait_until(lambda: not crews())
    assert list(results) == []


def test_the_interruption_of_an_outer_call_ends_what_has_begun() -> None:
    started, errors = threading.Event(), list[BaseException]()

    def outer() -> None:
        try:
            list(Ahead(blocking(started), 100, 2))
        except BaseException as error:  # looked at below
            errors.append(error)

    crew = Crew()
    crew.start(outer)
    assert started.wait(10)
    crew.end()
    assert wait_until(lambda: not crews())
    assert [type(error) for error in errors] == [KeyboardInterrupt]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_comes_in_its_turn_and_ends_the_rest(error: BaseException) -> None:
    begun: list[int] = []

    def work(number: int) -> list[Sized[int]]:
        begun.append(number)
        if number == 2:
            raise error
        return [Sized(number, 10)]

    results = Ahead((Job(10, lambda number=number: work(number)) for number in range(50)), 20, 2)  # type: ignore[misc]
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(type(error)):
        next(results)
    assert list(results) == []
    assert len(begun) < 10


def test_an_error_while_jobs_are_taken_comes_in_its_turn() -> None:
    def jobs() -> Iterator[Job[int]]:
        yield Job(1, lambda: [Sized(1, 1)])
        raise ValueError("no more")

    results = Ahead(jobs(), 100, 2)
    assert next(results) == 1
    with pytest.raises(ValueError, match="no more"):
        next(results)


def test_several_loops_at_once_and_inside_each_other() -> None:
    one, other = Ahead(squares(30), 100, 2), Ahead(squares(30), 100, 2)
    assert list(zip(one, other, strict=True)) == [(number**2, number**2) for number in range(30)]

    def inner(number: int) -> list[Sized[int]]:
        return [Sized(sum(Ahead(squares(number), 100, 2)), 8)]

    nested = Ahead((Job(8, lambda number=number: inner(number)) for number in range(8)), 100, 2)  # type: ignore[misc]
    assert list(nested) == [sum(each**2 for each in range(number)) for number in range(8)]
    assert wait_until(lambda: not crews())


def test_no_results_are_no_results() -> None:
    assert list(Ahead(iter(()), 100, 2)) == []
    assert list(Ahead(iter([Job(5, list), Job(5, list)]), 0, 2)) == []


@pytest.mark.parametrize("possible", [1, 2])
def test_threads_that_cannot_be_started_are_not_waited_for(monkeypatch: pytest.MonkeyPatch, possible: int) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def start_some(thread: threading.Thread) -> None:
        if thread.name == "simple_orthanc":
            if len(started) >= possible:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    assert list(Ahead(squares(4), 100, 3)) == [0, 1, 4, 9]
    assert len(started) == possible


def test_without_any_thread_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        next(Ahead(squares(4), 100, 3))


def test_another_call_goes_on_with_what_an_interrupted_one_has_begun() -> None:
    first = interruption.Interruption()
    with first:
        results = Ahead(squares(6), 8, 1)
        assert next(results) == 0
    first.interrupt()
    assert list(results) == [1, 4, 9, 16, 25]
