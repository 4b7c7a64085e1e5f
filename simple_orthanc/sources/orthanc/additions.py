"""Which instances an Orthanc has stored again since a state of it, for sessions that come from a pickle.

The feed of changes has an entry for each instance that was stored, also for one that replaces another. Those that were
stored since a state were replaced, unless the whole series is new since then: what arrived between the first look at
the archive and the select that found it was in the selection from the beginning. So of a new series the time of its
entries decides, which the feed has to the second: it was replaced if that is clearly after the session was pickled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from simple_orthanc.rest.server_time import server_time
from simple_orthanc.selection.source import Mark, SeriesOf
from simple_orthanc.sources.orthanc.answers import ask, has
from simple_orthanc.transport import Transport

_PAGE = 1000
# What is behind so many pages is not looked for: then a replaced instance is not noticed here.
_MOST_PAGES = 50
_MOST_KEPT = 100_000
# Seconds that the times of two entries of the feed may be wrong by, together with clocks of several machines.
_UNSURE = 1.0

_IS_PAGE = has(Changes=list, Done=bool)
_WANTED = ("NewInstance", "NewSeries")


class _Entry(NamedTuple):
    number: int
    date: str


class Additions:
    """What the feed of changes of one server says of instances and series, from the earliest state that was asked for.

    Several threads may use it.

    Parameters
    ----------
    transport : Transport
        The connection.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        # The entries behind the number _start up to _end have been read, at the time _read_at.
        self._start = self._end = -1
        self._read_at = 0.0
        # Orthanc's id of an instance or series to its last entry.
        self._stored: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def count_replaced(self, mark: Mark, instances: Sequence[str], at: float, series_of: SeriesOf | None) -> int:
        """Count those of some instances that were stored again since a state; see `Source.replaced_since`."""
        since = mark.revision.token
        assert isinstance(since, int)
        with self._lock:
            if self._start < 0 or since < self._start or len(self._stored) > _MOST_KEPT:
                self._start = self._end = since
                self._stored, self._read_at = {}, 0.0
                self._read()
            elif self._read_at < at:
                self._read()
            stored = dict.fromkeys(key for key in instances if self._is_new(key, since))
            entries = {key: self._stored[key] for key in stored}
        if not stored or series_of is None:
            return len(stored)
        series = dict(zip(stored, series_of(list(stored)), strict=True))
        late = [key for key in stored if self._is_new(series[key], since)]
        return len(stored) - len(late) + (self._count_after([entries[key] for key in late], mark) if late else 0)

    def _is_new(self, key: str, since: int) -> bool:
        entry = self._stored.get(key)
        return entry is not None and entry.number > since

    def _count_after(self, entries: Sequence[_Entry], mark: Mark) -> int:
        """Count the entries that were clearly written after the state was marked."""
        now = server_time(self._transport.content("GET", "/tools/now").decode("ascii", "replace"))
        dates = [server_time(entry.date) for entry in entries]
        most = time.time() - mark.made_at - _UNSURE
        return sum(now is not None and date is not None and (now - date).total_seconds() < most for date in dates)

    def _read(self) -> None:
        begun = time.monotonic()
        for _ in range(_MOST_PAGES):
            parameters = {"since": self._end, "limit": _PAGE}
            page = ask(self._transport, "GET", "/changes", _IS_PAGE, params=parameters)
            for entry in page["Changes"]:
                if entry["ChangeType"] in _WANTED:
                    self._stored[str(entry["ID"])] = _Entry(entry["Seq"], str(entry.get("Date")))
                self._end = max(self._end, entry["Seq"])
            if page["Done"] or not page["Changes"]:
                break
        self._read_at = begun
