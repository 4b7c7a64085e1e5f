"""A BIDS dataset: the names of volumes in it, and the files that it has beside them.

``sub-`` is the PatientID without signs, ``ses-`` the StudyDate, ``acq-`` the description of the series; ``run-`` counts
what would otherwise have one name, in the order of the selection. What `bids_rules` cannot name goes to
``sourcedata``, which BIDS leaves to its user.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.times import parse_age, parse_date
from simple_orthanc.dicom.values import parse_number
from simple_orthanc.errors import SelectionError
from simple_orthanc.files.opening import open_regular
from simple_orthanc.session.exports.bids_rules import Kind, classify, label_of
from simple_orthanc.session.exports.names import digest, file_name, folded, readable_name
from simple_orthanc.session.exports.sidecars import SOFTWARE, read_number, write_json
from simple_orthanc.session.exports.staging import alone_in
from simple_orthanc.session.exports.volume_items import Named, VolumeItem
from simple_orthanc.version import __version__
from simple_orthanc.volume.stacking import Stack

VERSION = "1.10.0"
# In the order of names (BIDS, ``schema/rules/entities.yaml``).
_ENTITIES = ("sub", "ses", "task", "acq", "ce", "trc", "rec", "dir", "run", "echo", "part")
_KEPT = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "PatientSex")
_COLUMNS = ("participant_id", "age", "sex")
_UNKNOWN = "n/a"
# BIDS: ages from 89 years on identify.
_OLDEST = 89


class BidsNamer:
    """Names volumes by the rules of BIDS.

    Parameters
    ----------
    suffix : str
        The format of the images.
    sidecar : bool
        Whether sidecars are written.
    identifiers : bool
        Whether participants.tsv has age and sex.

    Raises
    ------
    SelectionError
        BIDS needs NIfTI and sidecars.
    """

    axes: tuple[str, ...] = ("b", "time")

    def __init__(self, suffix: str, sidecar: bool, identifiers: bool) -> None:
        if suffix != ".nii.gz" or not sidecar:
            raise SelectionError(
                'save_volumes(layout="BIDS") was asked with '
                f"{f'format={suffix!r}' if suffix != '.nii.gz' else 'sidecar=False'}: BIDS has NIfTI images with "
                "sidecars. Leave that argument out, or choose another layout."
            )
        self._identifiers = identifiers

    def facts(self, header: Dataset, stacks: Sequence[Stack]) -> Mapping[str, Any]:
        """Return what the names and the table of participants are made of."""
        day = parse_date(elements.text(header, "StudyDate"))
        return {
            **{keyword: elements.text(header, keyword) for keyword in _KEPT},
            "kind": classify(header, stacks),
            "day": "" if day is None else f"{day.year:04d}{day.month:02d}{day.day:02d}",
            "age": parse_age(elements.text(header, "PatientAge")),
            "EchoTime": read_number(header, "EchoTime"),
        }

    def names(self, items: Sequence[VolumeItem]) -> list[Named]:
        """Name volumes.

        Raises
        ------
        SelectionError
            Two patients would be one subject.
        """
        _check_subjects(items)
        kinds = _with_echo_times(items)
        names = iter(_raw_names([(item, kind) for item, kind in zip(items, kinds, strict=True) if _is_raw(kind)]))
        sources = iter(_source_paths([item for item, kind in zip(items, kinds, strict=True) if not _is_raw(kind)]))
        return [
            Named(next(names), entries=kind.entries)
            if isinstance(kind, Kind)
            else Named(next(sources), f"in sourcedata, since {kind}")
            for kind in kinds
        ]

    def prepare(self, target: Path, staged: Path, items: Sequence[VolumeItem]) -> None:
        """Write dataset_description.json and participants.tsv, or complete the latter.

        Raises
        ------
        SelectionError
            There is a participants.tsv that is none.
        """
        with alone_in(target):
            self._prepare(target, staged, items)

    def _prepare(self, target: Path, staged: Path, items: Sequence[VolumeItem]) -> None:
        table = target / "participants.tsv"
        before = _read(table) if os.path.lexists(table) else ""
        after = add_participants(before, self._participants(items))
        description = target / "dataset_description.json"
        if not description.exists():
            software = {"Name": SOFTWARE, "Version": __version__}
            name = target.resolve().name or "dataset"
            entries = {"Name": name, "BIDSVersion": VERSION, "DatasetType": "raw", "GeneratedBy": [software]}
            _write(description, write_json(entries), staged)
        if after != before:
            _write(table, after, staged)

    def _participants(self, items: Sequence[VolumeItem]) -> dict[str, dict[str, str]]:
        """Return what the table has of each subject: its first study's age and sex."""
        found: dict[str, dict[str, str]] = {}
        for item in items:
            facts = item.facts
            row = {"age": _age_text(facts["age"]), "sex": facts["PatientSex"]} if self._identifiers else {}
            found.setdefault(f"sub-{_subject(facts)}", {name: value for name, value in row.items() if value})
        return found


