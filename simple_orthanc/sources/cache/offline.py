"""The part of an archive whose files are in a cache, read without the server.

What is there is listed from the files themselves, as a folder is. Nothing is asked of the network, so nothing tells
whether the archive still has the same.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.landing import LandsOnce
from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.dicom.tags import Tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import SelectionError, UnsupportedError, stacklevel
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_header
from simple_orthanc.files.tag_reader import STEP
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.source import Changes, Revision, Row
from simple_orthanc.showing.text import counted, safe
from simple_orthanc.sources.cache import entries
from simple_orthanc.sources.cache.cache import Cache, entry_store, kept_files
from simple_orthanc.sources.cache.entries import Entry, Record
from simple_orthanc.sources.cache.kept_files import KEPT_HEADERS, Stamp
from simple_orthanc.sources.folder.files import judged
from simple_orthanc.sources.folder.folder_index import FolderIndex, Item
from simple_orthanc.sources.folder.index_source import IndexSource
from simple_orthanc.sources.folder.processes import side_by_side


class OfflineSource(LandsOnce, IndexSource):
    """The files of one archive in a cache; see `simple_orthanc.selection.source.Source` for the methods.

    Parameters
    ----------
    cache : Cache
        Where they are.
    address : str
        The address of the server, as its own source describes it.
    """

    def __init__(self, cache: Cache, address: str) -> None:
        self.__setstate__({"cache": cache, "address": address})

    _pickled = ("cache", "address")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore where the files are; they are looked at when something is asked."""
        self.cache: Cache = state["cache"]
        self.address: str = state["address"]
        self._files = kept_files(self.cache, self.address, lambda key, stamp: True)
        self._scanner = Scanner()
        # Path of an entry to its record and what its file holds.
        self._known: dict[str, tuple[Record, Item]] = {}
        self._forget()

    @property
    def description(self) -> str:
        """The address of the server, and that it is not asked."""
        return f"{self.address} (offline)"

    def look_again(self) -> FolderIndex:
        """Look at what is in the cache now."""
        with self._lock:
            store = entry_store(self.cache)
            found = side_by_side(self._looked_at, store.paths(), "reading headers")
            self._known = {item.path: (record, item) for record, item in filter(None, found)}
            items = sorted((item for _, item in self._known.values()), key=lambda item: item.path)
            self._index = FolderIndex(items, (), lambda one, other: one.stamp != other.stamp)
            self._is_fresh = True
            return self._index

    def _looked_at(self, path: str) -> tuple[Record, Item] | None:
        """Return what an entry holds, if it is a file of the archive."""
        known = self._known.get(path)

        def look(descriptor: int, entry: Entry) -> tuple[Record, Item]:
            stamp = entry.length, entry.head_crc, entry.rest_crc
            if known is not None and known == (entry.record, known[1]) and known[1].stamp == stamp:
                return known
            head = entries.read_head(descriptor, entry)
            item = Item(path, None, 0, entry.length, stamp, "unreadable")
            if len(head) == entry.length:
                return entry.record, judged(io.BytesIO(head), head, item)
            with open(descriptor, "rb", closefd=False) as stream:
                return entry.record, judged(stream, stream.read(STEP), item)

        return entry_store(self.cache).read(path, self._is_file, look, is_use=False)

    def _is_file(self, record: Record) -> bool:
        return record.archive == self.address and record.is_whole

    def _entry(self, key: str) -> tuple[str, Stamp, Item]:
        """Return the server's key of an instance, the stamp of its file, and what that holds."""
        item = self.index.instances.get(key)
        # Another thread may look again meanwhile.
        known = None if item is None else self._known.get(item.path)
        if item is None or known is None:
            raise self._gone()
        record, _ = known
        return record.key, Stamp(record.stamp, record.md5), item

    def _gone(self) -> SelectionError:
        return SelectionError(
            f"A file of {self.address} is not in the cache {self.cache.folder} any more: it was removed since it was "
            "listed, to make room or since it was damaged. refresh() leaves out what is gone; to have it again, read "
            "or download() it without offline=True."
        )

    def archives(self) -> list[str]:
        """List the addresses of the servers whose files are in the cache."""
        store = entry_store(self.cache)
        found = (store.read(path, bool, lambda _, entry: entry.record.archive, is_use=False) for path in store.paths())
        return sorted(set(filter(None, found)))

    def changes(self, since: Revision) -> Changes:
        """Look at what is in the cache again, and return what was added and whether anything was removed."""
        changes = super().changes(since)
        if changes.removed:
            self.tell_in_part()
        return changes

    def tell_in_part(self) -> None:
        """Warn if files of some series are missing, as far as the server listed them when others were kept.

        Warns
        -----
        UserWarning
            It names one of these series, with how many files are there and how many were listed.
        """
        in_part: list[tuple[Row, int]] = []
        with self._lock:
            index, known = self.index, self._known
        for row in index.rows("series", list(index.keys("series"))):
            records = [known[index.instances[key].path][0] for key in row.children]
            listed = max((record.siblings or 0 for record in records), default=0)
            if listed > len(records):
                in_part.append((row, listed))
        if not in_part:
            return
        row, listed = in_part[0]
        what, uid = counted(len(in_part), "series", "series"), (row.values.get("SeriesInstanceUID") or ("",))[0]
        warnings.warn(
            f"The cache {self.cache.folder} holds {what} of {self.address} only in part, such as "
            f"{len(row.children):,} of {listed:,} instances of {safe(str(uid))}, so that volumes lack slices: some "
            "files were not read, or were removed to make room. Read or download() them with the same cache and "
            "without offline=True; a frozen cohort is opened only if it is there as a whole.",
            stacklevel=stacklevel(),
        )

    def _tags(self, key: str, tags: tuple[Tag, ...]) -> Mapping[str, Value]:
        header = self.header(key)
        with quiet():
            return {tag.name: read_value(header, tag) for tag in tags}

    def server_field(self, kind: str, name: str) -> Any:
        """Raise an error: only the server has labels and metadata."""
        raise UnsupportedError(
            f"{kind}({name!r}): labels and metadata are in the database of {self.address}, which is not asked offline. "
            "Open it without offline=True."
        )

    # Files

    def stored_file(self, key: str) -> StoredFile:
        """Return the length of the file of an instance, and its MD5 if the server has told it."""
        _, stamp, item = self._entry(key)
        return StoredFile(item.size, stamp.md5)

    def listed_file(self, key: str) -> StoredFile:
        """Return the length and the MD5 of a file, as `stored_file`."""
        return self.stored_file(key)

    def compared_md5(self, key: str) -> None:
        """Return that files are not compared with a checksum."""

    def stored_md5(self, key: str) -> str | None:
        """Return the MD5 of a file if the server has told it; it is compared with the file whenever that is read."""
        return self._entry(key)[1].md5

    def at_once(self, keys: Sequence[str], headers: bool = False) -> int:
        """Return how many files, or headers, are best read at a time: hardly any of that waits for the disk."""
        return KEPT_HEADERS

    def read_together(self, series: Sequence[Row]) -> dict[str, bytes]:
        """Read nothing: files are read as quickly one by one."""
        return {}

    def header(self, key: str) -> Dataset:
        """Read the header of an instance."""
        name, stamp, _ = self._entry(key)

        def read(start: int, stop: int) -> tuple[memoryview, bool]:
            part = self._files.part(name, stamp, start, stop)
            if part is None:
                raise self._gone()
            return part

        return read_header(read, STEP, self._scanner)

    def content(self, key: str) -> bytes:
        """Read the file of an instance."""
        return bytes(self.read(key, lambda size: memoryview(bytearray(size))))

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        """Read the file of an instance into memory that is given."""
        name, stamp, _ = self._entry(key)
        content = self._files.read(name, stamp, allocate)
        if content is None:
            raise self._gone()
        return content

    def check_identity(self, key: str, header: Dataset) -> None:
        """Accept every header: it is that of the file that was listed."""

    def save(self, key: str, path: Path) -> None:
        """Copy the file of an instance; it appears when it is complete."""
        name, stamp, _ = self._entry(key)
        if not self._files.copy(name, stamp, path, is_compared=False):
            raise self._gone()

    def is_copy(self, key: str, path: Path) -> bool:
        """Check whether a file on disk has the bytes of an instance's file."""
        _, _, item = self._entry(key)
        return os.path.getsize(path) == item.size and path.read_bytes() == self.content(key)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __repr__(self) -> str:
        """Show the address, and that it is not asked."""
        return f"<{self.description}>"
