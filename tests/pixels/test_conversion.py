"""Meaningful values, and the type and size of the array that holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.conversion import apply_rescale, result_dtype, volume_bytes
from simple_orthanc.pixels.rescale import Rescale
from simple_orthanc.pixels.stored import stored_values
from tests.pixels.objects import header, image


class TestResultType:
    @pytest.mark.parametrize(
        ("values", "rescales", "units", "expected"),
        [
            ({"BitsStored": 12}, [Rescale(intercept=-1024.0)], "modality", "int16"),
            ({}, [Rescale()], "modality", "int32"),
            ({}, [Rescale(intercept=-1024.0)], "modality", "int32"),
            ({}, [Rescale(intercept=-32768.0)], "modality", "int16"),
            ({"PixelRepresentation": 1}, [Rescale()], "modality", "int16"),
            ({"PixelRepresentation": 1}, [Rescale(intercept=-1024.0)], "modality", "int32"),
            ({"BitsStored": 12}, [Rescale(slope=16.0)], "modality", "int32"),
            ({"BitsStored": 12}, [Rescale(), Rescale(intercept=-40000.0)], "modality", "int32"),
            ({}, [Rescale(slope=0.5)], "modality", "float32"),
            ({}, [Rescale(), Rescale(slope=0.5)], "modality", "float32"),
            ({}, [Rescale(intercept=0.5)], "modality", "float32"),
            ({"BitsAllocated": 8, "BitsStored": 8}, [Rescale()], "modality", "int16"),
            ({"BitsAllocated": 32, "BitsStored": 32, "PixelRepresentation": 1}, [Rescale()], "modality", "int32"),
            ({"BitsAllocated": 32, "BitsStored": 32}, [Rescale()], "modality", "float64"),
            ({"BitsAllocated": 32, "BitsStored": 32}, [Rescale(slope=1e-6)], "modality", "float64"),
            ({}, [Rescale()], "stored", "uint16"),
            ({"BitsAllocated": 8, "BitsStored": 8, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
             [Rescale()], "modality", "uint8"),
        ],
    )  # fmt: skip
    def test_follows_from_headers(
        self, values: dict[str, Any], rescales: list[Rescale], units: str, expected: str
    ) -> None:
        assert result_dtype([header(**values)], rescales, units).name == expected

    @pytest.mark.parametrize(
        ("values", "problem"),
        [
            ({"BitsAllocated": 24}, r"BitsAllocated \(0028,0100\) .* is 24"),
            ({"BitsAllocated": 12, "BitsStored": 12}, r"BitsAllocated \(0028,0100\) .* is 12"),
            ({"BitsStored": 17}, r"BitsStored \(0028,0101\) .* is 17"),
            ({"BitsStored": 65535}, r"BitsStored \(0028,0101\) .* is 65535"),
        ],
    )
    def test_bits_that_cannot_be(self, values: dict[str, Any], problem: str) -> None:
        with pytest.raises(VolumeError, match=problem):
            result_dtype([header(**values)], [Rescale()])
        with pytest.raises(VolumeError, match=problem):
            volume_bytes(header(Rows=4, Columns=4, **values))

    def test_a_slope_beyond_all_numbers(self) -> None:
        assert result_dtype([header()], [Rescale(slope=1e308)]) == np.float64

    @pytest.mark.parametrize(
        ("slope", "intercept", "expected"),
        [(0.5, -1000.5, "float32"), (0.001, 0.0, "float32"), (0.001, 310.0, "float64"), (-0.001, -310.0, "float64")],
    )
    def test_neighbouring_stored_values_stay_apart_beside_a_large_intercept(
        self, slope: float, intercept: float, expected: str
    ) -> None:
        one = Rescale(slope, intercept)
        dtype = result_dtype([header()], [one])
        assert dtype.name == expected
        values = apply_rescale(np.array([65534, 65535], np.uint16), one, dtype)
        assert float(values[1]) - float(values[0]) == pytest.approx(slope, rel=0.02)

    def test_several_stored_types_promote(self) -> None:
        both = [header(), header(PixelRepresentation=1)]
        assert result_dtype(both, [Rescale()], "stored") == np.int32
        assert result_dtype(both, [Rescale()], "modality") == np.int32

    @given(
        stored=arrays(np.uint16, 20),
        bits=st.integers(1, 16),
        signed=st.booleans(),
        slope=st.integers(-20, 20).filter(bool) | st.floats(-9, 9).filter(lambda value: abs(value) > 1e-3),
        intercept=st.integers(-70000, 70000) | st.floats(-2e4, 2e4),
    )
    def test_values_never_wrap(
        self, stored: NDArray[Any], bits: int, signed: bool, slope: float, intercept: float
    ) -> None:
        dataset = image(stored.reshape(1, 4, 5), BitsStored=bits, PixelRepresentation=int(signed))
        frame = stored_values(dataset)[0]
        one = Rescale(float(slope), float(intercept))
        dtype = result_dtype([dataset], [one])
        exact = frame.astype(np.float64) * float(slope) + float(intercept)
        np.testing.assert_array_equal(apply_rescale(frame, one, dtype), exact.astype(dtype))
        if one.is_integer:
            assert dtype.kind == "i"

    def test_identity_does_not_copy(self) -> None:
        frame = np.zeros((4, 4), np.int16)
        assert apply_rescale(frame, Rescale(), np.int16) is frame

    def test_input_is_not_changed(self) -> None:
        frame = np.ones((2, 2), np.int16)
        apply_rescale(frame, Rescale(intercept=5.0), np.int16)
        assert frame.tolist() == [[1, 1], [1, 1]]

    @pytest.mark.parametrize(("units", "size"), [("modality", 4), ("stored", 2), ("SUVbw", 4)])
    def test_memory(self, units: str, size: int) -> None:
        dataset = header(Rows=4, Columns=8, NumberOfFrames=3, RescaleSlope="0.5", RescaleIntercept="0")
        assert volume_bytes(dataset, units) == 96 * size
        assert volume_bytes(Dataset(), units) == 0
