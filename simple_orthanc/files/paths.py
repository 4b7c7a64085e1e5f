"""Paths as users give them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from simple_orthanc.errors import SelectionError


def path_text(given: object, example: str) -> str:
    """Return a path as a string.

    Parameters
    ----------
    given : object
        What a user passed as a path.
    example : str
        The call with a path as it should be, for the message.

    Raises
    ------
    SelectionError
        It is not a path. An empty string is not one either: pathlib would read it as the current folder.

    Examples
    --------
    >>> from pathlib import Path
    >>> path_text(Path("scans"), 'Folder("scans")')
    'scans'
    """
    text = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if isinstance(text, str) and text:
        return text
    what = "an empty string" if given == "" else f"an object of type {type(given).__name__}"
    raise SelectionError(f"A path was expected, and {what} was given. Pass a string or a Path: {example}.")


def make_folders(folder: Path) -> None:
    """Make a folder, and those above it that are missing, so that no other user can enter what is made.

    What is written into them are files of patients. A folder that exists keeps its permissions.

    Raises
    ------
    OSError
        There can be no such folder.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        if not folder.parent.is_dir():
            make_folders(folder.parent)
        # Another thread may have made the one above since, or this one. Some file systems take no folders, and say so
        # in these words again.
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise


def put_new(part: Path, path: Path) -> bool:
    """Move a file to its name in the same file system, unless something has that name.

    Returns
    -------
    bool
        False if something has it, which is left as it is.

    Raises
    ------
    OSError
        It cannot be moved.
    """
    try:
        # Unlike a rename, a link never replaces anything.
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if os.path.lexists(path):
            return False
        os.replace(part, path)
    else:
        part.unlink()
    return True
