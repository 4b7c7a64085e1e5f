"""What a JPEG 2000 codestream says of its samples."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from pydicom.uid import HTJ2K, JPEG2000, UID, JPEG2000Lossless

from simple_orthanc.errors import PixelDecodeError
from simple_orthanc.pixels.jpeg2000_streams import Jpeg2000Header, jpeg2000_header
from simple_orthanc.pixels.stored import stored_values
from tests.pixels.objects import compressed, image

RGB = np.random.default_rng(4).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
# Where the three bytes of the first component are: its bits, and its sampling across and down.
COMPONENTS = 42


def stream_of(array: NDArray[Any]) -> bytes:
    return bytes(
        encode_array(np.ascontiguousarray(array), photometric_interpretation=1 if array.ndim == 3 else 2, use_mct=False)
    )


def with_byte(stream: bytes, position: int, value: int) -> bytes:
    return stream[:position] + bytes([value]) + stream[position + 1 :]


@pytest.mark.parametrize(
    ("dtype", "bits", "expected"),
    [
        ("u1", 8, Jpeg2000Header(64, 48, 1, 8, False, 0)),
        ("i2", 12, Jpeg2000Header(64, 48, 1, 12, True, 0)),
        ("u2", 16, Jpeg2000Header(64, 48, 1, 16, False, 0)),
    ],
)
def test_what_the_main_header_says(dtype: str, bits: int, expected: Jpeg2000Header) -> None:
    assert jpeg2000_header(bytes(encode_array(np.zeros((64, 48), dtype), bits_stored=bits))) == expected


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEG2000, HTJ2K])
@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (1, 2, "subsampled"),
        (5, 2, "subsampled"),
        (8, 2, "subsampled"),
        (4, 0, "subsampled"),
        (3, 11, r"differ in their bits: 8 unsigned, 12 unsigned, 8 unsigned"),
        (6, 0x87, r"8 unsigned, 8 unsigned, 8 signed"),
    ],
)
def test_components_that_differ_are_refused(syntax: UID, offset: int, value: int, problem: str) -> None:
    stream = with_byte(stream_of(RGB[0]), COMPONENTS + offset, value)
    with pytest.raises(PixelDecodeError, match=problem):
        stored_values(compressed(image(RGB), syntax, [stream]))


def test_a_single_component_that_is_subsampled_is_refused() -> None:
    stream = with_byte(stream_of(RGB[0, ..., 0]), COMPONENTS + 1, 2)
    with pytest.raises(PixelDecodeError, match="subsampled"):
        stored_values(compressed(image(RGB[..., 0]), JPEG2000Lossless, [stream]))


@given(st.integers(0, 45))
def test_a_header_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"main header|malformed"):
        jpeg2000_header(stream_of(RGB[0, ..., 0])[: min(length, COMPONENTS + 2)])


@pytest.mark.parametrize("colour_space", [16, 17, 18])
def test_a_file_format_around_the_codestream_changes_no_value(colour_space: int) -> None:
    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    header = box(b"ihdr", struct.pack(">IIHBBBB", 64, 64, 3, 7, 7, 0, 0))
    header += box(b"colr", struct.pack(">BBBI", 1, 0, 0, colour_space))
    content = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + box(b"jp2h", header)
    content += box(b"jp2c", stream_of(RGB[0]))
    np.testing.assert_array_equal(stored_values(compressed(image(RGB), JPEG2000Lossless, [content])), RGB)
