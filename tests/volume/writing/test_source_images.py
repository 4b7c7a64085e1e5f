"""What is written of the images that a segmentation belongs to."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import SelectionError, UnknownTagError, UnsupportedError, Volume, VolumeError
from simple_orthanc.phantom import as_bytes, make_enhanced
from simple_orthanc.volume.writing.segmentations import segmentation_of
from tests.volume.writing.helpers import SHAPE, archive, boxes, ct_in, images
from tests.volume.writing.test_series import mandatory_attributes


class TestReferences:
    def test_the_object_belongs_to_the_study_of_its_images(self, tmp_path: Path) -> None:
        slices = images(StudyDescription="Thorax", PatientSex="")
        ct = ct_in(tmp_path, slices)
        dataset = pydicom.dcmread(BytesIO(as_bytes(segmentation_of(boxes(), ct))))
        for keyword in ("PatientID", "StudyInstanceUID", "StudyDescription", "FrameOfReferenceUID", "PatientSex"):
            assert dataset[keyword].value == slices[0][keyword].value
        assert str(dataset.PatientName) == "Müller^Jörg"
        assert dataset.SeriesInstanceUID != slices[0].SeriesInstanceUID
        (series,) = dataset.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == slices[0].SeriesInstanceUID
        assert [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence] == [
            image.SOPInstanceUID for image in slices
        ]
        positions = {tuple(image.ImagePositionPatient): image for image in slices}
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            (source,) = frame.DerivationImageSequence[0].SourceImageSequence
            image = positions[tuple(frame.PlanePositionSequence[0].ImagePositionPatient)]
            assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
            assert source.ReferencedSOPClassUID == image.SOPClassUID
            assert "ReferencedFrameNumber" not in source

    def test_images_of_many_frames_are_referred_to_by_frame(self, tmp_path: Path) -> None:
        image = make_enhanced((4, 5, 6), seed=3)
        ct = ct_in(tmp_path, [image])
        mask = np.zeros((4, 5, 6), bool)
        mask[1:3, 2, 2] = True
        dataset = segmentation_of({"lesion": mask}, ct)
        found = archive(tmp_path, dataset).select(Modality="SEG").get_masks()["lesion"]
        assert np.array_equal(found.array, mask)
        assert found.geometry == ct.geometry
        numbers = {}
        for number, frame in enumerate(image.PerFrameFunctionalGroupsSequence, 1):
            numbers[tuple(frame.PlanePositionSequence[0].ImagePositionPatient)] = number
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            (item,) = frame.DerivationImageSequence[0].SourceImageSequence
            assert item.ReferencedSOPInstanceUID == image.SOPInstanceUID
            assert item.ReferencedFrameNumber == numbers[tuple(frame.PlanePositionSequence[0].ImagePositionPatient)]
        (series,) = dataset.ReferencedSeriesSequence
        assert len(series.ReferencedInstanceSequence) == 1


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL", "map"])
def test_everything_that_the_class_demands_is_there(tmp_path: Path, kind: Any) -> None:
    ct = ct_in(tmp_path, images())
    mask = {"a": boxes()["left"]}
    made = ct.to_parametric_map() if kind == "map" else ct.masks_to_dicom(mask, kind=kind)
    for keyword, demanded in mandatory_attributes(made.SOPClassUID):
        assert keyword in made, keyword
        assert demanded == "2" or not made[keyword].is_empty, keyword


class TestRefusals:
    def test_images_that_are_not_known(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images())
        with pytest.raises(VolumeError, match="like=images"):
            segmentation_of({"a": np.zeros(SHAPE, bool)})
        with pytest.raises(VolumeError, match=r"no StudyInstanceUID.*like=images"):
            segmentation_of(Volume(np.zeros(SHAPE, bool), ct.geometry, Dataset()))
        with pytest.raises(VolumeError, match="no position in the patient"):
            segmentation_of({"a": np.zeros(SHAPE, bool)}, replace(ct, geometry=None))
        found = archive(tmp_path, segmentation_of(boxes(), ct)).select(Modality="SEG").get_masks()
        with pytest.raises(VolumeError, match=r"that of a SEG object.*like=images"):
            segmentation_of({"a": found["left"]})

    def test_another_frame_of_reference(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images())
        other = ct.with_array(boxes()["left"], units="mask")
        header = Dataset()
        header.FrameOfReferenceUID = "1.2.3"
        with pytest.raises(VolumeError, match=r"frame of reference 1\.2\.3.*registered"):
            segmentation_of(replace(other, header=header), ct)

    def test_highdicom_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ct = ct_in(tmp_path, images())
        monkeypatch.setitem(sys.modules, "highdicom", None)
        with pytest.raises(UnsupportedError, match=r"simple-orthanc\[seg\]"):
            segmentation_of(boxes(), ct)


class TestTags:
    def test_tags_of_the_user(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images(SeriesNumber=4, SeriesDescription="thin", StudyDescription="Thorax"))
        found = ct.masks_to_dicom(boxes())
        assert (found.SeriesNumber, found.SeriesDescription) == (1004, "thin (segmentation)")
        found = ct.masks_to_dicom(boxes(), SeriesNumber=9, SeriesDescription="organs", StudyDescription="Thorax")
        assert (found.SeriesNumber, found.SeriesDescription) == (9, "organs")

    @pytest.mark.parametrize(
        ("tags", "message"),
        [
            ({"SeriesDescripton": "x"}, "SeriesDescription"),
            ({"PatientID": "other"}, "PatientID was given, but the source"),
            ({"Rows": 3}, "Rows was given"),
            ({"SegmentSequence": []}, "SegmentSequence was given, but it follows"),
        ],
    )
    def test_tags_that_cannot_be_given(self, tmp_path: Path, tags: dict[str, Any], message: str) -> None:
        ct = ct_in(tmp_path, images())
        with pytest.raises((SelectionError, UnknownTagError), match=message):
            ct.masks_to_dicom(boxes(), **tags)
