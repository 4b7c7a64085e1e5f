"""Where positions lie along the normal: holes, changes of the spacing, and numbers that run on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.volume.arrangement import arrange_positions, spacing_changes

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
