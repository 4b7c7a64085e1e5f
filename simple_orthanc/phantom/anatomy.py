"""A head and a trunk of ellipsoids, as values of tissues on any grid.

Positions are LPS millimetres: x grows towards the patient's left, y towards the back, z towards the head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simple_orthanc.phantom.images import AXIAL, slice_normal

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """A regular grid of voxels.

    Attributes
    ----------
    shape : tuple of int
        Slices, rows, columns.
    spacing : tuple of float
        Between slices, rows and columns, in mm.
    orientation : sequence of float
        ImageOrientationPatient; the slices follow each other along the cross product of its two directions.
    centre : tuple of float
        The middle of the grid: x, y, z in mm.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    orientation: Sequence[float] = AXIAL
    centre: Point = (0.0, 0.0, 0.0)

    @property
    def origin(self) -> Point:
        """The centre of the first voxel: x, y, z in mm."""
        last = np.array(self.shape) - 1
        x, y, z = np.asarray(self.centre) - (last / 2) @ self._steps
        return float(x), float(y), float(z)

    def positions(self) -> NDArray[np.float64]:
        """Return the centres of all voxels: x, y, z in mm, of shape (3, slices, rows, columns).

        Examples
        --------
        >>> Grid((1, 1, 3), (1.0, 2.0, 2.0)).positions()[0].ravel().tolist()
        [-2.0, 0.0, 2.0]
        """
        indices = np.indices(self.shape, dtype=float)
        moved = np.tensordot(self._steps.T, indices, axes=1)
        return np.asarray(moved + np.asarray(self.origin)[:, None, None, None], float)

    @property
    def _steps(self) -> NDArray[np.float64]:
        """The vectors from a voxel to the next slice, row and column, one per row of the matrix."""
        cosines = np.asarray(self.orientation, float)
        directions = np.array([slice_normal(self.orientation), cosines[3:], cosines[:3]])
        return np.asarray(directions * np.asarray(self.spacing)[:, None], float)


