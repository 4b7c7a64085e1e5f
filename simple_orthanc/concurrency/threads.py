"""Calls in several threads: results in order, bounded in memory, ended by Ctrl-C and by the first error."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from simple_orthanc.concurrency.progress import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Orthanc serves fifty requests at once by default; eight keep two cores of a client busy and leave room for others.
WORKERS = 8
_SECONDS_BETWEEN_LOOKS = 0.2
_LARGEST_KEPT = 16 * 1024 * 1024


def map_ordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int = WORKERS,
    total: int | None = None,
    label: str = "",
) -> Iterator[Result]:
    """Call a function for each item in several threads and yield the results in the order of the items.

    At most twice as many results as there are workers wait to be taken. The first error, or Ctrl-C, cancels what has
    not begun and is raised once what has begun is over.

    Parameters
    ----------
    function : callable
        Called with one item, in any thread.
    items : iterable
        Taken as they are needed.
    workers : int
        The number of threads; with 1 everything runs in the thread of the caller.
    total : int, optional
        The number of items, for the progress bar; None shows no bar.
    label : str
        The words before the progress bar.
    """
    with progress_bar(total, label) as advance:
        if workers <= 1:
            for item in items:
                result = function(item)
                advance(1)
                yield result
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="simple_orthanc")
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * workers:
                    result = waiting.popleft().result()
                    advance(1)
                    yield result
            while waiting:
                result = waiting.popleft().result()
                advance(1)
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_all(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int = WORKERS,
    label: str = "",
) -> list[Result]:
    """Call a function for each item in several threads, and return all results in the order of the items.

    For many small calls: the threads take the items themselves, while the thread of the caller, which `map_ordered`
    wakes for each result, sleeps until all is done. With four threads and calls that wait 0.3 ms, a call costs 9 us of
    processor time here, and 42 us there. The first error, or Ctrl-C, is raised once what has begun is over; nothing
    is begun after it.

    Parameters
    ----------
    function, workers, label
        As for `map_ordered`.
    items : sequence
    """
    with progress_bar(len(items), label) as advance:
        return _run_all(function, items, workers, advance)


def _run_all(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, advance: Callable[[int], object]
) -> list[Result]:
    results: list[Any] = [None] * len(items)
    indices = iter(range(len(items)))
    errors: list[BaseException] = []
    # Not `Thread.join`: once interrupted, it takes a running thread for one that has ended (Python 3.10 to 3.12).
    changed, halted = threading.Event(), threading.Event()
    begun: list[bool] = []
    ended: list[bool] = []

    def work() -> None:
        begun.append(True)
        try:
            # Taking the next index is one step of the interpreter, so that no two threads take the same.
            for index in indices:
                if halted.is_set():
                    return
                results[index] = function(items[index])
                advance(1)
        except BaseException as error:  # raised below, in the caller's thread
            errors.append(error)
            halted.set()
        finally:
            ended.append(True)
            changed.set()

    def wait(count: int) -> None:
        while len(ended) < count:
            # Ctrl-C does not end a wait without limit on Windows, nor where another thread received the signal.
            changed.wait(_SECONDS_BETWEEN_LOOKS)
            changed.clear()

    count = min(workers, len(items))
    try:
        for _ in range(count):
            threading.Thread(target=work, name="simple_orthanc", daemon=True).start()
        wait(count)
    except BaseException as error:
        halted.set()
        errors.insert(0, error)
        wait(len(begun))
    try:
        if errors:
            raise errors[0]
        return results
    finally:
        # An error refers to this call, and this call to the error: all that `function` holds would stay in memory.
        errors.clear()


class ReusableBuffer(threading.local):
    """Memory that each thread reuses, for content that it reads and is soon done with.

    Memory for more than most files of one slice is not kept.
    """

    def __init__(self) -> None:
        self._memory = bytearray()

    def __call__(self, size: int) -> memoryview:
        """Return memory of a size in bytes; what this thread was given before is overwritten."""
        if size > _LARGEST_KEPT:
            return memoryview(bytearray(size))
        if len(self._memory) < size:
            self._memory = bytearray(size)
        return memoryview(self._memory)[:size]
