"""What an index knows of a selection, read without a request."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import shown
from simple_orthanc.selection import resolving
from simple_orthanc.selection.index import Index, NotKnownError
from simple_orthanc.selection.selection import Selection


def known_keys(index: Index, selection: Selection, level: Level) -> list[str] | None:
    """Return the selected keys of a level, as far as they are known; None if they are not."""
    with index.offline(), suppress(NotKnownError):
        return resolving.keys_at(index, selection, level)
    return None


def known_order(index: Index, level: Level, keys: Sequence[str]) -> Sequence[str]:
    """Return keys in the usual order, or as they are where that is not known."""
    with index.offline(), suppress(NotKnownError):
        return index.ordered(level, keys)
    return keys


def known_values(index: Index, keyword: str, level: Level, keys: Sequence[str]) -> list[Any] | None:
    """Return the value of a tag for each row, None where it is missing; None for all if they are not known."""
    tag = parse_tag(keyword)
    with index.offline(), suppress(NotKnownError):
        if index.home(tag) is not None or level == "instance":
            return [shown(value, tag) for value in index.column(tag, level, keys)]
    return None


def known_owners(index: Index, level: Level, keys: Sequence[str], above: Level) -> list[str] | None:
    """Return for each key the key of the object above it; None if these are not known."""
    with index.offline(), suppress(NotKnownError):
        return index.up(level, keys, above)
    return None


def known_child_count(index: Index, level: Level, key: str) -> int | None:
    """Return how many objects are directly below one, selected or not; None if that is not known."""
    with index.offline(), suppress(NotKnownError):
        index.load(level, [key])
        row = index.row(level, key)
        return None if row.has_unknown_children else len(row.children)
    return None
