"""Stored pixel values and their rescaling, against pydicom, against uncompressed twins, and by hand."""

from __future__ import annotations

import io
import struct
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file, get_testdata_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels import apply_color_lut, apply_modality_lut
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from simple_orthanc.errors import NoPixelDataError, PixelDecodeError, VolumeError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.pixels import colour, jpeg_streams
from simple_orthanc.pixels import stored as pixels
from simple_orthanc.pixels.stored import Rescale
from simple_orthanc.volume import planes as planes_module

SHIPPED = [path for path in sorted(set(get_testdata_files())) if Path(path).is_file()]


def image(array: NDArray[Any], syntax: UID = ExplicitVRLittleEndian, **changes: Any) -> Dataset:
    """Make an object of frames, (frames, rows, columns) or (frames, rows, columns, 3), in native encoding."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = array.shape[:3]
    dataset.SamplesPerPixel = 1 if array.ndim == 3 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if array.ndim == 3 else "RGB"
    dataset.BitsAllocated = dataset.BitsStored = 8 * array.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    dataset.PlanarConfiguration = 0
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    content = array.astype(array.dtype.newbyteorder(order)).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if array.dtype.itemsize == 1 else "OW"
    for name, value in changes.items():
        setattr(dataset, name, value)
    if "BitsStored" in changes and "HighBit" not in changes:
        dataset.HighBit = dataset.BitsStored - 1
    return dataset


def compressed(dataset: Dataset, syntax: UID, frames: list[bytes], **changes: Any) -> Dataset:
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    for name, value in changes.items():
        setattr(dataset, name, value)
    return dataset


def shipped(name: str) -> NDArray[Any]:
    return pixels.stored(dcmread(str(get_testdata_file(name))))


def quietly_with_pydicom(path: str) -> tuple[Dataset | None, NDArray[Any] | None]:
    """Read a file and its pixels as pydicom does; pydicom's warnings are not what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = dcmread(path, force=True)
        except Exception:
            return None, None
        try:
            array = dataset.pixel_array
            if dataset.PhotometricInterpretation == "PALETTE COLOR":
                array = apply_color_lut(array, dataset)
        except Exception:
            return dataset, None
        several = int(dataset.get("NumberOfFrames", 1) or 1) > 1
        return dataset, array if several else array[np.newaxis]


class TestShippedFiles:
    @pytest.mark.parametrize("path", SHIPPED, ids=[Path(path).name for path in SHIPPED])
    def test_equal_to_pydicom_or_one_of_our_errors(self, path: str) -> None:
        reference, expected = quietly_with_pydicom(path)
        if reference is None:
            pytest.skip("not DICOM")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path, force=True)
        has_pixels = "PixelData" in dataset
        try:
            array = pixels.stored(dataset)
        except NoPixelDataError:
            assert not has_pixels
            return
        except PixelDecodeError:
            assert expected is None
            return
        if expected is None:
            assert dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit, "more is read than pydicom can"
            return
        assert array.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(array, expected)
        self.check_modality(dataset, reference, array)

    @staticmethod
    def check_modality(dataset: Dataset, reference: Dataset, array: NDArray[Any]) -> None:
        rescales = [pixels.rescale(dataset, frame) for frame in range(len(array))]
        dtype = pixels.result_dtype([dataset], rescales)
        values = np.stack([pixels.apply(frame, one, dtype) for frame, one in zip(array, rescales, strict=True)])
        expected = apply_modality_lut(array, reference)
        if "DoseGridScaling" in reference:
            expected = array * float(reference.DoseGridScaling)
        np.testing.assert_allclose(values, expected, rtol=1e-6)

    @pytest.mark.parametrize(
        ("name", "twin"),
        [
            ("MR_small_RLE.dcm", "MR_small.dcm"),
            ("MR_small_bigendian.dcm", "MR_small.dcm"),
            ("MR_small_expb.dcm", "MR_small.dcm"),
            ("MR_small_implicit.dcm", "MR_small.dcm"),
            ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
            ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
            ("MR_small_padded.dcm", "MR_small.dcm"),
            ("rtdose_rle.dcm", "rtdose.dcm"),
            ("rtdose_expb.dcm", "rtdose.dcm"),
            ("liver_expb_1frame.dcm", "liver_1frame.dcm"),
            ("SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd.dcm"),
            ("SC_rgb_rle.dcm", "SC_rgb_jpeg_gdcm.dcm"),
        ],
    )
    def test_lossless_equals_its_uncompressed_twin(self, name: str, twin: str) -> None:
        np.testing.assert_array_equal(shipped(name), shipped(twin))

    def test_jpeg_extended_of_twelve_bits(self) -> None:
        array = shipped("JPGExtended.dcm")
        assert (array.shape, array.dtype.name, int(array.max())) == ((1, 1024, 256), "uint16", 264)

    def test_every_file_in_eight_threads(self) -> None:
        names = [
            "MR_small_jp2klossless.dcm",
            "MR_small_jpeg_ls_lossless.dcm",
            "MR_small_RLE.dcm",
            "SC_rgb_jpeg_gdcm.dcm",
        ]
        expected = [shipped(name) for name in names]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(shipped, names * 6))
        for index, array in enumerate(found):
            np.testing.assert_array_equal(array, expected[index % 4])


