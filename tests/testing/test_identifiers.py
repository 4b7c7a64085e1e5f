"""Orthanc's identifiers, computed; tests/live compares them with those of servers."""

from __future__ import annotations

import io
from typing import get_args

import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import testing
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import SelectionError
from simple_orthanc.testing import as_bytes, make_series, orthanc_id_of

# From an Orthanc that stored the phantom.
PHANTOM = "651040f8-60fc1fe8-9d02ef44-f418294f-cea7bbe5"


@pytest.fixture
def image() -> Dataset:
    return make_series((1, 4, 4), seed=1, PatientID="CT-PHANTOM")[0]


def test_each_level_is_made_of_the_identifiers_down_to_it(image: Dataset) -> None:
    study, series, instance = image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID
    assert testing.orthanc_patient_id("CT-PHANTOM") == orthanc_id_of(image, "patient") == PHANTOM
    assert testing.orthanc_study_id("CT-PHANTOM", study) == orthanc_id_of(image, "study")
    assert testing.orthanc_series_id("CT-PHANTOM", study, series) == orthanc_id_of(image, "series")
    assert testing.orthanc_instance_id("CT-PHANTOM", study, series, instance) == orthanc_id_of(image)
    assert len({orthanc_id_of(image, level) for level in get_args(Level)}) == 4


def test_a_missing_patient_id_is_an_empty_one(image: Dataset) -> None:
    del image.PatientID
    assert orthanc_id_of(image, "patient") == testing.orthanc_patient_id("")
    image.PatientID = None
    assert orthanc_id_of(image, "patient") == testing.orthanc_patient_id("")


@pytest.mark.parametrize("value", ["CT-PHANTOM ", "CT-PHANTOM\0", "CT-PHANTOM\0rest"])
def test_padding_does_not_count(image: Dataset, value: str) -> None:
    image.add_new("PatientID", "LO", value)
    assert orthanc_id_of(image, "patient") == PHANTOM
    assert testing.orthanc_patient_id("CT-PHANTOM  ") == PHANTOM


def test_other_spaces_count(image: Dataset) -> None:
    image.PatientID = " CT-PHANTOM"
    assert orthanc_id_of(image, "patient") == testing.orthanc_patient_id(" CT-PHANTOM") != PHANTOM


@pytest.mark.parametrize("is_read", [False, True])
def test_several_values_and_other_characters(image: Dataset, is_read: bool) -> None:
    image.SpecificCharacterSet = "ISO_IR 100"
    image.PatientID = [" Müller", "B"]
    if is_read:
        image = pydicom.dcmread(io.BytesIO(as_bytes(image)))
    assert orthanc_id_of(image, "patient") == testing.orthanc_patient_id(" Müller\\B")


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_missing_uid_is_an_error(image: Dataset, keyword: str) -> None:
    del image[keyword]
    with pytest.raises(SelectionError, match=f"no {keyword}"):
        orthanc_id_of(image)
    assert orthanc_id_of(image, "patient") == PHANTOM


def test_an_unknown_level_is_an_error(image: Dataset) -> None:
    with pytest.raises(SelectionError, match="patient, study, series, instance"):
        orthanc_id_of(image, "frame")  # type: ignore[arg-type]
