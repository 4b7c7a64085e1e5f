"""Affines, coordinates, and the rules that say when slices are regular."""

from __future__ import annotations

import doctest
import pickle

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.volume import geometry
from simple_orthanc.volume.arrangement import arrange_positions
from simple_orthanc.volume.geometry import Geometry, stack_geometry, unit_cosines

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
UP = (0.0, 0.0, 1.0)


def along_z(*values: float) -> list[tuple[float, float, float]]:
    return [(0.0, 0.0, value) for value in values]


def rotations() -> st.SearchStrategy[np.ndarray]:
    numbers = st.tuples(*[st.floats(-1, 1) for _ in range(4)]).filter(lambda q: np.linalg.norm(q) > 0.1)

    def matrix(quaternion: tuple[float, float, float, float]) -> np.ndarray:
        w, x, y, z = np.asarray(quaternion) / np.linalg.norm(quaternion)
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )

    return numbers.map(matrix)


spacings = st.tuples(*[st.floats(0.05, 10)] * 3)
origins = st.tuples(*[st.floats(-500, 500)] * 3)
sizes = st.tuples(*[st.integers(1, 30)] * 3)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    matrix = draw(rotations())
    lean = np.array([draw(st.floats(-0.4, 0.4)), draw(st.floats(-0.4, 0.4)), 1.0])
    matrix[:, 2] = matrix @ (lean / np.linalg.norm(lean))
    return Geometry(draw(sizes), draw(spacings), draw(origins), tuple(matrix.ravel().tolist()))


def test_examples_of_the_module() -> None:
    assert doctest.testmod(geometry).failed == 0


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


def test_order_must_be_said_and_points_have_three_numbers() -> None:
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


@pytest.mark.parametrize(
    "values",
    [
        (0, 2, 4),
        (0, 2.0001, 4),
        (4, 0, 2),
        tuple(round(0.625 * number, 2) for number in range(300)),
        tuple(round(1 / 3 * number, 3) for number in range(50)),
    ],
)
def test_regular(values: tuple[float, ...]) -> None:
    found = arrange_positions(along_z(*values), UP)
    assert found.regular
    assert found.slice_indices == tuple(range(len(values)))
    assert not found.gaps
    assert not found.shared_positions
    assert found.step is not None
    assert found.step[2] == pytest.approx((max(values) - min(values)) / (len(values) - 1), rel=1e-12)


@pytest.mark.parametrize("values", [(0, 2, 4.1, 6.3), (0, 2, 5), (0, 1, 2, 3.5, 4.5), (0, 2, 4.09, 6)])
def test_uneven(values: tuple[float, ...]) -> None:
    assert not arrange_positions(along_z(*values), UP).regular


@pytest.mark.parametrize(
    ("values", "gaps"),
    [
        ((0, 2, 6), ((2, 6, 1),)),
        ((0, 4, 6), ((0, 4, 1),)),
        ((0, 2, 100), ((2, 100, 48),)),
        ((0, 1, 2, 5, 6, 8), ((2, 5, 2), (6, 8, 1))),
        ((0, 2, 6, 10), ((2, 6, 1), (6, 10, 1))),
    ],
)
def test_holes(values: tuple[float, ...], gaps: tuple[tuple[float, float, int], ...]) -> None:
    found = arrange_positions(along_z(*values), UP)
    assert found.regular
    assert found.gaps == gaps


def test_shared_positions_do_not_spoil_the_step() -> None:
    found = arrange_positions(along_z(0, 2, 2.01, 4, 6, 6, 6), UP)
    assert found.regular
    assert found.shared_positions == ((1, 2), (4, 5, 6))
    assert found.step == pytest.approx((0, 0, 2))
    assert arrange_positions(along_z(0, 2, 2.03, 4), UP).shared_positions == ()
    assert arrange_positions(along_z(5, 5, 5), UP).shared_positions == ((0, 1, 2),)
    assert arrange_positions(along_z(5), UP).step is None
    everything_twice = arrange_positions(along_z(*[2 * number for number in range(9) for _ in (0, 1)]), UP)
    assert everything_twice.regular
    assert len(everything_twice.shared_positions) == 9


def test_a_slice_off_the_line_sideways_is_not_regular() -> None:
    assert arrange_positions([(0, 0, 0), (0.03, 0, 2), (0, 0, 4)], UP).regular
    assert not arrange_positions([(0, 0, 0), (0.05, 0, 2), (0, 0, 4)], UP).regular
    assert not arrange_positions([(0, 0, 0), (10, 0, 0)], UP).regular
    assert arrange_positions([(0, 0, 0), (0, 1, 2), (0, 2, 4)], UP).step == pytest.approx((0, 1, 2))


def test_known_spacing_shows_holes_where_no_two_slices_are_neighbours() -> None:
    found = arrange_positions(along_z(0, 10, 16), UP, spacing=2.0)
    assert found.slice_indices == (0, 5, 8)
    assert found.regular
    assert arrange_positions(along_z(0, 10, 16), UP, spacing=-2.0) == found


@pytest.mark.parametrize("spacing", [0.0, -0.0, 1e-300])
def test_a_spacing_of_nothing_is_none(spacing: float) -> None:
    assert arrange_positions(along_z(0, 2, 6), UP, spacing=spacing) == arrange_positions(along_z(0, 2, 6), UP)


@given(
    st.integers(2, 40),
    st.floats(0.05, 20),
    rotations(),
    origins,
    st.randoms(use_true_random=False),
    st.floats(0, 0.009),
)
def test_any_even_stack_is_regular_whatever_its_place_and_order(
    count: int, spacing: float, matrix: np.ndarray, origin: tuple[float, ...], random: object, jitter: float
) -> None:
    signs = np.resize([1, -1, -1], count)
    positions = np.asarray(origin) + np.outer(np.arange(count) * spacing + signs * jitter * spacing, matrix[:, 2])
    order = list(range(count))
    random.shuffle(order)  # type: ignore[attr-defined]
    found = arrange_positions(positions[order], matrix[:, 2])
    assert found.regular
    assert [order[index] for index in found.order] == list(range(count))
    assert found.slice_indices == tuple(range(count))
    assert np.allclose(found.step, (positions[-1] - positions[0]) / (count - 1), atol=1e-9)


@given(st.integers(4, 40), st.data())
def test_removing_inner_slices_gives_exactly_those_holes(count: int, data: st.DataObject) -> None:
    # At least one pair of neighbours must be left, or the spacing is another.
    removed = data.draw(st.sets(st.integers(2, count - 2), max_size=count - 3))
    kept = [number for number in range(count) if number not in removed]
    found = arrange_positions(along_z(*[0.7 * number for number in kept]), UP)
    if (len(removed)) < len(kept):
        assert found.regular
        assert found.slice_indices == tuple(kept)
        assert sum(number for _, _, number in found.gaps) == len(removed)
    else:
        assert not found.regular or found.slice_indices == tuple(kept)
