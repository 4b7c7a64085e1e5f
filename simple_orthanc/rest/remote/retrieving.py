"""What is retrieved from another machine, and whether all of it has arrived.

A retrieval that reports success need not have brought anything: some modalities answer so for a UID that they do not
know, and Orthanc for a query without answers. So what the machine lists, instance by instance, is compared with what
this Orthanc holds afterwards.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.errors import (
    EmptySelectionError,
    JobError,
    SelectionError,
    ServerError,
    UnsupportedError,
    stacklevel,
)
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.remote.finding import UNIQUE_KEYS
from simple_orthanc.selection.criteria import exact
from simple_orthanc.selection.parsing import Exact, is_missing, is_table
from simple_orthanc.selection.tables import check_level

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.rest.api import RestApi

Find = Callable[..., "pd.DataFrame"]
"""`Modality.find`, or that of a DICOMweb server."""
Chain = tuple[str, ...]
"""UIDs from the study down to an object."""

_LISTED = 3

FIRST_WITH_GET = (1, 12, 6)
"""The first version of Orthanc that retrieves by C-GET."""


@dataclass(frozen=True)
class Retrieval:
    """Objects of one level, each by its UIDs.

    Attributes
    ----------
    level : {"study", "series", "instance"}
        Their level.
    chains : tuple of tuple of str
        The UIDs of each, from the study down; each object once.
    """

    level: Level
    chains: tuple[Chain, ...]

    @property
    def names(self) -> list[str]:
        """The names of the UIDs, from the study down."""
        return chain_names(self.level)

    def resources(self) -> list[dict[str, str]]:
        """Return the objects as Orthanc takes them, by the names of their UIDs."""
        return [dict(zip(self.names, chain, strict=True)) for chain in self.chains]


def chain_names(level: Level) -> list[str]:
    """Return the names of the UIDs that lead to an object of a level, from the study down.

    Examples
    --------
    >>> chain_names("series")
    ['StudyInstanceUID', 'SeriesInstanceUID']
    """
    return [UNIQUE_KEYS[above] for above in LEVELS[1 : depth(level) + 1]]


def read_retrieval(what: Any, level: str | None, tags: Mapping[str, Any], find: Find, label: str) -> Retrieval:
    """Read what is to be retrieved: rows of a table, or values of tags that are looked for first.

    Parameters
    ----------
    what : DataFrame, mapping, sequence of mappings, or None
        Rows with the UIDs down to their level.
    level : str, optional
        Retrieve whole objects of this level; default: the deepest that is given.
    tags : mapping
        Tag to value, as for `find`.
    find : callable
        Finds objects by tags.
    label : str
        The name of the machine.

    Raises
    ------
    EmptySelectionError
        There is nothing to retrieve.
    SelectionError
        UIDs are missing, or both rows and tags are given, or neither.
    """
    checked = None if level is None else check_level(level)
    if (what is None) == (not tags):
        raise SelectionError(
            "Give either rows, retrieve(find(...)), or what is to be found, retrieve(StudyInstanceUID=...)."
        )
    if what is None:
        given: Level = checked or _deepest(tags) or "study"
        # A patient is retrieved as all its studies.
        checked = given = "study" if given == "patient" else given
        what = find(given, *chain_names(given), **tags)
        if not len(what):
            named = ", ".join(f"{name}={value!r}" for name, value in tags.items())
            raise EmptySelectionError(f"{_capital(label)} holds no {given} with {named}, so nothing was retrieved.")
    rows = _rows(what)
    if not rows:
        raise EmptySelectionError(f"No row was given, so nothing was retrieved from {label}.")
    lowest: Level = checked or _deepest(rows[0]) or "patient"
    if lowest == "patient":
        return read_retrieval(None, "study", {"PatientID": _patients(rows)}, find, label)
    names = chain_names(lowest)
    chains: dict[Chain, None] = {}
    for row in rows:
        missing = [name for name in names if is_missing(row.get(name))]
        if missing:
            raise SelectionError(
                f"A row lacks {' and '.join(missing)}, which identifies what to retrieve at level {lowest!r}: ask for "
                f"it as a column, find({lowest!r}, {', '.join(map(repr, names))}, ...), or retrieve at a higher level."
            )
        chains[tuple(str(row[name]) for name in names)] = None
    return Retrieval(lowest, tuple(chains))


def _deepest(names: Iterable[str]) -> Level | None:
    given = set(names)
    return next((level for level in reversed(LEVELS) if UNIQUE_KEYS[level] in given), None)


def _rows(what: Any) -> list[Mapping[str, Any]]:
    if is_table(what):
        records: list[Mapping[str, Any]] = what.to_dict("records")
        return records
    rows = [what] if isinstance(what, Mapping) else list(what) if isinstance(what, Sequence) else None
    if rows is None or not all(isinstance(row, Mapping) for row in rows):
        raise SelectionError(
            f"{what!r} is not what can be retrieved: give a table of find(), a row of it as a dict, or tags, as in "
            'retrieve(StudyInstanceUID="1.2.840...").'
        )
    return rows


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]


def _patients(rows: Sequence[Mapping[str, Any]]) -> list[Exact]:
    patients = [row.get("PatientID") for row in rows]
    if any(is_missing(patient) for patient in patients):
        raise SelectionError("A row lacks StudyInstanceUID and PatientID, which identify what to retrieve.")
    return [exact(patient) for patient in dict.fromkeys(map(str, patients))]


def check_arrived(rest: RestApi, retrieval: Retrieval, find: Find, job: Job, label: str) -> None:
    """Raise `JobError` unless this Orthanc holds all instances that the machine lists.

    If the machine does not list instances, it is only checked that something of each object is held, with a warning.

    Parameters
    ----------
    rest : Rest
        The REST API of this Orthanc.
    retrieval : Retrieval
        What was retrieved.
    find : callable
        Lists what the machine holds.
    job : Job
        The job that reports success.
    label : str
        The name of the machine.
    """
    held = _held(rest, retrieval)
    try:
        expected = _listed(retrieval, find)
    except (ServerError, UnsupportedError) as error:
        expected = None
        warnings.warn(
            f"{_capital(label)} does not list its instances, so it is not known whether all have arrived: {error}",
            stacklevel=stacklevel(),
        )
    if expected is None:
        missing = [chain[-1] for chain in retrieval.chains if not held[chain]]
        what = f"{len(missing)} of {len(retrieval.chains)} objects of level {retrieval.level!r}"
    else:
        absent = [chain[-1] for chain in retrieval.chains if not expected[chain]]
        lost = [uid for chain in retrieval.chains for uid in sorted(expected[chain] - held[chain])]
        missing = absent + lost
        total = sum(map(len, expected.values()))
        what = f"{len(lost)} of {total} instances"
        if absent:
            what = f"{len(absent)} of {len(retrieval.chains)} objects, which {label} does not list,"
    if missing:
        named = ", ".join(missing[:_LISTED]) + (", ..." if len(missing) > _LISTED else "")
        raise JobError(
            f"The retrieval from {label} ended as Success, and {what} did not arrive: {named}. Retrieve again, and "
            f"check that {label} knows the AE title of this Orthanc and still holds them.",
            method="POST",
            path=job.path,
            details=named,
        )


def _listed(retrieval: Retrieval, find: Find) -> dict[Chain, set[str]]:
    """Return for each object the instances of it that the machine lists."""
    columns = zip(*retrieval.chains, strict=True)
    tags = {name: list(dict.fromkeys(uids)) for name, uids in zip(retrieval.names, columns, strict=True)}
    frame = find("instance", *chain_names("instance"), **tags)
    expected: dict[Chain, set[str]] = {chain: set() for chain in retrieval.chains}
    for row in frame.itertuples(index=False, name=None):
        chain = tuple(map(str, row[: len(retrieval.names)]))
        if chain in expected:
            expected[chain].add(str(row[-1]))
    return expected


def _held(rest: RestApi, retrieval: Retrieval) -> dict[Chain, set[str]]:
    """Return for each object the instances of it that this Orthanc holds."""
    whole: dict[Chain, set[str]] = {}
    above = min(2, depth(retrieval.level))
    for chain in retrieval.chains:
        owner = chain[:above]
        if owner not in whole:
            whole[owner] = _instances_of(rest, owner)
    if retrieval.level != "instance":
        return whole
    return {chain: whole[chain[:above]] & {chain[-1]} for chain in retrieval.chains}


def _instances_of(rest: RestApi, chain: Chain) -> set[str]:
    """Return the SOPInstanceUIDs that this Orthanc holds of a study, or of a series."""
    kind = "Study" if len(chain) == 1 else "Series"
    route = "studies" if kind == "Study" else "series"
    held: set[str] = set()
    for match in rest.post("/tools/lookup", chain[-1], idempotent=True):
        if match.get("Type") == kind:
            # Orthanc's own searches may be cut by LimitFindInstances; the list of what is below an object is not.
            for instance in rest.get(f"/{route}/{match['ID']}/instances"):
                held.add(str(instance["MainDicomTags"].get("SOPInstanceUID")))
    return held
