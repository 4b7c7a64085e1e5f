"""What a frozen cohort holds, as plain immutable data: identifiers, checksums, and the query that found them.

`simple_orthanc.session.cohorts` makes cohorts from sessions, and opens sessions on them.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from simple_orthanc.dicom.tags import Tag
from simple_orthanc.selection.conditions import Condition

Checksums: TypeAlias = Literal["files", "datasets"]

Patient: TypeAlias = "str | int"
"""A PatientID, "" for an empty one; or a number in its place, where PatientIDs were left out."""


class FrozenInstance(NamedTuple):
    """An instance as it was frozen.

    Attributes
    ----------
    uid : str
        SOPInstanceUID.
    size : int or None
        Length of its file in bytes; None: frozen without checksums.
    md5 : str or None
        MD5 of its file in hexadecimal.
    sha256 : str or None
        SHA-256 of its dataset: see `simple_orthanc.files.checksums`. None: frozen without those of datasets.
    """

    uid: str
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None


class Chain(NamedTuple):
    """The identifiers from the patient down to an instance, since one UID may occur under two patients."""

    patient: Patient
    study: str
    series: str
    instance: str


@dataclass(frozen=True)
class FrozenSeries:
    """A series as it was frozen.

    Attributes
    ----------
    patient : str or int
        PatientID, or a number in its place.
    study, series : str
        StudyInstanceUID and SeriesInstanceUID.
    instances : tuple of FrozenInstance
        Those of its instances that were selected, in the usual order.
    """

    patient: Patient
    study: str
    series: str
    instances: tuple[FrozenInstance, ...]

    @property
    def chain(self) -> tuple[Patient, str, str]:
        """The identifiers from the patient down to the series."""
        return self.patient, self.study, self.series

    @property
    def is_anonymous(self) -> bool:
        """Whether the PatientID was left out."""
        return not isinstance(self.patient, str)


@dataclass(frozen=True)
class FrozenCriterion:
    """A criterion of the selection that was frozen.

    Attributes
    ----------
    text : str
        The criterion as `explain` shows it.
    meaning : str
        The same with its strings decided, literal or wildcard.
    condition : Condition or None
        What it means, to be applied again; None if that cannot be written to a file, or was left out.
    """

    text: str
    meaning: str
    condition: Condition | None


@dataclass(frozen=True)
class FrozenQuery:
    """What was asked for.

    Attributes
    ----------
    criteria : tuple of FrozenCriterion
        All of them hold for every instance. None at all: the whole archive.
    order : (Tag, bool), optional
        What instances were sorted by, and whether in descending order.
    """

    criteria: tuple[FrozenCriterion, ...] = ()
    order: tuple[Tag, bool] | None = None

    @property
    def unknown(self) -> tuple[str, ...]:
        """The criteria that cannot be applied again."""
        return tuple(criterion.text for criterion in self.criteria if criterion.condition is None)


def chains(series: Iterable[FrozenSeries]) -> Iterator[tuple[Chain, FrozenInstance]]:
    """Yield every instance with its identifiers.

    Examples
    --------
    >>> frozen = FrozenSeries("P1", "1.2", "1.2.3", (FrozenInstance("1.2.3.4"),))
    >>> [chain for chain, _ in chains([frozen])]
    [Chain(patient='P1', study='1.2', series='1.2.3', instance='1.2.3.4')]
    """
    for each in series:
        for instance in each.instances:
            yield Chain(*each.chain, instance.uid), instance


def grouped(instances: Iterable[tuple[Chain, FrozenInstance]]) -> tuple[FrozenSeries, ...]:
    """Return instances series by series, in the order in which their series first occur.

    Examples
    --------
    >>> instance = FrozenInstance("1.2.3.4")
    >>> len(grouped([(Chain("P1", "1.2", "1.2.3", "1.2.3.4"), instance), (Chain("P2", "1", "1.1", "1.1.1"), instance)]))
    2
    """
    members: dict[tuple[Patient, str, str], list[FrozenInstance]] = {}
    for chain, instance in instances:
        members.setdefault(chain[:3], []).append(instance)
    return tuple(FrozenSeries(*chain, tuple(found)) for chain, found in members.items())


def digest_of(series: Iterable[FrozenSeries]) -> str:
    """Return the SHA-256 of UIDs and checksums, in hexadecimal, whatever their order and the PatientIDs.

    Examples
    --------
    >>> frozen = [FrozenSeries("P1", "1.2", f"1.2.{number}", (FrozenInstance("1.2.3.4"),)) for number in (3, 4)]
    >>> digest_of(frozen) == digest_of(frozen[::-1]), digest_of(frozen) == digest_of(frozen[:1])
    (True, False)
    """
    lines = sorted(json.dumps([chain.study, chain.series, *instance]) for chain, instance in chains(series))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def packed(series: Iterable[FrozenSeries]) -> bytes:
    """Return series as few bytes, for pickles.

    Examples
    --------
    >>> frozen = (FrozenSeries("P1", "1.2", "1.2.3", (FrozenInstance("1.2.3.4", 9, "0f" * 16),)),)
    >>> unpacked(packed(frozen)) == frozen
    True
    """
    values = [[*each.chain, [_written(instance) for instance in each.instances]] for each in series]
    return zlib.compress(json.dumps(values).encode(), 9)


def _written(instance: FrozenInstance) -> list[Any]:
    return [value for value in instance if value is not None]


def unpacked(written: bytes) -> tuple[FrozenSeries, ...]:
    """Return the series that `packed` has packed."""
    values = json.loads(zlib.decompress(written))
    return tuple(
        FrozenSeries(patient, study, series, tuple(FrozenInstance(*instance) for instance in instances))
        for patient, study, series, instances in values
    )


def without_patients(series: Sequence[FrozenSeries]) -> tuple[FrozenSeries, ...]:
    """Replace each PatientID by a running number.

    Examples
    --------
    >>> [each.patient for each in without_patients([FrozenSeries("P7", "1.2", "1.2.3", ())])]
    [1]
    """
    numbers: dict[Patient, int] = {}
    return tuple(
        FrozenSeries(numbers.setdefault(each.patient, len(numbers) + 1), each.study, each.series, each.instances)
        for each in series
    )
