"""Rows made from the answers of an Orthanc server about studies, series and instances."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import INDEX_TAGS
from simple_orthanc.dicom.values import Value, from_text
from simple_orthanc.selection.source import Row
from simple_orthanc.sources.charset_check import is_mangled, shows_undecoded_strings
from simple_orthanc.sources.orthanc.find import PARENT_KEY

_CHILDREN_KEY = {"study": "Series", "series": "Instances"}
# The fields of an answer that hold the strings of a row.
_GROUPS: dict[Level, tuple[str, ...]] = {
    "study": ("PatientMainDicomTags", "MainDicomTags"),
    "series": ("MainDicomTags",),
    "instance": ("MainDicomTags",),
}
# The name and VR of each column, by the number of its tag.
_COLUMNS = {level: {number: (tag.name, tag.vr) for number, tag in tags.items()} for level, tags in INDEX_TAGS.items()}
# A single value without padding, and without any sign of failed decoding.
_PLAIN = re.compile("[0-9A-Za-z^._:+-](?:[0-9A-Za-z ^._:+-]*[0-9A-Za-z^._:+-])?").fullmatch


class RowsOfAnswers:
    """The rows of a level, made from each page of answers while others are on their way.

    Several threads may use it.

    Parameters
    ----------
    level : str
        The level of the rows.

    Examples
    --------
    >>> rows = RowsOfAnswers("series")
    >>> answer = {"ID": "1ad7", "ParentStudy": "8c3e", "Instances": ["4ac2"], "MainDicomTags": {"0008,0060": "CT"}}
    >>> rows.make([answer])
    >>> (row,), doubtful = rows.of([answer])
    >>> row.key, row.parent, row.children, row.values
    ('1ad7', '8c3e', ('4ac2',), {'Modality': ('CT',)})
    """

    def __init__(self, level: Level) -> None:
        self._level = level
        # By the identity of the answer, which is kept with its row: a server may return one object twice.
        self._made: dict[int, tuple[Mapping[str, Any], tuple[Row, bool]]] = {}

    def make(self, answers: Iterable[Mapping[str, Any]]) -> None:
        """Make the rows of some answers."""
        level = self._level
        self._made.update((id(answer), (answer, _to_row(level, answer))) for answer in answers)

    def of(self, answers: Iterable[Mapping[str, Any]]) -> tuple[list[Row], list[Row]]:
        """Return the rows of answers, and those among them with strings that may not have been decoded correctly."""
        rows: list[Row] = []
        doubtful: list[Row] = []
        for answer in answers:
            made = self._made.get(id(answer))
            row, is_mangled_somewhere = _to_row(self._level, answer) if made is None else made[1]
            if is_mangled_somewhere or row.has_unreliable_strings:
                doubtful.append(row)
            rows.append(row)
        return rows, doubtful


def _to_row(level: Level, answer: Mapping[str, Any]) -> tuple[Row, bool]:
    """Return the row for one answer, and whether one of its strings was visibly not decoded."""
    columns = _COLUMNS[level]
    values: dict[str, Value] = {}
    mangled = False
    for group in _GROUPS[level]:
        for number, string in answer.get(group, {}).items():
            column = columns.get(number)
            if column is None or not string or not isinstance(string, str):
                continue
            name, vr = column
            # Most strings are plain, and there are many of them.
            if _PLAIN(string):
                values[name] = (string,)
                continue
            value = from_text(string, vr)
            mangled = mangled or is_mangled(string)
            if value is not None:
                values[name] = value
    children = tuple(answer.get(_CHILDREN_KEY.get(level, ""), ()))
    is_unreliable = level == "study" and shows_undecoded_strings(values)
    # No study or series in Orthanc is empty: children that are not listed are looked up.
    is_childless = level != "instance" and not children
    return Row(answer["ID"], answer.get(PARENT_KEY[level], ""), children, values, is_unreliable, is_childless), mangled
