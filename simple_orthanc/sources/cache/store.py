"""A folder that keeps files of archives, up to a limit, for any number of threads and processes at once.

Each entry is a file of its own, which appears under its name when it is whole, so nothing needs repair after a process
was killed. The modification time of the file is the time at which the entry was last used. The sum of all sizes is in
the file ``total``, which is locked while an entry is added or removed. A process that is killed meanwhile leaves a sum
that is too large, never one that is too small; the sizes are added up again when the sum next reaches the limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from simple_orthanc.concurrency.landing import LandsOnce
from simple_orthanc.errors import SelectionError, stacklevel
from simple_orthanc.files.locking import lock_file
from simple_orthanc.files.paths import make_folders
from simple_orthanc.sources.cache import entries
from simple_orthanc.sources.cache.entries import DamagedEntryError, Entry, Record

# See https://bford.info/cachedir/: backup programs leave out folders with this file.
_MARKER = "CACHEDIR.TAG"
_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55\n# Kept by simple_orthanc, format 1.\n"
_OWN = frozenset({_MARKER, "entries", "parts", "total", "limit"})
_ELSEWHERE = 'Use a separate folder for the cache, such as cache="~/simple_orthanc_cache".'
_USUAL_LIMIT = 10_000_000_000
_MOST_DIGITS = 32
_NAME = re.compile(r"[0-9a-f]{40}")
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC
# A part is written in one go: one older than this was left by a process that was killed.
_SECONDS_OF_PARTS = 600
# In nanoseconds. A last use that is further in the future was noted under a wrong clock, so its time is unknown.
_CLOCKS_DIFFER = 24 * 3600 * 10**9
# Another process may be looking through a large cache; one that is suspended may hold the lock for ever.
_SECONDS_FOR_LOCK = 2.0
_SECONDS_BETWEEN_ATTEMPTS = 0.0005
# After the lock could not be acquired, nothing is added for this long, so that not every file waits for it.
_SECONDS_BUSY = 10.0


Content = TypeVar("Content")


class _Used(NamedTuple):
    """An entry, by the time of its last use."""

    used: int
    size: int
    path: str


class EntryStore(LandsOnce):
    """The entries in a folder.

    Parameters
    ----------
    folder : Path
        Its absolute path.
    limit : int, optional
        The most bytes to keep. Default: the limit that the folder was last given.

    Attributes
    ----------
    limit : int
        The most bytes to keep.

    Raises
    ------
    SelectionError
        The folder cannot be created, belongs to another user, or holds other files.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self.folder = folder
        self._start()
        self._open()
        self.limit = self._limit(limit)

    def _start(self) -> None:
        self._is_open = self._is_full = False
        self._busy_until = 0.0
        # Among the threads of this process, only the one that holds this asks for the lock of the folder.
        self._lock = threading.Lock()
        # The entries as they were when they were last listed, the least recently used first.
        self._oldest: deque[_Used] = deque()

    # A process that loads the pickle opens the folder on first use.
    _pickled = ("folder", "limit")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what was pickled."""
        self.__dict__.update(state)
        self._start()

    def sizes(self) -> list[int]:
        """Return the size of each entry in bytes."""
        return [entry.size for entry in self._entries()]

    def paths(self) -> list[str]:
        """Return the path of each entry."""
        return [entry.path for entry in self._entries()]

    def clear(self) -> None:
        """Remove all entries."""
        if not self.folder.is_dir():
            return
        with self._locked() as ledger:
            for entry in self._entries():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.path)
            self._remove_parts(0)
            self._oldest.clear()
            if ledger is not None:
                _write_total(ledger, 0)

    # The folder

    def _open(self) -> None:
        """Create the folder, or check that it is a cache.

        Raises
        ------
        SelectionError
            It cannot be a cache.
        """
        try:
            make_folders(self.folder)
            status, names = os.stat(self.folder), set(os.listdir(self.folder))
            if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
                raise SelectionError(
                    f"The folder {self.folder} belongs to another user, who could read it. {_ELSEWHERE}"
                )
            marker = self.folder / _MARKER
            written = marker.read_bytes()[: len(_SIGNATURE)] if _MARKER in names else b""
            if written != _SIGNATURE:
                # Another process may be writing it.
                if names - _OWN or not _SIGNATURE.startswith(written):
                    others = ", ".join(map(repr, sorted(names - _OWN)[:3])) or repr(_MARKER)
                    raise SelectionError(
                        f"The folder {self.folder} holds files that are not part of a cache: {others}. Use a separate "
                        f"folder for the cache, such as cache={str(self.folder / 'cache')!r}."
                    )
                self._write_private(marker, _SIGNATURE)
            if status.st_mode & 0o077:
                os.chmod(self.folder, 0o700)
            for name in ("entries", "parts"):
                make_folders(self.folder / name)
            # The folder may be on a read-only disk.
            with contextlib.suppress(OSError):
                self._remove_parts(_SECONDS_OF_PARTS)
        except (FileExistsError, NotADirectoryError) as error:
            raise SelectionError(
                f"{self.folder} cannot be a cache: it, or what it is in, is a file. {_ELSEWHERE}"
            ) from error
        except OSError as error:
            raise SelectionError(f"{self.folder} cannot be a cache: {error.strerror or error}. {_ELSEWHERE}") from error
        self._is_open = True

    def _limit(self, given: int | None) -> int:
        """Return the limit, and record one that was given: it is the default from then on."""
        path = self.folder / "limit"
        try:
            written = int(path.read_bytes()[:_MOST_DIGITS])
        except (OSError, ValueError):
            written = 0
        # A limit below 1 byte cannot be given, so the file is damaged.
        written = written if written >= 1 else _USUAL_LIMIT
        if given is None or given == written:
            return written
        # On a read-only disk nothing is added anyway.
        with contextlib.suppress(OSError):
            self._write_private(path, b"%*d\n" % (_MOST_DIGITS - 1, given))
            if given < written:
                with self._locked() as ledger:
                    if ledger is not None:
                        self._shrink(ledger, given, "")
        return given

    def _write_private(self, path: Path, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC, 0o600)
        try:
            entries.write_all(descriptor, content)
        finally:
            os.close(descriptor)

    def _remove_parts(self, seconds: float) -> None:
        """Remove parts of entries that are at least so many seconds old, or as far in the future."""
        with os.scandir(self.folder / "parts") as parts:
            for part in parts:
                with contextlib.suppress(FileNotFoundError):
                    if abs(time.time() - part.stat(follow_symlinks=False).st_mtime) >= seconds:
                        os.unlink(part.path)

    def path(self, archive: str, key: str, is_whole: bool = True) -> str:
        """Return the path of the entry for an instance: for its whole file, or for its beginning."""
        text = "\0".join((archive, key, "file" if is_whole else "beginning"))
        name = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
        return os.path.join(self.folder, "entries", name[:2], name)

    def _entries(self) -> Iterator[_Used]:
        """Yield all entries."""
        if not self._is_open:
            self._open()
        for group in _groups_in(self.folder / "entries"):
            if len(group.name) == 2 and group.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    yield from _entries_in(group.path)

    # Reading

    def read(
        self,
        path: str,
        is_right: Callable[[Record], bool],
        read: Callable[[int, Entry], Content],
        is_use: bool = True,
    ) -> Content | None:
        """Read an entry; None if there is none, or not the right one.

        A damaged entry is removed.

        Parameters
        ----------
        path : str
            Path of the entry: see `path`.
        is_right : callable
            Called with the record of the entry; decides whether it is the right one.
        read : callable
            Called with a file descriptor and the entry; a function of `simple_orthanc.sources.cache.entries`.
        is_use : bool
            Whether this counts as a use of the entry.
        """
        try:
            descriptor = os.open(path, _FLAGS)
        except OSError:
            return None
        try:
            entry = self._opened(path, descriptor)
            if entry is None or not is_right(entry.record):
                return None
            content = self._content(path, descriptor, entry, read)
            if is_use and content is not None:
                with contextlib.suppress(OSError):
                    _mark_as_used(descriptor)
            return content
        finally:
            os.close(descriptor)

    def _opened(self, path: str, descriptor: int) -> Entry | None:
        try:
            return entries.open_entry(descriptor)
        except (DamagedEntryError, ValueError, TypeError):
            self.remove(path)
        return None

    def _content(
        self, path: str, descriptor: int, entry: Entry, read: Callable[[int, Entry], Content]
    ) -> Content | None:
        try:
            return read(descriptor, entry)
        except DamagedEntryError:
            self.remove(path)
        return None

    # Adding and removing

    def add(self, path: str, record: Record, content: memoryview) -> None:
        """Add an entry with a content; if that is impossible, nothing more is added, and one warning says so."""
        if len(content) > self.limit:
            return

        def write(descriptor: int) -> bytes:
            entries.write_all(descriptor, content)
            return entries.ending(record, content)

        self._add(path, write)

    def add_file(self, path: str, record: Record, source: Path) -> None:
        """Add an entry with the content of a file."""
        try:
            descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            length = os.fstat(descriptor).st_size
            if length <= self.limit:
                self._add(
                    path,
                    lambda target: entries.ending_of(record, *entries.copy_content(descriptor, target, length)),
                )
        finally:
            os.close(descriptor)

    def _add(self, path: str, write: Callable[[int], bytes]) -> None:
        """Add an entry with what a function writes into a file, and the ending that it returns."""
        if self._is_full or time.monotonic() < self._busy_until:
            return
        part = ""
        try:
            if not self._is_open:
                self._open()
            part = os.path.join(self.folder, "parts", secrets.token_hex(16))
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                entries.write_all(descriptor, write(descriptor))
                size = os.fstat(descriptor).st_size
                _mark_as_used(descriptor)
            finally:
                os.close(descriptor)
            self._publish(part, path, size)
        except DamagedEntryError:
            # The file that was to be added has become shorter meanwhile.
            return
        except (OSError, SelectionError) as error:
            self._stop_adding(error)
        finally:
            if part:
                with contextlib.suppress(OSError):
                    os.unlink(part)

    def _publish(self, part: str, path: str, size: int) -> None:
        """Give a new entry its name, after removing others if they leave no room for it."""
        with self._locked() as ledger:
            if ledger is None or size > self.limit:
                return
            before = _size(path)
            total = self._shrink(ledger, self.limit - size + before, path)
            # Before the entry appears: a process that is killed in between leaves no sum that is too small.
            _write_total(ledger, total - before + size)
            # Another process may have cleared the cache.
            with contextlib.suppress(FileNotFoundError):
                try:
                    os.replace(part, path)
                except FileNotFoundError:
                    make_folders(Path(path).parent)
                    os.replace(part, path)

    def _shrink(self, ledger: int, most: int, spared: str) -> int:
        """Remove the least recently used entries until at most this many bytes are left, and return the sum.

        The entry at the path `spared` is not removed.
        """
        total = _read_total(ledger)
        if total is None:
            total = self._look_through()
        is_counted = False
        while total > most:
            if not self._oldest:
                if is_counted:
                    # Entries remain only if they cannot be removed.
                    break
                total, is_counted = self._look_through(), True
                continue
            entry = self._oldest.popleft()
            status = _status(entry.path)
            if status is None or status.st_mtime_ns != entry.used or entry.path == spared:
                # It was used since, removed by another process, or is spared.
                continue
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.path)
            total -= status.st_size
            _write_total(ledger, total)
        return total

    def _look_through(self) -> int:
        """List all entries by their last use, and return the sum of their sizes."""
        latest = time.time_ns() + _CLOCKS_DIFFER
        found = sorted(self._entries(), key=lambda entry: (entry.used if entry.used <= latest else 0, entry))
        self._oldest = deque(found)
        return sum(entry.size for entry in found)

    def remove(self, path: str) -> None:
        """Remove an entry, if it is there."""
        with contextlib.suppress(OSError), self._locked() as ledger:
            size = _size(path)
            os.unlink(path)
            total = None if ledger is None else _read_total(ledger)
            if ledger is not None and total is not None:
                _write_total(ledger, max(0, total - size))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int | None]:
        """Hold the lock, and yield the descriptor of the file with the sum; None if it cannot be acquired."""
        if not self._is_open:
            self._open()
        deadline = time.monotonic() + _SECONDS_FOR_LOCK
        ledger = None
        is_locked = self._lock.acquire(timeout=_SECONDS_FOR_LOCK)
        try:
            while is_locked and (ledger := lock_file(self.folder / "total")) is None and time.monotonic() < deadline:
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
            if ledger is None:
                self._busy_until = time.monotonic() + _SECONDS_BUSY
            yield ledger
        finally:
            if ledger is not None:
                os.close(ledger)
            if is_locked:
                self._lock.release()

    def _stop_adding(self, error: OSError | SelectionError) -> None:
        is_first, self._is_full = not self._is_full, True
        if is_first:
            reason = str(error) if isinstance(error, SelectionError) else f"{error.strerror or error}."
            warnings.warn(
                f"Nothing more is added to the cache {self.folder}: {reason} Reading goes on without it.",
                stacklevel=stacklevel(),
            )


def _groups_in(folder: Path) -> list[os.DirEntry[str]]:
    """List what is in a folder; nothing if the folder is gone."""
    try:
        with os.scandir(folder) as groups:
            return list(groups)
    except FileNotFoundError:
        return []


def _entries_in(folder: str) -> Iterator[_Used]:
    for item in os.scandir(folder):
        if _NAME.fullmatch(item.name):
            with contextlib.suppress(FileNotFoundError):
                status = item.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield _Used(status.st_mtime_ns, status.st_size, item.path)


def _mark_as_used(descriptor: int) -> None:
    # The time that the system itself would set advances in steps of some milliseconds.
    now = time.time_ns()
    os.utime(descriptor, ns=(now, now))


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _size(path: str) -> int:
    status = _status(path)
    return 0 if status is None else status.st_size


def _read_total(ledger: int) -> int | None:
    """Return the sum of all sizes; None if it is not known."""
    try:
        return int(os.pread(ledger, 32, 0))
    except ValueError:
        return None


def _write_total(ledger: int, total: int) -> None:
    os.pwrite(ledger, b"%20d\n" % total, 0)
