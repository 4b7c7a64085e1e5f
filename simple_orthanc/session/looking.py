"""The verbs that show what is selected: counts, values, tables, child sessions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from simple_orthanc.dicom.levels import Level, deepest
from simple_orthanc.dicom.tags import Tag, TagLike, parse_tag
from simple_orthanc.dicom.values import shown
from simple_orthanc.errors import stacklevel
from simple_orthanc.selection import tables
from simple_orthanc.selection.tables import Columns, Varying
from simple_orthanc.session.arguments import object_criteria
from simple_orthanc.session.containers import Children
from simple_orthanc.session.reading.kept_plans import KeptPlans
from simple_orthanc.session.state import SessionState

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

    from simple_orthanc.session.reading.headers import ReadingHeaders
    from simple_orthanc.showing.table import Table


class Looking(SessionState):
    """The verbs of a session that show what is selected."""

    @property
    def patient_count(self) -> int:
        """Number of selected patients.

        Examples
        --------
        >>> archive.select(Modality="CT").patient_count
        3
        """
        return self._count("patient")

    @property
    def study_count(self) -> int:
        """Number of selected studies.

        Examples
        --------
        >>> archive.select(PatientID="EX-001").study_count
        2
        """
        return self._count("study")

    @property
    def series_count(self) -> int:
        """Number of selected series: those with a selected instance.

        Examples
        --------
        >>> archive.select(Modality="CT").series_count
        4
        >>> len(archive)
        4
        """
        return self._count("series")

    @property
    def instance_count(self) -> int:
        """Number of selected instances.

        Examples
        --------
        >>> archive.select(SeriesDescription="*portal venous").instance_count
        40
        """
        return self._count("instance")

    def __len__(self) -> int:
        """Return the number of selected series."""
        return self.series_count

    def __bool__(self) -> bool:
        """Return True: an empty selection is a session too."""
        return True

    def get_dicom_tag(self, tag: TagLike, unique: bool = True, level: Level | None = None) -> list[Any]:
        """List the values of a tag in the selection.

        Parameters
        ----------
        tag : str
            Any spelling of a tag.
        unique : bool
            True: each value once, missing ones left out. False: one value per row of the level, None where it is
            missing or differs within the row, so that lists asked at the same level align.
        level : {"patient", "study", "series", "instance"}, optional
            Default: the level where DICOM puts the tag.

        Returns
        -------
        list
            Numbers as numbers, everything else as the string in the file; a tuple for a tag that may have several
            values. In the usual order of rows, or that of `sort_by`; the distinct values of a tag that only the files
            hold are listed series by series, and in each by value.

        Examples
        --------
        >>> archive.get_dicom_tag("Modality")
        ['MR', 'CT', 'SEG', 'RTSTRUCT', 'PT', 'SR']
        >>> pet = archive.select(Modality="PT")
        >>> pet.get_dicom_tag("RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife")
        [6586.2]

        One value per row, so that lists align:

        >>> archive.reset().get_dicom_tag("PatientAge", unique=False, level="patient")
        ['067Y', None, '059Y', '072Y', '045Y', None]
        """
        parsed = tables.parse_tag_column(tag)
        wanted = tables.check_level(level) if level is not None else parsed.level
        if unique and self._index.home(parsed) is None and self._selection.order is None:
            return tables.distinct_in_files(self._index, self._selection, parsed)
        columns = self._columns(wanted)
        columns.read([parsed])
        by_row = columns.values(parsed)
        if unique:
            # A patient's rows may be spelt in several ways; each spelling is a value.
            listed = [shown(value, parsed) for values in by_row for value in values]
            return list(dict.fromkeys(value for value in listed if value is not None))
        differing = sum(len(values) > 1 for values in by_row)
        if differing:
            warnings.warn(
                f"{parsed} differs within {differing} of {len(by_row)} rows of level {wanted!r}, which are None: ask "
                f"at a deeper level.",
                stacklevel=stacklevel(),
            )
        return [shown(values[0], parsed) if len(values) == 1 else None for values in by_row]

    def get_all_dicom_tags(self, include_private: bool = True) -> list[str]:
        """List the tags that can be asked for.

        Of a single series, every tag in the header of its first instance; of several, the tags that the index may hold,
        since finding out more would mean reading every file. `describe` shows the tags with their values, and with
        ``files=True`` those of all series.

        Parameters
        ----------
        include_private : bool
            Whether to list private tags too, written as ``(0009,"CREATOR",0D)``.

        Returns
        -------
        list of str
            Keywords, or numbers of tags without a keyword.

        Examples
        --------
        >>> tags = archive.select(Modality="PT").get_all_dicom_tags()
        >>> [name for name in tags if name.startswith("Radio")]
        ['RadiopharmaceuticalInformationSequence']
        """
        if self.series_count != 1:
            return [name for name in tables.default_columns("instance") if name not in tables.COUNTS]
        return names_in(self._source.header(self._instances()[0]), include_private)

    def table(
        self, *tags: TagLike | Sequence[TagLike], level: Level = "series", varying: Varying = "na"
    ) -> pd.DataFrame:
        """Return a table of tags with one row per selected object of a level.

        Parameters
        ----------
        *tags : str
            Tags, ``study_count``, ``series_count``, ``instance_count``, and ``age``, that of the patient at the study
            in years; one by one or as a list. Default: identifiers, main tags and counts; tags without any value are
            left out, except those that come first.
        level : {"patient", "study", "series", "instance"}
            What a row is.
        varying : {"na", "list"}
            The value where a tag differs below the row's level: NA with one warning, or the sorted distinct values.

        Returns
        -------
        pandas.DataFrame
            Columns exactly as asked, typed: DA datetime64, TM timedelta64, DT datetime64 (in UTC where an offset is
            given), DS/FL/FD Float64, integers Int64, else string; tuples for tags that may have several values; NA
            where missing. Rows in the usual order, those of instances in the order of `sort_by` if there is one; with a
            RangeIndex.

        Examples
        --------
        >>> archive.select(Modality="CT").table("PatientID", "SeriesDescription", "KVP", "instance_count")
          PatientID         SeriesDescription    KVP  instance_count
        0    EX-002  CT abdomen portal venous  120.0              40
        1    EX-003               CT low dose  120.0              40
        2    EX-006       CT chest with scout  120.0              21
        3    EX-006                  CT chest  120.0              19

        A row per study; what differs inside one as a tuple:

        >>> studies = archive.reset().select(PatientID=["EX-002", "EX-003"])
        >>> studies.table("PatientID", "StudyDate", "Modality", level="study", varying="list")
          PatientID  StudyDate             Modality
        0    EX-002 2023-01-16  [CT, RTSTRUCT, SEG]
        1    EX-003 2023-03-09             [CT, PT]
        """
        checked = tables.check_level(level)
        names = tables.unpacked(tags)
        for name in names:
            tables.parse_column(name)
        return tables.table(self._columns(checked), names, varying)

    def value_counts(self, tag: TagLike, level: Level | None = None) -> pd.Series[int]:
        """Count how often each value of a tag occurs, most frequent first, missing ones under NA.

        Parameters
        ----------
        tag : str
            Any spelling of a tag, or ``age`` for the age of the patient at the study in years.
        level : {"patient", "study", "series", "instance"}, optional
            What is counted. Default: the level where DICOM puts the tag, and studies for the age.

        Returns
        -------
        pandas.Series
            Counts by value.

        Examples
        --------
        >>> archive.value_counts("Modality").head(3)
        Modality
        MR     8
        CT     4
        SEG    1
        Name: count, dtype: Int64
        """
        parsed = tables.parse_values(tag)
        name, own = (parsed.name, parsed.level) if isinstance(parsed, Tag) else (parsed, tables.AGE_LEVEL)
        wanted = tables.check_level(level) if level is not None else own
        frame = tables.table(self._columns(wanted), [name], "na")
        # With pyarrow installed, pandas counts strings in a type of its own.
        return frame[name].value_counts(dropna=False).astype("Int64")

    def verify_index(self) -> pd.DataFrame:
        """Read the headers of all selected instances, and list where the archive's index differs from them.

        An index keeps one value of a tag for a whole study or series, that of the first instance stored, so a tag with
        conflicting values within one is selected, and shown in tables, by that value alone. Orthanc's index also leaves
        out values of more than 256 characters.

        Returns
        -------
        pandas.DataFrame
            One row for each wrong tag of a study, series or instance: PatientID, StudyInstanceUID, SeriesInstanceUID,
            SOPInstanceUID as far as they apply; tag; level; problem ("differs inside the study", "differs inside the
            series", "not what the files say"); indexed, the index's value, NA if it has none; found, a tuple of the
            distinct values in the files, None for missing; files, how many were read. An empty table: all is well.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.

        Examples
        --------
        >>> from simple_orthanc.testing import OrthancStandIn, make_series
        >>> slices = make_series((3, 4, 4), SeriesDescription=["neck", "neck", "head"])
        >>> with OrthancStandIn(slices) as server:
        ...     wrong = server.connect().verify_index()
        >>> wrong[["level", "tag", "problem", "found"]]
            level                tag                    problem         found
        0  series  SeriesDescription  differs inside the series  (neck, head)
        """
        from simple_orthanc.selection import verification

        return verification.verify_index(self._source, self._index, self._nonempty())

    @property
    def patients(self) -> Children[Self]:
        """The selected patients, each an independent session.

        Examples
        --------
        >>> for patient in archive.select(Modality="MR").patients:
        ...     print(patient.PatientIDs, patient.series_count)
        ['EX-001'] 4
        ['EX-004'] 2
        ['EX-005'] 2
        """
        return self._children("patient")

    @property
    def studies(self) -> Children[Self]:
        """The selected studies, each an independent session.

        Examples
        --------
        >>> for study in archive.select(PatientID="EX-001").studies:
        ...     print(study.StudyDates, study.SeriesDescriptions)
        ['20220301'] ['T1 MPRAGE', 'T2 TSE']
        ['20220906'] ['T1 MPRAGE', 'T2 TSE']
        """
        return self._children("study")

    @property
    def series(self) -> Children[Self]:
        """The selected series, each an independent session.

        Examples
        --------
        >>> for series in archive.select(PatientID="EX-003").series:
        ...     print(series.Modalities, series.get_volume().units)
        ['CT'] HU
        ['PT'] BQML
        """
        return self._children("series")

    @property
    def instances(self) -> Children[Self]:
        """The selected instances, each an independent session.

        Examples
        --------
        >>> instances = archive.select(SeriesDescription="*portal venous").instances
        >>> len(instances), instances[0].get_header().InstanceNumber
        (40, '1')
        """
        return self._children("instance")

    def _children(self, level: Level) -> Children[Self]:
        index, selection = self._index, self._selection
        keys = self._instances() if level == "instance" else tables.row_keys(index, selection, level)
        deepest_level = deepest(selection.level or "study", level, "study")
        inner = self._selected_keys(deepest_level)
        owned: dict[str, list[str]] = {key: [] for key in keys}
        for key, owner in zip(inner, index.up(deepest_level, inner, level), strict=True):
            owned[owner].append(key)
        # This session may be narrowed, reset or refreshed before the children are asked for.
        parent = self.copy()

        def show(shown: Sequence[str]) -> Table:
            from simple_orthanc.session.display.children import children_table

            return children_table(index, level, deepest_level, owned, shown)

        if level != "series":
            return Children(keys, lambda key: parent._child(level, deepest_level, owned[key]), show)
        from simple_orthanc.session.reading.siblings import Siblings

        siblings = Siblings(cast("ReadingHeaders", parent), keys)
        positions = {key: position for position, key in enumerate(keys)}

        def create(key: str) -> Any:
            siblings.list_instances(positions[key])
            child = parent._child(level, deepest_level, owned[key])
            child._plans = KeptPlans(child._selection, index)
            child._plans.files_ahead = partial(siblings.files, positions[key])
            return child

        return Children(keys, create, show, siblings.leave)

    def _child(self, level: Level, inner_level: Level, inner: Sequence[str]) -> Self:
        from simple_orthanc.selection import resolving
        from simple_orthanc.selection.conditions import is_about
        from simple_orthanc.selection.selection import Step

        child = self.copy()
        chain = object_criteria(self._index, level, inner_level, inner[0])
        narrowed = replace(self._selection, level=inner_level, keys=tuple(inner))
        counts = resolving.known_counts(self._index, narrowed)
        how = "here, with the others that name this object"
        steps = [Step(str(criterion.condition), how, 0, counts) for criterion in chain]
        # What was asked of the identifiers that name the object follows from these, and may be a list of thousands.
        named = {criterion.tag for criterion in chain}
        others = [each for each in narrowed.criteria if not is_about(each.condition, named)]
        child._selection = replace(narrowed, criteria=(*others, *chain), steps=(*narrowed.steps, *steps))
        return child

    def _columns(self, level: Level) -> Columns:
        keys = self._instances() if level == "instance" and self._selection.order else None
        return Columns(self._index, self._selection, level, keys)


def names_in(header: Dataset, include_private: bool = True) -> list[str]:
    """List the tags in a header, private ones by their creators, which are left out themselves.

    Examples
    --------
    >>> header = Dataset()
    >>> header.KVP = 120
    >>> header.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "fast")
    >>> names_in(header)
    ['KVP', '(0009,"ACME",01)']
    """
    names = []
    for number in header.keys():  # noqa: SIM118 - iterating a Dataset would convert every element
        if number.is_private:
            if include_private and not number.is_private_creator:
                names.append(_private_name(header, number))
        else:
            names.append(parse_tag(int(number)).name)
    return names


def _private_name(header: Dataset, number: BaseTag) -> str:
    creator: Any = header.get((number.group, number.element >> 8))
    if creator is None:
        return f"{number.group:04X},{number.element:04X}"
    return f'({number.group:04X},"{str(creator.value).strip()}",{number.element & 0xFF:02X})'
