"""The rule for attributes that Table E.1-1 does not list."""

from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from simple_orthanc.deidentification.profile import Action, Profile
from simple_orthanc.deidentification.table import row_of
from simple_orthanc.deidentification.unlisted import contradicts, is_typed_by_people, names_a_class, unlisted_action

BASIC = Profile.of()


def action(keyword: str, profile: Profile = BASIC) -> Action:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    assert row_of(tag) is None
    return unlisted_action(tag, dictionary_VR(tag), profile)


@pytest.mark.parametrize(
    ("keyword", "expected"),
    [
        ("Rows", Action.KEEP),
        ("SliceThickness", Action.KEEP),
        ("PixelData", Action.KEEP),
        ("ICCProfile", Action.KEEP),
        ("RedPaletteColorLookupTableData", Action.KEEP),
        ("PerFrameFunctionalGroupsSequence", Action.KEEP),
        ("FrameIncrementPointer", Action.KEEP),
        ("SOPClassUID", Action.KEEP),
        ("ReferencedSOPClassUID", Action.KEEP),
        ("CodingSchemeUID", Action.KEEP),
        ("VolumeFrameOfReferenceUID", Action.REPLACE_UID),
        ("ReferencedFiducialUID", Action.REPLACE_UID),
        ("Modality", Action.CLEAN),
        ("Manufacturer", Action.CLEAN),
        ("CodeMeaning", Action.CLEAN),
        ("SegmentDescription", Action.CLEAN),
        ("TextValue", Action.DUMMY),
        ("DocumentTitle", Action.DUMMY),
        ("CalculationComment", Action.DUMMY),
        ("EvaluatorName", Action.DUMMY),
        ("DateOfGainCalibration", Action.DUMMY),
        ("TimeOfGainCalibration", Action.DUMMY),
        ("MoveOriginatorApplicationEntityTitle", Action.REMOVE),
        ("RetrieveURL", Action.REMOVE),
        ("HPGLDocument", Action.REMOVE),
        ("EncryptedAttributesSequence", Action.REMOVE),
        ("MACParametersSequence", Action.REMOVE),
        ("PrivateDataElementCharacteristicsSequence", Action.REMOVE),
        ("DocumentAuthorTrial", Action.REMOVE),
        ("BibliographicCitationTrial", Action.REMOVE),
        ("PatientBirthDateInAlternativeCalendar", Action.REMOVE),
        ("PatientDeathDateInAlternativeCalendar", Action.REMOVE),
        ("PatientBodyMassIndex", Action.REMOVE),
        ("NTPSourceAddress", Action.REMOVE),
        ("ContactDisplayName", Action.DUMMY),
        ("BreedRegistrationNumber", Action.DUMMY),
        ("LocalNamespaceEntityID", Action.DUMMY),
        ("UniversalEntityID", Action.DUMMY),
    ],
)
def test_what_becomes_of_it(keyword: str, expected: Action) -> None:
    assert action(keyword) is expected


@pytest.mark.parametrize(
    ("keyword", "option", "expected"),
    [
        ("DateOfGainCalibration", "retain_full_dates", Action.KEEP),
        ("DateOfGainCalibration", "retain_modified_dates", Action.CLEAN),
        ("ReferencedFiducialUID", "retain_uids", Action.KEEP),
        ("TextValue", "clean_descriptors", Action.CLEAN),
        ("SendingApplicationEntityTitle", "retain_device_identity", Action.REMOVE),
        ("PrivateDataElementCharacteristicsSequence", "retain_safe_private", Action.KEEP),
        ("PatientBodyMassIndex", "retain_patient_characteristics", Action.KEEP),
        ("PatientBirthDateInAlternativeCalendar", "retain_full_dates", Action.REMOVE),
        ("NTPSourceAddress", "retain_device_identity", Action.CLEAN),
        ("UniversalEntityID", "retain_institution_identity", Action.CLEAN),
    ],
)
def test_options_change_it(keyword: str, option: str, expected: Action) -> None:
    assert action(keyword, Profile.of([option])) is expected


@pytest.mark.parametrize(
    ("keyword", "vr", "expected"),
    [("EvaluatorName", "LO", Action.DUMMY), ("RetrieveURL", "UT", Action.REMOVE), ("RecordKey", "OW", Action.REMOVE)],
)
def test_another_vr_of_the_same_kind_changes_nothing(keyword: str, vr: str, expected: Action) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    assert unlisted_action(tag, vr, BASIC) is expected


@pytest.mark.parametrize(
    ("keyword", "vr"),
    [("BeamName", "LO"), ("RTImageName", "LO"), ("AcquisitionProtocolName", "LO"), ("ContentLabel", "CS")],
)
def test_names_that_planners_and_operators_type_may_hold_a_patients(keyword: str, vr: str) -> None:
    assert is_typed_by_people(keyword, vr)


def test_what_pydicom_does_not_know_is_removed() -> None:
    assert unlisted_action(0x00180FFE, "DS", BASIC) is Action.REMOVE


@pytest.mark.parametrize(
    ("tag", "vr", "expected"),
    [
        (0x00180050, "DS", False),
        (0x00180050, "LO", True),
        (0x00180050, "UN", True),
        (0x00080018, "LO", True),
        (0x00080020, "LO", True),
        (0x00100010, "LO", False),
        (0x7FE00010, "OB", False),
        (0x00283006, "US", False),
        (0x00080008, "LO", False),
        (0x00180FFE, "LO", False),
    ],
)
def test_a_vr_of_another_kind_contradicts(tag: int, vr: str, expected: bool) -> None:
    assert contradicts(tag, vr) is expected


def test_text_of_another_vr_is_treated_as_the_dictionary_has_it() -> None:
    notes = tag_for_keyword("ReceiverNotes")
    assert notes is not None
    assert unlisted_action(notes, "CS", BASIC) is Action.DUMMY
    assert unlisted_action(notes, "PN", BASIC) is Action.DUMMY
    assert unlisted_action(0x00080070, "PN", BASIC) is Action.DUMMY
    assert unlisted_action(0x00080070, "CS", BASIC) is Action.CLEAN


def test_classes_are_told_from_instances() -> None:
    assert names_a_class("OriginalSpecializedSOPClassUID")
    assert names_a_class("EncryptedContentTransferSyntaxUID")
    assert not names_a_class("SOPInstanceUIDOfConcatenationSource")
