"""Which instances an Orthanc has stored since a state of it, kept up to date with one small request at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from simple_orthanc.sources.orthanc.answers import ask, has
from simple_orthanc.transport import Transport

_PAGE = 1000
# What is behind so many pages is not looked for: then a replaced instance is not noticed here.
_MOST_PAGES = 50
_MOST_KEPT = 200_000

_IS_PAGE = has(Changes=list, Done=bool)


class Additions:
    """The instances in the feed of changes of one server, from the earliest state that was asked about.

    An instance that is replaced has a new entry there. Several threads may use it.

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
        # Orthanc's id of an instance to the number of its last entry.
        self._stored: dict[str, int] = {}
        self._lock = threading.Lock()

    def count(self, instances: Iterable[str], since: int, at: float) -> int:
        """Count those of some instances that were stored since a state.

        Parameters
        ----------
        instances : iterable of str
            Their Orthanc ids.
        since : int
            The number of the last entry of the feed in that state.
        at : float
            The time, by `time.monotonic`, from which on the feed must have been read.
        """
        with self._lock:
            if self._start < 0 or since < self._start or len(self._stored) > _MOST_KEPT:
                self._start = self._end = since
                self._stored = {}
                self._read()
            elif self._read_at < at:
                self._read()
            return sum(self._stored.get(key, 0) > since for key in instances)

    def _read(self) -> None:
        begun = time.monotonic()
        for _ in range(_MOST_PAGES):
            parameters = {"since": self._end, "limit": _PAGE}
            page = ask(self._transport, "GET", "/changes", _IS_PAGE, params=parameters)
            for entry in page["Changes"]:
                if entry["ChangeType"] == "NewInstance":
                    self._stored[str(entry["ID"])] = entry["Seq"]
                self._end = max(self._end, entry["Seq"])
            if page["Done"] or not page["Changes"]:
                break
        self._read_at = begun
