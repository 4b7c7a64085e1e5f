"""A source that knows its archive by an index of files, which it looks at again when it is asked what has changed.

See `simple_orthanc.selection.source.Source` for the methods.
"""

from __future__ import annotations

import hashlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from simple_orthanc.dicom.levels import Level, indexed_level
from simple_orthanc.dicom.tags import Tag, is_searchable
from simple_orthanc.dicom.values import Value
from simple_orthanc.selection.predicates import Predicate
from simple_orthanc.selection.source import Changes, IdentifierMatch, Mark, Revision, Row, SeriesOf
from simple_orthanc.sources.folder.folder_index import FolderIndex, Item
from simple_orthanc.sources.folder.processes import side_by_side


class IndexSource(ABC):
    """What a source answers from an index of files."""

    requests = 0

    def _forget(self) -> None:
        """Start without an index."""
        self._index: FolderIndex | None = None
        self._is_fresh = False
        self._lock = threading.RLock()

    @property
    def index(self) -> FolderIndex:
        """The index of the files when they were last looked at."""
        with self._lock:
            if self._index is None:
                return self.look_again()
            return self._index

    @abstractmethod
    def look_again(self) -> FolderIndex:
        """Look at what has changed since the last time, and keep the index."""

    @abstractmethod
    def _tags(self, key: str, tags: tuple[Tag, ...]) -> Mapping[str, Value]:
        """Read tags from the file of an instance."""

    def counts(self) -> Mapping[Level, int]:
        """Count everything, at each level."""
        return self.index.counts()

    def indexed(self, tag: Tag) -> Level | None:
        """Return the level of the rows that hold a tag."""
        return indexed_level(tag.name)

    def searchable(self, tag: Tag, predicate: Predicate) -> bool:
        """Check whether rows are searched for by a tag."""
        return is_searchable(tag)

    def listing(self, level: Level) -> Iterable[Row]:
        """List all rows of a level."""
        index = self.index
        return index.rows(level, list(index.keys(level)))

    def search(self, level: Level, tag: Tag, predicate: Predicate) -> Iterable[Row]:
        """List all rows of a level, those that match among them."""
        # Choosing among rows takes longer than returning them all.
        return self.listing(level)

    def below(self, level: Level, parents: Sequence[Row]) -> Iterable[Row]:
        """List the rows of a level below some others."""
        return self.index.rows(level, [child for row in parents for child in row.children])

    def rows(self, level: Level, keys: Sequence[str]) -> Iterable[Row]:
        """Return the rows with these keys."""
        return self.index.rows(level, keys)

    def reload_from_files(self, level: Level, rows: Sequence[Row], tag: Tag | None = None) -> Iterable[Row]:
        """Return the rows as they are."""
        # All strings are read from the files already.
        return rows

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> Mapping[str, Mapping[str, Value]]:
        """Read tags of all instances of some series from their files."""
        wanted = [key for row in series for key in row.children if keys is None or key in keys]
        columns: dict[str, dict[str, Value]] = {tag.name: {} for tag in tags}
        read = partial(self._tags, tags=tuple(tags))
        for key, values in zip(wanted, side_by_side(read, wanted, "reading tags"), strict=True):
            for name, column in columns.items():
                column[key] = values.get(name)
        return columns

    def resolve(self, text: str) -> Sequence[IdentifierMatch]:
        """Find the objects that an identifier names."""
        return self.index.resolve(text)

    def revision(self) -> Revision:
        """Look at the files, unless that was just done, and return their state."""
        with self._lock:
            index = self.index if self._is_fresh or self._index is None else self.look_again()
            self._is_fresh = False
            return Revision(index, index.counts())

    def changes(self, since: Revision) -> Changes:
        """Look at the files again, and return what was added and whether anything was removed."""
        before = since.token
        now = self.look_again()
        self._is_fresh = False
        revision = Revision(now, now.counts())
        if not isinstance(before, FolderIndex):
            return Changes(revision, None, True)
        added = frozenset(key for key, item in now.instances.items() if before.instances.get(key) != item)
        removed = any(now.instances.get(key) != item for key, item in before.instances.items())
        return Changes(revision, added, removed)

    def mark(self, revision: Revision | None, instances: Sequence[str] | None) -> Mark | None:
        """Return a digest of where the files of instances are, of their lengths and times; None for too many."""
        return None if instances is None else Mark(Revision(self._digest(self.index.instances, instances)), time.time())

    def replaced_since(self, mark: Mark, instances: Sequence[str], at: float, series_of: SeriesOf | None = None) -> int:
        """Return the number of instances if the file of any of them has another length or time, else 0."""
        if self._digest(self.index.instances, instances) == mark.revision.token:
            return 0
        return len(instances) if self._digest(self.look_again().instances, instances) != mark.revision.token else 0

    @staticmethod
    def _digest(known: Mapping[str, Item], instances: Sequence[str]) -> str:
        items = [known.get(key) for key in sorted(instances)]
        files = [item and (item.path, item.member, item.member_index, item.size, item.stamp) for item in items]
        return hashlib.blake2b(repr(files).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
