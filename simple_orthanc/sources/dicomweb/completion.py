"""What searches below a study or series do not show: it is looked for in metadata, and counted if it is nowhere."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from contextlib import suppress

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicomweb.model import read_string
from simple_orthanc.errors import ServerError, stacklevel
from simple_orthanc.selection.source import Row
from simple_orthanc.sources.dicomweb.queries import NUMBER_OF_CHILDREN, NUMBER_OF_IMAGES, Queries
from simple_orthanc.sources.dicomweb.rows import RowBuilder
from simple_orthanc.sources.keys import UID_TAGS, Key


class Completion:
    """Compares what searches show with what the server counts.

    Parameters
    ----------
    queries : Queries
        The searches of the server.
    rows : RowBuilder
        What the searches have shown so far.
    """

    def __init__(self, queries: Queries, rows: RowBuilder) -> None:
        self._queries, self._rows = queries, rows

    def warn_if_missing(self, level: Level, shown: int, expected: int) -> None:
        """Warn of objects that the server counts and does not show."""
        if shown < expected:
            warnings.warn(
                f"{self._queries.description} says that there are at least {expected} objects of level {level} in some "
                f"of its studies or series, and shows {shown} of them. The others cannot be found over DICOMweb: look "
                "at the server's configuration for limits of searches, and at its log.",
                stacklevel=stacklevel(),
            )

    def complete_studies(self, found: dict[str, dict[str, Row]]) -> None:
        """Add the instances that are missing in studies of which all series were asked for, as far as metadata do."""
        of_study: dict[str, list[str]] = {}
        for series in found:
            of_study.setdefault(str(Key.parse(series).parent), []).append(series)
        shown = expected = 0
        for study, names in of_study.items():
            told, count = self._rows.image_counts.get(study, 0), sum(len(found[name]) for name in names)
            # Others are not known to lack any, or were warned of.
            if self.expected(names) <= count < told and len(names) >= self._rows.child_counts.get(study, 0):
                key = Key.parse(study)
                self._rows.image_counts.pop(study)
                with suppress(ServerError):
                    self._rows.build("study", self._queries.search("study", {"StudyInstanceUID": key.study}))
                metadata = self._queries.metadata_of(key) or []
                if any(read_string(item, NUMBER_OF_IMAGES) for item in metadata):
                    continue
                for row in self._rows.build_of_images("instance", metadata, key):
                    found.get(row.parent, {}).setdefault(row.key, row)
                shown += sum(len(found[name]) for name in names)
                # A study that is gone is not told of again.
                expected += self._rows.image_counts.get(study, told if count else 0)
        self.warn_if_missing("instance", shown, expected)

    def expected(self, parents: Sequence[str]) -> int:
        """Return how many objects must be in some studies or series."""
        # Where the server does not say how much is in it, there is something.
        return sum(self._rows.child_counts.get(key, 1) for key in parents)

    def hidden(self, level: Level, parent: Key, names: Sequence[str], shown: Collection[str]) -> tuple[list[Row], int]:
        """Find what a search below a parent did not show, and how much there is now."""
        above: Level = LEVELS[depth(level) - 1]
        counts = self._rows.child_counts
        told = {name: counts.pop(name) for name in names if name in counts}
        study = parent._replace(series="") if parent.series else None
        is_listed = True
        with suppress(ServerError):
            answers = self._queries.search(above, {UID_TAGS[above]: parent[depth(above)]}, study)
            self._rows.build(above, answers, study)
            is_listed = bool(answers)
        metadata = self._queries.metadata_of(parent) or []
        rows = self._rows.build_of_images(level, metadata, parent)
        if any(read_string(item, NUMBER_OF_CHILDREN[above]) for item in metadata):
            # The server repeats the number that a file has, which is not its own.
            for name in names:
                counts.pop(name, None)
            told = {}
        # Otherwise it was deleted meanwhile.
        is_there = bool(is_listed or shown or metadata or (told and self._queries.may_hold(parent)))
        if is_there:
            # A number that is not told again stays.
            counts.update({name: counts.get(name, count) for name, count in told.items()})
        return [row for row in rows if row.key not in shown], self.expected(names) if is_there else 0
