"""The folder of a cache, as users name it, look at it and clear it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from simple_orthanc.errors import SelectionError
from simple_orthanc.files.paths import path_text
from simple_orthanc.sources.cache.kept_files import KeptFiles, Stamp
from simple_orthanc.sources.cache.store import EntryStore


class Cache:
    """A folder in which files that were read from archives are kept, so that they are read from there again.

    Parameters
    ----------
    folder : str or Path
        A folder for this alone: one that is missing or empty, or a cache already. No other user can read it.
    limit : int, optional
        The most bytes that are kept. What was not used for longest goes first. Default: the limit that the folder was
        last given, or else 10,000,000,000.

    Attributes
    ----------
    folder : Path
        The folder, absolute.
    limit : int
        The most bytes.

    Raises
    ------
    SelectionError
        The folder cannot be made, belongs to another user, or holds other files. It is left as it is.

    Notes
    -----
    The files are those of the archive, with what they hold of patients, and not encrypted. Any number of sessions,
    threads and processes may use one folder at once; files of several servers in it do not mix.

    Examples
    --------
    >>> from simple_orthanc import Cache
    >>> cache = Cache("cache", limit=50_000_000_000)
    >>> len(cache), cache.size
    (0, 0)
    """

    def __init__(self, folder: str | os.PathLike[str], limit: float | None = None) -> None:
        text = path_text(folder, 'cache="cache"')
        if limit is not None and (type(limit) not in (int, float) or not 1 <= limit < float("inf")):
            raise SelectionError(f"limit={limit!r} is not a positive number of bytes, such as limit=50_000_000_000.")
        if "\0" in text:
            raise SelectionError(f"cache={text!r} cannot be a folder: its name holds a NUL character.")
        self.folder = Path(os.path.abspath(os.path.expanduser(text)))
        self._store = EntryStore(self.folder, None if limit is None else int(limit))
        self.limit = self._store.limit

    def __repr__(self) -> str:
        """Show the folder and the limit."""
        return f"Cache({str(self.folder)!r}, limit={self.limit:_})"

    def __len__(self) -> int:
        """Return the number of entries: files, and headers that were read without their files."""
        return len(self._store.sizes())

    def __bool__(self) -> bool:
        """Return True, also of an empty cache."""
        return True

    @property
    def size(self) -> int:
        """The bytes that are kept.

        Examples
        --------
        >>> from simple_orthanc import Cache
        >>> Cache("cache").size
        0
        """
        return sum(self._store.sizes())

    def clear(self) -> None:
        """Remove everything that is kept.

        Raises
        ------
        OSError
            Something cannot be removed.

        Examples
        --------
        >>> from simple_orthanc import Cache
        >>> cache = Cache("cache")
        >>> cache.clear()
        >>> len(cache)
        0
        """
        self._store.clear()


def as_cache(given: str | os.PathLike[str] | Cache | None) -> Cache | None:
    """Return the cache that a session was given, or the one in a folder that it was given."""
    return given if given is None or isinstance(given, Cache) else Cache(given)


def entry_store(cache: Cache) -> EntryStore:
    """Return the entries of a cache."""
    return cache._store


def kept_files(cache: Cache, archive: str, is_current: Callable[[str, Stamp], bool]) -> KeptFiles:
    """Return the files of an archive in a cache; see `KeptFiles` for the arguments."""
    return KeptFiles(entry_store(cache), archive, is_current)
