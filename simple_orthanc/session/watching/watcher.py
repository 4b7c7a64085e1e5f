"""Calls a function for each new study or series of an Orthanc server, once, whatever happens in between.

Orthanc announces an object as stable only if it runs on until then: what was still arriving when the server ended is
never announced. So the announcements are not relied on. Whatever was stored has an entry in the feed; from the entries
of instances follow the objects that have changed, and each is asked whether it is stable.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.interruption import users_code
from simple_orthanc.errors import AuthenticationError, OrthancError, ServerError, TransportError, stacklevel
from simple_orthanc.selection import resolving
from simple_orthanc.selection.index import Index
from simple_orthanc.selection.selection import Selection
from simple_orthanc.selection.source import batches
from simple_orthanc.session.orthanc_state import OrthancState
from simple_orthanc.session.watching.state import Waiting, WatchState
from simple_orthanc.sources.orthanc.answers import ask, is_alive, is_objects
from simple_orthanc.sources.orthanc.changes import Change, LastChange, read_feed, read_last

if TYPE_CHECKING:
    import pandas as pd

WatchedLevel = Literal["study", "series"]
S = TypeVar("S", bound=OrthancState)

_BATCH = 500
# How many entries of the feed are looked at together, at the first start, for what is still arriving.
_LATEST = 1000
# Seconds between two looks at whether it is to stop.
_SLICE = 0.1


@dataclass(frozen=True)
class Rules:
    """What a watcher calls for, and how often.

    Attributes
    ----------
    level : {"study", "series"}
        What it calls for.
    stable : bool
        Whether it waits until nothing has arrived for the StableAge of the server.
    again : bool
        Whether it calls again for an object that has changed since.
    attempts : int
        How many calls for an object may fail.
    retry_after : float
        Seconds before the second attempt; each further one waits twice as long.
    poll : float
        Seconds between two looks at the server.
    """

    level: WatchedLevel
    stable: bool
    again: bool
    attempts: int
    retry_after: float
    poll: float


class Watcher(Generic[S]):
    """One run of `Orthanc.watch`.

    Parameters
    ----------
    session : Orthanc
        Its server is watched, and the criteria of its selection apply to each object.
    function : callable
        Called with a session on each object.
    rules : Rules
        What it is called for.
    state : WatchState
        What is known from an earlier run.
    is_stopped : callable
        Returns whether to end.
    """

    def __init__(
        self,
        session: S,
        function: Callable[[S], object],
        rules: Rules,
        state: WatchState,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._session, self._function, self._rules = session, function, rules
        self._state, self._is_stopped = state, is_stopped
        self._transport = session._orthanc.transport
        self._newest: LastChange | None = None
        self._is_lost = False

    def run(self, since: int | None) -> None:
        """Watch until it is to stop.

        Parameters
        ----------
        since : int, optional
            Where to begin in the feed if the state does not say it; None for its end.
        """
        self._state.revive()
        if self._state.position is None:
            self._begin(since)
        while not self._is_stopped():
            try:
                self._read_feed()
                self._call_for_all()
            except AuthenticationError:
                raise
            except (TransportError, ServerError) as error:
                self._lose_server(error)
            else:
                self._is_lost = False
            self._wait()

    def _begin(self, since: int | None) -> None:
        if since is not None:
            self._state.advance(since, "")
            return
        last = read_last(self._transport)
        newest = 0 if last is None else last.number
        arriving = self._arriving(newest) if self._rules.stable else set()
        self._state.advance(newest, _description(self._entry_from(newest)), arriving)

    def _arriving(self, newest: int) -> set[str]:
        """Return the objects that are still arriving: the feed is read backwards for as long as it shows some."""
        arriving: set[str] = set()
        end = newest
        while end > 0:
            start, ids = max(0, end - _LATEST), []
            for page in read_feed(self._transport, start, "NewInstance"):
                ids += [change.id for change in page if change.sequence <= end]
                if page and page[-1].sequence >= end:
                    break
            unstable = {key for key, row in self._objects(ids).items() if not row.get("IsStable")}
            if not unstable:
                break
            arriving |= unstable
            end = start
        return arriving

    # The feed

    def _read_feed(self) -> None:
        """Read what has been stored since the last look."""
        newest = read_last(self._transport)
        if newest is not None and newest == self._newest:
            return
        position, entry = self._state.position or (0, "")
        ends_before = newest is not None and newest.number < position
        if ends_before or (entry and _is_other_feed(self._entry_from(position), position, entry)):
            position = self._begin_again(position)
        # What a new object holds may be selected only when more of it has arrived.
        is_by_instance = self._rules.stable or bool(self._session._selection.criteria)
        type_ = "NewInstance" if is_by_instance else f"New{self._rules.level.capitalize()}"
        for page in read_feed(self._transport, position, type_):
            if page:
                ids = [change.id for change in page]
                keys = self._objects(ids) if is_by_instance else ids
                self._state.advance(page[-1].sequence, _description(page[-1]), keys)
        self._newest = newest

    def _entry_from(self, position: int) -> Change | None:
        """Read the first entry with this number or a larger one, of whatever type; None if there is none."""
        page = next(read_feed(self._transport, position - 1, page=1), []) if position else []
        return page[0] if page else None

    def _begin_again(self, position: int) -> int:
        warnings.warn(
            f"The feed of changes of {self._transport.url} is not the one that was read up to number {position}: the "
            f"server's database was replaced. Its feed is read from the beginning; what is unchanged since it was "
            f"called for is not called for again.",
            stacklevel=stacklevel(),
        )
        self._state.advance(0, "")
        return 0

    def _objects(self, ids: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        """Read the objects that have these ids or contain those that have them; what is gone is left out."""
        objects: dict[str, Mapping[str, Any]] = {}
        for batch in batches(list(dict.fromkeys(ids)), _BATCH):
            body = {"Resources": batch, "Level": self._rules.level.capitalize(), "Metadata": False, "Short": True}
            answer = ask(self._transport, "POST", "/tools/bulk-content", is_objects, body=body, idempotent=True)
            objects.update((row["ID"], row) for row in answer if row is not None)
        return objects

    # The calls

    def _call_for_all(self) -> None:
        """Call for each object that is due and stable."""
        waiting = self._state.waiting(until=time.time())
        for key in self._ready([entry.id for entry in waiting]):
            if self._is_stopped():
                return
            # Other calls may have taken long.
            row = self._objects([key]).get(key)
            if row is not None and self._is_ready(row):
                self._call_for(key, str(row.get("LastUpdate")))

    def _ready(self, ids: Sequence[str]) -> Iterator[str]:
        """Yield the objects to call for now; those that need no call are dropped."""
        for batch in batches(list(ids), _BATCH):
            objects = self._objects(batch)
            for key in batch:
                row = objects.get(key)
                if row is None or self._is_done(key, str(row.get("LastUpdate"))):
                    self._state.drop(key)
                elif self._is_ready(row):
                    yield key

    def _is_ready(self, row: Mapping[str, Any]) -> bool:
        return not self._rules.stable or bool(row.get("IsStable"))

    def _is_done(self, key: str, updated: str) -> bool:
        done = self._state.done(key)
        return done is not None and (done == updated or not self._rules.again or not self._rules.stable)

    def _call_for(self, key: str, updated: str) -> None:
        try:
            session = session_on(self._session, self._rules.level, key)
        except AuthenticationError:
            raise
        except OrthancError as error:
            # One that was deleted meanwhile is dropped at the next look.
            if key in self._objects([key]):
                self._fail(key, error)
            return
        if session is None:
            # Not done: what is selected of it may arrive later.
            self._state.drop(key)
            return
        try:
            with users_code():
                self._function(session)
        except Exception as error:
            self._fail(key, error)
            return
        self._state.succeed(key, updated)

    def _fail(self, key: str, error: Exception) -> None:
        if isinstance(error, TransportError) and not error.is_about_object and not is_alive(self._transport):
            # The server is gone, which is no fault of the object.
            raise error
        (before,) = (entry for entry in self._state.waiting() if entry.id == key)
        count, limit = before.attempts + 1, self._rules.attempts
        pause = self._rules.retry_after * 2**before.attempts if count < limit else math.inf
        self._state.fail(key, f"{type(error).__name__}: {error}", time.time() + pause)
        what = f"It is tried again in {pause:g} s." if count < limit else "It is not tried again in this run."
        warnings.warn(
            f"The call for {self._rules.level} {key} failed, attempt {count} of {limit}: {type(error).__name__}: "
            f"{error}. {what}",
            stacklevel=stacklevel(),
        )

    def _lose_server(self, error: Exception) -> None:
        if not self._is_lost:
            warnings.warn(
                f"{self._transport.url} could not be watched, and is asked again every {self._rules.poll:g} s: {error}",
                stacklevel=stacklevel(),
            )
        self._is_lost, self._newest = True, None

    def _wait(self) -> None:
        end = time.monotonic() + self._rules.poll
        while (left := end - time.monotonic()) > 0 and not self._is_stopped():
            interruption.pause(min(left, _SLICE))


def _description(change: Change | None) -> str:
    """Describe an entry so that it can be recognised, its date first; "" if there is none."""
    return "" if change is None else f"{change.date.isoformat() if change.date else ''} {change.type} {change.id}"


def _is_other_feed(first: Change | None, position: int, entry: str) -> bool:
    """Check whether the first entry from a position on contradicts the one that was read there.

    The entries of deleted objects are deleted with them; then the next one is not earlier. In a new database, numbers
    follow each other without a gap.
    """
    if first is None:
        return False
    if first.sequence == position:
        return _description(first) != entry
    return _description(first).partition(" ")[0] < entry.partition(" ")[0]


def session_on(session: S, level: WatchedLevel, key: str) -> S | None:
    """Return a session on one object, narrowed by the criteria of another one; None if they leave nothing of it.

    Parameters
    ----------
    session : Orthanc
        Its criteria apply.
    level : {"study", "series"}
        The level of the object.
    key : str
        The server's own identifier.
    """
    fresh = session.copy()
    fresh._index = Index(session._source)
    fresh._selection = Selection(order=session._selection.order)
    child = fresh._child(level, level, [key])
    child._selection = resolving.narrow(child._index, child._selection, *session._selection.criteria)
    return child if resolving.count(child._index, child._selection, "series") else None


def failures_table(waiting: Iterable[Waiting], level: WatchedLevel) -> pd.DataFrame:
    """Return a table of the objects whose calls have failed."""
    import pandas as pd

    failed = [entry for entry in waiting if entry.error is not None]
    frame = pd.DataFrame(
        {"level": [level] * len(failed), "id": [entry.id for entry in failed], "error": [e.error for e in failed]},
        dtype="string",
    )
    frame.insert(2, "attempts", pd.Series([entry.attempts for entry in failed], dtype="Int64"))
    frame.insert(3, "given_up", pd.Series([entry.was_given_up for entry in failed], dtype="boolean"))
    return frame
