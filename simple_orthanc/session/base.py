"""The session: one attribute of state, and the verbs that change it or read what it selects."""

from __future__ import annotations

import io
import numbers
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pydicom.datadict
from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import map_ordered, run_all
from simple_orthanc.dicom.levels import LEVELS, Level, deepest
from simple_orthanc.dicom.tags import NUMBER_VRS, Tag, TagLike, parse_attribute, parse_tag
from simple_orthanc.dicom.values import Value, comparable, shown
from simple_orthanc.errors import (
    AmbiguousSelectionError,
    EmptySelectionError,
    SelectionError,
    UnknownTagError,
    stacklevel,
)
from simple_orthanc.selection import tables, verification
from simple_orthanc.selection.conditions import And, Comparison, Condition, Not, StringIs
from simple_orthanc.selection.criteria import condition_for, literal_where_unreadable
from simple_orthanc.selection.index import Index, NotKnownError
from simple_orthanc.selection.selection import Criterion, Selection, Step
from simple_orthanc.selection.source import IdentifierMatch, Source
from simple_orthanc.selection.tables import Columns, Varying
from simple_orthanc.session import display
from simple_orthanc.session.downloads import file_paths, target_folder
from simple_orthanc.session.selection_view import SelectionView, unshared
from simple_orthanc.session.sequences import Children, LazyVolumes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import SimpleITK

    from simple_orthanc.session.reading import Reader, Units
    from simple_orthanc.volume.volume import Volume

Self = TypeVar("Self", bound="Session")

_FIRST_ROWS = 5
_UID_TAGS: dict[Level, str] = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}


