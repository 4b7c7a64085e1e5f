"""One place that runs things side by side: ordered, bounded in memory, ended by Ctrl-C and by the first error."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Orthanc serves fifty requests at once by default; eight keep two cores of a client busy and leave room for others.
WORKERS = 8
_SECONDS_BEFORE_PROGRESS = 1.0
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
        How many threads; with 1 everything runs in the caller's own.
    total : int, optional
        How many items there are, for the progress bar; None shows none.
    label : str
        What the progress bar says.
    """
    meter = Progress(total, label)
    try:
        if workers <= 1:
            for item in items:
                yield meter.step(function(item))
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="simple_orthanc")
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * workers:
                    yield meter.step(waiting.popleft().result())
            while waiting:
                yield meter.step(waiting.popleft().result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    finally:
        meter.close()


def run_all(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int = WORKERS,
    label: str = "",
) -> list[Result]:
    """Call a function for each item in several threads, and give all results in the order of the items.

    For many small calls: the threads take the items themselves, so that the caller's own, which `map_ordered` wakes for
    each result, sleeps until all is done. The first error, or Ctrl-C, is raised once what has begun is over; nothing
    is begun after it.

    Parameters
    ----------
    function, workers, label
        As for `map_ordered`.
    items : sequence
    """
    results: list[Any] = [None] * len(items)
    places = iter(range(len(items)))
    errors: list[BaseException] = []
    meter = Progress(len(items), label)
    # Not `Thread.join`: interrupted, it takes a thread that runs for one that has ended (Python 3.10 to 3.12).
    changed, halted = threading.Event(), threading.Event()
    begun: list[bool] = []
    ended: list[bool] = []

    def work() -> None:
        begun.append(True)
        try:
            # Taking the next place is one step of the interpreter, so that no two threads take the same.
            for place in places:
                if halted.is_set():
                    return
                results[place] = meter.step(function(items[place]))
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
    finally:
        meter.close()
    try:
        if errors:
            raise errors[0]
        return results
    finally:
        # An error refers to this call, and this call to the error: all that `function` holds would stay in memory.
        errors.clear()


class ReusableBuffer(threading.local):
    """Memory that each thread uses again and again, for what it reads and then has done with.

    What is larger than most files of one slice is not kept.
    """

    def __init__(self) -> None:
        self._memory = bytearray()

    def __call__(self, size: int) -> memoryview:
        """Give so many bytes; what was given before is overwritten."""
        if size > _LARGEST_KEPT:
            return memoryview(bytearray(size))
        if len(self._memory) < size:
            self._memory = bytearray(size)
        return memoryview(self._memory)[:size]


def show_progress(shown: bool) -> None:
    """Say whether progress bars are shown, in terminals and notebooks, on what takes more than a second.

    Parameters
    ----------
    shown : bool
        False: none, for all sessions of this program; True: as at the beginning.

    Examples
    --------
    >>> import simple_orthanc
    >>> simple_orthanc.show_progress(False)
    >>> simple_orthanc.show_progress(True)
    """
    Progress.enabled = shown


class Progress:
    """A progress bar that appears after a second, in a terminal or a notebook, and nowhere else."""

    enabled = True

    def __init__(self, total: int | None, label: str) -> None:
        self._total, self._label = total, label
        self._done = 0
        self._began = time.monotonic()
        self._bar: Any = None
        self._lock = threading.Lock()
        self._watched = total is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)

    def step(self, result: Result) -> Result:
        """Count one more, and hand its result on."""
        with self._lock:
            self._done += 1
            if self._bar is None and self._wanted():
                from tqdm.auto import tqdm

                self._bar = tqdm(total=self._total, initial=self._done, desc=self._label, leave=False)
            elif self._bar is not None:
                self._bar.update(1)
        return result

    def _wanted(self) -> bool:
        return self._watched and Progress.enabled and time.monotonic() - self._began > _SECONDS_BEFORE_PROGRESS

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
