"""The example archive in a temporary folder, written once by each process that asks for it.

The folder is removed when its process ends. What a killed process left, whose lock nobody holds any more, is removed by
the next one that writes an example.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from pathlib import Path

from simple_orthanc.files.locking import lock_file
from simple_orthanc.phantom.archive import write_archive

_PREFIX = "simple-orthanc-example-"
_ARCHIVE, _LOCK = "archive", "simple-orthanc.lock"
_thread_lock = threading.Lock()
_folder: Path | None = None


def example_folder() -> Path:
    """Return a temporary folder that holds the files of `simple_orthanc.phantom.write_archive`.

    It is written when a process first asks for it, and removed when this process ends. A forked process reads the
    folder of its parent as long as that is there.

    Returns
    -------
    Path
        The same folder each time. Only this user can enter it.

    Examples
    --------
    >>> example_folder() == example_folder()
    True
    >>> sorted(path.name for path in example_folder().iterdir())
    ['EX-001', 'EX-002', 'EX-003', 'EX-004', 'EX-005', 'EX-006']
    """
    global _folder
    with _thread_lock:
        if _folder is None or not _folder.is_dir():
            _remove_abandoned()
            _folder = write_archive(_new_folder() / _ARCHIVE)
        return _folder


def _new_folder() -> Path:
    """Make a temporary folder that is removed when this process ends."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # None if another process took it for abandoned, and removed it.
        descriptor = lock_file(folder / _LOCK)
        if descriptor is not None:
            atexit.register(_remove, folder, descriptor, os.getpid())
            return folder


def _remove(folder: Path, descriptor: int, owner: int) -> None:
    """Remove a folder, unless this process was forked from the one that made it."""
    if os.getpid() == owner:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            # One without a lock is being made.
            descriptor = lock_file(folder / _LOCK) if (folder / _LOCK).is_file() else None
        except OSError:
            # Another user's, or removed meanwhile.
            continue
        if descriptor is not None:
            os.close(descriptor)
            shutil.rmtree(folder, ignore_errors=True)
