"""Volumes whose slices are read when they are computed: a DataArray of xarray over blocks of Dask.

The headers are read and planned once. What is kept of an object is its key, which slices it fills, and checksums, so
that a block is small to send to another process, and an object that was replaced meanwhile is refused.
"""

from __future__ import annotations

import hashlib
import operator
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import product
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom.fingerprint import checksum
from simple_orthanc.errors import VolumeError
from simple_orthanc.extras import import_extra
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_beginning
from simple_orthanc.pixels.processes import DecodingProcesses
from simple_orthanc.pixels.stored import stored_values
from simple_orthanc.selection.source import Mark, Revision, Source
from simple_orthanc.session.reading.fetching import ObjectFetcher
from simple_orthanc.session.reading.unreadable import unreadable_error, unreadable_objects
from simple_orthanc.volume.assembly import indexed, make_label_map, make_volume
from simple_orthanc.volume.choosing import choose_volume
from simple_orthanc.volume.frame_values import FrameValues, ValueType
from simple_orthanc.volume.pieces import Box, Pattern, Piece, chunks_of, pattern_of, pieces_of
from simple_orthanc.volume.segment_drawing import label_map_dtype
from simple_orthanc.volume.slice_parts import kept_slices

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from simple_orthanc.session.reading.kept_plans import KeptPlans
    from simple_orthanc.session.reading.selected_series import SelectedInstance
    from simple_orthanc.session.reading.volume_reader import VolumeRequest
    from simple_orthanc.volume.choosing import Stack
    from simple_orthanc.volume.volume import Volume

Key: TypeAlias = "SupportsIndex | slice | EllipsisType"


class StoredPiece(NamedTuple):
    """An object that slices are read from.

    Attributes
    ----------
    key : str
        The source's key.
    uid : str or None
        SOPInstanceUID, for messages.
    piece : Piece
        Which slices it fills.
    header : str
        Checksum of its header when the volume was planned.
    md5 : str or None
        That of its file then, where the source knew it.
    mark : Mark or None
        Else the state of its file, where the source can tell whether it was replaced since.
    """

    key: str
    uid: str | None
    piece: Piece
    header: str
    md5: str | None
    mark: Mark | None