class TestNative:
    def test_sixteen_bits_are_not_copied(self) -> None:
        dataset = image(np.arange(12, dtype=np.int16).reshape(1, 3, 4))
        assert np.shares_memory(pixels.stored(dataset), np.frombuffer(dataset.PixelData, np.uint8))

    @pytest.mark.parametrize(
        ("name", "signed", "high", "expected"),
        [
            (0x0FFB, 1, 11, -5),
            (0x8000 + 100, 0, 11, 100),
            (0xF000 + 0x0FFB, 1, 11, -5),
            (0x0640, 0, 15, 100),
            (0xFFB0, 1, 15, -5),
            (100, 0, 0, 100),
        ],
    )
    def test_twelve_bits_in_sixteen(self, name: int, signed: int, high: int, expected: int) -> None:
        dataset = image(np.full((1, 1, 2), name, np.uint16), BitsStored=12, HighBit=high, PixelRepresentation=signed)
        assert pixels.stored(dataset).tolist() == [[[expected, expected]]]

    @given(
        names=arrays(np.uint16, (1, 2, 3)),
        bits=st.integers(1, 16),
        shift=st.integers(0, 15),
        signed=st.integers(0, 1),
    )
    def test_bits_of_any_width_and_place(self, names: NDArray[Any], bits: int, shift: int, signed: int) -> None:
        high = min(bits - 1 + shift, 15)
        found = pixels.stored(image(names, BitsStored=bits, HighBit=high, PixelRepresentation=signed))
        for name, value in zip(names.ravel().tolist(), found.ravel().tolist(), strict=True):
            expected = name >> (high + 1 - bits) & ((1 << bits) - 1)
            if signed and expected >> (bits - 1):
                expected -= 1 << bits
            assert value == expected

    @pytest.mark.parametrize("name", ["u1", "i1", "u2", "i2", "u4", "i4"])
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
    def test_every_type(self, name: str, syntax: UID) -> None:
        limits = np.iinfo(name)
        array = np.array([[[limits.min, limits.max, 5], [1, 2, 3]]], dtype=name)
        found = pixels.stored(image(array, syntax))
        assert found.dtype == np.dtype(name)
        np.testing.assert_array_equal(found, array)

    def test_bytes_in_big_endian_words(self) -> None:
        array = np.array([[[1, 2, 3]], [[4, 5, 6]]], dtype=np.uint8)
        dataset = image(array, ExplicitVRBigEndian, PixelData=b"\x02\x01\x04\x03\x06\x05")
        dataset["PixelData"].VR = "OW"
        np.testing.assert_array_equal(pixels.stored(dataset), array)

    @given(arrays(np.uint8, (3, 3, 5), elements=st.integers(0, 1)))
    def test_single_bits(self, array: NDArray[Any]) -> None:
        packed = np.packbits(array.ravel(), bitorder="little").tobytes()
        dataset = image(array, PixelData=packed, BitsAllocated=1, BitsStored=1, HighBit=0)
        found = pixels.stored(dataset)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, array)

    @given(arrays(np.uint8, (3, 3, 5), elements=st.integers(0, 1)))
    def test_single_bits_in_big_endian_words(self, array: NDArray[Any]) -> None:
        packed = np.packbits(array.ravel(), bitorder="little")
        for vr, content in (("OW", packed.view(np.uint16).byteswap().tobytes()), ("OB", packed.tobytes())):
            dataset = image(array, ExplicitVRBigEndian, BitsAllocated=1, BitsStored=1, HighBit=0)
            dataset.PixelData = content
            dataset["PixelData"].VR = vr
            np.testing.assert_array_equal(pixels.stored(dataset), array)

    @pytest.mark.parametrize(("keyword", "name"), [("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")])
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
    def test_floats(self, keyword: str, name: str, syntax: UID) -> None:
        array = np.array([[[0.1, -2e30], [3, 4]]], dtype=name)
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        dataset = image(np.zeros((1, 2, 2), np.uint16), syntax, BitsAllocated=8 * array.itemsize)
        for absent in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            delattr(dataset, absent)
        setattr(dataset, keyword, array.astype(order + name).tobytes())
        found = pixels.stored(dataset)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
        assert pixels.result_dtype([dataset], [pixels.rescale(dataset)]) == array.dtype

    def test_inverted_grey_stays_as_it_is(self) -> None:
        assert (
            pixels.stored(image(np.full((1, 1, 2), 100, np.uint16), PhotometricInterpretation="MONOCHROME1"))[0, 0, 0]
            == 100
        )

    def test_too_short_and_too_long(self) -> None:
        array = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
        whole = array.tobytes()
        for content in (whole, whole + b"\0", whole + b"\0" * 40):
            np.testing.assert_array_equal(pixels.stored(image(array, PixelData=content)), array)
        with pytest.raises(PixelDecodeError, match=r"1\.2\.3\.4.*9 bytes.*8"):
            pixels.stored(image(array, PixelData=whole[:8]))

    @pytest.mark.parametrize("array", [np.full((1, 4, 4), 7, np.uint16), np.full((1, 4, 4), 0.5, np.float32)])
    @pytest.mark.parametrize("undefined", [True, False])
    def test_fragments_are_no_native_pixels(self, array: NDArray[Any], undefined: bool) -> None:
        keyword = "PixelData" if array.dtype.kind == "u" else "FloatPixelData"
        dataset = image(array)
        content = encapsulate([dataset.PixelData])
        del dataset.PixelData
        setattr(dataset, keyword, content)
        dataset[keyword].is_undefined_length = undefined
        with pytest.raises(PixelDecodeError, match=f"Explicit VR Little Endian.*{keyword}.*fragments"):
            pixels.stored(dataset)

    def test_fragments_in_a_file_that_denies_them(self) -> None:
        (dataset,) = make_series((1, 8, 8))
        dataset.PixelData = encapsulate([dataset.PixelData])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
        native = f"{ExplicitVRLittleEndian}\0\0\0".encode()
        content = as_bytes(dataset).replace(JPEGLSLossless.encode(), native)
        with pytest.raises(PixelDecodeError, match="fragments"):
            pixels.stored(dcmread(io.BytesIO(content)))

    def test_pixels_that_look_like_an_item(self) -> None:
        array = np.full((1, 3, 3), 7, np.uint8)
        array[0, 0], array[0, 1, 0] = (0xFE, 0xFF, 0), 0xE0
        np.testing.assert_array_equal(pixels.stored(image(array)), array)

    def test_a_view_of_a_buffer_is_as_good_as_bytes(self) -> None:
        array = np.arange(12, dtype=np.int16).reshape(1, 3, 4)
        dataset = image(array)
        dataset["PixelData"]._value = memoryview(dataset.PixelData)
        np.testing.assert_array_equal(pixels.stored(dataset), array)


