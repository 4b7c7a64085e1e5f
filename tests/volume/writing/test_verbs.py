"""The verb of a volume that writes it."""

from __future__ import annotations

import numpy as np
import pytest

from simple_orthanc import SelectionError
from tests.volume.helpers import read
from tests.volume.writing.volumes import source


def test_a_result_is_written_in_the_study_of_what_it_was_made_from() -> None:
    image = source("CT")
    filtered = image.with_array(image.array * 0.5)
    series = filtered.to_dicom(SeriesDescription="half", SeriesNumber=900)
    assert series[0].StudyInstanceUID == image.header.StudyInstanceUID
    back = read(series)
    assert np.allclose(back.array, filtered.array, atol=0.02)
    assert back.geometry == image.geometry


def test_another_source_can_be_named() -> None:
    image = source("CT")
    other = source("MR", seed=2, FrameOfReferenceUID=image.header.FrameOfReferenceUID)
    for like in (other, other.header):
        assert image.to_dicom(like=like)[0].StudyInstanceUID == other.header.StudyInstanceUID


def test_tags_of_another_patient_are_refused() -> None:
    with pytest.raises(SelectionError, match="PatientID"):
        source("CT").to_dicom(PatientID="another")
