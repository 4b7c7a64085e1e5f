"""Overlays in the unused bits of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGLosslessSV1

from simple_orthanc.deidentification.engine import deidentify_dataset
from simple_orthanc.deidentification.overlays import clear_unused_bits, has_embedded_overlays, without_embedded_overlays
from simple_orthanc.deidentification.profile import Profile
from tests.deidentification.identities import PlainIdentity


def image(values: np.ndarray, allocated: int = 16, stored: int = 12) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    dataset.Rows, dataset.Columns = 1, values.size
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, stored, stored - 1
    dataset.PixelRepresentation = 0
    dataset.add_new(0x60000100, "US", allocated)
    dataset.add_new(0x60000102, "US", stored)
    dataset.add_new(0x7FE00010, "OW", values.tobytes())
    return dataset


VALUES = np.array([0x0123, 0x0FFF, 0x0000], "<u2")
HIDDEN = VALUES | np.array([0x1000, 0xF000, 0x8000], "<u2")


def test_hidden_bits_are_cleared_and_recorded() -> None:
    after, changes = deidentify_dataset(image(HIDDEN), Profile.of(), PlainIdentity())
    assert after.PixelData == VALUES.tobytes()
    assert after["PixelData"].VR == "OW"
    assert [change.outcome for change in changes if change.path == "PixelData"] == ["kept", "changed"]
    assert not [element for element in after if element.tag.group == 0x6000]


def test_pixels_without_hidden_bits_stay_the_same_object() -> None:
    before = image(VALUES)
    after, changes = deidentify_dataset(before, Profile.of(), PlainIdentity())
    assert after.PixelData is before.PixelData
    assert [change.outcome for change in changes if change.path == "PixelData"] == ["kept"]


@pytest.mark.parametrize(("tag", "value"), [(0x60000102, 12), (0x60000010, 1)])
def test_an_overlay_that_does_not_say_where_it_is_is_in_the_pixels(tag: int, value: int) -> None:
    dataset = image(HIDDEN)
    del dataset[0x60000100], dataset[0x60000102]
    dataset.add_new(tag, "US", value)
    after, _ = deidentify_dataset(dataset, Profile.of(), PlainIdentity())
    assert after.PixelData == VALUES.tobytes()


def test_hidden_bits_of_32_are_cleared_too() -> None:
    values = np.array([0x0123, 0xFFFF], "<u4")
    dataset = image(values | np.uint32(0x10000), 32, 16)
    after, _ = deidentify_dataset(dataset, Profile.of(), PlainIdentity())
    assert after.PixelData == values.tobytes()


def test_an_overlay_with_data_of_its_own_is_not_in_the_pixels() -> None:
    dataset = image(HIDDEN)
    dataset.add_new(0x60003000, "OW", b"\1\0")
    assert not has_embedded_overlays(dataset)
    after, _ = deidentify_dataset(dataset, Profile.of(), PlainIdentity())
    assert after.PixelData == HIDDEN.tobytes()
    assert 0x60003000 not in after


@pytest.mark.parametrize(
    ("syntax", "order"), [(ExplicitVRLittleEndian, "<"), (ExplicitVRBigEndian, ">"), (JPEGLosslessSV1, "")]
)
def test_the_order_of_bytes_is_that_of_the_transfer_syntax(syntax: str, order: str) -> None:
    values = np.array([0xF123], f"{order or '<'}u2")
    dataset = image(values)
    assert without_embedded_overlays(dataset, dataset, syntax) is bool(order)
    expected = np.array([0x0123 if order else 0xF123], f"{order or '<'}u2")
    assert dataset.PixelData == expected.tobytes()


def test_bits_below_and_above_are_cleared() -> None:
    assert clear_unused_bits(b"\xff\xff", 8, 4, 5, little_endian=True) == b"\x3c\x3c"
    # An odd last byte holds no value.
    assert clear_unused_bits(b"\xff\xff\xff", 16, 8, 7, little_endian=True) == b"\xff\x00\xff"


@pytest.mark.parametrize(("allocated", "stored"), [(16, 16), (64, 12), (16, 0)])
def test_pixels_that_leave_no_bits_or_are_of_another_size_stay(allocated: int, stored: int) -> None:
    dataset = image(HIDDEN)
    dataset.BitsAllocated, dataset.BitsStored = allocated, stored
    assert not without_embedded_overlays(dataset, dataset, ExplicitVRLittleEndian)
    assert dataset.PixelData == HIDDEN.tobytes()


@pytest.mark.parametrize(
    ("frames", "after", "left"),
    [(1, b"Harry", bytes(5)), (2, b"", b""), (None, b"\0", b"\0"), (None, b"Harry Quidditch", b"Harry Quidditch")],
)
def test_bytes_after_the_last_frame_are_cleared(frames: int | None, after: bytes, left: bytes) -> None:
    pixels = np.array([1, 2, 3] * (frames or 1), "<u2").tobytes()
    dataset = image(VALUES)
    del dataset[0x60000100], dataset[0x60000102]
    dataset.NumberOfFrames, dataset.SamplesPerPixel = frames, 1
    dataset.PixelData = pixels + after
    copy, _ = deidentify_dataset(dataset, Profile.of(), PlainIdentity())
    assert copy.PixelData == pixels + left
