"""Stored values: exact where they can be, to half a step where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.writing.pixels import StoredPixels, stored_pixels


def values_of(pixels: StoredPixels) -> np.ndarray:
    return pixels.array.astype(np.float64) * float(pixels.slope) + float(pixels.intercept)


def check(array: np.ndarray, through_zero: bool = False, mask: np.ndarray | None = None) -> StoredPixels:
    """Encode, and check all that a header and a reader rely on."""
    pixels = stored_pixels(array, mask, through_zero=through_zero)
    nothing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    nothing = nothing if mask is None else nothing | mask
    first, last = pixels.padding or (1, 0)
    assert np.array_equal((pixels.array >= first) & (pixels.array <= last), nothing)
    if not nothing.all():
        inside = pixels.array[~nothing]
        assert (inside.min(), inside.max()) == pixels.used
    exact = array[~nothing].astype(np.float64)
    error = np.abs(values_of(pixels)[~nothing] - exact)
    assert (error <= float(pixels.slope) / 2 + 4 * np.spacing(np.abs(exact))).all()
    if through_zero:
        assert pixels.intercept == "0"
    return pixels


class TestWholeNumbers:
    @pytest.mark.parametrize(
        ("given_type", "stored"),
        [("bool", "uint8"), ("uint8", "uint8"), ("int8", "int16"), ("int16", "int16"), ("uint16", "uint16")],
    )
    def test_small_types_are_kept(self, given_type: str, stored: str) -> None:
        array = np.array([[[0, 1]]], given_type)
        pixels = check(array)
        assert (pixels.array.dtype.name, pixels.is_rescaled) == (stored, False)

    @pytest.mark.parametrize("padded", [80.5, -0.5, 79.9])
    def test_padding_with_a_fraction_does_not_become_the_value_of_a_voxel(self, padded: float) -> None:
        array, mask = np.array([[[0.0, 79, 80, padded]]]), np.array([[[False, False, False, True]]])
        check(array, mask=mask)

    def test_8_bits_become_16_where_the_class_has_no_others(self) -> None:
        assert stored_pixels(np.array([[[0, 255]]], np.uint8), narrow=False).array.dtype == np.int16

    @pytest.mark.parametrize(
        ("low", "high", "stored"), [(-32768, 32767, "int16"), (0, 65535, "uint16"), (5, 7, "int16")]
    )
    @pytest.mark.parametrize("given_type", ["int32", "int64", "float32", "float64"])
    def test_wide_types_are_stored_as_they_are_where_the_values_fit(
        self, low: int, high: int, stored: str, given_type: str
    ) -> None:
        pixels = check(np.array([[[low, high]]], given_type))
        assert (pixels.array.dtype.name, pixels.is_rescaled, pixels.array.ravel().tolist()) == (
            stored,
            False,
            [low, high],
        )

    @pytest.mark.parametrize("offset", [10**6, -(10**6), 10**13])
    def test_a_range_of_16_bits_is_moved_and_exact(self, offset: int) -> None:
        array = np.array([[[offset, offset + 65534]]])
        pixels = check(array)
        assert pixels.slope == "1"
        assert (pixels.array.astype(np.int64) + int(pixels.intercept) == array).all()

    def test_more_than_16_bits_get_a_slope(self) -> None:
        assert float(check(np.array([[[0, 65536]]])).slope) > 1
        assert check(np.array([[[-1, 65535]]])).intercept == "0"
        assert check(np.array([[[10**6, 10**6 + 1]]]), through_zero=True).slope != "1"

    @pytest.mark.parametrize("given_type", ["int64", "uint64"])
    def test_the_ends_of_64_bits(self, given_type: str) -> None:
        limits = np.iinfo(given_type)
        check(np.array([[[limits.min, limits.max]]], given_type))
        check(np.array([[[limits.max, limits.max - 5]]], given_type))


class TestPadding:
    def test_padding_keeps_its_value_where_no_voxel_shares_it(self) -> None:
        array = np.array([[[-2000, -2000, -1000, 40]]], np.int16)
        pixels = check(array, mask=array == -2000)
        assert (pixels.padding, pixels.array.tolist()) == ((-2000, -2000), array.tolist())

    def test_several_values_of_padding_are_a_range(self) -> None:
        array = np.array([[[-3000, -2000, -1000, 40]]], np.int16)
        assert check(array, mask=array <= -2000).padding == (-3000, -2000)

    def test_padding_that_shares_its_value_gets_another(self) -> None:
        array = np.array([[[-1000, -1000, 40]]], np.int16)
        pixels = check(array, mask=np.array([[[True, False, False]]]))
        assert pixels.array.tolist() == [[[-1001, -1000, 40]]]

    @pytest.mark.parametrize(
        ("low", "high", "expected"), [(-32768, 5, 6), (-32767, 32767, -32768), (-32768, 32767, -32767)]
    )
    def test_where_a_free_value_is_found(self, low: int, high: int, expected: int) -> None:
        array = np.array([[[low, high, high]]], np.int16)
        assert check(array, mask=np.array([[[False, False, True]]])).padding == (expected, expected)

    def test_all_values_taken(self) -> None:
        array = np.arange(-32768, 32768).astype(np.int16).reshape(1, 256, 256)
        array = np.concatenate([array, array])
        mask = np.zeros(array.shape, bool)
        mask[1, 0, 0] = True
        assert check(array, mask=mask).slope != "1"

    def test_nan_among_whole_numbers(self) -> None:
        pixels = check(np.array([[[0.0, 5.0, np.nan]]], np.float32))
        assert (pixels.array.tolist(), pixels.padding) == ([[[0, 5, -1]]], (-1, -1))

    def test_nothing_but_padding(self) -> None:
        assert check(np.full((2, 2, 2), np.nan)).padding == (-1, -1)
        assert check(np.zeros((1, 2, 2), np.uint8), mask=np.ones((1, 2, 2), bool)).padding == (0, 0)


class TestSteps:
    @pytest.mark.parametrize("through_zero", [False, True])
    @pytest.mark.parametrize(
        "array",
        [
            np.array([0.0, 1 / 3, 1e30]),
            np.array([-1e-310, 5e-324, 1e-320]),
            np.array([5e-324, 0.5e-311]),
            np.full(3, 1 / 3),
            np.full(3, -1e-5),
            np.full(10, 2.225073858507203e-309),
            1e6 + np.array([0, 1e-9, 3e-9, 0.5]),
            np.array([-7.25, -7.5, np.nan]),
            np.array([1e285, -1e288 / 3]),
            np.array([0.1, 0.2], np.float16),
        ],
        ids=str,
    )
    def test_ends_of_floats(self, array: np.ndarray, through_zero: bool) -> None:
        check(array.reshape(1, 1, -1), through_zero)

    def test_zero_stays_zero(self) -> None:
        pixels = check(np.array([[[-0.3, 0.0, 1000.7]]]))
        assert values_of(pixels)[0, 0, 1] == 0

    def test_values_far_from_zero_get_an_intercept_and_small_steps(self) -> None:
        assert float(check(np.array([[[310.0, 310.5]]])).slope) < 1e-5
        assert float(check(np.array([[[310.0, 310.5]]]), through_zero=True).slope) > 1e-3

    @given(
        arrays(np.float64, (1, 2, 5), elements=st.floats(-1e280, 1e280)),
        st.booleans(),
        arrays(np.bool_, (1, 2, 5)),
    )
    def test_any_floats(self, array: np.ndarray, through_zero: bool, mask: np.ndarray) -> None:
        check(array, through_zero, mask)

    @given(arrays(np.int64, (1, 2, 5)), st.booleans(), arrays(np.bool_, (1, 2, 5)))
    def test_any_integers(self, array: np.ndarray, through_zero: bool, mask: np.ndarray) -> None:
        check(array, through_zero, mask)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.array([[[0.5, np.inf, -np.inf]]]), "2 values are infinite"),
        (np.array([[[1e300, 0.5]]]), "beyond what a slope can hold"),
        (np.array([[[1j]]]), "complex128"),
    ],
)
def test_what_cannot_be_stored(array: Any, problem: str) -> None:
    with pytest.raises(VolumeError, match=problem):
        stored_pixels(array)
