"""What a worker process of a map does: load the function once, and call it for one object after another."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import site
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from itertools import count
from typing import Any

from simple_orthanc.session.mapping.calls import Outcome, carry_out, recording
from simple_orthanc.session.mapping.parcels import read_parcel

_LONGEST_OUTPUT = 100_000
_SECONDS_BETWEEN_LOOKS = 1.0

_stdout, _stderr = io.StringIO(), io.StringIO()


@cache
def _prepare() -> None:
    """Run `site`, without which this process was started, and capture what the function prints.

    `site` adds paths, such as those of packages that are installed for development.
    """
    site.main()
    # Always the same streams: handlers of `logging` keep the one that they are made with.
    sys.stdout, sys.stderr = _stdout, _stderr
    # The process that shows the warnings filters them.
    warnings.simplefilter("always")
    threading.Thread(target=_end_with, args=(os.getppid(),), name="simple_orthanc parent", daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process soon after its parent has ended, even while the function runs."""
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


@cache
def _function(path: str) -> Callable[[Any], Any]:
    with open(path, "rb") as stream:
        function: Callable[[Any], Any] = pickle.load(stream)
    return function


_opened: list[Sequence[Any]] = []
_position = count()


def answer(question: tuple[str, str], content: bytes) -> tuple[bool, bytes]:
    """Open a parcel, or compute the next object of the open one.

    Parameters
    ----------
    question : tuple of str
        "open" or "next", and the path of the file with the pickled function.
    content : bytes
        A pickled `Parcel` after "open".

    Returns
    -------
    bool
        After "open", whether its objects can be computed together; True after "next".
    bytes
        After "next", an outcome for `outcome_of`.
    """
    _prepare()
    what, path = question
    function = _function(path)
    if what == "open":
        return _is_open(content), b""
    position = next(_position)
    with recording() as warned:
        outcome = carry_out(function, lambda: _opened[0][position])
    return True, as_bytes(outcome, tuple(warned), (_taken(_stdout), _taken(_stderr)))


def _taken(stream: io.StringIO) -> str:
    """Return what was written to a stream, and empty it."""
    written = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return written[:_LONGEST_OUTPUT]


def _is_open(content: bytes) -> bool:
    global _position
    parcel = read_parcel(content)
    _position = count()
    try:
        _opened[:] = [parcel.sessions()]
    except Exception:  # computed by itself, each object then reports its own error
        return False
    return True


def as_bytes(outcome: Outcome, warned: tuple[Any, ...], printed: tuple[str, str] = ("", "")) -> bytes:
    """Pickle an outcome for `outcome_of`, whatever its error is."""
    outcome = Outcome(outcome.row, outcome.failure, outcome.is_unusable, warned, printed)
    complete = b""
    # It may hold instances of a notebook's classes, locks, anything.
    with contextlib.suppress(Exception):
        complete = pickle.dumps(outcome)
    return pickle.dumps((complete, pickle.dumps(outcome.portable())))


def outcome_of(content: bytes | bytearray) -> Outcome:
    """Read an outcome from another process; an error of a class that cannot be read here becomes a RuntimeError."""
    complete, portable = pickle.loads(content)
    outcome: Outcome
    try:
        outcome = pickle.loads(complete or portable)
    except Exception:  # a module that only that process has; or what can be pickled but not unpickled
        outcome = pickle.loads(portable)
    return outcome