class TestColour:
    array = np.arange(2 * 2 * 4 * 3, dtype=np.uint8).reshape(2, 2, 4, 3)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_planes_are_interleaved(self, dtype: type[Any]) -> None:
        array = self.array.astype(dtype)
        planes = np.moveaxis(array, -1, 1)
        dataset = image(array, PlanarConfiguration=1, PixelData=planes.tobytes())
        np.testing.assert_array_equal(pixels.stored(dataset), array)

    def test_ybr_is_converted_once(self) -> None:
        ybr = np.array([[[[76, 85, 255], [150, 44, 21], [29, 255, 107], [255, 128, 128]]]], dtype=np.uint8)
        expected = [[[[254, 0, 0], [0, 255, 1], [0, 0, 254], [255, 255, 255]]]]
        assert pixels.stored(image(ybr, PhotometricInterpretation="YBR_FULL")).tolist() == expected

    def test_shared_colour_of_neighbours(self) -> None:
        ybr = np.array([[[[76, 85, 255], [29, 85, 255]]]], dtype=np.uint8)
        short = image(ybr, PhotometricInterpretation="YBR_FULL_422", PixelData=bytes([76, 29, 85, 255]))
        np.testing.assert_array_equal(
            pixels.stored(short), pixels.stored(image(ybr, PhotometricInterpretation="YBR_FULL"))
        )
        with pytest.raises(PixelDecodeError, match="YBR_FULL_422"):
            pixels.stored(image(ybr, PhotometricInterpretation="YBR_FULL_422"))

    def test_ybr_of_sixteen_bits(self) -> None:
        grey = np.full((1, 1, 2, 3), 32768, np.uint16)
        np.testing.assert_array_equal(pixels.stored(image(grey, PhotometricInterpretation="YBR_FULL")), grey)

    @pytest.mark.parametrize("transform", [0, 1])
    @pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
    def test_adobe_marker_says_whether_to_convert(self, transform: int, photometric: str) -> None:
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
        found = pixels.stored(dataset)[0].astype(int)
        assert np.abs(found - rgb).max() <= 3

    def test_jpeg_2000_transformation_is_undone_by_the_decoder_only(self) -> None:
        from openjpeg.utils import encode_array

        array = np.random.default_rng(3).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
        stream = bytes(encode_array(array[0], photometric_interpretation=1, use_mct=True))
        dataset = compressed(image(array), JPEG2000Lossless, [stream], PhotometricInterpretation="YBR_RCT")
        np.testing.assert_array_equal(pixels.stored(dataset), array)


