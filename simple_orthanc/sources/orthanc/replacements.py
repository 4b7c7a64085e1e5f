"""Notices that files were replaced on an Orthanc server since they were listed, so that none is read from a cache.

A file that is read from the server is the one that the server has. One that is read from a cache is the one that the
server listed, which may have been long ago. So before the first of some reads in a row the end of the server's feed of
changes is asked for, one small request, and what was stored since the last look is not taken as listed any more.
"""

from __future__ import annotations

import threading
import time

from simple_orthanc.sources.cache.kept_files import Stamp
from simple_orthanc.sources.orthanc.changes import read_entries, read_last
from simple_orthanc.sources.orthanc.files import ListedFile
from simple_orthanc.transport import Transport

# Reads follow each other more quickly than an instance can be replaced between them, for which a request is sent and
# answered.
_SECONDS_BETWEEN_READS = 0.005
_SECONDS_BETWEEN_LOOKS = 0.5


class Replacements:
    """The end of the feed of changes when files were listed.

    Parameters
    ----------
    transport : Transport
        The connection.
    listed : dict
        Orthanc's id of an instance to its file as the server listed it; what may have been replaced is removed.
    """

    def __init__(self, transport: Transport, listed: dict[str, ListedFile]) -> None:
        self._transport, self._listed = transport, listed
        self._lock = threading.Lock()
        self._last: int | None = None
        self._looked = self._read = float("-inf")
        self._shortest_look = float("inf")

    def note(self, last: object) -> None:
        """Take what is listed from now on to be as it was at the end of the feed with this number."""
        self._last = last if isinstance(last, int) else None

    def note_first(self, last: object) -> None:
        """Do the same, unless a number was noted before: of an earlier state more is looked through."""
        if self._last is None:
            self.note(last)

    def catch_up(self, last: int | None) -> None:
        """Do the same as `note`, where files were listed before, of which some may have been replaced since."""
        with self._lock:
            self._forget_replaced(last)

    def is_current(self, key: str, stamp: Stamp) -> bool:
        """Check whether the server still has the file of an instance that a stamp is of.

        Where this user may not read the feed, what was listed is believed.
        """
        if self._is_due():
            with self._lock:
                # Another thread may have looked meanwhile.
                if self._is_due():
                    self._look()
        self._read = time.monotonic()
        listed = self._listed.get(key)
        now = None if listed is None else listed.stamp
        return now is not None and now.version == stamp.version

    def _is_due(self) -> bool:
        now = time.monotonic()
        pause = max(_SECONDS_BETWEEN_READS, min(self._shortest_look, _SECONDS_BETWEEN_LOOKS))
        return now - self._read > pause or now - self._looked > _SECONDS_BETWEEN_LOOKS

    def _look(self) -> None:
        """Forget what was listed of the files that were replaced since."""
        began = time.monotonic()
        last = read_last(self._transport)
        self._read = self._looked = time.monotonic()
        self._shortest_look = min(self._shortest_look, self._looked - began)
        self._forget_replaced(last)

    def _forget_replaced(self, last: int | None) -> None:
        if last is None:
            return
        before, self._last = self._last, last
        if last == before:
            return
        entries = read_entries(self._transport, before) if before else None
        if entries is None:
            self._listed.clear()
            return
        for entry in entries:
            if entry["Seq"] > before:
                self._listed.pop(str(entry["ID"]), None)
