"""A volume as images and files of other libraries: SimpleITK, nibabel, .nii.gz, .nrrd, .mha."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import VolumeError, stacklevel
from simple_orthanc.pixels.padding import background_value
from simple_orthanc.volume import export, saving
from simple_orthanc.volume.geometry import Geometry

if TYPE_CHECKING:
    import nibabel
    import SimpleITK

    from simple_orthanc.volume.volume import Volume

# Times are even if each is within this share of a step from its place, as clocks of scanners tick in milliseconds.
EVEN_TIMES = 0.02


class Converts:
    """The part of `Volume` that makes images and files of it."""

    def to_sitk(self, resample: bool = False, assume_geometry: bool = False) -> SimpleITK.Image:
        """Return a SimpleITK image with the same voxels at the same places, in mm.

        Parameters
        ----------
        resample : bool
            Resample a sheared volume onto perpendicular axes: within the slices, linearly (masks and numbers of
            segments by their nearest neighbour), on a grid that holds all of it. An unsheared volume is never
            resampled.
        assume_geometry : bool
            Give objects without position voxels of 1 mm from 0, 0, 0; otherwise they raise.

        Returns
        -------
        SimpleITK.Image
            Of vector pixels for colour, of four dimensions for a 4D volume.

        Raises
        ------
        VolumeError
            If there is no geometry, or it is sheared, and nothing was said about it.

        Examples
        --------
        >>> import SimpleITK as sitk
        >>> image = volume.to_sitk()
        >>> image.GetSize(), image.GetSpacing()
        ((128, 128, 40), (2.2, 2.2, 5.0))

        A filter in millimetres, and its result as a volume again:

        >>> smooth = sitk.SmoothingRecursiveGaussian(image, sigma=2.0)
        >>> type(volume).from_sitk(smooth, like=volume).units
        'HU'
        """
        me = cast("Volume", self)
        geometry = me.geometry
        if geometry is None:
            if not assume_geometry:
                raise VolumeError(
                    "An image with geometry was requested, but the objects have no position in the patient. Use "
                    ".array, or to_sitk(assume_geometry=True), get_image's way to voxels of 1 mm from 0, 0, 0."
                )
            slices, rows, columns = me.shape[len(me.dims) - 3 : len(me.dims)]
            identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
            geometry = Geometry((columns, rows, slices), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), identity)
        array = me.array
        if geometry.is_sheared:
            if not resample:
                raise VolumeError(
                    "An image was requested from a sheared volume (gantry tilt), which SimpleITK's filters and most "
                    "formats would show in the wrong place. Use to_sitk(resample=True), or .array with .affine."
                )
            if array.ndim != 3:
                raise VolumeError("Only a sheared 3D volume of single values is resampled: use .array with .affine.")
            array, geometry = export.unsheared(array, geometry, me._background())
        return export.to_sitk(array, geometry, is_colour=me.is_colour, is_4d=len(me.dims) == 4, time_step=me.time_step)

    def _background(self) -> int | None:
        """Return the value of no segment; None if the values are neither a mask nor segment numbers."""
        me = cast("Volume", self)
        if me._is_mask():
            return 0
        kind = elements.text(me.header, "SegmentationType")
        return background_value(me.header) if me.units == "label" or kind in ("BINARY", "LABELMAP") else None

    @property
    def time_step(self) -> float | None:
        """Seconds between the steps of a 4D volume; None if they are not even or not times.

        Examples
        --------
        >>> from simple_orthanc import Folder
        >>> dynamic = Folder.example().select(SeriesDescription="DCE*").get_volume(dims="time")
        >>> dynamic.shape, dynamic.time_step
        ((20, 8, 64, 64), 3.0)
        >>> dynamic.coordinates["time"][:4]
        (0.0, 3.0, 6.0, 9.0)
        """
        me = cast("Volume", self)
        if len(me.dims) != 4 or me.coordinate_units.get(me.dims[0]) != "s":
            return None
        times = np.asarray(me.coordinates[me.dims[0]], np.float64)
        step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
        deviation = np.abs(times - times[0] - step * np.arange(len(times))).max()
        return float(step) if step > 0 and deviation <= EVEN_TIMES * step else None

    def to_nibabel(self) -> nibabel.Nifti1Image:
        """Return a nibabel image, axes (column, row, slice), RAS affine; a shear is kept. Needs nibabel.

        Raises
        ------
        VolumeError
            If there is no geometry, or colour is not uint8.

        Examples
        --------
        >>> image = volume.to_nibabel()
        >>> image.shape, float(image.get_fdata().min())
        ((128, 128, 40), -1024.0)
        >>> bool((image.affine == volume.affine_ras).all())
        False
        """
        me = cast("Volume", self)
        if me.geometry is None:
            raise VolumeError(
                "A NIfTI image was requested, but the objects have no position in the patient: use .array."
            )
        return export.to_nibabel(me.array, me.geometry, is_colour=me.is_colour, time_step=me.time_step)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a .nii.gz, .nrrd or .mha file, whole or not at all.

        Beside the .nii.gz of a 4D diffusion volume its b-values and gradient directions are written as FSL reads them,
        to files that end with .bval and .bvec. The fourth axis of .nii.gz has the step between even times in seconds;
        if its coordinates are not even times, its step is 0 and it has no unit.

        Parameters
        ----------
        path : str or path
            The file, in a folder that exists. An older file of that name is replaced once the new one is whole.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        VolumeError
            For another suffix, a missing folder, a file that cannot be written or not all of it, and where
            :meth:`to_sitk` raises: save a sheared volume with
            ``Volume.from_sitk(volume.to_sitk(resample=True)).save(path)``. NaN cannot go to .nii.gz: ITK's reader, and
            so SimpleITK, turns it into 0, which is a value.

        Examples
        --------
        >>> import SimpleITK as sitk
        >>> path = volume.save("ct.nii.gz")
        >>> path.name, sitk.ReadImage(str(path)).GetSize()
        ('ct.nii.gz', (128, 128, 40))
        """
        me = cast("Volume", self)
        _, suffix = saving.check_target(path)
        if suffix == ".nii.gz" and me.array.dtype.kind == "f" and bool(np.isnan(me.array).any()):
            raise VolumeError(
                f"{Path(path).name} was asked for a volume with NaN, which SimpleITK reads from NIfTI as 0: save .nrrd "
                "or .mha, or fill the NaN first."
            )
        image = me.to_sitk()
        companions = me._gradient_files() if suffix == ".nii.gz" else {}
        return saving.save(image, path, companions=companions, time_step=me.time_step)

    def _gradient_files(self) -> dict[str, str]:
        """Write the b-values and directions of a diffusion volume for FSL; unknown directions are left out."""
        me = cast("Volume", self)
        if me.dims[0] != "b" or me.affine_ras is None:
            return {}
        directions = me.coordinates.get("direction", ())
        is_known = bool(directions) and not np.isnan(directions).any()
        vectors = directions if is_known else ((0.0, 0.0, 0.0),) * len(me.coordinates["b"])
        values, rows = export.fsl_gradients(me.coordinates["b"], vectors, me.affine_ras)
        if is_known:
            return {".bval": values, ".bvec": rows}
        warnings.warn(
            "Gradient directions are unknown, so that no .bvec file is written beside the image and its .bval.",
            stacklevel=stacklevel(),
        )
        return {".bval": values}
