"""The tags that a user gives are checked before anything is written."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import SelectionError, UnknownTagError
from simple_orthanc.phantom import make_series
from simple_orthanc.volume.writing.user_tags import check_tags

HEADER = make_series(PatientID="P1", PatientName="Doe^Jane", StudyDescription="head")[0]


def test_values_of_every_kind() -> None:
    item = Dataset()
    item.CodeValue = "1"
    found = check_tags(
        {
            "SeriesNumber": 7,
            "SliceThickness": 1 / 3,
            "ImageType": ("DERIVED", "SECONDARY", "T1 MAP"),
            "WindowCenter": [40, 1 / 3],
            "SeriesDescriptionCodeSequence": [item],
            "BodyPartExamined": None,
            "OperatorsName": "Süß^Jörg",
        },
        HEADER,
    )
    assert str(found.SliceThickness) == "0.33333333333333"
    assert found.ImageType == ["DERIVED", "SECONDARY", "T1 MAP"]
    assert found["BodyPartExamined"].is_empty
    assert found.SeriesDescriptionCodeSequence[0].CodeValue == "1"


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"SeriesDescripton": "x"}, "Did you mean SeriesDescription"),
        ({"0008,103E": "x"}, "keywords such as SeriesDescription"),
        ({"SeriesNumber": "seven"}, "SeriesNumber='seven' was given"),
        ({"SeriesDescription": "x" * 65}, "VR LO cannot hold"),
        ({"SliceThickness": "thin"}, "SliceThickness='thin'"),
        ({"RequestAttributesSequence": ["x"]}, "VR SQ cannot hold"),
        ({"Rows": 4}, "Rows was given, but it follows from"),
        ({"SOPInstanceUID": "1.2"}, "SOPInstanceUID was given"),
        ({"SegmentationType": "FRACTIONAL"}, "SegmentationType was given, but it follows from"),
        ({"MaximumFractionalValue": 3}, "MaximumFractionalValue was given"),
        ({"EncapsulatedDocument": b"x"}, "EncapsulatedDocument was given"),
        ({"TransferSyntaxUID": "1.2"}, "belongs to a message or a file"),
        ({"AffectedSOPClassUID": "1.2"}, "belongs to a message or a file"),
        ({"ImageType": ("ORIGINAL", "PRIMARY")}, "begins with DERIVED"),
        ({"SeriesInstanceUID": HEADER.SeriesInstanceUID}, "that of the source"),
        ({"Units": "GML"}, r"volume.with_array\(volume.array, units="),
        ({"PatientID": "P2"}, "PatientID was given, but the source of the volume has another value"),
        ({"StudyDescription": "neck"}, "StudyDescription was given"),
        ({"PatientWeight": 70}, "has no value of it"),
        ({"StudyInstanceUID": "1.2.3"}, "Leave StudyInstanceUID out"),
        ({"FrameOfReferenceUID": "1.2.3"}, "Leave FrameOfReferenceUID out"),
    ],
)
def test_what_is_refused(tags: dict[str, Any], problem: str) -> None:
    with pytest.raises(SelectionError, match=problem):
        check_tags(tags, HEADER)


def test_unknown_keywords_have_an_error_of_their_own() -> None:
    with pytest.raises(UnknownTagError):
        check_tags({"NoSuchTag": 1}, Dataset())


def test_what_the_source_says_too_is_allowed() -> None:
    tags = {"PatientID": "P1", "PatientName": "Doe^Jane", "StudyInstanceUID": HEADER.StudyInstanceUID}
    assert check_tags(tags, HEADER).PatientID == "P1"


def test_without_a_study_only_what_is_known_contradicts() -> None:
    header = Dataset()
    header.PatientName, header.PatientID = "Doe^Jane", ""
    assert check_tags({"PatientID": "P2", "StudyInstanceUID": "1.2.3"}, header).PatientID == "P2"
    with pytest.raises(SelectionError, match="PatientName was given"):
        check_tags({"PatientName": "Doe^John"}, header)
