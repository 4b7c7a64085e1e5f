"""Keeping pydicom from warning about odd values, from any number of threads at once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class _OwnBlocks(threading.local):
    """How many blocks this thread is in."""

    count = 0


class _IsInBlock:
    """Takes the place of the pattern that a message must match: it matches those of threads that are in a block."""

    def match(self, text: str) -> bool:
        return _own.count > 0


# Filters of warnings belong to the process, and another thread may be using or replacing them. So one that ignores
# nothing outside of the blocks is put before them and removed again, and none of the others is touched.
_own = _OwnBlocks()
_filter = ("ignore", _IsInBlock(), Warning, None, 0)
# If a block held the lock to its end, a thread that waits inside one for others that enter one would wait for ever.
_lock = threading.Lock()
_blocks = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from warning about odd values; there are thousands of files, and the user asked about none yet.

    Warnings of other threads are not left out: some read ahead while the user's own program goes on.

    Examples
    --------
    >>> import warnings
    >>> with quiet():
    ...     warnings.warn("odd value")
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _blocks
    _own.count += 1
    with _lock:
        _blocks += 1
        filters: Any = warnings.filters
        if not filters or filters[0] is not _filter:
            filters.insert(0, _filter)


def _leave() -> None:
    global _blocks
    _own.count -= 1
    with _lock:
        _blocks -= 1
        filters: Any = warnings.filters
        if not _blocks:
            # They may have been replaced meanwhile.
            with suppress(ValueError):
                filters.remove(_filter)
