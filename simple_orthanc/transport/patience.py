"""What is tried again, how often and for how long: one policy for every request.

===================================================  =====================  =====================
What happened                                        Reads, PUT and DELETE  Other requests
===================================================  =====================  =====================
Connection refused, timed out, host not reached      tried again            tried again: not sent
Connection broken; response cut or unreadable        tried again            error
Response whole, but not what was asked for           tried 3 times more     error
429, 500, 502, 503, 504                              tried again            error
500 with the reason in Orthanc's own words           as below               error
Silence for longer than the timeout                  as below               error
Too slow or too long a response; deadline over       error                  error
Any other status; TLS; what cannot be sent           error                  error
===================================================  =====================  =====================

Reads are GET, HEAD and each POST that its caller calls idempotent.

A request is tried again for `Patience.seconds` after its first failure, with pauses that grow from 0.05 to 2 s. The
server may ask for longer ones by Retry-After; if it asks for more than is left, that is an error at once.

Silence counts as waiting, so that with the default timeout of 300 s it is an error at once, too. With a shorter one, a
response that had not even begun is asked for once more only, since the server may still be at work on it. Orthanc
answers 500, with a reason, to many requests that it does not understand; only a busy database is worth another attempt.

All requests to a server share one patience for the time in which it answers none of them, so that a hundred objects do
not wait one after the other for a server that is gone.

Until a server has answered for the first time, the address may be wrong: then `FIRST_CONTACT` seconds in all are the
limit, and a name that is not known is an error at once. Where something listens and its first answer breaks off or is
no HTTP, the limit counts from the end of that answer.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from numbers import Real
from typing import Any, TypeGuard

from simple_orthanc.errors import TransportError
from simple_orthanc.transport.failures import Cause, NetworkError

FIRST_CONTACT = 3.0
"""Seconds after which the first connection of a session is given up: what was misspelled should be told at once."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

MOST_UNUSABLE = 3
"""How often a response that is whole, and not what was asked for, is asked for again."""

_BUSY = (429, 502, 503, 504)

# After these the server behind a proxy may have carried out the request nevertheless.
_UNCERTAIN = (500, 502, 504)

# Statuses of Orthanc inside a 500 that may be gone a moment later: too little memory, the database busy, unavailable,
# or unable to serialize (OrthancPluginErrorCode). All others are definite: the same request fails again.
_MOMENTARY = {4, 11, 16, 36, 42, *range(1000, 1016)}

# What Orthanc and its plugins say their reason in.
_REASONS = ("OrthancStatus", "OrthancError", "Message", "Details")


class UnusableError(Exception):
    """A response that is whole, and not what was asked for: a page, cut JSON, another object.

    Parameters
    ----------
    error : TransportError
        What the user sees if it comes again.
    """

    def __init__(self, error: TransportError) -> None:
        super().__init__(error)
        self.error = error


class Again(Enum):
    """Which requests are sent again after a failure."""

    NEVER = "none"
    READS = "those that do no harm twice"
    ALL = "every request, since nothing was sent"


_AGAIN = {
    Cause.REFUSED: Again.ALL,
    Cause.CONNECT_TIMEOUT: Again.ALL,
    Cause.UNREACHABLE: Again.ALL,
    Cause.UNKNOWN_NAME: Again.ALL,
    Cause.DROPPED: Again.READS,
    Cause.GARBLED: Again.READS,
    Cause.READ_TIMEOUT: Again.READS,
    Cause.PROXY: Again.READS,
    Cause.SLOW: Again.NEVER,
    Cause.EXCESS: Again.NEVER,
    Cause.TLS: Again.NEVER,
    Cause.REQUEST: Again.NEVER,
}


@dataclass(frozen=True)
class Patience:
    """How long a request is tried again after its first failure.

    Parameters
    ----------
    seconds : float, default 20
        0 means that nothing is tried again.

    Raises
    ------
    TransportError
        If that is not a finite number of seconds from 0 on.

    Examples
    --------
    >>> len(list(Patience(0).pauses()))
    0
    >>> 0.025 <= next(Patience(20).pauses()) <= 0.05
    True
    """

    seconds: float = 20.0

    def __post_init__(self) -> None:
        """Check the number."""
        if not is_number(self.seconds) or not 0 <= self.seconds < math.inf:
            raise TransportError(
                f"patience is {self.seconds!r}; give the seconds for which a request is tried again, as in "
                "patience=20, or 0 to try nothing again."
            )

    def pauses(self, *, spent: float = 0.0, most: int | None = None) -> Pauses:
        """Return the pauses before the second, third and further attempts, counted from now on.

        Parameters
        ----------
        spent : float, default 0
            Seconds that were already waited.
        most : int, optional
            The largest number of pauses.
        """
        return Pauses(self.seconds - spent, most)


