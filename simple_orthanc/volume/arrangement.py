"""How the positions of parallel slices lie along their normal: in order, on a regular grid, with holes, or uneven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from simple_orthanc.volume.geometry import DEVIATION_TOLERANCE, Floats, Vector

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Slices closer than this share of the typical gap share a position.
SAME_POSITION_TOLERANCE = 0.01
# A gap that is within this share of a whole number of spacings is a hole.
HOLE_TOLERANCE = 0.05
# Fewer slices do not show that the spacing changes.
SMALLEST_PART = 3
# Fewer InstanceNumbers that follow each other do not show that no slice is missing.
ENOUGH_NUMBERS = 4


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
        In this order, the number of the slice on the regular grid. Slices that share a position share a number.
    step : tuple of float or None
        The third affine column, mm: (last - first) / (number of slices - 1). None for a single position.
    deviation : float
        The largest distance in mm of a slice from its position on the line from first to last.
    regular : bool
        Whether every slice is within 2 % of the spacing from its position. Holes and shared positions do not count
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
        """The groups of positions, as indices into those given, that share one position."""
        groups: dict[int, list[int]] = {}
        for index, position in zip(self.order, self.slice_indices, strict=True):
            groups.setdefault(position, []).append(index)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def arrange_positions(
    positions: ArrayLike,
    along: ArrayLike,
    *,
    in_plane: float = 0.0,
    spacing: float | None = None,
    numbers: Sequence[int | None] = (),
) -> Arrangement:
    """Put the positions of parallel slices in order and find the regular grid that they lie on.

    Slices closer than 1 % of the typical gap share a position; a gap within 5 % of k spacings, k >= 2, is a hole of
    k - 1 slices; regular means that every slice is within 2 % of the spacing from its position on the line from the
    first to the last.

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
        decides only how many slices are missing in a gap; the step is always measured. 0 means unknown.
    numbers : sequence of int or None
        InstanceNumber of each slice. Where they run on across a gap as they do elsewhere, no slice is missing in it.

    Returns
    -------
    Arrangement

    Examples
    --------
    >>> arrangement = arrange_positions([(0, 0, 6), (0, 0, 0), (0, 0, 2)], (0, 0, 1))
    >>> arrangement.order, arrangement.slice_indices, arrangement.gaps
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
    # At a spacing of 0, which some writers put where it is unknown, all slices would share a position.
    known = abs(spacing or 0.0)
    candidates = [known] if known > floor else list(dict.fromkeys([real[(len(real) - 1) // 2], real[0]]))
    run_on = _run_on([numbers[index] for index in order]) if len(numbers) else np.zeros(len(gaps), bool)
    same = max(floor, SAME_POSITION_TOLERANCE * typical)
    # A gap across which the numbers run on is one step, however wide it is.
    fits = [_fit_grid(points, np.where(run_on, np.minimum(gaps, base), gaps), base, same) for base in candidates]
    # The smallest gap is a second opinion where larger gaps are the more common ones; it may not invent a grid on which
    # most slices are missing.
    fit = fits[0]
    if not fit[3] and fits[-1][3] and fits[-1][0][-1] + 1 < 2 * len(points):
        fit = fits[-1]
    indices, step, deviation, regular = fit
    return _make_arrangement(order, distances, indices, step, deviation, regular)


def _run_on(numbers: Sequence[int | None]) -> NDArray[np.bool_]:
    """Check for each gap whether the numbers of its slices follow each other as the numbers of the others do."""
    steps = [None if a is None or b is None else b - a for a, b in pairwise(numbers)]
    common = max(set(steps), key=steps.count, default=None)
    count = steps.count(common)
    regular = bool(common) and count >= ENOUGH_NUMBERS and 2 * count > len(steps)
    return np.array([regular and step == common for step in steps], bool)


def _fit_grid(points: Floats, gaps: Floats, base: float, same: float) -> tuple[NDArray[np.int_], Floats, float, bool]:
    """Return indices, step, largest deviation and regularity for one guess of the spacing."""
    counts = np.maximum(np.rint(gaps / base), 1)
    is_hole = (counts >= 2) & (np.abs(gaps - counts * base) <= HOLE_TOLERANCE * counts * base)
    steps = np.where(gaps < same, 0, np.where(is_hole, counts, 1)).astype(int)
    indices = np.concatenate([[0], np.cumsum(steps)])
    first, last = points[indices == 0].mean(axis=0), points[indices == indices[-1]].mean(axis=0)
    step = (last - first) / indices[-1]
    deviations = np.linalg.norm(points - (first + indices[:, None] * step), axis=1)
    deviation = float(deviations.max())
    return indices, step, deviation, deviation <= DEVIATION_TOLERANCE * float(np.linalg.norm(step))


def _make_arrangement(
    order: NDArray[np.intp],
    distances: Floats,
    indices: NDArray[np.int_],
    step: Floats | None,
    deviation: float,
    regular: bool,
) -> Arrangement:
    return Arrangement(
        order=tuple(order.tolist()),
        distances=tuple(distances.tolist()),
        slice_indices=tuple(indices.tolist()),
        step=None if step is None else (float(step[0]), float(step[1]), float(step[2])),
        deviation=deviation,
        regular=regular,
    )


def spacing_changes(distances: Sequence[float]) -> tuple[int, ...]:
    """Find where the spacing of slices changes, if each part between the changes is even.

    Parameters
    ----------
    distances : sequence of float
        Of the slices along the normal, ascending, mm.

    Returns
    -------
    tuple of int
        The index of the first slice of each part but the first; empty if the slices are no few even parts of at
        least three slices.

    Examples
    --------
    >>> spacing_changes([0, 2.5, 5, 7.5, 12.5, 17.5, 22.5])
    (4,)
    >>> spacing_changes([0, 2, 4.1, 6.3, 9])
    ()
    """
    gaps = np.diff(np.asarray(distances, np.float64))
    starts, index = [0], 0
    while index < len(gaps):
        start = index
        while index < len(gaps) and abs(gaps[index] - gaps[start]) <= DEVIATION_TOLERANCE * gaps[start]:
            index += 1
        # The gap at which the spacing changes belongs to no part.
        index += 1
        if index <= len(gaps):
            starts.append(index)
    sizes = np.diff([*starts, len(gaps) + 1])
    return tuple(starts[1:]) if len(starts) > 1 and sizes.min() >= SMALLEST_PART else ()
