"""Regions drawn from contours, against the analytic truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simple_orthanc import Geometry, VolumeError
from simple_orthanc.volume.contours import Contour, contour_points, rasterize

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Geometry((80, 70, 6), (0.9, 1.1, 3.0), (-30.0, -40.0, 10.0), AXIAL)


def oblique(grid: Geometry) -> Geometry:
    """The same grid, turned about two axes."""
    first, second = np.radians(25), np.radians(-40)
    about_x = np.array([[1, 0, 0], [0, np.cos(first), -np.sin(first)], [0, np.sin(first), np.cos(first)]])
    about_z = np.array([[np.cos(second), -np.sin(second), 0], [np.sin(second), np.cos(second), 0], [0, 0, 1]])
    return Geometry(grid.size, grid.spacing, grid.origin, tuple((about_z @ about_x).ravel().tolist()))


def circle(grid: Geometry, plane: float, radius: float, centre: tuple[float, float] = (35.0, 38.0)) -> Contour:
    """A circle in a slice: centre and radius in mm within the plane, from the first voxel."""
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    columns = (centre[0] + radius * np.cos(angles)) / grid.spacing[0]
    rows = (centre[1] + radius * np.sin(angles)) / grid.spacing[1]
    indices = np.stack([columns, rows, np.full(360, plane)], axis=-1)
    return Contour("CLOSED_PLANAR", grid.to_patient(indices, order="xyz"))


def distances(grid: Geometry, centre: tuple[float, float] = (35.0, 38.0)) -> NDArray[np.float64]:
    """Distance in mm of each pixel of a slice (row, column) from a point of it."""
    columns, rows = np.meshgrid(np.arange(grid.size[0]) * grid.spacing[0], np.arange(grid.size[1]) * grid.spacing[1])
    return np.hypot(columns - centre[0], rows - centre[1])


@pytest.mark.parametrize("grid", [GRID, oblique(GRID)], ids=["axial", "oblique"])
@pytest.mark.parametrize("radius", [3.0, 12.5, 25.0])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_circle(grid: Geometry, radius: float, reverse: bool) -> None:
    contour = circle(grid, 2, radius)
    points = contour.points[::-1] if reverse else contour.points
    drawn = rasterize([Contour("CLOSED_PLANAR", points)], grid, "circle")
    assert drawn.mask.any(axis=(1, 2)).tolist() == [False, False, True, False, False, False]
    # A polygon of 360 corners lies this little inside of its circle.
    unsure = np.abs(distances(grid) - radius) < 0.001 * radius + 1e-6
    assert np.array_equal(drawn.mask[2][~unsure], (distances(grid) < radius)[~unsure])
    pixel = grid.spacing[0] * grid.spacing[1]
    half_a_voxel = 2 * np.pi * radius * 0.5 * max(grid.spacing[:2])
    assert abs(drawn.mask.sum() * pixel - np.pi * radius**2) <= half_a_voxel


@pytest.mark.parametrize("change", ["same", "reversed", "turned", "closed"])
def test_a_contour_that_is_written_twice_is_drawn_once(change: str) -> None:
    outer, inner = circle(GRID, 2, 12), circle(GRID, 2, 5)
    points = outer.points
    again = {
        "same": points.copy(),
        "reversed": points[::-1],
        "turned": np.roll(points, 100, axis=0),
        "closed": np.concatenate([points, points[:1]]),
    }[change]
    expected = rasterize([outer, inner], GRID, "ring")
    found = rasterize([outer, inner, Contour("CLOSED_PLANAR", again)], GRID, "ring")
    assert np.array_equal(found.mask, expected.mask)
    assert (found.repeated, expected.repeated) == (1, 0)
    # An exclusive or is what its name says.
    kind = "CLOSEDPLANAR_XOR"
    assert not rasterize([Contour(kind, points), Contour(kind, again)], GRID, "nothing").mask.any()


@pytest.mark.parametrize("grid", [GRID, oblique(GRID)], ids=["axial", "oblique"])
def test_a_ring_of_two_contours_has_a_hole(grid: Geometry) -> None:
    drawn = rasterize([circle(grid, 1, 20), circle(grid, 1, 8)], grid, "ring")
    truth = (distances(grid) < 20) & (distances(grid) > 8)
    assert np.count_nonzero(drawn.mask[1] != truth) <= 2


def test_a_keyhole_is_the_same_ring() -> None:
    outer, inner = circle(GRID, 1, 20).points, circle(GRID, 1, 8).points
    keyhole = np.concatenate([outer, outer[:1], inner[:1], inner[::-1], inner[:1], outer[:1]])
    with_channel = rasterize([Contour("CLOSED_PLANAR", keyhole)], GRID, "keyhole").mask
    of_two = rasterize([circle(GRID, 1, 20), circle(GRID, 1, 8)], GRID, "ring").mask
    assert np.array_equal(with_channel, of_two)


def test_an_island_in_a_hole() -> None:
    drawn = rasterize([circle(GRID, 1, 20), circle(GRID, 1, 12), circle(GRID, 1, 4)], GRID, "island").mask[1]
    away = distances(GRID)
    assert drawn[away < 3.9].all()
    assert not drawn[(away > 4.1) & (away < 11.9)].any()
    assert drawn[(away > 12.1) & (away < 19.9)].all()


def test_what_lies_outside_of_the_image_is_cut() -> None:
    drawn = rasterize([circle(GRID, 3, 20, (0.0, 0.0)), circle(GRID, 9, 5), circle(GRID, -1, 5)], GRID, "cut")
    truth = distances(GRID, (0.0, 0.0)) < 20
    assert np.count_nonzero(drawn.mask[3] != truth) <= 2
    assert drawn.outside == 2


def test_skipped_slices_stay_empty_and_are_told() -> None:
    drawn = rasterize([circle(GRID, plane, 5) for plane in (0, 2, 5)], GRID, "skips")
    assert drawn.skipped == (1, 3, 4)
    assert drawn.mask.any(axis=(1, 2)).tolist() == [True, False, True, False, False, True]


def test_points_set_their_voxels() -> None:
    points = GRID.to_patient([[3, 4, 1], [79.4, 69.4, 5.4], [80, 0, 0]], order="xyz")
    drawn = rasterize([Contour("POINT", points)], GRID, "points")
    assert np.argwhere(drawn.mask).tolist() == [[1, 4, 3], [5, 69, 79]]
    assert drawn.outside == 1


@given(st.lists(st.tuples(st.floats(-5, 12), st.floats(-5, 12)), min_size=3, max_size=8))
def test_even_odd_as_a_ray_has_it(corners: list[tuple[float, float]]) -> None:
    grid = Geometry((8, 7, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    points = np.array([(column, row, 0.0) for column, row in corners])
    mask = rasterize([Contour("CLOSED_PLANAR", points)], grid, "any").mask[0]
    for row in range(7):
        for column in range(8):
            crossings = 0
            for (x, y), (next_x, next_y) in zip(corners, corners[1:] + corners[:1], strict=True):
                if (y <= row) != (next_y <= row):
                    crossings += x + (row - y) * (next_x - x) / (next_y - y) <= column
            assert mask[row, column] == bool(crossings % 2)


class TestRefusals:
    @pytest.mark.parametrize("kind", ["OPEN_PLANAR", "OPEN_NONPLANAR", ""])
    def test_contours_that_enclose_nothing(self, kind: str) -> None:
        with pytest.raises(VolumeError, match=f"'vessel'.*{kind or 'missing'}"):
            rasterize([Contour(kind, circle(GRID, 1, 5).points)], GRID, "vessel")

    def test_contours_between_slices(self) -> None:
        with pytest.raises(VolumeError, match=r"'liver' lies 1.2 mm off the nearest slice"):
            rasterize([circle(GRID, 1.4, 5)], GRID, "liver")
        rasterize([circle(GRID, 1.05, 5)], GRID, "liver")

    def test_contours_across_slices(self) -> None:
        points = circle(oblique(GRID), 2, 10).points
        with pytest.raises(VolumeError, match="across the slices"):
            rasterize([Contour("CLOSED_PLANAR", points)], GRID, "sagittal")

    def test_a_single_slice_has_no_neighbour(self) -> None:
        grid = Geometry((80, 70, 1), GRID.spacing, GRID.origin, AXIAL)
        assert rasterize([circle(grid, 0.4, 5)], grid, "one").mask.any()
        assert rasterize([circle(grid, 2.0, 5)], grid, "one").outside == 1

    @pytest.mark.parametrize("data", [[], [1.0, 2.0], [1.0, 2.0, float("nan")]])
    def test_numbers_that_are_no_points(self, data: list[float]) -> None:
        with pytest.raises(VolumeError, match=r"ContourData \(3006,0050\)"):
            contour_points(data, "odd")
