"""How several series are told apart: in labels of volumes, in messages, and in the call that narrows to one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.times import parse_date
from simple_orthanc.dicom.values import shown
from simple_orthanc.errors import AmbiguousSelectionError

if TYPE_CHECKING:
    from simple_orthanc.selection.index import Index

_MOST_LISTED = 6
_NOT_IN_NAMES = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
# From what people read to what is unique.
_SEPARATING = (
    "SeriesDescription",
    "Modality",
    "SeriesNumber",
    "SeriesInstanceUID",
    "PatientID",
    "StudyInstanceUID",
)


def short_names(index: Index, series: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the SeriesInstanceUID of each series, and the shortest name that no other one has.

    Parameters
    ----------
    index : Index
        What is known of the archive.
    series : sequence of str
        Keys of series.

    Returns
    -------
    dict
        Key to SeriesInstanceUID and name.
    """
    more = ("SeriesNumber", "PatientID", "StudyDate", "SeriesInstanceUID", "StudyInstanceUID")
    columns = [_column(index, keyword, series) for keyword in ("SeriesDescription", "Modality", *more)]
    columns[4] = [parse_date(str(date)) or date for date in columns[4]]
    names = [str(description or modality or "series") for description, modality, *_ in zip(*columns, strict=True)]
    for column in columns[2:]:
        extras: dict[str, set[object]] = {}
        for name, extra in zip(names, column, strict=True):
            extras.setdefault(name, set()).add(extra)
        # A value that does not differ would make the name longer and no clearer.
        names = [
            f"{name} {extra}" if len(extras[name]) > 1 else name for name, extra in zip(names, column, strict=True)
        ]
    uids = [str(uid or "") for uid in columns[5]]
    return {key: (uid, name) for key, uid, name in zip(series, uids, names, strict=True)}


class Labels:
    """The labels of volumes, each once.

    Examples
    --------
    >>> labels = Labels()
    >>> labels.add("head - ", "axial 2x4x4"), labels.add("head - ", "axial 2x4x4")
    ('head - axial 2x4x4', 'head - axial 2x4x4 (2)')
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def add(self, prefix: str, name: str) -> str:
        """Return the label of a further volume, from the prefix of its series and its name in it."""
        unnumbered = plain_label(prefix + name)
        label, number = unnumbered, 1
        while label in self._taken:
            number += 1
            label = f"{unnumbered} ({number})"
        self._taken.add(label)
        return label


def plain_label(label: str) -> str:
    """Replace in the label of a volume what no file system takes in a name.

    Examples
    --------
    >>> plain_label("T1/T2*: axial")
    'T1_T2__ axial'
    """
    return _NOT_IN_NAMES.sub("_", label)


def describe(index: Index, series: str) -> str:
    """Describe a series in a message: modality, number, description and UID."""
    keywords = ("Modality", "SeriesNumber", "SeriesDescription", "SeriesInstanceUID")
    modality, number, description, uid = (_column(index, keyword, [series])[0] for keyword in keywords)
    numbered = "" if number is None else f"{number} "
    return f"{modality or 'series'} {numbered}{description or '(no description)'!r} {uid}"


def separating_call(index: Index, series: Sequence[str]) -> str:
    """Return the `select` call that narrows to the first of several series."""
    for keyword in _SEPARATING:
        values = _column(index, keyword, series)
        if values[0] is not None and values.count(values[0]) == 1:
            return f"select({keyword}={values[0]!r})"
    return f"select({series[0]!r})"


def several_series(index: Index, series: Sequence[str], *, is_one_instance_each: bool) -> AmbiguousSelectionError:
    """Return the error for one volume of several series, with the call that separates the first.

    Parameters
    ----------
    index : Index
        What is known of the archive.
    series : sequence of str
        Keys of series.
    is_one_instance_each : bool
        Whether one instance of each is selected, so that each may be one slice.
    """
    listed = [describe(index, key) for key in series]
    more = f"; and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    joined = ""
    if is_one_instance_each and not _what_differs(index, series):
        joined = ", or, if each is one slice, read them as one with get_volume(across_series=True)"
    return AmbiguousSelectionError(
        f"{len(listed)} series are selected, and one volume is asked for: {'; '.join(listed[:_MOST_LISTED])}{more}. "
        f"Narrow to one of them, as in {separating_call(index, series)}, or read each with get_volumes(){joined}.",
        candidates=tuple(listed),
    )


def check_joinable(index: Index, series: Sequence[str]) -> None:
    """Refuse to read series of several studies or modalities as one volume.

    Raises
    ------
    AmbiguousSelectionError
        The message names the `select` that narrows to those of the first.
    """
    keyword = _what_differs(index, series)
    if not keyword:
        return
    values = list(dict.fromkeys(_column(index, keyword, series)))
    call = f"select({keyword}={values[0]!r})"
    raise AmbiguousSelectionError(
        f"across_series=True reads the series of one study and modality as one volume, and the {len(series)} series "
        f"selected have {len(values)} values of {keyword}. Narrow to one of them, as in {call}, or read each series "
        "with get_volumes().",
        candidates=tuple(str(value) for value in values),
    )


def _what_differs(index: Index, series: Sequence[str]) -> str:
    """Return the first tag that keeps series from being one volume, "" if there is none."""
    keywords = ("PatientID", "StudyInstanceUID", "Modality")
    return next((keyword for keyword in keywords if len(set(_column(index, keyword, series))) > 1), "")


def _column(index: Index, keyword: str, series: Sequence[str]) -> list[object]:
    tag = parse_tag(keyword)
    return [shown(value, tag) for value in index.column(tag, "series", series)]
