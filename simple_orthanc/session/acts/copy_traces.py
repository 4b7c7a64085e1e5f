"""Copies that an Orthanc server made, traced to what they were made from.

Orthanc notes with each copy what it was made from, at every level whose identifier changed, in the metadata
AnonymizedFrom and ModifiedFrom. Neither the order of an answer nor its counts tell which copy is whose.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from simple_orthanc.dicom.levels import IDENTIFIERS, Level
from simple_orthanc.errors import NotFoundError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.objects import Instance, Series, Study
from simple_orthanc.session.acts.copy_groups import CopyGroup
from simple_orthanc.session.acts.copy_leftovers import CopiedSeries
from simple_orthanc.session.acts.copy_notes import Note


@dataclass(frozen=True)
class MadeCopy:
    """A new instance.

    Attributes
    ----------
    origin : str
        Orthanc's id of the instance that it was made from.
    keys : mapping
        Level to Orthanc's id of the new instance and of what it is in.
    identifiers : mapping
        Level to DICOM identifier.
    """

    origin: str
    keys: Mapping[Level, str]
    identifiers: Mapping[Level, str]


@dataclass
class Copies:
    """Copies of the instances of a group.

    Attributes
    ----------
    group : CopyGroup
        What was to be copied.
    made : list of MadeCopy
        The copies.
    """

    group: CopyGroup
    made: list[MadeCopy] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """Whether there is one copy of each instance, and of no other."""
        return sorted(copy.origin for copy in self.made) == sorted(self.group.instances)

    @property
    def keys(self) -> list[str]:
        """Orthanc's ids of the new instances."""
        return [copy.keys["instance"] for copy in self.made]

    @property
    def series(self) -> dict[str, str]:
        """Orthanc's id of each new series to that of one instance in it."""
        return {copy.keys["series"]: copy.keys["instance"] for copy in self.made}

    def of(self, instances: Collection[str]) -> list[MadeCopy]:
        """List the copies of some of the instances."""
        wanted = set(instances)
        return [copy for copy in self.made if copy.origin in wanted]


class Tracer:
    """Finds copies on a server.

    Parameters
    ----------
    rest : Rest
        The server.
    trace : str
        "AnonymizedFrom" or "ModifiedFrom".
    """

    def __init__(self, rest: Rest, trace: str) -> None:
        self._rest, self._trace = rest, trace

    def copied_series(self) -> dict[str, str]:
        """Return Orthanc's id of each series that is a copy to that of the series it was made from."""
        return {
            series.id: str(series.description[self._trace])
            for series in self._rest.series
            if series.description.get(self._trace)
        }

    def since(self, note: Note) -> list[CopiedSeries]:
        """Return the series of copies that were not there when a call began."""
        return [
            CopiedSeries(
                series.id,
                str(series.description[self._trace]),
                len(series.description.get("Instances") or ()),
                str(series.description.get("LastUpdate") or ""),
            )
            for series in self._rest.series
            if series.description.get(self._trace) in note.series and series.id not in {*note.before, *note.series}
        ]

    def read(self, group: CopyGroup, series: Sequence[str], *, but: Collection[str] = ()) -> Copies:
        """Read the copies of a group in some series.

        Parameters
        ----------
        group : CopyGroup
            What was to be copied.
        series : sequence of str
            Orthanc's ids of the series that may hold them; those that are not there any more hold none.
        but : collection of str
            Instances that are no copies, whatever the server says: the originals.
        """
        copies = Copies(group)
        for key in series:
            holder = Series(self._rest, key)
            try:
                study, instances = holder.study, holder.instances
                copies.made += [
                    _copy(instance, holder, study, str(instance.description[self._trace]))
                    for instance in instances
                    if instance.description.get(self._trace) and instance.id not in but
                ]
            except NotFoundError:
                continue
        return copies


def _copy(instance: Instance, series: Series, study: Study, origin: str) -> MadeCopy:
    patient_id = study.patient_main_dicom_tags.get(IDENTIFIERS["patient"], "")
    return MadeCopy(
        origin,
        {"patient": study.patient.id, "study": study.id, "series": series.id, "instance": instance.id},
        {
            "patient": patient_id,
            "study": study.dicom_id,
            "series": series.dicom_id,
            "instance": instance.dicom_id,
        },
    )
