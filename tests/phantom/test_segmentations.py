"""Synthetic segmentations refer to the images they are drawn on, and hold the masks."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import phantom


@pytest.fixture
def images() -> list[Dataset]:
    return phantom.make_series(
        (3, 5, 7), spacing=(2.0, 1.0, 1.5), origin=(1, 2, 3), seed=1, PatientID="P7", StudyDate="20210203"
    )


def read(dataset: Dataset) -> Dataset:
    return pydicom.dcmread(BytesIO(phantom.as_bytes(dataset)))


def test_frames_are_the_masks_where_they_are_not_empty(images: list[Dataset]) -> None:
    rng = np.random.default_rng(1)
    lung, heart = rng.random((2, 3, 5, 7)) < 0.4
    lung[1] = False
    segmentation = read(phantom.make_segmentation(images, {"lung": lung, "heart": heart}, seed=2))
    assert np.array_equal(segmentation.pixel_array, np.concatenate([lung[[0, 2]], heart]).astype(np.uint8))
    frames = segmentation.PerFrameFunctionalGroupsSequence
    numbers = [frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber for frame in frames]
    heights = [frame.PlanePositionSequence[0].ImagePositionPatient[2] for frame in frames]
    assert (numbers, heights) == ([1, 1, 2, 2, 2], [3, 7, 3, 5, 7])
    assert [segment.SegmentLabel for segment in segmentation.SegmentSequence] == ["lung", "heart"]


def test_it_belongs_to_the_study_and_names_its_images(images: list[Dataset]) -> None:
    segmentation = read(phantom.make_segmentation(images, {"all": np.ones((3, 5, 7))}, seed=2))
    for keyword in ("PatientID", "StudyDate", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert segmentation[keyword].value == images[0][keyword].value
    assert segmentation.SeriesInstanceUID != images[0].SeriesInstanceUID
    (series,) = segmentation.ReferencedSeriesSequence
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence] == [
        image.SOPInstanceUID for image in images
    ]
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [1, 1.5]
    assert "PixelValueTransformationSequence" not in shared


def test_a_mask_of_another_shape_is_an_error(images: list[Dataset]) -> None:
    with pytest.raises(ValueError, match=r"'lung' has the shape \(3, 7, 5\)"):
        phantom.make_segmentation(images, {"lung": np.ones((3, 7, 5))})


def test_empty_masks_are_an_error(images: list[Dataset]) -> None:
    with pytest.raises(ValueError, match="empty"):
        phantom.make_segmentation(images, {"lung": np.zeros((3, 5, 7))})