def _is_raw(kind: Kind | str) -> bool:
    return isinstance(kind, Kind)


def _subject(facts: Mapping[str, Any]) -> str:
    patient: str = facts["PatientID"]
    return label_of(patient, 64) or f"x{digest(patient)}"


def _session(facts: Mapping[str, Any]) -> str:
    return str(facts["day"]) or f"x{digest(facts['StudyInstanceUID'])}"


def _check_subjects(items: Sequence[VolumeItem]) -> None:
    patients: dict[str, str] = {}
    for item in items:
        patient, label = item.facts["PatientID"], _subject(item.facts)
        other = patients.setdefault(label.lower(), patient)
        if other != patient:
            raise SelectionError(
                f'save_volumes(layout="BIDS") would make one subject, sub-{label}, of the PatientIDs {other!r} and '
                f"{patient!r}: labels have letters and digits alone. Nothing was written. Save them to two folders, "
                f"beginning with select(PatientID={patient!r})."
            )


def _with_echo_times(items: Sequence[VolumeItem]) -> list[Kind | str]:
    """Return the kinds of volumes, differences of phases with the echo times of their magnitudes (BIDS, "fmap")."""
    kinds = [item.facts["kind"] for item in items]
    magnitudes: dict[tuple[Any, ...], list[VolumeItem]] = {}
    for item, kind in zip(items, kinds, strict=True):
        if isinstance(kind, Kind) and kind.suffix.startswith("magnitude"):
            magnitudes.setdefault((*_visit(item), kind.suffix), []).append(item)
    for index, item in enumerate(items):
        kind = kinds[index]
        if not isinstance(kind, Kind) or kind.suffix != "phasediff":
            continue
        times = [_nearest_echo_time(item, magnitudes.get((*_visit(item), f"magnitude{echo}"), ())) for echo in (1, 2)]
        if None in times:
            kinds[index] = "it is a field map, and the magnitudes that have its echo times are not selected"
        else:
            entries = {f"EchoTime{echo}": time for echo, time in enumerate(times, 1)}
            kinds[index] = replace(kind, entries={**kind.entries, **entries})
    return kinds


def _visit(item: VolumeItem) -> tuple[str, str]:
    return item.facts["PatientID"], item.facts["StudyInstanceUID"]


def _nearest_echo_time(item: VolumeItem, others: Sequence[VolumeItem]) -> float | None:
    """Return the echo time in seconds of the volume whose series was acquired next to that of an item."""

    def distance(other: VolumeItem) -> int:
        return abs(_series_number(other) - _series_number(item))

    nearest = min(others, key=distance, default=None)
    time = None if nearest is None else nearest.facts["EchoTime"]
    return None if time is None else float(f"{time / 1000:.12g}")


def _series_number(item: VolumeItem) -> int:
    number = parse_number(item.facts["SeriesNumber"], "IS")
    return 0 if number is None else int(number)