class Session:
    """A view of an archive that is narrowed step by step, looked at as tables, and read as headers and volumes.

    Where the images are is the affair of the source: `Orthanc` is the session on an Orthanc server, `DicomWeb` on any
    server that speaks DICOMweb, `Folder` on files. What is selected, shown and read is the same on all of them.
    """

    def __init__(self, source: Source, *, selection: Mapping[str, Any] | None = None) -> None:
        self._source = source
        self._index = Index(source)
        self._selection = Selection()
        self._history: tuple[Selection, ...] = ()
        if selection:
            self.selection = selection

    # Narrow

    def select(self: Self, *conditions: Condition | str, **tags: Any) -> Self:
        """Narrow the selection: keep what satisfies everything that is given here, and was selected before.

        Parameters
        ----------
        *conditions : Condition or str
            Conditions made with `tag`, `label` and `metadata`; or a text that is a UID, AccessionNumber, PatientID or
            the source's own identifier.
        **tags
            A DICOM keyword and its value: a text with wildcards ``*`` and ``?`` (case does not matter, identifiers
            aside), a list for any of several, a tuple ``(low, high)`` for a range of dates, times or numbers, a date,
            time or number, a compiled regular expression, a function, or None for missing, empty, or a number that is
            none. A value that the session has listed means itself, also a date that is none. Other spellings of a
            tag: ``**{"0018,0050": 3}``.

        Returns
        -------
        Session
            The session itself, so that calls chain. Without arguments nothing changes.

        Warns
        -----
        UserWarning
            Nothing is left; the message names the criterion that left nothing.

        Raises
        ------
        UnknownTagError
            No such tag; close matches are named, and no request was sent.
        SelectionError
            A value that cannot be meant for its tag; no request was sent.
        AmbiguousSelectionError
            A text names two different things.

        Examples
        --------
        >>> orthanc.select(PatientName="JaneDoe", SeriesDescription="ct_scan").series_count   # doctest: +SKIP
        1
        """
        return self._narrow(self._criteria(conditions, tags))

    def exclude(self: Self, *conditions: Condition | str, **tags: Any) -> Self:
        """Narrow the selection to exactly what `select` with the same arguments would leave out.

        What lacks a tag stays in, since `select` would not have kept it.
        """
        criteria = self._criteria(conditions, tags)
        if not criteria:
            return self
        joined = criteria[0].condition
        for criterion in criteria[1:]:
            joined = And(joined, criterion.condition)
        names = {criterion.tag for criterion in criteria}
        name = names.pop() if len(names) == 1 else ""
        return self._narrow([Criterion(Not(joined), name, Not(joined))])

    def reset(self: Self, tag: TagLike | None = None) -> Self:
        """Take back the whole selection, or what was asked of one tag.

        Parameters
        ----------
        tag : str, optional
            ``"PatientName"``; None for everything, the order of `sort_by` included.
        """
        if tag is None:
            self._history = (*self._history, self._selection)
            self._selection = Selection()
            return self
        name = parse_tag(tag).name
        kept = [criterion for criterion in self._selection.criteria if criterion.tag != name]
        if len(kept) == len(self._selection.criteria):
            return self
        return self._assign(self._resolve(Selection(order=self._selection.order), kept))

    def undo(self: Self, steps: int = 1) -> Self:
        """Take back the last `select`, `exclude`, `reset` or assignment, or the last few of them.

        `sort_by` is no such step: its order stays.
        """
        count = _whole_number(steps)
        if count is None:
            raise SelectionError(f"undo({steps!r}): how many steps to take back is a whole number, as in undo(2).")
        if not 0 < count <= len(self._history):
            raise SelectionError(f"undo({steps}): there are {len(self._history)} steps to take back.")
        self._selection = self._history[-count]
        self._history = self._history[:-count]
        return self

    @contextmanager
    def selecting(self: Self, *conditions: Condition | str, **tags: Any) -> Iterator[Self]:
        """Narrow the selection inside a ``with`` block only; arguments as for `select`."""
        before, history, index = self._selection, self._history, self._index
        try:
            yield self.select(*conditions, **tags)
        finally:
            self._selection, self._history = before, history
            if self._index is not index:
                # The archive was read anew inside the block, and what was selected before may have changed with it.
                self._selection = self._resolve(Selection(order=before.order), before.criteria)
                self._history = ()

    def copy(self: Self) -> Self:
        """Give an independent session with the same selection."""
        twin: Self = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _history=())
        return twin

    __copy__ = copy

    def __getstate__(self) -> dict[str, Any]:
        for selection in (self._selection, *self._history):
            for criterion in selection.criteria:
                _check_picklable(criterion)
        return self.__dict__

    @property
    def selection(self) -> dict[str, Any]:
        """What is selected: tag to value as it was given, or to a condition; what spans tags stands under "conditions".

        It can be assigned, also a dictionary taken from here; None resets. The dictionary is a copy that cannot be
        changed in place: ``selection = {**session.selection, "Modality": "CT"}`` replaces one tag's value. A text that
        stood in the selection before, too, keeps the meaning that it was found to have.

        Examples
        --------
        >>> orthanc.select(Modality="CT").selection                       # doctest: +SKIP
        {'Modality': 'CT'}
        """
        result: dict[str, Any] = {}
        spanning: list[Condition] = []
        by_tag: dict[str, list[Criterion]] = {}
        for criterion in self._selection.criteria:
            if criterion.tag:
                by_tag.setdefault(criterion.tag, []).append(criterion)
            else:
                spanning.append(criterion.condition)
        for name, criteria in by_tag.items():
            joined: Condition = criteria[0].condition
            for criterion in criteria[1:]:
                joined = And(joined, criterion.condition)
            result[name] = unshared(criteria[0].given) if len(criteria) == 1 else joined
        if spanning:
            result["conditions"] = spanning
        return SelectionView(result, self._selection, self._source)

    @selection.setter
    def selection(self, wanted: Mapping[str, Any] | None) -> None:
        if wanted is None:
            self.reset()
            return
        if not isinstance(wanted, Mapping):
            raise SelectionError(
                f"selection = {wanted!r}: it is a dictionary of tags and values, as in selection = "
                '{"Modality": "CT"}, or None. To narrow by an identifier or a condition use select(...).'
            )
        known = wanted.selection_on(self._source) if isinstance(wanted, SelectionView) else None
        wanted = dict(wanted)
        conditions = wanted.pop("conditions", [])
        if not isinstance(conditions, (Condition, list, tuple)):
            raise SelectionError(
                f'selection = {{"conditions": {conditions!r}}}: under this name stands a list of conditions, as in '
                '{"conditions": [tag("KVP") > 100]}.'
            )
        conditions = [conditions] if isinstance(conditions, Condition) else list(conditions)
        tags = {}
        for name, value in wanted.items():
            if isinstance(value, Condition):
                conditions.append(value)
            else:
                tags[name] = value
        criteria = (known or self._selection).remembered(self._criteria(conditions, tags))
        self._assign(self._resolve(Selection(order=self._selection.order), criteria))

    def sort_by(self: Self, tag: TagLike, order: str = "ascending") -> Self:
        """Sort the instances by a tag, for headers, instances and values of tags of the instance.

        Parameters
        ----------
        tag : str
            Sorted as numbers, dates or times where the tag holds these, else as text; what lacks it comes last.
        order : {"ascending", "descending"}
            Instances with equal values keep their order in both.

        Notes
        -----
        Volumes are not affected: their slices are ordered in space.
        """
        if order not in ("ascending", "descending"):
            raise SelectionError(f'order={order!r} is neither "ascending" nor "descending".')
        wanted = (parse_tag(tag), order == "descending")
        self._selection = replace(self._selection, order=wanted)
        # What is selected did not change, so there is nothing here that undo could take back.
        self._history = tuple(replace(selection, order=wanted) for selection in self._history)
        return self

    def explain(self) -> pd.DataFrame:
        """Say criterion by criterion where it was decided, with how many requests, and how many were left.

        Returns
        -------
        pandas.DataFrame
            Columns criterion, decided, requests, and patients, studies, series, instances; NA where counting would need
            a further request.
        """
        import pandas as pd

        names: dict[Level, str]
        names = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}
        steps = self._selection.steps
        frame = pd.DataFrame(
            {"criterion": [step.criterion for step in steps], "decided": [step.decided for step in steps]}
        )
        frame = frame.astype("string").assign(requests=pd.Series([step.requests for step in steps], dtype="Int64"))
        for level, name in names.items():
            frame[name] = pd.Series([step.counts.get(level) for step in steps], dtype="Int64")
        return frame

    def _criteria(self, conditions: Sequence[Condition | str], tags: Mapping[str, Any]) -> list[Criterion]:
        """Read what was given; everything that can be wrong is found before the first request."""
        parsed = {name: parse_tag(name) for name in tags}
        criteria = []
        for name, value in tags.items():
            tag = parsed[name]
            given = literal_where_unreadable(tag, value, partial(self._index.has_seen, tag))
            criteria.append(Criterion(condition_for(tag, given), tag.name, unshared(given)))
        texts = []
        for condition in conditions:
            if isinstance(condition, str):
                texts.append(condition)
            elif isinstance(condition, Condition):
                fields = {str(leaf.field) for leaf in condition.comparisons() if isinstance(leaf.field, Tag)}
                own = all(isinstance(leaf.field, Tag) for leaf in condition.comparisons()) and len(fields) == 1
                criteria.append(Criterion(condition, fields.pop() if own else "", condition))
            else:
                raise SelectionError(
                    f"{condition!r} is neither a condition nor an identifier: write select(Modality='CT') or "
                    f'select(tag("Modality") == "CT").'
                )
        return [criterion for text in texts for criterion in self._address(text)] + criteria

    def _address(self, text: str) -> list[Criterion]:
        """Find what an identifier means, and say it in DICOM tags."""
        found = self._source.resolve(text.strip())
        if not found:
            raise SelectionError(
                f"{text!r} is no UID, AccessionNumber, PatientID or identifier of {self._source.description}. To "
                f'search by a tag, name it: select(PatientName="{text}").'
            )
        tags = {each.tag for each in found}
        if len(tags) > 1:
            meanings = tuple(f"{each.tag} of a {each.level}" for each in found)
            raise AmbiguousSelectionError(
                f"{text!r} has {len(tags)} meanings here: {', '.join(dict.fromkeys(meanings))}. Say which: "
                f'select({found[0].tag}="{text}").',
                candidates=meanings,
            )
        if found[0].tag in _UID_TAGS.values() and len(found) > 1:
            warnings.warn(
                f"{text} stands {len(found)} times in the archive, under different patients or studies: they are "
                f"{len(found)} different {found[0].level} objects, and all are selected.",
                stacklevel=stacklevel(),
            )
        if pydicom.datadict.tag_for_keyword(found[0].tag) is None:
            return self._identified(found[0])
        tag = parse_tag(found[0].tag)
        return [Criterion(Comparison(tag, StringIs(text.strip(), "exact", True)), tag.name, text.strip())]

    def _identified(self, found: IdentifierMatch) -> list[Criterion]:
        """Say in DICOM tags which object a source's own identifier names."""
        level: Level = "study" if found.level == "patient" else found.level
        keys = [found.key]
        if found.level == "patient":
            studies = self._index.everything("study")
            keys = [key for key in studies if self._index.row("study", key).parent == found.key][:1]
        return self._chain(found.level, level, keys[0])

    def _chain(self, level: Level, row_level: Level, key: str) -> list[Criterion]:
        """Name an object by its own identifier and those above it: one UID can stand under two patients."""
        criteria = []
        for each in LEVELS[: LEVELS.index(level) + 1]:
            tag = parse_tag(_UID_TAGS[each])
            value = self._index.column(tag, row_level, [key])[0]
            given = str(value[0]) if value else None
            criteria.append(Criterion(_exactly(tag, given), tag.name, given))
        return criteria

    def _narrow(self: Self, criteria: Sequence[Criterion]) -> Self:
        if not criteria:
            return self
        return self._assign(self._resolve(self._selection, criteria))

    def _assign(self: Self, selection: Selection) -> Self:
        """Take a selection that is complete: whatever went wrong or was interrupted before has changed nothing."""
        self._history = (*self._history, self._selection)
        self._selection = selection
        return self

    def _resolve(self, selection: Selection, criteria: Sequence[Criterion]) -> Selection:
        narrowed = selection.narrowed(self._index, *criteria)
        for place, step in enumerate(narrowed.steps[len(selection.steps) :], len(selection.steps)):
            if step.emptied:
                warnings.warn(
                    f"Nothing is selected any more: no object satisfies {step.criterion}"
                    + (" among those selected before it." if place else "."),
                    stacklevel=stacklevel(),
                )
        return narrowed

    # Look

    @property
    def patient_count(self) -> int:
        """How many patients are selected."""
        return self._selection.count(self._index, "patient")

    @property
    def study_count(self) -> int:
        """How many studies are selected."""
        return self._selection.count(self._index, "study")

    @property
    def series_count(self) -> int:
        """How many series are selected: those with a selected instance."""
        return self._selection.count(self._index, "series")

    @property
    def instance_count(self) -> int:
        """How many instances are selected."""
        return self._selection.count(self._index, "instance")

    def __len__(self) -> int:
        return self.series_count

    def __bool__(self) -> bool:
        return True

    def __getattr__(self, name: str) -> list[Any]:
        # Only names that are nothing else come here: a DICOM keyword, singular or plural.
        if name.startswith("_"):
            raise AttributeError(name)
        return self.get_dicom_tag(parse_attribute(name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
            return
        raise UnknownTagError(
            f"A session has no attribute {name!r} to assign to. To narrow it, write select({name}={value!r}) or "
            f'selection = {{"{name}": {value!r}}}.'
        )

    def __dir__(self) -> list[str]:
        keywords = {keyword for keyword in pydicom.datadict.keyword_dict if keyword}
        return sorted(set(super().__dir__()) | keywords)

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
            Numbers as numbers, everything else as text as it stands in the file; a tuple for a tag that may have
            several values. In the order of rows that holds everywhere, or of `sort_by`; the distinct values of a tag
            that only the files hold series by series, and in each by value.

        Examples
        --------
        >>> orthanc.get_dicom_tag("PatientName", unique=False)            # doctest: +SKIP
        ['JaneDoe', 'JohnDoe']
        """
        parsed = tables.parse_tag_column(tag)
        wanted = tables.check_level(level) if level is not None else parsed.level
        if unique and self._source.indexed(parsed) is None and self._selection.order is None:
            return tables.distinct_in_files(self._index, self._selection, parsed)
        columns = self._columns(wanted)
        columns.read([parsed])
        found = columns.values(parsed)
        if unique:
            # A patient's rows may be spelt in several ways; each spelling is a value.
            listed = [shown(value, parsed) for values in found for value in values]
            return list(dict.fromkeys(value for value in listed if value is not None))
        differing = sum(len(values) > 1 for values in found)
        if differing:
            warnings.warn(
                f"{parsed} differs within {differing} of {len(found)} rows of level {wanted!r}, which give None: ask "
                f"at a deeper level.",
                stacklevel=stacklevel(),
            )
        return [shown(values[0], parsed) if len(values) == 1 else None for values in found]

    def get_all_dicom_tags(self, include_private: bool = True) -> list[str]:
        """List the tags that can be asked for.

        Of a single series, every tag in the header of its first instance; of several, the tags that the index may hold,
        since finding out more would mean reading every file.

        Parameters
        ----------
        include_private : bool
            Whether to list private tags too, written as ``(0009,"CREATOR",0D)``.
        """
        if self.series_count != 1:
            return [name for name in tables.default_columns("instance") if name not in tables.COUNTS]
        header = self._source.header(self._instances()[0])
        names = []
        for number in header.keys():  # noqa: SIM118 - iterating a Dataset would convert every element
            if number.is_private:
                if include_private and not number.is_private_creator:
                    names.append(_private_name(header, number))
            else:
                names.append(parse_tag(int(number)).name)
        return names

    def table(self, *tags: TagLike, level: Level = "series", varying: Varying = "na") -> pd.DataFrame:
        """Make a table of tags: one row per selected object of a level.

        Parameters
        ----------
        *tags : str
            Any tags, and ``study_count``, ``series_count``, ``instance_count``; none: identifiers, main tags, counts.
        level : {"patient", "study", "series", "instance"}
            What a row is.
        varying : {"na", "list"}
            What stands where a tag differs below the row's level: NA with one warning, or the sorted distinct values.

        Returns
        -------
        pandas.DataFrame
            Columns exactly as asked, typed: DA datetime64, TM timedelta64, DT datetime64 (in UTC where an offset is
            given), DS/FL/FD Float64, integers Int64, else string; tuples for tags that may have several values; NA
            where missing. Rows in the order that holds everywhere, those of instances in the order of
            `sort_by` if there is one; with a RangeIndex.

        Examples
        --------
        >>> orthanc.table("PatientName", "SeriesDescription", "KVP")      # doctest: +SKIP
          PatientName SeriesDescription    KVP
        0     JaneDoe           ct_scan  120.0
        """
        checked = tables.check_level(level)
        for tag in tags:
            tables.parse_column(tag)
        return tables.table(self._columns(checked), tags, varying)

    def value_counts(self, tag: TagLike, level: Level | None = None) -> pd.Series[int]:
        """Count how often each value of a tag occurs, most frequent first, missing ones under NA.

        Parameters
        ----------
        tag : str
            Any spelling of a tag.
        level : {"patient", "study", "series", "instance"}, optional
            What is counted; default: the level where DICOM puts the tag.
        """
        parsed = tables.parse_tag_column(tag)
        wanted = tables.check_level(level) if level is not None else parsed.level
        frame = tables.table(self._columns(wanted), [parsed.name], "na")
        return frame[parsed.name].value_counts(dropna=False)

    def verify_index(self) -> pd.DataFrame:
        """Read the headers of all selected instances, and list what the archive's index does not hold as they say.

        An index keeps one value of a tag for a whole study or series, that of the first instance stored, so a tag that
        contradicts itself inside one is selected, and shown in tables, by that value alone. Orthanc's index also leaves
        out values of more than 256 characters.

        Returns
        -------
        pandas.DataFrame
            One row for each wrong tag of a study, series or instance: PatientID, StudyInstanceUID, SeriesInstanceUID,
            SOPInstanceUID as far as they apply; tag; level; problem ("differs inside the study", "differs inside the
            series", "not what the files say"); indexed, the index's value, NA if it holds none; found, a tuple of the
            distinct values in the files, None for missing; files, how many were read. No rows: all is well.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.

        Examples
        --------
        >>> orthanc.verify_index()[["level", "tag", "problem", "found"]]   # doctest: +SKIP
            level              tag                    problem         found
        0  series  SeriesDescription  differs inside the series  (head, neck)
        """
        return verification.verify_index(self._source, self._index, self._nonempty())

    @property
    def patients(self) -> Children[Session]:
        """The selected patients, each an independent session."""
        return self._children("patient")

    @property
    def studies(self) -> Children[Session]:
        """The selected studies, each an independent session."""
        return self._children("study")

    @property
    def series(self) -> Children[Session]:
        """The selected series, each an independent session."""
        return self._children("series")

    @property
    def instances(self) -> Children[Session]:
        """The selected instances, each an independent session."""
        return self._children("instance")

    def _children(self, level: Level) -> Children[Session]:
        index, selection = self._index, self._selection
        keys = self._instances() if level == "instance" else tables.row_keys(index, selection, level)
        deepest_level = deepest(selection.level or "study", level, "study")
        inner = selection.at(index, deepest_level)
        owned: dict[str, list[str]] = {key: [] for key in keys}
        for key, owner in zip(inner, index.up(deepest_level, inner, level), strict=True):
            owned[owner].append(key)
        # This session may be narrowed, reset or refreshed before the children are asked for.
        parent = self.copy()
        return Children(keys, lambda key: parent._child(level, deepest_level, owned[key]))

    def _child(self, level: Level, inner_level: Level, inner: Sequence[str]) -> Session:
        child = self.copy()
        chain = self._chain(level, inner_level, inner[0])
        narrowed = replace(self._selection, level=inner_level, keys=tuple(inner))
        counts = narrowed.known_counts(self._index)
        steps = [Step(str(each.condition), "here, with the others that name this object", 0, counts) for each in chain]
        child._selection = replace(narrowed, criteria=(*narrowed.criteria, *chain), steps=(*narrowed.steps, *steps))
        return child

    def _columns(self, level: Level) -> Columns:
        keys = self._instances() if level == "instance" and self._selection.order else None
        return Columns(self._index, self._selection, level, keys)

    # Read

    def _instances(self) -> list[str]:
        """Keys of the selected instances, in the order of `sort_by`, or else the order that holds everywhere."""
        keys = self._index.ordered("instance", self._selection.at(self._index, "instance"))
        if self._selection.order is None:
            return keys
        tag, descending = self._selection.order
        ranks = [_rank(value, tag) for value in self._index.column(tag, "instance", keys)]
        present = [place for place in range(len(keys)) if ranks[place] is not None]
        present.sort(key=lambda place: ranks[place] or (), reverse=descending)
        return [keys[place] for place in present] + [key for key, rank in zip(keys, ranks, strict=True) if rank is None]

    def _nonempty(self) -> list[str]:
        keys = self._instances()
        if not keys:
            raise self._empty()
        return keys

    def _empty(self) -> EmptySelectionError:
        criteria = " & ".join(str(criterion.condition) for criterion in self._selection.criteria)
        if not criteria:
            return EmptySelectionError("There is nothing to read: the archive is empty.")
        return EmptySelectionError(
            f"Nothing is selected by {criteria}. explain() shows where the selection became empty; undo() and reset() "
            f"take criteria back."
        )

    def get_header(self, index: int | None = None) -> Dataset:
        """Read one instance's header: exact, from the DICOM bytes, without pixels.

        Parameters
        ----------
        index : int, optional
            Which of the selected instances; may be left out where only one is selected.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        AmbiguousSelectionError
            Several instances are selected and no index is given.
        """
        keys = self._nonempty()
        if index is None and len(keys) > 1:
            raise AmbiguousSelectionError(
                f"{len(keys)} instances are selected, and get_header() gives one: get_header(0) reads the first, "
                f"get_headers() all.",
                candidates=tuple(keys),
            )
        return self._source.header(_item(keys, 0 if index is None else index))

    def get_headers(self, index: int | None = None, silent: bool = True) -> list[Dataset]:
        """Read the headers of all selected instances, in slice order or the order of `sort_by`.

        Parameters
        ----------
        index : int, optional
            Read this one only; the result is still a list.
        silent : bool
            Has no effect: headers come from the DICOM bytes, so no tag is left out that there were to report.
        """
        keys = self._nonempty()
        if index is not None:
            keys = [_item(keys, index)]
        return run_all(self._source.header, keys, label="reading headers")

    def get_instances(self) -> list[Dataset]:
        """Read all selected instances with their pixels, in slice order or the order of `sort_by`."""
        keys = self._nonempty()
        return list(map_ordered(self._instance, keys, total=len(keys), label="reading instances"))

    def _instance(self, key: str) -> Dataset:
        return pydicom.dcmread(io.BytesIO(self._source.content(key)), force=True)

    def get_volume(self, units: Units = "modality", gaps: str = "raise", dims: str | None = None) -> Volume:
        """Read the selected images as one regular volume, or say why that cannot be.

        Parameters
        ----------
        units : str
            "modality" (HU, BQML, ... as the headers say, named in `Volume.units`), "stored", "SUVbw", "SUVlbm",
            "SUVbsa", "SUVibw", "real world", "philips".
        gaps : {"raise", "nan"}
            What becomes of missing slices: an error, or NaN slices on the regular grid (float32, noted in the log).
        dims : {"time", "echo", "b", "phase"}, optional
            Stack equal groups along this dimension, which comes first.

        Returns
        -------
        Volume
            ``array`` is (slice, row, column), colour (slice, row, column, 3); geometry in LPS millimetres.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        AmbiguousSelectionError
            Several series are selected; both are named, and the `select` that separates them.
        VolumeError
            The images do not make one regular volume: see `simple_orthanc.errors` for the kinds.
        """
        return self._reader().volume(units, gaps, dims)

    def get_array(
        self, units: Units = "modality", gaps: str = "raise", dims: str | None = None
    ) -> np.ndarray[Any, Any]:
        """Read the selected images as one numpy array (slice, row, column): ``get_volume(...).array``."""
        return self.get_volume(units, gaps, dims).array

    def get_image(
        self, units: Units = "modality", gaps: str = "raise", dims: str | None = None, *, assume_geometry: bool = False
    ) -> SimpleITK.Image:
        """Read the selected images as one SimpleITK image: ``get_volume(...).to_sitk()``.

        Parameters
        ----------
        units, gaps, dims
            As for `get_volume`.
        assume_geometry : bool
            Give images without a position in the patient unit spacing at the origin; otherwise an error is raised.
        """
        return self.get_volume(units, gaps, dims).to_sitk(assume_geometry=assume_geometry)

    def get_volumes(self, units: Units = "modality", gaps: str = "raise") -> Mapping[str, Volume]:
        """Read the selected images as volumes, split where they must be.

        Returns
        -------
        Mapping
            Label to Volume. The labels come from the headers; each volume is read when it is asked for, and not kept.
        """
        reader = self._reader(many=True)
        return LazyVolumes(reader.labels(units, gaps), lambda label: reader.labelled(label, units, gaps))

    def volume_table(self) -> pd.DataFrame:
        """Report on the volumes of the selection from headers alone: one row per volume.

        Returns
        -------
        pandas.DataFrame
            SeriesInstanceUID, label, slices, rows, columns, spacing, regular, reason, bytes.
        """
        return self._reader(many=True).report()

    def _reader(self, many: bool = False) -> Reader:
        # All that is needed for volumes is imported with the first of them.
        from simple_orthanc.session.reading import Reader

        keys = self._nonempty()
        series = self._index.up("instance", keys, "series")
        owners = list(dict.fromkeys(series))
        if len(owners) > 1 and not many:
            listed = [self._describe(key) for key in owners]
            raise AmbiguousSelectionError(
                f"{len(listed)} series are selected, and one volume is asked for: {'; '.join(listed[:6])}"
                + (f"; and {len(listed) - 6} more" if len(listed) > 6 else "")
                + f". Narrow to one of them, as in {self._separating(owners)}, or read each with get_volumes().",
                candidates=tuple(listed),
            )
        return Reader(self._source, keys, series, self._short_names(owners))

    def _short_names(self, series: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Give each series its SeriesInstanceUID and a name for labels: as short as it can be and still be its own."""
        more = ("SeriesNumber", "PatientID", "SeriesInstanceUID", "StudyInstanceUID")
        tags = [parse_tag(keyword) for keyword in ("SeriesDescription", "Modality", *more)]
        columns = [[shown(value, tag) for value in self._index.column(tag, "series", series)] for tag in tags]
        names = [str(description or modality or "series") for description, modality, *_ in zip(*columns, strict=True)]
        for column in columns[2:]:
            extras: dict[str, set[object]] = {}
            for name, extra in zip(names, column, strict=True):
                extras.setdefault(name, set()).add(extra)
            # What does not differ would make the name longer and no clearer.
            names = [
                f"{name} {extra}" if len(extras[name]) > 1 else name for name, extra in zip(names, column, strict=True)
            ]
        uids = [str(uid or "") for uid in columns[4]]
        return {key: pair for key, *pair in zip(series, uids, names, strict=True)}  # type: ignore[misc]

    def _describe(self, series: str) -> str:
        tags = [
            parse_tag(keyword) for keyword in ("Modality", "SeriesNumber", "SeriesDescription", "SeriesInstanceUID")
        ]
        values = [shown(self._index.column(tag, "series", [series])[0], tag) for tag in tags]
        modality, number, description, uid = values
        numbered = "" if number is None else f"{number} "
        return f"{modality or 'series'} {numbered}{description or '(no description)'!r} {uid}"

    def _separating(self, series: Sequence[str]) -> str:
        """Write the call that tells the first of several series from the others."""
        for keyword in (
            "SeriesDescription",
            "Modality",
            "SeriesNumber",
            "SeriesInstanceUID",
            "PatientID",
            "StudyInstanceUID",
        ):
            tag = parse_tag(keyword)
            values = [shown(value, tag) for value in self._index.column(tag, "series", series)]
            if values[0] is not None and values.count(values[0]) == 1:
                return f"select({keyword}={values[0]!r})"
        return f"select({series[0]!r})"

    def download(self, folder: str | Path | None = None) -> list[Path]:
        """Write the DICOM files of the selection, bit for bit as the archive holds them.

        Parameters
        ----------
        folder : str or Path, optional
            Where to; made where it is missing. None: a new folder among the system's temporary ones.

        Returns
        -------
        list of Path
            One per instance: ``folder/PatientID/StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm``, with
            characters that could lead elsewhere replaced. A file appears when it is complete.

        Raises
        ------
        SelectionError
            The target is no path, or cannot be a folder because a file stands there.
        """
        keys = self._nonempty()
        target = Path(tempfile.mkdtemp(prefix="simple_orthanc_")) if folder is None else target_folder(folder)
        chain = [
            [shown(value, tag) for value in self._index.column(tag, "instance", keys)]
            for tag in map(parse_tag, _UID_TAGS.values())
        ]
        paths = file_paths(target, list(zip(*chain, strict=True)), keys)
        jobs = list(zip(keys, paths, strict=True))
        for folder_needed in {path.parent for path in paths}:
            folder_needed.mkdir(parents=True, exist_ok=True)
        save: Callable[[tuple[str, Path]], None] = lambda job: self._source.save(*job)  # noqa: E731
        for _ in map_ordered(save, jobs, total=len(jobs), label="downloading"):
            pass
        return paths

    # Keep house

    def refresh(self: Self) -> Self:
        """Bring what is known of the archive up to date, and keep the selection: its criteria are applied again.

        What has not changed is not read again. Where the source can tell what was added, only that is read; where
        something was deleted or replaced, the studies and series are listed again.
        """
        index, selection = self._index, self._selection
        try:
            self._index = index.updated()
            self._selection = self._resolve(Selection(order=selection.order), selection.criteria)
        except BaseException:
            self._index, self._selection = index, selection
            raise
        # What was selected before was said about an archive that may have changed.
        self._history = ()
        return self

    def close(self) -> None:
        """Let go of the connections; the session connects again if it is used again."""
        self._source.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = self._selection.known_counts(self._index)
        criteria = [str(criterion.condition) for criterion in self._selection.criteria]
        return display.session_text(type(self).__name__, self._source.description, counts, criteria)

    def _repr_html_(self) -> str:
        counts = self._selection.known_counts(self._index)
        criteria = [str(criterion.condition) for criterion in self._selection.criteria]
        header, rows, more = self._first_rows()
        return display.session_html(type(self).__name__, self._source.description, counts, criteria, header, rows, more)

    def _first_rows(self) -> tuple[list[str], list[list[str]], int]:
        """Give the first selected rows as far as they are known without a request."""
        level: Level = deepest(self._selection.level or "study", "study")
        names = {
            "study": ["PatientID", "PatientName", "StudyDate", "StudyDescription"],
            "series": ["PatientID", "PatientName", "Modality", "SeriesNumber", "SeriesDescription"],
            "instance": ["SeriesInstanceUID", "InstanceNumber", "SOPInstanceUID"],
        }[level]
        keys = list(self._selection.keys)
        if not keys:
            return [], [], 0
        rows: list[list[str]] = [[] for _ in keys[:_FIRST_ROWS]]
        known = []
        with self._index.offline():
            for name in names:
                tag = parse_tag(name)
                try:
                    values = self._index.column(tag, level, keys[:_FIRST_ROWS])
                except NotKnownError:
                    continue
                known.append(name)
                for row, value in zip(rows, values, strict=True):
                    row.append("" if value is None else str(shown(value, tag)))
        return known, rows, len(keys) - len(rows)


def _exactly(tag: Tag, text: str | None) -> Condition:
    return condition_for(tag, None) if text is None else Comparison(tag, StringIs(text, "exact", True))


def _whole_number(value: Any) -> int | None:
    """Read a whole number, also one of numpy's; True and False are none."""
    return None if isinstance(value, bool) or not isinstance(value, numbers.Integral) else int(value)


def _check_picklable(criterion: Criterion) -> None:
    try:
        pickle.dumps(criterion)
    except Exception as error:
        raise SelectionError(
            f"This session cannot be pickled, because of its criterion {criterion.condition}: {error}. Another process "
            "finds a function by its name, so write it with def at the top of a module, and not as a lambda or inside "
            "another function; or say the same with tag(...), as in tag('KVP') > 100."
        ) from error


def _item(keys: Sequence[str], index: int) -> str:
    place = _whole_number(index)
    if place is None:
        raise SelectionError(
            f"index {index!r}: it says which of the {len(keys)} selected instances is meant by a whole number from 0, "
            f"as in get_header(0). get_headers() reads all of them; one by its UID is select(uid).get_header()."
        )
    try:
        return keys[place]
    except IndexError:
        raise SelectionError(
            f"index {index}: {len(keys)} instances are selected, so it goes from 0 to {len(keys) - 1}."
        ) from None


def _rank(value: Value, tag: Tag) -> tuple[Any, ...] | None:
    """Give what to sort a value by; None: it is missing, or cannot be read as what the tag holds."""
    if value is None:
        return None
    if tag.vr in NUMBER_VRS | {"DA", "TM", "DT", "AS"}:
        parts = tuple(comparable(part, tag.vr) for part in value)
        return None if any(part is None for part in parts) else parts
    return tuple(str(part) for part in value)


def _private_name(header: Dataset, number: pydicom.tag.BaseTag) -> str:
    creator: Any = header.get((number.group, number.element >> 8))
    if creator is None:
        return f"{number.group:04X},{number.element:04X}"
    return f'({number.group:04X},"{str(creator.value).strip()}",{number.element & 0xFF:02X})'
