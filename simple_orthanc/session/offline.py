"""Sessions with a cache, and sessions on the part of an archive that is in one, without its server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from simple_orthanc.errors import SelectionError, UnsupportedError

if TYPE_CHECKING:
    from simple_orthanc.selection.source import Source
    from simple_orthanc.sources.cache.cache import Cache
    from simple_orthanc.sources.cache.offline import OfflineSource

_MOST_LISTED = 5


class KeepsFiles:
    """The part of a session on a server that has a cache."""

    if TYPE_CHECKING:
        _source: Source

    @property
    def cache(self) -> Cache | None:
        """The folder in which files that are read are kept; None without one.

        Examples
        --------
        >>> from simple_orthanc import Orthanc
        >>> from simple_orthanc.testing import OrthancStandIn, make_series
        >>> server = OrthancStandIn(make_series((3, 8, 8))).start()
        >>> session = Orthanc(server.url, cache="cache")
        >>> volume = session.get_volume()
        >>> len(session.cache)
        3
        >>> session.cache.clear()
        >>> server.stop()
        """
        from simple_orthanc.selection.source import archive_of

        source: Any = archive_of(self._source)
        cache: Cache | None = source.cache
        return cache


def open_offline(cache: str | os.PathLike[str] | Cache | None, archive: str) -> OfflineSource:
    """Return the source of what a cache has of an archive.

    Parameters
    ----------
    cache : str, Path or Cache
        As the session was given it.
    archive : str
        The address of the server, as its source describes it.

    Raises
    ------
    SelectionError
        There is no cache, or it holds no file of that server.

    Warns
    -----
    UserWarning
        Of some series the server had more than the cache holds.
    """
    from simple_orthanc.sources.cache.cache import as_cache
    from simple_orthanc.sources.cache.offline import OfflineSource

    kept = as_cache(cache)
    if kept is None:
        raise SelectionError(
            "offline=True reads from a cache: give the folder in which the files were kept, as in "
            'cache="cache", offline=True.'
        )
    source = OfflineSource(kept, archive)
    if not source.index.instances:
        others = source.archives()
        listed = ", ".join(others[:_MOST_LISTED]) + (", ..." if len(others) > _MOST_LISTED else "")
        raise SelectionError(
            f"The cache {kept.folder} holds no file of {archive}. "
            + (f"It holds files of {listed}. " if others else "It is empty. ")
            + "Files are kept when they are read or downloaded with the same cache and without offline=True."
        )
    source.tell_in_part()
    return source


def is_offline(source: Source) -> bool:
    """Check whether a source is one that is read offline."""
    from simple_orthanc.selection.source import archive_of
    from simple_orthanc.sources.cache.offline import OfflineSource

    return isinstance(archive_of(source), OfflineSource)


def offline_note(source: Source) -> str:
    """Return a note for messages that nothing was found: only the cache was searched; "" if a session is online."""
    from simple_orthanc.selection.source import archive_of
    from simple_orthanc.sources.cache.offline import OfflineSource

    source = archive_of(source)
    if not isinstance(source, OfflineSource):
        return ""
    return (
        f"The session is offline and sees only what the cache {source.cache.folder} holds: what else {source.address} "
        "may have can be found and read without offline=True."
    )


def check_online(source: Source) -> None:
    """Refuse what needs the server.

    Raises
    ------
    UnsupportedError
        The source is one that is read offline.
    """
    from simple_orthanc.selection.source import archive_of
    from simple_orthanc.sources.cache.offline import OfflineSource

    source = archive_of(source)
    if isinstance(source, OfflineSource):
        raise UnsupportedError(
            f"This needs the server {source.address}, and the session is offline: it reads what is in the cache "
            f"{source.cache.folder}, and sends no request. Open it without offline=True."
        )
