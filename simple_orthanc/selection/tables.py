"""Tables of tags: values become typed pandas columns, and values of deeper levels one value per row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from simple_orthanc.dicom.levels import LEVELS, Level, deepest, depth
from simple_orthanc.dicom.tags import DATE_VRS, NUMBER_VRS, REAL_VRS, Tag, TagLike, close_matches, parse_tag
from simple_orthanc.dicom.values import Value, comparable, shown
from simple_orthanc.errors import SelectionError, UnknownTagError, stacklevel
from simple_orthanc.showing.text import agreeing

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.selection.index import Index
    from simple_orthanc.selection.selection import Selection

Varying: TypeAlias = Literal["na", "list"]

COUNTS: tuple[str, ...] = ("study_count", "series_count", "instance_count")
AGE = "age"
"""The column of the ages of patients at their studies; see `simple_orthanc.selection.ages`."""

AGE_LEVEL: Level = "study"

_DEFAULT: dict[Level, str] = {
    "patient": "PatientID PatientName PatientBirthDate PatientSex",
    "study": """
        StudyInstanceUID StudyDate StudyTime StudyID AccessionNumber StudyDescription InstitutionName
        ReferringPhysicianName RequestingPhysician RequestedProcedureDescription
    """,
    "series": """
        SeriesInstanceUID SeriesNumber Modality SeriesDescription SeriesDate SeriesTime BodyPartExamined ProtocolName
        Manufacturer StationName OperatorsName PerformedProcedureStepDescription
    """,
    "instance": """
        SOPInstanceUID InstanceNumber ImagePositionPatient ImageOrientationPatient AcquisitionNumber NumberOfFrames
        TemporalPositionIdentifier InstanceCreationDate InstanceCreationTime
    """,
}
# What people look at first; a screen has room for about this many columns.
_FIRST: dict[Level, str] = {
    "patient": "PatientID PatientName",
    "study": "PatientID PatientName StudyDate StudyDescription",
    "series": "PatientID PatientName StudyDate Modality SeriesNumber SeriesDescription",
    "instance": "PatientID PatientName StudyDate Modality SeriesNumber SeriesDescription InstanceNumber",
}


def check_level(level: str) -> Level:
    """Return the name of a level, checked.

    Raises
    ------
    SelectionError
        There is no such level.
    """
    if level not in LEVELS:
        raise SelectionError(f"level={level!r} is not a level: choose one of {', '.join(LEVELS)}.")
    return level


def default_columns(level: Level) -> list[str]:
    """Return the names of the columns that a table has by default.

    What people look at comes first, with the counts, then the other tags, and the UIDs last.
    """
    names = [name for above in LEVELS[: depth(level) + 1] for name in _DEFAULT[above].split()]
    first = [*_FIRST[level].split(), *COUNTS[depth(level) :]]
    uids = [name for name in names if name.endswith("InstanceUID")]
    return [*first, *(name for name in names if name not in first and name not in uids), *uids]


def row_keys(index: Index, selection: Selection, level: Level) -> list[str]:
    """Return the keys of the selected rows of a level in the order that holds everywhere."""
    if level == "patient":
        studies = index.ordered("study", _selected(index, selection, "study"))
        return list(dict.fromkeys(index.up("study", studies, "patient")))
    return index.ordered(level, _selected(index, selection, level))


def _selected(index: Index, selection: Selection, level: Level) -> list[str]:
    from simple_orthanc.selection.resolving import keys_at

    return keys_at(index, selection, level)


class Columns:
    """Values of tags for the selected rows of one level.

    Parameters
    ----------
    index, selection
        What has been read of the archive, and what is selected.
    level : str
        One row for each selected object of this level.
    keys : sequence of str, optional
        The rows, in this order; None: the order that holds everywhere.
    """

    def __init__(self, index: Index, selection: Selection, level: Level, keys: Sequence[str] | None = None) -> None:
        self._index, self._selection, self.level = index, selection, level
        self.keys = row_keys(index, selection, level) if keys is None else list(keys)

    def read(self, tags: Sequence[Tag]) -> None:
        """Read in one pass the tags that only the files hold."""
        if any(self._index.home(tag) is None for tag in tags):
            self._index.read_files(tags, _selected(self._index, self._selection, "instance"))

    def values(self, tag: Tag) -> list[list[Value]]:
        """Return the distinct values of a tag within each row, [None] if the tag is missing throughout the row."""
        home = self._index.home(tag) or "instance"
        if depth(home) <= depth(self.level):
            return [[value] for value in self._index.column(tag, self.level, self.keys)]
        below = self._index.ordered(home, _selected(self._index, self._selection, home))
        owners = self._index.up(home, below, self.level)
        gathered: dict[str, dict[Any, Value]] = {key: {} for key in self.keys}
        meanings: dict[Value, Any] = {}
        for owner, value in zip(owners, self._index.column(tag, home, below), strict=True):
            if owner in gathered:
                if value not in meanings:
                    meanings[value] = _meaning(value, tag)
                gathered[owner].setdefault(meanings[value], value)
        return [list(values.values()) or [None] for values in gathered.values()]

    def ages(self) -> list[list[float]]:
        """Return for each row the distinct ages of the patient at the studies, in ascending order."""
        from simple_orthanc.selection.ages import ages

        level = deepest("study", self.level)
        keys = self.keys if level == self.level else _selected(self._index, self._selection, level)
        studies = self._index.up(level, keys, "study")
        known = ages(self._index, studies)
        gathered: dict[str, set[float]] = {key: set() for key in self.keys}
        for owner, study in zip(self._index.up(level, keys, self.level), studies, strict=True):
            if owner in gathered:
                gathered[owner].update(years for years in [known[study].years] if years is not None)
        return [sorted(years) for years in gathered.values()]

    def count(self, name: str) -> list[int]:
        """Count for each row the selected objects below it.

        Raises
        ------
        SelectionError
            A row contains no objects of that level.
        """
        target: Level = name.removesuffix("_count")  # type: ignore[assignment]
        if depth(target) < depth(self.level):
            raise SelectionError(
                f"{name} counts what a row contains: use level {' or '.join(map(repr, LEVELS[: depth(target)]))}, not "
                f"{self.level!r}."
            )
        below = _selected(self._index, self._selection, target)
        tally = dict.fromkeys(self.keys, 0)
        for owner in self._index.up(target, below, self.level):
            if owner in tally:
                tally[owner] += 1
        return list(tally.values())


def _meaning(value: Value, tag: Tag) -> Any:
    """Return a key that is equal for values that count as one: numbers are compared by value."""
    typed = shown(value, tag) if tag.vr in NUMBER_VRS else None
    return value if typed is None or (isinstance(typed, tuple) and None in typed) else typed


def distinct_in_files(index: Index, selection: Selection, tag: Tag) -> list[Any]:
    """Return the distinct values of a tag that only the files hold, series by series and sorted within each.

    This does without the rows of the instances, which would cost as much again.
    """
    inside = instances_by_series(index, selection)
    index.read_files([tag], [key for keys in inside.values() for key in keys])
    distinct: dict[Any, None] = {}
    for keys in inside.values():
        values = {shown(value, tag) for value in index.column(tag, "instance", keys)} - {None}
        distinct.update(dict.fromkeys(sorted(values, key=by_value)))
    return list(distinct)


def instances_by_series(index: Index, selection: Selection) -> dict[str, list[str]]:
    """Return the selected instances of each selected series, the series in the order that holds everywhere."""
    series = row_keys(index, selection, "series")
    if selection.level != "instance":
        return {key: index.down("series", [key], "instance") for key in series}
    owners = index.up("instance", selection.keys, "series")
    inside: dict[str, list[str]] = {key: [] for key in series}
    for key, owner in zip(selection.keys, owners, strict=True):
        inside[owner].append(key)
    return inside


def by_value(value: Any) -> tuple[int, Any]:
    """Return a key to sort by: numbers first, then strings, then what has no order of its own."""
    kind = 0 if isinstance(value, (int, float)) else 1 if isinstance(value, str) else 2
    return kind, value if kind < 2 else str(value)


def unpacked(names: Sequence[TagLike | Sequence[TagLike]]) -> list[TagLike]:
    """Return names with lists unpacked: ``table(["PatientID", "KVP"])`` means ``table("PatientID", "KVP")``.

    Examples
    --------
    >>> unpacked([["PatientID", "KVP"], (0x0018, 0x0050)])
    ['PatientID', 'KVP', (24, 80)]
    """
    result: list[Any] = []
    for name in names:
        result += name if isinstance(name, list) else [name]
    return result


def parse_column(name: TagLike) -> Tag | str:
    """Return the tag that the name of a column stands for, or the name itself if it is a count or the age.

    Raises
    ------
    UnknownTagError
        There is no such tag or count.
    """
    if isinstance(name, str) and name in (*COUNTS, AGE):
        return name
    if isinstance(name, str) and name.endswith("_count"):
        raise UnknownTagError(f"{name!r} is not a count: choose one of {', '.join(COUNTS)}.")
    return parse_tag_column(name)


def parse_values(name: TagLike) -> Tag | str:
    """Return the tag whose values are counted, or the name itself if it is the age.

    Raises
    ------
    UnknownTagError, SelectionError
        As for `parse_tag_column`.
    """
    return AGE if isinstance(name, str) and name == AGE else parse_tag_column(name)


def parse_tag_column(name: TagLike) -> Tag:
    """Return the tag that a name stands for, if its values can be listed.

    Raises
    ------
    UnknownTagError
        There is no such tag.
    SelectionError
        It holds pixels.
    """
    if isinstance(name, list):
        raise UnknownTagError(
            f"{name!r} is a list, but this takes one tag: table({', '.join(map(repr, name))}) shows several."
        )
    try:
        tag = parse_tag(name)
    except TypeError:
        raise UnknownTagError(f"{name!r} is not a DICOM tag. {close_matches('')}") from None
    if tag.is_pixels:
        raise SelectionError(
            f"{tag} holds pixels, which tables do not show: get_volume() and get_instances() read them."
        )
    return tag


def table(columns: Columns, names: Sequence[TagLike], varying: Varying) -> pd.DataFrame:
    """Return a table with one row per object of the level, and one typed column per name.

    Parameters
    ----------
    columns : Columns
        The rows, and the values in them.
    names : sequence
        Tags in any spelling, counts, and "age". If empty, the default columns: those that people look at, and others
        that have a value in some row.
    varying : {"na", "list"}
        What a row shows if a tag differs within it: NA, with one warning, or the list of distinct values.

    Raises
    ------
    SelectionError, UnknownTagError
        A column or ``varying`` is not possible.
    """
    import pandas as pd

    if varying not in ("na", "list"):
        raise SelectionError(f'varying={varying!r} is neither "na" nor "list".')
    parsed = [parse_column(name) for name in names or default_columns(columns.level)]
    pairs = zip(names or parsed, parsed, strict=True)
    labels = [str(name) if isinstance(name, str) else str(tag) for name, tag in pairs]
    columns.read([tag for tag in parsed if isinstance(tag, Tag)])
    content = [_column(columns, tag, varying) for tag in parsed]
    if not content:
        return pd.DataFrame(index=pd.RangeIndex(len(columns.keys)))
    frame: pd.DataFrame = pd.concat(content, axis=1)
    frame.columns = pd.Index(labels)
    if names or frame.empty:
        return frame
    kept = [not _is_left_out(columns, tag, each) for tag, each in zip(parsed, content, strict=True)]
    return frame.loc[:, kept]


def _is_left_out(columns: Columns, tag: Tag | str, values: pd.Series[Any]) -> bool:
    """Check whether a default column has no value at all, and is not one of the first."""
    if isinstance(tag, str) or tag.name in _FIRST[columns.level].split() or not values.isna().all():
        return False
    # What differs within its row is NA too.
    return all(row == [None] for row in columns.values(tag))


def _column(columns: Columns, tag: Tag | str, varying: Varying) -> pd.Series[Any]:
    import pandas as pd

    if tag == AGE:
        return _age_column(columns, varying)
    if isinstance(tag, str):
        return pd.Series(columns.count(tag), dtype="Int64")
    per_row = columns.values(tag)
    differing = sum(len(values) > 1 for values in per_row)
    if varying == "list" and (differing or depth(tag.level) > depth(columns.level)):
        return pd.Series(_distinct(per_row, tag), dtype=object)
    _warn_of_differences(tag, differing, columns)
    return typed_column([values[0] if len(values) == 1 else None for values in per_row], tag)


def _age_column(columns: Columns, varying: Varying) -> pd.Series[Any]:
    import pandas as pd

    per_row = columns.ages()
    if varying == "list" and columns.level == "patient":
        return pd.Series(per_row, dtype=object)
    _warn_of_differences(AGE, sum(len(years) > 1 for years in per_row), columns)
    return pd.Series([years[0] if len(years) == 1 else None for years in per_row], dtype="Float64")


def _warn_of_differences(name: Tag | str, differing: int, columns: Columns) -> None:
    if differing:
        warnings.warn(
            f"{name} differs within {differing} of {len(columns.keys)} rows of level {columns.level!r}, which show NA: "
            f'read it at a deeper level, or with varying="list".',
            stacklevel=stacklevel(),
        )


def _distinct(per_row: Sequence[Sequence[Value]], tag: Tag) -> list[list[Any]]:
    """Return the distinct values of each row, typed and sorted, without missing ones."""
    present = [[value for value in values if value is not None] for values in per_row]
    # All at once, since a column of one row takes as long as one of hundreds.
    column = typed_column([value for values in present for value in values], tag)
    typed = iter(zip(column.tolist(), column.notna().tolist(), strict=True))
    return [
        sorted(dict.fromkeys(value for value, is_known in islice(typed, len(values)) if is_known), key=_order)
        for values in present
    ]


def _order(value: Any) -> Any:
    """Return a key to sort a value by: parts of a tuple may be None, or bytes."""
    if not isinstance(value, tuple):
        return value
    return [(part is None, isinstance(part, bytes), 0 if part is None else part) for part in value]


def typed_column(values: Sequence[Value], tag: Tag) -> pd.Series[Any]:
    """Return values as a typed column.

    DA and DT become datetime64, TM timedelta64, DS, FL and FD Float64, integers Int64, and everything else string. Tags
    that may have several values always become tuples. Missing values are NA, and so are those that cannot be read, with
    one warning.
    """
    import pandas as pd

    vr = tag.vr
    if tag.is_multiple:
        return pd.Series(
            [pd.NA if value is None else tuple(_part(part, vr) for part in value) for value in values], dtype=object
        )
    texts = [None if value is None else value[0] if len(value) == 1 else "\\".join(map(str, value)) for value in values]
    if vr not in NUMBER_VRS | DATE_VRS:
        plain = [text.decode("latin-1") if isinstance(text, bytes) else text for text in texts]
        return pd.Series(plain, dtype="string")
    parsed = [None if text is None else comparable(text, vr) for text in texts]
    if vr in NUMBER_VRS and vr not in REAL_VRS:
        parsed = [number if isinstance(number, int) and -(2**63) <= number < 2**63 else None for number in parsed]
    unread = sum(text is not None and number is None for text, number in zip(texts, parsed, strict=True))
    if unread:
        example = next(text for text, number in zip(texts, parsed, strict=True) if text is not None and number is None)
        warnings.warn(
            f"{tag}: {unread} of {len(texts)} values cannot be read as {vr} and {agreeing(unread, 'are')} NA, "
            f"{example!r} for one.",
            stacklevel=stacklevel(),
        )
    if vr in NUMBER_VRS:
        return pd.Series(parsed, dtype="Float64" if vr in REAL_VRS else "Int64")
    # Through numpy: before version 3, pandas converts to nanoseconds first, which reach no year before 1677.
    return pd.Series(np.array(parsed, dtype="timedelta64[us]" if vr == "TM" else "datetime64[us]"))


def _part(part: str | bytes, vr: str) -> Any:
    if vr not in NUMBER_VRS or isinstance(part, bytes):
        return part
    return comparable(part, vr)
