"""Pictures become Secondary Captures, pixel by pixel."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

from simple_orthanc import Folder, VolumeError
from simple_orthanc.phantom import as_bytes
from simple_orthanc.volume.writing.documents import Document, document_datasets
from tests.volume.writing.files import file_of, pixels_of, smooth

GREY, COLOUR, DEEP = smooth(), smooth((24, 32, 3)), smooth(dtype=np.uint16)
JPEG_BASELINE, EXPLICIT = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1"


def stored(content: bytes, name: str = "picture") -> Dataset:
    (dataset,) = document_datasets([Document(name, content)], tags={"PatientID": "P1"})
    return dataset


def read_back(dataset: Dataset, folder: Path) -> NDArray[Any]:
    (folder / "file.dcm").write_bytes(as_bytes(dataset))
    array: NDArray[Any] = Folder(folder, cache=False).get_array()
    return array[0]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def deep_colour() -> bytes:
    """A PNG of one pixel with colours of 16 bits, which Pillow cannot write."""
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + bytes(6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animated() -> bytes:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    return file_of(frames[0], save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (file_of(GREY), GREY),
        (file_of(GREY[:23, :31]), GREY[:23, :31]),
        (file_of(DEEP), DEEP),
        (file_of(COLOUR), COLOUR),
        (file_of(GREY > 128), np.where(GREY > 128, 255, 0)),
        (file_of(Image.fromarray(COLOUR).convert("RGBA")), COLOUR),
        (file_of(Image.fromarray(GREY).convert("LA")), GREY),
        (file_of(Image.fromarray(COLOUR).quantize(8)), np.asarray(Image.fromarray(COLOUR).quantize(8).convert("RGB"))),
    ],
    ids=["grey", "odd", "16 bits", "colour", "1 bit", "opaque", "opaque grey", "palette"],
)
def test_a_png_is_stored_pixel_by_pixel(content: bytes, expected: NDArray[Any], tmp_path: Path) -> None:
    dataset = stored(content)
    found = read_back(dataset, tmp_path)
    assert np.array_equal(found, expected)
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    assert "LossyImageCompression" not in dataset
    assert dataset.SOPClassUID.name == "Secondary Capture Image Storage"


@pytest.mark.parametrize(
    ("content", "photometric"),
    [
        (file_of(GREY, "JPEG", quality=95), "MONOCHROME2"),
        (file_of(COLOUR, "JPEG", quality=95, subsampling=0), "YBR_FULL"),
        (file_of(COLOUR, "JPEG", quality=95, subsampling=2), "YBR_FULL_422"),
        (file_of(COLOUR, "JPEG", quality=95, keep_rgb=True), "RGB"),
    ],
    ids=["grey", "4:4:4", "4:2:0", "RGB"],
)
def test_a_baseline_jpeg_stays_as_it_is(content: bytes, photometric: str, tmp_path: Path) -> None:
    dataset = stored(content)
    assert get_frame(dataset.PixelData, 0, number_of_frames=1).rstrip(b"\0") == content.rstrip(b"\0")
    assert dataset.file_meta.TransferSyntaxUID == JPEG_BASELINE
    assert dataset.PhotometricInterpretation == photometric
    assert dataset.LossyImageCompression == "01"
    assert dataset.LossyImageCompressionMethod == "ISO_10918_1"
    difference = read_back(dataset, tmp_path).astype(int) - pixels_of(content)
    # Decoders differ in how they round, and in how they spread the colours of four pixels.
    assert np.abs(difference).max() <= (8 if photometric == "YBR_FULL_422" else 2)


def test_other_jpeg_files_are_decoded(tmp_path: Path) -> None:
    progressive = file_of(COLOUR, "JPEG", progressive=True)
    dataset = stored(progressive)
    assert np.array_equal(read_back(dataset, tmp_path), pixels_of(progressive))
    assert (dataset.file_meta.TransferSyntaxUID, dataset.LossyImageCompression) == (EXPLICIT, "01")


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = file_of(GREY, "JPEG", exif=exif)
    assert np.array_equal(read_back(stored(content), tmp_path), np.rot90(pixels_of(content), -1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (file_of(GREY)[:-30], "broken"),
        (file_of(GREY, "JPEG")[:-30], "broken"),
        (file_of(GREY)[:60] + b"x" * 9 + file_of(GREY)[69:], "broken"),
        (b"\xff\xd8\xff" + b"x" * 99, "broken"),
        (file_of(Image.new("CMYK", (4, 4)), "JPEG"), "CMYK"),
        (animated(), "animated"),
        (file_of(Image.new("RGBA", (4, 4), (1, 2, 3, 200))), "transparent"),
        (file_of(Image.new("P", (4, 4)), transparency=0), "transparent"),
        (deep_colour(), "colours of 16 bits"),
    ],
)
def test_what_cannot_be_stored(content: bytes, message: str) -> None:
    with pytest.raises(VolumeError, match=f"wound.*{message}"):
        stored(content, "wound")
