"""The markers of JPEG streams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file

from simple_orthanc.errors import PixelDecodeError
from simple_orthanc.pixels.jpeg_streams import JpegHeader
from simple_orthanc.pixels.stored import stored_values


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
