"""New values of single elements."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement

from simple_orthanc.deidentification.cleaning import Identifiers
from simple_orthanc.deidentification.profile import Action, Profile
from simple_orthanc.deidentification.values import Values
from simple_orthanc.dicom.silence import quiet
from tests.deidentification.identities import PlainIdentity

IDENTITY = PlainIdentity()
KEEP, CLEAN, DUMMY, EMPTY, UID = Action.KEEP, Action.CLEAN, Action.DUMMY, Action.EMPTY, Action.REPLACE_UID


def values(*options: str) -> Values:
    identifiers = Identifiers.of(["HX-4711", "471108"], names=["Quidditch^Harry"])
    return Values(Profile.of(options), IDENTITY, identifiers, "HX-4711")


def element(keyword: str, value: Any, vr: str = "") -> DataElement:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    with quiet():
        return DataElement(tag, vr or dictionary_VR(tag), value)


@pytest.mark.parametrize(
    ("keyword", "value", "action", "expected"),
    [
        ("PatientName", "Doe^Jane", EMPTY, "S-0001"),
        ("ReferringPhysicianName", "Doe^Jane", EMPTY, ""),
        ("PersonName", "Doe^Jane", DUMMY, "REMOVED"),
        ("PatientID", "HX-4711 ", DUMMY, "S-0001"),
        ("PatientID", "HX-4711", EMPTY, "S-0001"),
        ("PatientID", "another", DUMMY, "REMOVED"),
        ("AccessionNumber", "1", EMPTY, "new AccessionNum"),
        ("PlacerOrderNumberImagingServiceRequest", "12", EMPTY, "new PlacerOrderN"),
        ("ROIName", "Liver of Jane", EMPTY, ""),
        ("StudyDate", "20200102", EMPTY, ""),
        ("StudyDate", "20200102", DUMMY, "19000101"),
        ("StudyDate", "20200102", CLEAN, "20190924"),
        ("StudyDate", "soon", CLEAN, None),
        ("StudyDate", "20200102", KEEP, "20200102"),
        ("StudyDate", "Quidditch", KEEP, None),
        ("StudyTime", "101112.5", CLEAN, "101112.5"),
        ("PatientAge", "094Y", KEEP, "090Y"),
        ("PatientAge", "050Y", KEEP, "050Y"),
        ("StudyInstanceUID", "1.2.3", UID, IDENTITY.uid("1.2.3")),
        ("StudyInstanceUID", "1.2.3", KEEP, "1.2.3"),
        ("StudyInstanceUID", "Quidditch", KEEP, IDENTITY.uid("Quidditch")),
        ("FrameOfReferenceUID", "1.2.840.10008.1.4.1.1", UID, "1.2.840.10008.1.4.1.1"),
        ("FrameOfReferenceUID", "1.2.840.10008.HX", UID, IDENTITY.uid("1.2.840.10008.HX")),
        ("FrameOfReferenceUID", "1.2.840.10008.471108", UID, IDENTITY.uid("1.2.840.10008.471108")),
        ("IrradiationEventUID", ["1.2.3", "1.2.4"], UID, [IDENTITY.uid("1.2.3"), IDENTITY.uid("1.2.4")]),
        ("SOPClassUID", "1.3.12.2.99", KEEP, "1.3.12.2.99"),
        ("StudyDescription", "Knee of Quidditch", CLEAN, "Knee of"),
        ("StudyDescription", "Quidditch", CLEAN, "REMOVED"),
        ("RetrieveAETitle", "CT123456", CLEAN, "CT123456"),
        ("RetrieveAETitle", "AE-471108", CLEAN, "AE-"),
        ("PatientState", "45F stable", CLEAN, "stable"),
        ("Manufacturer", "Quidditch Medical", CLEAN, "Quidditch Medical"),
        ("Manufacturer", "for Harry Quidditch", CLEAN, "REMOVED"),
        ("RescaleType", "SUV HX-4711", CLEAN, "REMOVED"),
        ("SegmentLabel", "Liver of Quidditch", CLEAN, "Liver of"),
        ("BodyPartExamined", "KNEE", CLEAN, "KNEE"),
        ("ScanOptions", ["FAST", "QUIDDITCH", "QUIDDITCH HARRY"], CLEAN, ["FAST", "QUIDDITCH", "REMOVED"]),
        ("SoftwareVersions", ["a", "b"], DUMMY, ["REMOVED", "REMOVED"]),
        ("TimezoneOffsetFromUTC", "+0100", CLEAN, "+0100"),
        ("TimezoneOffsetFromUTC", "Quidditch", KEEP, None),
        ("InstanceNumber", "471108", KEEP, ""),
        ("SelectorATValue", 0x00100010, DUMMY, 0x00100010),
        ("Rows", 512, DUMMY, 0),
        ("EncapsulatedDocument", b"%PDF", DUMMY, b"\0\0"),
        ("EncapsulatedDocument", b"%PDF", EMPTY, b""),
        ("EncapsulatedDocument", b"%PDF", CLEAN, None),
        ("ICCProfile", b"by quidditch", KEEP, None),
        ("ICCProfile", b"acsp", KEEP, b"acsp"),
        ("SpecificCharacterSet", ["", "ISO 2022 IR 87"], CLEAN, ["", "ISO 2022 IR 87"]),
        ("SpecificCharacterSet", "utf-8", CLEAN, "utf-8"),
        ("SpecificCharacterSet", "QUIDDITCH", CLEAN, None),
        ("SpecificCharacterSet", ["ISO_IR 100", "ISO 471108"], CLEAN, None),
        ("StudyDescription", "", DUMMY, ""),
        ("StudyDescription", "x", Action.REMOVE, None),
    ],
)
def test_the_new_value(keyword: str, value: Any, action: Action, expected: Any) -> None:
    assert values("retain_modified_dates").new_value(element(keyword, value), action) == expected


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("CodeValue", "471108"),
        ("CodeValue", "T-A0100"),
        ("CodeValue", "mm"),
        ("CodingSchemeDesignator", "DCM"),
        ("CodeMeaning", "Knee"),
        ("SliceThickness", "1.50"),
    ],
)
def test_what_does_not_change_is_the_same_object(keyword: str, value: str) -> None:
    before = element(keyword, value)
    assert values().new_value(before, CLEAN, "DCM") is before.value


def test_a_local_code_may_be_an_identifier() -> None:
    assert values().new_value(element("CodeValue", "471108"), CLEAN, "99LOCAL") == "REMOVED"
    assert values().new_value(element("CodeMeaning", "Quidditch"), CLEAN, "99LOCAL") == "REMOVED"
    assert values().new_value(element("CodeMeaning", "Quidditch"), CLEAN, "DCM") == "Quidditch"
    assert values().new_value(element("CodeValue", "HX-4711"), CLEAN, "DCM") == "REMOVED"
    assert values().new_value(element("CodeValue", "Quidditch^Harry"), CLEAN, "DCM") == "REMOVED"
    assert values().new_value(element("CodeMeaning", "HX-4711"), CLEAN, "DCM") == "REMOVED"


UID_IN_TEXT = "1.2.826.0.1.3680043.9999.4.5.6"


@pytest.mark.parametrize(
    ("keyword", "text", "expected"),
    [
        ("StudyDescription", f"copy of {UID_IN_TEXT}", "copy of"),
        ("SegmentDescription", UID_IN_TEXT, "REMOVED"),
        ("Manufacturer", UID_IN_TEXT, "REMOVED"),
    ],
)
def test_uids_are_removed_from_text(keyword: str, text: str, expected: str) -> None:
    assert values().new_value(element(keyword, text), CLEAN) == expected
    assert values("retain_uids").new_value(element("Manufacturer", text), CLEAN) == text


def test_decimal_strings_without_a_number_are_emptied() -> None:
    assert values().new_value(element("SliceThickness", ["1.5", "-2e3"], "LO"), KEEP) == ["1.5", "-2e3"]
    number = element("SliceThickness", "1.5")
    number._value = "Quidditch"
    assert values().new_value(number, KEEP) == ""


@pytest.mark.parametrize("vr", ["CS", "AE", "UR"])
def test_strings_that_no_character_set_applies_to_are_ascii(vr: str) -> None:
    # The bytes of a name in UTF-8, as pydicom reads them in such an element.
    found = element("GeneticModificationsDescription", "Harry-Øyvind".encode().decode("latin-1"), vr)
    assert "yvind" not in str(values().new_value(found, CLEAN))
    plain = element("GeneticModificationsDescription", "NONE", vr)
    assert values().new_value(plain, CLEAN) is plain.value
