"""Arrays and geometries to SimpleITK, NIfTI and files, and back.

This is the only place that knows that SimpleITK counts (column, row, slice) where numpy counts (slice, row, column),
and that NIfTI's axes grow to the right, front and head (RAS).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.geometry import Geometry

if TYPE_CHECKING:
    import nibabel
    import SimpleITK
    from numpy.typing import NDArray

SUFFIXES = (".nii.gz", ".nrrd", ".mha")


def to_sitk(
    array: NDArray[Any], geometry: Geometry, *, is_colour: bool, steps: Sequence[float] | None = None
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
    steps : sequence of float, optional
        Coordinates along the first axis of a 4D array. Where they are even they become its origin and spacing.

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

    if is_colour and steps is not None:
        raise VolumeError("A SimpleITK image was asked of a 4D volume in colour, which SimpleITK has not: use .array.")
    plain = array.astype(np.uint8) if array.dtype == bool else array
    image: Any = SimpleITK.GetImageFromArray(np.ascontiguousarray(plain), isVector=is_colour)
    spacing, origin = [float(value) for value in geometry.spacing], [float(value) for value in geometry.origin]
    direction = perpendicular(geometry)
    if steps is not None:
        gaps = np.diff(steps)
        even = len(gaps) > 0 and gaps[0] > 0 and bool(np.allclose(gaps, gaps[0], rtol=1e-3))
        spacing.append(float(gaps[0]) if even else 1.0)
        origin.append(float(steps[0]) if even else 0.0)
        larger = np.eye(4)
        larger[:3, :3] = direction
        direction = larger
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction.ravel().tolist())
    result: SimpleITK.Image = image
    return result


def perpendicular(geometry: Geometry) -> NDArray[np.float64]:
    """Return the direction matrix with the third axis put exactly on the normal of the first two, on its own side."""
    matrix: NDArray[np.float64] = np.reshape(np.asarray(geometry.direction, np.float64), (3, 3)).copy()
    along = np.cross(matrix[:, 0], matrix[:, 1])
    matrix[:, 2] = along * (1.0 if along @ matrix[:, 2] >= 0 else -1.0)
    return matrix


def unsheared(
    array: NDArray[Any], geometry: Geometry, background: float | None = None
) -> tuple[NDArray[Any], Geometry]:
    """Resample a sheared volume onto the grid with perpendicular axes that holds all of it.

    The slices stay where they are and are shifted within their planes, linearly interpolated; the grid grows by what
    they are shifted. Where there was nothing stands the smallest value of the volume.

    Numbers of segments take the nearest instead: between two of them lies a third that is none of them.

    Parameters
    ----------
    array : ndarray
        (slice, row, column).
    geometry : Geometry
        The third axis leans.
    background : float, optional
        That the values are numbers of segments, and which of them stands where there was nothing.

    Returns
    -------
    ndarray, Geometry
        Of the same type, and the geometry of the new grid.
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
    # In floats, because SimpleITK would cut interpolated whole numbers off instead of rounding them.
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
        If the image has not three dimensions.
    """
    import SimpleITK

    source: Any = image
    if source.GetDimension() != 3:
        raise VolumeError(
            f"A volume was asked of an image with {source.GetDimension()} dimensions, but three are needed: take one "
            "part of it, for example with SimpleITK.Extract, or put 2D images together with SimpleITK.JoinSeries."
        )
    return SimpleITK.GetArrayFromImage(source), Geometry(
        size=source.GetSize(), spacing=source.GetSpacing(), origin=source.GetOrigin(), direction=source.GetDirection()
    )


def to_nibabel(array: NDArray[Any], geometry: Geometry, *, is_colour: bool) -> nibabel.Nifti1Image:
    """Make a NIfTI image, axes (column, row, slice) and the step last, whose affine also holds a shear."""
    import nibabel

    if is_colour:
        if array.dtype != np.uint8:
            raise VolumeError(
                f"NIfTI holds colour as uint8 only, but the volume is {array.dtype}: use .window or .array."
            )
        data = np.ascontiguousarray(array).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0].T
    else:
        plain = array.astype(np.uint8) if array.dtype == bool else array
        data = plain.T  # 4D: (column, row, slice, step), as NIfTI wants it
    image: Any = nibabel.Nifti1Image(data, geometry.affine_ras, dtype=data.dtype)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    image.set_sform(geometry.affine_ras, code=1)
    if not geometry.is_sheared:
        image.set_qform(geometry.affine_ras, code=1)
    result: nibabel.Nifti1Image = image
    return result


def save(image: SimpleITK.Image, path: str | os.PathLike[str]) -> Path:
    """Write an image under a temporary name beside its own, then rename it, so that no half-written file is left.

    Raises
    ------
    VolumeError
        If the suffix is not one of ``SUFFIXES``.
    """
    import SimpleITK

    target = Path(path)
    suffix = check_suffix(target)
    # Named before it is made: an interrupt between making and knowing it would leave it behind.
    part = target.with_name(f".{secrets.token_hex(8)}{suffix}")
    try:
        SimpleITK.WriteImage(image, str(part), useCompression=True)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target


def check_suffix(path: Path) -> str:
    """Return the suffix of a file that can be written, or raise VolumeError."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise VolumeError(f"The file was to be {path.name!r}, but a volume is saved as {', '.join(SUFFIXES)}: choose one.")