class TestLabelMap:
    def test_numbers_of_segments_are_taken_as_they_are(self) -> None:
        dataset = image(np.array([[[0, 9]]], np.uint16), SegmentationType="LABELMAP", PixelPaddingValue=9)
        scale = pixels.rescale(dataset)
        assert (scale.is_identity, scale.unit) == (True, "label")
        assert pixels.result_dtype([dataset], [scale]) == np.uint16
        assert pixels.padding(dataset, pixels.stored(dataset)[0]) is None
        assert pixels.background(dataset) == 9

    def test_the_background_of_other_segmentations_is_zero(self) -> None:
        assert pixels.background(image(np.ones((1, 1, 2), np.uint8), PixelPaddingValue=9)) == 0


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
        found = pixels.stored(dataset)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, table[[[[0, 0, 2, 2]]]])
        assert pixels.result_dtype([dataset], [Rescale()]) == found.dtype

    def test_wide_pixels_with_narrow_entries_do_not_wrap(self) -> None:
        table = np.repeat(np.arange(1000, dtype=np.uint16)[:, np.newaxis] // 4, 3, axis=1).astype(np.uint8)
        dataset = self.with_palette(np.array([[[0, 300, 999, 5000]]], dtype=np.uint16), table)
        assert pixels.stored(dataset)[0, 0, :, 0].tolist() == [0, 75, 249, 249]

    def test_negative_first_value(self) -> None:
        table = np.arange(12, dtype=np.uint8).reshape(4, 3)
        dataset = self.with_palette(np.array([[[-9, -2, 0, 1]]], dtype=np.int16), table, first=-2)
        np.testing.assert_array_equal(pixels.stored(dataset), table[[[[0, 0, 2, 3]]]])

    @pytest.mark.parametrize("bits", [8, 16])
    def test_segments(self, bits: int) -> None:
        width = bits // 8
        # Two entries; six more on a line to 60; again both of these segments, from the beginning of the table.
        names = [0, 2, 0, 10, 1, 5, 60, 2, 2, *([0] * (32 // bits))]
        expected = [0, 10, 20, 30, 40, 50, 60, 0, 10, 20, 30, 40, 50, 60]
        dataset = image(np.arange(14, dtype=np.uint8).reshape(1, 2, 7), PhotometricInterpretation="PALETTE COLOR")
        content = struct.pack(f"<{len(names)}{'B' if width == 1 else 'H'}", *names)
        for name in ("Red", "Green", "Blue"):
            dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [14, 0, bits])
            dataset.add_new(f"Segmented{name}PaletteColorLookupTableData", "OW", content + b"\0" * (len(content) % 2))
        found = pixels.stored(dataset)
        assert found.dtype == np.dtype(f"u{width}")
        assert found[0, :, :, 1].ravel().tolist() == expected
        np.testing.assert_array_equal(found[..., 0], found[..., 2])

    def test_segment_offset_counts_bytes(self) -> None:
        # The second segment, at byte 8 of names of two bytes, is copied.
        names = [0, 2, 7, 8, 0, 2, 30, 40, 2, 1, 8, 0]
        assert colour._expand(names, 16) == [7, 8, 30, 40, 30, 40]

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
        np.testing.assert_array_equal(pixels.stored(dataset), array)
        assert pixels.result_dtype([dataset], [pixels.rescale(dataset, units=units)], units).itemsize <= 2
        assert [plane.samples for plane in planes_module.read_planes([dataset])] == [1]

    def test_a_nuclear_medicine_picture_keeps_its_colours(self) -> None:
        table = np.arange(9, dtype=np.uint8).reshape(3, 3)
        dataset = self.with_palette(np.array([[[0, 1, 2]]], np.uint8), table, Modality="NM")
        np.testing.assert_array_equal(pixels.stored(dataset)[0, 0], table)

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
            pixels.stored(dataset)
        assert pixels.result_dtype([dataset], [Rescale()]) == np.uint8

    def test_segments_that_are_cut_off(self) -> None:
        dataset = image(np.zeros((1, 1, 2), np.uint8), PhotometricInterpretation="PALETTE COLOR")
        for name in ("Red", "Green", "Blue"):
            dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [14, 0, 8])
            dataset.add_new(f"Segmented{name}PaletteColorLookupTableData", "OW", bytes([0, 2, 7, 8, 1, 5]))
        with pytest.raises(PixelDecodeError, match=r"0028,1221.*is cut off"):
            pixels.stored(dataset)
        assert pixels.result_dtype([dataset], [Rescale()]) == np.uint8

    def test_missing_palette(self) -> None:
        with pytest.raises(PixelDecodeError, match="0028,1101"):
            pixels.stored(image(np.zeros((1, 1, 2), np.uint8), PhotometricInterpretation="PALETTE COLOR"))


class TestCompressed:
    signed = np.linspace(-2048, 2047, 64 * 48).astype(np.int16).reshape(64, 48)

    def test_signed_twelve_bits_as_jpeg_2000(self) -> None:
        from openjpeg.utils import encode_array

        for syntax in (JPEG2000Lossless, JPEG2000):
            stream = bytes(encode_array(self.signed, bits_stored=12))
            dataset = compressed(image(self.signed[np.newaxis], BitsStored=12), syntax, [stream])
            np.testing.assert_array_equal(pixels.stored(dataset)[0], self.signed)

    def test_sign_that_the_codestream_does_not_know(self) -> None:
        from jpeg_ls.CharLS import encode_array as encode_jpeg_ls
        from openjpeg.utils import encode_array

        unsigned = (self.signed & 0xFFF).astype(np.uint16)
        for syntax, stream in (
            (JPEG2000Lossless, bytes(encode_array(unsigned, bits_stored=12))),
            (JPEGLSLossless, bytes(encode_jpeg_ls(unsigned))),
        ):
            dataset = compressed(image(self.signed[np.newaxis], BitsStored=12), syntax, [stream])
            np.testing.assert_array_equal(pixels.stored(dataset)[0], self.signed)

    # What goes beyond twelve bits, with the sign of all sixteen and without.
    names = (np.add.outer(np.arange(64), np.arange(64)) & 0xFFF).astype(np.uint16)
    names[0, :6] = 0x0FFB, 0x8064, 40000, 0xFFFB, 0xF801, 0x1000

    @staticmethod
    def streams(names: NDArray[Any], signed: int = 0) -> list[tuple[UID, UID, bytes]]:
        """The transfer syntaxes without and with loss, and for both a codestream of 16 bits that may know the sign."""
        from jpeg_ls.CharLS import encode_array as encode_jpeg_ls
        from openjpeg.utils import encode_array

        return [
            (JPEG2000Lossless, JPEG2000, bytes(encode_array(names, bits_stored=16))),
            (
                JPEG2000Lossless,
                JPEG2000,
                bytes(encode_array(names.view(np.int16 if signed else np.uint16), bits_stored=16)),
            ),
            (JPEGLSLossless, JPEGLSNearLossless, bytes(encode_jpeg_ls(names))),
        ]

    @pytest.mark.parametrize("high", [11, 15])
    @pytest.mark.parametrize("signed", [0, 1])
    def test_upper_bits_without_loss_are_those_of_native_pixels(self, high: int, signed: int) -> None:
        changes = {"BitsStored": 12, "HighBit": high, "PixelRepresentation": signed}
        twin = pixels.stored(image(self.names[np.newaxis], **changes))
        for syntax, _, stream in self.streams(self.names, signed):
            found = pixels.stored(compressed(image(self.names[np.newaxis], **changes), syntax, [stream]))
            assert found.dtype == twin.dtype
            np.testing.assert_array_equal(found, twin)

    @pytest.mark.parametrize("signed", [0, 1])
    def test_upper_bits_with_loss_are_clipped(self, signed: int) -> None:
        dtype = np.int16 if signed else np.uint16
        values = self.names.view(dtype)
        low, high = (-2048, 2047) if signed else (0, 4095)
        for _, syntax, stream in self.streams(self.names):
            dataset = compressed(image(values[np.newaxis], BitsStored=12), syntax, [stream])
            found = pixels.stored(dataset)
            assert found.dtype == dtype
            np.testing.assert_array_equal(found[0], np.clip(values, low, high))

    def test_jpeg_that_overshoots_is_clipped(self) -> None:
        from PIL import Image

        grey = np.zeros((8, 8), np.uint8)
        grey[:, 4:] = 140
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, "JPEG", quality=95)
        dataset = compressed(image(grey[np.newaxis], BitsStored=7), JPEGBaseline8Bit, [buffer.getvalue()])
        assert np.unique(pixels.stored(dataset)[0, :, 4:]).tolist() == [127]

    def test_more_bits_than_there_is_room_for(self) -> None:
        for syntax, _, stream in self.streams(self.names):
            dataset = compressed(image(self.names.astype(np.uint8)[np.newaxis]), syntax, [stream])
            with pytest.raises(PixelDecodeError, match="16 bits, and BitsAllocated is 8"):
                pixels.stored(dataset)

    @pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
    def test_run_lengths(self, dtype: str) -> None:
        from pydicom.pixels import compress

        array = np.random.default_rng(1).integers(0, 5, (3, 9, 7)).astype(dtype)
        dataset = image(array)
        compress(dataset, RLELossless, encoding_plugin="pydicom")
        np.testing.assert_array_equal(pixels.stored(dataset), array)

    def test_overlay_bits_survive_run_lengths_and_are_stripped(self) -> None:
        from pydicom.pixels import compress

        dataset = image(np.full((1, 4, 4), 0x8064, np.uint16))
        compress(dataset, RLELossless, encoding_plugin="pydicom")
        dataset.BitsStored, dataset.HighBit = 12, 11
        assert pixels.stored(dataset).max() == 100

    def test_frames_by_offsets_and_fragments(self) -> None:
        from openjpeg.utils import encode_array

        frames = np.random.default_rng(2).integers(0, 4000, (3, 64, 64)).astype(np.uint16)
        streams = [bytes(encode_array(frame)) for frame in frames]
        for content in (
            encapsulate(streams, has_bot=True),
            encapsulate(streams, has_bot=False),
            encapsulate(streams, fragments_per_frame=3, has_bot=True),
            encapsulate(streams, fragments_per_frame=3, has_bot=False),
        ):
            dataset = compressed(image(frames), JPEG2000Lossless, streams, PixelData=content)
            np.testing.assert_array_equal(pixels.stored(dataset), frames)
        unfilled = encapsulate(streams, has_bot=True)
        dataset = compressed(
            image(frames), JPEG2000Lossless, streams, PixelData=unfilled[:8] + bytes(12) + unfilled[20:]
        )
        np.testing.assert_array_equal(pixels.stored(dataset), frames)
        content, offsets, lengths = encapsulate_extended(streams)
        dataset = compressed(
            image(frames),
            JPEG2000Lossless,
            streams,
            PixelData=content,
            ExtendedOffsetTable=bytes(len(offsets)),
            ExtendedOffsetTableLengths=lengths,
        )
        np.testing.assert_array_equal(pixels.stored(dataset), frames)
        dataset = compressed(
            image(frames),
            JPEG2000Lossless,
            streams,
            PixelData=content,
            ExtendedOffsetTable=offsets,
            ExtendedOffsetTableLengths=lengths,
        )
        np.testing.assert_array_equal(pixels.stored(dataset), frames)

    @pytest.mark.parametrize(
        "name",
        [
            "MR_small_jp2klossless.dcm",
            "MR_small_jpeg_ls_lossless.dcm",
            "MR_small_RLE.dcm",
            "SC_rgb_jpeg_dcmtk.dcm",
            "SC_rgb_jpeg_gdcm.dcm",
            "JPGExtended.dcm",
        ],
    )
    def test_corrupt_streams(self, name: str) -> None:
        dataset = dcmread(str(get_testdata_file(name)))
        for content in (
            dataset.PixelData[:40],
            b"",
            bytes(len(dataset.PixelData)),
            dataset.PixelData[:16] + b"\x55" * 400,
        ):
            dataset.PixelData = content
            with pytest.raises(PixelDecodeError, match=str(dataset.SOPInstanceUID)):
                pixels.stored(dataset)

    @pytest.mark.parametrize("name", ["SC_rgb_jpeg_gdcm.dcm", "JPGExtended.dcm"])
    def test_damaged_markers_never_end_the_process(self, name: str) -> None:
        dataset = dcmread(str(get_testdata_file(name)))
        whole = bytes(dataset.PixelData)
        refused = 0
        for position in range(16, whole.index(b"\xff\xda") + 14):
            for value in (0, whole[position] ^ 1, whole[position] ^ 0x80):
                dataset.PixelData = whole[:position] + bytes([value]) + whole[position + 1 :]
                try:
                    assert pixels.stored(dataset).shape[:2] == (1, dataset.Rows)
                except PixelDecodeError:
                    refused += 1
        assert refused > 50

    def test_run_beyond_the_end_is_refused(self) -> None:
        literal = bytes([15, *range(16), 0])
        stream = struct.pack("<16I", 2, 64, 64 + len(literal), *[0] * 13) + literal + bytes([0xF9, 1])
        dataset = compressed(image(np.zeros((1, 2, 4), np.uint16)), RLELossless, [stream])
        with pytest.raises(PixelDecodeError, match="run lengths"):
            pixels.stored(dataset)

    def test_size_that_the_header_does_not_have(self) -> None:
        for name in ("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_dcmtk.dcm"):
            dataset = dcmread(str(get_testdata_file(name)))
            dataset.Rows, dataset.Columns = 2 * dataset.Rows, dataset.Columns // 2
            with pytest.raises(PixelDecodeError, match="the stream has"):
                pixels.stored(dataset)

    def test_missing_decoder_names_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "openjpeg.utils", None)
        with pytest.raises(PixelDecodeError, match=r"JPEG 2000.*pip install pylibjpeg-openjpeg"):
            shipped("MR_small_jp2klossless.dcm")

    def test_video_has_no_decoder(self) -> None:
        dataset = compressed(image(np.zeros((1, 2, 2), np.uint8)), MPEG2MPML, [b"\0\0"])
        with pytest.raises(PixelDecodeError, match="MPEG2"):
            pixels.stored(dataset)

    def test_deflated_frames(self) -> None:
        import zlib

        array = np.arange(2 * 16, dtype=np.int16).reshape(2, 4, 4)
        streams = []
        for frame in array:
            packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            stream = packer.compress(frame.tobytes()) + packer.flush()
            streams.append(stream + b"\0" * (len(stream) % 2))
        dataset = compressed(image(array), UID("1.2.840.10008.1.2.8.1"), streams)
        np.testing.assert_array_equal(pixels.stored(dataset), array)

    @given(
        components=st.sampled_from([(1, 2, 3), (82, 71, 66), (0, 1, 2)]),
        adobe=st.sampled_from([None, 0, 1]),
        jfif=st.booleans(),
        photometric=st.sampled_from(["RGB", "YBR_FULL", "YBR_FULL_422"]),
    )
    def test_colour_of_a_jpeg_stream(self, components: Any, adobe: int | None, jfif: bool, photometric: str) -> None:
        found = jpeg_streams.JpegHeader(8, 1, 1, components, adobe, jfif).colour(photometric)
        assert found in ("RGB", "YBR_FULL")
        if components == (82, 71, 66) or adobe == 0:
            assert found == "RGB"
        elif adobe == 1 or jfif:
            assert found == "YBR_FULL"
        else:
            assert (found == "RGB") == (photometric == "RGB")


