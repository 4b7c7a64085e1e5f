"""What is made of a volume: other values, other grids, projections, statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume import regrid, statistics
from simple_orthanc.volume.common_space import check_common_space, moved_into
from simple_orthanc.volume.named import by_name
from simple_orthanc.volume.parts import ArrayParts

if TYPE_CHECKING:
    import pandas as pd
    from pydicom.dataset import Dataset

    from simple_orthanc.volume.geometry import Geometry
    from simple_orthanc.volume.regrid import Interpolation
    from simple_orthanc.volume.volume import Volume


class ArrayOperations(ArrayParts):
    """The part of `Volume` that makes other volumes of it, and measures it."""

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
            The shape is another one, or `array` is a volume of another patient, frame of reference or place.

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
        if isinstance(array, ArrayParts):
            self._check_place_of(array, "The volume that was given")
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
        *,
        allow_other_frame: bool = False,
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
        allow_other_frame : bool
            Take coordinates as they are although `like` is of another patient or in another frame of reference, because
            the two were registered elsewhere. The result is in the frame of reference of `like`.

        Returns
        -------
        Volume
            Masks and label maps keep their type and are 0 outside of this volume. Other values become float32, or
            float64 where they are float64 or integers of more than 16 bits, and are NaN outside of its voxels, where
            nothing is known. Nothing is smoothed before the values are sampled.

        Raises
        ------
        VolumeError
            There is no geometry, or the volume is 4D or in colour; or `like` is of another patient or in another frame
            of reference, so that the two have no common coordinates.
        ValueError
            Neither or both of `like` and `spacing` are given, or there is no such interpolation, or not for a label
            map: between the labels 1 and 3 there is no label 2.

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
        header, notes = self._laid_into(like, allow_other_frame)
        discrete = self._is_discrete()
        method: Interpolation = interpolation or ("nearest" if discrete else "linear")
        if method not in regrid.INTERPOLATIONS:
            raise ValueError(f"interpolation={interpolation!r}: one of {', '.join(map(repr, regrid.INTERPOLATIONS))}")
        if method != "nearest" and discrete and not self._is_mask():
            raise ValueError(
                f"interpolation={method!r} would mix labels into others: leave it out, or interpolate "
                'each label as a mask, as in volume.with_array(volume.array == 1, units="mask").resample(...).'
            )
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
        log = (*me.log, note, *notes)
        return replace(
            me, array=new, geometry=target, header=header, padding_mask=None, slices=None, sources=sources, log=log
        )

    def _laid_into(self, like: Volume | Geometry | None, allow_other_frame: bool) -> tuple[Dataset, tuple[str, ...]]:
        """Return the header of this volume in the space of another one, and what is to be noted of that."""
        me = cast("Volume", self)
        if not allow_other_frame:
            check_common_space(me, like, "The volume to resample", "the volume given by like=")
        return moved_into(me.header, like)

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

    def statistics(self, mask: Any, *, allow_other_frame: bool = False) -> pd.DataFrame:
        """Return statistics of the voxels inside a mask.

        Parameters
        ----------
        mask : Volume, ndarray, or mapping or list of these
            True, or 1, inside, on the grid of this volume; several by name, as `Session.get_masks` returns them.
        allow_other_frame : bool
            Take masks of another patient or frame of reference, because they were registered elsewhere.

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
            The mask is of another patient, in another frame of reference or on another grid, or holds other values than
            0 and 1; or the volume is 4D or in colour.

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
        names, rows = [], []
        for name, each in by_name(mask, self._name_of):
            if not allow_other_frame:
                check_common_space(each, self, "The mask" if each is mask else f"The mask {name!r}", "the image")
            names.append(name)
            rows.append(self._statistics_of(each))
        table: pandas.DataFrame = pandas.DataFrame(rows, index=pandas.Index(names, dtype="object"))
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
