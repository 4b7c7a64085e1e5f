"""Build a volume while its slices arrive, before it is known that they make one.

Pixels come first and the plan after, because a header costs more to read than a slice to fetch: values are written
where they are expected, and put in order once all headers are there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.conversion import apply_rescale, result_dtype
from simple_orthanc.pixels.padding import padding_mask
from simple_orthanc.pixels.rescale import Rescale, read_rescale
from simple_orthanc.volume.assembly import assemble, make_volume, require_regular
from simple_orthanc.volume.choosing import Stack
from simple_orthanc.volume.frame_values import FrameValues
from simple_orthanc.volume.mosaic import read_mosaic
from simple_orthanc.volume.slice_parts import parts_of
from simple_orthanc.volume.volume import Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray


class VolumeBuilder:
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
    >>> from simple_orthanc.pixels.stored import stored_values
    >>> from simple_orthanc.volume.choosing import choose_volume, plan_stacks
    >>> series = make_series((3, 4, 5))
    >>> builder = VolumeBuilder(range(3), series, "modality")
    >>> for index, dataset in enumerate(series):
    ...     builder.add(index, dataset, stored_values(dataset))
    >>> builder.finish(choose_volume(plan_stacks(series)), again=lambda index: stored_values(series[index]))
    <Volume 3 x 4 x 5 (slice, row, column) int16 HU, voxels of 1 x 1 x 1 mm>
    """

    def __init__(self, instances: Sequence[int], headers: list[Dataset], units: str) -> None:
        self._headers, self._units = headers, units
        self._rows = {instance: row for row, instance in enumerate(instances)}
        self._array: NDArray[Any] | None = None
        self._mask: NDArray[np.bool_] | None = None
        self._placed: dict[int, Rescale] = {}
        self._padded: set[int] = set()
        self._kept: dict[int, NDArray[Any]] = {}
        self._lock = threading.Lock()

    def add(self, instance: int, header: Dataset, stored: NDArray[Any]) -> None:
        """Take the stored values of an object; they may lie in memory that is used again afterwards."""
        placed = False
        if not self._units.startswith("SUV") and len(stored) == 1 and self.can_place(header):
            # What is wrong with a header matters only if its stack is asked for.
            with suppress(VolumeError):
                placed = self.place(instance, header, read_rescale(header, 0, self._units), stored)
        if not placed:
            self._placed.pop(instance, None)
            self._kept[instance] = stored if stored.base is None else stored.copy()

    @staticmethod
    def can_place(header: Dataset) -> bool:
        """Check whether the values of objects like this one have the shape of a slice of the volume."""
        return not elements.has(header, "SegmentSequence") and read_mosaic(header) is None

    def place(self, instance: int, like: Dataset, rescale: Rescale, stored: NDArray[Any]) -> bool:
        """Write the values of an object by the header of a like one; return whether they fit into the volume.

        Where it turns out that the headers differ, `add` puts the right values in their place.
        """
        array = self._room(like, rescale, stored)
        padded = padding_mask(like, stored[0])
        if array.shape[1:] != stored.shape[1:]:
            return False
        if array.dtype.kind in "iu" and not (rescale.is_integer and stored.dtype.kind in "iu"):
            return False
        if stored.dtype.kind == "f" and stored.dtype.itemsize > array.dtype.itemsize:
            return False
        row = self._rows[instance]
        apply_rescale(stored[0], rescale, array.dtype, out=array[row])
        self._padded.discard(instance)
        if padded is not None:
            self._padding(array.shape)[row] = padded
            self._padded.add(instance)
        elif self._mask is not None:
            self._mask[row] = False
        self._placed[instance] = rescale
        return True

    def _room(self, header: Dataset, rescale: Rescale, stored: NDArray[Any]) -> NDArray[Any]:
        with self._lock:
            if self._array is None:
                dtype = result_dtype([header], [rescale], self._units)
                self._array = np.empty((len(self._rows), *stored.shape[1:]), dtype)
            return self._array

    def _padding(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        with self._lock:
            if self._mask is None:
                self._mask = np.zeros(shape[:3], bool)
            return self._mask

    def finish(
        self,
        stacks: Stack | Sequence[Stack],
        again: Callable[[int], NDArray[Any]],
        gaps: str = "raise",
        slices: slice | None = None,
    ) -> Volume:
        """Return the volume.

        Parameters
        ----------
        stacks, gaps, slices
            As for `assemble`, whose errors these are too.
        again : callable
            Gives the stored values of an object once more: only where they were not kept, and what was written in
            their place does not serve.
        """
        chosen = require_regular(stacks, gaps)
        if self._array is not None and not chosen[0].is_label_map:
            values = FrameValues(chosen, self._headers, self._units, self._placed)
            parts = parts_of(chosen, slices)
            if self._serves(chosen, parts, values):
                array, mask = self._arranged(parts, values)
                return make_volume(chosen, self._headers, array, mask, values, slices)

        def stored(instance: int) -> NDArray[Any]:
            kept = self._kept.pop(instance, None)
            return again(instance) if kept is None else kept

        self._array = self._mask = None
        return assemble(chosen, self._headers, stored, self._units, gaps, slices)

    def _serves(self, chosen: Sequence[Stack], parts: Sequence[Stack], values: FrameValues) -> bool:
        """Check whether what was written are the values that are wanted of the volume, and all of them."""
        array = self._array
        assert array is not None
        # In the type of all slices together nothing has wrapped; in that of the first alone, others may have.
        return (
            array.dtype == values.type.complete
            and all(array.shape[1:] == stack.shape[1:] and not stack.is_sparse for stack in chosen)
            and all(
                plane.number_of_frames == 1 and plane.instance in self._placed
                for stack in parts
                for plane in stack.planes
            )
        )

    def _arranged(self, parts: Sequence[Stack], values: FrameValues) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Put what was written into the order of the slices, in place where it is all there is."""
        assert self._array is not None
        array, mask, slices = self._array, self._mask, parts[0].slices
        targets = {
            self._rows[plane.instance]: step * slices + slice_index
            for step, stack in enumerate(parts)
            for slice_index, plane in zip(stack.slice_indices, stack.planes, strict=True)
        }
        whole = len(parts) * slices
        if len(targets) == whole == len(array) and array.dtype == values.type.dtype:
            _permute(array, targets)
            if mask is not None:
                _permute(mask, targets)
        else:
            rows, targeted = list(targets), list(targets.values())
            missing = np.setdiff1d(np.arange(whole), targeted)
            # By slices: whole arrays in between would need the memory once more.
            array = np.empty((whole, *array.shape[1:]), values.type.dtype)
            for row, target in targets.items():
                array[target] = self._array[row]
            if missing.size:
                array[missing] = np.nan
            if mask is not None:
                moved = np.zeros((whole, *mask.shape[1:]), bool)
                moved[targeted] = mask[rows]
                mask = moved
        self._array = self._mask = None
        if not any(plane.instance in self._padded for stack in parts for plane in stack.planes):
            mask = None
        steps = (len(parts), slices)
        shaped = None if mask is None else mask.reshape(*steps, *mask.shape[1:])
        return array.reshape(*steps, *array.shape[1:]), shaped


def _permute(array: NDArray[Any], targets: Mapping[int, int]) -> None:
    """Move each row of an array to its target, with room for no more than two rows."""
    waiting = {row for row, target in targets.items() if row != target}
    while waiting:
        row = first = min(waiting)
        held = array[row].copy()
        while row in waiting:
            waiting.discard(row)
            target = targets[row]
            held, array[target] = (array[target].copy() if target != first else held), held
            row = target
