"""The verbs that show what can be filtered on: a summary of each tag, and single values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.levels import INDEXED, Level
from simple_orthanc.dicom.tags import BINARY_VRS, Tag, TagLike, parse_tag
from simple_orthanc.dicom.usual import in_order, usual_in_files
from simple_orthanc.dicom.values import Value, shown
from simple_orthanc.selection import tables
from simple_orthanc.selection.tables import Columns
from simple_orthanc.session.looking import Looking, names_in

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLES = 5
_MODALITY = parse_tag("Modality")


class Describing(Looking):
    """The verbs of a session that show what can be filtered on."""

    def describe(self, *tags: TagLike | Sequence[TagLike], files: bool = False) -> pd.DataFrame:
        """Show what can be filtered on: tags of the selection, with their most frequent values.

        Parameters
        ----------
        *tags : str
            Any spellings of tags, or ``age`` for the age of the patient at the study in years; one by one or as a list.
            Tags that only the files hold are read from all selected files. Default: the tags of studies and series that
            the index holds, and below them, without values, those that files of these modalities usually hold.
        files : bool
            Whether to add every tag in the headers of the selection. The header of one instance of each series is read,
            and their values are counted; private tags are included, sequences and binary values are not.

        Returns
        -------
        pandas.DataFrame
            One row for each tag: tag; level, where DICOM puts it; distinct, the number of different values; missing,
            the number of objects of that level without a value; examples, up to five values with the number of objects
            that have them, most frequent first. Values are as `get_dicom_tag` lists them, so that ``select`` takes
            them. Of a tag whose values were not read, distinct and missing are NA and examples is empty.

            Tags are in the order asked for; by default what people filter on first, then tags with one value for all,
            then those that were not read. Tags without any value are left out there.

        Raises
        ------
        UnknownTagError
            There is no such tag; the message lists close matches. No request was sent.

        See Also
        --------
        Session.value_counts : Counts all values of one tag.
        Session.get_all_dicom_tags : Lists names without values.

        Examples
        --------
        >>> from simple_orthanc import Folder
        >>> folder = Folder.example().select(PatientID="EX-001")
        >>> folder.describe("Modality", "StudyDate", "EchoTime")
                 tag     level  distinct  missing                        examples
        0   Modality    series         1        0                       {'MR': 4}
        1  StudyDate     study         2        0  {'20220301': 1, '20220906': 1}
        2   EchoTime  instance         2        0            {2.5: 128, 90.0: 48}
        >>> folder.describe().tag[:2].tolist()
        ['SeriesDescription', 'StudyDate']
        """
        parsed = [tables.parse_values(tag) for tag in tables.unpacked(tags)]
        self._read_together([tag for tag in parsed if isinstance(tag, Tag)])
        summaries = [self._summary(tag) for tag in parsed or self._indexed_tags()]
        if parsed and not files:
            return _table(summaries)
        present = [summary for summary in summaries if summary.counts or parsed]
        if files:
            self._check_has_files()
            present += self._summaries_of_headers({summary.name for summary in summaries})
        if parsed:
            return _table(present)
        ranks = {name: rank for rank, name in enumerate(in_order([summary.name for summary in present]))}
        # A constant says nothing that a filter could use.
        present.sort(key=lambda summary: (summary.is_constant, ranks[summary.name]))
        return _table(present if files or not present else [*present, *self._usual(present)])

    def first(self, tag: TagLike, default: Any = None) -> Any:
        """Return the first value of a tag in the selection.

        Parameters
        ----------
        tag : str
            Any spelling of a tag.
        default : object
            What to return where the selection has no value of the tag.

        Returns
        -------
        object
            A number, the string in the file, or a tuple for a tag that may have several values; of the first object
            that has a value, in the usual order or that of `sort_by`. Of a tag that only the files hold, no more series
            are read than needed.

        Examples
        --------
        >>> from simple_orthanc import Folder
        >>> folder = Folder.example()
        >>> [study.first("StudyDescription", "") for study in folder.select(PatientID="EX-001").studies]
        ['MR head', 'MR head']
        """
        parsed = tables.parse_tag_column(tag)
        if self._index.home(parsed) is not None or self._selection.order is not None:
            values = self.get_dicom_tag(parsed)
            return values[0] if values else default
        for keys in tables.instances_by_series(self._index, self._selection).values():
            self._index.read_files([parsed], keys)
            column = self._index.column(parsed, "instance", self._index.ordered("instance", keys))
            values = [value for value in (shown(value, parsed) for value in column) if value is not None]
            if values:
                return values[0]
        return default

    def _indexed_tags(self) -> list[Tag]:
        """Return the tags of studies and series that the index holds, those first that people filter on."""
        names = dict.fromkeys([*INDEXED["study"], *INDEXED["series"]])
        parsed = map(parse_tag, in_order(names))
        return [tag for tag in parsed if self._index.home(tag) in ("study", "series")]

    def _read_together(self, tags: Sequence[Tag]) -> None:
        """Read in one pass the tags that only the files hold."""
        if any(self._index.home(tag) is None for tag in tags):
            self._index.read_files(tags, self._selected_keys("instance"))

    def _summary(self, tag: Tag | str) -> Summary:
        if not isinstance(tag, Tag):
            keys = self._selected_keys(tables.AGE_LEVEL)
            ages = Columns(self._index, self._selection, tables.AGE_LEVEL, keys).ages()
            return Summary(tag, Counter(years for row in ages for years in row), sum(not row for row in ages))
        columns = Columns(self._index, self._selection, tag.level, self._selected_keys(tag.level))
        return summarize(tag, columns.values(tag))

    def _usual(self, known: Sequence[Summary]) -> list[Summary]:
        """Return the tags that files of the selected modalities usually hold, with values as far as these were read."""
        from simple_orthanc.selection.index import NotKnownError

        modalities = next((summary.counts for summary in known if summary.tag == _MODALITY), None)
        summaries = []
        with self._index.offline():
            for tag in map(parse_tag, usual_in_files(list(modalities or ()))):
                try:
                    summary = self._summary(tag) if self._index.has_read(tag) else Summary(tag)
                except NotKnownError:
                    summary = Summary(tag)
                if summary.missing is None or summary.counts:
                    summaries.append(summary)
        return sorted(summaries, key=lambda summary: summary.missing is None)

    def _summaries_of_headers(self, known: set[str]) -> list[Summary]:
        """Summarize the other tags in the header of one instance of each series, by the objects that have them."""
        keys = [keys[0] for keys in tables.instances_by_series(self._index, self._selection).values()]
        workers = self._source.at_once(keys, headers=True)
        headers: list[Dataset] = run_all(self._source.header, keys, workers=workers, label="reading headers")
        names = list(dict.fromkeys(name for header in headers for name in names_in(header)))
        usual = {name: rank for rank, name in enumerate(usual_in_files())}
        names.sort(key=lambda name: usual.get(name, len(usual)))
        # Series share a patient and a study.
        shared: tuple[Level, ...] = ("patient", "study")
        owners = {level: self._index.up("instance", keys, level) for level in shared}
        summaries = []
        for tag in (parse_tag(name) for name in names if name not in known):
            if not (tag.is_pixels or tag.is_sequence or tag.vr in BINARY_VRS - {"UN"}):
                rows: dict[str, list[Value]] = {}
                for owner, header in zip(owners.get(tag.level, keys), headers, strict=True):
                    rows.setdefault(owner, []).append(read_value(header, tag))
                summaries.append(summarize(tag, rows.values()))
        return [summary for summary in summaries if summary.counts]


@dataclass(frozen=True)
class Summary:
    """What a selection holds of one tag.

    Attributes
    ----------
    tag : Tag or str
        The tag; "age" for the age of patients at their studies.
    counts : mapping
        Value to the number of objects that have it.
    missing : int or None
        The number of objects without a value; None: nothing was read.
    """

    tag: Tag | str
    counts: Mapping[Any, int] = field(default_factory=dict)
    missing: int | None = None

    @property
    def name(self) -> str:
        """Its name in tables."""
        return self.tag.name if isinstance(self.tag, Tag) else self.tag

    @property
    def level(self) -> Level:
        """The level of the objects that have a value."""
        return self.tag.level if isinstance(self.tag, Tag) else tables.AGE_LEVEL

    @property
    def is_constant(self) -> bool:
        """Whether all objects have the same value."""
        return len(self.counts) == 1 and self.missing == 0

    @property
    def examples(self) -> dict[Any, int]:
        """The most frequent values with their counts; of equally frequent ones those that come first in order."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], tables.by_value(item[0])))
        return dict(ranked[:_EXAMPLES])


