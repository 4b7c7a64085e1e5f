"""Attributes that an archive computes: what a study holds, and how much is below an object.

They stand in no file, or only by accident (PS3.4, section C.3.4), so every source's answer is made from the rows of the
index, and is about the whole archive, whatever is selected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import Tag, parse_tag
from simple_orthanc.dicom.values import Value

_VALUES_IN_STUDY: dict[str, tuple[Level, Tag]] = {
    "ModalitiesInStudy": ("series", parse_tag("Modality")),
    "SOPClassesInStudy": ("instance", parse_tag("SOPClassUID")),
}
# Keyword to what is counted, below what.
_COUNTS: dict[str, tuple[Level, Level]] = {
    "NumberOfPatientRelatedStudies": ("study", "patient"),
    "NumberOfPatientRelatedSeries": ("series", "patient"),
    "NumberOfPatientRelatedInstances": ("instance", "patient"),
    "NumberOfStudyRelatedSeries": ("series", "study"),
    "NumberOfStudyRelatedInstances": ("instance", "study"),
    "NumberOfSeriesRelatedInstances": ("instance", "series"),
}


class Rows(Protocol):
    """The rows of an archive; see `simple_orthanc.selection.index.Index`."""

    def everything(self, level: Level) -> list[str]:
        """Return the keys of a whole level."""
        ...

    def down(self, level: Level, keys: Sequence[str], target: Level) -> list[str]:
        """Return every key of a deeper level that is below the given ones."""
        ...

    def up(self, level: Level, keys: Sequence[str], target: Level) -> list[str]:
        """Return for each key the key of the object of a higher level that it is in, one for one."""
        ...

    def column(self, tag: Tag, level: Level, keys: Sequence[str]) -> list[Value]:
        """Return the value of a tag for each row of a level."""
        ...


def computed_level(tag: Tag) -> Level | None:
    """Return the level of the rows that a computed attribute is about; None if it is none.

    A patient has no row, so what is about a patient is about each of the studies.

    Examples
    --------
    >>> computed_level(parse_tag("ModalitiesInStudy")), computed_level(parse_tag("Modality"))
    ('study', None)
    """
    if tag.keyword in _COUNTS:
        owner = _COUNTS[tag.keyword][1]
        return "study" if owner == "patient" else owner
    return "study" if tag.keyword in _VALUES_IN_STUDY else None


def computed_values(rows: Rows, tag: Tag, keys: Sequence[str]) -> list[Value]:
    """Return the value of a computed attribute for rows of its level.

    Parameters
    ----------
    rows : Rows
        The rows of the archive.
    tag : Tag
        An attribute that `computed_level` knows.
    keys : sequence of str
        Keys of the level that it returns.
    """
    distinct = list(dict.fromkeys(keys))
    if tag.keyword in _VALUES_IN_STUDY:
        level, part = _VALUES_IN_STUDY[tag.keyword]
        held: dict[str, set[str]] = {key: set() for key in distinct}
        below = rows.down("study", distinct, level)
        for owner, value in zip(rows.up(level, below, "study"), rows.column(part, level, below), strict=True):
            held[owner].update(string for string in value or () if isinstance(string, str))
        values: dict[str, Value] = {key: tuple(sorted(strings)) or None for key, strings in held.items()}
        return [values[key] for key in keys]
    counted, owner_level = _COUNTS[tag.keyword]
    if owner_level != "patient":
        count = Counter(rows.up(counted, rows.down(owner_level, distinct, counted), owner_level))
        return [(str(count[key]),) for key in keys]
    # The studies of a patient are found in the list of all.
    patients = rows.up("study", keys, "patient")
    studies = rows.everything("study")
    wanted = set(patients)
    owners = zip(studies, rows.up("study", studies, "patient"), strict=True)
    theirs = [study for study, patient in owners if patient in wanted]
    count = Counter(rows.up(counted, rows.down("study", theirs, counted), "patient"))
    return [(str(count[patient]),) for patient in patients]
