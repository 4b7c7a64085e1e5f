"""From planned stacks and pixels to one `Volume`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.errors import InconsistentSlicesError, PixelDecodeError, SuvError, VolumeError
from simple_orthanc.pixels import suv
from simple_orthanc.pixels.conversion import apply_rescale, result_dtype
from simple_orthanc.pixels.padding import background_value, padding_mask
from simple_orthanc.pixels.rescale import Rescale, read_rescale
from simple_orthanc.pixels.sample_format import stored_dtype
from simple_orthanc.volume.choosing import Stack, apply_gaps
from simple_orthanc.volume.coordinates import find_coordinates
from simple_orthanc.volume.mosaic import split_tiles
from simple_orthanc.volume.planes import Plane
from simple_orthanc.volume.slice_parts import kept_slices, parts_of
from simple_orthanc.volume.volume import AXES, Volume

if TYPE_CHECKING:
    import pandas as pd
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
    array = np.empty(shape, values.dtype)
    nothing = background_value(headers[chosen[0].planes[0].instance]) if chosen[0].is_sparse else np.nan
    for step, stack in enumerate(parts):
        for slice_index in sorted(set(range(stack.slices)) - set(stack.slice_indices)):
            array[step, slice_index] = nothing
    mask: NDArray[np.bool_] | None = None
    for (step, slice_index, plane), frame in _frames(parts, stored):
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
    part = _indexed(volume, slices)
    mask = None if part.padding_mask is None else part.padding_mask.copy()
    return replace(part, array=part.array.copy(), padding_mask=mask)


def _indexed(volume: Volume, slices: slice) -> Volume:
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
        dtype = FrameValues([stack], headers, units).dtype
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
        table[axis] = [value for stack, value in zip(chosen, found.values, strict=True) for _ in stack.planes]
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
    return replace(_indexed(whole, slices), array=array, padding_mask=mask)


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


Slot = tuple[int, int, Plane]


def _frames(chosen: Sequence[Stack], stored: Callable[[int], NDArray[Any]]) -> Iterator[tuple[Slot, NDArray[Any]]]:
    """Return each frame with the step and the slice it fills, object by object."""
    by_instance: dict[int, list[Slot]] = {}
    for step, stack in enumerate(chosen):
        for slice_index, plane in zip(stack.slice_indices, stack.planes, strict=True):
            by_instance.setdefault(plane.instance, []).append((step, slice_index, plane))
    for instance, slots in by_instance.items():
        array = stored(instance)
        first = slots[0][2]
        if first.tiles is not None and array.shape == (1, *np.multiply(first.tiles, first.size)):
            array = split_tiles(array, first.tiles, first.number_of_frames)
        expected = (first.number_of_frames, *first.size, *((first.samples,) if first.samples > 1 else ()))
        if array.shape != expected:
            raise PixelDecodeError(
                f"{expected[0]} frame(s) of {expected[1]} rows and {expected[2]} columns were expected of "
                f"SOPInstanceUID {first.uid}, of the shape {expected}, but its pixels decode to {array.shape}. "
                "Store the object again from its origin."
            )
        for slot in slots:
            yield slot, array[slot[2].frame_index]


def _rescale_key(plane: Plane) -> tuple[int, int]:
    """Return the object and the frame whose rescale a frame has: all tiles of a mosaic are one frame."""
    return plane.instance, plane.frame_index if plane.tiles is None else 0


class FrameValues:
    """The values of frames in the unit that was asked: decided from all headers before the first pixel is read."""

    def __init__(
        self,
        chosen: Sequence[Stack],
        headers: Sequence[Dataset],
        units: str,
        known: Mapping[int, Rescale] | None = None,
    ) -> None:
        planes = [plane for stack in chosen for plane in stack.planes]
        known = known or {}
        kind = units if units.startswith("SUV") else None
        self._headers, self._factors, self.suv = headers, None, None
        self.log: list[str] = []
        self._rescales: dict[tuple[int, int], Rescale] = {}
        for plane in planes:
            key = _rescale_key(plane)
            if key not in self._rescales:
                found = known.get(plane.instance)
                self._rescales[key] = found or read_rescale(headers[key[0]], key[1], "modality" if kind else units)
        self.unit = self._one_unit(planes)
        if kind is not None:
            instances = list(dict.fromkeys(plane.instance for plane in planes))
            try:
                factors, self.suv = suv.suv_scale([headers[instance] for instance in instances], kind)
            except SuvError as error:
                way_out = 'get_volume(units="modality") reads the values as they are.'
                raise SuvError(f"{error.message} {way_out}") from error.__cause__
            self.log += self.suv.warnings
            self._factors = dict(zip(instances, factors, strict=True))
            self.unit = {"SUVbsa": "cm2/ml"}.get(kind, "g/ml")
            self.dtype = self.complete = np.dtype(np.float32)
            return
        own = [headers[instance] for instance in dict.fromkeys(plane.instance for plane in planes)]
        # The type is `complete` where no slice is missing.
        self.dtype = self.complete = result_dtype(own, list(self._rescales.values()), units)
        missing = any(set(stack.slice_indices) != set(range(stack.slices)) and not stack.is_sparse for stack in chosen)
        if missing:
            # float32 holds the whole numbers of 16 stored bits and an intercept, also where they need int32.
            narrow = self.dtype.kind in "iu" and result_dtype(own, (), "stored").itemsize < 4
            self.dtype = np.dtype(np.float32) if narrow else np.result_type(self.dtype, np.float32)

    def _one_unit(self, planes: Sequence[Plane]) -> str:
        found: dict[str, int] = {}
        for plane in planes:
            unit = self._rescale(plane).unit
            found[unit] = found.get(unit, 0) + 1
        if len(found) > 1:
            named = ", ".join(f"{unit or 'none'} ({count} slices)" for unit, count in found.items())
            raise InconsistentSlicesError(
                f"One volume was requested, but the slices are in different units: {named}. Separate them with "
                'select(...), or read them with get_volume(units="stored").',
                groups=found,
            )
        return next(iter(found))

    def _rescale(self, plane: Plane) -> Rescale:
        return self._rescales[_rescale_key(plane)]

    def slope(self, plane: Plane) -> float:
        """Return the slope of a frame, the factor of a standardized uptake value included."""
        factor = 1.0 if self._factors is None else self._factors[plane.instance]
        return float(self._rescale(plane).slope) * factor

    def of(self, plane: Plane, frame: NDArray[Any]) -> NDArray[Any]:
        """Return the values of one frame."""
        rescale = self._rescale(plane)
        if frame.dtype.kind == "f" and not np.can_cast(frame.dtype, self.complete) and self._factors is None:
            raise PixelDecodeError(
                f"Pixels that fit into {self.complete} were expected of SOPInstanceUID {plane.uid} by its header, but "
                f"they decode to {frame.dtype}. Store the object again from its origin."
            )
        if self._factors is None:
            return apply_rescale(frame, rescale, self.dtype)
        values = apply_rescale(frame, rescale, np.dtype(np.float64)) * self._factors[plane.instance]
        return values.astype(self.dtype)


def _table(chosen: Sequence[Stack], slopes: Sequence[float]) -> pd.DataFrame:
    import pandas as pd

    pairs = [pair for stack in chosen for pair in zip(stack.slice_indices, stack.planes, strict=True)]
    columns: dict[str, Any] = {
        "SOPInstanceUID": [plane.uid for _, plane in pairs],
        "frame": [plane.frame_index + 1 for _, plane in pairs],
        "position": [plane.position for _, plane in pairs],
        "slope": list(slopes),
    }
    table: pd.DataFrame = pd.DataFrame(columns, index=pd.Index([slice_index for slice_index, _ in pairs], name="slice"))
    return table


def _label_map(stack: Stack, headers: Sequence[Dataset], stored: Callable[[int], NDArray[Any]], units: str) -> Volume:
    """Draw the segments of a segmentation (PS3.3 C.8.20) into one array by their numbers."""
    if units not in ("modality", "stored"):
        raise VolumeError(
            f"units={units!r} was requested for a segmentation, whose values are the numbers of its segments: read it "
            "with get_volume()."
        )
    header = headers[stack.planes[0].instance]
    if header.get("SegmentationType") == "FRACTIONAL":
        raise InconsistentSlicesError(
            "One volume was requested from a segmentation with several fractional segments, which one array of labels "
            "cannot hold. Read each segment by itself with get_volumes()."
        )
    largest = max(plane.segment or 0 for plane in stack.planes)
    array = np.zeros(stack.shape, np.uint8 if largest < 256 else np.uint16)
    for (_, slice_index, plane), frame in _frames([stack], stored):
        inside = frame > 0
        others = np.unique(array[slice_index][inside])
        if others.any():
            names = ", ".join(str(number) for number in (*others[others > 0].tolist(), plane.segment))
            raise InconsistentSlicesError(
                f"One volume was requested from a segmentation, but the segments {names} overlap in slice "
                f"{slice_index}, so that one array of labels cannot hold them. Read each segment by "
                "itself with get_volumes()."
            )
        array[slice_index][inside] = plane.segment
    return Volume(
        array=array,
        geometry=stack.geometry,
        header=header,
        units="label",
        slices=_table([stack], [1.0] * len(stack.planes)),
        log=stack.log,
    )
