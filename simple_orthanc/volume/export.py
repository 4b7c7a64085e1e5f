"""Arrays and geometries to SimpleITK and NIfTI, and back.

This is the only place that knows that SimpleITK counts (column, row, slice) where numpy counts (slice, row, column),
and that NIfTI's axes grow to the right, front and head (RAS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.extras import import_extra
from simple_orthanc.volume.geometry import Geometry

if TYPE_CHECKING:
    import nibabel
    import SimpleITK
    from numpy.typing import NDArray


def to_sitk(
    array: NDArray[Any], geometry: Geometry, *, is_colour: bool, is_4d: bool = False, time_step: float | None = None
) -> SimpleITK.Image:
    """Make a SimpleITK image of an array and an unsheared geometry.

    Parameters
    ----------
    array : ndarray
        (slice, row, column), with 3 last for colour; (step, slice, row, column) for 4D.
    geometry : Geometry
        Its third axis may be off the normal by up to 1e-3; the image gets the normal itself, because NIfTI and many
        filters need perpendicular axes.
    is_colour : bool
        Whether the last axis is colour.
    is_4d : bool
        Whether the first axis is the step.
    time_step : float, optional
        Seconds between the steps, which become the spacing of the fourth axis. Without it that spacing is 1, since
        SimpleITK has no unknown one. The fourth axis begins at 0.

    Returns
    -------
    SimpleITK.Image
        The array is copied.

    Raises
    ------
    VolumeError
        If a 4D array is in colour, which SimpleITK has no image for.
    """
    import SimpleITK

    if is_colour and is_4d:
        raise VolumeError(
            "A SimpleITK image was requested from a 4D volume in colour, which SimpleITK has not: use .array."
        )
    plain = array.astype(np.uint8) if array.dtype == bool else array
    # SimpleITK reads the bytes as they are, and takes them for this machine's.
    native = np.ascontiguousarray(plain, plain.dtype.newbyteorder("="))
    image: Any = SimpleITK.GetImageFromArray(native, isVector=is_colour)
    spacing, origin = [float(value) for value in geometry.spacing], [float(value) for value in geometry.origin]
    direction = perpendicular(geometry)
    if is_4d:
        spacing.append(1.0 if time_step is None else time_step)
        origin.append(0.0)
        larger = np.eye(4)
        larger[:3, :3] = direction
        direction = larger
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction.ravel().tolist())
    result: SimpleITK.Image = image
    return result


def perpendicular(geometry: Geometry) -> NDArray[np.float64]:
    """Return the direction matrix (3 x 3) with its third axis exactly normal to the others, on the side it was."""
    matrix: NDArray[np.float64] = np.reshape(np.asarray(geometry.direction, np.float64), (3, 3)).copy()
    along = np.cross(matrix[:, 0], matrix[:, 1])
    matrix[:, 2] = along * (1.0 if along @ matrix[:, 2] >= 0 else -1.0)
    return matrix


def unsheared(
    array: NDArray[Any], geometry: Geometry, background: float | None = None
) -> tuple[NDArray[Any], Geometry]:
    """Resample a sheared volume onto the grid with perpendicular axes that holds all of it.

    The slices stay where they are and are shifted within their planes, linearly interpolated. The grid grows by that
    shift, and what it gains has the smallest value of the volume.

    Segment numbers take the nearest neighbour instead, because a number between two segments is that of a third one.

    Parameters
    ----------
    array : ndarray
        (slice, row, column).
    geometry : Geometry
        The third axis leans.
    background : float, optional
        The value of what the grid gains; given, it marks the values as segment numbers.

    Returns
    -------
    ndarray, Geometry
        The array has the type of the old one; the geometry is that of the new grid.
    """
    import SimpleITK

    columns, rows, slices = geometry.size
    matrix = perpendicular(geometry)
    step = geometry.affine[:3, 2]
    shift = [float(step @ matrix[:, axis]) / geometry.spacing[axis] * (slices - 1) for axis in (0, 1)]
    before = [max(0, int(np.ceil(-amount - 1e-9))) for amount in shift]
    after = [max(0, int(np.ceil(amount - 1e-9))) for amount in shift]
    start = geometry.to_patient((-before[0], -before[1], 0), order="xyz")
    size = (columns + before[0] + after[0], rows + before[1] + after[1], slices)
    a, b, c, d, e, f, g, h, i = (float(value) for value in matrix.ravel())
    target = replace(
        geometry,
        size=size,
        spacing=(*geometry.spacing[:2], float(step @ matrix[:, 2])),
        origin=(float(start[0]), float(start[1]), float(start[2])),
        direction=(a, b, c, d, e, f, g, h, i),
    )
    # In floats, because SimpleITK truncates interpolated integers instead of rounding them.
    exact = array.astype(np.result_type(array.dtype, np.float32), copy=False)
    image: Any = SimpleITK.GetImageFromArray(np.ascontiguousarray(exact))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    result = SimpleITK.Resample(
        image,
        size,
        SimpleITK.Transform(),  # type: ignore[no-untyped-call]
        SimpleITK.sitkLinear if background is None else SimpleITK.sitkNearestNeighbor,
        target.origin,
        target.spacing,
        target.direction,
        float(np.nanmin(array)) if background is None else background,
        image.GetPixelID(),
    )
    values = SimpleITK.GetArrayFromImage(result)
    return (np.rint(values) if array.dtype.kind in "iu" else values).astype(array.dtype, copy=False), target


def from_sitk(image: SimpleITK.Image) -> tuple[NDArray[Any], Geometry]:
    """Return the array (slice, row, column), with colour last, and the geometry of a 3D image.

    Raises
    ------
    VolumeError
        If the image does not have three dimensions.
    """
    import SimpleITK

    source: Any = image
    if source.GetDimension() != 3:
        raise VolumeError(
            f"A volume was requested from an image with {source.GetDimension()} dimensions, but three are needed: take "
            "one part of it, for example with SimpleITK.Extract, or put 2D images together with SimpleITK.JoinSeries."
        )
    return SimpleITK.GetArrayFromImage(source), Geometry(
        size=source.GetSize(), spacing=source.GetSpacing(), origin=source.GetOrigin(), direction=source.GetDirection()
    )


def to_nibabel(
    array: NDArray[Any], geometry: Geometry, *, is_colour: bool, time_step: float | None = None
) -> nibabel.Nifti1Image:
    """Make a NIfTI image, axes (column, row, slice) and the step last, whose affine also holds a shear.

    Parameters
    ----------
    array, geometry, is_colour
        As for :func:`to_sitk`; the geometry may be sheared.
    time_step : float, optional
        Seconds between the steps of a 4D array. Without it the fourth axis has the step 0 and no unit.

    Raises
    ------
    UnsupportedError
        If nibabel is not installed.
    VolumeError
        If colour is not uint8.
    """
    library = import_extra(
        "nibabel", "nibabel", "A nibabel image", ', or write a file with save("volume.nii.gz"), which does not need it'
    )
    if is_colour:
        if array.dtype != np.uint8:
            raise VolumeError(
                f"NIfTI holds colour as uint8 only, but the volume is {array.dtype}: use .window or .array."
            )
        data = np.ascontiguousarray(array).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0].T
    else:
        plain = array.astype(np.uint8) if array.dtype == bool else array
        data = plain.T  # 4D: (column, row, slice, step), as NIfTI wants it
    image = library.Nifti1Image(data, geometry.affine_ras, dtype=data.dtype)
    image.header.set_xyzt_units("mm", "unknown" if time_step is None else "sec")
    if data.ndim == 4:
        image.header["pixdim"][4] = time_step or 0.0
    image.set_sform(geometry.affine_ras, code=1)
    if not geometry.is_sheared:
        image.set_qform(geometry.affine_ras, code=1)
    result: nibabel.Nifti1Image = image
    return result


def fsl_gradients(
    b_values: Sequence[float], directions: Sequence[Sequence[float]], affine_ras: NDArray[np.float64]
) -> tuple[str, str]:
    """Write b-values and gradient directions as FSL reads them: the contents of .bval and .bvec.

    FSL's directions have the axes of the voxels, and the first of them is flipped if the affine's determinant is
    positive.

    Parameters
    ----------
    b_values : sequence of float
        In s/mm2, one for each step.
    directions : sequence
        Unit vectors in patient coordinates (LPS), or zeros, one for each step.
    affine_ras : ndarray
        (4, 4), of the array that the file holds.

    Returns
    -------
    tuple of str
        One line of b-values; three lines of directions, one for each axis.

    Examples
    --------
    >>> affine = np.diag([-2.0, -2.0, 2.0, 1.0])  # columns to the left, rows to the back, slices to the head
    >>> bval, bvec = fsl_gradients([0, 1000], [(0, 0, 0), (0.6, 0, 0.8)], affine)
    >>> print(bval + bvec, end="")
    0 1000
    0 -0.6
    0 0
    0 0.8
    """
    axes = affine_ras[:3, :3] / np.linalg.norm(affine_ras[:3, :3], axis=0)
    in_voxels = np.asarray(directions, np.float64) * (-1, -1, 1) @ axes
    if np.linalg.det(axes) > 0:
        in_voxels[:, 0] *= -1
    rows = [b_values, *in_voxels.T]
    # Adding zero makes -0 a plain 0.
    lines = [" ".join(f"{value + 0.0:.6g}" for value in np.round(row, 6)) + "\n" for row in rows]
    return lines[0], "".join(lines[1:])
