"""The first patients of a selection with their studies and series, as plain data, from what is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
_MOST: dict[Level, int] = {"patient": 10, "study": 6, "series": 12}
_MOST_LINES = 60
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
    first = {patient: groups[patient] for patient in list(groups)[: _MOST["patient"]]}
    inside = _series_by_study(index, selection, series, [study for owned in first.values() for study in owned])
    chosen = _first(first, inside)
    names = _Names(index, selection, chosen)
    branches = [_patient(names, first[patient], part, inside) for patient, part in chosen.items()]
    return branches, _more("patient", counts.get("patient", len(groups)) - len(chosen))


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
    for patient in list(groups)[: _MOST["patient"]]:
        first, others = groups[patient][:_MOST_ORDERED], groups[patient][_MOST_ORDERED:]
        groups[patient] = [*known_order(index, "study", first), *others]
    return groups


def _series_by_study(
    index: Index, selection: Selection, series: Sequence[str] | None, studies: Sequence[str]
) -> dict[str, list[str]]:
    """Return the selected series of some studies, in the usual order; a study whose series are not known has none."""
    if series is None:
        return {}
    listed = {study: known_children(index, "study", study) for study in studies[:_MOST_LINES]}
    inside: dict[str, list[str]] = {study: children or [] for study, children in listed.items()}
    if selection.level not in (None, "study"):
        if None in listed.values():
            for key, study in zip(series, known_owners(index, "series", series, "study") or (), strict=False):
                if listed.get(study, ()) is None:
                    inside[study].append(key)
        selected = set(series)
        inside = {study: [key for key in keys if key in selected] for study, keys in inside.items()}
    return {study: list(known_order(index, "series", keys)) for study, keys in inside.items()}


def _first(
    groups: Mapping[str, Sequence[str]], inside: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Sequence[str]]]:
    """Return the patients, studies and series that are shown."""
    chosen: dict[str, dict[str, Sequence[str]]] = {}
    lines = 0
    for patient, studies in groups.items():
        if lines >= _MOST_LINES:
            break
        chosen[patient] = {}
        lines += 1
        for study in studies[: _MOST["study"]]:
            if lines >= _MOST_LINES:
                break
            series = inside.get(study, ())[: min(_MOST["series"], max(1, _MOST_LINES - lines))]
            chosen[patient][study] = series
            lines += 1 + len(series)
    return chosen


class _Names:
    """What the objects that are shown are called."""

    def __init__(self, index: Index, selection: Selection, chosen: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self._index = index
        studies = [study for owned in chosen.values() for study in owned]
        series = [key for owned in chosen.values() for keys in owned.values() for key in keys]
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


def _patient(
    names: _Names,
    studies: Sequence[str],
    chosen: Mapping[str, Sequence[str]],
    inside: Mapping[str, Sequence[str]],
) -> Branch:
    branches = tuple(_study(names, study, inside.get(study, ()), series) for study, series in chosen.items())
    title = names.patient(next(iter(chosen))) if chosen else "patient"
    return Branch(title, counted({"study": len(studies)}), branches, _more("study", len(studies) - len(chosen)))


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
