"""What a volume does as an array: numpy's protocols, parts of it, other grids, projections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume import regrid, statistics
from simple_orthanc.volume.coordinates import AxisCoordinates, header_of_step
from simple_orthanc.volume.operators import NoOperators

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import DTypeLike, NDArray
    from pydicom.dataset import Dataset

    from simple_orthanc.volume.geometry import Geometry
    from simple_orthanc.volume.regrid import Interpolation
    from simple_orthanc.volume.volume import Volume


class ArrayOperations(NoOperators):
    """The part of `Volume` that behaves as an array and makes other volumes of it."""

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
            Nothing would be left along an axis.

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
        step = self._step_of(key)
        if step is not None:
            return self._single(*step)
        ranges = regrid.kept_ranges(key, self.array.shape)
        return self.array[key] if ranges is None else self._part(ranges)

    def _is_discrete(self) -> bool:
        """Check whether the values are those of a mask or numbers of segments, which must not be mixed."""
        return self.array.dtype == bool or self.units == "label"

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
        if len(ranges) > len(self.dims) and len(ranges[-1]) != self.array.shape[-1]:
            raise VolumeError("A part of the colours was asked for, which makes no volume: use volume.array[...].")
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

    def with_array(self, array: Any, units: str | None = None) -> Volume:
        """Return a volume of other values on the same grid, such as the result of a filter.

        Parameters
        ----------
        array : array_like
            Of the shape of this volume, or of one 3D step of a 4D volume; colour may become single values.
        units : str, optional
            Those of the new values; by default those of this volume.

        Returns
        -------
        Volume
            With the geometry, header and log of this one.

        Raises
        ------
        VolumeError
            The shape is another one.

        Examples
        --------
        >>> import numpy as np
        >>> from pydicom.dataset import Dataset
        >>> from simple_orthanc import Geometry, Volume
        >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> volume = Volume(np.ones((3, 4, 5), np.float32), grid, Dataset(), units="HU")
        >>> volume.with_array(volume.array > 0, units="mask")
        <Volume 3 x 4 x 5 (slice, row, column) bool mask, voxels of 2 x 1 x 1 mm>
        """
        me = cast("Volume", self)
        values = np.asarray(array)
        shape = self.array.shape[: len(self.dims)]
        unit = self.units if units is None else units
        note = "the values were replaced by with_array"
        if values.shape in (shape, self.array.shape):
            return replace(me, array=values, units=unit, log=(*me.log, note))
        if len(self.dims) == 4 and values.shape == shape[1:]:
            return replace(
                me,
                array=values,
                units=unit,
                dims=self.dims[1:],
                coordinates={},
                coordinate_units={},
                padding_mask=None,
                slices=None,
                sources=self._source_table(),
                log=(*me.log, note),
            )
        raise VolumeError(
            f"An array of shape {values.shape} was given for a volume of shape {self.array.shape}, so the place of its "
            "voxels is not known. Use resample(...) for another grid, or Volume(array, geometry, header)."
        )

    def resample(
        self,
        like: Volume | Geometry | None = None,
        spacing: float | Sequence[float] | None = None,
        interpolation: Interpolation | None = None,
    ) -> Volume:
        """Return the volume on the grid of another one, or with another spacing.

        Parameters
        ----------
        like : Volume or Geometry, optional
            The grid to resample onto; it may be oblique to this one, or sheared.
        spacing : float or sequence of three floats, optional
            Between columns, rows and slices in mm, one number for all three; the grid keeps its directions and its
            middle, and covers the same space to the nearest whole voxel.
        interpolation : {"linear", "nearest", "bspline"}, optional
            Default: nearest for masks and label maps, whose values must not be mixed, else linear.

        Returns
        -------
        Volume
            Masks and label maps keep their type and are 0 outside of this volume. Other values become float32, or
            float64 where they are float64 or integers of more than 16 bits, and are NaN outside of its voxels, where
            nothing is known. Nothing is smoothed before the values are sampled.

        Raises
        ------
        VolumeError
            There is no geometry, or the volume is 4D or in colour.
        ValueError
            Neither or both of `like` and `spacing` are given, or there is no such interpolation.

        Examples
        --------
        >>> import numpy as np
        >>> from pydicom.dataset import Dataset
        >>> from simple_orthanc import Geometry, Volume
        >>> grid = Geometry((4, 4, 2), (1.0, 1.0, 4.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> volume = Volume(np.repeat([10, 20], 16).reshape(2, 4, 4), grid, Dataset())
        >>> volume.resample(spacing=(1, 1, 2)).array[:, 0, 0].tolist()
        [10.0, 12.5, 17.5, 20.0]
        """
        me = cast("Volume", self)
        if (like is None) == (spacing is None):
            raise ValueError("resample needs one of like= (a volume or geometry) and spacing= (mm)")
        if self.geometry is None:
            raise VolumeError("Resampling was asked for, but the objects have no position in the patient: use .array.")
        if self.array.ndim != 3:
            raise VolumeError(
                f"Resampling was asked for a volume of shape {self.array.shape}: only 3D volumes of single values are "
                "resampled; take one step of a 4D volume with volume[0]."
            )
        target = self._target(like, spacing)
        discrete = self._is_discrete()
        method: Interpolation = interpolation or ("nearest" if discrete else "linear")
        if method not in regrid.INTERPOLATIONS:
            raise ValueError(f"interpolation={interpolation!r}: one of {', '.join(map(repr, regrid.INTERPOLATIONS))}")
        values = self.array
        if not discrete and values.dtype.kind != "f":
            values = values.astype(np.float64 if values.dtype.itemsize > 2 else np.float32)
        new = regrid.resampled(values, self.geometry, target, method, 0.0 if discrete else float("nan"))
        spacings = " x ".join(f"{value:.4g}" for value in target.spacing)
        note = (
            f"resampled ({method}) to {spacings} mm; NaN outside of the images"
            if not discrete
            else f"resampled ({method})"
        )
        sources = self._source_table()
        log = (*me.log, note)
        return replace(me, array=new, geometry=target, padding_mask=None, slices=None, sources=sources, log=log)

    def _target(self, like: Volume | Geometry | None, spacing: float | Sequence[float] | None) -> Geometry:
        assert self.geometry is not None
        if like is None:
            assert spacing is not None
            return regrid.with_spacing(self.geometry, spacing)
        geometry = getattr(like, "geometry", like)
        if geometry is None:
            raise VolumeError(
                "Resampling was asked for onto a volume without geometry, whose voxels have no known place."
            )
        return cast("Geometry", geometry)

    def mip(self, axis: int | Literal["slice", "row", "column"] = "slice") -> Volume:
        """Return the maximum intensity projection along an axis.

        Parameters
        ----------
        axis : {"slice", "row", "column"} or int
            The axis that is projected; in the order of the array 0, 1, 2.

        Returns
        -------
        Volume
            One voxel thick along that axis, over the whole extent of the volume; NaN is left out where there is another
            value.

        Examples
        --------
        >>> import numpy as np
        >>> from pydicom.dataset import Dataset
        >>> from simple_orthanc import Geometry, Volume
        >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> Volume(np.arange(60).reshape(3, 4, 5), grid, Dataset()).mip("slice")
        <Volume 1 x 4 x 5 (slice, row, column) int64, voxels of 6 x 1 x 1 mm>
        """
        me = cast("Volume", self)
        if self.array.ndim != len(self.dims):
            raise VolumeError(
                "A maximum intensity projection was asked for a volume in colour, which has no intensity."
            )
        number = regrid.axis_number(axis)
        along = number + len(self.dims) - 3
        projected = np.fmax.reduce(self.array, axis=along, keepdims=True)
        geometry = None if self.geometry is None else regrid.flattened(self.geometry, number)
        name = self.dims[along]
        return replace(
            me,
            array=projected,
            geometry=geometry,
            padding_mask=None,
            slices=None,
            sources=self._source_table(),
            log=(*me.log, f"maximum intensity projection along {name}, {self.array.shape[along]} voxels"),
        )

    def statistics(self, mask: Any) -> pd.DataFrame:
        """Return statistics of the voxels inside a mask.

        Parameters
        ----------
        mask : Volume, ndarray or mapping
            True, or 1, inside, on the grid of this volume; several by name, as `Session.get_masks` returns them.

        Returns
        -------
        pandas.DataFrame
            One row per mask, indexed by its name, or "mask". ``voxels``: their number; ``ml``: their volume; ``mean``,
            ``sd`` (with n - 1), ``min``, ``p5``, ``p25``, ``p50``, ``p75``, ``p95`` (linearly interpolated) and
            ``max``, in the unit of the volume, of the finite values. For standardized uptake values also ``SUVmax``,
            the largest value; ``SUVpeak``, the largest mean in a sphere of 1 cm3 whose centre lies in the mask
            (PERCIST, doi 10.2967/jnumed.108.057307), NaN where none fits into the image; ``MTV``, the metabolic tumour
            volume in ml, which is the volume of the mask; ``TLG``, total lesion glycolysis, the mean times MTV.
            ``attrs["log"]`` says how each was computed.

        Raises
        ------
        VolumeError
            The mask lies on another grid, or holds other values than 0 and 1; or the volume is 4D or in colour.

        Examples
        --------
        >>> import numpy as np
        >>> from pydicom.dataset import Dataset
        >>> from simple_orthanc import Geometry, Volume
        >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> volume = Volume(np.arange(60).reshape(3, 4, 5), grid, Dataset(), units="HU")
        >>> volume.statistics(volume.array >= 50)[["voxels", "ml", "mean", "max"]]
              voxels    ml  mean   max
        mask      10  0.02  54.5  59.0
        """
        import pandas

        if self.array.ndim != 3:
            raise VolumeError(self._no_statistics())
        named = mask if isinstance(mask, Mapping) else {self._name_of(mask): mask}
        rows = [self._statistics_of(each) for each in named.values()]
        table: pandas.DataFrame = pandas.DataFrame(rows, index=pandas.Index(list(map(str, named)), dtype="object"))
        table.attrs["log"] = statistics.definitions(self.units, cast("Volume", self).suv is not None)
        return table

    @staticmethod
    def _name_of(mask: Any) -> str:
        return str(mask.name or "mask") if isinstance(mask, ArrayOperations) else "mask"

    def _no_statistics(self) -> str:
        me = cast("Volume", self)
        if me.is_colour:
            return "statistics() needs one value per voxel, and this volume is in colour: use a channel of .array."
        return (
            f"statistics() needs a 3D volume, and this one is 4D, with {self.array.shape[0]} steps along "
            f"{self.dims[0]!r}. Use volume[0].statistics(mask) for the first step, and so on; "
            "volume.array[:, mask].mean(axis=1) is the mean of each step inside a boolean array."
        )

    def _statistics_of(self, mask: Any) -> dict[str, float | int]:
        inside = statistics.mask_values(self.array, self.geometry, mask)
        ml = None if self.geometry is None else statistics.voxel_ml(self.geometry)
        row = statistics.summary(self.array[inside], ml)
        if cast("Volume", self).suv is not None:
            row["SUVmax"] = row["max"]
            row["SUVpeak"] = (
                float("nan") if self.geometry is None else statistics.peak(self.array, inside, self.geometry)
            )
            row["MTV"] = row["ml"]
            row["TLG"] = row["mean"] * row["ml"]
        return row
