"""The example archive in a temporary folder, written once by each process that asks for it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from pathlib import Path

from simple_orthanc.phantom.archive import write_archive

_PREFIX = "simple-orthanc-example-"
_lock = threading.Lock()
_folder: Path | None = None


def example_folder() -> Path:
    """Return a temporary folder that holds the files of :func:`write_archive`.

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
    with _lock:
        if _folder is None or not _folder.is_dir():
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
            atexit.register(_remove, folder, os.getpid())
            _folder = write_archive(folder)
        return _folder


def _remove(folder: Path, owner: int) -> None:
    """Remove a folder, unless this process was forked from the one that made it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
