"""Affines, coordinates and cosines."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.volume.geometry import (
    Geometry,
    line_direction,
    perpendicular_to_step,
    stack_geometry,
    unit_cosines,
)
from tests.volume.helpers import origins, rotations

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
UP = (0.0, 0.0, 1.0)


spacings = st.tuples(*[st.floats(0.05, 10)] * 3)
sizes = st.tuples(*[st.integers(1, 30)] * 3)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    matrix = draw(rotations())
    lean = np.array([draw(st.floats(-0.4, 0.4)), draw(st.floats(-0.4, 0.4)), 1.0])
    matrix[:, 2] = matrix @ (lean / np.linalg.norm(lean))
    return Geometry(draw(sizes), draw(spacings), draw(origins), tuple(matrix.ravel().tolist()))


@given(geometries())
def test_coordinates_agree_with_simpleitk_and_back(shape: Geometry) -> None:
    image = SimpleITK.Image(list(shape.size), SimpleITK.sitkUInt8)
    image.SetSpacing(shape.spacing)
    image.SetOrigin(shape.origin)
    image.SetDirection(shape.direction)
    corner = [size - 1 for size in shape.size]
    expected = image.TransformIndexToPhysicalPoint(corner)
    assert np.allclose(shape.to_patient(corner, "xyz"), expected, atol=1e-6)
    assert np.allclose(shape.to_patient(corner[::-1], "zyx"), expected, atol=1e-6)
    assert np.allclose(shape.to_index(expected, "xyz"), corner, atol=1e-6)
    assert np.allclose(shape.to_index(expected, "zyx"), corner[::-1], atol=1e-6)
    assert np.allclose(shape.affine @ [*corner, 1], [*expected, 1], atol=1e-6)
    assert np.allclose(shape.affine_ras @ [*corner, 1], np.multiply([*expected, 1], [-1, -1, 1, 1]), atol=1e-6)


def test_order_must_be_given_and_points_have_three_numbers() -> None:
    shape = stack_geometry((3, 4, 5), AXIAL, (1, 1), (0, 0, 0), (0, 0, 2))
    with pytest.raises(ValueError, match="xyz"):
        shape.to_patient((0, 0, 0), "ijk")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="three numbers"):
        shape.to_index((0, 0), "xyz")
    assert shape.to_patient(np.zeros((2, 7, 3)), "zyx").shape == (2, 7, 3)


def test_geometry_is_frozen_comparable_and_picklable() -> None:
    shape = stack_geometry((3, 4, 5), AXIAL, (0.7, 1.3), (1, 2, 3), (0, 0, 2))
    assert shape.size == (5, 4, 3)
    assert shape.spacing == (1.3, 0.7, 2.0)
    assert pickle.loads(pickle.dumps(shape)) == shape
    with pytest.raises(ValueError, match="read-only"):
        shape.affine[0, 0] = 9
    assert shape.isclose(stack_geometry((3, 4, 5), AXIAL, (0.7, 1.3), (1, 2, 3.0005), (0, 0, 2)))
    assert not shape.isclose(stack_geometry((3, 4, 5), AXIAL, (0.7, 1.3), (1, 2, 3.01), (0, 0, 2)))
    assert not shape.isclose(stack_geometry((3, 4, 6), AXIAL, (0.7, 1.3), (1, 2, 3), (0, 0, 2)))
    assert not stack_geometry((1, 4, 5), AXIAL, (1, 1), (0, 0, 0), (0, 0, 2)).isclose(
        stack_geometry((1, 4, 5), AXIAL, (1, 1), (0, 0, 0), (0, 0, 3))
    )


@pytest.mark.parametrize(("step", "sheared"), [((0, 0, 2), False), ((0.0019, 0, 2), False), ((0.0021, 0, 2), True)])
def test_shear_begins_at_a_thousandth(step: tuple[float, float, float], sheared: bool) -> None:
    assert stack_geometry((3, 4, 5), AXIAL, (1, 1), (0, 0, 0), step).is_sheared is sheared


@pytest.mark.parametrize(
    "wrong",
    [(1.002, 0, 0, 0, 1, 0), (1, 0, 0, 0.0015, 1, 0), (1, 0, 0, 1, 0, 0), (0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 1, np.nan)],
)
def test_cosines_that_are_none_are_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"length 1|perpendicular|finite"):
        unit_cosines(wrong)


@given(rotations(), st.floats(-9e-4, 9e-4), st.floats(-4e-4, 4e-4))
def test_cosines_close_to_unit_are_made_exact(matrix: np.ndarray, longer: float, lean: float) -> None:
    row, column = matrix[:, 0] * (1 + longer), matrix[:, 1] + lean * matrix[:, 0]
    exact = np.asarray(unit_cosines((*row, *column)))
    assert np.allclose(exact[:3], matrix[:, 0], atol=1e-12)
    assert abs(exact[:3] @ exact[3:]) < 1e-15
    assert np.allclose(exact[3:], matrix[:, 1], atol=1e-3)
    assert np.isclose(np.linalg.norm(exact[3:]), 1, atol=1e-15)


@given(rotation=rotations(), decimals=st.sampled_from([2, 3, 4]))
def test_rounded_cosines_become_unit_vectors_that_round_to_them(rotation: np.ndarray, decimals: int) -> None:
    written = np.round(rotation[:, :2].T.ravel(), decimals)
    try:
        cosines = np.asarray(unit_cosines(written, rounding=0.5 * 10**-decimals))
    except ValueError:
        # Some hundredth of all cosines are too far from any that was found.
        return
    assert np.abs(cosines - written).max() <= max(0.53 * 10**-decimals, 2e-3)
    assert np.allclose([cosines[:3] @ cosines[:3], cosines[3:] @ cosines[3:], cosines[:3] @ cosines[3:]], [1, 1, 0])


@pytest.mark.parametrize(("lean", "expected"), [(0.004, False), (0.05, True)])
def test_a_lean_within_the_rounding_of_the_cosines_is_no_tilt(lean: float, expected: bool) -> None:
    turned = perpendicular_to_step(AXIAL, (0, lean, 1), rounding=0.005)
    assert stack_geometry((3, 4, 4), turned, (1, 1), (0, 0, 0), (0, lean, 1)).is_sheared is expected
    exact = perpendicular_to_step(AXIAL, (0, lean, 1), rounding=0.0)
    assert exact == AXIAL


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([(0, 0, 4), (0, 0, 0)], [0, 0, 1]),
        ([(0, 9, 0), (0, 3, 0), (0, 6, 0)], [0, 1, 0]),
        ([(-1, 0, 0), (1, 0, 0)], [1, 0, 0]),
        ([(0, 0, 0), (5, 0, 2), (0, 0, 4)], None),
        ([(1, 1, 1), (1, 1, 1)], None),
    ],
)
def test_the_line_of_positions(positions: list[tuple[float, ...]], expected: list[float] | None) -> None:
    found = line_direction(positions)
    assert (None if found is None else found.tolist()) == expected
