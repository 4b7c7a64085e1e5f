"""The verbs that change what is selected, and the selection itself as a dictionary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import TagLike, parse_tag
from simple_orthanc.errors import SelectionError
from simple_orthanc.session.arguments import read_criteria, whole_number
from simple_orthanc.session.containers import SelectionView, unshared
from simple_orthanc.session.options import SortOrder
from simple_orthanc.session.state import SessionState

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

    from simple_orthanc.selection.conditions import Condition
    from simple_orthanc.selection.selection import Criterion

_PLURALS: dict[Level, str] = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}


class Narrowing(SessionState):
    """The verbs of a session that narrow its selection or take that back."""

    def select(self, *conditions: Condition | str, **tags: Any) -> Self:
        """Narrow the selection to what satisfies every argument.

        Parameters
        ----------
        *conditions : Condition or str
            Conditions made with `tag`, `age`, `has_series`, `label` and `metadata`; or a string that is a UID,
            AccessionNumber, PatientID or the source's own identifier.
        **tags
            A DICOM keyword and its value: a string with wildcards ``*`` and ``?`` (case does not matter, except in
            identifiers), a list for any of several values, a tuple ``(low, high)`` for a range of dates, times or
            numbers, a date, time or number, a compiled regular expression, a function, or None for missing, empty, or
            not a number. A value that the session has listed means itself, even where it is not a valid date. Other
            spellings of a tag: ``**{"0018,0050": 3}``.

        Returns
        -------
        Session
            The session itself, so that calls chain. Without arguments nothing changes.

        Warns
        -----
        UserWarning
            Nothing is left; the message names the criterion that left nothing, and what would have matched, as far as
            that is known. A criterion on ages left out what it could not decide, or found ages that contradict birth
            dates.

        Raises
        ------
        UnknownTagError
            There is no such tag; the message lists close matches. No request was sent.
        SelectionError
            The value is not possible for its tag, for which no request was sent; or a function raised an error.
        AmbiguousSelectionError
            A string identifies two different things.

        Examples
        --------
        >>> archive.select(Modality="MR", SeriesDescription="T1*", StudyDate=("20220101", "20221231")).PatientNames
        ['Ahlberg^Anna']
        >>> archive.series_count
        2

        Every call narrows further; `reset` begins anew. Conditions on any tag, joined by ``&``, ``|`` and ``~``:

        >>> from simple_orthanc import age, has_series, tag
        >>> archive.reset().select((tag("SliceThickness") < 2) | (tag("EchoTime") > 85)).SeriesDescriptions
        ['T1 MPRAGE', 'T2 TSE']

        Patients of 60 years and more with one of two examinations, and the CT of those who have a segmentation too:

        >>> archive.reset().select(age() >= 60, StudyDescription=["MR head", "CT abdomen"]).PatientIDs
        ['EX-001', 'EX-002', 'EX-004']
        >>> archive.select(has_series(Modality="SEG"), Modality="CT").PatientIDs
        ['EX-002']

        A UID, an AccessionNumber or a PatientID by itself, and any of several values:

        >>> archive.reset().select("EX-003").select(Modality=["CT", "PT"]).SeriesDescriptions
        ['CT low dose', 'PET FDG']
        """
        criteria = read_criteria(self._index, conditions, tags)
        if not criteria:
            return self
        return self._assign(self._resolve(self._selection, criteria))

    def exclude(self, *conditions: Condition | str, **tags: Any) -> Self:
        """Narrow the selection to exactly what `select` would leave out, given the same arguments.

        What lacks a tag stays in, since `select` would not have kept it.

        Parameters
        ----------
        *conditions, **tags
            As for `select`.

        Returns
        -------
        Session
            The session itself, so that calls chain.

        Examples
        --------
        >>> archive.select(StudyDescription="CT*").Modalities
        ['CT', 'SEG', 'RTSTRUCT', 'SR']
        >>> archive.exclude(Modality=["SEG", "RTSTRUCT", "SR"]).SeriesDescriptions
        ['CT abdomen portal venous', 'CT chest with scout', 'CT chest']
        """
        criteria = read_criteria(self._index, conditions, tags)
        if not criteria:
            return self
        from simple_orthanc.selection.selection import Criterion

        excluded = ~reduce(and_, (criterion.condition for criterion in criteria))
        names = {criterion.tag for criterion in criteria}
        name = names.pop() if len(names) == 1 else ""
        return self._assign(self._resolve(self._selection, [Criterion(excluded, name, excluded)]))

    def reset(self, tag: TagLike | None = None) -> Self:
        """Remove the whole selection, or the criteria on one tag.

        Parameters
        ----------
        tag : str, optional
            Such as ``"PatientName"``; None for everything, the order of `sort_by` included.

        Returns
        -------
        Session
            The session itself, so that calls chain.

        Examples
        --------
        >>> archive.select(Modality="CT", PatientID="EX-002").series_count
        1
        >>> archive.reset("PatientID").selection
        {'Modality': 'CT'}
        >>> archive.reset().series_count
        16
        """
        if tag is None:
            return self._assign(self._everything(in_order=False))
        name = parse_tag(tag).name
        criteria = self._asked.criteria
        kept = [criterion for criterion in criteria if criterion.tag != name]
        if len(kept) == len(criteria):
            return self
        return self._assign(self._resolve(self._everything(), kept))

    def undo(self, steps: int = 1) -> Self:
        """Undo the last `select`, `exclude`, `reset` or assignment, or the last few of them.

        The order of `sort_by` stays.

        Parameters
        ----------
        steps : int
            How many to undo.

        Returns
        -------
        Session
            The session itself, so that calls chain.

        Examples
        --------
        >>> archive.select(Modality="CT").select(SeriesDescription="*portal venous").series_count
        1
        >>> archive.undo().selection
        {'Modality': 'CT'}
        """
        count = whole_number(steps)
        if count is None:
            raise SelectionError(f"undo({steps!r}): the number of steps to undo is a whole number, as in undo(2).")
        if not 0 < count <= len(self._history):
            raise SelectionError(f"undo({steps}): there are {len(self._history)} steps to undo.")
        self._selection = self._history[-count]
        self._history = self._history[:-count]
        return self

    @contextmanager
    def selecting(self, *conditions: Condition | str, **tags: Any) -> Iterator[Self]:
        """Narrow the selection inside a ``with`` block only.

        Parameters
        ----------
        *conditions, **tags
            As for `select`.

        Examples
        --------
        >>> archive.select(Modality="MR").study_count
        4
        >>> with archive.selecting(SeriesDescription="DWI*") as diffusion:
        ...     print(diffusion.PatientIDs)
        ['EX-004']
        >>> archive.study_count
        4
        """
        before, history, index = self._selection, self._history, self._index
        try:
            yield self.select(*conditions, **tags)
        finally:
            self._selection, self._history = before, history
            if self._index is not index:
                # The session was refreshed inside the block, and the earlier selection may have changed with it.
                self._selection = self._resolve(self._everything(), before.criteria)
                self._history = ()

    @property
    def selection(self) -> dict[str, Any]:
        """What is selected: tag to value as given or to a condition; conditions on several tags are under "conditions".

        It can be assigned, also a dictionary taken from here; None resets. The dictionary is a copy that cannot be
        changed in place: ``selection = {**session.selection, "Modality": "CT"}`` replaces one tag's value. A string
        that was in the selection before keeps the meaning that it was found to have.

        Examples
        --------
        >>> archive.select(Modality="CT", SeriesDescription="*chest").selection
        {'Modality': 'CT', 'SeriesDescription': '*chest'}

        Replace one criterion, keep the others:

        >>> archive.selection = {**archive.selection, "SeriesDescription": "*low dose"}
        >>> archive.PatientIDs
        ['EX-003']
        """
        result: dict[str, Any] = {}
        spanning: list[Condition] = []
        by_tag: dict[str, list[Criterion]] = {}
        for criterion in self._asked.criteria:
            if criterion.tag:
                by_tag.setdefault(criterion.tag, []).append(criterion)
            else:
                spanning.append(criterion.condition)
        for name, criteria in by_tag.items():
            joined: Condition = reduce(and_, (criterion.condition for criterion in criteria))
            result[name] = unshared(criteria[0].given) if len(criteria) == 1 else joined
        if spanning:
            result["conditions"] = spanning
        return SelectionView(result, self._asked, self._source)

    @selection.setter
    def selection(self, wanted: Mapping[str, Any] | None) -> None:
        from simple_orthanc.selection.conditions import Condition
        from simple_orthanc.selection.meanings import with_known_meanings

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
                f'selection = {{"conditions": {conditions!r}}}: its value is a list of conditions, as in '
                '{"conditions": [tag("KVP") > 100]}.'
            )
        conditions = [conditions] if isinstance(conditions, Condition) else list(conditions)
        conditions += [value for value in wanted.values() if isinstance(value, Condition)]
        tags = {name: value for name, value in wanted.items() if not isinstance(value, Condition)}
        criteria = with_known_meanings(known or self._asked, read_criteria(self._index, conditions, tags))
        self._assign(self._resolve(self._everything(), criteria))

    def sort_by(self, tag: TagLike, order: SortOrder = "ascending") -> Self:
        """Sort headers, instances and values of tags of the instance by a tag.

        Parameters
        ----------
        tag : str
            Its values are sorted as numbers, dates or times where the tag holds these, else as strings; what lacks the
            tag comes last.
        order : {"ascending", "descending"}
            Instances with equal values keep their order in both.

        Returns
        -------
        Session
            The session itself, so that calls chain.

        Notes
        -----
        Volumes are not affected: their slices are ordered in space.

        Examples
        --------
        >>> series = archive.select(SeriesDescription="*portal venous")
        >>> series.sort_by("InstanceNumber", "descending").InstanceNumbers[:3]
        [40, 39, 38]
        """
        if order not in ("ascending", "descending"):
            raise SelectionError(f'order={order!r} is neither "ascending" nor "descending".')
        wanted = (parse_tag(tag), order == "descending")
        self._selection = replace(self._selection, order=wanted)
        # What is selected has not changed, so there is nothing here that undo could take back.
        self._history = tuple(replace(selection, order=wanted) for selection in self._history)
        return self

    def explain(self) -> pd.DataFrame:
        """Report for each criterion where it was decided, how many requests it took, and how many objects it left.

        Returns
        -------
        pandas.DataFrame
            Columns criterion, decided, requests, and patients, studies, series, instances; NA where counting would need
            a further request.

        Examples
        --------
        >>> from simple_orthanc import tag
        >>> steps = archive.select(tag("RepetitionTime") > 1000, Modality="MR").explain()
        >>> steps[["criterion", "studies", "series"]]
                       criterion  studies  series
        0       Modality == 'MR'        4       8
        1  RepetitionTime > 1000        4       6
        """
        import pandas as pd

        steps = self._asked.steps
        frame = pd.DataFrame(
            {"criterion": [step.criterion for step in steps], "decided": [step.decided for step in steps]}
        )
        frame = frame.astype("string").assign(requests=pd.Series([step.requests for step in steps], dtype="Int64"))
        for level, name in _PLURALS.items():
            frame[name] = pd.Series([step.counts.get(level) for step in steps], dtype="Int64")
        return frame
