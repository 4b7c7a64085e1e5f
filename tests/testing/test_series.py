"""Series of every modality are read without force, have the geometry and the values asked for, and are complete."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Folder, NoPixelDataError
from simple_orthanc.testing import as_bytes, make_series

MODALITIES = ("CT", "MR", "PT", "US", "CR", "RTDOSE", "SEG", "RTSTRUCT", "SC", "DOC")
# Of each modality some attributes that must have a value (type 1 in PS3.3), and where.
REQUIRED = {
    "CT": "ImageType RescaleSlope RescaleIntercept RescaleType PatientPosition",
    "MR": "ImageType ScanningSequence SequenceVariant EchoTime RepetitionTime",
    "PT": "ImageType Units CountsSource SeriesType CorrectedImage DecayCorrection FrameReferenceTime ImageIndex "
    "NumberOfSlices ActualFrameDuration AcquisitionDate AcquisitionTime",
    "US": "ImageType SamplesPerPixel PhotometricInterpretation",
    "CR": "BitsStored PixelRepresentation",
    "RTDOSE": "DoseUnits DoseType DoseSummationType DoseGridScaling GridFrameOffsetVector FrameIncrementPointer "
    "NumberOfFrames ReferencedRTPlanSequence",
    "SEG": "SegmentSequence SegmentationType ContentLabel DimensionIndexSequence ReferencedSeriesSequence "
    "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence",
    "RTSTRUCT": "StructureSetLabel StructureSetDate StructureSetROISequence ROIContourSequence",
    "SC": "ConversionType",
    "DOC": "ConversionType",
}


def read(dataset: Dataset) -> Dataset:
    return pydicom.dcmread(io.BytesIO(as_bytes(dataset)))


def folder_of(path: Path, series: list[Dataset]) -> Folder:
    for number, dataset in enumerate(series):
        (path / f"{dataset.Modality}{number}.dcm").write_bytes(as_bytes(dataset))
    return Folder(path)


@pytest.mark.parametrize("modality", MODALITIES)
def test_files_are_complete(modality: str) -> None:
    series = [read(dataset) for dataset in make_series((3, 6, 5), modality=modality, seed=1)]
    assert len(series) == (1 if modality in ("RTDOSE", "SEG", "RTSTRUCT") else 3)
    for image in series:
        assert image.file_meta.MediaStorageSOPClassUID == image.SOPClassUID
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
        assert image.Modality == {"SC": "OT"}.get(modality, modality)
        for keyword in REQUIRED[modality].split():
            assert image.get(keyword) not in (None, "", []), keyword
    assert len({image.SOPInstanceUID for image in series}) == len(series)


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_seed_decides_the_uids(modality: str) -> None:
    one, same, other, fresh = (make_series(modality=modality, seed=seed) for seed in (1, 1, 2, None))
    assert list(map(as_bytes, one)) == list(map(as_bytes, same))
    assert len({series[0].SOPInstanceUID for series in (one, other, fresh)}) == 3


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_series_like_another_is_in_its_study(modality: str) -> None:
    (first, *_) = make_series(seed=1, PatientID="P7", StudyDescription="knee")
    for seed in (1, 2, None):
        (image, *_) = make_series(modality=modality, seed=seed, like=first)
        assert (image.PatientID, image.StudyInstanceUID) == ("P7", first.StudyInstanceUID)
        assert image.SeriesInstanceUID != first.SeriesInstanceUID


@pytest.mark.parametrize(("modality", "units"), [("CT", "HU"), ("MR", ""), ("PT", "BQML"), ("CR", "")])
def test_volumes_have_the_geometry_and_the_values(modality: str, units: str, tmp_path: Path) -> None:
    stored = np.arange(60, dtype="uint16").reshape(3, 4, 5)
    orientation = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    series = make_series(
        array=stored, modality=modality, spacing=(2.0, 0.5, 0.75), origin=(5, 6, 7), orientation=orientation, seed=1
    )
    volume = folder_of(tmp_path, series).get_volume(units="modality")
    assert np.array_equal(volume.array, stored.astype(float) - (1024 if modality == "CT" else 0))
    assert volume.geometry.spacing == (0.75, 0.5, 2.0)
    assert series[0].ImagePositionPatient == [5, 6, 7]
    assert units in str(volume.units)


def test_pet_has_what_suv_needs(tmp_path: Path) -> None:
    stored = np.full((2, 4, 4), 1000, "uint16")
    volume = folder_of(tmp_path, make_series(array=stored, modality="PT")).get_volume(units="SUVbw")
    # One hour of decay of 350 MBq in 70 kg.
    assert volume.array[0, 0, 0] == pytest.approx(1000 * 70_000 / (350e6 * 0.5 ** (3600 / 6586.2)), rel=1e-5)


def test_dose_is_scaled(tmp_path: Path) -> None:
    (dose,) = make_series((3, 4, 5), modality="RTDOSE", spacing=(2.5, 1, 1), origin=(0, 0, -10), DoseGridScaling=0.5)
    volume = folder_of(tmp_path, [dose]).get_volume()
    assert volume.array[:, 0, 0].tolist() == [0, 0.5, 1]
    assert volume.geometry.spacing == (1, 1, 2.5)
    assert volume.geometry.origin == (0, 0, -10)


@pytest.mark.parametrize("modality", ["SEG", "RTSTRUCT"])
def test_masks_lie_on_the_images(modality: str, tmp_path: Path) -> None:
    images = make_series((3, 6, 5), spacing=(2, 1, 1), seed=1)
    inside = np.zeros((3, 6, 5), bool)
    inside[:, 1:-1, 1:-1] = True
    session = folder_of(
        tmp_path, [*images, *make_series((3, 6, 5), modality=modality, spacing=(2, 1, 1), like=images[0])]
    )
    like = session.copy().select(Modality="CT").get_volume()
    (mask,) = session.select(Modality=modality).get_masks(like=like).values()
    if modality == "SEG":
        assert np.array_equal(mask.array, inside)
    else:
        # A contour goes through the centres of the outermost pixels.
        assert mask.array[:, 2:-2, 2:-2].all()
        assert not mask.array[~inside].any()


def test_a_segmentation_of_given_labels(tmp_path: Path) -> None:
    labels = np.zeros((3, 4, 5), int)
    labels[2, 1, 3] = 7
    (segmentation,) = make_series(array=labels, modality="SEG")
    assert segmentation.NumberOfFrames == 1
    assert np.argwhere(read(segmentation).pixel_array).tolist() == [[1, 3]]


def test_colour_and_lists_of_values() -> None:
    colour = np.zeros((2, 4, 4, 3), np.uint8)
    colour[1, 0, 0] = (255, 0, 7)
    series = make_series(array=colour, modality="US", InstanceNumber=[5, 4])
    assert read(series[1]).pixel_array[0, 0].tolist() == [255, 0, 7]
    assert [image.InstanceNumber for image in series] == [5, 4]


def test_tags_can_be_left_out() -> None:
    (image, *_) = make_series(modality="PT", Units=None, PatientName="Other")
    assert "Units" not in image
    assert image.PatientName == "Other"


def test_structure_sets_have_no_pixels(tmp_path: Path) -> None:
    with pytest.raises(NoPixelDataError):
        folder_of(tmp_path, make_series(modality="RTSTRUCT")).get_volume()


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(ValueError, match=r"float64.*DoseGridScaling"):
        make_series(array=np.zeros((2, 4, 4)), modality="RTDOSE")
    with pytest.raises(ValueError, match="empty"):
        make_series(array=np.zeros((2, 4, 4), int), modality="SEG")
    with pytest.raises(ValueError, match="one value per slice"):
        make_series((3, 4, 4), modality="PT", InstanceNumber=[1, 2])


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -1, 1), (1, 1, float("nan")), (1, 1), "x", 2.0, (1, 1, "1")])
def test_a_spacing_is_three_positive_numbers(spacing: Any) -> None:
    with pytest.raises(ValueError, match="three positive numbers"):
        make_series(spacing=spacing)
