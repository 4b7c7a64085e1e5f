"""What a header says about the type and the range of stored samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.sample_format import is_colour, is_float, is_label_map, stored_dtype, stored_range
from tests.pixels.objects import header


def without(*keywords: str, **values: Any) -> Dataset:
    dataset = header(**values)
    for keyword in keywords:
        delattr(dataset, keyword)
    return dataset


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"BitsAllocated": 1, "BitsStored": 1}, "uint8"),
        ({"BitsAllocated": 8, "BitsStored": 8, "PixelRepresentation": 1}, "int8"),
        ({"BitsStored": 12}, "uint16"),
        ({"PixelRepresentation": 1}, "int16"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "uint32"),
        ({"FloatPixelData": b"", "BitsAllocated": 32}, "float32"),
        ({"DoubleFloatPixelData": b"", "BitsAllocated": 64}, "float64"),
    ],
)
def test_the_type(values: dict[str, Any], expected: str) -> None:
    assert stored_dtype(header(**values)).name == expected


@pytest.mark.parametrize(
    ("bits", "signed", "expected"),
    [(12, 0, (0, 4095)), (12, 1, (-2048, 2047)), (1, 0, (0, 1)), (16, 1, (-32768, 32767))],
)
def test_the_range(bits: int, signed: int, expected: tuple[int, int]) -> None:
    assert stored_range(header(BitsStored=bits, PixelRepresentation=signed)) == expected


@pytest.mark.parametrize("read", [stored_dtype, stored_range])
def test_bits_that_no_image_has_are_refused(read: Any) -> None:
    with pytest.raises(VolumeError, match=r"BitsAllocated \(0028,0100\).*is 24.*get_headers"):
        read(header(BitsAllocated=24))


@pytest.mark.parametrize("missing", ["BitsStored", "PixelRepresentation"])
def test_floats_without_their_pixels_are_known_by_what_they_lack(missing: str) -> None:
    assert is_float(without(missing, BitsAllocated=32))
    assert not is_float(without(missing, BitsAllocated=16))
    assert not is_float(without(missing, BitsAllocated=32, PixelData=b""))


@pytest.mark.parametrize(("samples", "photometric"), [(3, "RGB"), (3, "YBR_FULL_422"), (1, "PALETTE COLOR")])
def test_colours(samples: int, photometric: str) -> None:
    dataset = header(SamplesPerPixel=samples, PhotometricInterpretation=photometric)
    assert is_colour(dataset)
    assert not is_colour(header())
    assert stored_dtype(header(PhotometricInterpretation="PALETTE COLOR")) == np.uint8


def test_label_maps() -> None:
    assert is_label_map(header(SegmentationType="LABELMAP"))
    assert not is_label_map(header(SegmentationType="BINARY"))
