"""Synthetic structure sets refer to the images on which they are drawn, and survive a file."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import phantom

SQUARE = [[1, 1, 0], [5, 1, 0], [5, 5, 0], [1, 5, 0]]


@pytest.fixture
def images() -> list[Dataset]:
    return phantom.make_series((3, 8, 8), spacing=(2.0, 1.0, 1.0), seed=1, PatientID="P7", StudyDate="20210203")


def read(dataset: Dataset) -> Dataset:
    return pydicom.dcmread(BytesIO(phantom.as_bytes(dataset)))


def test_structures_are_in_the_patient_study_and_frame_of_reference_of_the_images(images: list[Dataset]) -> None:
    structures = read(phantom.make_structure_set(images, {"GTV": [SQUARE]}, seed=2))
    assert structures.SOPClassUID.name == "RT Structure Set Storage"
    for keyword in ("PatientID", "PatientName", "StudyDate", "StudyInstanceUID"):
        assert structures[keyword].value == images[0][keyword].value
    assert structures.SeriesInstanceUID != images[0].SeriesInstanceUID
    (frame,) = structures.ReferencedFrameOfReferenceSequence
    assert frame.FrameOfReferenceUID == images[0].FrameOfReferenceUID


def test_each_contour_names_the_image_at_its_position(images: list[Dataset]) -> None:
    upper = [[x, y, 4] for x, y, _ in SQUARE]
    structures = read(phantom.make_structure_set(images, {"GTV": [SQUARE, upper]}, seed=2))
    contours = structures.ROIContourSequence[0].ContourSequence
    named = [contour.ContourImageSequence[0].ReferencedSOPInstanceUID for contour in contours]
    assert named == [images[0].SOPInstanceUID, images[2].SOPInstanceUID]
    assert [contour.NumberOfContourPoints for contour in contours] == [4, 4]
    assert [float(value) for value in contours[1].ContourData] == [value for point in upper for value in point]


def test_regions_keep_their_names_numbers_and_order(images: list[Dataset]) -> None:
    structures = read(phantom.make_structure_set(images, {"GTV": [SQUARE], "lung left": []}, seed=2))
    listed = [(region.ROINumber, region.ROIName) for region in structures.StructureSetROISequence]
    assert listed == [(1, "GTV"), (2, "lung left")]


def test_keywords_replace_what_is_made(images: list[Dataset]) -> None:
    structures = phantom.make_structure_set(images, {}, seed=2, StructureSetLabel="plan 3")
    assert structures.StructureSetLabel == "plan 3"


def test_the_same_seed_makes_the_same_identifiers(images: list[Dataset]) -> None:
    uids = [phantom.make_structure_set(images, {}, seed=seed).SOPInstanceUID for seed in (2, 2, 3)]
    assert uids[0] == uids[1] != uids[2]
