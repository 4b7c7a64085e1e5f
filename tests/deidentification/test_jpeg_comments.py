"""Comments and metadata in the headers of compressed frames."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit

from simple_orthanc.deidentification.cleaning import Identifiers
from simple_orthanc.deidentification.engine import deidentify_dataset
from simple_orthanc.deidentification.jpeg_comments import clear_comments, without_comments
from simple_orthanc.deidentification.profile import Profile
from tests.deidentification.identities import PlainIdentity
from tests.deidentification.objects import read, written

KNOWN = Identifiers.of(names=["Quidditch^Harry"])


def photograph(level: int) -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x013B] = "Quidditch"
    pixels = np.full((16, 16), level, "u1")
    Image.fromarray(pixels).save(
        file, "JPEG", exif=exif, comment=b"taken by Quidditch", icc_profile=b"acsp of a screen"
    )
    return file.getvalue()


def image(*frames: bytes) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.4", "1.2.3"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = len(frames), 16, 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.SamplesPerPixel = 8, 8, 7, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.PixelData = encapsulate(list(frames))
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return dataset


def test_comments_and_exif_are_cleared_and_pixels_stay() -> None:
    before = image(photograph(10), photograph(200))
    after, changes = deidentify_dataset(before, Profile.of(), PlainIdentity())
    again = read(written(after))
    assert b"Quidditch" not in again.PixelData
    assert again.PixelData.count(b"acsp of a screen") == 2
    assert len(again.PixelData) == len(before.PixelData)
    assert np.array_equal(again.pixel_array, read(written(before)).pixel_array)
    assert [change.outcome for change in changes if change.path == "PixelData"] == ["kept", "changed"]


def test_pixels_without_comments_are_the_same_object() -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((16, 16), "u1")).save(file, "JPEG")
    dataset = image(file.getvalue())
    assert clear_comments(dataset.PixelData, KNOWN) is dataset.PixelData
    assert not without_comments(dataset, JPEGBaseline8Bit, KNOWN)


def test_pixels_that_are_not_compressed_are_not_searched() -> None:
    dataset = image(photograph(1))
    assert not without_comments(dataset, ExplicitVRLittleEndian, KNOWN)


@pytest.mark.parametrize(("comment", "cleared"), [(b"by Quidditch", True), (b"Kakadu 1.2", False)])
def test_comments_of_jpeg_2000_are_cleared_if_they_hold_an_identifier(comment: bytes, cleared: bool) -> None:
    segment = b"\xff\x64" + (len(comment) + 4).to_bytes(2, "big") + b"\0\1" + comment
    frame = b"\xff\x4f" + segment + b"\xff\x90\0\x0a" + comment
    pixels = encapsulate([frame])
    dataset = image()
    dataset["PixelData"].value = pixels
    assert without_comments(dataset, JPEG2000Lossless, KNOWN) is cleared
    # Only in the header.
    assert dataset.PixelData.count(comment) == 2 - cleared
    (after,) = generate_frames(dataset.PixelData, number_of_frames=1)
    assert len(after.rstrip(b"\0")) == len(frame)


@pytest.mark.parametrize("length", range(40))
def test_frames_that_are_cut_off_do_no_harm(length: int) -> None:
    pixels = encapsulate([photograph(1)])[: 16 + length]
    assert len(clear_comments(pixels, KNOWN)) == len(pixels)
