"""The limits on the time for which a job is waited for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import monotonic
from typing import Any

from simple_orthanc.errors import TransportError


class Clock:
    """The limits on the time for which a job is waited for.

    Attributes
    ----------
    reason : str
        Which limit was exceeded.
    """

    def __init__(self, timeout: float | None, stall: float) -> None:
        self._timeout, self._stall = timeout, stall
        self._began = self._changed = monotonic()
        self._last: Any = None
        self.reason = ""

    def left(self) -> float | None:
        """Return the seconds that are left of the timeout, None if there is none."""
        if self._timeout is None:
            return None
        self.reason = f"did not end within {self._timeout:g} s"
        return self._began + self._timeout - monotonic()

    def pause(self, description: Mapping[str, Any], longest: float) -> float:
        """Return for how many seconds to pause after a description; 0 or less if a limit is exceeded."""
        now = monotonic()
        current = (description["State"], description.get("Progress"), description.get("Content"))
        if current != self._last:
            self._last, self._changed = current, now
        left = self.left()
        if left is not None and left <= 0:
            return left
        stalled = self._changed + self._stall - now
        if stalled <= 0:
            self.reason = f"has not changed for {self._stall:g} s"
            return stalled
        return min(longest, stalled, math.inf if left is None else left)


def checked_seconds(name: str, seconds: Any) -> float | None:
    """Return a limit in seconds; only a timeout may be None, for no limit."""
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if seconds is None and name == "timeout":
        return None
    if not is_number or not 0 <= seconds < math.inf:
        raise TransportError(f"{name} is {seconds!r}; give seconds, as in {name}=60.")
    return float(seconds)
