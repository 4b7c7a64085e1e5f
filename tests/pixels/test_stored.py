"""Stored pixel values against pydicom, against uncompressed twins, and by hand."""

from __future__ import annotations

import io
import traceback
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
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, apply_modality_lut
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGExtended12Bit,
    JPEGLSLossless,
)

from simple_orthanc.errors import NoPixelDataError, PixelDecodeError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.pixels.conversion import apply_rescale, result_dtype
from simple_orthanc.pixels.rescale import read_rescale
from simple_orthanc.pixels.stored import stored_values
from tests.pixels.objects import image, shipped

SHIPPED = [path for path in sorted(set(get_testdata_files())) if Path(path).is_file()]


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
    def test_values_equal_pydicoms_or_are_refused(self, path: str) -> None:
        reference, expected = quietly_with_pydicom(path)
        if reference is None:
            pytest.skip("not DICOM")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path, force=True)
        has_pixels = "PixelData" in dataset
        try:
            array = stored_values(dataset)
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
        rescales = [read_rescale(dataset, frame) for frame in range(len(array))]
        dtype = result_dtype([dataset], rescales)
        values = np.stack([apply_rescale(frame, one, dtype) for frame, one in zip(array, rescales, strict=True)])
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
        assert np.shares_memory(stored_values(dataset), np.frombuffer(dataset.PixelData, np.uint8))

    @pytest.mark.parametrize(
        ("word", "signed", "high", "expected"),
        [
            (0x0FFB, 1, 11, -5),
            (0x8000 + 100, 0, 11, 100),
            (0xF000 + 0x0FFB, 1, 11, -5),
            (0x0640, 0, 15, 100),
            (0xFFB0, 1, 15, -5),
            (100, 0, 0, 100),
        ],
    )
    def test_twelve_bits_in_sixteen(self, word: int, signed: int, high: int, expected: int) -> None:
        dataset = image(np.full((1, 1, 2), word, np.uint16), BitsStored=12, HighBit=high, PixelRepresentation=signed)
        assert stored_values(dataset).tolist() == [[[expected, expected]]]

    @given(
        words=arrays(np.uint16, (1, 2, 3)),
        bits=st.integers(1, 16),
        shift=st.integers(0, 15),
        signed=st.integers(0, 1),
    )
    def test_bits_of_any_width_and_place(self, words: NDArray[Any], bits: int, shift: int, signed: int) -> None:
        high = min(bits - 1 + shift, 15)
        found = stored_values(image(words, BitsStored=bits, HighBit=high, PixelRepresentation=signed))
        for word, value in zip(words.ravel().tolist(), found.ravel().tolist(), strict=True):
            expected = word >> (high + 1 - bits) & ((1 << bits) - 1)
            if signed and expected >> (bits - 1):
                expected -= 1 << bits
            assert value == expected

    @pytest.mark.parametrize("name", ["u1", "i1", "u2", "i2", "u4", "i4"])
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
    def test_every_type(self, name: str, syntax: UID) -> None:
        limits = np.iinfo(name)
        array = np.array([[[limits.min, limits.max, 5], [1, 2, 3]]], dtype=name)
        found = stored_values(image(array, syntax))
        assert found.dtype == np.dtype(name)
        np.testing.assert_array_equal(found, array)

    def test_bytes_in_big_endian_words(self) -> None:
        array = np.array([[[1, 2, 3]], [[4, 5, 6]]], dtype=np.uint8)
        dataset = image(array, ExplicitVRBigEndian, PixelData=b"\x02\x01\x04\x03\x06\x05")
        dataset["PixelData"].VR = "OW"
        np.testing.assert_array_equal(stored_values(dataset), array)

    @given(arrays(np.uint8, (3, 3, 5), elements=st.integers(0, 1)))
    def test_single_bits(self, array: NDArray[Any]) -> None:
        packed = np.packbits(array.ravel(), bitorder="little").tobytes()
        dataset = image(array, PixelData=packed, BitsAllocated=1, BitsStored=1, HighBit=0)
        found = stored_values(dataset)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, array)

    @given(arrays(np.uint8, (3, 3, 5), elements=st.integers(0, 1)))
    def test_single_bits_in_big_endian_words(self, array: NDArray[Any]) -> None:
        packed = np.packbits(array.ravel(), bitorder="little")
        for vr, content in (("OW", packed.view(np.uint16).byteswap().tobytes()), ("OB", packed.tobytes())):
            dataset = image(array, ExplicitVRBigEndian, BitsAllocated=1, BitsStored=1, HighBit=0)
            dataset.PixelData = content
            dataset["PixelData"].VR = vr
            np.testing.assert_array_equal(stored_values(dataset), array)

    @pytest.mark.parametrize(("keyword", "name"), [("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")])
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
    def test_floats(self, keyword: str, name: str, syntax: UID) -> None:
        array = np.array([[[0.1, -2e30], [3, 4]]], dtype=name)
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        dataset = image(np.zeros((1, 2, 2), np.uint16), syntax, BitsAllocated=8 * array.itemsize)
        for absent in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            delattr(dataset, absent)
        setattr(dataset, keyword, array.astype(order + name).tobytes())
        found = stored_values(dataset)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
        assert result_dtype([dataset], [read_rescale(dataset)]) == array.dtype

    @pytest.mark.parametrize("keyword", ["PixelData", "FloatPixelData", "DoubleFloatPixelData"])
    @pytest.mark.parametrize("frames", [2**31 - 1, 10**9, 3])
    def test_more_frames_than_there_are_pixels(self, keyword: str, frames: int) -> None:
        dataset = image(np.zeros((1, 2, 2), np.uint16), Rows=65535, Columns=65535, NumberOfFrames=frames)
        content = dataset.PixelData
        del dataset.PixelData
        setattr(dataset, keyword, content)
        with pytest.raises(PixelDecodeError, match="bytes of pixel data are promised, and there are 8"):
            stored_values(dataset)

    def test_inverted_grey_is_unchanged(self) -> None:
        assert (
            stored_values(image(np.full((1, 1, 2), 100, np.uint16), PhotometricInterpretation="MONOCHROME1"))[0, 0, 0]
            == 100
        )

    def test_too_short_and_too_long(self) -> None:
        array = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
        whole = array.tobytes()
        for content in (whole, whole + b"\0", whole + b"\0" * 40):
            np.testing.assert_array_equal(stored_values(image(array, PixelData=content)), array)
        with pytest.raises(PixelDecodeError, match=r"1\.2\.3\.4.*9 bytes.*8") as caught:
            stored_values(image(array, PixelData=whole[:8]))
        assert "".join(traceback.format_exception(caught.value)).count("PixelDecodeError: ") == 1

    @pytest.mark.parametrize("kind", ["u1", "u2", "i4", "f4", "f8", "bits", "colour"])
    @pytest.mark.parametrize(("there", "promised"), [(2, None), (3, 1), (3, 2)])
    def test_frames_that_the_header_does_not_promise_are_refused(
        self, kind: str, there: int, promised: int | None
    ) -> None:
        shape = (there, 4, 4, 3) if kind == "colour" else (there, 4, 4)
        array = np.random.default_rng(1).integers(0, 2 if kind == "bits" else 200, shape)
        array = array.astype({"bits": "u1", "colour": "u1"}.get(kind, kind))
        dataset = image(array)
        if array.dtype.kind == "f":
            setattr(dataset, "DoubleFloatPixelData" if kind == "f8" else "FloatPixelData", dataset.PixelData)
            del dataset.PixelData
        if kind == "bits":
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
            dataset.PixelData = np.packbits(array.reshape(-1), bitorder="little").tobytes()
        np.testing.assert_array_equal(stored_values(dataset), array)
        dataset.NumberOfFrames = promised
        with pytest.raises(PixelDecodeError, match=f"{promised or 1} frames? .* promised, .* hold {there}"):
            stored_values(dataset)

    @pytest.mark.parametrize("array", [np.full((1, 4, 4), 7, np.uint16), np.full((1, 4, 4), 0.5, np.float32)])
    @pytest.mark.parametrize("undefined", [True, False])
    def test_fragments_are_not_read_as_native_pixels(self, array: NDArray[Any], undefined: bool) -> None:
        keyword = "PixelData" if array.dtype.kind == "u" else "FloatPixelData"
        dataset = image(array)
        content = encapsulate([dataset.PixelData])
        del dataset.PixelData
        setattr(dataset, keyword, content)
        dataset[keyword].is_undefined_length = undefined
        with pytest.raises(PixelDecodeError, match=f"Explicit VR Little Endian.*{keyword}.*fragments"):
            stored_values(dataset)

    def test_fragments_in_a_file_of_a_native_transfer_syntax(self) -> None:
        (dataset,) = make_series((1, 8, 8))
        dataset.PixelData = encapsulate([dataset.PixelData])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
        native = f"{ExplicitVRLittleEndian}\0\0\0".encode()
        content = as_bytes(dataset).replace(JPEGLSLossless.encode(), native)
        with pytest.raises(PixelDecodeError, match="fragments"):
            stored_values(dcmread(io.BytesIO(content)))

    def test_pixels_that_look_like_an_item(self) -> None:
        array = np.full((1, 3, 3), 7, np.uint8)
        array[0, 0], array[0, 1, 0] = (0xFE, 0xFF, 0), 0xE0
        np.testing.assert_array_equal(stored_values(image(array)), array)

    def test_a_view_of_a_buffer_is_as_good_as_bytes(self) -> None:
        array = np.arange(12, dtype=np.int16).reshape(1, 3, 4)
        dataset = image(array)
        dataset["PixelData"]._value = memoryview(dataset.PixelData)
        np.testing.assert_array_equal(stored_values(dataset), array)