class Pauses(Iterator[float]):
    """Seconds to wait before each further attempt; it ends when the patience is over.

    Each is drawn at random from the upper half of its range, so that threads that failed together do not come back
    together. The last one ends with the patience.

    Parameters
    ----------
    seconds : float
        From now on, for all of them and for what happens between them.
    most : int, optional
        The largest number of pauses.
    """

    def __init__(self, seconds: float, most: int | None = None) -> None:
        self._end = monotonic() + seconds
        self._longest = _FIRST_PAUSE
        self._left = math.inf if most is None else most

    def __next__(self) -> float:
        """Return the next pause."""
        pause = self.after(0.0)
        if pause is None:
            raise StopIteration
        return pause

    def after(self, asked: float) -> float | None:
        """Return the next pause, which is at least `asked` seconds; None if the patience ends before."""
        remaining = self._end - monotonic()
        if remaining <= 0 or asked > remaining or self._left < 1:
            return None
        self._left -= 1
        pause = max(asked, self._longest * random.uniform(0.5, 1.0))
        self._longest = min(2 * self._longest, _LONGEST_PAUSE)
        return min(pause, remaining)


class Outage:
    """The time for which a server has failed all that it was asked, over all requests.

    One patience is spent for it: otherwise each of a hundred objects would wait for a server that is gone.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._last = -math.inf

    def failed(self, began: float) -> float:
        """Note that a request failed which `began` then, and return the seconds of the outage so far."""
        now = monotonic()
        # A request made later is a new trial.
        if self._since is None or began > self._last + _LONGEST_PAUSE:
            self._since = now
        self._last = now
        return now - self._since

    def over(self) -> None:
        """Note that the server answers."""
        self._since = None


class Attempts:
    """The attempts of one request so far, and whether there is another.

    Parameters
    ----------
    patience : Patience
        How long it is tried again.
    harmless : bool
        Whether sending it twice does no harm.
    contacted : bool
        Whether the server has answered before, so that the address is right.
    timeout : float, optional
        Seconds of silence that the request allows.
    deadline : float, optional
        Seconds for all attempts together.
    outage : Outage, optional
        That of the server, which all its requests share.

    Attributes
    ----------
    count : int
        How many there were.
    lost : bool
        Whether one of them may have been carried out although its response never came.
    """

    def __init__(
        self,
        patience: Patience,
        harmless: bool,
        contacted: bool,
        timeout: float | None,
        deadline: float | None = None,
        outage: Outage | None = None,
    ) -> None:
        self._patience, self._harmless, self._timeout = patience, harmless, timeout or 0.0
        self._contacted, self._deadline = contacted, deadline
        self._outage = outage or Outage()
        self._began = monotonic()
        self._pauses = None if contacted else self._first_pauses()
        self._again, self._asked = Again.ALL, 0.0
        self._silences, self._unusable = 0, 0
        self.count = 0
        self.lost = False

    def failed(self, failure: NetworkError, *, begun: bool) -> None:
        """Note that the connection failed, before or after the response had `begun`."""
        again = after_failure(failure)
        silent = failure.cause is Cause.READ_TIMEOUT
        if begun or silent:
            self._has_answered()
        elif not self._contacted and not self.count and (failure.dropped or failure.cause is Cause.GARBLED):
            # Something listens there, and may just be slow.
            self._pauses = self._first_pauses()
        self._silences += silent and not begun
        # A server that says nothing may still be at work on the first request, and each further one adds to it.
        if (failure.cause is Cause.UNKNOWN_NAME and not self._contacted) or self._silences > 1:
            again = Again.NEVER
        self.lost = self.lost or is_uncertain(failure)
        self._next(again, 0.0, self._timeout if silent else 0.0)

    def refused(self, status: int, content: bytes, asked: float) -> None:
        """Note a status of 400 or more, with the beginning of its body and the seconds that the server asks to wait."""
        self._has_answered()
        self.lost = self.lost or status in _UNCERTAIN
        again = after_refusal(status, content)
        if again is Again.NEVER:
            self.succeeded()
        self._next(again, asked, 0.0)

    def unusable(self) -> None:
        """Note a response that is whole, and not what was asked for."""
        self.succeeded()
        self._unusable += 1
        self.lost = True
        self._pauses = self._pauses or self._patience.pauses()
        self._next(Again.READS if self._unusable <= MOST_UNUSABLE else Again.NEVER, 0.0, 0.0)

    def succeeded(self) -> None:
        """Note that the server answers."""
        self._has_answered()
        self._outage.over()

    def shortened(self, timeout: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
        """Return the times for connecting and for each wait, neither beyond the deadline."""
        remaining = self.remaining
        if remaining is None:
            return timeout
        # 0 would mean not to wait at all.
        longest = max(remaining, 0.001)
        connect, read = (longest if seconds is None else min(seconds, longest) for seconds in timeout)
        return connect, read

    def _has_answered(self) -> None:
        """Note that the address is right."""
        if not self._contacted:
            self._contacted, self._pauses = True, None

    def _first_pauses(self) -> Pauses:
        return Pauses(min(self._patience.seconds, FIRST_CONTACT))

    def _next(self, again: Again, asked: float, spent: float) -> None:
        self.count += 1
        self._again, self._asked = again, asked
        if again is not Again.NEVER:
            lasted = self._outage.failed(self._began)
            self._pauses = self._pauses or self._patience.pauses(spent=max(lasted, spent))

    def pause(self) -> float | None:
        """Return the seconds to wait before the next attempt; 0 before the first, None if there is none."""
        if not self.count:
            return 0.0
        if self._again is Again.NEVER or (self._again is Again.READS and not self._harmless):
            return None
        assert self._pauses is not None
        pause = self._pauses.after(self._asked)
        remaining = self.remaining
        return None if pause is None or (remaining is not None and pause >= remaining) else pause

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline, None without one."""
        return None if self._deadline is None else max(0.0, self._began + self._deadline - monotonic())

    @property
    def note(self) -> str:
        """What the error adds about the attempts; "" if it is nothing."""
        notes = []
        if self.count > 1:
            notes.append(f"It was tried {self.count} times in {monotonic() - self._began:.3g} s.")
        if self._harmless and self._asked > self._patience.seconds > 0:
            notes.append(
                f"The server asks to wait for {self._asked:.0f} s, longer than patience={self._patience.seconds:g}."
            )
        elif self._deadline is not None and monotonic() - self._began + _LONGEST_PAUSE > self._deadline:
            notes.append(f"The limit for all attempts is deadline={self._deadline:g}.")
        elif self.count > 1 and self._contacted and self._silences < 2:
            notes.append(f"The limit is patience={self._patience.seconds:g}; give more seconds to go on for longer.")
        return " ".join(notes)


