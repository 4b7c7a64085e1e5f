"""Headers and codestreams that promise more than they hold: refused by name, in little time and memory."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from simple_orthanc import Folder
from simple_orthanc.cli.tabular import is_formula
from simple_orthanc.dicom.values import parse_number
from simple_orthanc.errors import PixelDecodeError, VolumeError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.pixels.colour import palette
from simple_orthanc.pixels.encapsulation import frame_streams
from simple_orthanc.pixels.stored import stored_values
from tests import bombs
from tests.bombs import Outcome

HUGE = 2147483647
_DEFLATED = "1.2.840.10008.1.2.8.1"


def image(count: int = 1, **tags: Any) -> list[Dataset]:
    with config.disable_value_validation():
        return make_series((count, 8, 8), **tags)


def volume_of(datasets: list[Dataset], folder: Path, verb: str = "get_volume", **options: Any) -> object:
    for number, dataset in enumerate(datasets):
        (folder / f"{number}.dcm").write_bytes(as_bytes(dataset))
    result = getattr(Folder(folder, cache=False), verb)(**options)
    return [volume.array.shape for volume in result.values()] if verb == "get_volumes" else result


def with_frames(count: int, **tags: Any) -> list[Dataset]:
    (dataset,) = image(**tags)
    dataset.NumberOfFrames = count
    return [dataset]


def compressed(syntax: str, stream: bytes, frames: int = 1, **tags: Any) -> Dataset:
    """Return an image of one codestream for each frame, whose header says whatever is given."""
    (dataset,) = image()
    dataset.file_meta.TransferSyntaxUID = syntax
    for keyword, value in {"Rows": 65535, "Columns": 65535, "NumberOfFrames": frames, **tags}.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = encapsulate([stream] * frames, has_bot=False)
    dataset["PixelData"].is_undefined_length = True
    return dataset


def jpeg(marker: int, *, precision: int = 8, size: int = 65535, components: bytes = b"\x01\x11\0") -> bytes:
    """Return the header of a JPEG or JPEG-LS stream, and a scan without data."""
    content = struct.pack(">BHHB", precision, size, size, len(components) // 3) + components
    scan = struct.pack(">BBBB", 1, 1, 0, 0) + b"\0\0"
    segments = ((marker, content), (0xDA, scan))
    return b"\xff\xd8" + b"".join(struct.pack(">BBH", 0xFF, m, len(c) + 2) + c for m, c in segments) + b"\xff\xd9"


def jpeg2000(size: int) -> bytes:
    siz = struct.pack(">HH8IH", 41, 0, size, size, 0, 0, size, size, 0, 0, 1) + b"\x0f\x01\x01"
    return b"\xff\x4f\xff\x51" + siz + bytes(100)


def deflated_frame(size: int) -> bytes:
    return bombs.deflated(size)


def at_positions(*heights: float, **tags: Any) -> list[Dataset]:
    series = image(len(heights), **tags)
    for dataset, height in zip(series, heights, strict=True):
        dataset.ImagePositionPatient = [0, 0, height]
    return series


def segmented_palette(words: list[int]) -> Dataset:
    header = Dataset()
    for colour in ("Red", "Green", "Blue"):
        setattr(header, f"{colour}PaletteColorLookupTableDescriptor", [65535, 0, 16])
        content = np.array(words, "<u2").tobytes()
        setattr(header, f"Segmented{colour}PaletteColorLookupTableData", content)
    return header


def concatenation() -> list[Dataset]:
    (dataset,) = image()
    dataset.ConcatenationUID, dataset.InConcatenationNumber = "1.2.3", 1
    dataset.InConcatenationTotalNumber = 65535
    return [dataset]


def mosaic() -> list[Dataset]:
    (dataset,) = make_series((1, 8, 8), modality="MR", Manufacturer="SIEMENS", SpacingBetweenSlices=2)
    dataset.add_new((0x0019, 0x0010), "LO", "SIEMENS MR HEADER")
    dataset.add_new((0x0019, 0x100A), "UL", HUGE)
    return [dataset]


def many_fragments(count: int) -> int:
    offsets = struct.pack(f"<{count}I", *range(0, 10 * count, 10))
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, 2) + b"ab" for _ in range(count))
    return len(frame_streams(struct.pack("<HHI", 0xFFFE, 0xE000, len(offsets)) + offsets + items, count))


def cut_jpeg_ls() -> str:
    """Cut a stream off at many places, without which its decoder may read for ever; name all outcomes."""
    dataset = dcmread(get_testdata_file("MR_small_jpeg_ls_lossless.dcm"))
    whole = next(generate_frames(dataset.PixelData, number_of_frames=1))
    outcomes = set()
    for end in range(100, len(whole) - 2, 400):
        dataset.PixelData = encapsulate([whole[:end]], has_bot=False)
        dataset["PixelData"].is_undefined_length = True
        try:
            stored_values(dataset)
            outcomes.add("read")
        except PixelDecodeError:
            outcomes.add("PixelDecodeError")
    return ", ".join(outcomes)


def digits_in_a_table(folder: Path) -> str:
    digits = bombs.element(0x00200012, "IS", b"1" * 60_000) + bombs.element(0x00200013, "IS", b"2" * 60_000)
    (folder / "a.dcm").write_bytes(bombs.meta("1.2.840.10008.1.2.1") + bombs.identifiers() + digits)
    session = Folder(folder, cache=False)
    return session.table("AcquisitionNumber", "InstanceNumber", level="instance").to_string()


BOMBS: dict[str, bombs.Bomb] = {
    "frames, volume": lambda folder: volume_of(with_frames(HUGE), folder),
    "frames, table": lambda folder: volume_of(with_frames(HUGE), folder, "volume_table").to_string(),  # type: ignore[attr-defined]
    "frames, volumes": lambda folder: volume_of(with_frames(HUGE), folder, "get_volumes"),
    "frames, masks": lambda folder: volume_of(with_frames(HUGE, modality="SEG"), folder, "get_masks"),
    "frames, headers": lambda folder: len(volume_of(with_frames(HUGE), folder, "get_headers")),  # type: ignore[arg-type]
    "frames, below the limit": lambda folder: volume_of(with_frames(99_999), folder),
    "frames, pixels": lambda folder: stored_values(with_frames(HUGE)[0]),
    "rows and columns": lambda folder: volume_of(image(Rows=65535, Columns=65535), folder),
    "samples": lambda folder: volume_of(image(SamplesPerPixel=65535), folder),
    "bits": lambda folder: volume_of(image(BitsAllocated=65528, BitsStored=65528), folder),
    "concatenation": lambda folder: volume_of(concatenation(), folder),
    "mosaic": lambda folder: volume_of(mosaic(), folder),
    "positions": lambda folder: volume_of(at_positions(0, 1, 900_000), folder, gaps="nan"),
    "jpeg": lambda folder: stored_values(compressed(JPEGBaseline8Bit, jpeg(0xC0), BitsAllocated=8, BitsStored=8)),
    "jpeg lossless": lambda folder: stored_values(compressed(JPEGLosslessSV1, jpeg(0xC3, precision=16))),
    "jpeg-ls": lambda folder: stored_values(compressed(JPEGLSLossless, jpeg(0xF7, precision=16))),
    "jpeg-ls, cut": lambda folder: cut_jpeg_ls(),
    "jpeg 2000": lambda folder: stored_values(compressed(JPEG2000Lossless, jpeg2000(65535))),
    "jpeg 2000, many": lambda folder: stored_values(
        compressed(JPEG2000Lossless, jpeg2000(4000), 1000, Rows=4000, Columns=4000)
    ),
    "rle": lambda folder: stored_values(compressed(RLELossless, struct.pack("<16I", 2, 64, 70, *[0] * 13) + bytes(20))),
    "deflated frame": lambda folder: stored_values(compressed(_DEFLATED, deflated_frame(1 << 32), Rows=8, Columns=8)),
    "deflated frame, promised": lambda folder: stored_values(compressed(_DEFLATED, zlib.compress(b"")[2:-4])),
    "palette, linear": lambda folder: palette(segmented_palette([0, 1, 0] + 100_000 * [1, 65535, 9]))[1].shape,
    "palette, indirect": lambda folder: palette(segmented_palette([0, 1, 0] + 50_000 * [2, 60_000, 0, 0]))[1].shape,
    "fragments": lambda folder: many_fragments(20_000),
    "digits in CSV": lambda folder: is_formula("-" + "1" * 200_000 + "x"),
    "digits and points in CSV": lambda folder: is_formula("-" + "1.1e" * 50_000),
    "lists of digits in CSV": lambda folder: is_formula("+" + "1\\" * 100_000 + "x"),
    "digits of an integer": lambda folder: parse_number("1" * 100_000, "IS"),
    "digits of a decimal": lambda folder: parse_number("1" * 100_000, "DS"),
    "digits in a table": lambda folder: digits_in_a_table(folder),
}


_OF_FRAMES = "NumberOfFrames (0028,0008) of CT Image Storage"
_LIMIT = "The limit is simple_orthanc.limits.expansion = 200; assign a higher one"
EXPECTED: dict[str, tuple[str, str]] = {
    "frames, volume": ("VolumeError", "1 instance like the first would need 274.9 GB as an array"),
    "frames, table": ("", _OF_FRAMES),
    "frames, volumes": ("VolumeError", _OF_FRAMES),
    "frames, masks": ("", "<0 masks: >"),
    "frames, headers": ("", "1"),
    "frames, below the limit": ("PixelDecodeError", "12799872 bytes of pixel data are promised, and there are 128"),
    "frames, pixels": ("PixelDecodeError", "bytes of pixel data are promised, and there are 128"),
    "rows and columns": ("PixelDecodeError", "8589672450 bytes of pixel data are promised"),
    "samples": ("PixelDecodeError", "with 65535 samples per pixel cannot be read"),
    "bits": ("VolumeError", "BitsAllocated (0028,0100)"),
    "concatenation": ("InconsistentSlicesError", "those with InConcatenationNumber 2, 3, 4"),
    "mosaic": ("InconsistentSlicesError", "a size that 46341 x 46341 tiles fill"),
    "positions": ("VolumeError", "they would be 900001 slices"),
    "jpeg": ("PixelDecodeError", _LIMIT),
    "jpeg lossless": ("PixelDecodeError", _LIMIT),
    "jpeg-ls": ("PixelDecodeError", _LIMIT),
    "jpeg-ls, cut": ("", "PixelDecodeError"),
    "jpeg 2000": ("PixelDecodeError", _LIMIT),
    "jpeg 2000, many": ("PixelDecodeError", _LIMIT),
    "rle": ("PixelDecodeError", _LIMIT),
    "deflated frame": ("", "[[[0 0 0"),
    "deflated frame, promised": ("PixelDecodeError", _LIMIT),
    "palette, linear": ("", "(65535, 3)"),
    "palette, indirect": ("ValueError", "a segmented palette cannot have a segment of type 2 here"),
    "fragments": ("", "20000"),
    "digits in CSV": ("", "True"),
    "digits and points in CSV": ("", "True"),
    "lists of digits in CSV": ("", "True"),
    "digits of an integer": ("", "None"),
    "digits of a decimal": ("", "None"),
    "digits in a table": ("", "<NA>"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return bombs.run(__name__, tmp_path_factory.mktemp("bombs"))


@pytest.mark.parametrize("name", EXPECTED)
def test_bombs(name: str, outcomes: dict[str, Outcome]) -> None:
    bombs.check(outcomes[name], *EXPECTED[name])


def test_every_bomb_is_checked() -> None:
    assert EXPECTED.keys() == BOMBS.keys()


# Values that make a computed one infinite, and the tag that the error names.
LENGTHS = {
    "PixelSpacing": [["1e308", "1e308"], ["1e-300", "1e-300"], ["1e9", "1"]],
    "ImagePositionPatient": [["0", "0", "1e308"], ["0", "-1e200", "0"]],
    "SliceThickness": ["1e308", "-1e300"],
    "SpacingBetweenSlices": ["1e308", "1e7"],
}


@pytest.mark.parametrize(("keyword", "value"), [(keyword, value) for keyword in LENGTHS for value in LENGTHS[keyword]])
@pytest.mark.parametrize("count", [1, 3])
def test_lengths_that_no_image_has(keyword: str, value: object, count: int, tmp_path: Path) -> None:
    series = image(count)
    setattr(series[-1], keyword, value)
    with pytest.raises(VolumeError, match=rf"{keyword} \(\w+,\w+\) of CT Image Storage .* with which no volume"):
        volume_of(series, tmp_path)


@pytest.mark.parametrize(("keyword", "value"), [("RescaleSlope", "1e308"), ("RescaleIntercept", "1e308")])
def test_values_that_no_number_holds(keyword: str, value: str, tmp_path: Path) -> None:
    series = image(3, **{keyword: value})
    with pytest.raises(VolumeError, match=rf"{keyword} \(\w+,\w+\).* which no number can hold"):
        volume_of(series, tmp_path)


@pytest.mark.parametrize("sampling", [b"\x01\x21\0", b"\x01\x12\0", b"\x01\x22\0", b"\x01\0\0"])
def test_subsampled_components_of_jpeg_ls(sampling: bytes) -> None:
    dataset = compressed(JPEGLSLossless, jpeg(0xF7, precision=16, size=8, components=sampling), Rows=8, Columns=8)
    with pytest.raises(PixelDecodeError, match="subsampled"):
        stored_values(dataset)


def test_a_frame_header_that_is_longer_than_its_components() -> None:
    stream = jpeg(0xF7, precision=16, size=8, components=b"\x01\x11\0\x02")
    with pytest.raises(PixelDecodeError, match="the JPEG frame header is malformed"):
        stored_values(compressed(JPEGLSLossless, stream, Rows=8, Columns=8))
