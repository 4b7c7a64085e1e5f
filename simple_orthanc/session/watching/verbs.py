"""The verbs of a session that follow an Orthanc server: what changes on it, and whether it answers."""

from __future__ import annotations

import inspect
import math
import os
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING, Any

from simple_orthanc.concurrency import interruption
from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.errors import RequestTimeout, SelectionError, ServerError, TransportError
from simple_orthanc.files.paths import path_text
from simple_orthanc.session.arguments import whole_number
from simple_orthanc.session.orthanc_state import OrthancState

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

    from simple_orthanc.session.watching.watcher import WatchedLevel
    from simple_orthanc.sources.orthanc.changes import Change

# Seconds between two questions whether a server answers.
_PAUSE = 0.25
# The largest number in Orthanc's databases, and in that of the state.
_LAST_NUMBER = 2**63 - 1


class Watching(OrthancState):
    """The verbs that follow a server."""

    def changes(
        self, since: int | Change | None = None, *, type: str | None = None, level: Level | None = None
    ) -> Iterator[Change]:
        """Iterate over the server's feed of changes, from the oldest to the newest.

        The feed is one of additions: deletions are not in it, and the entries of a deleted object are deleted with it.
        It is read page by page while it is iterated over, and ends with the last entry.

        Parameters
        ----------
        since : int or Change, optional
            The last entry that is known already, or its number. None: from the beginning.
        type : str, optional
            One type only, such as ``"NewInstance"``, ``"StableSeries"`` or ``"UpdatedMetadata"``.
        level : {"patient", "study", "series", "instance"}, optional
            Entries about objects of one level only.

        Yields
        ------
        Change
            With ``sequence``, ``type``, ``level``, ``id`` and ``date``.

        Raises
        ------
        SelectionError
            There is no such type or level, or the feed ends before `since`: the server's database was replaced.

        See Also
        --------
        watch : Calls a function for each new study or series, and remembers what was done.

        Examples
        --------
        >>> changes = [change for change in orthanc.changes(type="NewSeries")]
        >>> len(changes), changes[0].level
        (8, 'series')
        >>> list(orthanc.changes(since=changes[-1], type="NewPatient"))
        []
        """
        from simple_orthanc.sources.orthanc.changes import TYPES, Change, read_feed

        number = since.sequence if isinstance(since, Change) else 0 if since is None else whole_number(since)
        if number is None or number < 0:
            raise SelectionError(
                f"changes(since={since!r}): give the number of a change, as in changes(since=1200), or a change."
            )
        if type is not None and type not in TYPES:
            raise SelectionError(_unknown_type(type))
        if level is not None and level not in LEVELS:
            raise SelectionError(f"changes(level={level!r}): a level is one of {', '.join(map(repr, LEVELS))}.")
        return (
            change
            for page in read_feed(self._orthanc.transport, number, type)
            for change in page
            if level in (None, change.level)
        )

    def watch(
        self,
        function: Callable[[Self], object],
        level: WatchedLevel = "series",
        stable: bool = True,
        *,
        state: str | os.PathLike[str] | None = None,
        since: int | None = None,
        again: bool = True,
        attempts: int = 5,
        retry_after: float = 60.0,
        poll: float = 5.0,
        stop: Event | Callable[[], bool] | None = None,
    ) -> pd.DataFrame:
        """Call a function for each new study or series, until Ctrl-C or `stop`.

        The server may be restarted meanwhile. A function that fails does not end the watching: it is called for the
        object again, a few times, with a warning for each failure. With `state`, the next run continues where this one
        ended, with what arrived in between and what has failed.

        Parameters
        ----------
        function : callable
            Called with a session on the object, one object at a time. If this session is narrowed, so is that one, and
            an object without anything selected is left out until more of it arrives.
        level : {"study", "series"}
            What it is called for.
        stable : bool
            Wait until nothing has arrived for an object for a while (the option StableAge of the server, by default 60
            s). False: call for it when its first selected instance was seen, and never again.
        state : str or path, optional
            The file in which the state is kept. It is created if it is missing, and up to date after every call.
            Name one for each function and selection: what was read for another selection is not looked at again.
        since : int, optional
            Where to begin in the feed of changes where there is no state yet: 0 for everything that the server holds.
            Default: its end, with what is still arriving.
        again : bool
            Whether to call again for an object to which instances were added after its call.
        attempts : int
            How many calls for one object may fail. What was given up is tried again in the next run.
        retry_after : float
            Seconds before the second attempt; each further one waits twice as long.
        poll : float
            Seconds between two questions to the server.
        stop : threading.Event or callable, optional
            Ends the watching when the event is set, or when the function returns True.

        Returns
        -------
        pandas.DataFrame
            One row for each object whose last call failed: level, id (the server's own), attempts, given_up, error.

        Warns
        -----
        UserWarning
            A call failed, the server does not answer, or its database was replaced.

        Raises
        ------
        SelectionError
            An argument cannot be used, or the file is no state, one of another level, or in use.
        AuthenticationError
            The server requires other credentials.

        Examples
        --------
        >>> from pathlib import Path
        >>> def save(series):
        ...     print(series.get_volume().save("pet.nii.gz").name)
        >>> pet = orthanc.select(Modality="PT")
        >>> table = pet.watch(save, since=0, stable=False, poll=0.1, stop=lambda: Path("pet.nii.gz").exists())
        pet.nii.gz
        >>> table.columns.tolist()
        ['level', 'id', 'attempts', 'given_up', 'error']
        """
        from simple_orthanc.session.watching.state import WatchState
        from simple_orthanc.session.watching.watcher import Rules, Watcher, failures_table

        _check_watch(function, level, attempts, retry_after, poll)
        if since is not None and not 0 <= (-1 if whole_number(since) is None else since) <= _LAST_NUMBER:
            raise SelectionError(f"watch(since={since!r}): give the number of a change, or 0 for everything.")
        rules = Rules(level, stable, again, attempts, retry_after, poll)
        path = None if state is None else os.path.expanduser(path_text(state, 'watch(function, state="watch.db")'))
        with WatchState(path, f"{'stable' if stable else 'new'} {level}") as kept:
            Watcher(self, function, rules, kept, _stopping(stop)).run(since)
            return failures_table(kept.waiting(), level)

    def is_alive(self, timeout: float = 3.0) -> bool:
        """Check whether the server answers now.

        Parameters
        ----------
        timeout : float
            Seconds to wait for the connection, and for the answer.

        Returns
        -------
        bool
            False if nothing answers, or only a proxy whose server is away.

        Raises
        ------
        AuthenticationError
            It answers, and requires other credentials.
        ServerError
            It answers, and is no Orthanc.

        Examples
        --------
        >>> orthanc.is_alive()
        True
        """
        from simple_orthanc.sources.orthanc.answers import is_alive

        _check_seconds("is_alive", "timeout", timeout)
        if not timeout:
            raise SelectionError("is_alive(timeout=0): nothing answers in no time; give a number of seconds above 0.")
        return is_alive(self._orthanc.transport, timeout)

    @classmethod
    def when_ready(cls, *arguments: Any, within: float = 60.0, **options: Any) -> Self:
        """Open a session on a server that may still be starting, as soon as it answers.

        Parameters
        ----------
        *arguments, **options
            Those of the session.
        within : float
            Seconds to wait at most.

        Returns
        -------
        Orthanc
            As the constructor returns it.

        Raises
        ------
        RequestTimeout
            It did not answer in time. The message has the reason of the last attempt.
        AuthenticationError
            It answers, and requires other credentials.

        Examples
        --------
        >>> from simple_orthanc import Orthanc
        >>> from simple_orthanc.testing import OrthancStandIn
        >>> with OrthancStandIn() as server:
        ...     print(Orthanc.when_ready(server.url, within=120).series_count)
        0
        """
        from simple_orthanc.sources.orthanc.answers import AWAY

        _check_seconds("when_ready", "within", within)
        end = time.monotonic() + within
        while True:
            try:
                return cls(*arguments, **options)
            except (TransportError, ServerError) as error:
                if isinstance(error, ServerError) and error.status not in AWAY:
                    raise
                if time.monotonic() >= end:
                    raise RequestTimeout(
                        f"There was no usable answer in {within:g} s. The last attempt: {error.message}"
                    ) from None
            interruption.pause(_PAUSE)

    def wait_until_ready(self, timeout: float = 60.0) -> Self:
        """Wait until the server answers: while it is restarted, for example.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.

        Returns
        -------
        Orthanc
            The session itself, so that calls chain.

        Raises
        ------
        RequestTimeout
            It did not answer in time.
        AuthenticationError
            It answers, and requires other credentials.

        Examples
        --------
        >>> orthanc.wait_until_ready(timeout=30).series_count
        8
        """
        _check_seconds("wait_until_ready", "timeout", timeout)
        end = time.monotonic() + timeout
        while not self.is_alive(min(3.0, max(0.1, end - time.monotonic()))):
            left = end - time.monotonic()
            if left <= 0:
                raise RequestTimeout(
                    f"{self._orthanc.description} did not answer in {timeout:g} s. Check that the server runs, or wait "
                    f"for longer: wait_until_ready(timeout={2 * timeout:g})."
                )
            interruption.pause(min(_PAUSE, left))
        return self


