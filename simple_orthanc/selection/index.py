"""What has been read of an archive: one table of rows per level, filled when it is needed, and kept.

An archive of a million instances is browsed at study and series level and expanded to instances only for what is
selected, so nothing here is read before it is needed.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from threading import RLock
from typing import Concatenate, ParamSpec, TypeVar

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import TEXT_VRS, Tag
from simple_orthanc.dicom.values import Value, from_text
from simple_orthanc.errors import SelectionError, stacklevel
from simple_orthanc.selection.computed import computed_level, computed_values
from simple_orthanc.selection.ordering import in_order
from simple_orthanc.selection.predicates import Predicate
from simple_orthanc.selection.source import Revision, Row, Source
from simple_orthanc.showing.text import agreeing

# The levels that have rows; a patient is the parent of studies, and has no row.
ROW_LEVELS: tuple[Level, ...] = ("study", "series", "instance")

# Reading a tag that the source does not index opens every file.
FILES_BEFORE_WARNING = 5000

# To count an archive may take as long as to list it, which is not worth it for so few rows.
_FEW = 50

# Up to this many new instances are requested by key at a refresh; for more, listing the levels again costs less.
_MAX_ADDED = 200


class NotKnownError(Exception):
    """An answer would need a request while none may be sent; never leaves the package."""


P = ParamSpec("P")
R = TypeVar("R")


def _locked(method: Callable[Concatenate[Index, P], R]) -> Callable[Concatenate[Index, P], R]:
    """Let one thread at a time into the methods of an index that read or fill it."""

    @wraps(method)
    def locked(self: Index, /, *arguments: P.args, **options: P.kwargs) -> R:
        with self._lock:
            return method(self, *arguments, **options)

    return locked


class Index:
    """The rows of an archive, and the columns read from its files; several threads may use it.

    Parameters
    ----------
    source : Source
        Where rows and columns are read from.
    revision : Revision, optional
        A state of the archive before anything is read from it, if one is known.

    Attributes
    ----------
    revision : Revision or None
        That state; None before anything is read.
    """

    def __init__(self, source: Source, revision: Revision | None = None) -> None:
        self.source = source
        self._rows: dict[Level, dict[str, Row]] = {level: {} for level in ROW_LEVELS}
        self._complete: set[Level] = set()
        self._columns: dict[str, dict[str, Value]] = {}
        self._verified: set[str] = set()
        # Key of instance to key of series, as the rows of series have it; None: to be made again from these.
        self._owners: dict[str, str] | None = None
        self._searches: dict[tuple[Level, str, Predicate], list[str]] = {}
        self.revision = revision
        self.last_update = [0.0]  # by `time.monotonic`; shared by the indexes that `updated` makes of each other
        self._counts: dict[Level, int] | None = None
        self._offline = False
        self._server_fields: dict[tuple[str, str], Mapping[Level, Mapping[str, Value]]] = {}
        self._lock = RLock()

    @contextmanager
    def offline(self, wait: bool = True) -> Iterator[None]:
        """Answer from what has been read inside the block; what would need a request raises `NotKnownError`.

        Parameters
        ----------
        wait : bool
            Whether to wait for another thread that reads the archive; False: `NotKnownError` while there is one.
        """
        if not self._lock.acquire(blocking=wait):
            raise NotKnownError
        try:
            before, self._offline = self._offline, True
            try:
                yield
            finally:
                self._offline = before
        finally:
            self._lock.release()

    @property
    def is_offline(self) -> bool:
        """Whether requests are forbidden at the moment."""
        return self._offline

    def _online(self) -> Source:
        if self._offline:
            raise NotKnownError
        self.begin()
        return self.source

    @_locked
    def begin(self) -> None:
        """Note the state of the archive before anything is read from it; only once."""
        if self.revision is None:
            self.revision = self.source.revision()

    @_locked
    def updated(self) -> Index:
        """Return an index that is up to date, with everything that is still true of this one, which stays unchanged.

        If nothing has changed, everything is kept. If instances were only added, their rows are added. If something was
        deleted or replaced, studies and series are listed again when they are needed, and what was read from the files
        of the other instances is kept.
        """
        fresh = Index(self.source)
        fresh.last_update, self.last_update[0] = self.last_update, time.monotonic()
        if self.revision is None:
            return fresh
        changes = self.source.changes(self.revision)
        fresh.revision = changes.revision
        if changes.added is None:
            return fresh
        for name, column in self._columns.items():
            fresh._columns[name] = {key: value for key, value in column.items() if key not in changes.added}
        fresh._rows["instance"] = {key: row for key, row in self._rows["instance"].items() if key not in changes.added}
        if changes.removed or len(changes.added) > _MAX_ADDED:
            return fresh
        for level in ("study", "series"):
            fresh._rows[level] = dict(self._rows[level])
        fresh._complete, fresh._verified = set(self._complete), set(self._verified)
        if changes.added:
            fresh._include(sorted(changes.added))
        else:
            fresh._searches = dict(self._searches)
        return fresh

    def _include(self, keys: Sequence[str]) -> None:
        """Read the rows of new instances, and again those of the series and studies that they belong to."""
        level: Level = "instance"
        while level != "patient":
            rows = list(self._online().rows(level, keys))
            self._rows[level].update((row.key, row) for row in rows)
            self._owners = None
            self._verified.difference_update(row.key for row in rows)
            keys = list(dict.fromkeys(row.parent for row in rows))
            level = LEVELS[depth(level) - 1]

    @_locked
    def counts(self) -> dict[Level, int]:
        """Count everything, at each level."""
        if self._counts is None:
            source = self._online()
            counted = self.revision.counts if self.revision is not None else None
            self._counts = dict(source.counts() if counted is None else counted)
        return self._counts

    @_locked
    def known_count(self, level: Level) -> int | None:
        """Count the rows of a whole level where that needs no request; else None."""
        counts = self._counts or (self.revision.counts if self.revision is not None else None)
        return len(self._rows[level]) if level in self._complete else None if counts is None else counts[level]

    @_locked
    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        """Return the objects that have a label, or the values of a metadata entry, at each level."""
        if (kind, name) not in self._server_fields:
            self._server_fields[kind, name] = self._online().server_field(kind, name)
        return self._server_fields[kind, name]

    def row(self, level: Level, key: str) -> Row:
        """Return a row that has been loaded."""
        return self._rows[level][key]

    def home(self, tag: Tag) -> Level | None:
        """Return the level whose rows answer for a tag, None if only the files hold it; sends no request."""
        return computed_level(tag) or self.source.indexed(tag)

    def seen(self, tag: Tag) -> list[tuple[str | bytes, ...]]:
        """Return the values of a tag read so far, of whatever is selected; sends no request."""
        home = self.source.indexed(tag)
        rows = self._rows[home].values() if home is not None else ()
        values = [*(row.values.get(tag.name) for row in rows), *self._columns.get(tag.name, {}).values()]
        return [value for value in values if value is not None]

    @_locked
    def has_seen(self, tag: Tag, string: str) -> bool:
        """Check whether a value read so far is this string, or the several values that it joins; sends no request."""
        return any(string in value or from_text(string, tag.vr) == value for value in self.seen(tag))

    def has_read(self, tag: Tag) -> bool:
        """Check whether a tag that only the files hold has been read from any of them."""
        return bool(self._columns.get(tag.name))

    @_locked
    def add(self, level: Level, rows: Iterable[Row]) -> list[str]:
        """Keep rows, and return their keys."""
        keys = []
        for row in rows:
            self._rows[level].setdefault(row.key, row)
            keys.append(row.key)
        self._owners = None if level == "series" else self._owners
        return keys

    def is_listed(self, level: Level) -> bool:
        """Check whether the whole level has been read."""
        return level in self._complete

    @_locked
    def everything(self, level: Level) -> list[str]:
        """Return the keys of a whole level."""
        if level not in self._complete:
            rows = {row.key: row for row in self._online().listing(level)}
            self._rows[level] = rows
            self._owners = None if level == "series" else self._owners
            self._verified.difference_update(rows)
            self._complete.add(level)
        return list(self._rows[level])

    @_locked
    def search(self, level: Level, tag: Tag, predicate: Predicate) -> list[str]:
        """Return the keys of at least the rows for which a predicate of a tag holds."""
        if level in self._complete:
            return list(self._rows[level])
        question = (level, tag.name, predicate)
        if question not in self._searches:
            self._searches[question] = self.add(level, self._online().search(level, tag, predicate))
        return list(self._searches[question])

    @_locked
    def down(self, level: Level, keys: Sequence[str], target: Level) -> list[str]:
        """Return every key of a deeper level that is below the given ones."""
        while level != target:
            if level == "patient":
                raise ValueError("Patients have no rows: start from studies.")
            self.load(level, keys)
            below: Level = LEVELS[depth(level) + 1]
            self._find_children(level, keys, below)
            keys = [child for key in keys for child in self._rows[level][key].children]
            level = below
        return list(keys)

    @_locked
    def child_count(self, level: Level, keys: Sequence[str]) -> int:
        """Count the objects directly below the given ones, which are distinct."""
        self.load(level, keys)
        self._find_children(level, keys, LEVELS[depth(level) + 1])
        return sum([len(row.children) for row in map(self._rows[level].__getitem__, keys)])

    def _find_children(self, level: Level, keys: Sequence[str], below: Level) -> None:
        """Find the children of the rows that came without them."""
        parents = [row for key in dict.fromkeys(keys) if (row := self._rows[level][key]).has_unknown_children]
        if not parents:
            return
        candidates = self._rows[below].values() if below in self._complete else self._online().below(below, parents)
        children: dict[str, list[str]] = {row.key: [] for row in parents}
        for row in candidates:
            if row.parent in children:
                children[row.parent].append(row.key)
                self._rows[below].setdefault(row.key, row)
        # The rows are replaced, not changed: an older index may share them.
        for row in parents:
            self._rows[level][row.key] = replace(row, children=tuple(children[row.key]), has_unknown_children=False)
        self._owners = None

    @_locked
    def up(self, level: Level, keys: Sequence[str], target: Level) -> list[str]:
        """Return for each key the key of the object of a higher level that it is in, one for one."""
        result = list(keys)
        if level == "instance" and level != target:
            result, level = self._series_of(result), "series"
        while level != target:
            self.load(level, result)
            result = [row.parent for row in map(self._rows[level].__getitem__, result)]
            level = LEVELS[depth(level) - 1]
        return result

    @_locked
    def load(self, level: Level, keys: Sequence[str]) -> None:
        """Read the rows with these keys that are not known yet.

        Raises
        ------
        SelectionError
            Some of them are not in the archive any more.
        """
        rows = self._rows[level]
        # Nearly always there is nothing to read, and this is the quickest way to see that.
        if all(map(rows.__contains__, keys)):
            return
        if self._offline:
            raise NotKnownError
        missing = list(dict.fromkeys(key for key in keys if key not in rows))
        if level not in self._complete:
            self._fetch(level, missing)
        raise_if_gone([key for key in missing if key not in self._rows[level]], len(keys), level)

    @_locked
    def held(self, level: Level, keys: Sequence[str]) -> list[str]:
        """Return those of some keys that the archive holds, in their order, for an index that is up to date."""
        missing = list(dict.fromkeys(key for key in keys if key not in self._rows[level]))
        if missing and level not in self._complete:
            self._fetch(level, missing)
        rows = self._rows[level]
        present = [key for key in keys if key in rows]
        if level != "instance":
            return present
        # `updated` keeps rows of instances that may have been deleted; the rows of their series are new.
        series = self.held("series", list(dict.fromkeys(rows[key].parent for key in present)))
        inside = set(self.down("series", series, "instance"))
        return [key for key in present if key in inside]

    def _fetch(self, level: Level, missing: Sequence[str]) -> None:
        if level != "study":
            self._load_below(level, missing)
            missing = [key for key in missing if key not in self._rows[level]]
        if missing and self._is_most(level, missing):
            self.everything(level)
        elif missing:
            self.add(level, self._online().rows(level, missing))

    def _is_most(self, level: Level, keys: Sequence[str]) -> bool:
        """Check whether keys are most of a level; a few are not counted where that would need requests."""
        is_counted = self._counts is not None or (self.revision is not None and self.revision.counts is not None)
        return (is_counted or len(keys) > _FEW) and 2 * len(keys) > self.counts()[level]

    def _load_below(self, level: Level, missing: Sequence[str]) -> None:
        """Fetch rows through the parents that are known to have them: few requests, however many rows."""
        if level == "instance":
            owners, series = self._series_by_instance(), self._rows["series"]
            parents = [series[key] for key in dict.fromkeys(owners[key] for key in missing if key in owners)]
        else:
            wanted = set(missing)
            parents = [row for row in self._rows["study"].values() if not wanted.isdisjoint(row.children)]
        if level != "instance" and self._is_most(level, missing):
            self.everything(level)
        elif parents:
            self.add(level, self._online().below(level, parents))

    @_locked
    def column(self, tag: Tag, level: Level, keys: Sequence[str]) -> list[Value]:
        """Return the value of a tag for each row of a level, from the row itself or from one above it.

        The tag must be indexed at this level or above it, or the level must be that of instances.
        """
        home = self.home(tag)
        if home is None:
            return self._file_column(tag, keys)
        owners = self.up(level, keys, home)
        if computed_level(tag) is not None:
            return computed_values(self, tag, owners)
        self.load(home, owners)
        if home == "series" and tag.vr in TEXT_VRS:
            self._verify_strings(owners)
        rows = self._rows[home]
        unresolved = [row for key in dict.fromkeys(owners) if tag.name in (row := rows[key]).unresolved_tags]
        if unresolved:
            rows.update((row.key, row) for row in self._online().reload_from_files(home, unresolved, tag))
        return [rows[key].values.get(tag.name) for key in owners]

    def _verify_strings(self, series: Sequence[str]) -> None:
        """Re-read the series whose study flags its strings as possibly mis-decoded."""
        unverified = [key for key in dict.fromkeys(series) if key not in self._verified]
        if not unverified:
            return
        studies = self.up("series", unverified, "study")
        self.load("study", studies)
        pairs = zip(unverified, studies, strict=True)
        flagged = [
            self._rows["series"][key] for key, study in pairs if self._rows["study"][study].has_unreliable_strings
        ]
        if flagged:
            self._rows["series"].update((row.key, row) for row in self._online().reload_from_files("series", flagged))
        self._verified.update(unverified)

    @_locked
    def read_files(self, tags: Sequence[Tag], keys: Sequence[str]) -> None:
        """Read several tags from the files of instances in one pass, as far as they have not been read.

        Warns
        -----
        UserWarning
            Very many files have to be read.
        """
        unread: list[Tag] = []
        wanted: set[str] = set()
        for tag in tags:
            known = self._columns.setdefault(tag.name, {})
            missing = [key for key in keys if key not in known]
            if missing and self.home(tag) is None:
                unread.append(tag)
                wanted.update(missing)
        if not unread:
            return
        if self._offline:
            raise NotKnownError
        if len(wanted) > FILES_BEFORE_WARNING:
            names = ", ".join(tag.name for tag in unread)
            warnings.warn(
                f"{names}: the index does not hold this, so {len(wanted):,} files are read. Narrow the selection first "
                f"by what the index holds; Ctrl-C leaves the selection as it was.",
                stacklevel=stacklevel(),
            )
        ordered = [key for key in dict.fromkeys(keys) if key in wanted]
        series = list(dict.fromkeys(self._series_of(ordered)))
        self.load("series", series)
        rows = [self._rows["series"][key] for key in series]
        for name, column in self._online().columns(unread, rows, frozenset(wanted)).items():
            self._columns[name].update(column)
            # A file that has not been read may have the tag all the same.
            raise_if_gone([key for key in ordered if key not in self._columns[name]], len(ordered), "instance")

    def _series_by_instance(self) -> dict[str, str]:
        if self._owners is None:
            self._owners = {child: row.key for row in self._rows["series"].values() for child in row.children}
        return self._owners

    def _series_of(self, keys: Sequence[str]) -> list[str]:
        """Return the series of instances, from the rows of series, which list their instances, if these are known."""
        owners = self._series_by_instance()
        if not all(key in owners for key in keys):
            self.load("instance", keys)
            rows = self._rows["instance"]
            return [rows[key].parent for key in keys]
        return [owners[key] for key in keys]

    def _file_column(self, tag: Tag, keys: Sequence[str]) -> list[Value]:
        self.read_files([tag], keys)
        return list(map(self._columns[tag.name].get, keys))

    @_locked
    def ordered(self, level: Level, keys: Sequence[str]) -> list[str]:
        """Return keys in the order that holds everywhere.

        PatientID, StudyDate, StudyTime, StudyInstanceUID, SeriesNumber, SeriesInstanceUID, slice position (if the
        source indexes it) or else InstanceNumber, SOPInstanceUID.
        """
        return in_order(self, level, keys)


def part_of(index: Index, level: Level, keys: Iterable[str]) -> Index:
    """Return an index with what another knows of some studies, series or instances; sends no request.

    What is read of them later is kept there alone: memory does not grow with each object of thousands, and threads that
    read several of them do not wait for each other.
    """
    part = Index(index.source, index.revision)
    with index._lock:
        above: Level = level
        wanted: Iterable[str] = list(keys)
        below = wanted
        while above != "patient":
            known = index._rows[above]
            part._rows[above] = {key: known[key] for key in wanted if key in known}
            wanted = dict.fromkeys(row.parent for row in part._rows[above].values())
            above = LEVELS[depth(above) - 1]
        while level != "instance":
            below = [child for key in below if key in part._rows[level] for child in part._rows[level][key].children]
            level = LEVELS[depth(level) + 1]
            known = index._rows[level]
            part._rows[level] = {key: known[key] for key in below if key in known}
        part._verified = index._verified.intersection(part._rows["series"])
        for name, column in index._columns.items():
            part._columns[name] = {key: column[key] for key in below if key in column}
        part._counts, part._server_fields = index._counts, dict(index._server_fields)
    return part


def raise_if_gone(gone: Sequence[str], asked: int, level: Level) -> None:
    """Raise a SelectionError if some of the objects that were asked for are not in the archive any more."""
    if gone:
        raise SelectionError(
            f"{len(gone)} of {asked} objects of level {level} {agreeing(len(gone), 'are')} not known: the archive has "
            "changed since it was read. refresh() brings what is known up to date and keeps the selection."
        )
