"""Limits how many threads decode small files at the same time: to one, unless the files are compressed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from simple_orthanc.concurrency.interruption import check

# Files whose arrays are at most this many times as large are not compressed: decoding them holds the interpreter lock.
_UNCOMPRESSED = 1.5
_SECONDS_BETWEEN_LOOKS = 0.2


class DecodingTurns:
    """Turns of the threads that decode the small files of one loop.

    Threads that decode uncompressed files at the same time only compete for the interpreter lock: with three of them a
    series costs a tenth more processor time; with four that also call a user's function, half as much again.

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
        """Wait until no other thread decodes, unless compressed files have been decoded already."""
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
        """Note the bytes of some files and of their arrays, which show whether the files are compressed."""
        if array_bytes > _UNCOMPRESSED * file_bytes:
            self._are_compressed = True
