"""Tissues are where the axes of the patient say, however the grid is turned, and have exactly their values inside."""

from __future__ import annotations

import numpy as np
import pytest

from simple_orthanc.phantom.anatomy import BRAIN_LESION, LIVER, LIVER_LESION, Body, Ellipsoid, Grid, head, trunk

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@pytest.mark.parametrize("grid", [Grid((30, 40, 40), (5.0, 4.0, 4.0)), Grid((40, 40, 40), (4.0, 4.0, 4.0), SAGITTAL)])
def test_the_lesion_of_the_head_is_on_the_left_in_any_orientation(grid: Grid) -> None:
    inside = head(grid, BRAIN_LESION).mask("lesion")
    middle = grid.positions()[:, inside].mean(axis=1)
    assert middle == pytest.approx(BRAIN_LESION.centre, abs=2.5)


def test_a_grid_begins_at_its_origin_and_lies_around_its_centre() -> None:
    grid = Grid((3, 4, 5), (2.0, 1.0, 1.0), centre=(10.0, 20.0, 30.0))
    positions = grid.positions()
    assert positions[:, 0, 0, 0].tolist() == list(grid.origin) == [8.0, 18.5, 28.0]
    assert positions.reshape(3, -1).mean(axis=1).tolist() == [10.0, 20.0, 30.0]


def test_the_liver_is_on_the_right_and_encloses_its_lesion() -> None:
    body = trunk(Grid((20, 40, 40), (8.0, 7.0, 7.0)))
    x = body.grid.positions()[0]
    assert x[body.mask("liver")].mean() < -20
    points = [point for z in range(-4, 25, 4) if (point := LIVER_LESION.outline(float(z))) is not None]
    assert LIVER.radius_at(np.concatenate(points).T).max() < 1


def test_values_are_exact_inside_a_tissue_and_between_two_at_its_border() -> None:
    body = Body(Grid((9, 9, 9), (1.0, 1.0, 1.0)))
    body.add(Ellipsoid("tissue", (0.0, 0.0, 0.0), (3.0, 3.0, 3.0)))
    values = body.values({"air": 10.0, "tissue": 0.1})
    assert values[4, 4, 4] == pytest.approx(0.1)
    assert values[0, 0, 0] == 10.0
    assert 0.1 < values[4, 4, 7] < 10.0


def test_an_outline_lies_on_the_surface() -> None:
    outline = LIVER.outline(20.0)
    assert outline is not None
    assert LIVER.radius_at(outline.T) == pytest.approx(np.ones(48))
