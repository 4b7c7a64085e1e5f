"""Work that is done ahead of the loop which takes its results: in order, and bounded by the bytes that wait for it."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from simple_orthanc.concurrency.interruption import Interruption, check
from simple_orthanc.concurrency.progress import in_background
from simple_orthanc.concurrency.threads import Crew

Result = TypeVar("Result")

_SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Sized(Generic[Result]):
    """A result, and the bytes of memory that it takes."""

    result: Result
    bytes: int


@dataclass(frozen=True)
class Job(Generic[Result]):
    """Work with some results.

    Attributes
    ----------
    bytes : int
        Of memory that it probably takes, while it is done and afterwards.
    work : callable
        Returns the results.
    """

    bytes: int
    work: Callable[[], list[Sized[Result]]]


class Ahead(Iterator[Result], Generic[Result]):
    """The results of jobs, which other threads do while earlier results are used.

    A job begins if the results that wait to be taken, and the jobs that are being done, leave room for it; the next one
    that is waited for begins in any case. A result that was taken is the caller's. No thread waits for room: it ends,
    and taking a result starts the next one.

    The end of the iterator, which may be that of the loop that uses it, ends the jobs, and Ctrl-C while one waits for
    a result does too. An error of a job is raised in place of its results, and ends the others.

    Parameters
    ----------
    jobs : iterator of Job
        Taken as they are needed, by one thread at a time.
    most : int
        Bytes that may be held ahead.
    workers : int
        Jobs that are done at a time.

    Examples
    --------
    >>> jobs = (Job(8, lambda number=number: [Sized(number**2, 8)]) for number in range(4))
    >>> with Ahead(jobs, most=16, workers=2) as squares:
    ...     print(list(squares))
    [0, 1, 4, 9]
    """

    def __init__(self, jobs: Iterator[Job[Result]], most: int, workers: int) -> None:
        self._line = _Line[Result](jobs, most, workers)
        # The threads hold the line, and not this object, so that they end when nobody uses it any more.
        self._finish = weakref.finalize(self, self._line.interrupt)
        self._finish.atexit = False

    def __next__(self) -> Result:
        """Return the next result, and wait for it if need be."""
        try:
            return self._line.take()
        except StopIteration:
            raise
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Ahead[Result]:
        """Return the iterator itself, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the jobs."""
        self.close()

    @property
    def held(self) -> int:
        """Bytes that are held ahead, and those that the jobs that are being done probably take."""
        return self._line.held

    def close(self) -> None:
        """End the jobs, and forget the results that were not taken."""
        self._finish.detach()
        self._line.end()


@dataclass
class _Slot(Generic[Result]):
    """The place of a job in the line."""

    job: Job[Result] | None
    bytes: int
    results: deque[Sized[Result]] = field(default_factory=deque)
    error: BaseException | None = None
    is_done: bool = False


class _Line(Generic[Result]):
    """The jobs that were begun, in order, and the threads that do them."""

    def __init__(self, jobs: Iterator[Job[Result]], most: int, workers: int) -> None:
        self._jobs, self._most, self._workers = jobs, most, workers
        # Results may be taken by a later call than the one that made this, so its interruption is not used.
        self._crew = Crew(Interruption())
        self._changed = threading.Condition()
        # Taking a job may take requests, for which the threads wait that take the next one, and nobody else.
        self._taking = threading.Lock()
        self._next: Job[Result] | None = None
        self._slots: deque[_Slot[Result]] = deque()
        self._running = 0
        self._is_waited_for = self._is_complete = self._is_ended = False
        self.held = 0

    # In the thread of the caller

    def take(self) -> Result:
        with self._changed:
            while not self._is_ended:
                slot = self._slots[0] if self._slots else None
                if slot is not None and slot.results:
                    return self._taken(slot)
                if slot is not None and slot.is_done:
                    self._slots.popleft()
                    if slot.error is not None:
                        self._raise(slot)
                    continue
                if slot is None and self._is_complete and not self._running:
                    raise StopIteration
                self._is_waited_for = slot is None
                self._start()
                # Ctrl-C does not end a wait without limit on Windows.
                self._changed.wait(_SECONDS_BETWEEN_LOOKS)
                check()
            raise StopIteration

    def _taken(self, slot: _Slot[Result]) -> Result:
        taken = slot.results.popleft()
        self.held -= taken.bytes
        self._start()
        return taken.result

    def _raise(self, slot: _Slot[Result]) -> None:
        error, slot.error = slot.error, None
        self._is_complete = True
        assert error is not None
        try:
            raise error
        finally:
            # The error refers to this call, and this call to the error.
            del error

    def _start(self) -> None:
        """Start a thread if there may be work for one more."""
        if self._running < self._workers and not self._is_complete and self._has_room(self._next):
            # The loop that takes the results may show its own.
            with in_background():
                try:
                    self._crew.start(self._work)
                except RuntimeError:
                    # The system cannot start another thread; those that run continue.
                    if not self._running:
                        raise
                else:
                    self._running += 1

    def _has_room(self, job: Job[Result] | None) -> bool:
        is_first = not self._slots and self._is_waited_for
        return job is None or is_first or self.held + job.bytes <= self._most

    def end(self) -> None:
        with self._changed:
            self._is_complete = self._is_ended = True
        self._crew.end()
        self._crew.interruption.close()
        with self._changed:
            self._slots.clear()
            self._next, self._jobs = None, iter(())

    def interrupt(self) -> None:
        """End the jobs without waiting for their threads: from wherever Python collects what is not used any more."""
        self._is_complete = True
        self._crew.interruption.interrupt()
        self._crew.interruption.close()

    # In the other threads

    def _work(self) -> None:
        is_over = False
        try:
            while (slot := self._begin()) is not None:
                self._carry_out(slot)
            is_over = True
        finally:
            # `_begin` has counted a thread that found nothing to do.
            if not is_over:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

    def _begin(self) -> _Slot[Result] | None:
        with self._taking:
            error: BaseException | None = None
            if self._next is None and not self._is_complete:
                try:
                    self._next = next(self._jobs, None)
                except BaseException as failure:  # raised in the caller's thread
                    error = failure
            with self._changed:
                if error is not None:
                    self._slots.append(_Slot(None, 0, error=error, is_done=True))
                job, is_over = self._next, self._next is None
                if is_over or self._is_complete or not self._has_room(job):
                    self._is_complete = self._is_complete or is_over
                    self._running -= 1
                    self._changed.notify_all()
                    return None
                assert job is not None
                slot = _Slot(job, job.bytes)
                self._slots.append(slot)
                self.held += job.bytes
                self._next, self._is_waited_for = None, False
                # Another thread may find room for the job behind this one.
                self._start()
                return slot

    def _carry_out(self, slot: _Slot[Result]) -> None:
        results: list[Sized[Result]] = []
        error: BaseException | None = None
        assert slot.job is not None
        try:
            results = slot.job.work()
        except BaseException as failure:  # raised in the caller's thread
            error = failure
        with self._changed:
            # What the work holds is not kept with its results.
            slot.job, slot.error, slot.is_done = None, error, True
            slot.results.extend(results)
            self.held += sum(each.bytes for each in results) - slot.bytes
            if error is not None:
                self._is_complete = True
            self._changed.notify_all()
