"""Files that one process at a time holds locked, until it ends, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def lock_file(path: Path) -> int | None:
    """Create a file if it is missing, and lock it.

    Returns
    -------
    int or None
        Its descriptor, which holds the lock until it is closed; None if another process holds it, or the file was
        removed meanwhile.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, PermissionError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