def _unknown_type(name: object) -> str:
    if name == "Deleted":
        return "changes(type='Deleted'): the feed of changes holds no deletions. refresh() finds them."
    import difflib

    from simple_orthanc.sources.orthanc.changes import TYPES

    similar = difflib.get_close_matches(str(name), TYPES, n=3)
    hint = f"did you mean {' or '.join(similar)}?" if similar else f"the types are {', '.join(TYPES)}."
    return f"changes(type={name!r}): there is no such type of change; {hint}"


def _check_watch(function: Any, level: object, attempts: object, retry_after: object, poll: object) -> None:
    if not callable(function):
        raise SelectionError(f"watch({function!r}): give a function that is called with a session on each new object.")
    if inspect.iscoroutinefunction(function):
        raise SelectionError(
            "watch() was given a coroutine function, which would not run. Give a plain function, or let an event loop "
            "run it: await AsyncSession(orthanc).watch(function)."
        )
    if level not in ("study", "series"):
        raise SelectionError(f"watch(level={level!r}): new objects are watched at the level 'study' or 'series'.")
    if (whole_number(attempts) or 0) < 1:
        raise SelectionError(f"watch(attempts={attempts!r}): give a whole number of at least 1.")
    for name, seconds in (("retry_after", retry_after), ("poll", poll)):
        _check_seconds("watch", name, seconds)
        if seconds == math.inf:
            raise SelectionError(f"watch({name}={seconds!r}): give a finite number of seconds.")


def _check_seconds(verb: str, name: str, seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
        raise SelectionError(f"{verb}({name}={seconds!r}): give a number of seconds from 0 on.")


def _stopping(stop: Event | Callable[[], bool] | None) -> Callable[[], bool]:
    if stop is None:
        return lambda: False
    if callable(getattr(stop, "is_set", None)):
        is_set: Callable[[], bool] = stop.is_set  # type: ignore[union-attr]
        return is_set
    if callable(stop):
        return stop
    raise SelectionError(f"watch(stop={stop!r}): give a threading.Event, or a function that returns whether to stop.")
