"""What an index knows of a selection, read without a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import comparable, shown
from simple_orthanc.selection.index import Index, NotKnownError


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


def known_numbers(index: Index, keyword: str, level: Level, keys: Sequence[str]) -> Counter[Any] | None:
    """Count the rows that have each value of a tag, None among them; None if the values are not known."""
    tag = parse_tag(keyword)
    with index.offline(), suppress(NotKnownError):
        if index.home(tag) is not None:
            numbers: Counter[Any] = Counter()
            for value, number in Counter(index.column(tag, level, keys)).items():
                numbers[shown(value, tag)] += number
            return numbers
    return None


def written(value: Any, keyword: str) -> str:
    """Write a value that `known_values` returns for people: dates as 2026-01-31.

    Examples
    --------
    >>> written("20260131", "StudyDate"), written("unknown", "StudyDate"), written(None, "StudyDate"), written(3, "KVP")
    ('2026-01-31', 'unknown', '', '3')
    """
    if value is None:
        return ""
    day = comparable(value, "DA") if parse_tag(keyword).vr == "DA" else None
    return str(value if day is None else day) if not isinstance(value, tuple) else ", ".join(map(str, value))


def known_owners(index: Index, level: Level, keys: Sequence[str], above: Level) -> list[str] | None:
    """Return for each key the key of the object above it; None if these are not known."""
    with index.offline(), suppress(NotKnownError):
        return index.up(level, keys, above)
    return None


def known_children(index: Index, level: Level, key: str) -> list[str] | None:
    """Return the keys of the objects directly below one, selected or not; None if they are not known."""
    with index.offline(), suppress(NotKnownError):
        return index.down(level, [key], LEVELS[depth(level) + 1])
    return None
