"""The Image Plane Module (PS3.3 C.7.6.2) of each slice of a volume, to the last digit that a header holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume import geometry as numbers
from simple_orthanc.volume.writing.decimals import decimal_string, decimal_strings

if TYPE_CHECKING:
    from simple_orthanc.volume.geometry import Geometry

# Of the extent of a stack: slices closer than this are at one place.
_SAME_PLACE = 1e-6


def check_grid(grid: Geometry) -> None:
    """Refuse a geometry that no series of parallel slices can have.

    Raises
    ------
    VolumeError
        The grid is sheared, its rows and columns are not perpendicular, or it holds numbers that are no lengths.
    """
    values = (*grid.spacing, *grid.origin, *grid.direction)
    if not np.isfinite(values).all() or min(grid.spacing) <= 0:
        raise VolumeError(
            f"A series was requested from a volume with spacing {grid.spacing} and origin {grid.origin}: spacings must "
            "be above 0 mm, and all numbers finite."
        )
    if grid.is_sheared:
        raise VolumeError(
            "A series was requested from a sheared volume (gantry tilt), which most software would show in the wrong "
            "place. Resample it first: simple_orthanc.Volume.from_sitk(volume.to_sitk(resample=True), like=volume)."
        )
    try:
        numbers.unit_cosines(_cosines(grid))
    except ValueError as error:
        raise VolumeError(
            f"A series was requested from a volume whose rows and columns cannot be those of an image: {error}."
        ) from error


def _cosines(grid: Geometry) -> list[float]:
    matrix = np.reshape(np.asarray(grid.direction, np.float64), (3, 3))
    return [*matrix[:, 0].tolist(), *matrix[:, 1].tolist()]


def common_plane(grid: Geometry) -> dict[str, Any]:
    """Return the attributes that all slices share, by keyword.

    Examples
    --------
    >>> from simple_orthanc import Geometry
    >>> grid = Geometry((5, 4, 3), (0.7, 1.3, 2.0), (-10.0, -20.0, 1 / 3), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> common_plane(grid)["PixelSpacing"], common_plane(grid)["ImageOrientationPatient"]
    (['1.3', '0.7'], ['1', '0', '0', '0', '1', '0'])
    """
    columns, rows, slices = grid.spacing
    return {
        "ImageOrientationPatient": decimal_strings(_cosines(grid)),
        "PixelSpacing": decimal_strings([rows, columns]),
        "SliceThickness": decimal_string(slices),
        "SpacingBetweenSlices": decimal_string(slices),
    }


def slice_position(grid: Geometry, index: int) -> list[str]:
    """Return ImagePositionPatient of a slice.

    Examples
    --------
    >>> from simple_orthanc import Geometry
    >>> grid = Geometry((5, 4, 3), (0.7, 1.3, 2.0), (-10.0, -20.0, 1 / 3), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> slice_position(grid, 2)
    ['-10', '-20', '4.33333333333333']
    """
    return decimal_strings(grid.to_patient((0, 0, index), order="xyz").tolist())


def crossed_slices(grid: Geometry, index: int, positions: Sequence[Sequence[float]]) -> list[int]:
    """Find which slices of a source lie where a slice of this grid does.

    Parameters
    ----------
    grid : Geometry
    index : int
        Of the slice.
    positions : sequence of (x, y, z)
        ImagePositionPatient of the slices of the source, parallel ones, at two places or more, mm.

    Returns
    -------
    list of int
        Indices of the slices at the same position, or else of all those between which the slice lies or that it
        crosses.

    Examples
    --------
    >>> from simple_orthanc import Geometry
    >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> source = [(0.0, 0.0, height) for height in (0.0, 2.0, 4.0)]
    >>> crossed_slices(grid, 1, source), crossed_slices(grid, 2, source)
    ([0, 1], [1])
    """
    points = np.asarray(positions, np.float64)
    far = points[np.argmax(np.linalg.norm(points - points[0], axis=1))] - points[0]
    along = far / np.linalg.norm(far)
    heights = points @ along
    gaps = np.diff(np.sort(heights))
    spacing = float(np.median(gaps[gaps > _SAME_PLACE * np.linalg.norm(far)]))
    columns, rows, _ = grid.size
    corners = [(column, row, index) for column in (0, columns - 1) for row in (0, rows - 1)]
    depths = grid.to_patient(corners, order="xyz") @ along
    near = numbers.DEVIATION_TOLERANCE * spacing
    thickness = abs(float(grid.affine[:3, 2] @ along))
    same = np.flatnonzero(np.abs(heights - depths[0]) <= near)
    if len(same) and np.ptp(depths) <= near and thickness <= spacing + near:
        return [int(number) for number in same]
    reach = max(spacing, thickness / 2) - near
    return [int(i) for i in np.flatnonzero((heights >= depths.min() - reach) & (heights <= depths.max() + reach))]
