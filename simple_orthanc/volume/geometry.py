"""Where voxels are: from numbers to numbers, in float64, without DICOM objects.

One convention holds everywhere. Patient coordinates are DICOM's: x to the patient's left, y to the back, z to the head
(LPS), in mm. Index order is SimpleITK's: (column, row, slice), also written "xyz"; numpy indexes the same voxel of the
array as (slice, row, column), written "zyx". Where an order could be meant either way it must be said.

The image plane is described in DICOM PS3.3 C.7.6.2.1.1: ImagePositionPatient is the centre of the first pixel, the
first three numbers of ImageOrientationPatient are the direction in which the column index increases, the last three
that in which the row index increases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Order = Literal["xyz", "zyx"]
Vector = tuple[float, float, float]
Floats: TypeAlias = "NDArray[np.float64]"

# A slice may be this far from its place on the line from first to last, as a share of the spacing.
DEVIATION_TOLERANCE = 0.02
# Of the distance between slices in mm: finer than any scanner, coarser than the round-off of positions in metres.
_SPACING_DIGITS = 10
# Cosines are taken as equal, unit vectors as such and axes as perpendicular within this.
COSINE_TOLERANCE = 1e-3
# How much further than by rounding the nearest vectors that were found may be from what was written.
ROUNDING_SLACK = 1.05


@dataclass(frozen=True)
class Geometry:
    """The place of a regular grid of voxels in the patient.

    Parameters
    ----------
    size : tuple of int
        Columns, rows, slices.
    spacing : tuple of float
        Distance in mm between the centres of neighbouring columns, rows and slices; for a sheared grid the last is
        measured along its third axis.
    origin : tuple of float
        The centre of voxel (0, 0, 0) in mm, LPS.
    direction : tuple of nine floats
        Row by row the matrix whose columns are the unit vectors of increasing column, row and slice index: what
        SimpleITK's ``GetDirection`` gives. The third vector need not be perpendicular to the other two.

    Examples
    --------
    >>> grid = Geometry((128, 96, 40), (0.7, 1.3, 2.0), (-10.0, -20.0, 30.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> grid.to_patient((1, 2, 3), order="xyz").round(6).tolist()
    [-9.3, -17.4, 36.0]
    >>> grid.to_index((-9.3, -17.4, 36.0), order="zyx").round(6).tolist()
    [3.0, 2.0, 1.0]
    """

    size: tuple[int, int, int]
    spacing: Vector
    origin: Vector
    direction: tuple[float, float, float, float, float, float, float, float, float]

    @cached_property
    def affine(self) -> Floats:
        """The 4 by 4 matrix that maps (column, row, slice, 1) to (x, y, z, 1), in mm, LPS.

        Examples
        --------
        >>> grid = Geometry((128, 96, 40), (0.7, 1.3, 2.0), (-10.0, -20.0, 30.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> (grid.affine @ (1, 2, 3, 1)).round(6).tolist()
        [-9.3, -17.4, 36.0, 1.0]
        """
        result = np.eye(4)
        result[:3, :3] = np.reshape(np.asarray(self.direction, np.float64), (3, 3)) * self.spacing
        result[:3, 3] = self.origin
        result.setflags(write=False)
        return result

    @property
    def affine_ras(self) -> Floats:
        """The same matrix for RAS coordinates (they increase to the right, front and head), as in NIfTI.

        Examples
        --------
        >>> grid = Geometry((128, 96, 40), (0.7, 1.3, 2.0), (-10.0, -20.0, 30.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> (grid.affine_ras @ (1, 2, 3, 1)).round(6).tolist()
        [9.3, 17.4, 36.0, 1.0]
        """
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.affine

    @property
    def is_sheared(self) -> bool:
        """Whether the third axis deviates from the normal of the slices by more than 1e-3, as with a tilted gantry.

        Examples
        --------
        >>> straight = Geometry((64, 64, 20), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> tilted = Geometry((64, 64, 20), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, -0.26, 0, 0, 0.966))
        >>> straight.is_sheared, tilted.is_sheared
        (False, True)
        """
        columns = np.reshape(np.asarray(self.direction, np.float64), (3, 3)).T
        return bool(np.hypot(columns[2] @ columns[0], columns[2] @ columns[1]) > COSINE_TOLERANCE)

    def to_patient(self, indices: ArrayLike, order: Order) -> Floats:
        """Return the patient coordinates of voxel indices, which may be fractions.

        Parameters
        ----------
        indices : array_like
            Shape (..., 3).
        order : {"xyz", "zyx"}
            "xyz" for (column, row, slice), "zyx" for (slice, row, column) as numpy indexes the array.

        Returns
        -------
        ndarray
            Shape (..., 3): x, y, z in mm, LPS.

        Examples
        --------
        >>> grid = Geometry((128, 96, 40), (0.7, 1.3, 2.0), (-10.0, -20.0, 30.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> grid.to_patient((3, 2, 1), order="zyx").round(6).tolist()
        [-9.3, -17.4, 36.0]

        Many points at once, here the centres of the first and of the last voxel:

        >>> grid.to_patient([(0, 0, 0), (127, 95, 39)], order="xyz").round(6).tolist()
        [[-10.0, -20.0, 30.0], [78.9, 103.5, 108.0]]
        """
        flipped = _in_order(indices, order)
        result: Floats = flipped @ self.affine[:3, :3].T + self.affine[:3, 3]
        return result

    def to_index(self, points: ArrayLike, order: Order) -> Floats:
        """Return the indices, as fractions, of patient coordinates; they may be outside of the grid.

        Parameters
        ----------
        points : array_like
            Shape (..., 3): x, y, z in mm, LPS.
        order : {"xyz", "zyx"}
            The order of the result: (column, row, slice), or (slice, row, column) as numpy indexes the array.

        Returns
        -------
        ndarray
            Shape (..., 3).

        Examples
        --------
        >>> grid = Geometry((128, 96, 40), (0.7, 1.3, 2.0), (-10.0, -20.0, 30.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> index = grid.to_index((-9.3, -17.4, 36.5), order="zyx")
        >>> index.round(6).tolist()
        [3.25, 2.0, 1.0]

        Rounded, they index an array of shape (40, 96, 128):

        >>> tuple(index.round().astype(int).tolist())
        (3, 2, 1)
        """
        shifted = _in_order(points, "xyz") - self.affine[:3, 3]
        return _in_order(shifted @ np.linalg.inv(self.affine[:3, :3]).T, order)

    def isclose(self, other: Geometry, tolerance: float = 1e-3) -> bool:
        """Check whether another grid has the same size and, within a tolerance, the same corners.

        Parameters
        ----------
        other : Geometry
        tolerance : float
            How far each of the eight corner voxels may be from that of the other grid, in mm.

        Examples
        --------
        >>> from dataclasses import replace
        >>> grid = Geometry((128, 96, 40), (0.7, 1.3, 2.0), (-10.0, -20.0, 30.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> grid.isclose(replace(grid, origin=(-10.0, -20.0, 30.0004)))
        True
        >>> grid.isclose(replace(grid, origin=(-10.0, -20.0, 32.0)))
        False
        >>> grid.isclose(replace(grid, origin=(-10.0, -20.0, 32.0)), tolerance=2.5)
        True
        """
        if tuple(self.size) != tuple(other.size):
            return False
        corners = np.stack(np.meshgrid(*[(0, size - 1) for size in self.size]), axis=-1).reshape(-1, 3)
        distances = np.linalg.norm(self.to_patient(corners, "xyz") - other.to_patient(corners, "xyz"), axis=1)
        # One slice alone has no far corner that would show a different spacing.
        same_spacing = np.abs(np.subtract(self.spacing, other.spacing)).max() <= tolerance
        return bool(distances.max() <= tolerance and same_spacing)


def _in_order(values: ArrayLike, order: Order) -> Floats:
    array = np.asarray(values, np.float64)
    if order not in ("xyz", "zyx"):
        raise ValueError(f'order={order!r}: use "xyz" (column, row, slice) or "zyx" (slice, row, column)')
    if array.shape[-1:] != (3,):
        raise ValueError(f"three numbers per point are needed, in the last axis, but the shape is {array.shape}")
    return array if order == "xyz" else array[..., ::-1]


def unit_cosines(orientation: Sequence[float], rounding: float = 0.0) -> tuple[float, ...]:
    """Make the six cosines of ImageOrientationPatient two perpendicular unit vectors.

    Parameters
    ----------
    orientation : sequence of six floats
        Direction of increasing column index, then of increasing row index.
    rounding : float
        Half of the last decimal to which the cosines were written. Cosines that are off only because of it are those
        of the nearest perpendicular unit vectors.

    Returns
    -------
    tuple of six floats
        The first vector keeps its direction, unless the cosines were rounded.

    Raises
    ------
    ValueError
        If a length is off 1 or the vectors are off perpendicular by more than 1e-3, and not because of rounding.

    Examples
    --------
    >>> unit_cosines((1.0004, 0, 0, 0, 0.9998, 0))
    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    >>> [round(cosine, 4) for cosine in unit_cosines((0.76, 0.64, 0, -0.64, 0.76, 0), rounding=0.005)]
    [0.7649, 0.6441, 0.0, -0.6441, 0.7649, 0.0]
    """
    values = np.asarray(orientation, np.float64)
    if values.shape != (6,) or not np.isfinite(values).all():
        raise ValueError(f"six finite numbers are needed, but they are {values.tolist()}")
    row, column = values[:3], values[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    problem = ""
    if max(abs(length - 1) for length in lengths) > COSINE_TOLERANCE:
        problem = f"the vectors must have length 1, but have {lengths[0]:.6g} and {lengths[1]:.6g}"
    elif abs(row @ column) > COSINE_TOLERANCE * lengths[0] * lengths[1]:
        cosine = row @ column / (lengths[0] * lengths[1])
        problem = f"the vectors must be perpendicular, but the cosine of their angle is {cosine:.6g}"
    if problem:
        unrounded = _unrounded(values, rounding)
        if unrounded is None:
            raise ValueError(problem)
        return unrounded
    row, column = row / lengths[0], column / lengths[1]
    column = column - (row @ column) * row
    column = column / np.linalg.norm(column)
    return tuple(float(value) for value in (*row, *column))


def _unrounded(values: Floats, rounding: float) -> tuple[float, ...] | None:
    """Return perpendicular unit vectors that round to these cosines; None if there are none."""
    if rounding <= 0 or min(np.linalg.norm(values[:3]), np.linalg.norm(values[3:])) < COSINE_TOLERANCE:
        return None
    candidate = values
    for _ in range(100):
        # The nearest pair of perpendicular unit vectors is the orthogonal factor of the polar decomposition.
        left, _, right = np.linalg.svd(np.column_stack([candidate[:3], candidate[3:]]), full_matrices=False)
        candidate = (left @ right).T.ravel()
        if np.abs(candidate - values).max() <= rounding * ROUNDING_SLACK:
            return tuple(float(value) for value in candidate)
        candidate = np.clip(candidate, values - rounding, values + rounding)
    return None


def perpendicular_to_step(orientation: Sequence[float], step: Sequence[float], rounding: float) -> tuple[float, ...]:
    """Turn cosines that were rounded so that the slices are perpendicular to the line of their positions.

    Parameters
    ----------
    orientation : sequence of six floats
        Perpendicular unit vectors.
    step : sequence of three floats
        From one slice to the next, mm.
    rounding : float
        Half of the last decimal to which the cosines were written.

    Returns
    -------
    tuple of six floats
        As given, if more than rounding lies between them and the line of the positions: then the slices are tilted.

    Examples
    --------
    >>> perpendicular_to_step((1, 0, 0, 0, 1, 0), (0.001, 0, 2), rounding=0.005)[2]
    -0.0004999999375000118
    >>> perpendicular_to_step((1, 0, 0, 0, 1, 0), (0.1, 0, 2), rounding=0.005)
    (1, 0, 0, 0, 1, 0)
    """
    values = np.asarray(orientation, np.float64)
    along = np.asarray(step, np.float64) / np.linalg.norm(step)
    turned = values - np.concatenate([(values[:3] @ along) * along, (values[3:] @ along) * along])
    left, _, right = np.linalg.svd(np.column_stack([turned[:3], turned[3:]]), full_matrices=False)
    turned = (left @ right).T.ravel()
    # Both the cosines given and these are within the rounding of what was written.
    if np.abs(turned - values).max() > 2 * rounding:
        return tuple(orientation)
    return tuple(float(value) for value in turned)


def line_direction(positions: ArrayLike) -> Floats | None:
    """Return the unit vector of the line on which positions lie, mostly upwards, else backwards, else to the left.

    Parameters
    ----------
    positions : array_like
        Shape (n, 3), mm, LPS.

    Returns
    -------
    ndarray or None
        None if all are at one place, or if one is off the line by more than 2 % of the typical gap.

    Examples
    --------
    >>> line_direction([(0, 0, 4), (0, 0, 0), (0, 0, 2)]).tolist()
    [0.0, 0.0, 1.0]
    >>> line_direction([(0, 0, 0), (0, 0, 2), (5, 0, 4)])
    """
    points = np.asarray(positions, np.float64).reshape(-1, 3)
    ends = points[np.argmax(np.linalg.norm(points - points[0], axis=1))]
    far = points[np.argmax(np.linalg.norm(points - ends, axis=1))]
    length = float(np.linalg.norm(far - ends))
    if length <= 1e-9:
        return None
    direction = (far - ends) / length
    largest = next(axis for axis in (2, 1, 0) if abs(direction[axis]) > 0.5)
    direction = direction * np.sign(direction[largest])
    offsets = points - points[0]
    aside = np.linalg.norm(offsets - np.outer(offsets @ direction, direction), axis=1).max()
    gaps = np.diff(np.sort(offsets @ direction))
    gaps = gaps[gaps > 1e-6 * length]
    return None if aside > DEVIATION_TOLERANCE * float(np.median(gaps)) else direction


def slice_normal(orientation: Sequence[float]) -> Floats:
    """Return the unit vector along which slices are ordered: the cross product of the two direction cosines."""
    # For three numbers, `numpy.cross` takes twenty times as long.
    a, b, c, d, e, f = map(float, orientation)
    return np.array([b * f - c * e, c * d - a * f, a * e - b * d])


def stack_geometry(
    shape: tuple[int, int, int],
    orientation: Sequence[float],
    in_plane: tuple[float, float],
    first: Sequence[float],
    step: Sequence[float],
) -> Geometry:
    """Return the geometry of a stack of slices.

    Parameters
    ----------
    shape : tuple of int
        Slices, rows, columns.
    orientation : sequence of six floats
        Perpendicular unit vectors, as :func:`unit_cosines` gives.
    in_plane : tuple of float
        PixelSpacing: between rows, then between columns (PS3.3 C.7.6.2), mm.
    first : sequence of float
        ImagePositionPatient of the first slice, mm.
    step : sequence of float
        From one slice to the next, mm.

    Returns
    -------
    Geometry

    Examples
    --------
    >>> stack_geometry((3, 4, 5), (1, 0, 0, 0, 1, 0), (0.7, 1.3), (0, 0, 0), (0, 0, 2)).spacing
    (1.3, 0.7, 2.0)
    >>> stack_geometry((3, 4, 5), (1, 0, 0, 0, 1, 0), (0.7, 1.3), (0, 0, 100), (0, 0, 100.4 - 100)).spacing[2]
    0.4
    """
    length = float(np.linalg.norm(step))
    # Positions are far from zero, so that their differences end in digits of round-off.
    distance = round(length, _SPACING_DIGITS) or length
    matrix = np.column_stack([orientation[:3], orientation[3:], np.asarray(step, np.float64) / length])
    a, b, c, d, e, f, g, h, i = (float(value) for value in matrix.ravel())
    return Geometry(
        size=(shape[2], shape[1], shape[0]),
        spacing=(float(in_plane[1]), float(in_plane[0]), distance),
        origin=(float(first[0]), float(first[1]), float(first[2])),
        direction=(a, b, c, d, e, f, g, h, i),
    )
