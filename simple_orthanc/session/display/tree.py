"""The first patients of a selection with their studies and series, as plain data, from what is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from simple_orthanc.dicom.levels import Level
from simple_orthanc.selection.index import Index
from simple_orthanc.selection.selection import Selection
from simple_orthanc.session.display.known import (
    known_children,
    known_order,
    known_owners,
    known_values,
    written,
)
from simple_orthanc.session.display.words import counted
from simple_orthanc.showing.text import brief, safe

# Studies that are put in order, of all patients or of those that are shown.
_MOST_ORDERED = 500
# Selected instances that are counted by series.
_MOST_INSTANCES = 20_000
_MOST: dict[Level, int] = {"patient": 20, "study": 6, "series": 12}
# About what a screen shows; of more, patients of the same shape share a line.
_MOST_LINES = 30
# Studies whose series are looked at.
_MOST_COMPARED = 120
_FEWEST_ALIKE = 3
# Columns of a title.
_ROOM = 72


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
    groups = _studies_by_patient(index, studies or ())
    candidates = _candidates(groups)
    inside = _series_by_study(index, selection, series, [study for owned in candidates.values() for study in owned])
    names = _Names(index, selection, inside, [study for owned in candidates.values() for study in owned])
    branches, shown = _branches(names, candidates, inside, is_ordered=len(studies or ()) <= _MOST_ORDERED)
    return branches, _more("patient", counts.get("patient", len(groups)) - shown)


def _candidates(groups: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the first patients with their studies, as many as are looked at."""
    chosen: dict[str, Sequence[str]] = {}
    number = 0
    for patient, studies in groups.items():
        number += len(studies)
        if chosen and number > _MOST_COMPARED:
            break
        chosen[patient] = studies
    return chosen


def _more(level: Level, number: int) -> str:
    return f"and {number:,} more {counted({level: number}).partition(' ')[2]}" if number > 0 else ""


def _studies_by_patient(index: Index, studies: Sequence[str]) -> dict[str, list[str]]:
    """Return the selected studies of each patient, in the usual order, or as they are where there are many."""
    keys = known_order(index, "study", studies) if len(studies) <= _MOST_ORDERED else studies
    groups: dict[str, list[str]] = {}
    for study, patient in zip(keys, known_owners(index, "study", keys, "patient") or (), strict=False):
        groups.setdefault(patient, []).append(study)
    if len(studies) <= _MOST_ORDERED:
        return groups
    for patient in _candidates(groups):
        first, others = groups[patient][:_MOST_ORDERED], groups[patient][_MOST_ORDERED:]
        groups[patient] = [*known_order(index, "study", first), *others]
    return groups


def _series_by_study(
    index: Index, selection: Selection, series: Sequence[str] | None, studies: Sequence[str]
) -> dict[str, list[str]]:
    """Return the selected series of some studies, in the usual order; a study whose series are not known has none."""
    if series is None:
        return {}
    listed = {study: known_children(index, "study", study) for study in studies[:_MOST_COMPARED]}
    inside: dict[str, list[str]] = {study: children or [] for study, children in listed.items()}
    if selection.level not in (None, "study"):
        if None in listed.values():
            for key, study in zip(series, known_owners(index, "series", series, "study") or (), strict=False):
                if listed.get(study, ()) is None:
                    inside[study].append(key)
        selected = set(series)
        inside = {study: [key for key in keys if key in selected] for study, keys in inside.items()}
    return {study: list(known_order(index, "series", keys)) for study, keys in inside.items()}


def _branches(
    names: _Names,
    patients: Mapping[str, Sequence[str]],
    inside: Mapping[str, Sequence[str]],
    *,
    is_ordered: bool,
) -> tuple[list[Branch], int]:
    """Return the branches of the first patients, and how many patients they stand for."""
    size = sum(1 + len(inside.get(study, ())) for studies in patients.values() for study in studies)
    if len(patients) + size > _MOST_LINES:
        runs = [list(run) for _, run in groupby(patients, lambda patient: names.shape(patients[patient], inside))]
    else:
        runs = [[patient] for patient in patients]
    branches: list[Branch] = []
    number = lines = 0
    for run in runs:
        is_folded = len(run) >= _FEWEST_ALIKE and all(inside.get(study) for study in patients[run[0]])
        for patient in run[:1] if is_folded else run:
            if lines >= _MOST_LINES or len(branches) >= _MOST["patient"]:
                return branches, number
            if is_folded:
                branch = _alike(names, [patients[each] for each in run], inside, is_ordered=is_ordered)
            else:
                branch = _patient(names, patients[patient], inside, _MOST_LINES - lines - 1)
            branches.append(branch)
            lines += 1 + sum(1 + len(study.children) for study in branch.children)
            number += len(run) if is_folded else 1
    return branches, number


