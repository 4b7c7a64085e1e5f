"""One call of a function for one object: its values or its error, the time it took, and its warnings."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from simple_orthanc.concurrency.interruption import users_code
from simple_orthanc.errors import OrthancError
from simple_orthanc.session.mapping.results import Value, plain_values
from simple_orthanc.session.reading.unreadable import is_about_one_object

if TYPE_CHECKING:
    from simple_orthanc.session.base import Session

_LONGEST_ERROR = 2000


class Warned(NamedTuple):
    """A warning that can be sent to another process."""

    message: str
    category: type[Warning]
    filename: str
    lineno: int


@dataclass(frozen=True)
class Row:
    """What became of one object.

    Attributes
    ----------
    values : dict or None
        Values by column; None if there is an error.
    error : str or None
        What the function raised.
    seconds : float
        Duration of the call.
    """

    values: dict[str, Value] | None
    error: str | None
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """A row, and what else became of its call.

    Attributes
    ----------
    row : Row
    failure : BaseException or None
        The error itself.
    is_unusable : bool
        Whether the function returned a value that a row cannot hold.
    warned : tuple of Warned
        Warnings of a call in another process.
    printed : (str, str)
        What a call in another process wrote to ``sys.stdout`` and to ``sys.stderr``.
    """

    row: Row
    failure: BaseException | None = None
    is_unusable: bool = False
    warned: tuple[Warned, ...] = ()
    printed: tuple[str, str] = ("", "")

    @property
    def is_lost(self) -> bool:
        """Whether the source did not answer, or refused the login, so that other objects would fail too."""
        return isinstance(self.failure, OrthancError) and not is_about_one_object(self.failure)

    def failed_with(self, error: BaseException) -> Outcome:
        """Return the outcome with an error in place of the values."""
        return replace(self, row=Row(None, describe(error), self.row.seconds), failure=error)

    def portable(self) -> Outcome:
        """Return the outcome without classes that another process may not know."""
        failure = None if self.failure is None else RuntimeError(self.row.error)
        warned = tuple(each._replace(category=UserWarning) for each in self.warned)
        return replace(self, failure=failure, warned=warned)


def carry_out(function: Callable[[Any], Any], open_session: Callable[[], Session]) -> Outcome:
    """Call a function for one object.

    Parameters
    ----------
    function : callable
        Called with the session of the object.
    open_session : callable
        Returns that session. Its time is included, and its errors count as errors of the object.
    """
    begin = time.perf_counter()
    is_unusable = False
    try:
        with users_code():
            result = function(open_session())
        is_unusable = True
        values = plain_values(result)
    except (Exception, SystemExit) as error:
        return Outcome(Row(None, describe(error), time.perf_counter() - begin), error, is_unusable)
    return Outcome(Row(values, None, time.perf_counter() - begin))


def describe(error: BaseException) -> str:
    """Return an error as the string in its row.

    Examples
    --------
    >>> describe(KeyError("KVP"))
    "KeyError: 'KVP'"
    """
    try:
        text = error.message if isinstance(error, OrthancError) else f"{type(error).__name__}: {error}"
    except Exception:  # the error itself fails when it is turned into a string
        text = type(error).__name__
    return text.encode("utf-8", "replace").decode("utf-8")[:_LONGEST_ERROR]


class _Recorder:
    """Collects the warnings of some threads in lists; warnings of other threads are shown as usual."""

    def __init__(self) -> None:
        self._thread = threading.local()
        self._lock = threading.Lock()
        self._active = 0
        self._shown: Callable[..., Any] = warnings.showwarning

    @contextmanager
    def recording(self) -> Iterator[list[Warned]]:
        """Record the warnings of this thread inside the block, each once."""
        # `warnings.catch_warnings` acts on all threads.
        with self._lock:
            if not self._active:
                self._shown, warnings.showwarning = warnings.showwarning, self._show
            self._active += 1
        before = getattr(self._thread, "warned", None)
        warned = self._thread.warned = []
        try:
            yield warned
        finally:
            self._thread.warned = before
            with self._lock:
                self._active -= 1
                if not self._active:
                    warnings.showwarning = self._shown

    def _show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        warned: list[Warned] | None = getattr(self._thread, "warned", None)
        if warned is None:
            self._shown(message, category, filename, lineno, file, line)
            return
        entry = Warned(str(message), category, filename, lineno)
        if entry not in warned:
            warned.append(entry)


recording = _Recorder().recording
