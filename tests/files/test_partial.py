"""Headers from parts of files: as exact as from the whole file, and no more is fetched than is needed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_header, read_image
from simple_orthanc.files.walker import PIXELS
from simple_orthanc.phantom import as_bytes, make_series
from tests.examples import examples
from tests.memory_source import as_file, instance

SCANNER = Scanner()

FILES = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "JPEG2000.dcm",
    "rtplan.dcm",
    "rtdose.dcm",
    "reportsi.dcm",
    "waveform_ecg.dcm",
    "image_dfl.dcm",
    "ExplVR_BigEndNoMeta.dcm",
    "ExplVR_LitEndNoMeta.dcm",
    "liver_1frame.dcm",
    "nested_priv_SQ.dcm",
]


@pytest.fixture(autouse=True)
def _files_as_they_are() -> Iterator[None]:
    """Some files that pydicom ships hold values that it would complain of."""
    with pydicom.config.disable_value_validation():
        yield


def content_of(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom does not ship {name}")
    return Path(str(path)).read_bytes()


class Parts:
    """A file that is read in parts, and remembers what was asked of it."""

    def __init__(self, content: bytes, *, ranges: bool = True) -> None:
        self.content, self.ranges = content, ranges
        self.asked: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> tuple[bytes, bool]:
        self.asked.append((start, stop))
        if not self.ranges or stop >= len(self.content):
            return self.content, True
        return self.content[start:stop], False

    @property
    def fetched(self) -> int:
        return max(stop for _, stop in self.asked)


def whole_header(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content), force=True, stop_before_pixels=True)


@pytest.mark.parametrize("name", FILES)
def test_a_header_is_what_the_whole_file_says(name: str) -> None:
    content = content_of(name)
    expected = whole_header(content)
    for first in (16, 500, 16 * 1024, len(content), 10 * len(content)):
        for ranges in (True, False):
            found = read_header(Parts(content, ranges=ranges), first, SCANNER)
            assert found == expected
            assert found.file_meta == expected.file_meta
            assert not PIXELS & {int(number) for number in found.keys()}  # noqa: SIM118 - a Dataset yields elements


@settings(max_examples=examples(150))
@given(st.integers(1, 45000))
def test_wherever_a_file_is_cut_the_header_is_exact(first: int) -> None:
    content = content_of("CT_small.dcm")
    assert read_header(Parts(content), first, SCANNER) == whole_header(content)


def test_no_more_is_fetched_than_is_needed() -> None:
    content = as_file(picture(rows=1000))
    pixels_begin = content.index(b"\xe0\x7f\x10\x00")
    for first in (100, 500, 16 * 1024):
        parts = Parts(content)
        read_header(parts, first, SCANNER)
        assert parts.fetched <= max(first, 4 * (pixels_begin + 12))
        assert [start for start, _ in parts.asked] == [0, *(stop for _, stop in parts.asked[:-1])]


def picture(rows: int = 4, **tags: Any) -> Dataset:
    dataset = instance(1, **tags)
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, 3, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = np.arange(rows * 3, dtype="<u2").tobytes()
    return dataset


@pytest.mark.parametrize("first", [150, 300, 1000])
def test_pixels_inside_a_sequence_end_nothing(first: int) -> None:
    dataset = picture(ImageComments="after the icon")
    icon = picture(rows=50)
    dataset.IconImageSequence = Sequence([icon])
    dataset.add_new("WindowCenter", "DS", "40")
    found = read_header(Parts(as_file(dataset)), first, SCANNER)
    assert found.WindowCenter == 40
    assert len(found.IconImageSequence[0].PixelData) == 300
    assert "PixelData" not in found


def test_the_bytes_of_the_pixel_data_tag_in_a_value_end_nothing() -> None:
    dataset = picture()
    looks_like_pixels = b"\xe0\x7f\x10\x00OW\x00\x00\x04\x00\x00\x00"
    dataset.private_block(0x0009, "ACME", create=True).add_new(1, "OB", looks_like_pixels * 40)
    dataset.ImageComments = "behind"
    for first in (200, 250, 300, 400):
        assert read_header(Parts(as_file(dataset)), first, SCANNER).ImageComments == "behind"


def test_a_file_without_pixels_is_read_whole() -> None:
    content = as_file(instance(1, ImageComments="x" * 5000))
    parts = Parts(content)
    assert read_header(parts, 1000, SCANNER).ImageComments == "x" * 5000
    assert parts.fetched >= len(content)


def test_a_deflated_file_is_read_whole() -> None:
    content = content_of("image_dfl.dcm")
    assert pydicom.dcmread(io.BytesIO(content)).file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert read_header(Parts(content), 600, SCANNER).Rows == whole_header(content).Rows


# Images


@pytest.mark.parametrize("name", FILES)
def test_an_image_has_the_pixels_that_the_file_has(name: str) -> None:
    content = content_of(name)
    expected, found = pydicom.dcmread(io.BytesIO(content), force=True), read_image(content, SCANNER)
    for number in PIXELS:
        assert (number in found) == (number in expected)
        if number in expected:
            assert bytes(found[number].value) == bytes(expected[number].value)
            assert found[number].VR == expected[number].VR
            del found[number], expected[number]
    # What lies behind the pixels is left out; nothing else is.
    if not PIXELS.isdisjoint(pydicom.dcmread(io.BytesIO(content), force=True).keys()):
        for number in {int(number) for number in expected.keys() if int(number) > 0x7FE00010}:  # noqa: SIM118
            del expected[number]
    assert found == expected


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_what_lies_behind_the_pixels_is_in_no_header(syntax: pydicom.uid.UID) -> None:
    (dataset,) = make_series((1, 8, 8))
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.DataSetTrailingPadding = bytes(8)
    content = rewritten(as_bytes(dataset), syntax)
    assert "DataSetTrailingPadding" in pydicom.dcmread(io.BytesIO(content))
    found = read_image(content, SCANNER)
    del found.PixelData
    assert found == read_header(Parts(content), 600, SCANNER)
    assert "DataSetTrailingPadding" not in found


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_plain_pixels_are_not_copied(syntax: pydicom.uid.UID | None) -> None:
    content = as_file(picture())
    if syntax is not None:
        content = rewritten(content, syntax)
    found = read_image(content, SCANNER)
    value = found.get_item("PixelData").value
    assert isinstance(value, memoryview)
    assert value.obj is content
    assert found.PixelData == picture().PixelData


def rewritten(content: bytes, syntax: pydicom.uid.UID) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return stream.getvalue()


def test_big_endian_pixels_are_not_taken_for_plain_ones() -> None:
    content = content_of("MR_small_bigendian.dcm")
    dataset = read_image(content, SCANNER)
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    assert np.array_equal(dataset.pixel_array, pydicom.dcmread(io.BytesIO(content)).pixel_array)


def test_a_file_that_is_cut_off_in_its_pixels_is_left_to_pydicom() -> None:
    content = as_file(picture(rows=100))
    found = read_image(content[:-10], SCANNER)
    expected = pydicom.dcmread(io.BytesIO(content[:-10]), force=True)
    assert bytes(found.PixelData) == bytes(expected.PixelData)
    assert len(found.PixelData) == 590


@pytest.mark.parametrize(
    ("keyword", "vr", "kind"), [("FloatPixelData", "OF", "<f4"), ("DoubleFloatPixelData", "OD", "<f8")]
)
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_floating_point_pixels_are_pixels_too(keyword: str, vr: str, kind: str, syntax: pydicom.uid.UID | None) -> None:
    dataset = picture()
    del dataset.PixelData
    dataset.add_new(keyword, vr, np.arange(12, dtype=kind).tobytes())
    content = as_file(dataset) if syntax is None else rewritten(as_file(dataset), syntax)
    assert keyword not in read_header(Parts(content), 300, SCANNER)
    found = read_image(content, SCANNER)
    element = found[keyword]
    assert vr == element.VR
    assert np.frombuffer(found[keyword].value, kind).tolist() == list(range(12))
