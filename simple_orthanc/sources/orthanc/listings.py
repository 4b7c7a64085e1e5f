"""Lists whole levels of an Orthanc server, the studies at the same time as the series.

Series are sorted by their studies, and a study shows whether the strings of its series were decoded correctly. So
whoever lists all series needs all studies next, and the server answers both in little more time than one. Pages that
have arrived are turned into rows while the others are on their way.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, NamedTuple

from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import OrthancError
from simple_orthanc.sources.orthanc.find import Finder
from simple_orthanc.sources.orthanc.rows import RowsOfAnswers


class Listing(NamedTuple):
    """All objects of a level.

    Attributes
    ----------
    answers : list of dict
        The server's answer about each.
    rows : RowsOfAnswers
        Their rows.
    """

    answers: list[dict[str, Any]]
    rows: RowsOfAnswers


class Listings:
    """Lists whole levels, and keeps the studies that came with the series until they are asked for.

    Several threads may use it.

    Parameters
    ----------
    finder : Finder
        Finds the objects.
    """

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Forget the studies, including those of a listing under way: the archive may have changed."""
        with self._lock:
            self._kept = _Studies()

    def all(self, level: Level) -> Listing:
        """Return all objects of a level.

        Raises
        ------
        OrthancError
            They cannot be listed.
        """
        with self._lock:
            studies = self._kept
            is_first = not studies.are_listed
        if level == "series" and is_first:
            levels: tuple[Level, Level] = ("series", "study")
            series, listing = run_all(self._beside, levels, workers=2)
            with self._lock:
                studies.listing, studies.are_listed = listing, True
            assert series is not None
            return series
        kept = None
        if level == "study":
            with self._lock:
                kept, studies.listing = studies.listing, None
                studies.are_listed = True
        return self._listed(level) if kept is None else kept

    def _beside(self, level: Level) -> Listing | None:
        if level == "series":
            return self._listed(level)
        # An error is left to whoever asks for the studies, which are then listed again.
        with suppress(OrthancError):
            return self._listed(level)
        return None

    def _listed(self, level: Level) -> Listing:
        rows = RowsOfAnswers(level)
        return Listing(self._finder.all(level, rows.make), rows)


class _Studies:
    """The studies of one state of the archive."""

    def __init__(self) -> None:
        self.listing: Listing | None = None
        self.are_listed = False
