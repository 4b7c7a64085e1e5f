"""Pixels that hold no measured value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simple_orthanc.pixels.conversion import result_dtype
from simple_orthanc.pixels.padding import background_value, padding_mask
from simple_orthanc.pixels.rescale import read_rescale
from simple_orthanc.pixels.stored import stored_values
from tests.pixels.objects import header, image, item


class TestLabelMap:
    def test_numbers_of_segments_are_taken_as_they_are(self) -> None:
        dataset = image(np.array([[[0, 9]]], np.uint16), SegmentationType="LABELMAP", PixelPaddingValue=9)
        scale = read_rescale(dataset)
        assert (scale.is_identity, scale.unit) == (True, "label")
        assert result_dtype([dataset], [scale]) == np.uint16
        assert padding_mask(dataset, stored_values(dataset)[0]) is None
        assert background_value(dataset) == 9

    def test_the_background_of_other_segmentations_is_zero(self) -> None:
        assert background_value(image(np.ones((1, 1, 2), np.uint8), PixelPaddingValue=9)) == 0


class TestPadding:
    frame = np.array([[-2000, -1500, -1024, 7]], dtype=np.int16)

    def mask(self, frame: NDArray[Any], **values: Any) -> list[bool] | None:
        found = padding_mask(header(PixelRepresentation=int(frame.dtype.kind == "i"), **values), frame)
        return None if found is None else found[0].tolist()

    def test_absent(self) -> None:
        assert self.mask(self.frame) is None

    def test_single_value(self) -> None:
        assert self.mask(self.frame, PixelPaddingValue=-2000) == [True, False, False, False]

    @pytest.mark.parametrize("ends", [(-2000, -1500), (-1500, -2000)])
    def test_range_either_way_round(self, ends: tuple[int, int]) -> None:
        found = self.mask(self.frame, PixelPaddingValue=ends[0], PixelPaddingRangeLimit=ends[1])
        assert found == [True, True, False, False]

    def test_wrong_representation(self) -> None:
        dataset = header(PixelRepresentation=1)
        dataset.add_new("PixelPaddingValue", "US", 63536)
        found = padding_mask(dataset, self.frame)
        assert found is not None
        assert found[0].tolist() == [True, False, False, False]
        unsigned = np.array([[63536, 5]], np.uint16)
        dataset = header()
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        found = padding_mask(dataset, unsigned)
        assert found is not None
        assert found[0].tolist() == [True, False]

    def test_bits_beyond_those_stored(self) -> None:
        frame = np.array([[-2000, 5]], np.int16)
        assert self.mask(frame, BitsStored=12, PixelPaddingValue=2096) == [True, False]

    def test_floats(self) -> None:
        dataset = header(FloatPixelPaddingValue=0.1)
        found = padding_mask(dataset, np.array([[0.1, 0.2]], np.float32))
        assert found is not None
        assert found.tolist() == [[True, False]]

    @pytest.mark.parametrize(
        ("value", "limit", "expected"),
        [
            (np.nan, None, [True, False, False, False]),
            (-np.inf, None, [False, True, False, False]),
            (-np.inf, 0.5, [False, True, True, False]),
            (0.5, np.inf, [False, False, True, True]),
        ],
    )
    @pytest.mark.parametrize(("prefix", "name"), [("", "f4"), ("Double", "f8")])
    def test_infinities_and_nan_mark_padding(
        self, prefix: str, name: str, value: float, limit: float | None, expected: list[bool]
    ) -> None:
        dataset = item(**{f"{prefix}FloatPixelPaddingValue": value})
        if limit is not None:
            setattr(dataset, f"{prefix}FloatPixelPaddingRangeLimit", limit)
        found = padding_mask(dataset, np.array([[np.nan, -np.inf, 0.5, 7]], name))
        assert found is not None
        assert found.tolist() == [expected]

    def test_colour_has_none(self) -> None:
        assert padding_mask(header(PixelPaddingValue=0), np.zeros((2, 2, 3), np.uint8)) is None
