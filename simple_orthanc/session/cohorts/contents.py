"""Shows what a cohort holds: counts, criteria, identifiers and checksums."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level, depth
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.cohort import Checksums, FrozenInstance, chains, digest_of
from simple_orthanc.selection.tables import check_level
from simple_orthanc.session.cohorts.cohort_file import CohortData, without_functions
from simple_orthanc.session.display import counted
from simple_orthanc.showing.table import MOST_ROWS, Shown, Table
from simple_orthanc.showing.text import safe

if TYPE_CHECKING:
    import pandas as pd


class CohortContents(Shown):
    """What a cohort holds.

    Parameters
    ----------
    data : CohortData
        The content of its file.
    """

    def __init__(self, data: CohortData) -> None:
        if not isinstance(data, CohortData):
            raise SelectionError(
                f"{type(self).__name__}({data!r}): Cohort.load(path) reads a cohort from its file, and "
                "Session.freeze() makes one from what is selected."
            )
        self._data = data

    def __getstate__(self) -> dict[str, CohortData]:
        """Leave out functions in criteria, as the file does."""
        return {"_data": without_functions(self._data)}

    @property
    def frozen(self) -> datetime:
        """When it was frozen, in UTC.

        Examples
        --------
        >>> archive.freeze().frozen.tzname()
        'UTC'
        """
        return self._data.frozen

    @property
    def source(self) -> str:
        """The archive, without a password; "" if it was left out.

        Examples
        --------
        >>> archive.freeze().source
        'example'
        """
        return self._data.source

    @property
    def versions(self) -> dict[str, str]:
        """Versions of simple_orthanc, pydicom and, if known, the server.

        Examples
        --------
        >>> sorted(archive.freeze().versions)
        ['pydicom', 'simple_orthanc']
        """
        return dict(self._data.versions)

    @property
    def checksums(self) -> Checksums | None:
        """Which checksums the instances have: "files", "datasets" or None; see `Session.freeze`.

        Examples
        --------
        >>> archive.select(Modality="PT").freeze().checksums
        'files'
        """
        return self._data.checksums

    @property
    def criteria(self) -> list[str]:
        """The criteria of the selection that was frozen, as `explain` shows them.

        Examples
        --------
        >>> archive.select(Modality="MR", SeriesDescription="T1*").freeze().criteria
        ["Modality == 'MR'", "SeriesDescription == 'T1*'"]
        """
        return [] if self._data.query is None else [criterion.text for criterion in self._data.query.criteria]

    @property
    def digest(self) -> str:
        """SHA-256 of the UIDs and checksums, in hexadecimal, which identifies the cohort in a paper.

        Equal cohorts have the same digest, whenever and wherever they were frozen. PatientIDs are not part of it, so
        that it stays the same in a cohort that is published without them.

        Examples
        --------
        >>> pet = archive.select(Modality="PT")
        >>> pet.freeze().digest == pet.freeze(identifiers=False).digest
        True
        """
        return digest_of(self._data.series)

    @property
    def patient_count(self) -> int:
        """Number of patients.

        Examples
        --------
        >>> archive.select(Modality="CT").freeze().patient_count
        3
        """
        return self._data.counts()["patients"]

    @property
    def study_count(self) -> int:
        """Number of studies.

        Examples
        --------
        >>> archive.select(PatientID="EX-001").freeze().study_count
        2
        """
        return self._data.counts()["studies"]

    @property
    def series_count(self) -> int:
        """Number of series.

        Examples
        --------
        >>> archive.select(Modality="CT").freeze().series_count
        4
        """
        return len(self._data.series)

    @property
    def instance_count(self) -> int:
        """Number of instances.

        Examples
        --------
        >>> archive.select(Modality="PT").freeze().instance_count
        40
        """
        return self._data.counts()["instances"]

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self._data.series)

    def __bool__(self) -> bool:
        """Return True: an empty cohort is a cohort too."""
        return True

    def table(self, level: Level = "series") -> pd.DataFrame:
        """Return a table of the identifiers, with one row per object of a level.

        Parameters
        ----------
        level : {"patient", "study", "series", "instance"}
            The level of the rows.

        Returns
        -------
        pandas.DataFrame
            PatientID, or a number in its place, the UIDs down to the level, and the counts of what is below it;
            for instances size (in bytes), md5 of the file and sha256 of the dataset, NA if they were not frozen.

        Examples
        --------
        >>> archive.select(Modality="CT").freeze().table("patient")
          PatientID  study_count  series_count  instance_count
        0    EX-002            1             1              40
        1    EX-003            1             1              40
        2    EX-006            1             2              40
        """
        import pandas as pd

        wanted = check_level(level)
        below = LEVELS[depth(wanted) + 1 :]
        members: dict[tuple[Any, ...], dict[Level, set[Any]]] = {}
        records: list[FrozenInstance] = []
        for chain, instance in chains(self._data.series):
            held = members.setdefault(chain[: depth(wanted) + 1], {each: set() for each in below})
            for each in below:
                held[each].add(chain[: depth(each) + 1])
            if wanted == "instance":
                records.append(instance)
        names = [IDENTIFIERS[each] for each in LEVELS[: depth(wanted) + 1]]
        frame: pd.DataFrame = pd.DataFrame(list(members), columns=names)
        frame = frame.astype({name: "string" for name in names if frame[name].dtype == object})
        for each in below:
            frame[f"{each}_count"] = pd.Series([len(held[each]) for held in members.values()], dtype="Int64")
        if wanted == "instance":
            frame["size"] = pd.Series([record.size for record in records], dtype="Int64")
            frame["md5"] = pd.Series([record.md5 for record in records], dtype="string")
            frame["sha256"] = pd.Series([record.sha256 for record in records], dtype="string")
        return frame

    def __repr__(self) -> str:
        """Show counts, date and criteria on one line."""
        return safe(f"<Cohort: {self._title()}>")

    def _title(self) -> str:
        counts = dict(zip(LEVELS, self._data.counts().values(), strict=True))
        selected = f", selected by {' & '.join(self.criteria)}" if self.criteria else ""
        return f"{counted(counts)}, frozen {self.frozen:%Y-%m-%d}{selected}"

    def _as_text(self) -> str:
        return self._shown().text()

    def _repr_html_(self) -> str:
        return self._shown().html()

    def _shown(self) -> Table:
        series = self._data.series[:MOST_ROWS]
        rows = [(each.patient, each.study, each.series, len(each.instances)) for each in series]
        header = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "instance_count")
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        note = ", ".join(filter(None, [self.source, versions]))
        return Table(f"Cohort: {self._title()}", header, rows, len(self._data.series) - len(rows), note)
