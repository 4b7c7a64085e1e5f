"""A frozen cohort, as users see it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from simple_orthanc.errors import CohortError, SelectionError
from simple_orthanc.selection.cohort import Chain, FrozenInstance, FrozenSeries, Patient, chains, grouped
from simple_orthanc.session.cohorts import cohort_file
from simple_orthanc.session.cohorts.contents import CohortContents
from simple_orthanc.showing.text import agreeing, counted, safe

if TYPE_CHECKING:
    from pathlib import Path

    from simple_orthanc.session.cohorts.difference import CohortDifference
    from simple_orthanc.session.cohorts.opening import AnySession
    from simple_orthanc.session.options import OnMissing
    from simple_orthanc.session.state import SessionState

_COUNTS = {"patient": "patient_count", "study": "study_count", "series": "series_count"}
_MOST_NAMED = 3


class Cohort(CohortContents):
    """A selection at one time, to be opened again: identifiers and checksums of all instances, and the query.

    `Session.freeze` makes it. It holds no images.

    Two cohorts are equal if they name the same instances with the same checksums, whenever and wherever they were
    frozen. ``a | b``, ``a & b`` and ``a - b`` are the instances of either, of both, and of the first alone. Where
    PatientIDs were left out, ``a | b`` treats two patients as one only if they have a study in common, or are connected
    by patients that do.

    Attributes
    ----------
    frozen : datetime.datetime
        When it was frozen, in UTC.
    source : str
        The archive, without a password; "" if it was left out.
    versions : dict
        Versions of simple_orthanc, pydicom and, if known, the server.
    checksums : {"files", "datasets"} or None
        Which checksums it has: see `Session.freeze`.

    Examples
    --------
    >>> cohort = archive.select(Modality="CT").freeze("ct.cohort")
    >>> cohort.criteria
    ["Modality == 'CT'"]
    >>> from simple_orthanc import Cohort
    >>> Cohort.load("ct.cohort") == cohort
    True
    """

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Cohort:
        """Read a cohort from its file.

        Parameters
        ----------
        path : str or Path
            A file that `save` or `Session.freeze` has written.

        Returns
        -------
        Cohort

        Raises
        ------
        CohortError
            There is no such file, it is not the file of a cohort, it was cut off or changed, or a newer version of this
            library wrote it.

        Examples
        --------
        >>> cohort = archive.select(Modality="PT").freeze("pet.cohort")
        >>> Cohort.load("pet.cohort").instance_count
        40
        """
        return cls(cohort_file.read(path))

    def save(self, path: str | os.PathLike[str], *, identifiers: bool = True, overwrite: bool = False) -> Path:
        """Write the cohort to a file: JSON lines, one for each instance.

        Parameters
        ----------
        path : str or Path
            The file; it is compressed if its name ends in ``.gz``. It appears under its name when it is complete.
        identifiers : bool
            Whether to keep PatientIDs, criteria that may identify a patient, and the address of the archive, as for
            `Session.freeze`. This cohort is not changed.
        overwrite : bool
            Whether to replace an existing file.

        Returns
        -------
        Path
            The path of the file.

        Raises
        ------
        SelectionError
            The file exists; it is left as it is.
        CohortError
            The file cannot be written.

        Notes
        -----
        Two freezes of the same selection give the same bytes, apart from the line with the date. The file holds
        PatientIDs and the values of the query, unless the cohort was frozen, or is saved, with ``identifiers=False``;
        it never holds a password.

        Examples
        --------
        >>> cohort = archive.select(Modality="PT").freeze()
        >>> cohort.save("pet.cohort.gz").name
        'pet.cohort.gz'
        >>> _ = cohort.save("public.cohort", identifiers=False)
        >>> Cohort.load("public.cohort").table("patient").PatientID.tolist()
        [1]
        """
        from simple_orthanc.session.cohorts.freezing import with_or_without_identifiers

        return cohort_file.write(with_or_without_identifiers(self._data, identifiers), path, overwrite=overwrite)

    def open(self, session: AnySession, *, missing: OnMissing = "raise") -> AnySession:
        """Open the cohort on an archive: the one where it was frozen, or another that holds the same objects.

        Parameters
        ----------
        session : Session
            A session on the archive: an `Orthanc`, `DicomWeb`, `Folder` or any other. Its own selection is ignored, and
            it is not changed.
        missing : {"raise", "warn"}
            Whether instances that the archive does not hold are an error, or are left out with a warning.

        Returns
        -------
        Session
            A session of the same class, with everything that was frozen and nothing else: `select` narrows within the
            cohort, and `reset` returns to it. It is sorted as the frozen session was by `sort_by`.

        Raises
        ------
        CohortError
            Instances are not in the archive; the message counts them. The session raises it later, if an instance that
            is read or acted on has changed since.

        Warns
        -----
        UserWarning
            Instances have changed, as far as the archive lists lengths or checksums; reading them raises.

        Notes
        -----
        Reading a file or a header raises if the bytes of the file differ from what was frozen. A cohort that was frozen
        with ``checksums="datasets"`` accepts a file that differs in its File Meta Information alone. With
        ``errors="report"`` the other instances are read. Tags that the index holds are shown as the archive has them
        now.

        Verbs such as `delete` or `send` touch nothing that was not frozen, even if the series or study holds more by
        now, and nothing that has changed.

        The objects are found by their UIDs, a few requests for every 200 series, whatever else the archive holds.

        Examples
        --------
        >>> cohort = archive.select(PatientID=["EX-002", "EX-003"], Modality="CT").freeze()
        >>> on_server = cohort.open(orthanc)
        >>> on_server.series_count, orthanc.series_count
        (2, 8)
        >>> on_server.select(PatientID="EX-003").get_volume().units
        'HU'
        >>> on_server.reset().PatientIDs
        ['EX-002', 'EX-003']
        """
        from simple_orthanc.session.cohorts.opening import open_cohort

        return open_cohort(self._data, session, missing)

    def difference(self, session: SessionState, *, checksums: bool = True) -> CohortDifference:
        """Compare the cohort with an archive as it is now: what is new, what is gone, what has changed.

        Parameters
        ----------
        session : Session
            A session on the archive; its own selection is ignored, and it is not changed.
        checksums : bool
            Whether to compare checksums also where the archive does not list them with the instances. This takes one
            small request for each file on Orthanc before 1.12.5, and reads each file in folders and on DICOMweb
            servers. False compares what is listed: MD5s on Orthanc 1.12.5 and newer, lengths on an older one and in
            folders. DICOMweb servers list neither, so that what has changed is not known.

        Returns
        -------
        CohortDifference
            The tables ``new``, ``gone`` and ``changed``, with one row per instance.

        Notes
        -----
        New instances are found by applying the criteria again, with the meaning that their strings had when they were
        frozen. Criteria with a function cannot be applied again. What is new is then not known, and asking for it
        raises.

        Examples
        --------
        >>> cohort = orthanc.select(Modality="CT").freeze()
        >>> _ = orthanc.select(PatientID="EX-006", SeriesNumber=3).delete()
        >>> difference = cohort.difference(orthanc)
        >>> len(difference.new), len(difference.gone), len(difference.changed)
        (0, 19, 0)
        """
        from simple_orthanc.session.cohorts.difference import CohortDifference, difference

        return CohortDifference(difference(self._data, session, checksums))

    # Sets of instances

    def __or__(self, other: Cohort) -> Cohort:
        """Return the instances of either cohort."""
        mine, theirs = self._both(other)
        return self._of(_united(mine, theirs), other)

    def __and__(self, other: Cohort) -> Cohort:
        """Return the instances of both cohorts."""
        mine, theirs = self._both(other)
        return self._of({key: mine[key] for key in mine if key in theirs}, other)

    def __sub__(self, other: Cohort) -> Cohort:
        """Return the instances of this cohort that the other one does not have."""
        mine, theirs = self._both(other)
        return self._of({key: mine[key] for key in mine if key not in theirs}, other)

    def _both(self, other: object) -> tuple[_Records, _Records]:
        """Return the instances of both cohorts by what identifies them."""
        if not isinstance(other, Cohort):
            raise SelectionError(f"{other!r} is not a cohort; Session.freeze makes one.")
        if self.checksums != other.checksums:
            raise SelectionError(
                f"One cohort has checksums={self.checksums!r}, and the other has checksums={other.checksums!r}. Freeze "
                "both with the same checksums."
            )
        mine, theirs = _records(self._data.series, other), _records(other._data.series, self)
        different = [chain for chain in mine.keys() & theirs.keys() if mine[chain][1] != theirs[chain][1]]
        if different:
            named = ", ".join(safe(uid) for uid in sorted(chain[-1] for chain in different)[:_MOST_NAMED])
            raise CohortError(
                f"{counted(len(different), 'instance')} {agreeing(len(different), 'have')} different checksums in the "
                f"two cohorts ({named}). Freeze both on one archive."
            )
        return mine, theirs

    def _of(self, records: _Records, other: Cohort) -> Cohort:
        series = grouped(records.values())
        source = self.source if self.source == other.source else ""
        data = replace(self._data, query=None, series=series, source=source, frozen=max(self.frozen, other.frozen))
        return Cohort(data)

    def __eq__(self, other: object) -> bool:
        """Check whether another cohort names the same instances with the same checksums."""
        if not isinstance(other, Cohort):
            return NotImplemented
        return dict(chains(self._data.series)) == dict(chains(other._data.series))

    def __hash__(self) -> int:
        """Return a number that equal cohorts share."""
        return hash(frozenset(chain for chain, _ in chains(self._data.series)))


_Records = dict[tuple[Any, ...], tuple[Chain, FrozenInstance]]


def _records(series: tuple[FrozenSeries, ...], other: Cohort) -> _Records:
    """Return instances by what identifies them in both cohorts: without the PatientID, if one of them has none."""
    is_anonymous = any(each.is_anonymous for each in (*series, *other._data.series))
    records: _Records = {}
    for chain, instance in chains(series):
        key = tuple(chain[1:]) if is_anonymous else tuple(chain)
        if key in records:
            raise CohortError(
                f"SOPInstanceUID {safe(chain.instance)} occurs under two patients in one cohort, and one of the two "
                "cohorts was frozen without PatientIDs, so that the patient is ambiguous. Freeze both with PatientIDs."
            )
        records[key] = chain, instance
    return records


def _united(mine: _Records, theirs: _Records) -> _Records:
    """Return the instances of both cohorts, each with its patient.

    A number in place of a PatientID means a different patient in each cohort, unless a study is in both: then its
    patients are one, and so are all patients connected by such studies. Two PatientIDs are never one patient.
    """
    if not any(isinstance(chain.patient, int) for chain, _ in (*mine.values(), *theirs.values())):
        return {**mine, **theirs}
    patients = _Patients([chain for chain, _ in mine.values()], [chain for chain, _ in theirs.values()])
    united = {key: (patients.named(0, chain), instance) for key, (chain, instance) in mine.items()}
    for key, (chain, instance) in theirs.items():
        if key not in united:
            united[key] = patients.named(1, chain), instance
    return united


_Owner: TypeAlias = "str | tuple[int, int]"


class _Patients:
    """The patients of two cohorts: those that share a study are the same."""

    def __init__(self, *sides: Sequence[Chain]) -> None:
        self._owners: list[dict[str, set[_Owner]]] = [{}, {}]
        self._same: dict[_Owner, list[_Owner]] = {}
        for side, found in enumerate(sides):
            for chain in found:
                owner = self._owner(side, chain)
                self._owners[side].setdefault(chain.study, set()).add(owner)
                self._same.setdefault(owner, [owner])
        for study, owners in self._owners[0].items():
            others = self._owners[1].get(study, ())
            # A UID that two patients of one cohort share identifies neither of them.
            if len(owners) == len(others) == 1:
                self._join(*owners, *others)
        first = {owner for owners in self._owners[0].values() for owner in owners}
        self._last = max((owner[1] for owner in first if isinstance(owner, tuple)), default=0)
        self._names: dict[_Owner, Patient] = {}
        for owner, same in self._same.items():
            if owner not in self._names:
                self._names.update(dict.fromkeys(same, self._name([each for each in same if each in first] or same)))

    @staticmethod
    def _owner(side: int, chain: Chain) -> _Owner:
        return chain.patient if isinstance(chain.patient, str) else (side, chain.patient)

    def _join(self, one: _Owner, other: _Owner) -> None:
        if self._same[one] is not self._same[other]:
            joined = self._same[one] + self._same[other]
            self._same.update(dict.fromkeys(joined, joined))

    def _name(self, same: Sequence[_Owner]) -> Patient:
        """Return the PatientID of a patient, or else its number in the first cohort, or else a new number."""
        names = [owner for owner in same if isinstance(owner, str)]
        numbers = [owner[1] for owner in same if isinstance(owner, tuple) and owner[0] == 0]
        if names or numbers:
            return min(names) if names else min(numbers)
        self._last += 1
        return self._last

    def named(self, side: int, chain: Chain) -> Chain:
        """Return the identifiers of an instance, with the name of its patient in the united cohort."""
        owner = self._owner(side, chain)
        if sum(isinstance(each, str) for each in self._same[owner]) < 2:
            return chain._replace(patient=self._names[owner])
        if isinstance(owner, str):
            return chain
        # One patient without PatientIDs is several with them: the study decides which.
        names = [each for each in self._owners[1 - side].get(chain.study, ()) if isinstance(each, str)]
        every = [each for each in self._same[owner] if isinstance(each, str)]
        return chain._replace(patient=min(names or every))
