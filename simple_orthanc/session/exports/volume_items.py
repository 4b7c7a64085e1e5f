"""The volumes of a selection before they are read: each with its images, its header's values, and its name on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import OrthancError, SelectionError, VolumeError
from simple_orthanc.session.exports.layout_names import plan_names
from simple_orthanc.session.exports.layouts import parse_layout
from simple_orthanc.session.reading.series_names import plain_label
from simple_orthanc.session.reading.unreadable import is_about_one_object
from simple_orthanc.session.reading.volume_reader import Labelled, VolumeReader, VolumeRequest
from simple_orthanc.volume.choosing import AXES, choose_volume
from simple_orthanc.volume.saving import SUFFIXES
from simple_orthanc.volume.stacking import Stack
from simple_orthanc.volume.volume import Volume

# Fields that tell volumes apart; the last always do.
_SEPARATING = (
    ("SeriesNumber",),
    ("label",),
    ("SeriesNumber", "label"),
    ("SeriesInstanceUID", "label"),
    ("index",),
)


@dataclass(frozen=True)
class VolumeItem:
    """A volume of the selection, not read yet; or a series that has none.

    Attributes
    ----------
    label : str
        Of the volume in its series, as ``get_volumes`` of that series alone has it; "" for a series without volumes.
    series : str
        Key of the series.
    instance_count : int
        The number of objects that it is made of.
    bytes : int
        Of its array.
    digest : str
        What it is made of and how: the images in their order, the grid, and what was asked for.
    read : callable
        Reads it.
    checksum : callable
        Returns a checksum of the files of its images, None where the source keeps none of each.
    problem : OrthancError or None
        Why it cannot be read.
    facts : mapping
        What its namer has kept of its header.
    """

    label: str
    series: str
    instance_count: int
    bytes: int
    digest: str
    read: Callable[[], Volume]
    checksum: Callable[[], str | None]
    problem: OrthancError | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Named:
    """The name of a volume on disk.

    Attributes
    ----------
    path : PurePosixPath
        Without suffix, from the target folder.
    message : str
        What the user should know of this name; "" if nothing.
    entries : mapping
        What its sidecar has because of this name.
    """

    path: PurePosixPath
    message: str = ""
    entries: Mapping[str, Any] = field(default_factory=dict)


class Namer(Protocol):
    """What names volumes: a layout, or the rules of BIDS.

    Attributes
    ----------
    axes : tuple of str
        Along which volumes are stacked where the user does not say.
    """

    axes: tuple[str, ...]

    def facts(self, header: Dataset, stacks: Sequence[Stack]) -> Mapping[str, Any]:
        """Return what is kept of the header of a volume, so that headers need not be."""
        ...

    def names(self, items: Sequence[VolumeItem]) -> list[Named]:
        """Name volumes, no two alike.

        Raises
        ------
        SelectionError
            Two of them would get one name.
        """
        ...

    def prepare(self, target: Path, staged: Path, items: Sequence[VolumeItem]) -> None:
        """Write what the target holds beside the volumes.

        Parameters
        ----------
        target : Path
        staged : Path
            Where files grow.
        items : sequence of VolumeItem
            Those that are named.
        """
        ...


class LayoutNamer:
    """Names volumes by a layout; all of them stay as they are.

    Parameters
    ----------
    layout : str
        Of the names without suffix, or with that of the format.
    suffix : str
        The suffix of the format.

    Raises
    ------
    SelectionError
        It is no layout, or ends with the suffix of another format.
    """

    axes: tuple[str, ...] = ()

    def __init__(self, layout: str, suffix: str) -> None:
        ending = next((ending for ending in SUFFIXES if str(layout).endswith(ending)), "")
        if ending not in ("", suffix):
            raise SelectionError(
                f"save_volumes(layout={layout!r}): the layout ends with {ending}, and format={suffix!r} was requested. "
                f"Leave the suffix out, or write format={ending!r}."
            )
        layout = layout.removesuffix(ending) if ending else layout
        self._layout = parse_layout(layout, "save_volumes", ("label", "index"))
        fields = (name for names in _SEPARATING for name in names)
        wanted = {*fields, *(field.name for field in self._layout.fields)}
        self._names = sorted(wanted - {"index", "label"})

    def facts(self, header: Dataset, stacks: Sequence[Stack]) -> Mapping[str, Any]:
        """Return the values of the fields."""
        return {name: read_value(header, parse_tag(name)) for name in self._names}

    def names(self, items: Sequence[VolumeItem]) -> list[Named]:
        """Name volumes by their values."""

        def column(name: str) -> list[Value | int]:
            if name == "index":
                return list(range(1, len(items) + 1))
            return [(item.label,) if name == "label" else item.facts.get(name) for item in items]

        def describe(index: int) -> str:
            uid = (items[index].facts["SeriesInstanceUID"] or ("",))[0]
            return f"{items[index].label!r} of SeriesInstanceUID {uid}"

        return [Named(path) for path in plan_names(self._layout, column, describe, "save_volumes", _SEPARATING)]

    def prepare(self, target: Path, staged: Path, items: Sequence[VolumeItem]) -> None:
        """Write nothing."""


class VolumeItems:
    """Lists the volumes of a selection.

    Parameters
    ----------
    reader : VolumeReader
        Has the selection.
    request : VolumeRequest
        How the volumes were asked of it.
    axes : sequence of str
        Along which the volumes of a series become one 4D volume where they can.
    namer : Namer
        Names them.
    """

    def __init__(self, reader: VolumeReader, request: VolumeRequest, axes: Sequence[str], namer: Namer) -> None:
        self._reader, self._request, self._axes, self._namer = reader, request, axes, namer

    def all(self) -> list[VolumeItem]:
        """List the volumes, from headers alone, in the order of the selection."""
        by_series: dict[str, list[tuple[str, Labelled]]] = {}
        for label, group in self._reader.planned().items():
            by_series.setdefault(group.series, []).append((label, group))
        planned = [item for groups in by_series.values() for item in self._of_series(groups)]
        return run_all(lambda complete: complete(), planned, label="reading headers")

    def _of_series(self, groups: Sequence[tuple[str, Labelled]]) -> list[Callable[[], VolumeItem]]:
        for axis in self._axes:
            stacks = _stacked([group for _, group in groups], axis)
            if stacks is not None:
                size = sum(group.bytes for _, group in groups)
                return [partial(self._item, *groups[0], stacks, axis, size)]
        return [
            partial(self._item, label, group, [group.stack] if group.stack else [], None, group.bytes)
            for label, group in groups
        ]

    def _item(self, label: str, group: Labelled, stacks: Sequence[Stack], axis: str | None, size: int) -> VolumeItem:
        problem: OrthancError | None = group.problem
        facts: Mapping[str, Any] = {}
        name = "" if group.stack is None else axis or plain_label(group.stack.label)
        objects = {plane.instance for stack in stacks for plane in stack.planes}
        if problem is None:
            try:
                facts = self._namer.facts(self._reader.header_of(group), stacks)
            except OrthancError as error:
                if not is_about_one_object(error):
                    raise
                problem = error
        return VolumeItem(
            name,
            group.series,
            len(objects) or len(group.instances),
            size,
            self._digest(stacks, axis),
            lambda: self._reader.labelled(label) if axis is None else self._reader.stacked(label, axis),
            lambda: self._reader.checksum([group.instances[index] for index in sorted(objects)]),
            problem,
            facts,
        )

    def _digest(self, stacks: Sequence[Stack], axis: str | None) -> str:
        request = self._request
        content = [
            [request.units, request.gaps, request.spacing, axis],
            [
                [
                    [(plane.uid, plane.frame_index) for plane in stack.planes],
                    list(stack.slice_indices),
                    None if stack.geometry is None else [f"{value:.6g}" for value in stack.geometry.affine.ravel()],
                ]
                for stack in stacks
            ],
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def check_axes(dims: object) -> tuple[str, ...]:
    """Read the argument ``dims`` of `save_volumes`.

    Raises
    ------
    VolumeError
        There is no such axis.
    """
    axes = (dims,) if isinstance(dims, str) else tuple(dims) if isinstance(dims, (list, tuple)) else None
    if axes is None or not all(axis in AXES for axis in axes):
        raise VolumeError(f"dims={dims!r} is not valid; choose one or several of {', '.join(map(repr, AXES))}.")
    return axes


def _stacked(groups: Sequence[Labelled], axis: str) -> list[Stack] | None:
    """Order the groups of a series along an axis, None where that is not possible."""
    stacks = [group.stack for group in groups if group.stack is not None and group.problem is None]
    if len(stacks) < max(2, len(groups)):
        return None
    try:
        return choose_volume(stacks, dims=axis)
    except VolumeError:
        return None
