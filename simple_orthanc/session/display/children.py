"""A table of child sessions, from what is known without a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.selection.index import Index, NotKnownError
from simple_orthanc.session.display.known import known_children, known_values, written
from simple_orthanc.session.display.words import PLURALS
from simple_orthanc.showing.table import MOST_ROWS, Table
from simple_orthanc.showing.text import counted

_COLUMNS: dict[Level, tuple[str, ...]] = {
    "patient": ("PatientID", "PatientName", "PatientSex", "PatientBirthDate"),
    "study": ("PatientID", "StudyDate", "StudyDescription", "ModalitiesInStudy"),
    "series": ("PatientID", "StudyDate", "Modality", "SeriesNumber", "SeriesDescription"),
    "instance": ("PatientID", "Modality", "SeriesDescription", "InstanceNumber", "SOPInstanceUID"),
}
_BELOW: dict[Level, Level] = {"study": "series", "series": "instance"}


def children_table(
    index: Index, level: Level, inner_level: Level, owned: Mapping[str, Sequence[str]], keys: Sequence[str]
) -> Table:
    """Return a table of the first of some sessions.

    Parameters
    ----------
    index : Index
        What has been read.
    level : str
        What each session is on.
    inner_level : str
        The level of the keys that it selects.
    owned : mapping
        Key of the object to these keys.
    keys : sequence of str
        Keys of the objects.
    """
    first = keys[:MOST_ROWS]
    columns: dict[str, list[Any]] = {}
    # What is shown waits for no thread that reads the archive.
    with suppress(NotKnownError), index.offline(wait=False):
        columns = _columns(index, level, inner_level, owned, first)
    title = f"{counted(len(keys), 'session')}, each on one {level}"
    return Table(title, list(columns), list(zip(*columns.values(), strict=True)), len(keys) - len(first))


def _columns(
    index: Index, level: Level, inner_level: Level, owned: Mapping[str, Sequence[str]], keys: Sequence[str]
) -> dict[str, list[Any]]:
    inner = [owned[key][0] for key in keys]
    columns: dict[str, list[Any]] = {}
    for keyword in _COLUMNS[level]:
        values = known_values(index, keyword, inner_level, inner)
        if values is not None:
            columns[keyword] = [written(value, keyword) for value in values]
    if inner_level != level:
        columns[PLURALS[inner_level]] = [len(owned[key]) for key in keys]
    elif level in _BELOW:
        columns[PLURALS[_BELOW[level]]] = [_child_count(index, level, key) for key in keys]
    return columns


def _child_count(index: Index, level: Level, key: str) -> int | None:
    children = known_children(index, level, key)
    return None if children is None else len(children)
