"""Structured reports, item by item."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.deidentification.content import is_characteristic
from simple_orthanc.deidentification.engine import deidentify_dataset
from simple_orthanc.deidentification.profile import Profile
from tests.deidentification.identities import PlainIdentity


def code(value: str, scheme: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def item(kind: str, concept: Dataset, **values: object) -> Dataset:
    made = Dataset()
    made.RelationshipType, made.ValueType = "CONTAINS", kind
    made.ConceptNameCodeSequence = [concept]
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def report() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.3"
    dataset.PatientName = "Quidditch^Harry"
    dataset.ValueType = "CONTAINER"
    measured = Dataset()
    measured.NumericValue = "12.5"
    measured.MeasurementUnitsCodeSequence = [code("mm", "UCUM", "mm")]
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    inner = item("TEXT", code("121071", "DCM", "Finding"), TextValue="Harry Quidditch has a lesion")
    dataset.ContentSequence = [
        item("NUM", code("410668003", "SCT", "Length"), MeasuredValueSequence=[measured]),
        item("CODE", code("121071", "DCM", "Finding"), ConceptCodeSequence=[code("52988006", "SCT", "Lesion")]),
        item("PNAME", code("121008", "DCM", "Person Observer Name"), PersonName="Snape^Severus"),
        item("DATETIME", code("111060", "DCM", "Study Date"), DateTime="20200102101112"),
        item("UIDREF", code("112039", "DCM", "Tracking"), UID="1.2.3.5"),
        item("IMAGE", code("121112", "DCM", "Source of Measurement"), ReferencedSOPSequence=[image]),
        item("NUM", code("121033", "DCM", "Subject Age"), MeasuredValueSequence=[measured]),
        item("CONTAINER", code("121070", "DCM", "Findings"), ContentSequence=[inner]),
    ]
    return dataset


def test_the_basic_profile_replaces_all_content() -> None:
    after, _ = deidentify_dataset(report(), Profile.of(), PlainIdentity())
    assert [item.TextValue for item in after.ContentSequence] == ["REMOVED"]


def test_cleaned_content_keeps_codes_numbers_and_references() -> None:
    profile = Profile.of(["clean_structured_content"])
    after, _ = deidentify_dataset(report(), profile, PlainIdentity())
    length, finding, person, moment, uid, image, container = after.ContentSequence
    assert length.MeasuredValueSequence[0].NumericValue == 12.5
    assert finding.ConceptCodeSequence[0].CodeMeaning == "Lesion"
    assert person.PersonName == "REMOVED"
    assert moment.DateTime == "19000101000000"
    assert PlainIdentity().uid("1.2.3.5") == uid.UID
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == PlainIdentity().uid("1.2.3.4")
    assert container.ContentSequence[0].TextValue == "REMOVED"


def test_with_clean_descriptors_text_is_cleaned() -> None:
    profile = Profile.of(["clean_structured_content", "clean_descriptors", "retain_modified_dates"])
    after, _ = deidentify_dataset(report(), profile, PlainIdentity())
    assert after.ContentSequence[-1].ContentSequence[0].TextValue == "has a lesion"
    assert after.ContentSequence[3].DateTime == "20190924101112"


@pytest.mark.parametrize("retained", [True, False])
def test_what_describes_the_patient_is_removed_unless_it_is_retained(retained: bool) -> None:
    options = ["clean_structured_content", *(["retain_patient_characteristics"] if retained else [])]
    after, _ = deidentify_dataset(report(), Profile.of(options), PlainIdentity())
    assert len(after.ContentSequence) == 7 + retained


@pytest.mark.parametrize("dates", ["retain_full_dates", "retain_modified_dates"])
def test_who_the_subject_is_is_removed_whatever_is_retained(dates: str) -> None:
    dataset = report()
    birth = item("DATE", code("121031", "DCM", "Subject Birth Date"), Date="19630517")
    name = item("PNAME", code("121029", "DCM", "Subject Name"), PersonName="Quidditch^Harry")
    number = item("TEXT", code("121030", "DCM", "Subject ID"), TextValue="another identifier")
    dataset.ContentSequence = [birth, name, number, item("CONTAINER", code("1", "X", "x"), ContentSequence=[birth])]
    options = ["clean_structured_content", "clean_descriptors", "retain_patient_characteristics", dates]
    (container,) = deidentify_dataset(dataset, Profile.of(options), PlainIdentity())[0].ContentSequence
    assert list(container.ContentSequence) == []


@pytest.mark.parametrize(("age", "unit", "kept"), [("89", "a", 1), ("94", "a", 0), ("94", "", 0), ("94", "mo", 1)])
def test_ages_over_89_are_no_content(age: str, unit: str, kept: int) -> None:
    dataset, measured = report(), Dataset()
    measured.NumericValue = age
    measured.MeasurementUnitsCodeSequence = [code(unit, "UCUM", unit)]
    dataset.ContentSequence = [item("NUM", code("121033", "DCM", "Subject Age"), MeasuredValueSequence=[measured])]
    profile = Profile.of(["clean_structured_content", "retain_patient_characteristics"])
    assert len(deidentify_dataset(dataset, profile, PlainIdentity())[0].ContentSequence) == kept


def test_only_known_concepts_describe_the_patient() -> None:
    assert is_characteristic(item("CODE", code("121032", "DCM", "Subject Sex")))
    assert not is_characteristic(item("CODE", code("121032", "99LOCAL", "Something else")))
    assert not is_characteristic(Dataset())
