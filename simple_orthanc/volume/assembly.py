"""From planned stacks and pixels to one `Volume`: at once, or filled while the slices arrive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import InconsistentSlicesError, PixelDecodeError, SuvError, VolumeError
from simple_orthanc.pixels import stored as pixels
from simple_orthanc.pixels import suv
from simple_orthanc.volume.choosing import Stack, several
from simple_orthanc.volume.planes import Plane
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
) -> Volume:
    """Put the pixels of planned stacks into one array.

    The array is allocated once. Objects are asked for one after the other, each once, and no two are held at a time.

    Parameters
    ----------
    stacks : Stack or sequence of Stack
        One, or several of the same grid with their ``step``, as ``stacks.one`` gives.
    headers : sequence of pydicom.Dataset
        Those that the stacks were planned from.
    stored : callable
        Gives for the index of a header its stored values, (frame, row, column), or with 3 last, as ``pixels.stored``.
    units : str
        "stored", "modality", "real world", "philips", "SUVbw", "SUVlbm", "SUVbsa" or "SUVibw".
    gaps : {"raise", "nan"}
        What to do about missing slices.

    Returns
    -------
    Volume

    Raises
    ------
    VolumeError
        The problem of a stack, pixels that cannot be decoded, a standardized uptake value that cannot be computed.
    """
    chosen = _sound(stacks, gaps)
    if chosen[0].is_label_map:
        return _label_map(chosen[0], headers, stored, units)
    values = _Values(chosen, headers, units)
    first = chosen[0]
    shape = (len(chosen), *first.shape)
    array = np.empty(shape, values.dtype)
    nothing = pixels.background(headers[first.planes[0].instance]) if first.is_sparse else np.nan
    for step, stack in enumerate(chosen):
        for place in sorted(set(range(stack.slices)) - set(stack.places)):
            array[step, place] = nothing
    mask: NDArray[np.bool_] | None = None
    for (step, place, plane), frame in _frames(chosen, stored):
        array[step, place] = values.of(plane, frame)
        padded = pixels.padding(headers[plane.instance], frame)
        if padded is not None:
            mask = np.zeros(shape[:4], bool) if mask is None else mask
            mask[step, place] = padded
    return _volume(chosen, headers, array, mask, values)


class Draft:
    """A volume that is filled while its slices arrive, before it is known that they make one.

    The first object shows how much room one of them needs, and room for all is made at once. The values of a single
    frame are written where they are expected, so that no file has to be kept; what does not fit there is kept as it is
    stored. `finish` then gives what `assemble` would.

    Parameters
    ----------
    instances : sequence of int
        The indexes, among the headers, of the objects to come, in the order in which they are expected to lie.
    headers : list of pydicom.Dataset
        Whoever adds an object puts its header there.
    units : str
        As for `assemble`.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> from simple_orthanc.volume.choosing import one, plan
    >>> series = make_series((3, 4, 5))
    >>> draft = Draft(range(3), series, "modality")
    >>> for index, dataset in enumerate(series):
    ...     draft.add(index, dataset, pixels.stored(dataset))
    >>> draft.finish(one(plan(series)), again=lambda index: pixels.stored(series[index]))
    <Volume 3 x 4 x 5 (slice, row, column) int16 HU, voxels of 1 x 1 x 1 mm>
    """

    def __init__(self, instances: Sequence[int], headers: list[Dataset], units: str) -> None:
        self._headers, self._units = headers, units
        self._rows = {instance: row for row, instance in enumerate(instances)}
        self._array: NDArray[Any] | None = None
        self._mask: NDArray[np.bool_] | None = None
        self._placed: dict[int, pixels.Rescale] = {}
        self._padded: set[int] = set()
        self._kept: dict[int, NDArray[Any]] = {}
        self._lock = threading.Lock()

    def add(self, instance: int, header: Dataset, stored: NDArray[Any]) -> None:
        """Take the stored values of an object; they may lie in memory that is used again afterwards."""
        placed = False
        if not (self._units.startswith("SUV") or len(stored) != 1 or elements.has(header, "SegmentSequence")):
            # What is wrong with a header matters only if its stack is asked for.
            with suppress(VolumeError):
                placed = self.place(instance, header, pixels.rescale(header, 0, self._units), stored)
        if not placed:
            self._placed.pop(instance, None)
            self._kept[instance] = stored if stored.base is None else stored.copy()

    def place(self, instance: int, like: Dataset, rescale: pixels.Rescale, stored: NDArray[Any]) -> bool:
        """Write the values of an object by the header of another that says the same of them; False: no room for it.

        Where it turns out that the headers differ, `add` puts the right values in their place.
        """
        array = self._room(like, rescale, stored)
        padded = pixels.padding(like, stored[0])
        if array.shape[1:] != stored.shape[1:]:
            return False
        if array.dtype.kind in "iu" and not (rescale.is_integer and stored.dtype.kind in "iu"):
            return False
        if stored.dtype.kind == "f" and stored.dtype.itemsize > array.dtype.itemsize:
            return False
        row = self._rows[instance]
        pixels.apply(stored[0], rescale, array.dtype, out=array[row])
        self._padded.discard(instance)
        if padded is not None:
            self._padding(array.shape)[row] = padded
            self._padded.add(instance)
        elif self._mask is not None:
            self._mask[row] = False
        self._placed[instance] = rescale
        return True

    def _room(self, header: Dataset, rescale: pixels.Rescale, stored: NDArray[Any]) -> NDArray[Any]:
        with self._lock:
            if self._array is None:
                dtype = pixels.result_dtype([header], [rescale], self._units)
                self._array = np.empty((len(self._rows), *stored.shape[1:]), dtype)
            return self._array

    def _padding(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        with self._lock:
            if self._mask is None:
                self._mask = np.zeros(shape[:3], bool)
            return self._mask

    def finish(
        self, stacks: Stack | Sequence[Stack], again: Callable[[int], NDArray[Any]], gaps: str = "raise"
    ) -> Volume:
        """Give the volume.

        Parameters
        ----------
        stacks, gaps
            As for `assemble`, whose errors these are too.
        again : callable
            Gives the stored values of an object once more: only where they were not kept, and what was written in
            their place does not serve.
        """
        chosen = _sound(stacks, gaps)
        values = None if chosen[0].is_label_map else _Values(chosen, self._headers, self._units, self._placed)
        if values is not None and self._array is not None and self._serves(chosen, values):
            return self._arranged(chosen, values)

        def stored(instance: int) -> NDArray[Any]:
            kept = self._kept.pop(instance, None)
            return again(instance) if kept is None else kept

        self._array = self._mask = None
        return assemble(chosen, self._headers, stored, self._units, gaps)

    def _serves(self, chosen: Sequence[Stack], values: _Values) -> bool:
        """Say whether what was written are the values of the volume, and all of them."""
        assert self._array is not None
        # In the type of all slices together nothing has wrapped; in that of the first alone, others may have.
        return self._array.dtype == values.complete and all(
            self._array.shape[1:] == stack.shape[1:]
            and not stack.is_sparse
            and all(plane.frames == 1 and plane.instance in self._placed for plane in stack.planes)
            for stack in chosen
        )

    def _arranged(self, chosen: Sequence[Stack], values: _Values) -> Volume:
        """Put what was written into the order of the slices, in place where it is all there is."""
        assert self._array is not None
        array, mask, slices = self._array, self._mask, chosen[0].slices
        targets = {
            self._rows[plane.instance]: step * slices + place
            for step, stack in enumerate(chosen)
            for place, plane in zip(stack.places, stack.planes, strict=True)
        }
        whole = len(chosen) * slices
        if len(targets) == whole == len(array) and array.dtype == values.dtype:
            _permute(array, targets)
            if mask is not None:
                _permute(mask, targets)
        else:
            rows, places = list(targets), list(targets.values())
            missing = np.setdiff1d(np.arange(whole), places)
            # By slices: whole arrays in between would need the memory once more.
            array = np.empty((whole, *array.shape[1:]), values.dtype)
            for row, place in targets.items():
                array[place] = self._array[row]
            if missing.size:
                array[missing] = np.nan
            if mask is not None:
                moved = np.zeros((whole, *mask.shape[1:]), bool)
                moved[places] = mask[rows]
                mask = moved
        self._array = self._mask = None
        if not any(plane.instance in self._padded for stack in chosen for plane in stack.planes):
            mask = None
        steps = (len(chosen), slices)
        return _volume(
            chosen,
            self._headers,
            array.reshape(*steps, *array.shape[1:]),
            None if mask is None else mask.reshape(*steps, *mask.shape[1:]),
            values,
        )


def _volume(
    chosen: Sequence[Stack],
    headers: Sequence[Dataset],
    array: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    values: _Values,
) -> Volume:
    first = chosen[0]
    steps = [stack.step for stack in chosen if stack.step is not None]
    log = list(dict.fromkeys(note for stack in chosen for note in stack.log)) + values.log
    if not steps:
        array, mask = array[0], None if mask is None else mask[0]
    return Volume(
        array=array,
        geometry=first.geometry,
        header=headers[first.planes[0].instance],
        units=values.unit,
        padding_mask=mask,
        slices=_table(chosen, [values.slope(plane) for stack in chosen for plane in stack.planes]),
        log=tuple(log),
        suv=values.suv,
        dims=(steps[0][0], *AXES) if steps else AXES,
        coordinates={steps[0][0]: tuple(value for _, value in steps)} if steps else {},
    )


def _sound(stacks: Stack | Sequence[Stack], gaps: str) -> list[Stack]:
    """Do what is asked of missing slices, and refuse what is no regular volume."""
    chosen = several([stacks] if isinstance(stacks, Stack) else list(stacks), gaps)
    for stack in chosen:
        if stack.problem is not None:
            raise stack.problem
    return chosen


def _permute(array: NDArray[Any], targets: Mapping[int, int]) -> None:
    """Move each row of an array to its place, with room for no more than two rows."""
    waiting = {row for row, place in targets.items() if row != place}
    while waiting:
        row = first = min(waiting)
        held = array[row].copy()
        while row in waiting:
            waiting.discard(row)
            place = targets[row]
            held, array[place] = (array[place].copy() if place != first else held), held
            row = place


Slot = tuple[int, int, Plane]


def _frames(chosen: Sequence[Stack], stored: Callable[[int], NDArray[Any]]) -> Iterator[tuple[Slot, NDArray[Any]]]:
    """Give each frame with the step and the slice it fills, object by object."""
    by_instance: dict[int, list[Slot]] = {}
    for step, stack in enumerate(chosen):
        for place, plane in zip(stack.places, stack.planes, strict=True):
            by_instance.setdefault(plane.instance, []).append((step, place, plane))
    for instance, slots in by_instance.items():
        array = stored(instance)
        first = slots[0][2]
        expected = (first.frames, *first.size, *((first.samples,) if first.samples > 1 else ()))
        if array.shape != expected:
            raise PixelDecodeError(
                f"{expected[0]} frame(s) of {expected[1]} rows and {expected[2]} columns were expected of "
                f"SOPInstanceUID {first.uid}, of the shape {expected}, but its pixels decode to {array.shape}. "
                "Store the object again from its origin."
            )
        for slot in slots:
            yield slot, array[slot[2].frame]


class _Values:
    """The values of frames in the unit that was asked: decided from all headers before the first pixel is read."""

    def __init__(
        self,
        chosen: Sequence[Stack],
        headers: Sequence[Dataset],
        units: str,
        known: Mapping[int, pixels.Rescale] | None = None,
    ) -> None:
        planes = [plane for stack in chosen for plane in stack.planes]
        known = known or {}
        kind = units if units.startswith("SUV") else None
        self._headers, self._factors, self.suv = headers, None, None
        self.log: list[str] = []
        self._rescales = {
            (plane.instance, plane.frame): known.get(plane.instance)
            or pixels.rescale(headers[plane.instance], plane.frame, "modality" if kind else units)
            for plane in planes
        }
        self.unit = self._one_unit(planes)
        if kind is not None:
            instances = list(dict.fromkeys(plane.instance for plane in planes))
            try:
                factors, self.suv = suv.suv_scale([headers[instance] for instance in instances], kind)
            except SuvError as error:
                raise SuvError(f'{error.message} get_volume(units="modality") reads the values as they are.') from error
            self.log += self.suv.warnings
            self._factors = dict(zip(instances, factors, strict=True))
            self.unit = {"SUVbsa": "cm2/ml"}.get(kind, "g/ml")
            self.dtype = self.complete = np.dtype(np.float32)
            return
        own = [headers[instance] for instance in dict.fromkeys(plane.instance for plane in planes)]
        # The type is `complete` where no slice is missing.
        self.dtype = self.complete = pixels.result_dtype(own, list(self._rescales.values()), units)
        missing = any(set(stack.places) != set(range(stack.slices)) and not stack.is_sparse for stack in chosen)
        if missing:
            # float32 holds the whole numbers of 16 stored bits and an intercept, also where they need int32.
            narrow = self.dtype.kind in "iu" and pixels.result_dtype(own, (), "stored").itemsize < 4
            self.dtype = np.dtype(np.float32) if narrow else np.result_type(self.dtype, np.float32)

    def _one_unit(self, planes: Sequence[Plane]) -> str:
        found: dict[str, int] = {}
        for plane in planes:
            unit = self._rescale(plane).unit
            found[unit] = found.get(unit, 0) + 1
        if len(found) > 1:
            named = ", ".join(f"{unit or 'none'} ({count} slices)" for unit, count in found.items())
            raise InconsistentSlicesError(
                f"One volume was asked, but the slices are in different units: {named}. Separate them with "
                'select(...), or read them with get_volume(units="stored").',
                groups=found,
            )
        return next(iter(found))

    def _rescale(self, plane: Plane) -> pixels.Rescale:
        return self._rescales[plane.instance, plane.frame]

    def slope(self, plane: Plane) -> float:
        """The slope of a frame, the factor of a standardized uptake value included."""
        factor = 1.0 if self._factors is None else self._factors[plane.instance]
        return float(self._rescale(plane).slope) * factor

    def of(self, plane: Plane, frame: NDArray[Any]) -> NDArray[Any]:
        """Give the values of one frame."""
        rescale = self._rescale(plane)
        if frame.dtype.kind == "f" and not np.can_cast(frame.dtype, self.complete) and self._factors is None:
            raise PixelDecodeError(
                f"Pixels that fit into {self.complete} were expected of SOPInstanceUID {plane.uid} by its header, but "
                f"they decode to {frame.dtype}. Store the object again from its origin."
            )
        if self._factors is None:
            return pixels.apply(frame, rescale, self.dtype)
        values = pixels.apply(frame, rescale, np.dtype(np.float64)) * self._factors[plane.instance]
        return values.astype(self.dtype)


def _table(chosen: Sequence[Stack], slopes: Sequence[float]) -> pd.DataFrame:
    import pandas as pd

    pairs = [pair for stack in chosen for pair in zip(stack.places, stack.planes, strict=True)]
    columns: dict[str, Any] = {
        "SOPInstanceUID": [plane.uid for _, plane in pairs],
        "frame": [plane.frame + 1 for _, plane in pairs],
        "position": [plane.position for _, plane in pairs],
        "slope": list(slopes),
    }
    if chosen[0].step is not None:
        columns[chosen[0].step[0]] = [stack.step[1] if stack.step else None for stack in chosen for _ in stack.planes]
    table: pd.DataFrame = pd.DataFrame(columns, index=pd.Index([place for place, _ in pairs], name="slice"))
    return table


def _label_map(stack: Stack, headers: Sequence[Dataset], stored: Callable[[int], NDArray[Any]], units: str) -> Volume:
    """Draw the segments of a segmentation (PS3.3 C.8.20) into one array by their numbers."""
    if units not in ("modality", "stored"):
        raise VolumeError(
            f"units={units!r} was asked of a segmentation, whose values are the numbers of its segments: read it with "
            "get_volume()."
        )
    header = headers[stack.planes[0].instance]
    if header.get("SegmentationType") == "FRACTIONAL":
        raise InconsistentSlicesError(
            "One volume was asked of a segmentation with several fractional segments, which one array of labels cannot "
            "hold. Read each segment by itself with get_volumes()."
        )
    largest = max(plane.segment or 0 for plane in stack.planes)
    array = np.zeros(stack.shape, np.uint8 if largest < 256 else np.uint16)
    for (_, place, plane), frame in _frames([stack], stored):
        inside = frame > 0
        others = np.unique(array[place][inside])
        if others.any():
            names = ", ".join(str(number) for number in (*others[others > 0].tolist(), plane.segment))
            raise InconsistentSlicesError(
                f"One volume was asked of a segmentation, but the segments {names} overlap in slice {place}, so that "
                "one array of labels cannot hold them. Read each segment by itself with get_volumes()."
            )
        array[place][inside] = plane.segment
    return Volume(
        array=array,
        geometry=stack.geometry,
        header=header,
        units="label",
        slices=_table([stack], [1.0] * len(stack.planes)),
        log=stack.log,
    )
