"""Work side by side: in order, bounded, ended by the first error and by Ctrl-C; a progress bar only where one looks."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency import threads as workers
from simple_orthanc.concurrency.threads import map_ordered


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 6))
def test_results_come_in_the_order_of_the_items(delays: list[int], count: int) -> None:
    def wait(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 2000)
        return item[0]

    assert list(map_ordered(wait, enumerate(delays), workers=count)) == list(range(len(delays)))


def test_as_many_run_at_once_as_there_are_workers() -> None:
    barrier = threading.Barrier(4, timeout=10)
    assert list(map_ordered(lambda item: barrier.wait() >= 0, range(8), workers=4)) == [True] * 8


def test_one_worker_is_the_callers_own_thread() -> None:
    found = set(map_ordered(lambda item: threading.current_thread(), range(3), workers=1))
    assert found == {threading.current_thread()}


@pytest.mark.parametrize("count", [1, 3])
def test_few_results_wait_and_items_are_taken_as_they_are_needed(count: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = map_ordered(lambda item: item, items(), workers=count)
    assert taken == []
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) <= 5 + 2 * count
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= 5 + 2 * count


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("count", [1, 4])
def test_the_first_error_is_raised_and_what_has_not_begun_is_cancelled(error: BaseException, count: int) -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise error
        time.sleep(0.001)
        return item

    found: list[int] = []
    with pytest.raises(type(error)):
        found.extend(map_ordered(work, range(1000), workers=count))
    assert found == [0, 1, 2]
    assert max(begun) < 3 + 2 * count + 1
    assert not threads()


def test_an_error_of_the_items_themselves_ends_the_work() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(map_ordered(lambda item: item, items(), workers=4))
    assert not threads()


@pytest.mark.parametrize("how", ["close", "interrupt"])
def test_closing_the_iterator_ends_the_work(how: str) -> None:
    running = threading.Event()

    def work(item: int) -> int:
        running.set()
        time.sleep(0.01)
        return item

    results = map_ordered(work, range(1000), workers=4)
    assert next(results) == 0
    if how == "close":
        results.close()  # type: ignore[attr-defined]
    else:
        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
    assert running.is_set()
    assert not threads()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("simple_orthanc")]


def test_run_all_returns_the_results_in_the_order_of_the_items() -> None:
    assert workers.run_all(lambda item: item * 2, range(100), workers=4) == list(range(0, 200, 2))
    assert workers.run_all(lambda item: item, [], workers=4) == []


def test_run_all_ends_at_the_first_error() -> None:
    begun: list[int] = []

    def fail(item: int) -> None:
        begun.append(item)
        if item == 5:
            raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        workers.run_all(fail, range(10_000), workers=2)
    assert len(begun) < 10_000


def test_an_error_keeps_nothing_of_the_work_in_memory() -> None:
    class Large:
        pass

    def fail(large: Large) -> None:
        raise ValueError("no")

    gc.disable()
    try:
        large = Large()
        left = weakref.ref(large)
        with pytest.raises(ValueError, match="no"):
            workers.run_all(fail, [large, large], workers=2)
        del large
        assert left() is None
    finally:
        gc.enable()


def test_a_buffer_is_reused_unless_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_LARGEST_KEPT", 100)
    buffer = workers.ReusableBuffer()
    assert buffer(100).obj is buffer(10).obj
    large = weakref.ref(buffer(101))
    assert large() is None
    assert len(buffer(100).obj) == 100


def to_the_program() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def to_this_thread() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("interrupt", [to_the_program, to_this_thread])
def test_run_all_is_ended_by_ctrl_c(interrupt: Callable[[], None]) -> None:
    begun: list[int] = []
    waiting = threading.Event()

    def slow(item: int) -> None:
        begun.append(item)
        # By then the caller waits for the threads.
        if item == 20:
            waiting.set()
        time.sleep(0.02)

    def press() -> None:
        waiting.wait()
        interrupt()

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        workers.run_all(slow, range(10_000), workers=2)
    count = len(begun)
    assert count < 10_000
    time.sleep(0.1)
    assert len(begun) == count


def many(function: Callable[[int], object], count: int) -> None:
    list(map_ordered(function, range(count), workers=4))


def all_at_once(function: Callable[[int], object], count: int) -> None:
    workers.run_all(function, range(count), workers=4)


BOTH = pytest.mark.parametrize("run", [many, all_at_once])


def all_end() -> bool:
    """Wait until no thread is left; one that Ctrl-C met while it was started ends a moment later."""
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.001)
    return not threads()


def press_once(ready: threading.Event) -> None:
    def press() -> None:
        ready.wait(10)
        to_the_program()

    threading.Thread(target=press).start()


@BOTH
def test_ctrl_c_ends_what_the_threads_wait_for(run: Callable[..., None]) -> None:
    ended, waiting = threading.Event(), threading.Event()

    def wait(item: int) -> None:
        with interruption.ended_by(ended.set):
            waiting.set()
            assert ended.wait(60)
            interruption.check()

    press_once(waiting)
    with pytest.raises(KeyboardInterrupt):
        run(wait, 100)
    assert all_end()


@BOTH
def test_ctrl_c_leaves_behind_what_cannot_be_ended(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_SECONDS_AFTER_INTERRUPTION", 0.01)
    released, waiting = threading.Event(), threading.Event()
    begun: list[int] = []

    def hang(item: int) -> None:
        begun.append(item)
        waiting.set()
        released.wait(60)

    press_once(waiting)
    with pytest.raises(KeyboardInterrupt):
        run(hang, 100)
    assert threads()
    released.set()
    assert all_end()
    assert len(begun) <= 4


@BOTH
def test_ctrl_c_after_an_error_does_not_wait_for_the_others(run: Callable[..., None]) -> None:
    waiting, failed = threading.Event(), threading.Event()

    def fail(item: int) -> None:
        if item == 0:
            waiting.wait(10)
            failed.set()
            raise ValueError("no")
        waiting.set()
        interruption.pause(60)

    press_once(failed)
    with pytest.raises(KeyboardInterrupt):
        run(fail, 4)
    assert all_end()


@BOTH
def test_ctrl_c_ends_calls_in_several_threads_inside_others(run: Callable[..., None]) -> None:
    waiting = threading.Event()

    def wait(item: int) -> None:
        waiting.set()
        interruption.pause(60)

    press_once(waiting)
    with pytest.raises(KeyboardInterrupt):
        run(lambda item: run(wait, 10), 10)
    assert all_end()


@BOTH
def test_a_call_inside_another_returns_no_results_once_both_are_interrupted(run: Callable[..., None]) -> None:
    outer = interruption.Interruption()
    with outer:
        outer.interrupt()
        with pytest.raises(KeyboardInterrupt):
            run(lambda item: item, 10)
