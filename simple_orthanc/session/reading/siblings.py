"""What the child sessions of one sequence read together: rows of their instances, and files of small series.

A loop over ``session.series`` may use only the description of each series, so nothing is read ahead until the loop has
shown what it needs. Once it has used the instances of one series, those of the next ones are listed, many series at a
time. Once it has read volumes of two series in a row, the files of the next small ones are fetched together, up to a
small bound, so that little is fetched in vain if the loop ends early. Large series are not read ahead here.

A file that was fetched ahead may be replaced in the archive before its turn comes. So files are returned while they are
young, and later only if the source can show that they were not replaced. After `Session.refresh` none is used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from simple_orthanc.concurrency.ahead import Ahead, Sized
from simple_orthanc.errors import OrthancError
from simple_orthanc.selection.index import Index, NotKnownError
from simple_orthanc.session.reading.prefetching import WORKERS, HeldFiles, Wanted, jobs
from simple_orthanc.session.reading.selected_series import ListedSeries, SelectedSeries

if TYPE_CHECKING:
    from simple_orthanc.selection.file_reading import FileReading
    from simple_orthanc.selection.source import Mark
    from simple_orthanc.session.reading.headers import ReadingHeaders

_MOST_BYTES = 32 << 20
# Several threads that each take the next series request them nearly in order.
_NEAR = 16
_MOST_ROWS_OF = 64
# Seconds for which files are returned without asking the source whether they were replaced.
_YOUNG = 2.0
# Series that are read ahead if the source cannot show what was replaced: a quick loop uses them while they are young.
_MOST_UNTOLD = 64


class Siblings:
    """The series of a session as a sequence of child sessions. Several threads may use it.

    Parameters
    ----------
    session : Session
        The session that has selected the series. It is not changed.
    keys : sequence of str
        Keys of the series, in the order of the sequence.
    """

    def __init__(self, session: ReadingHeaders, keys: Sequence[str]) -> None:
        self._session, self._keys = session, list(keys)
        # The end of a loop may be noticed wherever Python collects what is not used any more.
        self._lock = threading.RLock()
        # Whether reading ahead has ended, and whether files are not fetched ahead any more.
        self._is_left = self._is_slow = False
        # The position of the child that was made last, if the rows of its instances were not known then.
        self._unlisted: int | None = None
        # For how many series at a time they are read, and up to which one.
        self._rows_of, self._listed_to = 1, -1
        # Of the child that was read last, and of the next one that comes from what is read ahead.
        self._last: int | None = None
        self._next = 0
        self._ahead: Ahead[HeldFiles | None] | None = None
        self._ready: dict[int, HeldFiles | None] = {}
        self._selected: SelectedSeries | None = None

    def leave(self) -> None:
        """Read nothing ahead any more: the loop was left before its end."""
        self._is_left = True
        with self._lock:
            self._stop()

    def list_instances(self, position: int) -> None:
        """List the instances of a child that is made, and those of the next ones, if those of the last were needed.

        Sends no request if it did not.
        """
        if self._is_left or not self._lock.acquire(blocking=False):
            return
        try:
            index, keys = self._session._index, self._keys
            before, self._unlisted = self._unlisted, None
            if _has_listed(index, keys[position]):
                return
            was_needed = before is not None and before == position - 1 and _has_listed(index, keys[before])
            if not was_needed and position != self._listed_to:
                self._unlisted = position
                return
            self._rows_of = min(2 * self._rows_of, _MOST_ROWS_OF)
            self._listed_to = min(position + self._rows_of, len(keys))
            # What is wrong is told by the child that needs them.
            with suppress(OrthancError):
                index.load("instance", index.down("series", keys[position : self._listed_to], "instance"))
        finally:
            self._lock.release()

    def files(self, position: int) -> FileReading | None:
        """Return the files of a child that are in memory; None if they must be read from the source.

        Called when a volume of the child is about to be read.
        """
        with self._lock:
            if self._is_left or self._is_slow:
                return None
            held = self._found(position)
            return held if held is not None and self._is_current(held) else None

    def _found(self, position: int) -> HeldFiles | None:
        if position in self._ready:
            self._last = position
            return self._ready.pop(position)
        last, self._last = self._last, position
        if last is None or last == position or abs(position - last) > _NEAR:
            return None
        if self._ahead is None or not self._next <= position < self._next + _NEAR:
            if self._ahead is not None and self._next - _NEAR <= position < self._next:
                # It was returned before.
                return None
            self._begin(position)
        return self._taken(position)

    def _is_current(self, held: HeldFiles) -> bool:
        """Check whether files are those that the archive has now; if not, the child reads its own."""
        index, now = self._session._index, time.monotonic()
        if held.begun_at <= index.last_update[0]:
            self._stop()
            return False
        if now - held.read_at <= _YOUNG:
            return True
        mark = self._mark()
        if mark is None:
            # The body of the loop takes longer than files stay young.
            self._is_slow = True
            self._stop()
            return False
        try:
            return not index.source.replaced_since(mark, held.keys, now - _YOUNG)
        except OrthancError:
            # Reading the child by itself raises the error.
            return False

    def _mark(self) -> Mark | None:
        """Return the state since which the source can show what was replaced; None if it cannot."""
        return self._session._source.mark(self._session._index.revision, None)

    def _begin(self, position: int) -> None:
        self._stop()
        if self._selected is None:
            # The order of the instances in a series does not matter here.
            session = self._session.copy()
            session._selection = replace(session._selection, order=None)
            self._selected = SelectedSeries(session, self._keys)
        listed = self._selected.listed(position, None if self._mark() is not None else position + _MOST_UNTOLD)
        wanted: Iterator[Wanted[HeldFiles | None]] = (Wanted(each, partial(_held, each)) for each in listed)
        self._ahead = Ahead(jobs(self._session._source, wanted, _MOST_BYTES), _MOST_BYTES, WORKERS)
        self._next = position

    def _stop(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
        self._ahead, self._ready = None, {}

    def _taken(self, position: int) -> HeldFiles | None:
        """Take what is read ahead up to a position; what is passed over is kept for threads that come later."""
        ahead = self._ahead
        assert ahead is not None
        try:
            while self._next <= position:
                self._ready[self._next] = next(ahead)
                self._next += 1
        except StopIteration:
            self._stop()
            return None
        except OrthancError:
            # Reading the child by itself tells what is wrong.
            self._stop()
            return None
        for passed in [each for each in self._ready if each < position - _NEAR]:
            del self._ready[passed]
        return self._ready.pop(position, None)


def _has_listed(index: Index, series: str) -> bool:
    """Check whether the rows of all instances of a series are known."""
    try:
        with index.offline(wait=False):
            index.load("instance", index.down("series", [series], "instance"))
    except NotKnownError:
        return False
    return True


def _held(series: ListedSeries, files: FileReading) -> list[Sized[HeldFiles | None]]:
    """Return the files of one series out of those that were fetched together; None if they were not fetched."""
    own = files.part(series.keys) if isinstance(files, HeldFiles) else None
    return [Sized(own, own.bytes) if own is not None and own.keys else Sized(None, 0)]
