"""The tags that an archive holds and their values, as far as they are known without a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import INDEXED
from simple_orthanc.dicom.tags import Tag, parse_tag
from simple_orthanc.dicom.usual import in_order, usual_in_files
from simple_orthanc.dicom.values import Value, shown
from simple_orthanc.session.state import SessionState

if TYPE_CHECKING:
    from simple_orthanc.selection.index import Index
    from simple_orthanc.selection.selection import Selection

# So many rows show whether a tag is used.
_ROWS_LOOKED_AT = 2000
_MODALITY = parse_tag("Modality")


def usual_tags(session: SessionState | None = None) -> list[str]:
    """List the tags that users of a session are likely to want: those with values first, those of files after.

    Parameters
    ----------
    session : SessionState, optional
        Tags are left out that are known to be missing in all that it selects. None: nothing is known.

    Returns
    -------
    list of str
        Keywords and paths.

    Examples
    --------
    >>> [name for name in usual_tags() if name in ("KVP", "StudyDate", "Modality")]
    ['Modality', 'StudyDate', 'KVP']
    """
    indexed = in_order(list(dict.fromkeys([*INDEXED["study"], *INDEXED["series"]])))
    modalities = known_values(session, _MODALITY) if session is not None else []
    in_files = usual_in_files([str(value) for value in modalities])
    if session is None:
        return indexed + in_files
    return [name for name in indexed + in_files if not _is_missing(session, parse_tag(name))]


def known_values(session: SessionState, tag: Tag) -> list[Any]:
    """List the values of a tag that are known without a request, the most frequent first.

    Parameters
    ----------
    session : SessionState
        The values in its selection, or in all that was read of the archive where those would need a request.
    tag : Tag
        The tag.

    Returns
    -------
    list
        Strings and numbers, those of a tag with several values one by one.
    """
    counts: Counter[Any] = Counter()
    for value, count in Counter(_values(session, tag)).items():
        listed = shown(value, tag)
        for part in dict.fromkeys(listed if isinstance(listed, tuple) else (listed,)):
            if isinstance(part, (str, int, float)):
                counts[part] += count
    return [value for value, _ in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))]


def _values(session: SessionState, tag: Tag) -> Sequence[Value]:
    from simple_orthanc.selection.index import NotKnownError

    index = session._index
    with suppress(NotKnownError), index.offline(wait=False):
        try:
            return _column(index, session._selection, tag)
        except NotKnownError:
            return index.seen(tag)
    return []


def _column(index: Index, selection: Selection, tag: Tag, most: int | None = None) -> list[Value]:
    """Return the values of a tag in the rows that are selected, inside a block that sends no requests.

    Raises
    ------
    NotKnownError
        They are not known.
    """
    from simple_orthanc.selection.index import NotKnownError
    from simple_orthanc.selection.resolving import keys_at

    home = index.home(tag)
    if home is None and not index.has_read(tag):
        raise NotKnownError
    level = home or "instance"
    return index.column(tag, level, keys_at(index, selection, level)[:most])


def _is_missing(session: SessionState, tag: Tag) -> bool:
    """Check whether a tag is known to be missing in all that is selected."""
    from simple_orthanc.selection.index import NotKnownError

    index = session._index
    with suppress(NotKnownError), index.offline(wait=False):
        column = _column(index, session._selection, tag, _ROWS_LOOKED_AT)
        return 0 < len(column) < _ROWS_LOOKED_AT and not any(column)
    return False
