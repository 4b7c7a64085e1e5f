"""Operators of volumes: refused with the way out, where numpy's protocols do not compute them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Volume

BINARY: list[Callable[[Any, Any], Any]] = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow),
    *(operator.lt, operator.le, operator.gt, operator.ge),
]


@pytest.fixture
def volume() -> Volume:
    return Volume(np.arange(1, 25, dtype=np.int16).reshape(2, 3, 4), None, Dataset(), units="HU")


@pytest.mark.parametrize("compute", BINARY)
def test_numbers_and_volumes_are_refused_with_the_way_out(volume: Volume, compute: Callable[[Any, Any], Any]) -> None:
    for left, right in ((volume, 2), (2.5, volume), (volume, volume)):
        with pytest.raises(TypeError, match=r"volume\.array.*with_array\(result, units"):
            compute(left, right)


@pytest.mark.parametrize("compute", [operator.and_, operator.or_, operator.xor])
def test_masks_are_not_combined_by_operators(volume: Volume, compute: Callable[[Any, Any], Any]) -> None:
    mask = volume.with_array(volume.array > 3, units="mask")
    with pytest.raises(TypeError, match=r"volume.array . other.array, and"):
        compute(mask, mask)


def test_the_error_shows_what_was_written_with_the_values() -> None:
    volume: Any = Volume(np.zeros((1, 2, 2)), None, Dataset())
    for compute, expected in (
        (lambda: ~volume, "as in ~volume.array, and"),
        (lambda: -volume, "as in -volume.array, and"),
        (lambda: volume * 2, r"as in volume.array \* 2, and"),
        (lambda: 1 - volume, "as in 1 - volume.array, and"),
    ):
        with pytest.raises(TypeError, match=expected):
            compute()


@pytest.mark.parametrize("compute", BINARY)
def test_arrays_and_scalars_of_numpy_compute_with_it(volume: Volume, compute: Callable[[Any, Any], Any]) -> None:
    for other in (volume.array, np.float64(2.5), np.int16(3), np.ones(4)):
        assert np.array_equal(compute(volume, other), compute(volume.array, other))
        assert np.array_equal(compute(other, volume), compute(other, volume.array))
        assert isinstance(compute(other, volume), np.ndarray)
    assert np.array_equal(np.multiply(volume, 2), volume.array * 2)


def test_other_types_have_their_own_say(volume: Volume) -> None:
    class Other:
        def __rmul__(self, other: object) -> str:
            return "computed"

    assert volume * Other() == "computed"  # type: ignore[operator]
    with pytest.raises(TypeError, match="unsupported operand"):
        volume - "a"  # type: ignore[operator]


def test_equality_with_a_number_is_refused_since_false_selects_nothing(volume: Volume) -> None:
    for compute, symbol in ((operator.eq, "=="), (operator.ne, "!=")):
        for left, right in ((volume, 2), (2.5, volume)):
            with pytest.raises(TypeError, match=rf"as in volume\.array {symbol} 2"):
                compute(left, right)
        for other in (volume.array, np.int16(3)):
            assert np.array_equal(compute(volume, other), compute(volume.array, other))
            assert np.array_equal(compute(other, volume), compute(other, volume.array))


def test_a_volume_equals_itself_alone(volume: Volume) -> None:
    other = volume.with_array(volume.array)
    assert volume == volume
    assert volume != other
    assert operator.ne(volume, "a")
    assert len({volume, other}) == 2
    assert volume in [other, volume]