class _Names:
    """What the objects that are shown are called."""

    def __init__(
        self, index: Index, selection: Selection, inside: Mapping[str, Sequence[str]], studies: Sequence[str]
    ) -> None:
        self._index = index
        series = [key for keys in inside.values() for key in keys]
        self._of_studies = self._read("study", studies, ("PatientID", "PatientName", "StudyDate", "StudyDescription"))
        self._of_series = self._read("series", series, ("Modality", "SeriesNumber", "SeriesDescription"))
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
        owners = known_owners(self._index, "instance", selection.keys, "series")
        return None if owners is None else Counter(owners)

    def shape(self, studies: Sequence[str], inside: Mapping[str, Sequence[str]]) -> list[tuple[str, list[list[str]]]]:
        """Return what patients have in common who are alike: what their studies and series are called."""
        return [
            (self._of_studies[study][3], [self._of_series[key][::2] for key in inside.get(study, ())])
            for study in studies
        ]

    def contents(self, series: Iterable[str]) -> str:
        """Return the names of series, each once, behind their modalities."""
        named: dict[str, dict[str, None]] = {}
        for key in series:
            modality, _, description = self._of_series[key]
            named.setdefault(modality, {})[description] = None
        return "; ".join(
            " ".join(part for part in (modality, ", ".join(filter(None, titles))) if part)
            for modality, titles in named.items()
        )

    def patient_id(self, study: str) -> str:
        return self._of_studies[study][0] or self.patient(study)

    def patient(self, study: str) -> str:
        return " ".join(part for part in self._of_studies[study][:2] if part) or "patient"

    def study(self, study: str) -> str:
        return " ".join(part for part in self._of_studies[study][2:] if part) or "study"

    def one_series(self, series: str) -> str:
        return " ".join(part for part in self._of_series[series] if part) or "series"

    def size(self, series: str) -> str:
        if self._instances is not None:
            return counted({"instance": self._instances[series]})
        return self._below("series", series, "instance")

    def study_size(self, study: str) -> str:
        return self._below("study", study, "series")

    def _below(self, level: Level, key: str, below: Level) -> str:
        children = known_children(self._index, level, key)
        return "" if children is None else counted({below: len(children)})


def _patient(names: _Names, studies: Sequence[str], inside: Mapping[str, Sequence[str]], room: int) -> Branch:
    """Return the branch of a patient, with as many lines below it as there is room for."""
    branches: list[Branch] = []
    for study in studies[: _MOST["study"]]:
        if room <= 0:
            break
        series = inside.get(study, ())
        branches.append(_study(names, study, series, series[: min(_MOST["series"], max(1, room - 1))]))
        room -= 1 + len(branches[-1].children)
    more = _more("study", len(studies) - len(branches))
    return Branch(names.patient(studies[0]), counted({"study": len(studies)}), tuple(branches), more)


def _alike(
    names: _Names, patients: Sequence[Sequence[str]], inside: Mapping[str, Sequence[str]], *, is_ordered: bool
) -> Branch:
    """Return one branch for patients whose studies and series are called the same."""
    first = patients[0]
    ids = [names.patient_id(studies[0]) for studies in patients]
    title = f"{ids[0]} … {ids[-1]}" if is_ordered else f"{ids[0]}, {ids[1]}, …"
    contents = brief(names.contents(key for study in first for key in inside[study]), _ROOM)
    detail = f"{counted({'patient': len(patients)})}, {counted({'study': len(first)})} each"
    return Branch(title, f"{detail}: {contents}" if contents else detail)


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
