"""Where positions lie along the normal: holes, changes of the spacing, and numbers that run on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.volume.arrangement import arrange_positions, spacing_changes
from tests.volume.helpers import origins, rotations

UP = (0.0, 0.0, 1.0)


def holes(values: Sequence[float], numbers: Sequence[int | None] = ()) -> list[int]:
    arrangement = arrange_positions([(0, 0, value) for value in values], UP, numbers=numbers)
    return [count for _, _, count in arrangement.gaps]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((), [1]),
        ((1, 2, 3, 5, 6, 7), [1]),
        ((7, 6, 5, 3, 2, 1), [1]),
        ((1, 4, 7, 13, 16, 19), [1]),
        ((None,) * 6, [1]),
        ((1, 1, 1, 1, 1, 1), [1]),
        ((5, 1, 6, 2, 9, 4), [1]),
        ((1, 2, 3, 4, 5, 6), []),
        ((6, 5, 4, 3, 2, 1), []),
        ((1, 4, 7, 10, 13, 16), []),
    ],
)
def test_no_slice_is_missing_where_the_numbers_run_on(numbers: tuple[int | None, ...], expected: list[int]) -> None:
    assert holes((0, 2, 4, 8, 10, 12), numbers) == expected


def test_a_few_numbers_are_no_evidence() -> None:
    assert holes((0, 2, 6), (1, 2, 3)) == [1]


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        ((0, 1, 2, 3, 5, 7, 9), (4,)),
        ((0, 2, 4, 6, 7, 8, 9), (4,)),
        ((0, 1, 2, 4, 6, 8, 9, 10, 11), (3, 6)),
        ((0, 1, 2, 3, 4, 5), ()),
        ((0, 1, 3, 4, 6), ()),
        ((0, 2, 6), ()),
        ((0, 1, 2, 3, 5), ()),
    ],
)
def test_changes_of_the_spacing(distances: tuple[float, ...], expected: tuple[int, ...]) -> None:
    assert spacing_changes(distances) == expected


@given(
    first=st.integers(3, 12),
    second=st.integers(3, 12),
    spacings=st.tuples(st.floats(0.5, 5), st.floats(1.2, 3)),
)
def test_two_even_parts_are_found(first: int, second: int, spacings: tuple[float, float]) -> None:
    wide = spacings[0] * spacings[1]
    start = np.arange(first) * spacings[0]
    distances = np.concatenate([start, start[-1] + wide * np.arange(1, second + 1)])
    changes = spacing_changes(distances)
    assert len(changes) == 1
    assert changes[0] in (first, first - 1)


def along_z(*values: float) -> list[tuple[float, float, float]]:
    return [(0.0, 0.0, value) for value in values]


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
def test_a_spacing_of_zero_is_unknown(spacing: float) -> None:
    assert arrange_positions(along_z(0, 2, 6), UP, spacing=spacing) == arrange_positions(along_z(0, 2, 6), UP)


@given(
    st.integers(2, 40),
    st.floats(0.05, 20),
    rotations(),
    origins,
    st.randoms(use_true_random=False),
    st.floats(0, 0.009),
)
def test_any_even_stack_is_regular_in_any_order_anywhere(
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
