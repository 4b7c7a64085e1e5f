"""Volumes as objects of other libraries: xarray, TorchIO, MONAI.

Each has the same values at the same place as what the library reads from the NIfTI file that the volume is saved to.
TorchIO and MONAI put channels first, then (column, row, slice), with an affine to RAS; xarray keeps the array as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.extras import import_extra
from simple_orthanc.volume.export import perpendicular

if TYPE_CHECKING:
    import torch
    import torchio
    import xarray
    from monai.data import MetaTensor
    from numpy.typing import NDArray

    from simple_orthanc.volume.geometry import Geometry
    from simple_orthanc.volume.volume import Volume

# PyTorch computes little with unsigned integers of more than 8 bits.
_SIGNED = {np.dtype(np.uint16): np.int32, np.dtype(np.uint32): np.int64}
_PATIENT_AXES = ("x", "y", "z")


class HandsOver:
    """The part of `Volume` that makes objects of other libraries of it."""

    def to_xarray(self) -> xarray.DataArray:
        """Return an xarray.DataArray with coordinates in mm. Needs xarray (extra ``xarray``).

        Returns
        -------
        xarray.DataArray
            The array itself, not a copy. Its dimensions are those of the volume: ("slice", "row", "column"), the axis
            of the steps of a 4D volume before them, "channel" ("R", "G", "B") after them.

            The coordinates of the spatial dimensions are mm along their axes, measured so that ``direction @ (column,
            row, slice)`` is the position in the patient, LPS: those of an axial volume, whose columns run to the left,
            rows to the back and slices to the head, are x, y and z. The coordinates of the steps are those of the
            volume; each vector becomes three coordinates, such as "direction_x". Objects without position have no
            spatial coordinates.

            ``attrs`` holds "units", "space" ("LPS") and "direction", the nine numbers of `direction`. They and the
            coordinates stay right for any part of the DataArray; spacing, origin and affine would not.

        Raises
        ------
        UnsupportedError
            xarray is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from pydicom.dataset import Dataset
        >>> from simple_orthanc import Geometry, Volume
        >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (-2.0, 0.0, 100.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> data = Volume(np.arange(60).reshape(3, 4, 5), grid, Dataset(), units="HU").to_xarray()
        >>> data.sizes
        Frozen({'slice': 3, 'row': 4, 'column': 5})
        >>> data.sel(slice=103.5, row=2, column=-1, method="nearest").item()
        51
        >>> data.mean("slice").column.values.tolist()
        [-2.0, -1.0, 0.0, 1.0, 2.0]
        """
        volume = cast("Volume", self)
        library = import_extra("xarray", "xarray", "A DataArray")
        dims = (*volume.dims, "channel") if volume.is_colour else volume.dims
        attributes: dict[str, Any] = {"units": volume.units} if volume.units else {}
        coordinates = _step_coordinates(volume)
        if volume.is_colour:
            coordinates["channel"] = ("channel", ["R", "G", "B"])
        if volume.geometry is not None:
            coordinates.update(_millimetres(volume.geometry))
            attributes.update(space="LPS", direction=tuple(map(float, volume.geometry.direction)))
        result: xarray.DataArray = library.DataArray(volume.array, coordinates, dims, attrs=attributes)
        return result

    def to_torchio(self) -> torchio.Image:
        """Return a TorchIO image: a LabelMap of a mask or a label map, else a ScalarImage. Needs TorchIO.

        The extra ``torchio`` installs it.

        Returns
        -------
        torchio.ScalarImage or torchio.LabelMap
            Its tensor is (channel, column, row, slice), TorchIO's (C, W, H, D), with one channel, one for each step of
            a 4D volume, or three of colour; its affine is RAS, mm. What ``torchio.ScalarImage(path)`` reads from the
            saved volume has the same values at the same place. ``image["units"]`` are the units of the volume.

            The tensor shares its memory with the array wherever PyTorch can: True and False become uint8 1 and 0;
            uint16 is copied to int32 and uint32 to int64, because PyTorch computes with few unsigned types.

        Raises
        ------
        VolumeError
            There is no geometry; or the volume is sheared, which TorchIO's transforms do not take into account; or it
            is a 4D volume in colour.
        UnsupportedError
            TorchIO is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from pydicom.dataset import Dataset
        >>> from simple_orthanc import Geometry, Volume
        >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> image = Volume(np.zeros((3, 4, 5), np.int16), grid, Dataset(), units="HU").to_torchio()
        >>> image.shape, image.spacing, image.orientation
        ((1, 5, 4, 3), (1.0, 1.0, 2.0), ('L', 'P', 'S'))
        """
        volume = cast("Volume", self)
        geometry = _geometry_for(volume, "A TorchIO image")
        if geometry.is_sheared:
            raise VolumeError(
                "A TorchIO image was requested from a sheared volume (gantry tilt), which TorchIO's transforms would "
                "move to the wrong place. Use Volume.from_sitk(volume.to_sitk(resample=True), like=volume)"
                ".to_torchio()."
            )
        library = import_extra("torchio", "torchio", "A TorchIO image")
        kind = library.LabelMap if volume._is_discrete() else library.ScalarImage
        a, b, c, d, e, f, g, h, i = (float(value) for value in perpendicular(geometry).ravel())
        affine = replace(geometry, direction=(a, b, c, d, e, f, g, h, i)).affine_ras
        return kind(tensor=_tensor(volume), affine=affine, units=volume.units)

    def to_monai(self) -> MetaTensor:
        """Return a MONAI MetaTensor, with channels first and an affine to RAS. Needs MONAI (extra ``monai``).

        Returns
        -------
        monai.data.MetaTensor
            (channel, column, row, slice), with one channel, one for each step of a 4D volume, or three of colour. What
            ``LoadImage(ensure_channel_first=True)`` reads from the saved volume has the same values at the same place,
            but always as float32; here the type of the volume is kept, and ``.float()`` converts it.

            The tensor shares its memory with the array wherever PyTorch can: True and False become uint8 1 and 0;
            uint16 is copied to int32 and uint32 to int64, because PyTorch computes with few unsigned types.
            ``meta["units"]`` are the units of the volume.

        Raises
        ------
        VolumeError
            There is no geometry, or the volume is 4D and in colour. A shear is kept in the affine.
        UnsupportedError
            MONAI is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from pydicom.dataset import Dataset
        >>> from simple_orthanc import Geometry, Volume
        >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> tensor = Volume(np.zeros((3, 4, 5), np.int16), grid, Dataset(), units="HU").to_monai()
        >>> tuple(tensor.shape), tensor.dtype, tensor.pixdim.tolist()
        ((1, 5, 4, 3), torch.int16, [1.0, 1.0, 2.0])
        >>> tensor.affine.diagonal().tolist()
        [-1.0, -1.0, 2.0, 1.0]
        """
        volume = cast("Volume", self)
        geometry = _geometry_for(volume, "A MetaTensor")
        library = import_extra("monai.data", "monai", "A MetaTensor")
        import torch

        tensor, affine = _tensor(volume), geometry.affine_ras
        meta = {
            "original_affine": affine.copy(),
            "spatial_shape": np.array(tensor.shape[1:]),
            "space": "RAS",
            "original_channel_dim": 0,
            "units": volume.units,
        }
        return library.MetaTensor(tensor, affine=torch.tensor(affine), meta=meta)


def _step_coordinates(volume: Volume) -> dict[str, Any]:
    """Return the coordinates of the steps of a 4D volume as xarray takes them; vectors as three of their own."""
    coordinates: dict[str, Any] = {}
    for name, values in volume.coordinates.items():
        unit = volume.coordinate_units.get(name, "")
        attributes = {"units": unit} if unit else {}
        numbers = np.asarray(values)
        if numbers.ndim == 1:
            coordinates[name] = (volume.dims[0], numbers, attributes)
        else:
            for axis, part in zip(_PATIENT_AXES, numbers.T, strict=True):
                coordinates[f"{name}_{axis}"] = (volume.dims[0], part, attributes)
    return coordinates


def _millimetres(geometry: Geometry) -> dict[str, Any]:
    """Return the coordinates of columns, rows and slices, of which the direction matrix makes positions."""
    direction = np.reshape(np.asarray(geometry.direction, np.float64), (3, 3))
    starts = np.linalg.solve(direction, np.asarray(geometry.origin, np.float64))
    return {
        name: (name, start + spacing * np.arange(size), {"units": "mm"})
        for name, start, spacing, size in zip(
            ("column", "row", "slice"), starts, geometry.spacing, geometry.size, strict=True
        )
    }


def _geometry_for(volume: Volume, what: str) -> Geometry:
    """Return the geometry, if the volume has one and PyTorch's (channel, column, row, slice) can hold it."""
    if volume.geometry is None:
        raise VolumeError(
            f"{what} was requested, but the objects have no position in the patient: use .array, or "
            "torch.as_tensor(volume)."
        )
    if volume.is_colour and len(volume.dims) == 4:
        raise VolumeError(f"{what} was requested from a 4D volume in colour, which has too many axes: use volume[0].")
    return volume.geometry


def _tensor(volume: Volume) -> torch.Tensor:
    """Return the values as a tensor (channel, column, row, slice) that shares their memory if PyTorch can."""
    import torch

    array = volume.array
    if volume.is_colour:
        array = array.transpose(3, 2, 1, 0)
    elif len(volume.dims) == 4:
        array = array.transpose(0, 3, 2, 1)
    else:
        array = array.T[np.newaxis]
    return torch.from_numpy(_for_pytorch(array))


def _for_pytorch(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array, copied if PyTorch does not take its type, its byte order or its memory."""
    if array.dtype == bool:
        array = array.view(np.uint8)
    array = array.astype(_SIGNED.get(array.dtype, array.dtype.newbyteorder("=")), copy=False)
    is_shareable = array.flags.writeable and all(stride >= 0 for stride in array.strides)
    return array if is_shareable else array.copy()
