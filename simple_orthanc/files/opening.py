"""Open files that were looked at by name before, which may be something else by now."""

from __future__ import annotations

import os
import stat
from io import BufferedReader

# Opening a pipe for reading waits for a writer, unless it is opened like this. Windows has no such pipes.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class NotRegularError(OSError):
    """What is at a path is a pipe, a device or a folder, which might never end or cannot be read."""


def not_regular(path: str | os.PathLike[str]) -> NotRegularError:
    """Return the error for what is at a path and is not a regular file."""
    return NotRegularError(None, "not a regular file, or no longer one", os.fspath(path))


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading bytes, without waiting for anything else that may be at its path.

    Links are followed, as users make them; what they lead to counts.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    binary file

    Raises
    ------
    NotRegularError
        It is not a regular file. Its `strerror` says so in words.
    OSError
        It cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, open_regular(file.name) as stream:
    ...     stream.read()
    b''
    """
    descriptor = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise not_regular(path)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
