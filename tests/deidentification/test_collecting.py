"""What is searched for in text: what the object holds in attributes that its profile removes."""

from __future__ import annotations

import io

import pydicom
from pydicom.dataset import Dataset

from simple_orthanc.deidentification.collecting import identifiers_of
from simple_orthanc.deidentification.profile import Profile
from simple_orthanc.dicom import header as elements


def patient() -> Dataset:
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "HX-4711"
    dataset.PatientBirthDate, dataset.StudyDate = "19630517", "20200102"
    dataset.StudyDescription, dataset.SeriesDescription = "Chest", "Lung"
    dataset.InstitutionName, dataset.StationName = "Saint Hilda", "CT-ROOM-5"
    dataset.Manufacturer = "Siemens"
    return dataset


def test_names_identifiers_and_dates_are_collected() -> None:
    words = identifiers_of(patient(), Profile.of()).words
    assert {"doe", "jane", "hx-4711", "19630517", "20200102", "02.01.2020", "saint hilda", "ct-room-5"} <= words
    assert words.isdisjoint({"chest", "lung", "siemens"})


def test_what_options_retain_is_not_searched_for() -> None:
    options = ["retain_institution_identity", "retain_device_identity", "retain_full_dates"]
    words = identifiers_of(patient(), Profile.of(options)).words
    assert words.isdisjoint({"saint hilda", "ct-room-5", "20200102"})
    assert "19630517" in words


def test_items_of_sequences_are_searched_too() -> None:
    dataset = patient()
    dataset.RequestAttributesSequence = [Dataset()]
    dataset.RequestAttributesSequence[0].RequestedProcedureID = "RP-815"
    dataset.ReferringPhysicianIdentificationSequence = [Dataset()]
    dataset.ReferringPhysicianIdentificationSequence[0].PersonName = "Meier^Ada"
    assert {"rp-815", "meier", "ada"} <= identifiers_of(dataset, Profile.of()).words


def test_names_are_names_whatever_the_file_says() -> None:
    dataset = Dataset()
    dataset.add_new(0x00100010, "LO", "Doe^Jane")
    assert {"doe", "jane"} <= identifiers_of(dataset, Profile.of()).words


def test_nothing_is_converted_for_it() -> None:
    buffer = io.BytesIO()
    dataset = patient()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
    buffer.seek(0)
    read = pydicom.dcmread(buffer, force=True)
    assert "jane" in identifiers_of(read, Profile.of()).words
    assert all(element.is_raw for element in elements.stored_elements(read).values())
