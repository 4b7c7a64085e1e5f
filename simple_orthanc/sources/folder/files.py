"""Read the files of a folder, on the disk or in a zip: what each is, and its bytes."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import IO, TypeAlias

from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import OrthancError, SelectionError, TransportError
from simple_orthanc.files.detection import BEGINNING, is_dicomdir, is_zip, object_uid, refusal
from simple_orthanc.files.opening import NotRegularError, open_regular
from simple_orthanc.files.streaming import IN_MEMORY
from simple_orthanc.files.tag_reader import STEP, read_tags
from simple_orthanc.files.walker import DamagedError
from simple_orthanc.files.zips import member_problem, members_of, open_member, open_zip
from simple_orthanc.sources.folder.dicomdir import read_references
from simple_orthanc.sources.folder.folder_index import IDENTIFIERS, TAGS, Item, chain_of, serialize

# Clocks of file systems tick as slowly as this (ns): a file that was changed so short a time before it was read may
# change again without a trace.
SLOWEST_CLOCK = 2_000_000_000

_ALL_TAGS = tuple(tag for tags in TAGS.values() for tag in tags)
_MOST_ZIPS = 8
# An open zip, and the files in it.
_Zip: TypeAlias = "tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]"


def stamp_of(stat: os.stat_result) -> tuple[int, int, int]:
    """Return what shows that a file was changed.

    The time of change of the entry is part of it, since copying and unpacking set the other back.
    """
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def look(full: str, path: str, stamp: tuple[int, int, int]) -> list[Item]:
    """Look at a file: one item, or one for each member of a zip.

    Parameters
    ----------
    full, path : str
        Where it is, and what it is called from the top folder.
    stamp : tuple of int
        Its stamp before it was opened.
    """
    now = time.time_ns()
    # A time in the future is no reason for doubt: what changes the file now gives it another.
    settled = all(abs(now - changed) > SLOWEST_CLOCK for changed in stamp[1:])
    try:
        with open_regular(full) as stream:
            beginning = stream.read(STEP)
            if is_zip(beginning):
                return _look_into(stream, path, stamp, settled)
            return [judged(stream, beginning, Item(path, None, 0, stamp[0], stamp, "unreadable", is_settled=settled))]
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or error}"
        return [Item(path, None, 0, stamp[0], stamp, "unreadable", message=message, is_settled=False)]


def _look_into(file: IO[bytes], path: str, stamp: tuple[int, int, int], settled: bool) -> list[Item]:
    try:
        archive = open_zip(file)
    except ValueError as error:
        return [Item(path, None, 0, stamp[0], stamp, "unreadable", message=str(error), is_settled=settled)]
    items = []
    with archive:
        for member_index, member in enumerate(members_of(archive)):
            item = Item(path, member.filename, member_index, member.file_size, stamp, "unreadable", is_settled=settled)
            problem = member_problem(member)
            try:
                items.append(_judged_member(archive, member, item) if problem is None else item)
            except Exception as error:  # a member can fail in as many ways as there are kinds of zip
                problem = f"cannot be read: {error}"
                items.append(item)
            if problem is not None:
                item.status, item.message = "unreadable", problem
    return items or [Item(path, None, 0, stamp[0], stamp, "skipped", message="a zip without files", is_settled=settled)]


def _judged_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, item: Item) -> Item:
    """Complete an item by what its member holds, read to the end: a member is as good as it is whole."""
    with open_member(archive, member) as stream:
        beginning = stream.read(BEGINNING)
        if refusal(beginning, in_zip=True) is not None:
            return judged(BytesIO(beginning), beginning, item)
        if member.file_size <= IN_MEMORY:
            beginning += stream.read()
            return judged(BytesIO(beginning), beginning, item)
        item = judged(stream, beginning, item)
    with open_member(archive, member) as stream:
        while stream.read(BEGINNING):
            pass
    return item


def judged(stream: IO[bytes], beginning: bytes, item: Item) -> Item:
    """Complete an item by what its file holds."""
    if beginning[128:132] != b"DICM" and len(beginning) < min(item.size, BEGINNING):
        beginning += stream.read(BEGINNING - len(beginning))
    with quiet():
        refused = refusal(beginning, in_zip=item.member is not None)
    if refused is not None:
        item.status, item.message = refused
        if beginning[128:132] == b"DICM" and is_dicomdir(beginning):
            _read_listing(stream, item)
        return item
    try:
        values = read_tags(stream, item.size, _ALL_TAGS)
    except DamagedError as error:
        item.message = str(error)
    except Exception as error:  # pydicom may raise anything
        if isinstance(error, OSError):
            raise
        item.message = error.message if isinstance(error, OrthancError) else f"cannot be read: {error}"
    else:
        item.chain = chain = chain_of(values)
        lacking = [name for name, text in zip(IDENTIFIERS[1:], chain[1:], strict=True) if not text]
        item.uid = chain[3] or None
        if not lacking:
            item.status = "indexed"
            item.serialized = serialize(values, "study"), serialize(values, "series"), serialize(values, "instance")
            return item
        item.status, item.chain = "incomplete", None
        item.message = f"it has no {' and no '.join(lacking)}, without which it belongs nowhere"
        return item
    with quiet():
        item.uid = object_uid(beginning)
    return item


def _read_listing(stream: IO[bytes], item: Item) -> None:
    stream.seek(0)
    try:
        item.references = read_references(stream)
    except ValueError as error:
        item.message += f"; {error}"


class Files:
    """Reads the files of a folder by their items; zips stay open for a while.

    Parameters
    ----------
    top : str
        The folder that paths start from, or the one zip.
    """

    def __init__(self, top: str) -> None:
        self._top = top
        self._zips: OrderedDict[str, tuple[tuple[int, int, int], _Zip]] = OrderedDict()
        self._lock = threading.Lock()

    def full(self, path: str) -> str:
        """Return the whole path of a file."""
        return os.path.join(self._top, path) if path else self._top

    def name(self, item: Item) -> str:
        """Return how messages name a file."""
        return self.full(item.path) if item.member is None else f"{item.member} in {self.full(item.path)}"

    def opened(self, item: Item) -> IO[bytes]:
        """Open a file, or a member of a zip in memory, if it is still what it was when it was looked at.

        Raises
        ------
        SelectionError
            It is gone, or has changed.
        TransportError
            It cannot be read.
        """
        try:
            if item.member is not None:
                return BytesIO(self._member(item))
            stream = open_regular(self.full(item.path))
        except (FileNotFoundError, NotRegularError):
            raise self._changed(item) from None
        except OSError as error:
            raise self._unreadable(item, error.strerror or error) from error
        try:
            self._check(item, os.fstat(stream.fileno()))
        except BaseException:
            stream.close()
            raise
        return stream

    @contextmanager
    def reading(self, item: Item) -> Iterator[IO[bytes]]:
        """Open a file for a block that only reads it, so that any error in the block is one of the file."""
        with self.opened(item) as stream:
            try:
                yield stream
            except OSError as error:
                raise self._unreadable(item, error.strerror or error) from error
            except TransportError as error:
                raise TransportError(f"{self.name(item)}: {error.message}") from error.__cause__
            except OrthancError:
                raise
            except Exception as error:  # pydicom may raise anything
                raise self._unreadable(item, error) from error

    def read(self, item: Item) -> bytes:
        """Read a whole file."""
        with self.reading(item) as stream:
            return stream.read()

    def differ(self, first: Item, second: Item) -> bool:
        """Check whether two files of the same size differ; one that cannot be read does."""
        try:
            return self._digest(first) != self._digest(second)
        except (SelectionError, TransportError):
            return True

    def _digest(self, item: Item) -> str:
        if not item.digest:
            digest = hashlib.blake2b(digest_size=16)
            with self.reading(item) as stream:
                while piece := stream.read(1 << 20):
                    digest.update(piece)
            item.digest = digest.hexdigest()
        return item.digest

    def _check(self, item: Item, stat: os.stat_result) -> None:
        if stamp_of(stat) != item.stamp:
            raise self._changed(item)

    def _changed(self, item: Item) -> SelectionError:
        return SelectionError(
            f"{self.name(item)} is gone, or has changed since the folder was looked at. refresh() looks again and "
            f"keeps the selection."
        )

    def _unreadable(self, item: Item, reason: object) -> TransportError:
        return TransportError(
            f"{self.name(item)} cannot be read: {reason}. It could be when the folder was looked at; refresh() looks "
            f"again."
        )

    def _member(self, item: Item) -> bytes:
        archive, members = self._zip(item)
        try:
            with open_member(archive, members[item.member_index]) as stream:
                return stream.read()
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, IndexError) as error:
            raise self._unreadable(item, error) from error

    def _zip(self, item: Item) -> _Zip:
        path = self.full(item.path)
        with self._lock:
            self._check(item, os.stat(path))
            stamp, opened = self._zips.pop(path, (None, None))
            if opened is None or stamp != item.stamp:
                try:
                    archive = open_zip(path)
                except NotRegularError:
                    raise self._changed(item) from None
                except (OSError, ValueError) as error:
                    raise self._unreadable(item, error) from error
                opened = archive, members_of(archive)
            self._zips[path] = item.stamp, opened
            while len(self._zips) > _MOST_ZIPS:
                # What is being read from it is read to its end.
                self._zips.popitem(last=False)[1][1][0].close()
            return opened

    def close(self) -> None:
        """Close the zips; they are opened again when they are read again."""
        with self._lock:
            while self._zips:
                self._zips.popitem()[1][1][0].close()

    def __getstate__(self) -> str:
        """Pickle the path alone: open zips are opened again."""
        return self._top

    def __setstate__(self, top: str) -> None:
        """Start without open zips."""
        Files.__init__(self, top)
