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
# Slices closer than this share of the typical gap share a position.
SAME_POSITION_TOLERANCE = 0.01
# A gap that is within this share of a whole number of spacings is a hole.
HOLE_TOLERANCE = 0.05
# Cosines are taken as equal, unit vectors as such and axes as perpendicular within this.
COSINE_TOLERANCE = 1e-3


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
        """The 4 by 4 matrix that takes (column, row, slice, 1) to (x, y, z, 1), mm, LPS."""
        result = np.eye(4)
        result[:3, :3] = np.reshape(np.asarray(self.direction, np.float64), (3, 3)) * self.spacing
        result[:3, 3] = self.origin
        result.setflags(write=False)
        return result

    @property
    def affine_ras(self) -> Floats:
        """The same matrix for coordinates that grow to the right, front and head (RAS), as NIfTI has them."""
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.affine

    @property
    def is_sheared(self) -> bool:
        """Whether the third axis is off the normal of the slices by more than 1e-3, as with a tilted gantry."""
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
        """
        shifted = _in_order(points, "xyz") - self.affine[:3, 3]
        return _in_order(shifted @ np.linalg.inv(self.affine[:3, :3]).T, order)

    def isclose(self, other: Geometry, tolerance: float = 1e-3) -> bool:
        """Whether `other` has the same size, and each of the eight corner voxels within `tolerance` mm."""
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
        raise ValueError(f'order={order!r}: say "xyz" (column, row, slice) or "zyx" (slice, row, column)')
    if array.shape[-1:] != (3,):
        raise ValueError(f"three numbers per point are needed, in the last axis, but the shape is {array.shape}")
    return array if order == "xyz" else array[..., ::-1]


def unit_cosines(orientation: Sequence[float]) -> tuple[float, ...]:
    """Make the six cosines of ImageOrientationPatient two perpendicular unit vectors.

    Parameters
    ----------
    orientation : sequence of six floats
        Direction of increasing column index, then of increasing row index.

    Returns
    -------
    tuple of six floats
        The first vector keeps its direction.

    Raises
    ------
    ValueError
        If a length is off 1 or the vectors are off perpendicular by more than 1e-3.

    Examples
    --------
    >>> unit_cosines((1.0004, 0, 0, 0, 0.9998, 0))
    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    """
    values = np.asarray(orientation, np.float64)
    if values.shape != (6,) or not np.isfinite(values).all():
        raise ValueError(f"six finite numbers are needed, but they are {values.tolist()}")
    row, column = values[:3], values[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > COSINE_TOLERANCE:
        raise ValueError(f"the vectors must have length 1, but have {lengths[0]:.6g} and {lengths[1]:.6g}")
    row, column = row / lengths[0], column / lengths[1]
    if abs(row @ column) > COSINE_TOLERANCE:
        raise ValueError(f"the vectors must be perpendicular, but the cosine of their angle is {row @ column:.6g}")
    column = column - (row @ column) * row
    column = column / np.linalg.norm(column)
    return tuple(float(value) for value in (*row, *column))


def slice_normal(orientation: Sequence[float]) -> Floats:
    """Return the unit vector along which slices are ordered: the cross product of the two direction cosines."""
    values = np.asarray(orientation, np.float64)
    return np.cross(values[:3], values[3:])


@dataclass(frozen=True)
class Arrangement:
    """How the positions of slices lie along the normal; made by :func:`arrange_positions`.

    Attributes
    ----------
    order : tuple of int
        Indices into the positions given, along the normal.
    distances : tuple of float
        In this order, the distance in mm from the first slice, along the normal.
    slice_indices : tuple of int
        In this order, the number of the slice on the regular grid. Slices that share a position share a place.
    step : tuple of float or None
        The third affine column, mm: (last - first) / (number of places - 1). None for a single position.
    deviation : float
        The largest distance in mm of a slice from its place on the line from first to last.
    regular : bool
        Whether every slice is within 2 % of the spacing from its place. Holes and shared positions do not count
        against it.
    """

    order: tuple[int, ...]
    distances: tuple[float, ...]
    slice_indices: tuple[int, ...]
    step: Vector | None
    deviation: float
    regular: bool

    @property
    def gaps(self) -> tuple[tuple[float, float, int], ...]:
        """For each hole the distances of the slices before and after it, and how many slices are missing."""
        pairs = zip(self.distances, self.distances[1:], self.slice_indices, self.slice_indices[1:], strict=False)
        return tuple((a, b, after - before - 1) for a, b, before, after in pairs if after - before > 1)

    @property
    def shared_positions(self) -> tuple[tuple[int, ...], ...]:
        """The groups of positions, as indices into those given, that share one place."""
        groups: dict[int, list[int]] = {}
        for index, place in zip(self.order, self.slice_indices, strict=True):
            groups.setdefault(place, []).append(index)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def arrange_positions(
    positions: ArrayLike, along: ArrayLike, *, in_plane: float = 0.0, spacing: float | None = None
) -> Arrangement:
    """Put the positions of parallel slices in order and find the regular grid that they lie on.

    Slices closer than 1 % of the typical gap share a position; a gap within 5 % of k spacings, k >= 2, is a hole of
    k - 1 slices; regular means that every slice is within 2 % of the spacing from its place on the line from the first
    to the last.

    Parameters
    ----------
    positions : array_like
        ImagePositionPatient of each slice, shape (n, 3), mm.
    along : array_like
        Unit normal of the slices.
    in_plane : float
        The smaller pixel spacing in mm. Slices closer than a thousandth of it share a position whatever the gaps are.
    spacing : float, optional
        The spacing in mm if it is known otherwise, so that holes are seen where no two slices are neighbours. It
        decides only how many slices are missing in a gap; the step is always measured. 0 is none.

    Returns
    -------
    Arrangement

    Examples
    --------
    >>> found = arrange_positions([(0, 0, 6), (0, 0, 0), (0, 0, 2)], (0, 0, 1))
    >>> found.order, found.slice_indices, found.gaps
    ((1, 2, 0), (0, 1, 3), ((2.0, 6.0, 1),))
    """
    points = np.asarray(positions, np.float64).reshape(-1, 3)
    depths = points @ np.asarray(along, np.float64)
    order = np.argsort(depths, kind="stable")
    points, distances = points[order], depths[order] - depths[order[0]]
    gaps = np.diff(distances)
    floor = max(1e-6 * float(distances[-1]), 1e-3 * in_plane, 1e-9)
    real = np.sort(gaps[gaps > floor])
    if not len(real):
        spread = float(np.linalg.norm(points - points[0], axis=1).max())
        return _make_arrangement(order, distances, np.zeros(len(points), int), None, spread, spread <= max(floor, 1e-6))
    typical = real[(len(real) - 1) // 2]
    real = real[real >= SAME_POSITION_TOLERANCE * typical]
    # At a spacing of 0, which writers put for none, all slices would share a position: it says nothing.
    known = abs(spacing or 0.0)
    candidates = [known] if known > floor else [real[(len(real) - 1) // 2], real[0]]
    fits = [_fit_grid(points, gaps, base, max(floor, SAME_POSITION_TOLERANCE * typical)) for base in candidates]
    # The smallest gap is a second opinion where larger gaps are the more common ones; it may not invent a grid on which
    # most places are empty.
    fit = fits[0]
    if not fit[3] and fits[-1][3] and fits[-1][0][-1] + 1 < 2 * len(points):
        fit = fits[-1]
    places, step, deviation, regular = fit
    return _make_arrangement(order, distances, places, step, deviation, regular)


def _fit_grid(points: Floats, gaps: Floats, base: float, same: float) -> tuple[NDArray[np.int_], Floats, float, bool]:
    """Return places, step, largest deviation and regularity for one guess of the spacing."""
    counts = np.maximum(np.rint(gaps / base), 1)
    is_hole = (counts >= 2) & (np.abs(gaps - counts * base) <= HOLE_TOLERANCE * counts * base)
    steps = np.where(gaps < same, 0, np.where(is_hole, counts, 1)).astype(int)
    places = np.concatenate([[0], np.cumsum(steps)])
    first, last = points[places == 0].mean(axis=0), points[places == places[-1]].mean(axis=0)
    step = (last - first) / places[-1]
    deviations = np.linalg.norm(points - (first + places[:, None] * step), axis=1)
    deviation = float(deviations.max())
    return places, step, deviation, deviation <= DEVIATION_TOLERANCE * float(np.linalg.norm(step))


def _make_arrangement(
    order: NDArray[np.intp],
    distances: Floats,
    places: NDArray[np.int_],
    step: Floats | None,
    deviation: float,
    regular: bool,
) -> Arrangement:
    return Arrangement(
        order=tuple(order.tolist()),
        distances=tuple(distances.tolist()),
        slice_indices=tuple(places.tolist()),
        step=None if step is None else (float(step[0]), float(step[1]), float(step[2])),
        deviation=deviation,
        regular=regular,
    )


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
    """
    length = float(np.linalg.norm(step))
    matrix = np.column_stack([orientation[:3], orientation[3:], np.asarray(step, np.float64) / length])
    a, b, c, d, e, f, g, h, i = (float(value) for value in matrix.ravel())
    return Geometry(
        size=(shape[2], shape[1], shape[0]),
        spacing=(float(in_plane[1]), float(in_plane[0]), length),
        origin=(float(first[0]), float(first[1]), float(first[2])),
        direction=(a, b, c, d, e, f, g, h, i),
    )
