"""A hidden folder inside the target, where files grow until they are whole.

What a killed process leaves behind is there, and nowhere else. The next call that writes to the target removes it, as
the lock of that process, which nobody holds any more, shows. So no file under its own name is ever a part of one.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simple_orthanc.files.locking import lock_file

_PREFIX = ".simple_orthanc-"
_LOCK = re.compile(re.escape(_PREFIX) + r"[0-9a-f]{16}\.lock")
# Seconds between two attempts to get a lock, and of all of them.
_PAUSE, _LONGEST_WAIT = 0.01, 30.0
# Some network file systems.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """Make a folder for files that are being written, and remove it at the end.

    Parameters
    ----------
    target : Path
        An existing folder, in the file system of the files.

    Raises
    ------
    OSError
        The target cannot be written to.
    """
    remove_leftovers(target)
    lock, descriptor = _locked_name(target)
    folder = lock.with_suffix("")
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _remove(folder, lock, descriptor)


@contextmanager
def alone_in(target: Path) -> Iterator[None]:
    """Wait for other processes that are in this block for the same target, so that none changes what another has read.

    Nobody is waited for where the file system has no locks, and for a process that hangs there no longer than a while.
    """
    lock = target / f"{_PREFIX}{'0' * 16}.lock"
    descriptor = None
    deadline = time.monotonic() + _LONGEST_WAIT
    try:
        while (descriptor := lock_file(lock)) is None and time.monotonic() < deadline:
            time.sleep(_PAUSE)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        lock.unlink(missing_ok=True)
    try:
        yield
    finally:
        if descriptor is not None:
            _remove(lock.with_suffix(""), lock, descriptor)


def _locked_name(target: Path) -> tuple[Path, int | None]:
    """Return a new name with its lock, None where the file system has no locks."""
    while True:
        path = target / f"{_PREFIX}{secrets.token_hex(8)}.lock"
        try:
            descriptor = lock_file(path)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return path, None
        # None: another process took it for left behind, in the moment before it was locked.
        if descriptor is not None:
            return path, descriptor


def remove_leftovers(target: Path) -> None:
    """Remove what processes that were killed have left in a target."""
    for lock in sorted(target.iterdir()):
        if _LOCK.fullmatch(lock.name):
            # That of another user, perhaps.
            with suppress(OSError):
                descriptor = lock_file(lock)
                if descriptor is not None:
                    _remove(lock.with_suffix(""), lock, descriptor)


def _remove(folder: Path, lock: Path, descriptor: int | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if descriptor is not None and os.name == "nt":
        # There a file that is open cannot be removed.
        os.close(descriptor)
        descriptor = None
    # A thread that an interrupted call left to itself may still write there: then the next call removes the rest.
    if not folder.exists():
        lock.unlink(missing_ok=True)
    if descriptor is not None:
        os.close(descriptor)
