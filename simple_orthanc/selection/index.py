"""What is known of an archive so far: one table per level, filled as it is asked for, and kept.

An archive of a million instances is browsed at study and series level and expanded to instances only for what is
selected, so nothing here is read before somebody needs it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import TEXT_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value, comparable, from_text
from simple_orthanc.errors import SelectionError, stacklevel
from simple_orthanc.selection.source import Revision, Row, Source

# Rows are kept for these; a patient is the parent of studies, and has no row of its own.
ROW_LEVELS: tuple[Level, ...] = ("study", "series", "instance")

# Reading a tag that the source does not index opens every file.
FILES_BEFORE_WARNING = 5000

# Up to so many new instances are asked for by name at a refresh; for more, listing the levels anew costs less.
_FEW = 200


class NotKnownError(Exception):
    """An answer would need a request, and none may be sent now; never leaves the package."""


class Index:
    """The rows of an archive, and the columns read from its files.

    Parameters
    ----------
    source : Source
        Where to ask.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._rows: dict[Level, dict[str, Row]] = {level: {} for level in ROW_LEVELS}
        self._complete: set[Level] = set()
        self._columns: dict[str, dict[str, Value]] = {}
        self._verified: set[str] = set()
        # Key of instance to key of series, as the rows of series have it; None: to be made anew from these.
        self._owners: dict[str, str] | None = None
        self._searches: dict[tuple[Level, str, tuple[str, ...]], list[str]] = {}
        self._revision: Revision | None = None
        self._counts: dict[Level, int] | None = None
        self._offline = False
        self._attached: dict[tuple[str, str], Mapping[Level, Mapping[str, Value]]] = {}

    @contextmanager
    def offline(self) -> Iterator[None]:
        """Answer from what is known; what would need a request raises `NotKnownError`."""
        before, self._offline = self._offline, True
        try:
            yield
        finally:
            self._offline = before

    def _ask(self) -> Source:
        if self._offline:
            raise NotKnownError
        self.begin()
        return self.source

    def begin(self) -> None:
        """Note in which state the archive is, before anything is read from it; only once."""
        if self._revision is None:
            self._revision = self.source.revision()

    def updated(self) -> Index:
        """Give an index that is up to date, with all that is still true of this one; this one stays as it is.

        Nothing new: everything is kept. Only additions: their rows are added. Something is gone or replaced: studies
        and series are listed again when they are asked for, and what was read from the files of others is kept.
        """
        fresh = Index(self.source)
        if self._revision is None:
            return fresh
        changes = self.source.changes(self._revision)
        fresh._revision = changes.revision
        if changes.added is None:
            return fresh
        for name, column in self._columns.items():
            fresh._columns[name] = {key: value for key, value in column.items() if key not in changes.added}
        instances = self._rows["instance"]
        fresh._rows["instance"] = {key: row for key, row in instances.items() if key not in changes.added}
        if changes.removed or len(changes.added) > _FEW:
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
        """Read the rows of new instances, and anew those of the series and studies that they belong to."""
        level: Level = "instance"
        while level != "patient":
            rows = list(self._ask().rows(level, keys))
            self._rows[level].update((row.key, row) for row in rows)
            self._owners = None
            self._verified.difference_update(row.key for row in rows)
            keys = list(dict.fromkeys(row.parent for row in rows))
            level = LEVELS[depth(level) - 1]

    def counts(self) -> dict[Level, int]:
        """Count everything, at each level."""
        if self._counts is None:
            source = self._ask()
            counted = self._revision.counts if self._revision is not None else None
            self._counts = dict(source.counts() if counted is None else counted)
        return self._counts

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        """Give the objects that carry a label, or the values of an entry of metadata, at each level."""
        if (kind, name) not in self._attached:
            self._attached[kind, name] = self._ask().server_field(kind, name)
        return self._attached[kind, name]

    def row(self, level: Level, key: str) -> Row:
        """Give a row that has been loaded."""
        return self._rows[level][key]

    def has_seen(self, tag: Tag, text: str) -> bool:
        """Say whether a value that was read so far is this text, or several that it joins; nothing is asked for."""
        home = self.source.indexed(tag)
        rows = self._rows[home].values() if home is not None else ()
        values = [*(row.values.get(tag.name) for row in rows), *self._columns.get(tag.name, {}).values()]
        return any(text in value or from_text(text, tag.vr) == value for value in values if value is not None)

    def add(self, level: Level, rows: Iterable[Row]) -> list[str]:
        """Keep rows, and give their keys."""
        keys = []
        for row in rows:
            self._rows[level].setdefault(row.key, row)
            keys.append(row.key)
        self._owners = None if level == "series" else self._owners
        return keys

    def is_listed(self, level: Level) -> bool:
        """Say whether the whole level is known."""
        return level in self._complete

    def everything(self, level: Level) -> list[str]:
        """List a whole level."""
        if level not in self._complete:
            rows = {row.key: row for row in self._ask().listing(level)}
            self._rows[level] = rows
            self._owners = None if level == "series" else self._owners
            self._verified.difference_update(rows)
            self._complete.add(level)
        return list(self._rows[level])

    def search(self, level: Level, tag: Tag, patterns: Sequence[str]) -> list[str]:
        """Find at least the rows of which a value matches one of the patterns."""
        if level in self._complete:
            return list(self._rows[level])
        asked = (level, tag.name, tuple(patterns))
        if asked not in self._searches:
            self._searches[asked] = self.add(level, self._ask().search(level, tag, patterns))
        return list(self._searches[asked])

    def down(self, level: Level, keys: Sequence[str], target: Level) -> list[str]:
        """Go down from a level to a deeper one: every key below the given ones."""
        while level != target:
            if level == "patient":
                raise ValueError("patients have no rows: start from studies")
            self.load(level, keys)
            below: Level = LEVELS[depth(level) + 1]
            self._find_children(level, keys, below)
            keys = [child for key in keys for child in self._rows[level][key].children]
            level = below
        return list(keys)

    def _find_children(self, level: Level, keys: Sequence[str], below: Level) -> None:
        """Find what lies below the rows that came without their children."""
        parents = [row for key in dict.fromkeys(keys) if (row := self._rows[level][key]).has_unknown_children]
        if not parents:
            return
        found = self._rows[below].values() if below in self._complete else self._ask().below(below, parents)
        children: dict[str, list[str]] = {row.key: [] for row in parents}
        for row in found:
            if row.parent in children:
                children[row.parent].append(row.key)
                self._rows[below].setdefault(row.key, row)
        # The rows are replaced and not changed: an older index may share them.
        for row in parents:
            self._rows[level][row.key] = replace(row, children=tuple(children[row.key]), has_unknown_children=False)
        self._owners = None

    def up(self, level: Level, keys: Sequence[str], target: Level) -> list[str]:
        """Go up from a level: for each key the key of what holds it, one for one."""
        result = list(keys)
        if level == "instance" and level != target:
            result, level = self._series_of(result), "series"
        while level != target:
            self.load(level, result)
            rows = self._rows[level]
            result = [rows[key].parent for key in result]
            level = LEVELS[depth(level) - 1]
        return result

    def load(self, level: Level, keys: Sequence[str]) -> None:
        """Make sure that the rows with these keys are there."""
        missing = list(dict.fromkeys(key for key in keys if key not in self._rows[level]))
        if missing and level not in self._complete:
            self._fetch(level, missing)
        _raise_if_gone([key for key in missing if key not in self._rows[level]], len(keys), level)

    def _fetch(self, level: Level, missing: Sequence[str]) -> None:
        if level != "study":
            self._load_below(level, missing)
            missing = [key for key in missing if key not in self._rows[level]]
        if 2 * len(missing) > self.counts()[level] and missing:
            self.everything(level)
        elif missing:
            self.add(level, self._ask().rows(level, missing))

    def _load_below(self, level: Level, missing: Sequence[str]) -> None:
        """Fetch rows through the parents that are known to have them: few requests, whatever their number."""
        above: Level = LEVELS[depth(level) - 1]
        wanted = set(missing)
        parents = [row for row in self._rows[above].values() if not wanted.isdisjoint(row.children)]
        if 2 * len(missing) > self.counts()[level] and level != "instance":
            self.everything(level)
        elif parents:
            self.add(level, self._ask().below(level, parents))

    def column(self, tag: Tag, level: Level, keys: Sequence[str]) -> list[Value]:
        """Give the value of a tag for each row of a level, from the level itself or from above.

        The tag must be indexed at this level or above it, or the level be the instance's.
        """
        home = self.source.indexed(tag)
        if home is None:
            return self._file_column(tag, keys)
        owners = self.up(level, keys, home)
        self.load(home, owners)
        if home == "series" and tag.vr in TEXT_VRS:
            self._verify_strings(owners)
        rows = self._rows[home]
        unanswered = [row for key in dict.fromkeys(owners) if tag.name in (row := rows[key]).unresolved_tags]
        if unanswered:
            rows.update((row.key, row) for row in self._ask().reload_from_files(home, unanswered))
        return [rows[key].values.get(tag.name) for key in owners]

    def _verify_strings(self, series: Sequence[str]) -> None:
        """Read the series anew of which their studies say that the source may hold their texts wrongly."""
        unverified = [key for key in dict.fromkeys(series) if key not in self._verified]
        if not unverified:
            return
        studies = self.up("series", unverified, "study")
        self.load("study", studies)
        pairs = zip(unverified, studies, strict=True)
        doubtful = [
            self._rows["series"][key] for key, study in pairs if self._rows["study"][study].has_unreliable_strings
        ]
        if doubtful:
            self._rows["series"].update((row.key, row) for row in self._ask().reload_from_files("series", doubtful))
        self._verified.update(unverified)

    def read_files(self, tags: Sequence[Tag], keys: Sequence[str]) -> None:
        """Read several tags from the files of instances in one pass."""
        lacking: list[Tag] = []
        wanted: set[str] = set()
        for tag in tags:
            known = self._columns.setdefault(tag.name, {})
            missing = [key for key in keys if key not in known]
            if missing and self.source.indexed(tag) is None:
                lacking.append(tag)
                wanted.update(missing)
        if not lacking:
            return
        if len(wanted) > FILES_BEFORE_WARNING:
            names = ", ".join(tag.name for tag in lacking)
            warnings.warn(
                f"{names}: the index does not hold this, so {len(wanted):,} files are read. Narrow the selection first "
                f"by what the index holds; Ctrl-C leaves the selection as it was.",
                stacklevel=stacklevel(),
            )
        ordered = [key for key in dict.fromkeys(keys) if key in wanted]
        series = list(dict.fromkeys(self._series_of(ordered)))
        self.load("series", series)
        rows = [self._rows["series"][key] for key in series]
        for name, column in self._ask().columns(lacking, rows, frozenset(wanted)).items():
            self._columns[name].update(column)
            # A file that nobody has read says nothing; in particular not that it lacks the tag.
            _raise_if_gone([key for key in ordered if key not in self._columns[name]], len(ordered), "instance")

    def _series_of(self, keys: Sequence[str]) -> list[str]:
        """Give the series of instances; from the rows of series, which list their instances, where these are there."""
        if self._owners is None:
            self._owners = {child: row.key for row in self._rows["series"].values() for child in row.children}
        owners = self._owners
        if not all(key in owners for key in keys):
            self.load("instance", keys)
            rows = self._rows["instance"]
            return [rows[key].parent for key in keys]
        return [owners[key] for key in keys]

    def _file_column(self, tag: Tag, keys: Sequence[str]) -> list[Value]:
        self.read_files([tag], keys)
        column = self._columns[tag.name]
        return [column.get(key) for key in keys]

    def ordered(self, level: Level, keys: Sequence[str]) -> list[str]:
        """Put rows in the order that holds everywhere.

        PatientID, StudyDate, StudyTime, StudyInstanceUID, SeriesNumber, SeriesInstanceUID, slice position or else
        InstanceNumber, SOPInstanceUID.
        """
        keys = list(keys)
        if len(keys) < 2:
            return keys
        columns: list[Sequence[Any]] = []
        if level != "study":
            above = LEVELS[depth(level) - 1]
            owners = self.up(level, keys, above)
            distinct = list(dict.fromkeys(owners))
            if len(distinct) > 1:
                ranks = {key: place for place, key in enumerate(self.ordered(above, distinct))}
                columns.append([ranks[owner] for owner in owners])
        if level == "instance":
            columns.append(self._positions(keys))
        for tag in _ORDER[level]:
            columns.append([_sortable(value, tag) for value in self.column(tag, level, keys)])
        ranked = sorted(zip(*columns, range(len(keys)), strict=True))
        return [keys[row[-1]] for row in ranked]

    def _positions(self, keys: Sequence[str]) -> list[tuple[bool, float]]:
        positions = self.column(_POSITION, "instance", keys)
        orientations = self.column(_ORIENTATION, "instance", keys)
        return [_along_normal(*pair) for pair in zip(positions, orientations, strict=True)]


