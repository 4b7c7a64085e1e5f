"""The values of frames: which slice each fills, and what its stored values mean in the unit that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import InconsistentSlicesError, PixelDecodeError, SuvError
from simple_orthanc.pixels import suv
from simple_orthanc.pixels.conversion import apply_rescale, result_dtype
from simple_orthanc.pixels.rescale import Rescale, read_rescale
from simple_orthanc.showing.text import counted
from simple_orthanc.volume.mosaic import split_tiles
from simple_orthanc.volume.planes import Plane
from simple_orthanc.volume.stacking import Stack

if TYPE_CHECKING:
    from numpy.typing import NDArray

Slot = tuple[int, int, Plane]
# More values are not listed in a message.
_MOST_LISTED = 3


def slots_of(chosen: Sequence[Stack]) -> dict[int, list[Slot]]:
    """Return the slots that the frames of each object fill: its index to step, slice and frame."""
    by_instance: dict[int, list[Slot]] = {}
    for step, stack in enumerate(chosen):
        for slice_index, plane in zip(stack.slice_indices, stack.planes, strict=True):
            by_instance.setdefault(plane.instance, []).append((step, slice_index, plane))
    return by_instance


def frames_of(
    slots_of_objects: Mapping[int, Sequence[Slot]], stored: Callable[[int], NDArray[Any]]
) -> Iterator[tuple[Slot, NDArray[Any]]]:
    """Return each frame with the step and the slice it fills, object by object.

    Raises
    ------
    PixelDecodeError
        The pixels of an object are not those that its header describes.
    """
    for instance, slots in slots_of_objects.items():
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


def rescale_key(plane: Plane) -> tuple[int, int]:
    """Return the object and the frame whose rescale a frame has: all tiles of a mosaic are one frame."""
    return plane.instance, plane.frame_index if plane.tiles is None else 0


@dataclass(frozen=True)
class ValueType:
    """The type of the values of a volume.

    Attributes
    ----------
    dtype : dtype
        Of the array.
    complete : dtype
        What it would be if no slice was missing.
    """

    dtype: np.dtype[Any]
    complete: np.dtype[Any]

    def convert(
        self,
        plane: Plane,
        frame: NDArray[Any],
        rescale: Rescale,
        factor: float | None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return the values of a frame.

        Parameters
        ----------
        plane : Plane
        frame : ndarray
            Its stored values.
        rescale : Rescale
        factor : float or None
            That of a standardized uptake value.
        out : ndarray, optional
            Takes the values.
        """
        if frame.dtype.kind == "f" and not np.can_cast(frame.dtype, self.complete) and factor is None:
            raise PixelDecodeError(
                f"Pixels that fit into {self.complete} were expected of SOPInstanceUID {plane.uid} by its header, but "
                f"they decode to {frame.dtype}. Store the object again from its origin."
            )
        if factor is None:
            return apply_rescale(frame, rescale, self.dtype, out)
        values = apply_rescale(frame, rescale, np.dtype(np.float64)) * factor
        if out is None:
            return values.astype(self.dtype)
        out[...] = values
        return out


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
            key = rescale_key(plane)
            if key not in self._rescales:
                found = known.get(plane.instance)
                self._rescales[key] = found or read_rescale(headers[key[0]], key[1], "modality" if kind else units)
        self.unit = self._one_unit(planes)
        self._check_stated(planes)
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
            self.type = ValueType(np.dtype(np.float32), np.dtype(np.float32))
            return
        own = [headers[instance] for instance in dict.fromkeys(plane.instance for plane in planes)]
        dtype = complete = result_dtype(own, list(self._rescales.values()), units)
        missing = any(set(stack.slice_indices) != set(range(stack.slices)) and not stack.is_sparse for stack in chosen)
        if missing:
            # float32 holds the whole numbers of 16 stored bits and an intercept, also where they need int32.
            narrow = dtype.kind in "iu" and result_dtype(own, (), "stored").itemsize < 4
            dtype = np.dtype(np.float32) if narrow else np.result_type(dtype, np.float32)
        self.type = ValueType(dtype, complete)

    def _one_unit(self, planes: Sequence[Plane]) -> str:
        found: dict[str, int] = {}
        for plane in planes:
            unit = self._rescale(plane).unit
            found[unit] = found.get(unit, 0) + 1
        if len(found) > 1:
            named = ", ".join(f"{unit or 'none'} ({counted(count, 'slice')})" for unit, count in found.items())
            raise InconsistentSlicesError(
                f"One volume was requested, but the slices are in different units: {named}. Separate them with "
                'select(...), or read them with get_volume(units="stored").',
                groups=found,
            )
        return next(iter(found))

    def _check_stated(self, planes: Sequence[Plane]) -> None:
        """Refuse slices that lack what others state of their values, and is no matter of course there."""
        distinct = set(self._rescales.values())
        for lacking in distinct:
            for name, tag in lacking.assumed:
                taken = getattr(lacking, name)
                stated = {getattr(one, name) for one in distinct if one.lut is None and name not in dict(one.assumed)}
                if stated - {taken}:
                    others = [plane for plane in planes if (name, tag) in self._rescale(plane).assumed]
                    self._refuse_unstated(elements.name_of(tag), others, len(planes), stated)

    @staticmethod
    def _refuse_unstated(tag: str, lacking: Sequence[Plane], total: int, stated: set[float]) -> None:
        values = ", ".join(f"{value:g}" for value in sorted(stated)[:_MOST_LISTED])
        values += ", ..." if len(stated) > _MOST_LISTED else ""
        raise InconsistentSlicesError(
            f"One volume was requested, but {tag} is missing in {len(lacking)} of {total} slices, the first of them "
            f"{lacking[0]}. In the others it is {values}, so that the values of these slices are unknown. Store them "
            'again from their origin, or read the stored values with get_volume(units="stored").',
            groups={f"{tag} is missing": len(lacking), f"{tag} is present": total - len(lacking)},
        )

    def _rescale(self, plane: Plane) -> Rescale:
        return self._rescales[rescale_key(plane)]

    def slope(self, plane: Plane) -> float:
        """Return the slope of a frame, the factor of a standardized uptake value included."""
        factor = self.factor(plane)
        return float(self._rescale(plane).slope) * (1.0 if factor is None else factor)

    def factor(self, plane: Plane) -> float | None:
        """Return the factor that makes a standardized uptake value of a frame; None in other units."""
        return None if self._factors is None else self._factors[plane.instance]

    def of(self, plane: Plane, frame: NDArray[Any]) -> NDArray[Any]:
        """Return the values of one frame."""
        return self.type.convert(plane, frame, self._rescale(plane), self.factor(plane))