class TestRefusals:
    def test_no_pixels_says_what_it_is(self) -> None:
        report = Dataset()
        report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.3"
        with pytest.raises(NoPixelDataError, match=r"1\.2\.3.*Enhanced SR Storage"):
            pixels.stored(report)
        with pytest.raises(NoPixelDataError, match="no stated SOP class"):
            pixels.stored(Dataset())

    @pytest.mark.parametrize("missing", ["Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation"])
    def test_incomplete_header(self, missing: str) -> None:
        dataset = image(np.zeros((1, 2, 2), np.uint8))
        delattr(dataset, missing)
        with pytest.raises(PixelDecodeError, match=missing):
            pixels.stored(dataset)

    def test_no_transfer_syntax(self) -> None:
        dataset = image(np.zeros((1, 2, 2), np.uint8))
        del dataset.file_meta.TransferSyntaxUID
        with pytest.raises(PixelDecodeError, match="0002,0010"):
            pixels.stored(dataset)
        del dataset.file_meta
        with pytest.raises(PixelDecodeError, match="0002,0010"):
            pixels.stored(dataset)

    @pytest.mark.parametrize(
        "changes",
        [
            {"BitsAllocated": 12},
            {"BitsStored": 17},
            {"PhotometricInterpretation": "CMYK"},
            {"SamplesPerPixel": 2},
            {"Rows": 0},
        ],
    )
    def test_what_cannot_be(self, changes: dict[str, Any]) -> None:
        with pytest.raises(PixelDecodeError):
            pixels.stored(image(np.zeros((1, 2, 2), np.uint16), **changes))


