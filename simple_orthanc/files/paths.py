"""Paths as users give them."""

from __future__ import annotations

import os

from simple_orthanc.errors import SelectionError


def path_text(given: object, example: str) -> str:
    """Give a path as a text.

    Parameters
    ----------
    given : object
        What a user gave for a path.
    example : str
        The call with a path as it should be, for the message.

    Raises
    ------
    SelectionError
        It is none. An empty text is none either: pathlib takes it for the current folder, which nobody asked for.

    Examples
    --------
    >>> from pathlib import Path
    >>> path_text(Path("scans"), 'Folder("scans")')
    'scans'
    """
    text = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if isinstance(text, str) and text:
        return text
    what = "an empty text" if given == "" else f"of type {type(given).__name__}"
    raise SelectionError(f"A path was expected, and what is given is {what}. Give a text or a Path: {example}.")
