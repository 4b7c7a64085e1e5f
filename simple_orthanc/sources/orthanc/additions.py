"""Finds the instances that Orthanc has stored again since an earlier state, for sessions that were unpickled.

The feed of changes has an entry for each instance that was stored, including one that replaces another. The selected
instances that were stored since the state were replaced, unless their whole series is new since then: what arrived
between the first look at the archive and the select that found it was part of the selection all along. So in a new
series the time of the entries decides, which the feed has to the second: an instance was replaced if that is clearly
after the session was pickled.

A busy archive may have stored millions of instances since. Only the beginning of such a long feed is read. Then the
time of reception is requested for each instance in question: one that was received after the last entry read was stored
behind it. In that case a series counts as new if all its instances in question were stored since the state.

The feed can be cleared, and a database can be replaced by another one. So the feed is trusted only if the last known
entry is still there. If it is not, whatever was received clearly after the session was pickled also counts as stored
since the state.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from simple_orthanc.rest.server_time import server_time
from simple_orthanc.selection.source import Mark, SeriesOf, batches
from simple_orthanc.sources.orthanc.answers import ask, has, is_objects
from simple_orthanc.sources.orthanc.changes import LastChange
from simple_orthanc.transport import Transport

_PAGE = 1000
# A page takes Orthanc 16 ms, and the time of reception of one instance 0.2 ms.
_MOST_PAGES = 20
_MOST_KEPT = 100_000
# Instances whose times of reception are requested at once.
_BATCH = 1000
# Seconds by which the times of two entries of the feed, and the clocks of several machines, may be off together.
_UNSURE = 1.0
# Stands for a time that cannot be read: before everything else.
_EARLIEST = datetime(1970, 1, 2, tzinfo=timezone.utc)

_IS_PAGE = has(Changes=list, Done=bool)
_WANTED = ("NewInstance", "NewSeries")


class _Entry(NamedTuple):
    number: int
    date: datetime | None


def _is_new(entry: _Entry | None, since: int) -> bool:
    return entry is not None and entry.number > since


class Additions:
    """What the feed of changes of one server says about instances and series since the earliest state in question.

    Several threads may use it.

    Parameters
    ----------
    transport : Transport
        The connection.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        # The entries after number _start, up to _end, were read at the time _read_at.
        self._start, self._end = -1, LastChange(-1)
        # Number of each entry to its hash, which distinguishes states of this database from those of another.
        self._seen: dict[int, int] = {}
        self._read_at = 0.0
        # The time of the last entry that was read, if there are too many to read all.
        self._left_at: datetime | None = None
        # Whether the last known entry turned out to be gone.
        self._is_cut = False
        # Orthanc's id of an instance or series to its last entry.
        self._stored: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def count_replaced(self, mark: Mark, instances: Sequence[str], at: float, series_of: SeriesOf | None) -> int:
        """Count the instances that were stored again since a state; see `Source.replaced_since`."""
        since = mark.revision.token
        assert isinstance(since, LastChange)
        with self._lock:
            is_known = 0 <= self._start <= since.number and len(self._stored) <= _MOST_KEPT
            if is_known and self._read_at < at and self._left_at is None:
                self._read()
            is_other = self._seen.get(since.number, hash(since)) != hash(since)
            if not is_known or is_other or since.number > self._end.number:
                self._start, self._end, self._seen = since.number, since, {since.number: hash(since)}
                self._stored, self._read_at, self._left_at, self._is_cut = {}, 0.0, None, False
                self._read()
            # As they are for this state: another thread may start over with an earlier one.
            entries, left_at, is_cut = self._stored, self._left_at, self._is_cut
            stored = {key: entries[key].date for key in instances if _is_new(entries.get(key), since.number)}
        if left_at is not None:
            stored.update(self._received_behind(left_at, instances))
        if is_cut:
            received = dict(self._received(instances))
            stored.update((key, received[key]) for key in self._after(received, mark))
        if not stored or series_of is None:
            return len(stored)
        asked = list(stored if left_at is None else instances)
        series = dict(zip(asked, series_of(asked), strict=True))
        if left_at is None:
            late = [key for key in stored if _is_new(entries.get(series[key]), since.number)]
        else:
            old = {series[key] for key in asked if key not in stored}
            late = [key for key in stored if series[key] not in old]
        return len(stored) - len(late) + len(self._after({key: stored[key] for key in late}, mark))

    def _after(self, dates: Mapping[str, datetime | None], mark: Mark) -> list[str]:
        """Return the keys whose times are clearly later than the mark of the state."""
        if not dates:
            return []
        now = server_time(self._transport.content("GET", "/tools/now").decode("ascii", "replace"))
        most = time.time() - mark.made_at - _UNSURE
        return [
            key
            for key, date in dates.items()
            if now is not None and date is not None and (now - date).total_seconds() < most
        ]

    def _read(self) -> None:
        begun = time.monotonic()
        # The last known entry is read again: if it is gone, others may be too.
        known, since = self._end, max(0, self._end.number - 1)
        for number in range(_MOST_PAGES):
            page = ask(self._transport, "GET", "/changes", _IS_PAGE, params={"since": since, "limit": _PAGE})
            if number == 0 and known.number and [LastChange.of(entry) for entry in page["Changes"][:1]] != [known]:
                self._is_cut = True
            last = None
            for entry in page["Changes"]:
                last = server_time(entry.get("Date"))
                if entry["ChangeType"] in _WANTED:
                    self._stored[str(entry["ID"])] = _Entry(entry["Seq"], last)
                change = LastChange.of(entry)
                self._seen.setdefault(change.number, hash(change))
                self._end = change if change.number >= self._end.number else self._end
                since = self._end.number
            if page["Done"] or not page["Changes"]:
                break
        else:
            self._left_at = last or _EARLIEST
        self._read_at = begun

    def _received_behind(self, left_at: datetime, instances: Sequence[str]) -> Mapping[str, datetime | None]:
        """Return the time of reception of each instance, unless it is clearly before a time."""
        earliest = left_at - timedelta(seconds=_UNSURE)
        received = dict(self._received(instances))
        return {key: date for key, date in received.items() if date is None or date >= earliest}

    def _received(self, instances: Sequence[str]) -> Iterator[tuple[str, datetime | None]]:
        for batch in batches(list(instances), _BATCH):
            body = {"Resources": list(batch), "Level": "Instance", "Short": True, "Metadata": True}
            answers = ask(self._transport, "POST", "/tools/bulk-content", is_objects, body=body, idempotent=True)
            for answer in filter(None, answers):
                yield str(answer["ID"]), server_time(answer.get("Metadata", {}).get("ReceptionDate"))
