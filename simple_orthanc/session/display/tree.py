"""The first patients of a selection with their studies and series, as plain data, from what is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from simple_orthanc.dicom.levels import Level
from simple_orthanc.selection.index import Index
from simple_orthanc.selection.selection import Selection
from simple_orthanc.session.display.known import (
    known_child_count,
    known_order,
    known_owners,
    known_values,
    written,
)
from simple_orthanc.session.display.words import counted
from simple_orthanc.showing.text import brief, safe

# Rows that are put in order and grouped; there are more in an archive, and they are not shown anyway.
_MOST_GROUPED = 500
# Selected instances that are counted by series.
_MOST_INSTANCES = 20_000
_MOST: dict[Level, int] = {"patient": 10, "study": 6, "series": 12}
_MOST_LINES = 60
_STUDY_TITLE = ("PatientID", "PatientName", "StudyDate", "StudyDescription")
_SERIES_TITLE = ("Modality", "SeriesNumber", "SeriesDescription")
# Columns of a title.
_ROOM = 72

Groups = dict[str, dict[str, list[str]]]


@dataclass(frozen=True)
class Branch:
    """A patient, study or series.

    Attributes
    ----------
    title : str
        What people call it.
    detail : str
        What is in it.
    children : tuple of Branch
        The first objects in it.
    more : str
        The others, in words; "" for none.
    """

    title: str
    detail: str = ""
    children: tuple[Branch, ...] = ()
    more: str = ""


def tree(
    index: Index,
    selection: Selection,
    series: Sequence[str] | None,
    studies: Sequence[str] | None,
    counts: Mapping[Level, int],
) -> tuple[list[Branch], str]:
    """Return the first patients, and in words what is not among them.

    Parameters
    ----------
    index : Index
        What has been read.
    selection : Selection
        What is selected.
    series, studies : sequence of str or None
        Keys of what is selected; None if they are not known.
    counts : mapping
        Level to the number of what is selected, as far as that is known.
    """
    groups = _groups(index, series, studies)
    if not groups:
        return [], ""
    chosen = _first(groups)
    names = _Names(index, selection, chosen)
    branches = [_patient(names, patient, groups[patient], chosen_studies) for patient, chosen_studies in chosen.items()]
    level: Level = "patient" if "patient" in counts else "study"
    shown = len(chosen) if level == "patient" else sum(map(len, groups.values()))
    return branches, _more(level, counts.get(level, shown) - shown)


def _more(level: Level, number: int) -> str:
    return f"and {number:,} more {counted({level: number}).partition(' ')[2]}" if number > 0 else ""


def _groups(index: Index, series: Sequence[str] | None, studies: Sequence[str] | None) -> Groups:
    """Return patient to study to series, in the usual order, of the first rows that are known."""
    groups: Groups = {}
    if series is not None:
        keys = known_order(index, "series", series[:_MOST_GROUPED])
        owners = known_owners(index, "series", keys, "study")
    else:
        keys = known_order(index, "study", (studies or ())[:_MOST_GROUPED])
        owners = list(keys)
    patients = None if owners is None else known_owners(index, "study", owners, "patient")
    if owners is None or patients is None:
        return {}
    for key, study, patient in zip(keys, owners, patients, strict=True):
        below = groups.setdefault(patient, {}).setdefault(study, [])
        if series is not None:
            below.append(key)
    return groups


def _first(groups: Groups) -> Groups:
    """Return the part of the groups that is shown."""
    chosen: Groups = {}
    lines = 0
    for patient, studies in list(groups.items())[: _MOST["patient"]]:
        if lines >= _MOST_LINES:
            break
        chosen[patient] = {}
        lines += 1
        for study, series in list(studies.items())[: _MOST["study"]]:
            if lines >= _MOST_LINES:
                break
            chosen[patient][study] = series[: min(_MOST["series"], max(1, _MOST_LINES - lines))]
            lines += 1 + len(chosen[patient][study])
    return chosen


class _Names:
    """What the objects that are shown are called."""

    def __init__(self, index: Index, selection: Selection, chosen: Groups) -> None:
        self._index = index
        self.studies = [study for studies in chosen.values() for study in studies]
        self.series = [key for studies in chosen.values() for series in studies.values() for key in series]
        self._of_studies = self._read(
            "study", self.studies, ("PatientID", "PatientName", "StudyDate", "StudyDescription")
        )
        self._of_series = self._read("series", self.series, ("Modality", "SeriesNumber", "SeriesDescription"))
        self._instances = self._count_instances(selection)

    def _read(self, level: Level, keys: Sequence[str], keywords: Sequence[str]) -> dict[str, list[str]]:
        titles: dict[str, list[str]] = {key: [] for key in keys}
        for keyword in keywords:
            values = known_values(self._index, keyword, level, keys) or [None] * len(keys)
            for key, value in zip(keys, values, strict=True):
                titles[key].append(written(value, keyword))
        return titles

    def _count_instances(self, selection: Selection) -> Mapping[str, int] | None:
        """Return how many instances of each series are selected; None: all of them, or they are too many to count."""
        if selection.level != "instance" or len(selection.keys) > _MOST_INSTANCES:
            return None
        return Counter(known_owners(self._index, "instance", selection.keys, "series") or ())

    def patient(self, study: str) -> str:
        return " ".join(part for part in self._of_studies[study][:2] if part) or "patient"

    def study(self, study: str) -> str:
        return " ".join(part for part in self._of_studies[study][2:] if part) or "study"

    def one_series(self, series: str) -> str:
        return " ".join(part for part in self._of_series[series] if part) or "series"

    def size(self, series: str) -> str:
        number = self._instances[series] if self._instances else known_child_count(self._index, "series", series)
        return "" if number is None else counted({"instance": number})

    def study_size(self, study: str) -> str:
        number = known_child_count(self._index, "study", study)
        return "" if number is None else counted({"series": number})


def _patient(
    names: _Names, patient: str, groups: Mapping[str, Sequence[str]], chosen: Mapping[str, Sequence[str]]
) -> Branch:
    branches = tuple(_study(names, study, groups[study], series) for study, series in chosen.items())
    first = next(iter(groups))
    title = names.patient(first) if first in chosen else patient
    return Branch(title, counted({"study": len(groups)}), branches, _more("study", len(groups) - len(chosen)))


def _study(names: _Names, study: str, series: Sequence[str], chosen: Sequence[str]) -> Branch:
    branches = tuple(Branch(names.one_series(key), names.size(key)) for key in chosen)
    detail = counted({"series": len(series)}) if series else names.study_size(study)
    return Branch(names.study(study), detail, branches, _more("series", len(series) - len(chosen)))


def lines(branches: Sequence[Branch], indent: str = "") -> Iterator[str]:
    r"""Write branches as lines, those inside others behind lines that lead to them.

    Examples
    --------
    >>> study = Branch("2026-01-05 head", "2 series", (Branch("CT 1 scout"),), "and 1 more series")
    >>> print(*lines([Branch("P1 Doe^Jane", "1 study", (study,))]), sep="\n")
    P1 Doe^Jane: 1 study
    └─ 2026-01-05 head: 2 series
       ├─ CT 1 scout
       └─ and 1 more series
    """
    for branch in branches:
        title = brief(branch.title, _ROOM)
        yield f"{title}: {safe(branch.detail)}" if branch.detail else title
        blocks = [list(lines([child])) for child in branch.children] + ([[safe(branch.more)]] if branch.more else [])
        for number, block in enumerate(blocks):
            is_last = number == len(blocks) - 1
            yield f"{indent}{'└─' if is_last else '├─'} {block[0]}"
            yield from (f"{indent}{'  ' if is_last else '│ '} {line}" for line in block[1:])
