"""Which threads decode small files at the same time: one, unless the files are compressed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from simple_orthanc.concurrency.interruption import check

# Files whose arrays are no larger than that are not compressed, so that the interpreter itself decodes them.
_UNCOMPRESSED = 1.5
_SECONDS_BETWEEN_LOOKS = 0.2


class DecodingTurns:
    """Turns of the threads that decode the small files of one loop.

    Threads that decode uncompressed files at the same time only take the interpreter from each other: with three of
    them a series costs a tenth more processor time, with four that also call a user's function, half as much again.

    Examples
    --------
    >>> turns = DecodingTurns()
    >>> with turns.turn():
    ...     array = bytes(1000)
    >>> turns.learn(980, len(array))
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._are_compressed = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other thread decodes, if no compressed files were decoded so far."""
        if self._are_compressed:
            yield
            return
        while not self._lock.acquire(timeout=_SECONDS_BETWEEN_LOOKS):
            check()
        try:
            yield
        finally:
            self._lock.release()

    def learn(self, file_bytes: int, array_bytes: int) -> None:
        """Note how large the arrays of some files are."""
        if array_bytes > _UNCOMPRESSED * file_bytes:
            self._are_compressed = True
