"""Planes turned for a reader."""

from __future__ import annotations

import numpy as np
import pytest

from simple_orthanc import Geometry, VolumeError
from simple_orthanc.volume.views import array_axes, edge_letters, nearest_plane, plane_axis, view

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
# Columns run to the back, rows to the feet, slices to the left.
SAGITTAL = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def grid(direction: tuple[float, ...]) -> Geometry:
    return Geometry((4, 3, 2), (1.0, 2.0, 3.0), (0.0, 0.0, 0.0), direction)  # type: ignore[arg-type]


def test_which_array_axis_is_which_plane() -> None:
    assert [plane_axis(grid(AXIAL), plane) for plane in ("axial", "coronal", "sagittal")] == [0, 1, 2]
    assert [plane_axis(grid(SAGITTAL), plane) for plane in ("axial", "coronal", "sagittal")] == [1, 2, 0]
    assert [nearest_plane(grid(SAGITTAL), axis) for axis in range(3)] == ["sagittal", "axial", "coronal"]


def test_each_patient_axis_has_an_index_axis_of_its_own() -> None:
    """Also where an oblique grid has two axes that are nearest to the same axis of the patient."""
    third = np.array([0.1, 0.7, 0.7]) / np.linalg.norm([0.1, 0.7, 0.7])
    first = np.cross([0, 1, 0.1], third) / np.linalg.norm(np.cross([0, 1, 0.1], third))
    matrix = np.stack([first, np.cross(third, first), third], axis=1)
    assert sorted(array_axes(grid(tuple(matrix.ravel())))) == [0, 1, 2]


def test_edges_are_labelled() -> None:
    assert [edge_letters(vector) for vector in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0))] == ["L", "R", "P", "A"]
    assert [edge_letters(vector) for vector in ((0, 0, 1), (0, 0, -1))] == ["H", "F"]
    assert edge_letters((0.9, 0.3, 0.1)) == "LP"
    assert edge_letters((0.98, 0.15, 0.1)) == "L"


def test_a_stored_sagittal_slice_is_turned() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    each = view(array, grid(SAGITTAL), 0, 1)
    # Columns run to the back and rows to the feet, as a reader has them.
    assert np.array_equal(each.image, array[1])
    assert (each.letters, each.extent) == (("A", "P", "H", "F"), (-0.5, 3.5, -5.0, 1.0))
    assert (each.title, each.labels) == ("sagittal, slice 1, x = 3 mm", ("y in mm (LPS)", "z in mm (LPS)"))
    across = view(array, grid(SAGITTAL), 1, 0)
    assert across.plane == "axial"
    assert np.array_equal(across.image, array[:, 0].T)


def test_a_position_next_to_nothing_is_0() -> None:
    nearly = Geometry((4, 3, 2), (1.0, 2.0, 3.0), (0.0, 0.0, -6e-13), AXIAL)
    assert view(np.zeros((2, 3, 4)), nearly, 0, 0).position == "z = 0 mm"


def test_colour_keeps_its_samples_last() -> None:
    colour = np.arange(72).reshape(2, 3, 4, 3)
    assert np.array_equal(view(colour, grid(AXIAL), 2, 0).image, colour[::-1, :, 0])


def test_planes_that_are_not_known() -> None:
    with pytest.raises(ValueError, match="'axial', 'coronal', 'sagittal'"):
        plane_axis(grid(AXIAL), "transverse")
    with pytest.raises(VolumeError, match="without geometry"):
        plane_axis(None, "axial")
