"""The order that holds everywhere: of patients, studies, series and instances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import Tag, parse_tag
from simple_orthanc.dicom.values import Value, comparable
from simple_orthanc.selection.computed import Rows


class OrderableRows(Rows, Protocol):
    """The rows of an archive; see `simple_orthanc.selection.index.Index`."""

    def home(self, tag: Tag) -> Level | None:
        """Return the level whose rows answer for a tag, None if only the files hold it."""
        ...


def in_order(rows: OrderableRows, level: Level, keys: Sequence[str]) -> list[str]:
    """Return keys in the usual order; `simple_orthanc.selection.index.Index.ordered` says which it is.

    Parameters
    ----------
    rows : OrderableRows
        The rows of the archive.
    level : str
        The level of the keys.
    keys : sequence of str
        The keys, in any order.
    """
    keys = list(keys)
    if len(keys) < 2:
        return keys
    columns: list[Sequence[Any]] = []
    if level != "study":
        above = LEVELS[depth(level) - 1]
        owners = rows.up(level, keys, above)
        distinct = list(dict.fromkeys(owners))
        if len(distinct) > 1:
            ranks = {key: rank for rank, key in enumerate(in_order(rows, above, distinct))}
            columns.append([ranks[owner] for owner in owners])
    if level == "instance":
        columns.append(_positions(rows, keys))
    for tag in _ORDER[level]:
        columns.append(_sortable(rows.column(tag, level, keys), tag))
    ranked = sorted(zip(*columns, range(len(keys)), strict=True))
    return [keys[row[-1]] for row in ranked]


def _positions(rows: OrderableRows, keys: Sequence[str]) -> list[tuple[bool, float]]:
    if rows.home(_POSITION) is None or rows.home(_ORIENTATION) is None:
        # An order is not worth reading every file.
        return [(True, 0.0)] * len(keys)
    positions = rows.column(_POSITION, "instance", keys)
    orientations = rows.column(_ORIENTATION, "instance", keys)
    return [_along_normal(*pair) for pair in zip(positions, orientations, strict=True)]


_ORDER: dict[Level, tuple[Tag, ...]] = {
    "study": tuple(map(parse_tag, ("PatientID", "StudyDate", "StudyTime", "StudyInstanceUID"))),
    "series": (parse_tag("SeriesNumber"), parse_tag("SeriesInstanceUID")),
    "instance": (parse_tag("InstanceNumber"), parse_tag("SOPInstanceUID")),
}
_POSITION, _ORIENTATION = parse_tag("ImagePositionPatient"), parse_tag("ImageOrientationPatient")


def _sortable(values: Sequence[Value], tag: Tag) -> list[Any]:
    """Return what to sort values by: a number, however it is spelt, or else a string; what is missing comes last."""
    if tag.vr != "IS":
        return [(value is None, str(value[0]) if value else "") for value in values]
    # Many series share a number.
    numbers = {value: _number(str(value[0]) if value else "", tag) for value in set(values)}
    return [(value is None, *numbers[value]) for value in values]


def _number(string: str, tag: Tag) -> tuple[float, str]:
    if not string:
        return (0.0, "")
    # Nearly all are plain digits, and there are many of them.
    number = int(string) if string.isdecimal() and len(string) < 16 else comparable(string, tag.vr)
    # An integer is not converted: one of hundreds of digits is more than a float can hold.
    return (number, "") if isinstance(number, (int, float)) else (0.0, string)


def _along_normal(position: Value, orientation: Value) -> tuple[bool, float]:
    """Return the distance of a slice along its normal in mm, to sort by; (True, 0) if it has no position.

    A position that is not finite counts as missing: NaN compares with nothing, and one alone would spoil the order.
    Rounded to a micrometre, so that slices of one position told apart by InstanceNumber stay together.
    """
    try:
        x, y, z = (float(part) for part in position or ())
        a, b, c, d, e, f = (float(part) for part in orientation or ())
    except ValueError:
        return (True, 0.0)
    distance = x * (b * f - c * e) + y * (c * d - a * f) + z * (a * e - b * d)
    return (False, round(distance, 3)) if math.isfinite(distance) else (True, 0.0)
