"""A volume as an array: numpy's protocols, and parts of it that keep their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume import regrid
from simple_orthanc.volume.common_space import check_common_space
from simple_orthanc.volume.coordinates import AxisCoordinates, header_of_step
from simple_orthanc.volume.operators import NoOperators

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import DTypeLike, NDArray
    from pydicom.dataset import Dataset

    from simple_orthanc.volume.geometry import Geometry
    from simple_orthanc.volume.volume import Volume


class ArrayParts(NoOperators):
    """The part of `Volume` that behaves as an array."""

    array: NDArray[Any]
    geometry: Geometry | None
    units: str
    padding_mask: NDArray[np.bool_] | None
    slices: pd.DataFrame | None
    sources: pd.DataFrame | None
    dims: tuple[str, ...]
    name: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values, a numpy dtype.

        Examples
        --------
        >>> volume.dtype
        dtype('int16')
        """
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """The number of axes of the array, including that of colour.

        Examples
        --------
        >>> volume.ndim, volume.dims
        (3, ('slice', 'row', 'column'))
        """
        return self.array.ndim

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return len(self.array)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the array for numpy, as `dtype` where one is asked for."""
        if copy is False and dtype is not None and np.dtype(dtype) != self.array.dtype:
            raise ValueError(f"the values are {self.array.dtype}; as {np.dtype(dtype)} they have to be copied")
        if copy:
            return np.array(self.array, dtype=dtype)
        return np.asarray(self.array, dtype=dtype)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The memory of the array, for libraries that read numpy's array interface."""
        return self.array.__array_interface__

    def __dlpack__(self, **keywords: Any) -> Any:
        """Return a DLPack capsule of the array, which PyTorch, JAX and CuPy read without a copy.

        An axis that was turned round, as by ``volume[::-1]``, is copied: PyTorch 2.13 ends the process at a negative
        stride.
        """
        is_turned = any(stride < 0 for stride in self.array.strides)
        if is_turned and keywords.get("copy") is False:
            raise BufferError("an axis of the volume is turned round, so that its values have to be copied")
        return (self.array.copy() if is_turned else self.array).__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the DLPack device of the array, the CPU."""
        return self.array.__dlpack_device__()

    def __getitem__(self, key: Any) -> Any:
        """Return a part of the volume with its geometry, or values.

        Slices, such as ``volume[10:20, :, ::2]``, return a `Volume` whose geometry is that of the part; a negative step
        turns the axis and its direction round. An integer for the step of a 4D volume returns that 3D volume. Every
        other key, such as ``volume[3]``, ``volume[3, 10, 20]`` or ``volume[mask]``, returns what numpy does.

        Raises
        ------
        VolumeError
            Nothing would be left along an axis; or a mask is of another patient, frame of reference or place, or
            holds other values than 0 and 1.

        Examples
        --------
        >>> import numpy as np
        >>> from pydicom.dataset import Dataset
        >>> from simple_orthanc import Geometry, Volume
        >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> volume = Volume(np.arange(60).reshape(3, 4, 5), grid, Dataset())
        >>> part = volume[1:, :, ::2]
        >>> part.shape, part.spacing, part.origin
        ((2, 4, 3), (2.0, 1.0, 2.0), (0.0, 0.0, 2.0))
        >>> int(volume[1, 2, 3])
        33
        """
        key = tuple(map(self._numpy_key, key)) if isinstance(key, tuple) else self._numpy_key(key)
        step = self._step_of(key)
        if step is not None:
            return self._single(*step)
        ranges = regrid.kept_ranges(key, self.array.shape)
        return self.array[key] if ranges is None else self._part(ranges)

    def _check_place_of(self, other: ArrayParts, name: str) -> None:
        """Refuse another volume whose voxels are not at the places of these."""
        advice = "If its values are those of these voxels all the same, give its .array."
        check_common_space(other, self, name, "the image", advice)
        if other.geometry is None or self.geometry is None or other.geometry.isclose(self.geometry, tolerance=0.1):
            return
        if other.geometry.size == self.geometry.size:
            raise VolumeError(
                f"{name} lies elsewhere in the patient than the image, though its shape is the same: resample it "
                f"first, with resample(like=image). {advice}"
            )

    def _numpy_key(self, key: Any) -> Any:
        """Return a key, or one of several, as numpy takes it: of a volume its values, once its place is known."""
        if not isinstance(key, ArrayParts):
            return key
        self._check_place_of(key, "The mask")
        return key._as_mask()

    def _as_mask(self) -> NDArray[Any]:
        """Return the values as numpy takes a mask: as integers, 0 and 1 would be numbers of slices.

        Raises
        ------
        VolumeError
            There are other values than 0 and 1.
        """
        if self.array.dtype == bool:
            return self.array
        if not np.isin(self.array, (0, 1)).all():
            raise VolumeError(
                "The mask holds other values than 0 and 1: compare a label map first, as in volume[labels.array == 3]."
            )
        return self.array.astype(bool)

    def _is_mask(self) -> bool:
        """Check whether the values are those of a mask, which SimpleITK and NIfTI hold as integers."""
        return self.array.dtype == bool or (self.units == "mask" and self.array.dtype.kind in "iu")

    def _is_discrete(self) -> bool:
        """Check whether the values are those of a mask or numbers of segments, which must not be mixed."""
        return self._is_mask() or self.units == "label"

    def _source_table(self) -> pd.DataFrame | None:
        """Return the table of the images that the values were made from."""
        return self.sources if self.slices is None else self.slices

    def _step_of(self, key: Any) -> tuple[int, tuple[Any, ...]] | None:
        """Return the step of a 4D volume and the other keys, if the key is one step of it."""
        keys = key if isinstance(key, tuple) else (key,)
        if len(self.dims) != 4 or not keys or isinstance(keys[0], bool) or not isinstance(keys[0], int | np.integer):
            return None
        return (int(keys[0]), keys[1:]) if regrid.kept_ranges(keys[1:], self.array.shape[1:]) is not None else None

    def _single(self, step: int, rest: tuple[Any, ...]) -> Any:
        size = self.array.shape[0]
        if not -size <= step < size:
            raise IndexError(f"step {step}: the volume has {size} steps along its axis {self.dims[0]!r}")
        first = step % size
        one = self._part([range(first, first + 1), *(range(length) for length in self.array.shape[1:])])
        mask = one.padding_mask
        slices = one.slices
        if slices is not None and self.dims[0] in slices:
            slices = slices.drop(columns=[self.dims[0]])
        name, value = self.dims[0], one.coordinates[self.dims[0]][0] if self.dims[0] in one.coordinates else first
        volume = replace(
            one,
            array=one.array[0],
            padding_mask=None if mask is None else mask[0],
            slices=slices,
            dims=one.dims[1:],
            coordinates={},
            coordinate_units={},
            log=(*one.log, f"step {first} of {name}: {value}"),
        )
        return volume[rest] if rest else volume

    def _part(self, ranges: Sequence[range]) -> Volume:
        """Return the part of the volume within ranges, one for each axis of the array."""
        me = cast("Volume", self)
        spatial = len(self.dims) - 3
        if len(ranges) > len(self.dims) and ranges[-1] != range(self.array.shape[-1]):
            raise VolumeError(
                "A part of the colours, or another order of them, was asked for, which makes no volume: use "
                "volume.array[...]."
            )
        key = tuple(slice(each.start, each.stop if each.stop >= 0 else None, each.step) for each in ranges)
        place = ranges[spatial : spatial + 3]
        geometry = None if self.geometry is None else regrid.sliced(self.geometry, place)
        mask = None if self.padding_mask is None else self.padding_mask[key[: self.padding_mask.ndim]]
        coordinates = dict(me.coordinates)
        if spatial:
            for name, values in coordinates.items():
                coordinates[name] = tuple(values[step] for step in ranges[0])
        kept = ", ".join(
            f"{name} {each.start} to {each[-1]}" + (f" by {each.step}" if each.step != 1 else "")
            for name, each, size in zip(self.dims, ranges, self.array.shape, strict=False)
            if len(each) != size or each.step != 1
        )
        return replace(
            me,
            array=self.array[key],
            header=self._header_of_step(ranges[0][0]) if spatial else me.header,
            geometry=geometry,
            padding_mask=mask,
            slices=self._part_of_slices(ranges[0] if spatial else None, place[0]),
            coordinates=coordinates,
            log=(*me.log, f"a part: {kept}") if kept else me.log,
        )

    def _header_of_step(self, step: int) -> Dataset:
        """Return the header of a step of a 4D volume; that of the first is the header of the volume."""
        me, axis = cast("Volume", self), self.dims[0]
        if step == 0 or axis not in me.coordinates:
            return me.header
        values = tuple(me.coordinates[axis])
        found = AxisCoordinates(values, me.coordinate_units.get(axis, ""), log=me.log)
        return header_of_step(me.header, found, axis, step)

    def _part_of_slices(self, steps: range | None, kept: range) -> pd.DataFrame | None:
        """Return the rows of the slices that are kept, in their new order and with their new numbers."""
        if self.slices is None:
            return None
        table = self.slices
        step = table.groupby(level=0).cumcount() if steps is not None else None
        selected = []
        for number in range(1) if steps is None else steps:
            rows = table if step is None else table[(step == number).to_numpy()]
            part = rows.loc[[index for index in kept if index in rows.index]]
            selected.append(part.set_axis([kept.index(index) for index in part.index], axis="index"))
        if len(selected) == 1:
            joined = selected[0]
        else:
            import pandas

            joined = pandas.concat(selected)
        result: pd.DataFrame = joined.rename_axis(index="slice")
        return result
