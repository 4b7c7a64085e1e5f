"""Whole levels of an Orthanc server, the studies at the same time as the series.

Series have the order of their studies, and a study tells whether the strings of its series are what the files hold. So
whoever lists all series needs all studies next, and the server answers both in little more than the time of the one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import OrthancError
from simple_orthanc.sources.orthanc.find import Finder

Answers = list[dict[str, Any]]


class Listings:
    """Lists whole levels, and keeps the studies that came with the series until they are asked for.

    Parameters
    ----------
    finder : Finder
        Finds the objects.
    """

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._studies: Answers | None = None
        self._has_listed_studies = False

    def forget(self) -> None:
        """Keep nothing: the archive may have changed."""
        self._studies, self._has_listed_studies = None, False

    def all(self, level: Level) -> Answers:
        """Return all objects of a level.

        Raises
        ------
        OrthancError
            They cannot be listed.
        """
        if level == "series" and not self._has_listed_studies:
            levels: tuple[Level, Level] = ("series", "study")
            series, self._studies = run_all(self._beside, levels, workers=2)
            self._has_listed_studies = True
            assert series is not None
            return series
        kept = None
        if level == "study":
            kept, self._studies = self._studies, None
            self._has_listed_studies = True
        return self._finder.all(level) if kept is None else kept

    def _beside(self, level: Level) -> Answers | None:
        if level == "series":
            return self._finder.all(level)
        # An error is for whoever asks for the studies, which are then listed again.
        with suppress(OrthancError):
            return self._finder.all(level)
        return None
