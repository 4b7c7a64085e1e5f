"""Which objects the server copies with one request: all that is acted on of one patient.

Identifiers are new in each request, so that what refers to each other must be in one, and the studies of one patient
stay with one patient. What goes wrong with one patient leaves the copies of the others as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simple_orthanc.selection.index import Index
from simple_orthanc.session.acts.reports import Target

PATIENT_ID = "0010,0020"


@dataclass(frozen=True)
class CopyOrder:
    """What is asked of the server, whatever objects it is asked for.

    Attributes
    ----------
    done : str
        The past participle for rows and messages: "anonymized" or "modified".
    route : str
        The route that starts the job.
    fields : mapping
        The body, without the objects.
    trace : str
        The metadata in which Orthanc notes what a copy was made from.
    keeps_patient : bool
        Whether the copies keep their PatientID. Orthanc 1.10.1 takes that only as a replacement by what it was.
    """

    done: str
    route: str
    fields: Mapping[str, Any]
    trace: str
    keeps_patient: bool = False

    @property
    def fingerprint(self) -> str:
        """A digest of what is asked for: equal for the same call, made anywhere."""
        return _digest(json.dumps([self.route, self.fields, self.keeps_patient], sort_keys=True))

    def body(self, group: CopyGroup, patient_id: str) -> dict[str, Any]:
        """Return the body of the request for a group, whose PatientID this is."""
        body = {"Resources": group.resources, "KeepSource": True, **self.fields}
        if self.keeps_patient:
            kept = [number for number in self.fields["Keep"] if number != PATIENT_ID]
            body |= {"Keep": kept, "Replace": {**self.fields["Replace"], PATIENT_ID: patient_id}, "Force": True}
        return body


@dataclass(frozen=True)
class CopyGroup:
    """What is copied by one request.

    Attributes
    ----------
    patient : str
        Orthanc's id of the patient.
    targets : tuple of Target
        The rows.
    series : mapping
        Orthanc's id of a series to those of the instances in it that are copied.
    whole : frozenset of str
        The series that are copied as a whole.
    """

    patient: str
    targets: tuple[Target, ...]
    series: Mapping[str, tuple[str, ...]]
    whole: frozenset[str]

    @property
    def instances(self) -> list[str]:
        """The instances that are copied."""
        return [instance for members in self.series.values() for instance in members]

    @property
    def resources(self) -> list[str]:
        """The ids to send: whole series, and single instances of others."""
        sent: list[str] = []
        for series, members in self.series.items():
            sent += [series] if series in self.whole else members
        return sent

    def mark(self, order: CopyOrder) -> str:
        """Return the digest of an order and these instances, with which complete copies are marked."""
        return f"{order.fingerprint}:{_digest(' '.join(sorted(self.instances)))}"

    def without(self, gone: Collection[str]) -> CopyGroup:
        """Return the group without some instances; a target that has no other is left out."""
        targets = [replace(target, instances=_others(target.instances, gone)) for target in self.targets]
        series = {key: _others(members, gone) for key, members in self.series.items()}
        return replace(
            self,
            targets=tuple(target for target in targets if target.instances),
            series={key: members for key, members in series.items() if members},
        )


def group_by_patient(index: Index, targets: Sequence[Target]) -> list[CopyGroup]:
    """Group what is copied by patient, in the order of the targets."""
    instances = [instance for target in targets for instance in target.instances]
    series_of = dict(zip(instances, index.up("instance", instances, "series"), strict=True))
    series = list(dict.fromkeys(series_of.values()))
    patient_of = dict(zip(series, index.up("series", series, "patient"), strict=True))
    by_patient: dict[str, list[Target]] = {}
    for target in targets:
        if target.instances:
            by_patient.setdefault(patient_of[series_of[target.instances[0]]], []).append(target)
    return [_group(index, patient, members, series_of) for patient, members in by_patient.items()]


def _group(index: Index, patient: str, targets: Sequence[Target], series_of: Mapping[str, str]) -> CopyGroup:
    series: dict[str, list[str]] = {}
    for target in targets:
        for instance in target.instances:
            series.setdefault(series_of[instance], []).append(instance)
    whole = {key for key, members in series.items() if set(members) == set(index.down("series", [key], "instance"))}
    return CopyGroup(
        patient, tuple(targets), {key: tuple(members) for key, members in series.items()}, frozenset(whole)
    )


def _others(keys: Sequence[str], gone: Collection[str]) -> tuple[str, ...]:
    return tuple(key for key in keys if key not in gone)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