def summarize(tag: Tag, rows: Iterable[Sequence[Value]]) -> Summary:
    """Count the values of a tag.

    Parameters
    ----------
    tag : Tag
        The tag.
    rows : iterable of sequence
        For each object its distinct values; a missing one is None.

    Examples
    --------
    >>> summary = summarize(parse_tag("KVP"), [[("120",)], [None], [("100",), ("120.0",)]])
    >>> summary.examples, summary.missing
    ({120.0: 2, 100.0: 1}, 1)
    """
    counts: Counter[Any] = Counter()
    missing = 0
    for values in rows:
        present = {shown(value, tag) for value in values if not _is_binary(value)} - {None}
        counts.update(present)
        missing += not present
    return Summary(tag, counts, missing)


def _is_binary(value: Value) -> bool:
    return any(isinstance(part, bytes) for part in value or ())


def _table(summaries: Sequence[Summary]) -> pd.DataFrame:
    import pandas as pd

    read = [summary.missing is not None for summary in summaries]
    frame = pd.DataFrame(
        {
            "tag": [summary.name for summary in summaries],
            "level": [summary.level for summary in summaries],
        },
        dtype="string",
    )
    distinct = [len(summary.counts) if known else None for summary, known in zip(summaries, read, strict=True)]
    return frame.assign(
        distinct=pd.Series(distinct, dtype="Int64"),
        missing=pd.Series([summary.missing for summary in summaries], dtype="Int64"),
        examples=pd.Series([summary.examples for summary in summaries], dtype=object),
    )