@dataclass(frozen=True)
class Ellipsoid:
    """A part of a body: its tissue, its centre (x, y, z) and half axes in mm; a half axis of inf makes a cylinder."""

    tissue: str
    centre: Point
    radii: Point

    def radius_at(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far positions are from the centre, in radii: less than 1 inside."""
        distances = (
            (axis - middle) / radius for axis, middle, radius in zip(positions, self.centre, self.radii, strict=True)
        )
        return np.asarray(np.sqrt(sum(distance**2 for distance in distances)), float)

    def outline(self, z: float, points: int = 48) -> NDArray[np.float64] | None:
        """Return the contour in an axial plane, of shape (points, 3) in mm, or None if the plane misses the ellipsoid.

        Examples
        --------
        >>> Ellipsoid("lesion", (0, 0, 0), (2, 1, 5)).outline(3.0, points=4).round(2).tolist()
        [[1.6, 0.0, 3.0], [0.0, 0.8, 3.0], [-1.6, 0.0, 3.0], [-0.0, -0.8, 3.0]]
        >>> Ellipsoid("lesion", (0, 0, 0), (2, 1, 5)).outline(6.0) is None
        True
        """
        within = 1 - ((z - self.centre[2]) / self.radii[2]) ** 2
        if within <= 0:
            return None
        angles = 2 * np.pi * np.arange(points) / points
        x = self.centre[0] + self.radii[0] * np.sqrt(within) * np.cos(angles)
        y = self.centre[1] + self.radii[1] * np.sqrt(within) * np.sin(angles)
        return np.stack([x, y, np.full(points, z)], axis=1)


LIVER = Ellipsoid("liver", (-46.0, -6.0, 0.0), (50.0, 55.0, 62.0))
LIVER_LESION = Ellipsoid("lesion", (-58.0, -14.0, 10.0), (14.0, 14.0, 15.0))
BRAIN_LESION = Ellipsoid("lesion", (27.0, 18.0, 22.0), (11.0, 11.0, 11.0))

_TRUNK = (
    Ellipsoid("fat", (0.0, 0.0, 0.0), (124.0, 92.0, np.inf)),
    Ellipsoid("muscle", (0.0, 0.0, 0.0), (113.0, 81.0, np.inf)),
)
_RIB_CAGE = (
    Ellipsoid("", (0.0, 0.0, 0.0), (108.0, 76.0, np.inf)),
    Ellipsoid("", (0.0, 0.0, 0.0), (102.0, 70.0, np.inf)),
)
_ORGANS = (
    Ellipsoid("inner fat", (0.0, -2.0, -40.0), (99.0, 66.0, 110.0)),
    Ellipsoid("lung", (-54.0, -2.0, 98.0), (42.0, 56.0, 62.0)),
    Ellipsoid("lung", (54.0, -2.0, 98.0), (42.0, 56.0, 62.0)),
    Ellipsoid("heart", (16.0, -22.0, 78.0), (34.0, 30.0, 32.0)),
    Ellipsoid("muscle", (-34.0, 52.0, -60.0), (20.0, 14.0, 90.0)),
    Ellipsoid("muscle", (34.0, 52.0, -60.0), (20.0, 14.0, 90.0)),
    Ellipsoid("kidney", (-46.0, 36.0, -56.0), (18.0, 19.0, 36.0)),
    Ellipsoid("kidney", (48.0, 36.0, -48.0), (18.0, 19.0, 36.0)),
    Ellipsoid("spleen", (72.0, 22.0, 10.0), (22.0, 32.0, 36.0)),
    LIVER,
    LIVER_LESION,
    Ellipsoid("muscle", (46.0, -28.0, 8.0), (34.0, 28.0, 30.0)),
    Ellipsoid("air", (44.0, -42.0, 8.0), (20.0, 9.0, 18.0)),
    Ellipsoid("bone", (0.0, 46.0, 0.0), (20.0, 17.0, np.inf)),
    Ellipsoid("marrow", (0.0, 46.0, 0.0), (16.0, 13.0, np.inf)),
    Ellipsoid("bone", (0.0, 72.0, 0.0), (14.0, 12.0, np.inf)),
    Ellipsoid("muscle", (0.0, 69.0, 0.0), (7.0, 7.0, np.inf)),
    Ellipsoid("vessel", (9.0, 22.0, 0.0), (9.0, 9.0, np.inf)),
    Ellipsoid("vessel", (-14.0, 20.0, 0.0), (8.0, 6.0, np.inf)),
)
_HEAD = (
    Ellipsoid("scalp", (0.0, 14.0, -86.0), (36.0, 42.0, 60.0)),
    Ellipsoid("muscle", (0.0, 14.0, -86.0), (32.0, 38.0, 60.0)),
    Ellipsoid("scalp", (0.0, -78.0, -26.0), (9.0, 13.0, 16.0)),
    Ellipsoid("scalp", (0.0, 0.0, 0.0), (64.0, 79.0, 71.0)),
    Ellipsoid("skull", (0.0, 0.0, 0.0), (60.0, 75.0, 67.0)),
    Ellipsoid("fluid", (24.0, -62.0, -30.0), (11.0, 11.0, 11.0)),
    Ellipsoid("fluid", (-24.0, -62.0, -30.0), (11.0, 11.0, 11.0)),
    Ellipsoid("fluid", (0.0, 0.0, 0.0), (56.0, 71.0, 63.0)),
)
_CORTEX = Ellipsoid("grey", (0.0, 0.0, 2.0), (54.0, 69.0, 60.0))
_WHITE = Ellipsoid("white", (0.0, 0.0, 2.0), (48.0, 63.0, 54.0))
_INNER_BRAIN = (
    Ellipsoid("callosum", (0.0, 2.0, 20.0), (24.0, 30.0, 7.0)),
    Ellipsoid("grey", (15.0, 6.0, 0.0), (9.0, 14.0, 9.0)),
    Ellipsoid("grey", (-15.0, 6.0, 0.0), (9.0, 14.0, 9.0)),
    Ellipsoid("fluid", (8.0, -6.0, 9.0), (5.0, 25.0, 9.0)),
    Ellipsoid("fluid", (-8.0, -6.0, 9.0), (5.0, 25.0, 9.0)),
    Ellipsoid("fluid", (0.0, 4.0, -4.0), (2.5, 14.0, 10.0)),
    Ellipsoid("white", (0.0, 10.0, -42.0), (10.0, 11.0, 40.0)),
    Ellipsoid("fluid", (0.0, 36.0, -36.0), (41.0, 27.0, 19.0)),
    Ellipsoid("grey", (0.0, 36.0, -37.0), (38.0, 24.0, 16.0)),
    Ellipsoid("white", (0.0, 32.0, -36.0), (22.0, 14.0, 8.0)),
    Ellipsoid("vessel", (0.0, 62.0, 20.0), (7.0, 6.0, 18.0)),
)


class Body:
    """Tissues on a grid.

    Parameters
    ----------
    grid : Grid
        Where.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._positions = grid.positions()
        self._names = ["air"]
        self.labels = np.zeros(grid.shape, np.uint8)

    def add(self, *parts: Ellipsoid) -> None:
        """Add parts; each covers what is there."""
        for part in parts:
            self.cover(part.tissue, part.radius_at(self._positions) <= 1)

    def cover(self, tissue: str, inside: NDArray[np.bool_]) -> None:
        """Make voxels be of a tissue."""
        if tissue not in self._names:
            self._names.append(tissue)
        self.labels[inside] = self._names.index(tissue)

    def mask(self, tissue: str) -> NDArray[np.bool_]:
        """Return where a tissue is."""
        return np.asarray(self.labels == self._names.index(tissue), bool)

    def values(self, of_tissue: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the value of the tissue in each voxel, smoothed in the plane at the borders as a scanner does.

        Where a voxel and its neighbours in the plane are of one tissue, the value is exact.
        """
        table = np.array([of_tissue.get(name, 0.0) for name in self._names], float)
        return smoothed(table[self.labels])


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over neighbours in the plane, weighted 1, 2, 1; constant regions stay exactly as they are.

    Examples
    --------
    >>> smoothed(np.array([[[0.0, 0.0, 4.0, 4.0]]])).ravel().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    for axis in (1, 2):
        padded = np.pad(values, [(1, 1) if each == axis else (0, 0) for each in range(3)], mode="edge")
        before, middle, after = (np.take(padded, np.arange(values.shape[axis]) + step, axis=axis) for step in range(3))
        values = (before + 2 * middle + after) / 4
    return values


def trunk(grid: Grid) -> Body:
    """Return a trunk from the lungs to the kidneys; its liver, on the patient's right, has a lesion.

    Examples
    --------
    >>> body = trunk(Grid((1, 32, 32), (5.0, 8.0, 8.0)))
    >>> float(body.values({"liver": 60.0, "lesion": 20.0}).max())
    60.0
    """
    body = Body(grid)
    body.add(*_TRUNK)
    x, y, z = body._positions
    outer, inner = (part.radius_at(body._positions) for part in _RIB_CAGE)
    slope = 60 * np.abs(np.arctan2(x, y)) / np.pi
    body.cover("bone", (outer <= 1) & (inner > 1) & (np.cos(2 * np.pi * (z + slope) / 24) > 0.1) & (z > -40))
    body.add(*_ORGANS)
    return body


def head(grid: Grid, lesion: Ellipsoid | None = None) -> Body:
    """Return a head with a lesion, if there is one, in the white matter of the left hemisphere.

    Examples
    --------
    >>> body = head(Grid((1, 32, 32), (4.0, 5.0, 5.0)), BRAIN_LESION)
    >>> bool(body.mask("white").any())
    True
    """
    body = Body(grid)
    body.add(*_HEAD)
    x, y, z = body._positions
    # Folds, and the gap between the hemispheres.
    folds = np.cos(13 * np.arctan2(y, x)) * np.cos(9 * np.arctan2(z, np.hypot(x, y)))
    cortex, white = (part.radius_at(body._positions) for part in (_CORTEX, _WHITE))
    is_deep = cortex < 0.6
    body.cover("grey", (cortex <= 1 + 0.03 * folds) & ((np.abs(x) > 1.5) | is_deep))
    body.cover("white", (white <= 0.93 + 0.09 * folds) & ((np.abs(x) > 5) | is_deep))
    body.add(*_INNER_BRAIN, *([] if lesion is None else [lesion]))
    return body
