"""Colour samples and palettes to RGB, once."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

from simple_orthanc.errors import PixelDecodeError
from simple_orthanc.pixels import colour
from simple_orthanc.pixels.conversion import result_dtype
from simple_orthanc.pixels.rescale import Rescale, read_rescale
from simple_orthanc.pixels.stored import stored_values
from simple_orthanc.volume.planes import read_planes
from tests.pixels.objects import compressed, image


class TestColour:
    array = np.arange(2 * 2 * 4 * 3, dtype=np.uint8).reshape(2, 2, 4, 3)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_planes_are_interleaved(self, dtype: type[Any]) -> None:
        array = self.array.astype(dtype)
        planes = np.moveaxis(array, -1, 1)
        dataset = image(array, PlanarConfiguration=1, PixelData=planes.tobytes())
        np.testing.assert_array_equal(stored_values(dataset), array)

    def test_ybr_is_converted_once(self) -> None:
        ybr = np.array([[[[76, 85, 255], [150, 44, 21], [29, 255, 107], [255, 128, 128]]]], dtype=np.uint8)
        expected = [[[[254, 0, 0], [0, 255, 1], [0, 0, 254], [255, 255, 255]]]]
        assert stored_values(image(ybr, PhotometricInterpretation="YBR_FULL")).tolist() == expected

    def test_shared_colour_of_neighbours(self) -> None:
        ybr = np.array([[[[76, 85, 255], [29, 85, 255]]]], dtype=np.uint8)
        short = image(ybr, PhotometricInterpretation="YBR_FULL_422", PixelData=bytes([76, 29, 85, 255]))
        np.testing.assert_array_equal(
            stored_values(short), stored_values(image(ybr, PhotometricInterpretation="YBR_FULL"))
        )
        with pytest.raises(PixelDecodeError, match="YBR_FULL_422"):
            stored_values(image(ybr, PhotometricInterpretation="YBR_FULL_422"))

    def test_ybr_of_sixteen_bits(self) -> None:
        grey = np.full((1, 1, 2, 3), 32768, np.uint16)
        np.testing.assert_array_equal(stored_values(image(grey, PhotometricInterpretation="YBR_FULL")), grey)

    @pytest.mark.parametrize("transform", [0, 1])
    @pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
    def test_the_adobe_marker_decides_whether_to_convert(self, transform: int, photometric: str) -> None:
        from PIL import Image

        rgb = np.zeros((16, 16, 3), np.uint8)
        rgb[:8] = (200, 30, 60)
        rgb[8:] = (20, 120, 250)
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, "JPEG", quality=100, subsampling=0, keep_rgb=transform == 0)
        stream = buffer.getvalue()
        adobe = b"\xff\xee\x00\x0eAdobe\x00\x65\x00\x00\x00\x00" + bytes([transform])
        while stream[2:4] in (b"\xff\xe0", b"\xff\xee"):
            stream = stream[:2] + stream[4 + int.from_bytes(stream[4:6], "big") :]
        stream = stream[:2] + adobe + stream[2:]
        dataset = compressed(image(rgb[np.newaxis]), JPEGBaseline8Bit, [stream], PhotometricInterpretation=photometric)
        found = stored_values(dataset)[0].astype(int)
        assert np.abs(found - rgb).max() <= 3

    def test_jpeg_2000_transformation_is_undone_by_the_decoder_only(self) -> None:
        from openjpeg.utils import encode_array

        array = np.random.default_rng(3).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
        stream = bytes(encode_array(array[0], photometric_interpretation=1, use_mct=True))
        dataset = compressed(image(array), JPEG2000Lossless, [stream], PhotometricInterpretation="YBR_RCT")
        np.testing.assert_array_equal(stored_values(dataset), array)


class TestPalette:
    @staticmethod
    def with_palette(
        array: NDArray[Any], table: NDArray[Any], first: int = 0, bits: int = 0, **changes: Any
    ) -> Dataset:
        dataset = image(array, PhotometricInterpretation="PALETTE COLOR", **changes)
        for index, name in enumerate(("Red", "Green", "Blue")):
            entries = len(table) if len(table) < 1 << 16 else 0
            dataset.add_new(
                f"{name}PaletteColorLookupTableDescriptor",
                "SS" if first < 0 else "US",
                [entries, first, bits or 8 * table.itemsize],
            )
            content = table[:, index].tobytes()
            dataset.add_new(f"{name}PaletteColorLookupTableData", "OW", content + b"\0" * (len(content) % 2))
        return dataset

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("stored", [np.uint8, np.uint16])
    def test_entries_and_clipping(self, dtype: type[Any], stored: type[Any]) -> None:
        table = np.arange(9, dtype=dtype).reshape(3, 3) * 20
        dataset = self.with_palette(np.array([[[9, 10, 12, 200]]], dtype=stored), table, first=10)
        found = stored_values(dataset)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, table[[[[0, 0, 2, 2]]]])
        assert result_dtype([dataset], [Rescale()]) == found.dtype

    def test_wide_pixels_with_narrow_entries_do_not_wrap(self) -> None:
        table = np.repeat(np.arange(1000, dtype=np.uint16)[:, np.newaxis] // 4, 3, axis=1).astype(np.uint8)
        dataset = self.with_palette(np.array([[[0, 300, 999, 5000]]], dtype=np.uint16), table)
        assert stored_values(dataset)[0, 0, :, 0].tolist() == [0, 75, 249, 249]

    def test_negative_first_value(self) -> None:
        table = np.arange(12, dtype=np.uint8).reshape(4, 3)
        dataset = self.with_palette(np.array([[[-9, -2, 0, 1]]], dtype=np.int16), table, first=-2)
        np.testing.assert_array_equal(stored_values(dataset), table[[[[0, 0, 2, 3]]]])

    @pytest.mark.parametrize("bits", [8, 16])
    def test_segments(self, bits: int) -> None:
        width = bits // 8
        # Two entries; six more on a line to 60; again both of these segments, from the beginning of the table.
        words = [0, 2, 0, 10, 1, 5, 60, 2, 2, *([0] * (32 // bits))]
        expected = [0, 10, 20, 30, 40, 50, 60, 0, 10, 20, 30, 40, 50, 60]
        dataset = image(np.arange(14, dtype=np.uint8).reshape(1, 2, 7), PhotometricInterpretation="PALETTE COLOR")
        content = struct.pack(f"<{len(words)}{'B' if width == 1 else 'H'}", *words)
        for name in ("Red", "Green", "Blue"):
            dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [14, 0, bits])
            dataset.add_new(f"Segmented{name}PaletteColorLookupTableData", "OW", content + b"\0" * (len(content) % 2))
        found = stored_values(dataset)
        assert found.dtype == np.dtype(f"u{width}")
        assert found[0, :, :, 1].ravel().tolist() == expected
        np.testing.assert_array_equal(found[..., 0], found[..., 2])

    def test_segment_offset_counts_bytes(self) -> None:
        # The second segment, at byte 8 of words of two bytes, is copied.
        words = [0, 2, 7, 8, 0, 2, 30, 40, 2, 1, 8, 0]
        assert colour._expand(words, 16, entries=100) == [7, 8, 30, 40, 30, 40]

    @pytest.mark.parametrize(
        "changes",
        [
            {"SegmentationType": "LABELMAP"},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.20"},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.5"},
        ],
    )
    @pytest.mark.parametrize("units", ["modality", "stored"])
    def test_numbers_of_segments_and_counts_are_not_coloured(self, changes: dict[str, Any], units: str) -> None:
        array = np.array([[[0, 1, 2]]], np.uint8)
        dataset = self.with_palette(array, np.arange(9, dtype=np.uint16).reshape(3, 3), **changes)
        np.testing.assert_array_equal(stored_values(dataset), array)
        assert result_dtype([dataset], [read_rescale(dataset, units=units)], units).itemsize <= 2
        assert [plane.samples for plane in read_planes([dataset])] == [1]

    def test_a_nuclear_medicine_picture_keeps_its_colours(self) -> None:
        table = np.arange(9, dtype=np.uint8).reshape(3, 3)
        dataset = self.with_palette(np.array([[[0, 1, 2]]], np.uint8), table, Modality="NM")
        np.testing.assert_array_equal(stored_values(dataset)[0, 0], table)

    @pytest.mark.parametrize(
        ("vr", "content", "problem"),
        [
            ("OW", None, "0028,1202.*is empty"),
            ("OW", b"", "0028,1202.*is empty"),
            ("US", [], "0028,1202.*is empty"),
            ("US", 7, "0028,1202.*1 entries instead of 3"),
            ("US", [7, 8], "0028,1202.*2 entries instead of 3"),
            ("OW", b"\7", "0028,1202.*1 bytes for 3 entries"),
        ],
    )
    def test_palette_that_is_cut_off(self, vr: str, content: Any, problem: str) -> None:
        dataset = self.with_palette(np.zeros((1, 1, 2), np.uint8), np.zeros((3, 3), np.uint16))
        dataset.add_new("GreenPaletteColorLookupTableData", vr, content)
        with pytest.raises(PixelDecodeError, match=problem):
            stored_values(dataset)
        assert result_dtype([dataset], [Rescale()]) == np.uint8

    def test_segments_that_are_cut_off(self) -> None:
        dataset = image(np.zeros((1, 1, 2), np.uint8), PhotometricInterpretation="PALETTE COLOR")
        for name in ("Red", "Green", "Blue"):
            dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [14, 0, 8])
            dataset.add_new(f"Segmented{name}PaletteColorLookupTableData", "OW", bytes([0, 2, 7, 8, 1, 5]))
        with pytest.raises(PixelDecodeError, match=r"0028,1221.*is cut off"):
            stored_values(dataset)
        assert result_dtype([dataset], [Rescale()]) == np.uint8

    def test_missing_palette(self) -> None:
        with pytest.raises(PixelDecodeError, match="0028,1101"):
            stored_values(image(np.zeros((1, 1, 2), np.uint8), PhotometricInterpretation="PALETTE COLOR"))
