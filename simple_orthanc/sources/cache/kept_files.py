"""The files of one archive in a cache: read if they are those that the server has, and kept after they were read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from simple_orthanc.dicom.levels import Level
from simple_orthanc.selection.source import Row
from simple_orthanc.sources.cache import entries
from simple_orthanc.sources.cache.entries import HEAD, DamagedEntryError, Entry, Record
from simple_orthanc.sources.cache.store import EntryStore

Content = TypeVar("Content")

# Hardly any of that waits for the disk, and threads wait for each other. Of 300 headers, two at a time take 0.17 s, one
# by one 0.19 s, and eight at a time 0.26 s.
KEPT_HEADERS = 2
"""Number of headers to read from a cache at a time."""


class Stamp(NamedTuple):
    """By what a server tells the file that it has of an instance from every other.

    Attributes
    ----------
    version : str
        Another one for each file that is stored.
    md5 : str or None
        Its MD5, if the server lists it.
    """

    version: str
    md5: str | None = None


class KeptFiles:
    """The files of one archive in a cache.

    Parameters
    ----------
    store : EntryStore
        Where they are.
    archive : str
        The address of the server, without a password.
    is_current : callable
        Checks whether the server still has the file of an instance that a stamp is of; called before one is read.
    """

    def __init__(self, store: EntryStore, archive: str, is_current: Callable[[str, Stamp], bool]) -> None:
        self._store, self._archive, self._is_current = store, archive, is_current
        # Key of each instance to that of its series, and of each series to how many instances it has.
        self._series: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def note(self, level: Level, rows: Iterable[Row]) -> None:
        """Note which series have how many instances, so that it is known offline what is missing of one."""
        for row in rows:
            if level == "instance":
                self._series[row.key] = row.parent
            elif level == "series" and not row.has_unknown_children:
                self._counts[row.key] = len(row.children)

    def read(
        self, key: str, stamp: Stamp, allocate: Callable[[int], memoryview], is_compared: bool = False
    ) -> memoryview | None:
        """Read the file of an instance; None if it is not kept.

        Parameters
        ----------
        key : str
            Of the instance.
        stamp : Stamp
            Of the file that is wanted.
        allocate : callable
            Returns memory of a number of bytes.
        is_compared : bool
            Whether it must have been compared with the MD5 that the server lists before it was kept.
        """
        return self._find(key, stamp, partial(_whole, allocate), is_compared)

    def part(
        self, key: str, stamp: Stamp, start: int, stop: int, is_compared: bool = False
    ) -> tuple[memoryview, bool] | None:
        """Read bytes of a file, or all of it, which the second value tells; None if they are not kept."""
        read = partial(_part, start, stop)
        found = self._find(key, stamp, read, is_compared)
        if found is None and not is_compared:
            found = self._find(key, stamp, read, is_compared, is_whole=False)
        return found

    def has(self, key: str, stamp: Stamp) -> bool:
        """Check whether a file, or its beginning, is kept; it may be damaged, and the server may have another one."""
        return any(self._is_kept(key, stamp, is_whole) for is_whole in (True, False))

    def _is_kept(self, key: str, stamp: Stamp, is_whole: bool) -> bool:
        def is_right(record: Record) -> bool:
            return (record.archive, record.key, record.stamp) == (self._archive, key, stamp.version)

        path = self._store.path(self._archive, key, is_whole)
        return self._store.read(path, is_right, lambda descriptor, entry: True, is_use=False) is True

    def copy(self, key: str, stamp: Stamp, path: Path, is_compared: bool = True) -> bool:
        """Write the file of an instance to a path, if it is kept."""
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            if not self._find(key, stamp, partial(_copy, part), is_compared):
                return False
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        return True

    def add(self, key: str, stamp: Stamp, content: memoryview, is_whole: bool = True) -> None:
        """Keep a file, or its beginning, after it was checked."""
        record = self._record(key, stamp, is_whole)
        self._store.add(self._store.path(self._archive, key, is_whole), record, content)

    def add_file(self, key: str, stamp: Stamp, path: Path) -> None:
        """Keep the file at a path, after it was checked."""
        self._store.add_file(self._store.path(self._archive, key), self._record(key, stamp, True), path)

    def _record(self, key: str, stamp: Stamp, is_whole: bool) -> Record:
        siblings = self._counts.get(self._series.get(key, ""))
        return Record(self._archive, key, stamp.version, stamp.md5, is_whole, siblings)

    def _find(
        self,
        key: str,
        stamp: Stamp,
        read: Callable[[int, Entry], Content],
        is_compared: bool,
        is_whole: bool = True,
    ) -> Content | None:
        def is_right(record: Record) -> bool:
            same = (record.archive, record.key, record.stamp) == (self._archive, key, stamp.version)
            known = record.md5 is not None and stamp.md5 is not None
            checked = record.md5 == stamp.md5 if known else record.md5 is not None or not is_compared
            return same and checked and self._is_current(key, stamp)

        return self._store.read(self._store.path(self._archive, key, is_whole), is_right, read)


def _whole(allocate: Callable[[int], memoryview], descriptor: int, entry: Entry) -> memoryview:
    return entries.read_content(descriptor, entry, allocate)


def _part(start: int, stop: int, descriptor: int, entry: Entry) -> tuple[memoryview, bool] | None:
    if entry.record.is_whole and stop <= HEAD and stop < entry.length:
        return memoryview(entries.read_head(descriptor, entry))[start:stop], False
    if not entry.record.is_whole and stop > entry.length:
        return None
    content = entries.read_content(descriptor, entry, lambda size: memoryview(bytearray(size)))
    return (content, True) if entry.record.is_whole else (content[start:stop], False)


def _copy(path: Path, descriptor: int, entry: Entry) -> bool:
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        if entries.copy_content(descriptor, target, entry.length) != (entry.head_crc, entry.rest_crc):
            raise DamagedEntryError
    finally:
        os.close(target)
    return True
