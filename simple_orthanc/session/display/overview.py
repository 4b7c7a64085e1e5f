"""A session at a glance, as plain data: counts, criteria, what can be filtered next, and the first objects.

Everything comes from what was read before, within a few milliseconds, however large the archive is: values are counted
in the first series only, and the overview says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.values import comparable
from simple_orthanc.selection.index import Index, NotKnownError
from simple_orthanc.selection.selection import Selection
from simple_orthanc.session.display.known import known_numbers, known_owners
from simple_orthanc.session.display.tree import Branch, tree

_MOST_COUNTED = 5000
_MOST_VALUES = 6
_HOW_TO_LIST = "table() lists the series, and describe() shows what can be filtered on."
_NOTHING_LISTED = f"Nothing is listed yet: {_HOW_TO_LIST}"
_ONLY_COUNTED = f"Only the counts are known yet: {_HOW_TO_LIST}"
_NOTHING_SELECTED = (
    "Nothing is selected. explain() shows where the selection became empty; undo() takes back the last step."
)
_BEING_READ = "Another thread is reading the archive; what it has read is shown afterwards."
_BY_SERIES = ("Modality", "BodyPartExamined", "SeriesDescription", "Manufacturer")
_BY_STUDY = ("StudyDescription", "StudyDate")


@dataclass(frozen=True)
class TagValues:
    """The values of one tag.

    Attributes
    ----------
    tag : str
        Its keyword.
    values : tuple of (str, int or None)
        The most frequent values with how often they occur; or one range, without a number.
    others : int
        How many other values there are.
    missing : int
        How many objects have none.
    """

    tag: str
    values: tuple[tuple[str, int | None], ...]
    others: int = 0
    missing: int = 0

    @property
    def remarks(self) -> list[str]:
        """What is said after the values."""
        others = f"{self.others:,} other value{'s' if self.others > 1 else ''}" if self.others else ""
        return [text for text in (others, f"missing in {self.missing:,}" if self.missing else "") if text]


@dataclass(frozen=True)
class Overview:
    """What is shown of a session.

    Attributes
    ----------
    kind, where : str
        The name of its class, and where its images are.
    counts : mapping
        Level to number, as far as that is known.
    criteria : sequence of str
        What was selected by.
    values : sequence of TagValues
        What can be filtered next.
    branches : sequence of Branch
        The first patients, with their studies and series.
    more : str
        What is not among them.
    notes : sequence of str
        What is not known, and how to find it out.
    """

    kind: str
    where: str
    counts: Mapping[Level, int]
    criteria: Sequence[str]
    values: Sequence[TagValues] = ()
    branches: Sequence[Branch] = ()
    more: str = ""
    notes: Sequence[str] = ()


def overview(
    kind: str,
    where: str,
    index: Index,
    selection: Selection,
    keys: Mapping[Level, list[str]],
    counts: Mapping[Level, int],
) -> Overview:
    """Return what is shown of a session, without a request.

    Parameters
    ----------
    kind, where : str
        The name of its class, and where its images are.
    index : Index
        What has been read of the archive.
    selection : Selection
        What is selected.
    keys, counts : mapping
        Level to the selected keys, and to their number, as far as that is known.

    Returns
    -------
    Overview
    """
    empty = Overview(kind, where, counts, [str(criterion.condition) for criterion in selection.criteria])
    if selection.is_empty:
        hints = [step.hint for step in selection.steps if step.emptied and step.hint]
        return replace(empty, notes=[*hints, _NOTHING_SELECTED])
    try:
        with index.offline(wait=False):
            return _filled(empty, index, selection, keys)
    except NotKnownError:
        return replace(empty, notes=[_BEING_READ])


def _filled(empty: Overview, index: Index, selection: Selection, keys: Mapping[Level, list[str]]) -> Overview:
    """Return an overview with the values and objects that are known."""
    series, studies = keys.get("series"), keys.get("study")
    # Studies may list their series before these are read.
    if series is not None and known_owners(index, "series", series[:_MOST_COUNTED], "study") is None:
        series = None
    if series is None and studies is None:
        return replace(empty, notes=[_ONLY_COUNTED if empty.counts else _NOTHING_LISTED])
    values, unknown = _values(index, series, studies)
    branches, more = tree(index, selection, series, studies, empty.counts)
    return replace(empty, values=values, branches=branches, more=more, notes=_notes(series, unknown))


def _values(
    index: Index, series: Sequence[str] | None, studies: Sequence[str] | None
) -> tuple[list[TagValues], list[str]]:
    """Return the values of tags, and the tags whose values are not known."""
    levels: list[tuple[Level, Sequence[str] | None, Sequence[str]]] = [
        ("series", series, _BY_SERIES),
        ("study", studies, _BY_STUDY),
    ]
    found, unknown = [], []
    for level, keys, keywords in levels:
        for keyword in keywords if keys is not None else ():
            numbers = known_numbers(index, keyword, level, (keys or ())[:_MOST_COUNTED])
            missing = 0 if numbers is None else numbers.pop(None, 0)
            if numbers is None:
                unknown.append(keyword)
            elif numbers:
                found.append((_range if keyword == "StudyDate" else _counted)(keyword, numbers, missing))
    return found, unknown


def _counted(keyword: str, numbers: Counter[Any], missing: int) -> TagValues:
    most = numbers.most_common(_MOST_VALUES)
    return TagValues(keyword, tuple((str(value), number) for value, number in most), len(numbers) - len(most), missing)


def _range(keyword: str, numbers: Counter[Any], missing: int) -> TagValues:
    days = [day for value in numbers if isinstance(day := comparable(value, "DA"), date)]
    # What is no date is in no range.
    others = len(numbers) - len(days)
    if not days:
        return TagValues(keyword, (), others, missing)
    first, last = min(days), max(days)
    return TagValues(keyword, ((str(first) if first == last else f"{first} to {last}", None),), others, missing)


def _notes(series: Sequence[str] | None, unknown: Sequence[str]) -> list[str]:
    notes = []
    if series is None:
        notes.append("The series are not listed yet: table() lists them.")
    elif len(series) > _MOST_COUNTED:
        notes.append(f"Values are those of the first {_MOST_COUNTED:,} of {len(series):,} series.")
    if unknown:
        named = ", ".join(f'"{keyword}"' for keyword in unknown)
        notes.append(f"Not known yet: {', '.join(unknown)}. describe({named}) reads the values.")
    return notes