class SlicesOnDemand:
    """An array whose slices are read when it is indexed, and not kept.

    It may be indexed from several threads at once, and pickled: then the source connects again where it lands.

    Parameters
    ----------
    source : Source
    pattern : Pattern
        What the objects have in common.
    objects : sequence of StoredPiece
    has_steps : bool
        Whether the first axis is that of the steps of a 4D volume.

    Attributes
    ----------
    shape, dtype, ndim
        As of an array.
    """

    def __init__(self, source: Source, pattern: Pattern, objects: Sequence[StoredPiece], has_steps: bool) -> None:
        self._source, self._pattern, self._objects, self._has_steps = source, pattern, tuple(objects), has_steps
        self.shape = pattern.shape if has_steps else pattern.shape[1:]
        self.dtype, self.ndim = pattern.type.dtype, len(self.shape)

    def __getitem__(self, key: Key | tuple[Key, ...]) -> NDArray[Any]:
        """Read what integers and slices keep of the array.

        Raises
        ------
        VolumeError
            An object was replaced since the volume was planned, or its pixels cannot be decoded.
        """
        keys = _expanded(key, self.ndim)
        step, number, *others = keys if self._has_steps else (0, *keys)
        steps, slices, *_ = self._pattern.shape
        if self._pattern.is_label_map:
            # Segments that overlap anywhere are no label map, so that all of them are drawn.
            whole = self._read(Box(range(steps), range(slices)))
            return whole[(step, number, *others)]
        array = self._read(Box(_range(step, steps), _range(number, slices)))
        return array[(*(slice(None) if isinstance(each, slice) else 0 for each in (step, number)), *others)]

    def _read(self, box: Box) -> NDArray[Any]:
        pattern = self._pattern
        array = np.full((len(box.steps), len(box.slices), *pattern.shape[2:]), pattern.background, self.dtype)
        places = product(box.steps, box.slices)
        objects = [self._objects[index] for index in sorted({index for at in places for index in self._at.get(at, ())})]
        keys, uids = [item.key for item in objects], [item.uid for item in objects]
        with DecodingProcesses(len(objects)) as processes:
            fetcher = ObjectFetcher(self._source, keys, uids, pattern.units, processes)
            for index, item in enumerate(objects):
                content, dataset = fetcher.fetch(index)
                self._check_unchanged(item, content)
                pattern.fill(array, box, item.piece, dataset, stored_values(dataset, processes))
        return array

    def _check_unchanged(self, item: StoredPiece, content: memoryview) -> None:
        """Refuse an object that is another one than was planned."""
        if item.md5 is not None:
            is_same = item.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
        else:
            mark = item.mark
            is_same = mark is None or not self._source.replaced_since(mark, [item.key], time.monotonic())
        header, _ = read_beginning(content, Scanner())
        if not is_same or checksum(header) != item.header:
            raise VolumeError(
                f"The file of SOPInstanceUID {item.uid or item.key} is another one than when the volume was requested: "
                "it was replaced in the archive. Call refresh(), and get_volume(lazy=True) again."
            )

    @cached_property
    def _at(self) -> dict[tuple[int, int], list[int]]:
        """The objects that fill each slice of each step."""
        found: dict[tuple[int, int], list[int]] = {}
        for index, item in enumerate(self._objects):
            for frame in item.piece.frames:
                found.setdefault((frame.step, frame.slice_index), []).append(index)
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without what is computed from the rest."""
        return {name: value for name, value in vars(self).items() if name != "_at"}

    def to_dask(self) -> Any:
        """Return a dask.array of it, with a block for each slice, or for the slices of one object."""
        pattern = self._pattern
        steps, slices = chunks_of(pattern.shape, [item.piece for item in self._objects])
        if pattern.is_label_map:
            steps, slices = pattern.shape[:1], pattern.shape[1:2]
        chunks = (*((steps,) if self._has_steps else ()), slices, *((size,) for size in pattern.shape[2:]))
        # Equal names are equal contents: Dask may compute one of them.
        content = repr((self._source.description, pattern, self._objects)).encode()
        return import_extra("dask.array", "dask", "lazy=True").from_array(
            self,
            chunks=chunks,
            name=f"simple-orthanc-{hashlib.blake2b(content, digest_size=16).hexdigest()}",
            asarray=False,
            fancy=False,
            meta=np.empty((0,) * self.ndim, self.dtype),
        )


def _expanded(key: Key | tuple[Key, ...], axes: int) -> tuple[int | slice, ...]:
    """Return an integer or a slice for each axis."""
    expanded: list[int | slice] = []
    keys = key if isinstance(key, tuple) else (key,)
    for each in keys:
        if isinstance(each, EllipsisType):
            expanded += [slice(None)] * (axes - len(keys) + 1)
        else:
            expanded.append(each if isinstance(each, slice) else operator.index(each))
    return (*expanded, *[slice(None)] * (axes - len(expanded)))


def _range(key: int | slice, size: int) -> range:
    if isinstance(key, slice):
        return range(size)[key]
    position = range(size)[key]
    return range(position, position + 1)


def read_on_demand(
    source: Source,
    instances: Sequence[SelectedInstance],
    request: VolumeRequest,
    plans: KeptPlans,
    revision: Revision | None,
) -> xarray.DataArray:
    """Plan all instances as one volume, and return it without its pixels, which are read when they are computed.

    Parameters
    ----------
    source : Source
    instances : sequence of SelectedInstance
    request : VolumeRequest
    plans : KeptPlans
        What was planned for the selection before.
    revision : Revision or None
        The state of the archive before the instances were listed, if that is known.

    Raises
    ------
    VolumeError
        The headers are not those of one volume, or unreadable files were to be left out.
    UnsupportedError
        xarray or Dask is not installed.
    """
    for module, extra in (("xarray", "xarray"), ("dask.array", "dask")):
        import_extra(module, extra, "lazy=True")
    if request.errors == "report":
        raise VolumeError(
            'errors="report" was requested with lazy=True, which reads no pixels beforehand, so that it cannot know '
            "which files are to be left out. Use one of the two."
        )
    keys, uids = [instance.key for instance in instances], [instance.uid for instance in instances]
    checksums: dict[int, tuple[str, str | None, Mark | None]] = {}

    def seen(index: int, header: Dataset) -> None:
        md5 = source.stored_file(keys[index]).md5
        mark = source.mark(revision, [keys[index]]) if md5 is None else None
        checksums[index] = checksum(header), md5, mark

    with DecodingProcesses(len(instances)) as processes:
        fetcher = ObjectFetcher(source, keys, uids, request.units, processes)
        fetcher.read_headers(range(len(instances)), seen)
    headers = fetcher.headers
    if reasons := unreadable_objects(headers):
        raise unreadable_error({instances[index].name: why for index, why in reasons.items()}, len(instances))
    chosen = choose_volume(plans.plan(keys, headers, request), request.dims, request.gaps)
    outline, pattern, pieces = _planned(chosen, headers, request)
    objects = [StoredPiece(keys[index], uids[index], piece, *checksums[index]) for index, piece in pieces.items()]
    array = SlicesOnDemand(source, pattern, objects, has_steps=len(outline.dims) == 4).to_dask()
    volume = replace(outline, array=array)
    if request.slices is not None:
        kept_slices(request.slices, pattern.shape[1])
        volume = indexed(volume, request.slices)
    # The name of the blocks is nothing to show.
    return volume.to_xarray().rename(None)


def _planned(
    chosen: Sequence[Stack], headers: Sequence[Dataset], request: VolumeRequest
) -> tuple[Volume, Pattern, dict[int, Piece]]:
    """Return the volume, with values that take no memory, and how its objects fill it."""
    first = chosen[0]
    values = None
    if first.is_label_map:
        number = label_map_dtype(first, headers, request.units)
        kind = ValueType(number, number)
    else:
        values = FrameValues(chosen, headers, request.units)
        kind = values.type
    pattern = pattern_of(chosen, headers, kind, request.units, request.spacing)
    nothing = np.broadcast_to(kind.dtype.type(0), pattern.shape)
    if values is None:
        outline = make_label_map(first, headers, nothing[0])
    else:
        outline = make_volume(chosen, headers, nothing, None, values)
    return outline, pattern, pieces_of(chosen, values)
