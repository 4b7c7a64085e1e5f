"""Time contestants against each other: interleaved, with the median and the spread of several runs."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ROUNDS = 5
# Seconds from which on a contestant is run at most so many times.
_FEWER_ROUNDS = ((10.0, 1), (5.0, 2))


class SkippedError(Exception):
    """The contestant cannot run here; the message says why."""


@dataclass(frozen=True)
class Elsewhere:
    """The answer of a contestant that ran and was timed in another process: seconds, and the digest of its result."""

    seconds: float
    digest: str


@dataclass(frozen=True)
class Contestant:
    """One way to do a job.

    Parameters
    ----------
    run : callable
        Does the job, and is timed; what it gives goes to `check`.
    check : callable, optional
        Says whether a result is right; asked of the first result, off the clock.
    prepare : callable, optional
        Called before each run, off the clock.
    share : float
        Which part of the job `run` does; the time is divided by it.
    note : str
        What a reader must know about the time.
    """

    run: Callable[[], Any]
    check: Callable[[Any], bool] | None = None
    prepare: Callable[[], object] | None = None
    share: float = 1.0
    note: str = ""


@dataclass
class Timing:
    """The times of one contestant.

    Attributes
    ----------
    seconds : list of float
        One for each run, scaled to the whole job.
    right : bool or None
        Whether the first result was right; None where it was not checked.
    error : str
        Why there are no times.
    """

    seconds: list[float] = field(default_factory=list)
    right: bool | None = None
    error: str = ""
    note: str = ""

    @property
    def median(self) -> float | None:
        """The median in seconds; None without a run that ended."""
        return statistics.median(self.seconds) if self.seconds else None

    def as_dict(self) -> dict[str, Any]:
        """Return what the JSON of a run keeps."""
        kept: dict[str, Any] = {"seconds": [round(each, 6) for each in self.seconds], "median": self.median}
        if self.right is not None:
            kept["right"] = self.right
        return kept | ({"note": self.note} if self.note else {}) | ({"error": self.error} if self.error else {})


def interleaved(contestants: Mapping[str, Contestant], rounds: int = ROUNDS) -> dict[str, Timing]:
    """Run each contestant several times, taking turns, so that a disturbance of the machine affects all.

    Parameters
    ----------
    contestants : mapping
        Name to contestant. Each round begins with another one.
    rounds : int
        How often each is run; one that took more than five seconds twice at most, more than ten once.

    Returns
    -------
    dict
        Name to times. A contestant that raises an error has no times after it, and the error's text.
    """
    timings = {name: Timing(note=contestant.note) for name, contestant in contestants.items()}
    names = list(contestants)
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            timing = timings[name]
            taken = timing.seconds[0] * contestants[name].share if timing.seconds else 0.0
            most = next((times for seconds, times in _FEWER_ROUNDS if taken > seconds), rounds)
            if not timing.error and number < most:
                _run(contestants[name], timing)
    return timings


def _run(contestant: Contestant, timing: Timing) -> None:
    try:
        if contestant.prepare is not None:
            contestant.prepare()
        # The garbage of the last run is not collected on this one's time.
        gc.collect()
        began = time.perf_counter()
        result = contestant.run()
        seconds = time.perf_counter() - began
        if isinstance(result, Elsewhere):
            seconds = result.seconds
        if contestant.check is not None and timing.right is None:
            timing.right = contestant.check(result)
    except Exception as error:  # a contestant's failure is a result of the benchmark, whatever it is
        timing.error = str(error) if isinstance(error, SkippedError) else f"{type(error).__name__}: {error}"
        return
    timing.seconds.append(seconds / contestant.share)
