"""The markers of JPEG streams."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import JPEGBaseline8Bit, JPEGLSLossless

from simple_orthanc.errors import PixelDecodeError
from simple_orthanc.pixels.colour import ybr_to_rgb
from simple_orthanc.pixels.jpeg_streams import JpegHeader, has_colour_planes, without_application_data
from simple_orthanc.pixels.stored import stored_values
from tests.pixels.objects import compressed, image


class TestJpegStreams:
    @pytest.mark.parametrize("name", ["SC_rgb_jpeg_gdcm.dcm", "JPGExtended.dcm"])
    def test_damaged_markers_never_end_the_process(self, name: str) -> None:
        dataset = dcmread(str(get_testdata_file(name)))
        whole = bytes(dataset.PixelData)
        refused = 0
        for position in range(16, whole.index(b"\xff\xda") + 14):
            for value in (0, whole[position] ^ 1, whole[position] ^ 0x80):
                dataset.PixelData = whole[:position] + bytes([value]) + whole[position + 1 :]
                try:
                    assert stored_values(dataset).shape[:2] == (1, dataset.Rows)
                except PixelDecodeError:
                    refused += 1
        assert refused > 50

    @given(
        components=st.sampled_from([(1, 2, 3), (82, 71, 66), (0, 1, 2)]),
        adobe=st.sampled_from([None, 0, 1]),
        jfif=st.booleans(),
        photometric=st.sampled_from(["RGB", "YBR_FULL", "YBR_FULL_422"]),
    )
    def test_colour_of_a_jpeg_stream(self, components: Any, adobe: int | None, jfif: bool, photometric: str) -> None:
        found = JpegHeader(8, 1, 1, components, adobe, jfif).colour(photometric)
        assert found in ("RGB", "YBR_FULL")
        if components == (82, 71, 66) or adobe == 0:
            assert found == "RGB"
        elif adobe == 1 or jfif:
            assert found == "YBR_FULL"
        else:
            assert (found == "RGB") == (photometric == "RGB")


def jpeg(rgb: NDArray[Any], *, keep_rgb: bool = False) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=100, subsampling=0, keep_rgb=keep_rgb)
    return buffer.getvalue()


class TestApplicationData:
    rgb = np.repeat(np.array([[[200, 30, 60]], [[20, 120, 250]]], np.uint8), 8, axis=0).repeat(16, axis=1)

    @pytest.mark.parametrize("is_rgb", [False, True])
    def test_only_what_comes_before_the_first_scan_is_removed(self, is_rgb: bool) -> None:
        stream = jpeg(self.rgb)
        padded = stream[:2] + b"\xff\xfe\x00\x05abc" + b"\xff\xed\x00\x04ab" + stream[2:]
        found = without_application_data(padded, is_rgb=is_rgb)
        assert found == without_application_data(stream, is_rgb=is_rgb)
        assert found[found.index(b"\xff\xda") :] == stream[stream.index(b"\xff\xda") :]
        assert (b"JFIF" in found, b"Adobe" in found) == (False, is_rgb)

    @pytest.mark.parametrize("length", [0, 2, 3, 30, 200])
    def test_a_stream_without_a_scan_is_refused(self, length: int) -> None:
        with pytest.raises(ValueError, match=r"scan|marker|cut off"):
            without_application_data(jpeg(self.rgb)[:length])

    @pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422"])
    @pytest.mark.parametrize("identifiers", [b"RGB", b"rgb", None])
    @pytest.mark.parametrize("adobe", [None, 0, 1])
    def test_pixels_have_the_colour_space_that_the_markers_state(
        self, photometric: str, identifiers: bytes | None, adobe: int | None
    ) -> None:
        stream = without_application_data(jpeg(self.rgb, keep_rgb=True))
        start = stream.index(b"\xff\xc0") + 10
        scan = stream.index(b"\xff\xda") + 5
        for index, identifier in enumerate(identifiers or b"\1\2\3"):
            for position in (start + 3 * index, scan + 2 * index):
                stream = stream[:position] + bytes([identifier]) + stream[position + 1 :]
        if adobe is not None:
            stream = stream[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([adobe]) + stream[2:]
        dataset = compressed(image(self.rgb[np.newaxis]), JPEGBaseline8Bit, [stream])
        dataset.PhotometricInterpretation = photometric
        is_rgb = identifiers is not None or (adobe == 0 if adobe is not None else photometric == "RGB")
        expected = self.rgb if is_rgb else ybr_to_rgb(self.rgb)
        assert np.abs(stored_values(dataset)[0].astype(int) - expected).max() <= 4


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_the_interleaving_of_jpeg_ls(mode: int) -> None:
    from jpeg_ls.CharLS import encode_array

    array = np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3)
    source = np.moveaxis(array, -1, 0) if mode == 0 else array
    stream = bytes(encode_array(np.ascontiguousarray(source), interleave_mode=mode))
    assert has_colour_planes(stream) == (mode == 0)
    found = stored_values(compressed(image(array[np.newaxis]), JPEGLSLossless, [stream]))
    np.testing.assert_array_equal(found[0], array)
