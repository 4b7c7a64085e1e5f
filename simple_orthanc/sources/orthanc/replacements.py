"""Notices that files were replaced on an Orthanc server since they were listed, so that no cached one is taken for them.

A file that is read from the server is the one that the server has. One that is read from a cache is the one that the
server listed, which may have been long ago. So before the first of some reads in a row the end of the server's feed of
changes is asked for, one small request, and what was stored since the last look is not taken as listed any more.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from simple_orthanc.sources.orthanc.changes import read_entries, read_last
from simple_orthanc.transport import Transport

# Reads follow each other more quickly than an instance can be replaced.
_SECONDS_BETWEEN_READS = 0.005
_SECONDS_BETWEEN_LOOKS = 0.5


class Replacements:
    """The end of the feed of changes when files were listed.

    Parameters
    ----------
    transport : Transport
        The connection.
    listed : dict
        What the server listed of files, by Orthanc's id of the instance; what may have been replaced is removed.
    """

    def __init__(self, transport: Transport, listed: dict[str, Any]) -> None:
        self._transport, self._listed = transport, listed
        self._lock = threading.Lock()
        self._last: int | None = None
        self._looked = self._read = float("-inf")

    def note(self, last: object) -> None:
        """Take what is listed from now on to be as it was at the end of the feed with this number."""
        self._last = last if isinstance(last, int) else None

    def look(self) -> None:
        """Forget what was listed of files that were replaced since; where the feed cannot be read, nothing."""
        if self._is_due():
            with self._lock:
                # Another thread may have looked meanwhile.
                if self._is_due():
                    self._forget_replaced()
                    self._looked = time.monotonic()
                self._read = time.monotonic()
        else:
            self._read = time.monotonic()

    def _is_due(self) -> bool:
        now = time.monotonic()
        return now - self._read > _SECONDS_BETWEEN_READS or now - self._looked > _SECONDS_BETWEEN_LOOKS

    def _forget_replaced(self) -> None:
        last, before = read_last(self._transport), self._last
        self._last = last
        if last is None or before is None or last == before:
            return
        entries = read_entries(self._transport, before) if before else None
        if entries is None:
            self._listed.clear()
            return
        for entry in entries:
            if entry["Seq"] > before:
                self._listed.pop(str(entry["ID"]), None)
