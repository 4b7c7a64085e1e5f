"""A folder of DICOM files as a source; see `simple_orthanc.selection.source.Source` for the methods.

The answers are those of an Orthanc into which all the files were uploaded in the order of their paths:

- what is DICOM is what `upload_folder` sends, and what Orthanc accepts: a file that is cut off, or has no
  StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID, is not part of the archive;
- the values of a study and of a series are those of its first file by path, folder by folder in the order of names;
- of several files of one instance the first by path counts.

Nothing in the folder is ever changed, and a file is opened for indexing once: see
`simple_orthanc.sources.folder.cache`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.landing import LandsOnce
from simple_orthanc.concurrency.threads import READERS, WORKERS
from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.dicom.tags import Tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import SelectionError, UnsupportedError, stacklevel
from simple_orthanc.files.detection import BEGINNING, PassedBy, is_dicomdir, is_zip, packed_kind, walk
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.opening import open_regular
from simple_orthanc.files.partial import read_header
from simple_orthanc.files.paths import path_text
from simple_orthanc.files.tag_reader import STEP, read_tags
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.source import Mark, Row, SeriesOf
from simple_orthanc.showing.text import agreeing, counted
from simple_orthanc.sources.folder.cache import FolderCache, cache_folder
from simple_orthanc.sources.folder.files import Files, look, stamp_of
from simple_orthanc.sources.folder.folder_index import (
    Finding,
    FolderIndex,
    Item,
    Status,
    as_reference,
    identifier,
    instance_row,
    references_of,
)
from simple_orthanc.sources.folder.index_source import IndexSource
from simple_orthanc.sources.folder.processes import Met, look_at
from simple_orthanc.sources.unlisted import UnlistedFiles

# What should have been part of the archive but is not, after the number of such files.
_TROUBLES: dict[Status, str] = {
    "unreadable": "unreadable",
    "incomplete": "without an identifier",
    "conflict": "with the SOPInstanceUID of another file but different content",
    "missing": "listed in a DICOMDIR but not there",
}
# So many instances are worth telling another process about, and so many it remembers: about 20 MB.
_MOST_TOLD, _MOST_REMEMBERED = 5_000, 20_000
_NAMES_OF_DICOM = (".dcm", ".dicom", ".dic", ".ima")


class FolderSource(UnlistedFiles, LandsOnce, IndexSource):
    """The DICOM files of a folder.

    Parameters
    ----------
    path : str or Path
        A folder; a zip, whose members are the archive; or a DICOMDIR, for the files that it lists alone.
    recursive : bool
        Whether folders inside the folder are entered.
    cache : path, False or None
        Where what is known of the files is kept: see `simple_orthanc.sources.folder.cache.cache_folder`.
    name : str, optional
        What the archive is called in place of its path.

    Raises
    ------
    SelectionError
        The path is none of these.

    Notes
    -----
    The files are read when something is asked for the first time, or by `look_again`.
    """

    # A fork of this process need not look at the files again.
    _is_its_own_twin = True

    # What the representation shows if the constructor fails.
    _given: str = ""
    _name: str | None = None

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        recursive: bool = True,
        cache: str | os.PathLike[str] | Literal[False] | None = None,
        name: str | None = None,
    ) -> None:
        self._name, self._is_told = name, False
        self._given = os.path.abspath(os.path.expanduser(path_text(path, 'Folder("scans")')))
        self._listing = _kind(self._given) == "DICOMDIR"
        self._recursive = recursive or self._listing
        top = os.path.dirname(self._given) if self._listing else self._given
        self._top = top
        self.files = Files(top)
        self._cache_folder = cache_folder(cache)
        self._forget()

    def _forget(self) -> None:
        super()._forget()
        self._known: dict[str, list[Item]] | None = None
        # What another process has told of instances, as long as the folder was not looked at here.
        self._told: OrderedDict[str, Item] = OrderedDict()
        self._scanner = Scanner()

    @property
    def description(self) -> str:
        """The name or the path of the folder, for messages."""
        return self._name or self._given

    def writable_folder(self) -> Path:
        """Return the folder, if new files in it become part of the archive.

        Raises
        ------
        UnsupportedError
            It is a zip or a DICOMDIR, or the folders in it are not entered.
        """
        if self._listing or not os.path.isdir(self._top):
            raise UnsupportedError(f"{self._given} is no folder, so nothing can be written into it: give another.")
        if not self._recursive:
            raise UnsupportedError(
                f"{self._given} was opened with recursive=False, and files are written into folders inside it: give "
                f"Folder({self._given!r})."
            )
        return Path(self._top)

    @property
    def top(self) -> str:
        """The folder or zip that holds the files."""
        return self._top

    def look_again(self) -> FolderIndex:
        """Look at what has changed in the folder since the last time.

        Warns
        -----
        UserWarning
            Files that should be part of the archive are not: how many, and why. Each is warned about once.
        """
        with self._lock:
            before = self._index
            items, others = self._look()
            self._index = FolderIndex(items, others, self.files.differ)
            self._is_fresh = True
            self._keep()
            if not self._is_told:
                self._warn(before)
            self._is_told = False
            self._told.clear()
            return self._index

    def expect_changes(self) -> None:
        """Note that files are about to be added, so that the next question looks at the folder again."""
        with self._lock:
            self._is_fresh = False

    def _look(self) -> tuple[list[Item], list[Finding]]:
        cache = self._cache()
        was_known = cache.load() if self._known is None else self._known
        known: dict[str, list[Item]] = {}
        others: list[Finding] = []
        waiting: list[Met] = []
        for full, path, stat in self._met(others):
            items, stamp = was_known.get(path), stamp_of(stat)
            if items and items[0].stamp == stamp and items[0].is_settled:
                known[path] = items
            else:
                known[path] = []
                waiting.append((full, path, stamp))
        self._known, self._is_changed = known, bool(waiting) or known.keys() != was_known.keys()
        try:
            # Ended here, whatever happens, and not when the memory of it is freed: there may be helper processes.
            with closing(look_at(waiting)) as looked:
                for found in looked:
                    known[found[0].path] = found
        except BaseException:
            # What has been read need not be read again.
            self._known = {path: items for path, items in known.items() if items}
            self._keep()
            raise
        return [item for items in known.values() for item in items], others

    def _met(self, others: list[Finding]) -> Iterator[tuple[str, str, os.stat_result]]:
        """Walk through the files that are to be part of the archive; everything else is added to the findings."""
        if not os.path.isdir(self._top):
            yield self._top, "", _stat(self._top)
            return
        listed = self._listed() if self._listing else None
        for met in walk(self._top, self._recursive):
            path = met.path[len(self._top) :].lstrip(os.sep)
            if isinstance(met, PassedBy):
                lost = met.reason in ("folder not readable", "no such file")
                others.append(Finding(path, None, "unreadable" if lost else "skipped", None, met.message))
            elif listed is not None and as_reference(path) not in listed:
                others.append(Finding(path, None, "skipped", None, "not listed in the DICOMDIR"))
            else:
                yield met.path, path, met.stat

    def _listed(self) -> set[str]:
        """Return what the DICOMDIR lists, and the DICOMDIR itself."""
        name = os.path.basename(self._given)
        (item,) = look(self._given, name, stamp_of(_stat(self._given)))
        if not item.references:
            raise SelectionError(f"{self._given} lists no files: {item.message}. Its folder can be opened instead.")
        return {as_reference(name), *references_of(item)}

    def _cache(self) -> FolderCache:
        how = "recursive" if self._recursive else "flat"
        return FolderCache(self._cache_folder, f"{how} {os.path.realpath(self._given)}")

    def _keep(self) -> None:
        if self._is_changed and self._known is not None:
            self._cache().save(self._known)

    def _warn(self, before: FolderIndex | None) -> None:
        """Warn once about what is missing from the archive."""
        assert self._index is not None
        told = set() if before is None else set(before.findings)
        counts = Counter(_trouble(finding) for finding in self._index.findings if finding not in told)
        troubles = [f"{count:,} {kind}" for kind, count in counts.items() if kind]
        if troubles:
            number = sum(count for kind, count in counts.items() if kind)
            warnings.warn(
                f"{counted(number, 'file')} in {self._given} should be DICOM and {agreeing(number, 'are')} not used: "
                f"{'; '.join(sorted(troubles))}. "
                f"Folder.files lists them.",
                stacklevel=stacklevel(),
            )
        if not self._index.instances and (before is None or before.instances):
            warnings.warn(f"There is no DICOM object in {self._given}.", stacklevel=stacklevel())

    def known_files(self, keys: Sequence[str]) -> list[Item] | None:
        """Return what is known of the files of some instances, for a process that has not looked at the folder."""
        index = self._index
        if index is None or len(keys) > _MOST_TOLD:
            return None
        return [index.instances[key] for key in keys if key in index.instances]

    def learn_files(self, known: Sequence[Item]) -> None:
        """Take what another process knows of some files, until the folder is looked at; the last ones are kept."""
        with self._lock:
            if self._index is not None:
                return
            for item in known:
                key = identifier(item.chain or ())
                self._told[key] = item
                self._told.move_to_end(key)
            while len(self._told) > _MOST_REMEMBERED:
                self._told.popitem(last=False)

    def _told_of(self, keys: Sequence[str]) -> dict[str, Item] | None:
        """Return what was told of some instances; None if that is not all of them, or the folder was looked at."""
        told = {key: item for key in keys if (item := self._told.get(key)) is not None}
        return told if self._index is None and len(told) == len(keys) else None

    def rows(self, level: Level, keys: Sequence[str]) -> Iterable[Row]:
        """Return the rows with these keys."""
        told = self._told_of(keys) if level == "instance" else None
        if told is None:
            return super().rows(level, keys)
        return [
            instance_row(key, identifier(item.chain[:3]), item.serialized)
            for key, item in told.items()
            if item.chain is not None and item.serialized is not None
        ]

    def below(self, level: Level, parents: Sequence[Row]) -> Iterable[Row]:
        """List the rows of a level below some others."""
        return self.rows(level, [child for row in parents for child in row.children])

    def replaced_since(self, mark: Mark, instances: Sequence[str], at: float, series_of: SeriesOf | None = None) -> int:
        """Return the number of instances if the file of any of them has another length or time, else 0.

        What the process of the mark has told of the files is compared with it, and no file is looked at: one that
        changes, whenever that is, cannot be opened.
        """
        told = self._told_of(instances)
        if told is not None and self._digest(told, instances) == mark.revision.token:
            return 0
        return super().replaced_since(mark, instances, at, series_of)

    def _tags(self, key: str, tags: tuple[Tag, ...]) -> dict[str, Value]:
        item = self._item(key)
        with self.files.reading(item) as stream:
            return read_tags(stream, item.size, tags)

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        """Raise an error: only a server has labels and metadata."""
        raise UnsupportedError(
            f"{kind}({name!r}): labels and metadata are what an Orthanc server attaches to its objects; the files in "
            f"{self._given} have none."
        )

    def stored_file(self, key: str) -> StoredFile:
        """Return the length of the file of an instance when the folder was looked at."""
        return StoredFile(self._item(key).size)

    def listed_file(self, key: str) -> StoredFile:
        """Return the length of the file of an instance when the folder was looked at."""
        return self.stored_file(key)

    def at_once(self, keys: Sequence[str], headers: bool = False) -> int:
        """Return how many files, or headers, are best read at a time."""
        return WORKERS if headers else READERS

    def header(self, key: str) -> Dataset:
        """Read the header of an instance."""
        item = self._item(key)
        with self.files.reading(item) as stream:

            def read(start: int, stop: int) -> tuple[bytes, bool]:
                if item.size > stop:
                    return stream.read(stop - start), False
                stream.seek(0)
                return stream.read(), True

            return read_header(read, STEP, self._scanner)

    def content(self, key: str) -> bytes:
        """Read the file of an instance."""
        return self.files.read(self._item(key))

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        """Read the file of an instance into memory that is given."""
        item = self._item(key)
        with self.files.reading(item) as stream:
            memory = allocate(item.size)
            filled = 0
            while filled < len(memory):
                count = stream.readinto(memory[filled:])  # type: ignore[attr-defined]
                if not count:
                    raise EOFError(f"it ends after {filled} of {item.size} bytes")
                filled += count
            return memory

    def check_identity(self, key: str, header: Dataset) -> None:
        """Accept every header: a file that changed since the folder was looked at cannot be opened."""

    def save(self, key: str, path: Path) -> None:
        """Copy the file of an instance; it appears when it is complete."""
        item = self._item(key)
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with self.files.opened(item) as stream, open(part, "xb") as target:
                shutil.copyfileobj(stream, target, 1 << 20)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def is_copy(self, key: str, path: Path) -> bool:
        """Check whether a file on disk has the bytes of an instance's file."""
        item = self._item(key)
        if path.stat().st_size != item.size:
            return False
        with self.files.reading(item) as original, path.open("rb") as copy:
            return all(block == copy.read(len(block)) for block in iter(lambda: original.read(1 << 20), b""))

    def _item(self, key: str) -> Item:
        told = self._told.get(key) if self._index is None else None
        if told is not None:
            return told
        try:
            return self.index.instances[key]
        except KeyError:
            raise SelectionError(
                f"An instance is no longer in {self._given}, which has been looked at again since it was selected. "
                f"refresh() keeps the selection and leaves out what is gone."
            ) from None

    def close(self) -> None:
        """Close the zips."""
        self.files.close()

    _pickled = ("_name", "_given", "_listing", "_recursive", "_top", "files", "_cache_folder")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore where the files are; they are looked at when something is asked."""
        # What is missing from the archive was told where the session was opened.
        self.__dict__.update(state, _is_told=True)
        self._forget()

    def __repr__(self) -> str:
        """Return the name or the path of the folder."""
        return f"<folder {self.description}>"


def _trouble(finding: Finding) -> str:
    """Return what is wrong with a file, "" if nothing is."""
    if finding.status == "not DICOM":
        # Anything may lie in a folder, but a name is a promise.
        name = (finding.member or finding.path).lower()
        if name.removesuffix(".gz") != name and name.removesuffix(".gz").endswith(_NAMES_OF_DICOM):
            return "compressed with gzip, to be unpacked first"
        return "named like DICOM but something else" if name.endswith(_NAMES_OF_DICOM) else ""
    return _TROUBLES.get(finding.status, "")


def _kind(path: str) -> Literal["folder", "zip", "DICOMDIR"]:
    """Return the kind of what can be opened at a path.

    Raises
    ------
    SelectionError
        Nothing can be opened there.
    """
    if os.path.isdir(path):
        return "folder"
    if not os.path.isfile(path):
        found = "neither a folder nor a file" if os.path.lexists(path) else "no such folder or file"
        raise SelectionError(f"{path}: {found}. Folder takes a folder of DICOM files, a zip, or a DICOMDIR.")
    try:
        with open_regular(path) as stream:
            beginning = stream.read(BEGINNING)
    except OSError as error:
        raise SelectionError(f"{path} cannot be read: {error.strerror}.") from error
    if is_zip(beginning):
        return "zip"
    with quiet():
        if beginning[128:132] == b"DICM" and is_dicomdir(beginning):
            return "DICOMDIR"
    packed = packed_kind(beginning)
    if packed is not None:
        raise SelectionError(
            f"{path} is {packed}, which is not opened. Unpack it, and open the folder that comes out of it. A zip can "
            f"be opened as it is."
        )
    raise SelectionError(
        f"{path} is a single file, neither a zip nor a DICOMDIR. Folder takes a folder of DICOM files, a zip, or a "
        f"DICOMDIR: open its folder, and select by the SOPInstanceUID."
    )


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise SelectionError(f"{path} cannot be read any more: {error.strerror}.") from error
