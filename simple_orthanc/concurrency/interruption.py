"""Ctrl-C reaches the thread of the caller alone; here it also ends what the threads that work for it wait for.

A thread that waits for a socket or a process does not notice that the call it works for is over. So whatever waits
registers how its wait is ended, with `begin` or `ended_by`, and whatever would try again asks `check` first.
Without a call in several threads all of this does nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

_worker = threading.local()


class Interruption:
    """The end of one call in several threads, before it is done.

    Parameters
    ----------
    outer : Interruption, optional
        The interruption of the call that this one is a part of, which ends both.
    """

    def __init__(self, outer: Interruption | None = None) -> None:
        self._happened = threading.Event()
        self._ends: set[Callable[[], object]] = set()
        self._outer = outer
        if outer is not None:
            outer.add(self.interrupt)

    def __enter__(self) -> None:
        """Make this thread one that works for the call."""
        _worker.interruption = self

    def __exit__(self, *_: object) -> None:
        """End that."""
        _worker.interruption = None

    @property
    def happened(self) -> bool:
        """Whether the call was interrupted."""
        return self._happened.is_set()

    def interrupt(self) -> None:
        """End all waits, now and from now on."""
        self._happened.set()
        for end in list(self._ends):
            # What has just ended by itself cannot be ended.
            with suppress(Exception):
                end()

    def add(self, end: Callable[[], object]) -> None:
        """Register a function, called from any thread, that ends a wait.

        Raises
        ------
        KeyboardInterrupt
            If the call was interrupted already.
        """
        self._ends.add(end)
        # Asked afterwards: an interruption in between finds the function registered.
        if self.happened:
            self._ends.discard(end)
            raise KeyboardInterrupt

    def discard(self, end: Callable[[], object]) -> None:
        """Forget a function, whose wait is over."""
        self._ends.discard(end)

    def wait(self, seconds: float) -> bool:
        """Wait for an interruption for at most so many seconds, and return whether it happened."""
        return self._happened.wait(seconds)

    def close(self) -> None:
        """Separate this call from the outer one, since it is over."""
        if self._outer is not None:
            self._outer.discard(self.interrupt)


def current() -> Interruption | None:
    """Return the interruption of the call that this thread works for, or None in any other thread."""
    return getattr(_worker, "interruption", None)


@contextmanager
def users_code() -> Iterator[None]:
    """Mark a block that runs a function of the user: calls inside it count as calls of their own."""
    before = getattr(_worker, "is_users", False)
    _worker.is_users = True
    try:
        yield
    finally:
        _worker.is_users = before


def current_call() -> Interruption | None:
    """Return the interruption of the multi-threaded call that this thread works for, or None.

    Examples
    --------
    >>> with Interruption():
    ...     known = current_call() is None
    ...     with users_code():
    ...         known, current_call() is None
    (False, True)
    """
    return None if getattr(_worker, "is_users", False) else current()


def check() -> None:
    """Raise ``KeyboardInterrupt`` if the call that this thread works for was interrupted."""
    interruption = current()
    if interruption is not None and interruption.happened:
        raise KeyboardInterrupt


def pause(seconds: float) -> None:
    """Wait some seconds; an interruption ends the wait.

    Raises
    ------
    KeyboardInterrupt
        If the call that this thread works for is interrupted.
    """
    interruption = current()
    if interruption is None:
        time.sleep(seconds)
    elif interruption.wait(seconds):
        raise KeyboardInterrupt


class Wait(NamedTuple):
    """One wait of a call in several threads, until it is over."""

    interruption: Interruption
    end: Callable[[], object]

    def over(self) -> None:
        """Note that the wait is over."""
        self.interruption.discard(self.end)


def begin(end: Callable[[], object]) -> Wait | None:
    """Register how a wait is ended that is about to begin; return None if this thread does not work for a call.

    Raises
    ------
    KeyboardInterrupt
        If the call that this thread works for was interrupted already.
    """
    interruption = current()
    if interruption is None:
        return None
    interruption.add(end)
    return Wait(interruption, end)


@contextmanager
def ended_by(end: Callable[[], object]) -> Iterator[None]:
    """Register, for the time of a block, how the wait in it is ended; errors as those of `begin`."""
    wait = begin(end)
    try:
        yield
    finally:
        if wait is not None:
            wait.over()


@contextmanager
def for_at_most(seconds: float) -> Iterator[None]:
    """End the waits in a block, of this thread and of those that work for it, after so many seconds.

    Raises
    ------
    KeyboardInterrupt
        If that happened before the end of the block.
    """
    before = current()
    interruption = Interruption(before)
    timer = threading.Timer(seconds, interruption.interrupt)
    timer.daemon = True
    timer.start()
    try:
        with interruption:
            yield
    finally:
        timer.cancel()
        interruption.close()
        _worker.interruption = before
