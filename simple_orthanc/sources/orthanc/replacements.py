"""Notices that files on an Orthanc server were replaced since they were listed, so that no cache supplies old ones.

A file that is read from the server is the one that the server has now. A cached file is the one that the server listed,
perhaps long ago. So before files are read from a cache, the end of the server's feed of changes is requested, in one
small request, and the listing of whatever was stored since the last check is no longer trusted.

One check, made after the call began, serves the reads that a call makes in several threads, such as those of a volume,
for half a second at most. A read on its own makes its own check, and so does each read in a function that a user maps.
So no call reads from a cache a file that was replaced before the call began, whoever replaced it.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable

from simple_orthanc.concurrency.interruption import Interruption, current_call
from simple_orthanc.sources.cache.kept_files import Stamp
from simple_orthanc.sources.orthanc.changes import LastChange, read_last, stored_since
from simple_orthanc.sources.orthanc.listed_files import ListedFiles
from simple_orthanc.transport import Transport

_SECONDS_BETWEEN_LOOKS = 0.5


class Replacements:
    """The end of the feed of changes when files were listed. Several threads may use it.

    Parameters
    ----------
    transport : Transport
        The connection.
    listed : ListedFiles
        The files as the server listed them; what may have been replaced is removed.
    """

    def __init__(self, transport: Transport, listed: ListedFiles) -> None:
        self._transport, self._listed = transport, listed
        self._lock = threading.Lock()
        self._last: LastChange | None = None
        # When the last check began.
        self._looked = float("-inf")
        # The calls in several threads for which a check was made.
        self._served: weakref.WeakSet[Interruption] = weakref.WeakSet()

    def note(self, replaced: Iterable[str] | None, last: object) -> None:
        """Forget the files that were replaced up to an entry of the feed; None: all."""
        with self._lock:
            self._listed.forget(replaced)
            self._last = last if isinstance(last, LastChange) else None

    def note_first(self, last: object) -> None:
        """Take the listed files to be as they were at this entry, unless one is known: later checks start from it."""
        with self._lock:
            if self._last is None and isinstance(last, LastChange):
                self._last = last

    def catch_up(self, last: LastChange | None) -> None:
        """Forget the files that were replaced between the last known entry and this one, the last of the feed."""
        with self._lock:
            self._forget_replaced(last)

    def is_current(self, key: str, stamp: Stamp) -> bool:
        """Check whether the server still has the file of an instance that a stamp describes.

        If this user may not read the feed, the listing is trusted.
        """
        call, began = current_call(), time.monotonic()
        if self._is_due(call, began):
            with self._lock:
                # Another thread may have checked meanwhile.
                if self._looked < began and self._is_due(call, began):
                    self._look()
                if call is not None:
                    self._served.add(call)
        listed = self._listed.get(key)
        now = None if listed is None else listed.stamp
        return now is not None and now.version == stamp.version

    def _is_due(self, call: Interruption | None, began: float) -> bool:
        """Check whether a read that began at a time needs a new check."""
        return call is None or call not in self._served or began - self._looked > _SECONDS_BETWEEN_LOOKS

    def _look(self) -> None:
        """Check the end of the feed, and forget the files that were replaced since."""
        began = time.monotonic()
        self._forget_replaced(read_last(self._transport))
        self._looked = began

    def _forget_replaced(self, last: LastChange | None) -> None:
        before = self._last
        if last is None or last == before:
            return
        if not self._listed.is_unused:
            stored = None if before is None else stored_since(self._transport, before)
            self._listed.forget(stored)
        # Not earlier: a check that ended in an error is repeated.
        self._last = last