def _raw_names(items: Sequence[tuple[VolumeItem, Any]]) -> list[PurePosixPath]:
    """Name what BIDS has a name for; the names that occur again are numbered."""
    entities = [{"sub": _subject(item.facts), "ses": _session(item.facts), **kind.entities} for item, kind in items]
    kinds = [(kind.datatype, kind.suffix) for _, kind in items]
    plain = [_bids_path(found, *kind).as_posix().lower() for found, kind in zip(entities, kinds, strict=True)]
    total, seen = Counter(plain), Counter[str]()
    for name, found in zip(plain, entities, strict=True):
        seen[name] += 1
        if total[name] > 1:
            found["run"] = str(seen[name])
    return [_bids_path(found, *kind) for found, kind in zip(entities, kinds, strict=True)]


def _bids_path(entities: Mapping[str, str], datatype: str, suffix: str) -> PurePosixPath:
    parts = [f"{name}-{entities[name]}" for name in _ENTITIES if entities.get(name)]
    return PurePosixPath(*parts[:2], datatype, "_".join([*parts, suffix]))


def _source_paths(items: Sequence[VolumeItem]) -> list[PurePosixPath]:
    """Name what BIDS has no name for."""
    paths = []
    for item in items:
        description = readable_name(item.facts["SeriesDescription"]) if item.facts["SeriesDescription"] else "missing"
        name = f"{_series_number(item):03d}_{description}_{readable_name(item.label)}"
        folder = PurePosixPath("sourcedata", f"sub-{_subject(item.facts)}", f"ses-{_session(item.facts)}")
        paths.append(folder / file_name(name))
    folds = Counter(folded(str(path)) for path in paths)
    return [
        path.with_name(f"{path.name}-{digest(item.facts['SeriesInstanceUID'] + item.label)}")
        if folds[folded(str(path))] > 1
        else path
        for item, path in zip(items, paths, strict=True)
    ]


def _age_text(days: float | None) -> str:
    if days is None:
        return ""
    years = days / 365.2425
    return f"{_OLDEST}+" if years >= _OLDEST else f"{years:.3g}"


def add_participants(table: str, participants: Mapping[str, Mapping[str, str]]) -> str:
    r"""Add to the text of participants.tsv the participants that it lacks.

    Parameters
    ----------
    table : str
        The text before; "" for a new table.
    participants : mapping
        The id of each to its values by column.

    Raises
    ------
    SelectionError
        The text is no such table.

    Examples
    --------
    >>> add_participants("", {"sub-01": {"age": "34"}}).splitlines()
    ['participant_id\tage\tsex', 'sub-01\t34\tn/a']
    """
    # The lines of others stay as they are: with their ends, and with what else str.splitlines takes for the end of one.
    before = table or "\t".join(_COLUMNS if any(participants.values()) else _COLUMNS[:1])
    lines = [line.removesuffix("\r") for line in before.split("\n")]
    end = "\r\n" if before.partition("\n")[0].endswith("\r") else "\n"
    columns = lines[0].removeprefix("\ufeff").split("\t")
    if columns[0] != _COLUMNS[0]:
        raise SelectionError(
            f"participants.tsv begins with a column {columns[0]!r}, and that of BIDS with participant_id. Nothing was "
            "written. Correct it, move it away, or choose another folder."
        )
    known = {line.partition("\t")[0] for line in lines[1:]}
    added = [
        "\t".join([name, *(values.get(column) or _UNKNOWN for column in columns[1:])])
        for name, values in participants.items()
        if name not in known
    ]
    return before + ("" if before.endswith("\n") else end) + "".join(line + end for line in added)


def _read(path: Path) -> str:
    with open_regular(path) as stream:
        return stream.read().decode("utf-8")


def _write(path: Path, text: str, staged: Path) -> None:
    part = staged / path.name
    part.write_bytes(text.encode("utf-8"))
    os.replace(part, path)
