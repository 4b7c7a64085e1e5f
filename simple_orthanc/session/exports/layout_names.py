"""The names that a layout makes of many objects: no two alike on any file system, or the layout that separates them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import SelectionError
from simple_orthanc.session.exports.layouts import Layout, Name, parse_layout
from simple_orthanc.session.exports.names import folded

# The fields that are not from the headers: a proposal may have one that the layout lacks.
_NO_TAGS = ("index", "label")


def plan_names(
    layout: Layout,
    column: Callable[[str], Sequence[Value | int]],
    describe: Callable[[int], str],
    verb: str,
    proposals: Sequence[tuple[str, ...]],
) -> list[PurePosixPath]:
    """Name the files of many objects, no two alike on any file system.

    Parameters
    ----------
    layout : Layout
    column : callable
        Returns the value of each object for the name of a field; called for ``"index"`` too.
    describe : callable
        Returns how messages name the object of an index.
    verb : str
        The method that was called.
    proposals : sequence of tuple of str
        Fields that may separate the objects, the simplest first; the last always do.

    Raises
    ------
    SelectionError
        Two files would get one name, or values that differ would share a folder. The message names both objects, and a
        layout that separates them.

    Examples
    --------
    >>> columns = {"PatientID": [("A 1",), ("A 2",)], "index": [1, 2]}
    >>> layout = parse_layout("{PatientID}.dcm", "download")
    >>> [str(path) for path in plan_names(layout, columns.__getitem__, str, "download", [("index",)])]
    ['A_1.dcm', 'A_2.dcm']
    """
    names = _names(layout, column)
    clash = find_clash(names)
    if clash is None:
        return [name.path for name in names]
    one, other, reason = clash
    candidates = [layout.extended(*fields) for fields in proposals] + [layout.replaced(*proposals[-1])]
    separating = next(
        text
        for text in candidates
        if text == candidates[-1] or find_clash(_names(parse_layout(text, verb, _NO_TAGS), column)) is None
    )
    raise SelectionError(
        f"{verb}(layout={layout.text!r}) would put {describe(one)} and {describe(other)} {reason}. This layout keeps "
        f"them apart: {verb}(layout={separating!r}). Nothing was written."
    )


def _names(layout: Layout, column: Callable[[str], Sequence[Value | int]]) -> list[Name]:
    fields = list(dict.fromkeys(field.name for field in layout.fields))
    # Without a field there are as many names as objects all the same.
    values = zip(column("index"), *map(column, fields), strict=True)
    return [layout.name(dict(zip(("index", *fields), row, strict=True))) for row in values]


def find_clash(names: Sequence[Name]) -> tuple[int, int, str] | None:
    """Find two names that would be one file, or one folder of values that differ.

    Returns
    -------
    (int, int, str) or None
        The indices of both, and what they would share.
    """
    folders: dict[tuple[str, ...], tuple[tuple[str, ...], int]] = {}
    files: dict[tuple[str, ...], int] = {}
    for index, name in enumerate(names):
        key = tuple(folded(part) for part in name.parts)
        if key in files:
            return files[key], index, f"into one file, {str(name.path)!r}"
        files[key] = index
        for depth in range(1, len(key)):
            texts, owner = folders.setdefault(key[:depth], (name.texts[:depth], index))
            if texts != name.texts[:depth]:
                shared = "/".join(name.parts[:depth])
                values = " and ".join(repr(text[-1].replace("\0", "")) for text in (texts, name.texts[:depth]))
                return owner, index, f"into one folder, {shared!r}, although their values differ ({values})"
    for key, index in files.items():
        if key in folders:
            return index, folders[key][1], f"under one name, {'/'.join(names[index].parts)!r}, as a file and a folder"
    return None