def monotonic() -> float:
    """Return the time in seconds; tests replace it."""
    return time.monotonic()


def after_failure(failure: NetworkError) -> Again:
    """Return which requests are sent again after a failure of the network."""
    return Again.READS if failure.dropped else _AGAIN[failure.cause]


def is_uncertain(failure: NetworkError) -> bool:
    """Check whether a request may have been carried out although it failed."""
    return failure.dropped or failure.cause in (Cause.GARBLED, Cause.READ_TIMEOUT, Cause.SLOW, Cause.EXCESS)


def after_refusal(status: int, content: bytes) -> Again:
    """Return which requests are sent again after a status of 400 or more.

    Parameters
    ----------
    status : int
        The HTTP status.
    content : bytes
        The beginning of the body. Orthanc answers 500 to many requests that it does not understand, and says so.
    """
    if status in _BUSY or (status == 500 and _may_pass(content)):
        return Again.READS
    return Again.NEVER


def _may_pass(content: bytes) -> bool:
    try:
        answer: Any = json.loads(content)
    except (ValueError, RecursionError):
        return True
    if not isinstance(answer, dict) or not any(key in answer for key in _REASONS):
        return True
    return answer.get("OrthancStatus") in _MOMENTARY


def is_number(value: object) -> TypeGuard[float]:
    """Check whether a value is a real number, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)
