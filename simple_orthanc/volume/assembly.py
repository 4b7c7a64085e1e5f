"""From planned stacks and pixels to one `Volume`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.conversion import result_dtype
from simple_orthanc.pixels.padding import background_value, padding_mask
from simple_orthanc.pixels.sample_format import stored_dtype
from simple_orthanc.volume.choosing import Stack, apply_gaps
from simple_orthanc.volume.coordinates import find_coordinates
from simple_orthanc.volume.frame_table import FrameTable
from simple_orthanc.volume.frame_values import FrameValues, frames_of, slots_of
from simple_orthanc.volume.planes import Plane
from simple_orthanc.volume.segment_drawing import draw_segment, label_map_dtype
from simple_orthanc.volume.slice_parts import kept_slices, parts_of
from simple_orthanc.volume.volume import AXES, Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray


def assemble(
    stacks: Stack | Sequence[Stack],
    headers: Sequence[Dataset],
    stored: Callable[[int], NDArray[Any]],
    units: str = "modality",
    gaps: str = "raise",
    slices: slice | None = None,
) -> Volume:
    """Put the pixels of planned stacks into one array.

    The array is allocated once. Objects are asked for one after the other, each once, and no two are held at a time.

    Parameters
    ----------
    stacks : Stack or sequence of Stack
        One, or several of the same grid with their ``step``, as ``choosing.choose_volume`` gives.
    headers : sequence of pydicom.Dataset
        Those that the stacks were planned from.
    stored : callable
        Gives for the index of a header its stored values, (frame, row, column), or with 3 last, as ``stored_values``.
    units : str
        "stored", "modality", "real world", "philips", "SUVbw", "SUVlbm", "SUVbsa" or "SUVibw".
    gaps : {"raise", "nan"}
        What to do about missing slices.
    slices : slice, optional
        The slices that are wanted: the volume is that part of the whole one, and only their objects are asked for.

    Returns
    -------
    Volume

    Raises
    ------
    VolumeError
        The problem of a stack, pixels that cannot be decoded, a standardized uptake value that cannot be computed.
    """
    chosen = require_regular(stacks, gaps)
    if chosen[0].is_label_map:
        # Segments that overlap anywhere are no label map.
        return part_of(_label_map(chosen[0], headers, stored, units), slices)
    values = FrameValues(chosen, headers, units)
    parts = parts_of(chosen, slices)
    shape = (len(parts), parts[0].slices, *chosen[0].shape[1:])
    array = np.empty(shape, values.type.dtype)
    nothing = background_value(headers[chosen[0].planes[0].instance]) if chosen[0].is_sparse else np.nan
    for step, stack in enumerate(parts):
        for slice_index in sorted(set(range(stack.slices)) - set(stack.slice_indices)):
            array[step, slice_index] = nothing
    mask: NDArray[np.bool_] | None = None
    for (step, slice_index, plane), frame in frames_of(slots_of(parts), stored):
        array[step, slice_index] = values.of(plane, frame)
        padded = padding_mask(headers[plane.instance], frame)
        if padded is not None:
            mask = np.zeros(shape[:4], bool) if mask is None else mask
            mask[step, slice_index] = padded
    return make_volume(chosen, headers, array, mask, values, slices)


def part_of(volume: Volume, slices: slice | None) -> Volume:
    """Return some slices of a volume, with memory of their own; all of them are the volume itself."""
    if slices is None:
        return volume
    kept_slices(slices, volume.shape[len(volume.dims) - 3])
    part = indexed(volume, slices)
    mask = None if part.padding_mask is None else part.padding_mask.copy()
    return replace(part, array=part.array.copy(), padding_mask=mask)


def indexed(volume: Volume, slices: slice) -> Volume:
    """Return some slices of a volume, of each step of a 4D volume."""
    part: Volume = volume[(*[slice(None)] * (len(volume.dims) - 3), slices)]
    return part


def array_bytes(stack: Stack, headers: Sequence[Dataset], units: str = "modality") -> int:
    """Return the size of the array that a stack becomes, in bytes, from headers alone.

    Parameters
    ----------
    stack : Stack
    headers : sequence of pydicom.Dataset
        Those that the stack was planned from.
    units : str
        As for :func:`assemble`.

    Returns
    -------
    int
        Where the values cannot be had in these units, the size of the stored ones.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> from simple_orthanc.volume.choosing import plan_stacks
    >>> series = make_series((3, 4, 5), slope=0.5)
    >>> array_bytes(plan_stacks(series)[0], series)
    240
    """
    try:
        dtype = FrameValues([stack], headers, units).type.dtype
    except VolumeError:
        dtype = result_dtype([headers[plane.instance] for plane in stack.planes], (), "stored")
    return int(np.prod(stack.shape)) * dtype.itemsize


def make_volume(
    chosen: Sequence[Stack],
    headers: Sequence[Dataset],
    array: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    values: FrameValues,
    slices: slice | None = None,
) -> Volume:
    """Return the volume of filled arrays, (step, slice, row, column), with the log and the table of its frames.

    Parameters
    ----------
    chosen, headers, values
        Of the whole volume.
    array, mask : ndarray
        Of the slices that are wanted.
    slices : slice, optional
        The slices that are wanted.
    """
    if slices is not None:
        return _made_part(chosen, headers, array, mask, values, slices)
    first = chosen[0]
    log = list(dict.fromkeys(note for stack in chosen for note in stack.log)) + values.log
    table = _table(chosen, [values.slope(plane) for stack in chosen for plane in stack.planes])
    dims: tuple[str, ...] = AXES
    coordinates: dict[str, tuple[Any, ...]] = {}
    coordinate_units: dict[str, str] = {}
    if first.step is None:
        array, mask = array[0], None if mask is None else mask[0]
    else:
        axis, found = first.step[0], find_coordinates(chosen, headers)
        dims, log = (axis, *AXES), [*log, *found.log]
        coordinates[axis], coordinate_units[axis] = found.values, found.unit
        if found.directions:
            coordinates["direction"], coordinate_units["direction"] = found.directions, ""
        steps = [value for stack, value in zip(chosen, found.values, strict=True) for _ in stack.planes]
        table = table.with_column(axis, steps)
    return Volume(
        array=array,
        geometry=first.geometry,
        header=headers[first.planes[0].instance],
        units=values.unit,
        padding_mask=mask,
        slices=table,
        log=tuple(log),
        suv=values.suv,
        dims=dims,
        coordinates=coordinates,
        coordinate_units=coordinate_units,
    )


def _made_part(
    chosen: Sequence[Stack],
    headers: Sequence[Dataset],
    array: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    values: FrameValues,
    slices: slice,
) -> Volume:
    """Return the part of the whole volume, which is made with values that take no memory."""
    shape = (array.shape[0], chosen[0].slices, *array.shape[2:])
    whole = make_volume(chosen, headers, np.broadcast_to(array.dtype.type(0), shape), None, values)
    if mask is None and any(_names_padding(plane, headers) for stack in chosen for plane in stack.planes):
        mask = np.zeros(array.shape[:4], bool)
    if chosen[0].step is None:
        array, mask = array[0], None if mask is None else mask[0]
    return replace(indexed(whole, slices), array=array, padding_mask=mask)


def _names_padding(plane: Plane, headers: Sequence[Dataset]) -> bool:
    """Check whether a header names a value of padding, whether pixels have it or not."""
    header = headers[plane.instance]
    return plane.samples == 1 and padding_mask(header, np.zeros((1, 1), stored_dtype(header))) is not None


def require_regular(stacks: Stack | Sequence[Stack], gaps: str) -> list[Stack]:
    """Do what is asked of missing slices, and refuse what is no regular volume."""
    chosen = apply_gaps([stacks] if isinstance(stacks, Stack) else list(stacks), gaps)
    for stack in chosen:
        if stack.problem is not None:
            raise stack.problem
    return chosen


def _table(chosen: Sequence[Stack], slopes: Sequence[float]) -> FrameTable:
    planes = [plane for stack in chosen for plane in stack.planes]
    return FrameTable(
        [slice_index for stack in chosen for slice_index in stack.slice_indices],
        (
            ("SOPInstanceUID", [plane.uid for plane in planes]),
            ("frame", [plane.frame_index + 1 for plane in planes]),
            ("position", [plane.position for plane in planes]),
            ("slope", slopes),
        ),
    )


def _label_map(stack: Stack, headers: Sequence[Dataset], stored: Callable[[int], NDArray[Any]], units: str) -> Volume:
    array = np.zeros(stack.shape, label_map_dtype(stack, headers, units))
    for (_, slice_index, plane), frame in frames_of(slots_of([stack]), stored):
        draw_segment(array[slice_index], plane, slice_index, frame)
    return make_label_map(stack, headers, array)


def make_label_map(stack: Stack, headers: Sequence[Dataset], array: NDArray[Any]) -> Volume:
    """Return the volume of a segmentation whose segments are drawn."""
    return Volume(
        array=array,
        geometry=stack.geometry,
        header=headers[stack.planes[0].instance],
        units="label",
        slices=_table([stack], [1.0] * len(stack.planes)),
        log=stack.log,
    )
