"""A volume on another grid: a part of it, another spacing, the grid of another volume, its maximum along an axis.

All of it is numbers: arrays and geometries in, arrays and geometries out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.geometry import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

Interpolation = Literal["linear", "nearest", "bspline"]
INTERPOLATIONS = ("linear", "nearest", "bspline")
_AXES = ("slice", "row", "column")
# The share of a mask from which on a voxel that is interpolated belongs to it.
_INSIDE = 0.5


def sliced(geometry: Geometry, ranges: Sequence[range]) -> Geometry:
    """Return the geometry of a part of a grid.

    Parameters
    ----------
    geometry : Geometry
    ranges : sequence of three range
        The indices kept along slice, row and column, in this order; a negative step turns the axis round.

    Examples
    --------
    >>> grid = Geometry((8, 6, 4), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> part = sliced(grid, (range(1, 3), range(5, -1, -1), range(0, 8, 2)))
    >>> part.size, part.spacing, part.origin
    ((4, 6, 2), (2.0, 1.0, 2.0), (0.0, 5.0, 2.0))
    """
    kept = ranges[::-1]
    direction = np.reshape(np.asarray(geometry.direction, np.float64), (3, 3)) * [np.sign(each.step) for each in kept]
    origin = geometry.to_patient([each.start for each in kept], order="xyz")
    spacing = [step * abs(each.step) for step, each in zip(geometry.spacing, kept, strict=True)]
    return _geometry([len(each) for each in kept], spacing, origin, direction)


def _geometry(size: Sequence[int], spacing: Sequence[float], origin: Any, direction: NDArray[np.float64]) -> Geometry:
    columns, rows, slices = (int(number) for number in size)
    between = tuple(float(value) for value in spacing)
    # Adding 0 turns the -0.0 of a turned axis into 0.0.
    cosines = tuple(float(value) + 0.0 for value in direction.ravel())
    first = tuple(float(value) + 0.0 for value in origin)
    return Geometry((columns, rows, slices), between, first, cosines)  # type: ignore[arg-type]


def with_spacing(geometry: Geometry, spacing: float | Sequence[float]) -> Geometry:
    """Return the grid of another spacing that covers the same voxels, edge to edge, to the nearest whole voxel.

    Parameters
    ----------
    geometry : Geometry
    spacing : float or sequence of three floats
        Between columns, rows and slices, mm; one number for all three.

    Raises
    ------
    ValueError
        A spacing is not positive and finite, or there are not three.

    Examples
    --------
    >>> grid = Geometry((4, 4, 2), (1.0, 1.0, 4.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> finer = with_spacing(grid, 2)
    >>> finer.size, finer.spacing, finer.origin
    ((2, 2, 4), (2.0, 2.0, 2.0), (0.5, 0.5, -1.0))
    """
    wanted = np.broadcast_to(np.asarray(spacing, np.float64), (3,)) if np.ndim(spacing) == 0 else np.asarray(spacing)
    if wanted.shape != (3,) or not np.isfinite(wanted).all() or (wanted <= 0).any():
        raise ValueError(f"spacing={spacing!r}: one positive number of mm, or three, for columns, rows and slices")
    old = np.asarray(geometry.spacing, np.float64)
    extent = old * geometry.size
    size = np.maximum(1, np.rint(extent / wanted)).astype(int)
    # The middle of the grid stays where it is.
    first = ((extent - (size - 1) * wanted) / old - 1) / 2
    direction = np.reshape(np.asarray(geometry.direction, np.float64), (3, 3))
    return _geometry(size.tolist(), wanted.tolist(), geometry.to_patient(first, order="xyz"), direction)


def resampled(
    array: NDArray[Any], source: Geometry, target: Geometry, interpolation: Interpolation, outside: float
) -> NDArray[Any]:
    """Return the values of a 3D array at the voxels of another grid, either of which may be sheared.

    Parameters
    ----------
    array : ndarray
        (slice, row, column).
    source, target : Geometry
    interpolation : {"linear", "nearest", "bspline"}
    outside : float
        The value of voxels whose centre lies outside of the source.
    """
    import SimpleITK

    methods = {
        "linear": SimpleITK.sitkLinear,
        "nearest": SimpleITK.sitkNearestNeighbor,
        "bspline": SimpleITK.sitkBSpline,
    }
    # SimpleITK truncates interpolated integers, so that a mask would lose its border.
    plain = array.astype(np.uint8 if interpolation == "nearest" else np.float32) if array.dtype == bool else array
    image: Any = SimpleITK.GetImageFromArray(np.ascontiguousarray(plain))
    # From index to index, so that directions which SimpleITK refuses, those of sheared grids, need not be set.
    matrix = np.linalg.inv(source.affine) @ target.affine
    # The stubs of SimpleITK leave its transforms untyped.
    transform: Any = SimpleITK.AffineTransform(3)  # type: ignore[no-untyped-call]
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    reference = ([int(number) for number in target.size], transform, methods[interpolation], [0.0] * 3, [1.0] * 3)
    identity = np.eye(3).ravel().tolist()
    result = SimpleITK.Resample(image, *reference, identity, float(outside), image.GetPixelID())
    values: NDArray[Any] = SimpleITK.GetArrayFromImage(result)
    return values >= _INSIDE if array.dtype == bool else values


def flattened(geometry: Geometry, axis: int) -> Geometry:
    """Return the grid with the voxels along an array axis (0 slice, 1 row, 2 column) joined into one."""
    along = 2 - axis
    size, spacing = list(geometry.size), list(geometry.spacing)
    middle = [0.0, 0.0, 0.0]
    middle[along] = (size[along] - 1) / 2
    spacing[along] *= size[along]
    size[along] = 1
    direction = np.reshape(np.asarray(geometry.direction, np.float64), (3, 3))
    return _geometry(size, spacing, geometry.to_patient(middle, order="xyz"), direction)


def axis_number(axis: int | str) -> int:
    """Return the array axis (0 slice, 1 row, 2 column) for a name or a number.

    Raises
    ------
    ValueError
        It is neither.
    """
    if axis in _AXES:
        return _AXES.index(str(axis))
    if isinstance(axis, int) and not isinstance(axis, bool) and -3 <= axis < 3:
        return axis % 3
    raise ValueError(f'axis={axis!r}: "slice", "row", "column", or 0, 1, 2')


def kept_ranges(key: Any, shape: Sequence[int]) -> list[range] | None:
    """Return the indices that a key of slices keeps along each axis; None if it is a key of another kind.

    Raises
    ------
    VolumeError
        Nothing would be left along an axis.
    IndexError
        There are more slices than axes.

    Examples
    --------
    >>> kept_ranges((slice(1, 3), ..., slice(None, None, 2)), (4, 5, 6))
    [range(1, 3), range(0, 5), range(0, 6, 2)]
    >>> kept_ranges(3, (4, 5, 6)) is None
    True
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    if not all(isinstance(each, slice) or each is Ellipsis for each in keys):
        return None
    if Ellipsis in keys:
        place = keys.index(Ellipsis)
        keys[place : place + 1] = [slice(None)] * (len(shape) - len(keys) + 1)
    if len(keys) > len(shape):
        raise IndexError(f"{len(keys)} slices were given, and the volume has {len(shape)} axes")
    keys += [slice(None)] * (len(shape) - len(keys))
    ranges = [range(*each.indices(size)) for each, size in zip(keys, shape, strict=True)]
    for number, each in enumerate(ranges):
        if not each:
            raise VolumeError(f"Nothing is left of axis {number}, which has {shape[number]} voxels, by {keys[number]}.")
    return ranges