def header(**values: Any) -> Dataset:
    dataset = Dataset()
    for name, value in {
        "SamplesPerPixel": 1, "BitsAllocated": 16, "BitsStored": 16, "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2", **values,
    }.items():  # fmt: skip
        setattr(dataset, name, value)
    return dataset


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


class TestRescale:
    def test_stored_is_the_identity(self) -> None:
        found = pixels.rescale(header(RescaleSlope=2, RescaleIntercept=1), 0, "stored")
        assert found.is_identity
        assert found.unit == "stored"

    @pytest.mark.parametrize(
        ("values", "slope", "intercept", "unit"),
        [
            ({"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-1024"}, 1, -1024, "HU"),
            ({"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-1024", "RescaleType": "HU"}, 1, -1024, "HU"),
            ({"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "0", "RescaleType": "MGML"}, 1, 0, "MGML"),
            ({"Modality": "CT"}, 1, 0, "stored"),
            ({"Modality": "MR"}, 1, 0, "stored"),
            ({"Modality": "MR", "RescaleSlope": "2.5", "RescaleIntercept": "1"}, 2.5, 1, "US"),
            ({"Modality": "PT", "RescaleSlope": "0.5", "RescaleIntercept": "0", "Units": "BQML", "RescaleType": "SUV"},
             0.5, 0, "BQML"),
            ({"Modality": "PT", "Units": "GML"}, 1, 0, "GML"),
            ({"Modality": "RTDOSE", "DoseGridScaling": "1e-6", "DoseUnits": "GY"}, 1e-6, 0, "GY"),
            ({"Modality": "CR", "RescaleIntercept": "-5"}, 1, -5, "US"),
            ({"Modality": "SEG", "SegmentationType": "FRACTIONAL", "SegmentationFractionalType": "PROBABILITY",
              "MaximumFractionalValue": 250}, 0.004, 0, "PROBABILITY"),
        ],
    )  # fmt: skip
    def test_linear(self, values: dict[str, Any], slope: float, intercept: float, unit: str) -> None:
        found = pixels.rescale(header(**values))
        assert (found.slope, found.intercept, found.unit, found.lut) == (slope, intercept, unit, None)

    def test_functional_groups(self) -> None:
        def group(intercept: str) -> Dataset:
            transformation = item(RescaleSlope="2", RescaleIntercept=intercept, RescaleType="HU")
            return item(PixelValueTransformationSequence=[transformation])

        shared = header(SharedFunctionalGroupsSequence=[group("-7")], PerFrameFunctionalGroupsSequence=[item(), item()])
        assert pixels.rescale(shared, 1).intercept == -7
        shared.PerFrameFunctionalGroupsSequence[1] = group("-9")
        assert [pixels.rescale(shared, frame).intercept for frame in (0, 1)] == [-7, -9]
        assert pixels.rescale(shared, 1).unit == "HU"

    def test_malformed_numbers_do_not_warn(self) -> None:
        dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
        raw = dataset.get_item("RescaleSlope")
        dataset._dict[raw.tag] = raw._replace(value=b"1.00000000000000000001 ", length=23)
        assert pixels.rescale(dataset).slope == 1
        dataset._dict[raw.tag] = raw._replace(value=b"one ", length=4)
        with pytest.raises(VolumeError, match="0028,1053"):
            pixels.rescale(dataset)

    def test_slope_of_zero(self) -> None:
        with pytest.raises(VolumeError, match="0028,1053"):
            pixels.rescale(header(RescaleSlope="0", RescaleIntercept="0"))

    def test_unknown_units(self) -> None:
        with pytest.raises(VolumeError, match="'real world'"):
            pixels.rescale(header(), 0, "HU")

    def test_table(self) -> None:
        table = item(LUTDescriptor=[2, 0, 16], LUTData=[500, 600], ModalityLUTType="OD")
        dataset = header(ModalityLUTSequence=[table])
        found = pixels.rescale(dataset)
        assert found.unit == "OD"
        dtype = pixels.result_dtype([dataset], [found])
        assert dtype == np.int16
        assert pixels.apply(np.array([0, 1, 2, 65535], np.uint16), found, dtype).tolist() == [500, 600, 600, 600]

    def test_table_with_signed_first_value(self) -> None:
        table = item(ModalityLUTType="US")
        table.add_new("LUTDescriptor", "US", [3, 65534, 16])
        table.add_new("LUTData", "OW", struct.pack("<3H", 1, 2, 40000))
        dataset = header(ModalityLUTSequence=[table], PixelRepresentation=1)
        found = pixels.rescale(dataset)
        dtype = pixels.result_dtype([dataset], [found])
        assert dtype == np.int32
        assert pixels.apply(np.array([-9, -2, -1, 0, 9], np.int16), found, dtype).tolist() == [1, 1, 2, 40000, 40000]

    def test_short_table(self) -> None:
        table = item(LUTDescriptor=[3, 0, 16], LUTData=[500, 600], ModalityLUTType="OD")
        with pytest.raises(VolumeError, match="2 entries instead of 3"):
            pixels.rescale(header(ModalityLUTSequence=[table]))

    @pytest.mark.parametrize(
        ("vr", "content", "problem"),
        [
            ("OW", None, "0 entries instead of 3"),
            ("OW", b"", "0 entries instead of 3"),
            ("US", None, "0 entries instead of 3"),
            ("US", 7, "1 entries instead of 3"),
            ("OW", b"\7\0\7\0\7", "2 entries instead of 3"),
            ("LO", "none", "cannot be read"),
        ],
    )
    def test_table_without_entries(self, vr: str, content: Any, problem: str) -> None:
        table = item(LUTDescriptor=[3, 0, 16], ModalityLUTType="OD")
        table.add_new("LUTData", vr, content)
        with pytest.raises(VolumeError, match=problem):
            pixels.rescale(header(ModalityLUTSequence=[table]))

    def test_equality(self) -> None:
        def lut() -> tuple[NDArray[Any], NDArray[Any]]:
            return np.arange(3), np.arange(3) * 2

        assert Rescale(lut=lut()) == Rescale(lut=lut())
        assert hash(Rescale(lut=lut())) == hash(Rescale(lut=lut()))
        assert Rescale(lut=lut()) != Rescale()
        assert Rescale(slope=2.0) != Rescale()


class TestRealWorld:
    unit = item(CodeValue="Bq/ml", CodingSchemeDesignator="UCUM")

    def mapping(self, **values: Any) -> Dataset:
        first, last = values.pop("first", 0), values.pop("last", 65535)
        mapped = item(MeasurementUnitsCodeSequence=[self.unit], **values)
        mapped.add_new("RealWorldValueFirstValueMapped", "US", first)
        mapped.add_new("RealWorldValueLastValueMapped", "US", last)
        return mapped

    def test_linear(self) -> None:
        dataset = header(
            RealWorldValueMappingSequence=[self.mapping(RealWorldValueSlope=0.5, RealWorldValueIntercept=3.0)]
        )
        found = pixels.rescale(dataset, 0, "real world")
        assert (found.slope, found.intercept, found.unit, found.valid) == (0.5, 3, "Bq/ml", None)
        assert pixels.rescale(dataset).is_identity

    def test_values_outside_have_no_meaning(self) -> None:
        mapped = self.mapping(RealWorldValueSlope=1.0, RealWorldValueIntercept=0.0, first=10, last=20)
        dataset = header(RealWorldValueMappingSequence=[mapped])
        found = pixels.rescale(dataset, 0, "real world")
        dtype = pixels.result_dtype([dataset], [found], "real world")
        assert dtype == np.float32
        values = pixels.apply(np.array([9, 10, 20, 21], np.uint16), found, dtype)
        np.testing.assert_array_equal(values, [np.nan, 10, 20, np.nan])

    def test_ends_that_are_no_finite_numbers(self) -> None:
        def mapped(first: float, last: float, **values: Any) -> Dataset:
            ends = {f"DoubleFloatRealWorldValue{end}ValueMapped": v for end, v in (("First", first), ("Last", last))}
            dataset = header(BitsAllocated=32, RealWorldValueMappingSequence=[item(**ends, **values)])
            del dataset.BitsStored
            return dataset

        found = pixels.rescale(mapped(-np.inf, 2.0, RealWorldValueSlope=2.0), 0, "real world")
        values = pixels.apply(np.array([-1e30, 2, 3], np.float32), found, np.float32)
        np.testing.assert_array_equal(values, np.array([-2e30, 4, np.nan], np.float32))
        with pytest.raises(VolumeError, match="not a number"):
            pixels.rescale(mapped(np.nan, 2.0, RealWorldValueSlope=2.0), 0, "real world")
        with pytest.raises(VolumeError, match="incomplete"):
            pixels.rescale(mapped(0, np.inf, RealWorldValueLUTData=[1.0, 2.0]), 0, "real world")

    def test_table_in_a_functional_group(self) -> None:
        mapped = self.mapping(RealWorldValueLUTData=[0.5, 0.25, 8.0], first=65535, last=1)
        dataset = header(
            SharedFunctionalGroupsSequence=[item(RealWorldValueMappingSequence=[mapped])], PixelRepresentation=1
        )
        found = pixels.rescale(dataset, 0, "real world")
        dtype = pixels.result_dtype([dataset], [found], "real world")
        values = pixels.apply(np.array([-2, -1, 0, 1, 2], np.int16), found, dtype)
        np.testing.assert_array_equal(values, [np.nan, 0.5, 0.25, 8, np.nan])

    def test_none_and_several(self) -> None:
        with pytest.raises(VolumeError, match=r"0040,9096.*missing"):
            pixels.rescale(header(), 0, "real world")
        several = [self.mapping(RealWorldValueSlope=1.0), self.mapping(RealWorldValueSlope=2.0)]
        with pytest.raises(VolumeError, match=r"2 mappings \(Bq/ml, Bq/ml\)"):
            pixels.rescale(header(RealWorldValueMappingSequence=several), 0, "real world")


class TestPhilips:
    @pytest.mark.parametrize("creator", [True, False])
    @pytest.mark.parametrize("nested", [True, False])
    @pytest.mark.parametrize("unknown", [True, False])
    def test_private_scaling(self, creator: bool, nested: bool, unknown: bool) -> None:
        dataset = header(RescaleSlope="2", RescaleIntercept="-8", Manufacturer="Philips Healthcare")
        holder = dataset
        if nested:
            holder, group = Dataset(), Dataset()
            group.add_new(0x2005140F, "SQ", [holder])
            dataset.PerFrameFunctionalGroupsSequence = [group]
        for element, value in ((0x0D, 4.0), (0x0E, 0.125)):
            entry: tuple[str, Any] = ("UN", struct.pack("<f", value)) if unknown else ("FL", value)
            if creator:
                holder.private_block(0x2005, "Philips Imaging DD 001", create=True).add_new(element, *entry)
            else:
                holder.add_new(0x20051000 + element, *entry)
        found = pixels.rescale(dataset, 0, "philips")
        values = pixels.apply(np.array([4, 5], np.uint16), found, np.float32)
        # Floating point value = displayed value / (rescale slope * scale slope).
        displayed = np.array([4, 5]) * 2 - 8
        np.testing.assert_allclose(values, displayed / (2 * 0.125))

    def test_missing(self) -> None:
        with pytest.raises(VolumeError, match="2005,100E"):
            pixels.rescale(header(), 0, "philips")


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
        assert pixels.result_dtype([header(**values)], rescales, units).name == expected

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
            pixels.result_dtype([header(**values)], [Rescale()])
        with pytest.raises(VolumeError, match=problem):
            pixels.volume_bytes(header(Rows=4, Columns=4, **values))

    def test_a_slope_beyond_all_numbers(self) -> None:
        assert pixels.result_dtype([header()], [Rescale(slope=1e308)]) == np.float64

    def test_several_stored_types_promote(self) -> None:
        both = [header(), header(PixelRepresentation=1)]
        assert pixels.result_dtype(both, [Rescale()], "stored") == np.int32
        assert pixels.result_dtype(both, [Rescale()], "modality") == np.int32

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
        frame = pixels.stored(dataset)[0]
        one = Rescale(float(slope), float(intercept))
        dtype = pixels.result_dtype([dataset], [one])
        exact = frame.astype(np.float64) * float(slope) + float(intercept)
        np.testing.assert_array_equal(pixels.apply(frame, one, dtype), exact.astype(dtype))
        if one.is_integer:
            assert dtype.kind == "i"

    def test_identity_does_not_copy(self) -> None:
        frame = np.zeros((4, 4), np.int16)
        assert pixels.apply(frame, Rescale(), np.int16) is frame

    def test_input_is_not_changed(self) -> None:
        frame = np.ones((2, 2), np.int16)
        pixels.apply(frame, Rescale(intercept=5.0), np.int16)
        assert frame.tolist() == [[1, 1], [1, 1]]

    @pytest.mark.parametrize(("units", "size"), [("modality", 4), ("stored", 2), ("SUVbw", 4)])
    def test_memory(self, units: str, size: int) -> None:
        dataset = header(Rows=4, Columns=8, NumberOfFrames=3, RescaleSlope="0.5", RescaleIntercept="0")
        assert pixels.volume_bytes(dataset, units) == 96 * size
        assert pixels.volume_bytes(Dataset(), units) == 0


class TestPadding:
    frame = np.array([[-2000, -1500, -1024, 7]], dtype=np.int16)

    def mask(self, frame: NDArray[Any], **values: Any) -> list[bool] | None:
        found = pixels.padding(header(PixelRepresentation=int(frame.dtype.kind == "i"), **values), frame)
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
        found = pixels.padding(dataset, self.frame)
        assert found is not None
        assert found[0].tolist() == [True, False, False, False]
        unsigned = np.array([[63536, 5]], np.uint16)
        dataset = header()
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        found = pixels.padding(dataset, unsigned)
        assert found is not None
        assert found[0].tolist() == [True, False]

    def test_bits_beyond_those_stored(self) -> None:
        frame = np.array([[-2000, 5]], np.int16)
        assert self.mask(frame, BitsStored=12, PixelPaddingValue=2096) == [True, False]

    def test_floats(self) -> None:
        dataset = header(FloatPixelPaddingValue=0.1)
        found = pixels.padding(dataset, np.array([[0.1, 0.2]], np.float32))
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
    def test_floats_that_are_no_finite_numbers(
        self, prefix: str, name: str, value: float, limit: float | None, expected: list[bool]
    ) -> None:
        dataset = item(**{f"{prefix}FloatPixelPaddingValue": value})
        if limit is not None:
            setattr(dataset, f"{prefix}FloatPixelPaddingRangeLimit", limit)
        found = pixels.padding(dataset, np.array([[np.nan, -np.inf, 0.5, 7]], name))
        assert found is not None
        assert found.tolist() == [expected]

    def test_colour_has_none(self) -> None:
        assert pixels.padding(header(PixelPaddingValue=0), np.zeros((2, 2, 3), np.uint8)) is None
