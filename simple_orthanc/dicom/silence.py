"""Keeping pydicom from warning about odd values, from any number of threads at once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# Filters of warnings belong to the process, so the first block in any thread sets them, and the last one restores them.
# If a block held the lock to its end, a thread that waits inside one for others that enter one would wait for ever.
_lock = threading.Lock()
_blocks = 0
_filters = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from warning about odd values; there are thousands of files, and the user asked about none yet.

    While one thread is in such a block, the warnings of all threads are left out.

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
    with _lock:
        if not _blocks:
            _filters.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _blocks += 1


def _leave() -> None:
    global _blocks
    with _lock:
        _blocks -= 1
        if not _blocks:
            _filters.close()
