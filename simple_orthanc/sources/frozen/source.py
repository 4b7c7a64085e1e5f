"""A frozen cohort in an archive; see `simple_orthanc.selection.source.Source` for the methods.

Values of the index, such as descriptions of series, are shown as the archive has them now. What is read from files is
compared with what was frozen: see `simple_orthanc.sources.frozen.files`.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import Tag, is_searchable
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import CohortError, stacklevel
from simple_orthanc.selection.cohort import (
    Checksums,
    FrozenQuery,
    FrozenSeries,
    grouped,
    packed,
    unpacked,
)
from simple_orthanc.selection.predicates import Predicate
from simple_orthanc.selection.source import Changes, IdentifierMatch, Mark, Revision, Row, SeriesOf, Source, batches
from simple_orthanc.showing.text import agreeing
from simple_orthanc.sources.frozen.files import FrozenFiles, missing_text
from simple_orthanc.sources.frozen.finding import Found, find

# A source may list its whole archive for more keys at once.
_AT_ONCE = 200


class FrozenSource(FrozenFiles):
    """The frozen objects of an archive.

    Parameters
    ----------
    archive : Source
        Where they are.
    series : sequence of FrozenSeries
        What was frozen.
    checksums : {"files", "datasets"} or None
        The checksums that reads are compared with.
    part : str
        What the cohort is called in messages.
    query : FrozenQuery, optional
        The query that selected them, if known.

    Attributes
    ----------
    archive : Source
        Where they are, with everything else that is there.
    part : str
        What the cohort is called in messages.
    query : FrozenQuery or None
        The query that selected them; it is not pickled, since it may be longer than everything else.
    """

    def __init__(
        self,
        archive: Source,
        series: Sequence[FrozenSeries],
        checksums: Checksums | None,
        part: str,
        query: FrozenQuery | None = None,
    ) -> None:
        super().__init__(archive, checksums, part)
        self.query = query
        self._series = tuple(series)
        self._kept: Found | None = None
        self._narrowed: tuple[Found, set[str], FrozenSource] | None = None
        self._state: Revision | None = None
        self._is_fresh = False
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the archive and what was frozen, but nothing that was found."""
        return _unpacked, (self.archive, packed(self._series), self._checksums, self.part)

    @property
    def description(self) -> str:
        """The name of the archive."""
        return self.archive.description

    @property
    def requests(self) -> int:
        """How many requests have been sent to it."""
        return self.archive.requests

    # What there is

    def look(self) -> Found:
        """Find the frozen objects in the archive as it is now."""
        with self._lock:
            self._state = self.archive.revision()
            self._kept = find(self.archive, self._series)
            self._is_fresh = True
            return self._kept

    def leave_out_missing(self) -> None:
        """Treat what the archive holds as the whole cohort."""
        instances = self._found.instances.values()
        self._series = grouped(instances)

    def narrowed_to_patients_of(self, level: Level, keys: Iterable[str]) -> FrozenSource:
        """Return the frozen objects of the patients of some studies, series or instances, without a request."""
        with self._lock:
            found = self._found
            patients = found.patients_of(level, keys)
            kept = self._narrowed
            # Series are often pickled one after the other.
            if kept is None or kept[0] is not found or kept[1] != patients:
                series = grouped(found.of_patients(patients))
                kept = self._narrowed = found, patients, FrozenSource(self.archive, series, self._checksums, self.part)
            return kept[2]

    @property
    def _found(self) -> Found:
        """The frozen objects that the archive holds.

        Raises
        ------
        CohortError
            They are looked up for the first time, and some are missing.
        """
        with self._lock:
            found = self._kept
            if found is None:
                found = self.look()
                if found.missing:
                    self._kept = None
                    raise CohortError(missing_text(found.missing, self._series, self.part, self.description) + ".")
            return found

    def archive_rows(self) -> Mapping[Level, Iterable[Row]]:
        """Return the rows of the studies and series as the archive has them, with whatever else is in them."""
        return {level: list(rows.values()) for level, rows in self.look().rows.items()}

    def counts(self) -> Mapping[Level, int]:
        """Count the objects of the cohort that are there, at each level."""
        rows = self._found.rows
        return {
            "patient": len(self._found.studies),
            "study": len(rows["study"]),
            "series": len(rows["series"]),
            "instance": len(self._found.instances),
        }

    def mark(self, revision: Revision | None, instances: Sequence[str] | None) -> None:
        """Return no state: what was replaced is noticed when it is read."""

    def replaced_since(self, mark: Mark, instances: Sequence[str], at: float, series_of: SeriesOf | None = None) -> int:
        """Return 0, since there is no such state."""
        return 0

    def revision(self) -> Revision:
        """Return the state of the archive."""
        with self._lock:
            if self._kept is not None and not self._is_fresh:
                self.look()
            counts = self.counts()
            self._is_fresh = False
            return Revision(self._state, counts)

    def changes(self, since: Revision) -> Changes:
        """Find out what has changed in the cohort.

        Warns
        -----
        UserWarning
            Some instances are no longer there.
        """
        assert isinstance(since.token, Revision)
        before = self._found
        inner = self.archive.changes(since.token)
        if inner.added is None or inner.added or inner.removed:
            now = self._kept = find(self.archive, self._series)
            gone = len(before.instances.keys() - now.instances.keys())
            if gone:
                warnings.warn(
                    f"{gone:,} of {len(before.instances):,} instances of the {self.part} {agreeing(gone, 'are')} no "
                    f"longer in {self.description}.",
                    stacklevel=stacklevel(),
                )
        added = None if inner.added is None else inner.added & self._found.instances.keys()
        return Changes(Revision(inner.revision, self.counts()), added, inner.removed)

    def indexed(self, tag: Tag) -> Level | None:
        """Return the level whose rows hold a tag."""
        return self.archive.indexed(tag)

    def searchable(self, tag: Tag, predicate: Predicate) -> bool:
        """Check whether `search` can find rows by a predicate of a tag."""
        if self.indexed(tag) == "instance":
            return tag.vr == "UI" and self.archive.searchable(tag, predicate)
        return is_searchable(tag) and self.indexed(tag) is not None

    def listing(self, level: Level) -> Iterator[Row]:
        """List all rows of a level."""
        if level == "instance":
            yield from self.below(level, list(self.listing("series")))
        else:
            yield from map(self._part, self._found.rows[level].values())

    def _part(self, row: Row) -> Row:
        """Return a row with only its frozen children."""
        return replace(row, children=tuple(self._found.children[row.key]), has_unknown_children=False)

    def search(self, level: Level, tag: Tag, predicate: Predicate) -> Iterable[Row]:
        """List at least the rows for which a predicate holds."""
        if level == "instance":
            return self._own(self.archive.search(level, tag, predicate))
        # These rows are in memory.
        return self.listing(level)

    def _own(self, rows: Iterable[Row]) -> Iterator[Row]:
        return (row for row in rows if row.key in self._found.instances)

    def below(self, level: Level, parents: Sequence[Row]) -> Iterator[Row]:
        """List the rows of a level below some others."""
        if level == "series":
            series = self._found.rows["series"]
            keys = (key for row in parents for key in self._found.children.get(row.key, ()))
            yield from (self._part(series[key]) for key in keys)
            return
        for batch in batches([row for row in parents if row.key in self._found.children], _AT_ONCE):
            yield from self._own(self.archive.below(level, batch))

    def rows(self, level: Level, keys: Sequence[str]) -> Iterator[Row]:
        """Return the rows with these keys."""
        found = self._found
        known = found.instances if level == "instance" else found.rows[level]
        for batch in batches([key for key in keys if key in known], _AT_ONCE):
            rows = self.archive.rows(level, batch)
            yield from rows if level == "instance" else map(self._part, rows)

    def reload_from_files(self, level: Level, rows: Sequence[Row], tag: Tag | None = None) -> Iterable[Row]:
        """Return rows with the values of their files."""
        return self.archive.reload_from_files(level, rows, tag)

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> Mapping[str, Mapping[str, Value]]:
        """Read tags of frozen instances, whose files have not changed."""
        frozen = [key for row in series for key in self._found.children.get(row.key, ())]
        wanted = frozenset(frozen if keys is None else keys.intersection(frozen))
        columns = self.archive.columns(tags, series, wanted)
        self.check([key for key in frozen if key in wanted])
        return {name: {key: column[key] for key in column.keys() & wanted} for name, column in columns.items()}

    def resolve(self, text: str) -> list[IdentifierMatch]:
        """Find the frozen objects that an identifier names."""
        own: Mapping[Level, Container[str]] = {
            "patient": self._found.studies,
            "instance": self._found.instances,
            **self._found.rows,
        }
        return [match for match in self.archive.resolve(text) if match.key in own[match.level]]

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        """Return the labels or metadata that the archive has."""
        return self.archive.server_field(kind, name)

    def close(self) -> None:
        """Close the connections of the archive."""
        self.archive.close()

    def __repr__(self) -> str:
        """Show the cohort and the archive, never a password."""
        return f"<{self.part} in {self.description}>"


def _unpacked(archive: Source, written: bytes, checksums: Checksums | None, part: str) -> FrozenSource:
    return FrozenSource(archive, unpacked(written), checksums, part)
