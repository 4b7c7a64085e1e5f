"""Contours in patient coordinates to masks on the grid of an image. No DICOM objects, no I/O.

A voxel belongs to a region if its centre lies inside of it. The contours of one slice are taken together by the
even-odd rule: a contour inside another one is a hole, and a keyhole, one contour that runs inwards, around a hole and
back on its own track, needs no rule of its own. A CLOSED_PLANAR contour that is written twice is drawn once: by that
rule alone it would be empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simple_orthanc.errors import VolumeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simple_orthanc.volume.geometry import Geometry

# Geometric types of PS3.3 C.8.8.6.3 whose inside is known.
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
# A contour lies in a slice if it is this close to its plane, as a share of the distance between slices.
PLANE_TOLERANCE = 0.1


@dataclass(frozen=True)
class Contour:
    """One contour of a region.

    Attributes
    ----------
    kind : str
        ContourGeometricType (3006,0042): "CLOSED_PLANAR", "CLOSEDPLANAR_XOR" or "POINT".
    points : ndarray
        Shape (number of points, 3): x, y, z in mm, LPS.
    """

    kind: str
    points: NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """A region drawn on a grid.

    Attributes
    ----------
    mask : ndarray of bool
        (slice, row, column).
    outside : int
        How many contours lie in no slice of the image, before its first or behind its last.
    skipped : tuple of int
        Slices between the first and the last contour that hold none.
    repeated : int
        How many CLOSED_PLANAR contours equal another one, which they would take out by the even-odd rule; each is drawn
        once.
    """

    mask: NDArray[np.bool_]
    outside: int
    skipped: tuple[int, ...]
    repeated: int = 0


def rasterize(contours: Iterable[Contour], geometry: Geometry, name: str) -> Drawn:
    """Draw the contours of one region on the grid of an image.

    Parameters
    ----------
    contours : iterable of Contour
    geometry : Geometry
        Contours must lie in the planes of its slices, whatever their orientation in the patient.
    name : str
        Of the region, for messages.

    Raises
    ------
    VolumeError
        A contour is of another kind, has no plane, or lies between or across the slices of the image.

    Examples
    --------
    >>> from simple_orthanc.volume.geometry import Geometry
    >>> grid = Geometry((5, 4, 2), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> square = Contour("CLOSED_PLANAR", np.array([[0.5, 0.5, 3], [3.5, 0.5, 3], [3.5, 2.5, 3], [0.5, 2.5, 3.0]]))
    >>> rasterize([square], grid, "square").mask[1].astype(int).tolist()
    [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    """
    columns, rows, slices = geometry.size
    mask = np.zeros((slices, rows, columns), bool)
    outside, met, repeated = 0, set(), 0
    seen: set[frozenset[frozenset[tuple[float, ...]]]] = set()
    for contour in contours:
        indices = geometry.to_index(contour.points, order="xyz")
        if contour.kind == "POINT":
            outside += _set_points(mask, indices)
            continue
        if contour.kind not in CLOSED:
            raise VolumeError(
                f"The region {name!r} has a contour of the type {contour.kind or 'missing'}, which encloses nothing. "
                "Regions of CLOSED_PLANAR contours and POINTs can be masks; read its points with get_instances()."
            )
        plane = _plane_of(indices, geometry, name)
        if not 0 <= plane < slices:
            outside += 1
            continue
        if contour.kind == "CLOSED_PLANAR":
            edges = _edges(contour.points)
            if edges in seen:
                repeated += 1
                continue
            seen.add(edges)
        met.add(plane)
        mask[plane] ^= _inside(indices[:, :2], rows, columns)
    between = set(range(min(met), max(met) + 1)) - met if met else set()
    return Drawn(mask, outside, tuple(sorted(between)), repeated)


def _edges(points: NDArray[np.float64]) -> frozenset[frozenset[tuple[float, ...]]]:
    """Return the edges of a polygon, which are the same wherever it begins and whichever way it runs."""
    corners = [tuple(point) for point in points.tolist()]
    following = corners[1:] + corners[:1]
    return frozenset(frozenset(ends) for ends in zip(corners, following, strict=True) if ends[0] != ends[1])


def _set_points(mask: NDArray[np.bool_], indices: NDArray[np.float64]) -> int:
    """Set the voxels that hold points; return how many points lie outside of the image."""
    nearest = np.rint(indices).astype(int)[:, ::-1]
    within = ((nearest >= 0) & (nearest < np.array(mask.shape))).all(axis=1)
    mask[tuple(nearest[within].T)] = True
    return int((~within).sum())


def _plane_of(indices: NDArray[np.float64], geometry: Geometry, name: str) -> int:
    """Return the slice in whose plane a contour lies, which may be outside of the image."""
    places, spacing = indices[:, 2], geometry.spacing[2]
    plane = int(np.rint(places.mean()))
    # A single slice has no neighbour that a contour could belong to instead.
    if np.abs(places - plane).max() <= (PLANE_TOLERANCE if geometry.size[2] > 1 else 0.5):
        return plane
    if np.ptp(places) > PLANE_TOLERANCE:
        raise VolumeError(
            f"A contour of the region {name!r} runs over {np.ptp(places) * spacing:.3g} mm across the slices of the "
            "image, so it lies in none of them: it was drawn on images of another orientation. Ask for the mask on the "
            "grid of those, with get_masks(like=...)."
        )
    raise VolumeError(
        f"A contour of the region {name!r} lies {abs(places.mean() - plane) * spacing:.3g} mm off the nearest slice of "
        f"the image, whose slices are {spacing:.4g} mm apart: it was drawn on other images. Ask for the mask on the "
        "grid of those, with get_masks(like=...)."
    )


def _inside(points: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return which pixel centres lie inside a polygon (column, row) by the even-odd rule.

    Each edge toggles, in every row that it crosses, all pixels to the right of the crossing. An edge owns its upper end
    and not its lower one, so that a row through a corner is crossed once.
    """
    toggles = np.zeros((rows, columns + 1), np.int64)
    following = np.roll(points, -1, axis=0)
    for (column, row), (next_column, next_row) in zip(points, following, strict=True):
        if row == next_row:
            continue
        low, high = sorted((row, next_row))
        crossed = np.arange(max(int(np.ceil(low)), 0), min(int(np.ceil(high)), rows))
        at = column + (crossed - row) * (next_column - column) / (next_row - row)
        first = np.clip(np.ceil(at), 0, columns).astype(int)
        np.add.at(toggles, (crossed, first), 1)
    inside: NDArray[np.bool_] = (np.cumsum(toggles, axis=1)[:, :columns] % 2).astype(bool)
    return inside


def contour_points(data: Sequence[float], name: str) -> NDArray[np.float64]:
    """Return ContourData (3006,0050) as points.

    Raises
    ------
    VolumeError
        The numbers are no triplets, or not finite.
    """
    values = np.asarray(data, np.float64)
    if values.size == 0 or values.size % 3 or not np.isfinite(values).all():
        raise VolumeError(
            f"A contour of the region {name!r} has {values.size} numbers in ContourData (3006,0050), which must be "
            "finite and three for each point. Store the structure set again from its origin."
        )
    return values.reshape(-1, 3)
