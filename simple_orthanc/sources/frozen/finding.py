"""Finds frozen objects in an archive by their UIDs: a few requests for every 200 series, whatever else it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import CohortError
from simple_orthanc.selection.cohort import Chain, FrozenInstance, FrozenSeries, Patient
from simple_orthanc.selection.predicates import AnyOf, Predicate, StringIs
from simple_orthanc.selection.source import Row, Source, batches
from simple_orthanc.showing.text import safe
from simple_orthanc.sources.identity import is_another_patient

# Series that are searched for at once; for more, a source might list its whole archive.
_AT_ONCE = 200
_SERIES = parse_tag("SeriesInstanceUID")


@dataclass
class Found:
    """The frozen objects that an archive holds.

    Attributes
    ----------
    rows : dict
        The rows of their studies and series as the archive has them, by level and key.
    children : dict
        Key of each of these studies and series to the keys of the frozen objects in it.
    studies : dict
        Key of each patient to the keys of the studies.
    series : dict
        The identifiers of each series, from the patient down, to its key.
    instances : dict
        Key of each instance to its identifiers and its record in the cohort.
    missing : list of Chain
        Frozen instances that the archive does not hold.
    """

    rows: dict[Level, dict[str, Row]] = field(default_factory=lambda: {"study": {}, "series": {}})
    children: dict[str, list[str]] = field(default_factory=dict)
    studies: dict[str, list[str]] = field(default_factory=dict)
    series: dict[tuple[Patient, str, str], str] = field(default_factory=dict)
    instances: dict[str, tuple[Chain, FrozenInstance]] = field(default_factory=dict)
    missing: list[Chain] = field(default_factory=list)

    def patients_of(self, level: Level, keys: Iterable[str]) -> set[str]:
        """Return the keys of the patients of some studies, series or instances, leaving out what was not found."""
        if level == "instance":
            keys = {self.series[self.instances[key][0][:3]] for key in keys if key in self.instances}
            level = "series"
        if level == "series":
            keys = {self.rows["series"][key].parent for key in keys if key in self.rows["series"]}
        return {self.rows["study"][key].parent for key in keys if key in self.rows["study"]}

    def of_patients(self, patients: Iterable[str]) -> Iterator[tuple[Chain, FrozenInstance]]:
        """Yield the instances of some patients."""
        for patient in sorted(patients):
            for study in self.studies[patient]:
                for series in self.children[study]:
                    yield from (self.instances[key] for key in self.children[series])


def find(source: Source, series: Sequence[FrozenSeries]) -> Found:
    """Find frozen objects.

    Raises
    ------
    CohortError
        A series is ambiguous: it was frozen without a PatientID and occurs under several patients, or several patients
        share its PatientID.
    """
    found = Found()
    for batch in batches(series, _AT_ONCE):
        _find_some(source, batch, found)
    return found


def _find_some(source: Source, series: Sequence[FrozenSeries], found: Found) -> None:
    rows = list(_series_rows(source, series))
    parents = list(dict.fromkeys(row.parent for row in rows))
    studies = {row.key: row for row in source.rows("study", parents)} if parents else {}
    held: dict[tuple[str, str], list[tuple[str, Row]]] = {}
    for row in rows:
        study = studies.get(row.parent)
        if study is not None:
            uids = text(study.values.get("StudyInstanceUID")), text(row.values.get("SeriesInstanceUID"))
            held.setdefault(uids, []).append((text(study.values.get("PatientID")), row))
    matched: list[tuple[FrozenSeries, Row]] = []
    for each in series:
        match = _match(each, held.get((each.study, each.series), ()), source.description)
        if match is None:
            found.missing += [Chain(*each.chain, instance.uid) for instance in each.instances]
        else:
            matched.append((each, match))
    if matched:
        members = _instances(source, [row for _, row in matched])
        for each, row in matched:
            if row.key in found.children:
                raise CohortError(
                    f"The series {safe(each.series)} was frozen under two patients, but {source.description} holds it "
                    "under one, so nobody knows which of the two it is. Open the cohort on the archive where it was "
                    "frozen."
                )
            _take(each, row, studies[row.parent], members.get(row.key, {}), found)


def _series_rows(source: Source, series: Sequence[FrozenSeries]) -> Iterator[Row]:
    uids = list(dict.fromkeys(each.series for each in series))
    predicates = tuple(StringIs(uid, "exact", True) for uid in uids)
    predicate: Predicate = predicates[0] if len(predicates) == 1 else AnyOf(predicates)
    wanted = set(uids)
    is_searchable = source.searchable(_SERIES, predicate)
    rows = source.search("series", _SERIES, predicate) if is_searchable else source.listing("series")
    return (row for row in rows if text(row.values.get("SeriesInstanceUID")) in wanted)


def _match(frozen: FrozenSeries, held: Sequence[tuple[str, Row]], where: str) -> Row | None:
    """Return the row of a frozen series among those with its UIDs, which may belong to several patients."""
    if frozen.is_anonymous:
        if len(held) > 1:
            raise CohortError(
                f"The series {safe(frozen.series)} occurs under {len(held)} patients in {where}, and this cohort was "
                "frozen without PatientIDs, so nobody knows which is meant. Open a cohort that was frozen with them."
            )
        return held[0][1] if held else None
    exact = list({row.key: row for patient, row in held if patient == frozen.patient}.values())
    if len(exact) > 1:
        # Such as patients in Orthanc whose PatientIDs differ by a trailing space, which is not part of the value.
        raise CohortError(
            f"The series {safe(frozen.series)} occurs {len(exact)} times in {where}, under equivalent PatientIDs, so "
            "nobody knows which was frozen. Keep one of them there, or leave the series out before freeze()."
        )
    others = [row for patient, row in held if is_same_patient(frozen.patient, patient)]
    return exact[0] if exact else others[0] if len(others) == 1 else None


def is_same_patient(one: Patient, other: str) -> bool:
    """Check whether a frozen PatientID may be that of a patient in an archive; a number stands for any PatientID."""
    return not isinstance(one, str) or not is_another_patient(one, other)


def _instances(source: Source, series: Sequence[Row]) -> dict[str, dict[str, str]]:
    """Return the keys of the instances in some series, by the key of the series and the SOPInstanceUID."""
    members: dict[str, dict[str, str]] = {}
    for row in source.below("instance", series):
        members.setdefault(row.parent, {})[text(row.values.get("SOPInstanceUID"))] = row.key
    return members


def _take(frozen: FrozenSeries, row: Row, study: Row, members: dict[str, str], found: Found) -> None:
    keys: list[str] = []
    for instance in frozen.instances:
        chain, key = Chain(*frozen.chain, instance.uid), members.get(instance.uid)
        if key is None:
            found.missing.append(chain)
        else:
            keys.append(key)
            found.instances[key] = chain, instance
    if not keys:
        return
    found.rows["study"][study.key], found.rows["series"][row.key] = study, row
    found.children[row.key], found.series[frozen.chain] = keys, row.key
    if study.key not in found.children:
        found.studies.setdefault(study.parent, []).append(study.key)
    inside = found.children.setdefault(study.key, [])
    if row.key not in inside:
        inside.append(row.key)


def text(value: Value) -> str:
    """Return an identifier as one string; "" if it is missing."""
    return "" if value is None else "\\".join(map(str, value))
