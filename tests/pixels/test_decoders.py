"""Compressed frames: against uncompressed twins, and by hand."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
import tracemalloc
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from simple_orthanc.errors import PixelDecodeError
from simple_orthanc.pixels import decoders
from simple_orthanc.pixels.stored import stored_values
from tests.pixels.objects import compressed, image, shipped


class TestCompressed:
    signed = np.linspace(-2048, 2047, 64 * 48).astype(np.int16).reshape(64, 48)

    def test_signed_twelve_bits_as_jpeg_2000(self) -> None:
        from openjpeg.utils import encode_array

        for syntax in (JPEG2000Lossless, JPEG2000):
            stream = bytes(encode_array(self.signed, bits_stored=12))
            dataset = compressed(image(self.signed[np.newaxis], BitsStored=12), syntax, [stream])
            np.testing.assert_array_equal(stored_values(dataset)[0], self.signed)

    def test_sign_that_the_codestream_does_not_know(self) -> None:
        from jpeg_ls.CharLS import encode_array as encode_jpeg_ls
        from openjpeg.utils import encode_array

        unsigned = (self.signed & 0xFFF).astype(np.uint16)
        for syntax, stream in (
            (JPEG2000Lossless, bytes(encode_array(unsigned, bits_stored=12))),
            (JPEGLSLossless, bytes(encode_jpeg_ls(unsigned))),
        ):
            dataset = compressed(image(self.signed[np.newaxis], BitsStored=12), syntax, [stream])
            np.testing.assert_array_equal(stored_values(dataset)[0], self.signed)

    # What goes beyond twelve bits, with the sign of all sixteen and without.
    words = (np.add.outer(np.arange(64), np.arange(64)) & 0xFFF).astype(np.uint16)
    words[0, :6] = 0x0FFB, 0x8064, 40000, 0xFFFB, 0xF801, 0x1000

    @staticmethod
    def streams(words: NDArray[Any], signed: int = 0) -> list[tuple[UID, UID, bytes]]:
        """The transfer syntaxes without and with loss, and for both a codestream of 16 bits that may know the sign."""
        from jpeg_ls.CharLS import encode_array as encode_jpeg_ls
        from openjpeg.utils import encode_array

        return [
            (JPEG2000Lossless, JPEG2000, bytes(encode_array(words, bits_stored=16))),
            (
                JPEG2000Lossless,
                JPEG2000,
                bytes(encode_array(words.view(np.int16 if signed else np.uint16), bits_stored=16)),
            ),
            (JPEGLSLossless, JPEGLSNearLossless, bytes(encode_jpeg_ls(words))),
        ]

    @pytest.mark.parametrize("high", [11, 15])
    @pytest.mark.parametrize("signed", [0, 1])
    def test_upper_bits_without_loss_are_those_of_native_pixels(self, high: int, signed: int) -> None:
        changes = {"BitsStored": 12, "HighBit": high, "PixelRepresentation": signed}
        twin = stored_values(image(self.words[np.newaxis], **changes))
        for syntax, _, stream in self.streams(self.words, signed):
            found = stored_values(compressed(image(self.words[np.newaxis], **changes), syntax, [stream]))
            assert found.dtype == twin.dtype
            np.testing.assert_array_equal(found, twin)

    @pytest.mark.parametrize("signed", [0, 1])
    def test_upper_bits_with_loss_are_clipped(self, signed: int) -> None:
        dtype = np.int16 if signed else np.uint16
        values = self.words.view(dtype)
        low, high = (-2048, 2047) if signed else (0, 4095)
        for _, syntax, stream in self.streams(self.words):
            dataset = compressed(image(values[np.newaxis], BitsStored=12), syntax, [stream])
            found = stored_values(dataset)
            assert found.dtype == dtype
            np.testing.assert_array_equal(found[0], np.clip(values, low, high))

    def test_jpeg_that_overshoots_is_clipped(self) -> None:
        from PIL import Image

        grey = np.zeros((8, 8), np.uint8)
        grey[:, 4:] = 140
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, "JPEG", quality=95)
        dataset = compressed(image(grey[np.newaxis], BitsStored=7), JPEGBaseline8Bit, [buffer.getvalue()])
        assert np.unique(stored_values(dataset)[0, :, 4:]).tolist() == [127]

    def test_more_bits_than_there_is_room_for(self) -> None:
        for syntax, _, stream in self.streams(self.words):
            dataset = compressed(image(self.words.astype(np.uint8)[np.newaxis]), syntax, [stream])
            with pytest.raises(PixelDecodeError, match="16 bits, and BitsAllocated is 8"):
                stored_values(dataset)

    @pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
    def test_run_lengths(self, dtype: str) -> None:
        from pydicom.pixels import compress

        array = np.random.default_rng(1).integers(0, 5, (3, 9, 7)).astype(dtype)
        dataset = image(array)
        compress(dataset, RLELossless, encoding_plugin="pydicom")
        np.testing.assert_array_equal(stored_values(dataset), array)

    def test_overlay_bits_survive_run_lengths_and_are_stripped(self) -> None:
        from pydicom.pixels import compress

        dataset = image(np.full((1, 4, 4), 0x8064, np.uint16))
        compress(dataset, RLELossless, encoding_plugin="pydicom")
        dataset.BitsStored, dataset.HighBit = 12, 11
        assert stored_values(dataset).max() == 100

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
            np.testing.assert_array_equal(stored_values(dataset), frames)
        unfilled = encapsulate(streams, has_bot=True)
        dataset = compressed(
            image(frames), JPEG2000Lossless, streams, PixelData=unfilled[:8] + bytes(12) + unfilled[20:]
        )
        np.testing.assert_array_equal(stored_values(dataset), frames)
        content, offsets, lengths = encapsulate_extended(streams)
        dataset = compressed(
            image(frames),
            JPEG2000Lossless,
            streams,
            PixelData=content,
            ExtendedOffsetTable=bytes(len(offsets)),
            ExtendedOffsetTableLengths=lengths,
        )
        np.testing.assert_array_equal(stored_values(dataset), frames)
        dataset = compressed(
            image(frames),
            JPEG2000Lossless,
            streams,
            PixelData=content,
            ExtendedOffsetTable=offsets,
            ExtendedOffsetTableLengths=lengths,
        )
        np.testing.assert_array_equal(stored_values(dataset), frames)

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
                stored_values(dataset)

    def test_run_beyond_the_end_is_refused(self) -> None:
        literal = bytes([15, *range(16), 0])
        stream = struct.pack("<16I", 2, 64, 64 + len(literal), *[0] * 13) + literal + bytes([0xF9, 1])
        dataset = compressed(image(np.zeros((1, 2, 4), np.uint16)), RLELossless, [stream])
        with pytest.raises(PixelDecodeError, match="run lengths"):
            stored_values(dataset)

    def test_size_that_the_header_does_not_have(self) -> None:
        for name in ("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_dcmtk.dcm"):
            dataset = dcmread(str(get_testdata_file(name)))
            dataset.Rows, dataset.Columns = 2 * dataset.Rows, dataset.Columns // 2
            with pytest.raises(PixelDecodeError, match="the stream has"):
                stored_values(dataset)

    @pytest.mark.parametrize(
        ("module", "name", "advice"),
        [
            ("openjpeg.utils", "MR_small_jp2klossless.dcm", r"JPEG 2000.*pip install pylibjpeg-openjpeg"),
            ("jpeg_ls", "MR_small_jpeg_ls_lossless.dcm", r"JPEG-LS.*pip install pyjpegls"),
            ("gdcm", "SC_rgb_jpeg_gdcm.dcm", r"JPEG Lossless.*pip install python-gdcm"),
        ],
    )
    def test_missing_decoder_names_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, module: str, name: str, advice: str
    ) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(PixelDecodeError, match=advice):
            shipped(name)

    @pytest.mark.parametrize(
        ("plugin", "name", "advice"),
        [
            (decoders.pylibjpeg, "MR_small_RLE.dcm", r"RLE Lossless.*pip install pylibjpeg pylibjpeg-rle"),
            (decoders.pillow, "SC_rgb_jpeg_dcmtk.dcm", r"JPEG Baseline.*pip install pillow"),
        ],
    )
    def test_missing_plugin_of_pydicom_names_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, plugin: Any, name: str, advice: str
    ) -> None:
        monkeypatch.setattr(plugin, "is_available", lambda uid: False)
        with pytest.raises(PixelDecodeError, match=advice):
            shipped(name)

    def test_video_has_no_decoder(self) -> None:
        dataset = compressed(image(np.zeros((1, 2, 2), np.uint8)), MPEG2MPML, [b"\0\0"])
        with pytest.raises(PixelDecodeError, match=r"MPEG2.*exclude\(SOPInstanceUID='1\.2\.3\.4'\)"):
            stored_values(dataset)

    def test_deflated_frames(self) -> None:
        array = np.arange(2 * 16, dtype=np.int16).reshape(2, 4, 4)
        streams = []
        for frame in array:
            packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            stream = packer.compress(frame.tobytes()) + packer.flush()
            streams.append(stream + b"\0" * (len(stream) % 2))
        dataset = compressed(image(array), UID("1.2.840.10008.1.2.8.1"), streams)
        np.testing.assert_array_equal(stored_values(dataset), array)


class TestInflated:
    """A frame is inflated to the size that the header promises, and no further."""

    syntax = UID("1.2.840.10008.1.2.8.1")

    def deflated(self, array: NDArray[Any], content: bytes, **changes: Any) -> Dataset:
        packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        stream = packer.compress(content) + packer.flush()
        return compressed(image(array), self.syntax, [stream + b"\0" * (len(stream) % 2)], **changes)

    def test_a_frame_that_inflates_without_end_takes_no_memory(self) -> None:
        array = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
        dataset = self.deflated(array, array.tobytes() + bytes(100_000_000))
        tracemalloc.start()
        try:
            np.testing.assert_array_equal(stored_values(dataset), array)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("missing", [1, 64])
    def test_a_frame_that_is_too_short_is_refused(self, missing: int) -> None:
        array = np.arange(64, dtype=np.uint16).reshape(1, 8, 8)
        with pytest.raises(PixelDecodeError, match=f"{128 - missing} bytes instead of 128"):
            stored_values(self.deflated(array, array.tobytes()[:-missing]))

    def test_colour_planes(self) -> None:
        array = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)
        planes = np.moveaxis(array, -1, 1).tobytes()
        np.testing.assert_array_equal(stored_values(self.deflated(array, planes, PlanarConfiguration=1)), array)

    def test_single_bits(self) -> None:
        array = np.arange(35, dtype=np.uint8).reshape(1, 5, 7) % 2
        packed = np.packbits(array.ravel(), bitorder="little").tobytes()
        dataset = self.deflated(array, packed, BitsAllocated=1, BitsStored=1, HighBit=0)
        np.testing.assert_array_equal(stored_values(dataset), array)


class TestQuiet:
    """Nothing is logged or warned about, and pydicom's own decoders stay as they are."""

    BY_GDCM = ("SC_rgb_jpeg_gdcm.dcm", "JPGExtended.dcm")
    NAMES = (
        *("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_RLE.dcm"),
        *BY_GDCM,
    )

    @pytest.mark.parametrize("name", NAMES)
    def test_damaged_streams(
        self, name: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        dataset = dcmread(str(get_testdata_file(name)))
        whole = bytes(dataset.PixelData)
        for position in range(100, len(whole), len(whole) // 40):
            dataset.PixelData = whole[:position] + bytes(range(1, 20)) + whole[position + 19 :]
            with contextlib.suppress(PixelDecodeError):
                stored_values(dataset)
        assert caplog.records == []
        # The package for run lengths prints from its own language, and GDCM where the C library is no glibc.
        printing = {"MR_small_RLE.dcm", *(() if sys.platform == "linux" else self.BY_GDCM)}
        assert capfd.readouterr() == ("", "") or name in printing

    def test_markers_that_contradict_the_header_do_not_warn(self) -> None:
        dataset = dcmread(str(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm")))
        dataset.PhotometricInterpretation = "RGB"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert stored_values(dataset).shape == (1, 100, 100, 3)

    def test_the_registered_decoders_of_pydicom_keep_their_plugins(self) -> None:
        for name in self.NAMES:
            dataset = dcmread(str(get_testdata_file(name)))
            stored_values(dataset)
            assert "simple_orthanc" not in get_decoder(dataset.file_meta.TransferSyntaxUID).available_plugins
