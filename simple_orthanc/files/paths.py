"""Paths as users give them."""

from __future__ import annotations

import os

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
