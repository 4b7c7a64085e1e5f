"""Where the slices of a derived series lie, and which slices of the source lie there."""

from __future__ import annotations

import numpy as np
import pytest

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.writing.geometry import check_grid, common_plane, crossed_slices, slice_position
from tests.volume.writing.volumes import grid

STACK = [(0.0, 0.0, 2.0 * number) for number in range(5)]


def test_positions_follow_the_third_axis() -> None:
    turned = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (1.0, 2.0, 3.0), (0, 0, -1, 1, 0, 0, 0, -1, 0))
    assert slice_position(turned, 2) == ["-3", "2", "3"]
    assert common_plane(turned)["ImageOrientationPatient"] == ["0", "1", "0", "0", "0", "-1"]


def test_a_mirrored_grid_is_a_grid() -> None:
    check_grid(Geometry((5, 4, 3), (1.0, 1.0, 2.0), (1.0, 2.0, 3.0), (1, 0, 0, 0, 1, 0, 0, 0, -1)))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, -2.0), (1.0, np.inf, 2.0), (0.0, 1.0, 2.0)])
def test_lengths_that_cannot_be(spacing: tuple[float, float, float]) -> None:
    with pytest.raises(VolumeError, match="above 0 mm"):
        check_grid(grid(spacing=spacing))


class TestCrossedSlices:
    def test_slices_at_the_same_place(self) -> None:
        assert [crossed_slices(grid(), index, STACK) for index in range(3)] == [[0], [1], [2]]

    def test_slices_before_and_after(self) -> None:
        assert crossed_slices(grid(origin=(0, 0, 1)), 0, STACK) == [0, 1]

    def test_a_thick_slice_covers_several(self) -> None:
        assert crossed_slices(grid(spacing=(1, 1, 8), origin=(0, 0, 3.9)), 0, STACK) == [0, 1, 2, 3]

    def test_a_slice_across_covers_all(self) -> None:
        coronal = Geometry((5, 9, 3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 0, -1, 0, 1, 0))
        assert crossed_slices(coronal, 1, STACK) == [0, 1, 2, 3, 4]

    def test_slices_at_one_place_and_in_any_order(self) -> None:
        twice = [*STACK[::-1], *STACK]
        assert crossed_slices(grid(), 1, twice) == [3, 6]
        assert crossed_slices(grid(origin=(0, 0, 1)), 0, twice) == [3, 4, 5, 6]

    def test_a_slice_outside_has_no_source(self) -> None:
        assert crossed_slices(grid(origin=(0, 0, 100)), 0, STACK) == []
