"""Waiting for something that another program does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from simple_orthanc.errors import RequestTimeout

Result = TypeVar("Result")


def wait_until(predicate: Callable[[], Result], timeout: float = 30.0, *, interval: float = 0.05) -> Result:
    """Call a function until it returns something true, and return that.

    Parameters
    ----------
    predicate : callable
        Called at once, and then every `interval` seconds. What it raises is raised.
    timeout : float, default 30
        Seconds after which it is given up. A change of the computer's clock does not matter.
    interval : float, default 0.05
        Seconds between two calls.

    Raises
    ------
    RequestTimeout
        It returned nothing true in this time; the message has what it returned last. It is also a TimeoutError.

    Examples
    --------
    >>> wait_until(iter([0, 0, 3]).__next__, timeout=5)
    3
    """
    deadline = time.monotonic() + timeout
    while not (result := predicate()):
        left = deadline - time.monotonic()
        if left <= 0:
            name = getattr(predicate, "__qualname__", repr(predicate))
            raise RequestTimeout(f"{name} was waited for {timeout:g} s, and last returned {result!r}.")
        time.sleep(min(interval, left))
    return result