def _raise_if_gone(gone: Sequence[str], asked: int, level: Level) -> None:
    if gone:
        raise SelectionError(
            f"{len(gone)} of {asked} objects of level {level} are not known: the archive has changed since it was "
            f"read. refresh() brings what is known up to date and keeps the selection."
        )


_ORDER: dict[Level, tuple[Tag, ...]] = {
    "study": tuple(map(parse_tag, ("PatientID", "StudyDate", "StudyTime", "StudyInstanceUID"))),
    "series": (parse_tag("SeriesNumber"), parse_tag("SeriesInstanceUID")),
    "instance": (parse_tag("InstanceNumber"), parse_tag("SOPInstanceUID")),
}
_POSITION, _ORIENTATION = parse_tag("ImagePositionPatient"), parse_tag("ImageOrientationPatient")


def _sortable(value: Value, tag: Tag) -> tuple[bool, float, str]:
    """Order by number where the tag holds numbers, however they are spelt, else as text; what is missing comes last."""
    text = str(value[0]) if value else ""
    if tag.vr != "IS" or not text:
        return (value is None, 0.0, text)
    # Nearly all are plain digits, and there are many of them.
    number = int(text) if text.isdecimal() and len(text) < 16 else comparable(text, tag.vr)
    # An integer is left as it is: one of hundreds of digits is more than a float can hold.
    return (False, number, "") if isinstance(number, (int, float)) else (False, 0.0, text)


def _along_normal(position: Value, orientation: Value) -> tuple[bool, float]:
    """Give the distance of a slice along its normal; (True, 0) where it has no position.

    One that is not finite is none: nothing is less or more than NaN, so that one alone would leave all in disorder.
    Rounded to a micrometre, so that slices of one position told apart by InstanceNumber stay together.
    """
    try:
        x, y, z = (float(part) for part in position or ())
        a, b, c, d, e, f = (float(part) for part in orientation or ())
    except ValueError:
        return (True, 0.0)
    distance = x * (b * f - c * e) + y * (c * d - a * f) + z * (a * e - b * d)
    return (False, round(distance, 3)) if math.isfinite(distance) else (True, 0.0)
