"""What is copied of patient and study."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicom.silence import quiet
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.volume.writing.study import patient_and_study

NAMES = {"ISO_IR 100": "Müller^Jörg", "ISO_IR 144": "Люксембург", "ISO_IR 192": "王^小东"}


def written(header: Dataset) -> Dataset:
    """The attributes in a file of their own, read again."""
    file = make_series((1, 4, 4))[0]
    file.update(patient_and_study(header))
    with quiet():
        return pydicom.dcmread(BytesIO(as_bytes(file)))


@pytest.mark.parametrize("charset", NAMES)
def test_strings_of_any_character_set(charset: str) -> None:
    other = Dataset()
    other.PatientID = "other " + NAMES[charset][:3]
    image = make_series(
        (1, 4, 4),
        SpecificCharacterSet=charset,
        PatientName=NAMES[charset],
        OtherPatientIDsSequence=[[other]],
        StudyDescription=NAMES[charset],
    )[0]
    header = pydicom.dcmread(BytesIO(as_bytes(image)))
    found = written(header)
    assert found.SpecificCharacterSet == "ISO_IR 192"
    assert str(found.PatientName) == found.StudyDescription == NAMES[charset]
    assert found.OtherPatientIDsSequence[0].PatientID == other.PatientID


def test_values_that_are_wrong_stay_as_they_are() -> None:
    header = make_series((1, 4, 4))[0]
    with quiet():
        header.add_new("PatientSex", "CS", "weiblich")
        header.add_new("PatientBirthDate", "DA", "unknown")
    header.add_new("StudyDescription", "LO", ["one", "two"])
    found = written(header)
    assert (found.PatientSex, found.PatientBirthDate) == ("weiblich", "unknown")
    assert list(found.StudyDescription) == ["one", "two"]


def test_what_is_missing_is_empty_where_it_must_be_present() -> None:
    found = patient_and_study(Dataset())
    assert found.PatientID == ""
    assert found.StudyDate == ""
    assert "StudyInstanceUID" not in found


def test_nothing_of_the_series_is_copied() -> None:
    header = make_series((1, 4, 4), SeriesDescription="thin")[0]
    header.add_new(0x00110010, "LO", "MAKER")
    found = patient_and_study(header)
    assert not {"SeriesDescription", "Modality", "Rows"} & set(found.dir())
    assert 0x00110010 not in found
