"""How far away a server is, and how many requests it is sent at a time.

From a server nearby, a few requests at a time bring files as quickly as the server reads them, and more only wait for
each other. Over a link on which each answer takes 20 ms, a small file is waited for ten times as long as it is on its
way. So there as many requests are under way as fill the link, up to `MOST`: Orthanc serves fifty connections at once,
to all its users together.

A server or a proxy may serve fewer, and close, refuse or not answer the other connections. Then fewer requests are
sent at a time from there on, slowly more again, and what was refused is sent again.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.threads import READERS

MOST = 24
"""How many requests are sent at a time at most."""

# Seconds: local networks answer sooner.
_NEARBY = 0.003
# So many answers are measured before a server is taken for far away: one alone may have been slow.
_MEASURED = 3
# Bytes per second of the quickest link that is expected, 1 Gbit/s.
_QUICKEST = 125e6
_USUAL_SIZE = 1 << 17
_SECONDS_BETWEEN_LOOKS = 0.2
# A connection that is not served is told from a slow answer by what has been answered meanwhile.
_PATIENCE = 1.0
_ANSWERS_MEANWHILE = 2
# After so many answers for each request at a time there may be one more; after each refusal, after twice as many. Those
# without an answer between them count once: a server that restarts refuses everything for a while.
_PROVEN, _MOST_PROVEN = 8, 256


class Pace:
    """How many requests one server is sent at a time, which several threads ask.

    Attributes
    ----------
    round_trip : float
        The fewest seconds from a request to the first byte of its answer so far; infinite before the first.
    """

    def __init__(self) -> None:
        self.round_trip = math.inf
        self._measured = 0
        self._changed = threading.Condition(threading.Lock())
        # The threads that have a turn. Adding and discarding are single steps of the interpreter.
        self._under_way: set[int] = set()
        self._turn = _Turn(self)
        self._limit, self._waiting = MOST, 0
        # Connections that have been answered, and requests that wait on one that has not.
        self._served = self._unserved = 0
        self._answers = self._answers_since = 0
        # When there were fewer last, and how many answers had come then.
        self._reduced, self._answers_before = -math.inf, -1
        self._proven = _PROVEN

    @property
    def is_nearby(self) -> bool:
        """Whether the server answers as quickly as one in the local network, or has hardly been asked yet."""
        return self.round_trip < _NEARBY or self._measured < _MEASURED

    def at_once(self, size: int | None = None, nearby: int = READERS) -> int:
        """Return how many requests are best sent at a time.

        Parameters
        ----------
        size : int, optional
            Bytes of one answer; by default those of a slice of 256 x 256.
        nearby : int
            How many are best for a server nearby.

        Examples
        --------
        >>> pace = Pace()
        >>> pace.at_once(10_000)
        4
        >>> for seconds in (0.3, 0.02, 0.02):
        ...     pace.answered(seconds)
        >>> pace.at_once(10_000), pace.at_once(500_000)
        (24, 6)
        """
        if self.is_nearby:
            return min(nearby, self._limit)
        filling = 1 + math.ceil(self.round_trip * _QUICKEST / max(_USUAL_SIZE if size is None else size, 1))
        return min(max(nearby, filling), MOST, self._limit)

    def answered(self, seconds: float) -> None:
        """Note how long the first byte of an answer was waited for."""
        self.round_trip = min(self.round_trip, seconds)
        self._measured += 1

    def turn(self) -> AbstractContextManager[None]:
        """Wait until one more request may be sent, for the time of a block.

        What is sent inside, as by a function that asks for a token, is part of it.

        Raises
        ------
        KeyboardInterrupt
            If the call that this thread works for is interrupted meanwhile.
        """
        return nullcontext() if threading.get_ident() in self._under_way else self._turn

    def _begin(self) -> None:
        # Nearly always there is room, which is seen without the lock.
        if self._limit == MOST and len(self._under_way) < MOST // 2:
            self._under_way.add(threading.get_ident())
            return
        with self._changed:
            self._waiting += 1
            try:
                while len(self._under_way) >= self._limit:
                    self._changed.wait(_SECONDS_BETWEEN_LOOKS)
                    interruption.check()
                self._under_way.add(threading.get_ident())
            finally:
                self._waiting -= 1

    def _end(self) -> None:
        self._under_way.discard(threading.get_ident())
        if self._waiting:
            with self._changed:
                self._changed.notify()

    def succeeded(self) -> None:
        """Note that a request was answered, in its turn."""
        # A few that are lost between threads change nothing.
        self._answers += 1
        if self._limit == MOST:
            return
        with self._changed:
            self._answers_since += 1
            if self._answers_since >= self._proven * self._limit:
                self._limit, self._answers_since = self._limit + 1, 0
                self._changed.notify()

    def refused(self, began: float, waited_in_vain: bool = False) -> bool:
        """Note that a request which `began` then was not served; return whether those beside it may be the reason.

        In the turn of the request. Those that were sent together are refused together, so that only the first of them
        changes how many are sent.

        Parameters
        ----------
        began : float
            By the clock of ``time.monotonic``.
        waited_in_vain : bool
            Whether other connections are served, and this one is not; else the server has refused it.
        """
        with self._changed:
            if began <= self._reduced:
                return True
            if len(self._under_way) < 2 and not waited_in_vain:
                return False
            fewer = self._served if waited_in_vain else len(self._under_way) // 2
            self._limit = max(1, min(self._limit, fewer))
            if self._answers != self._answers_before:
                self._proven = min(2 * self._proven, _MOST_PROVEN)
            self._answers_since, self._answers_before, self._reduced = 0, self._answers, time.monotonic()
            return True

    def serves(self, count: int) -> None:
        """Note that the server serves a connection more or less: one that has been answered, or that is closed."""
        with self._changed:
            self._served += count

    @contextmanager
    def first_answer(self) -> Iterator[Callable[[], bool]]:
        """Wait inside the block for the first answer on a new connection.

        Orthanc has one thread for each connection that it serves, and accepts others without serving them.

        Yields
        ------
        callable
            Checks whether this connection is not served: others have been answered so often meanwhile, or have been
            answered all.
        """
        began, answers = time.monotonic(), self._answers
        with self._changed:
            self._unserved += 1

        def is_in_vain() -> bool:
            if time.monotonic() - began < _PATIENCE:
                return False
            under_way = len(self._under_way)
            return self._answers - answers > (_ANSWERS_MEANWHILE * under_way if under_way > self._unserved else 0)

        try:
            yield is_in_vain
        finally:
            with self._changed:
                self._unserved -= 1


class _Turn(AbstractContextManager[None]):
    """The turn of whichever thread is in it; there is one object for all, since there are many turns."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def __enter__(self) -> None:
        self._pace._begin()

    def __exit__(self, *_: object) -> None:
        self._pace._end()
