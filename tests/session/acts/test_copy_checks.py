"""What copies must hold."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import Orthanc
from simple_orthanc.errors import SelectionError
from simple_orthanc.phantom import make_series
from simple_orthanc.session.acts.copy_checks import check_identifiers, wrong_header
from simple_orthanc.session.acts.copy_groups import CopyGroup
from simple_orthanc.session.acts.tag_changes import TagChanges


def problem(replace: dict[str, Any], header: dict[str, Any], *remove: str) -> str:
    return wrong_header(TagChanges.parse((), replace, remove), header)


@pytest.mark.parametrize(
    ("replace", "header"),
    [
        ({"PatientName": "Doe^Jane"}, {"0010,0010": "Doe^Jane "}),
        ({"PatientName": "Müller"}, {"0010,0010": "Müller", "0008,0005": "ISO_IR 100"}),
        ({"PatientWeight": 70}, {"0010,1030": "70"}),
        ({"RescaleSlope": 0.1}, {"0028,1053": "0.1 "}),
        ({"EventElapsedTimes": 2}, {"0008,2130": "2"}),
        ({"RecommendedDisplayFrameRateInFloat": 0.1}, {"0008,9459": "0.10000000149"}),
        ({"StudyID": ""}, {"0020,0010": ""}),
        ({"StudyID": None}, {}),
        ({"ImageType": ["A", "B"]}, {"0008,0008": "A\\B "}),
    ],
)
def test_values_are_right_as_dicom_compares_them(replace: dict[str, Any], header: dict[str, Any]) -> None:
    assert problem(replace, header, "AccessionNumber") == ""


@pytest.mark.parametrize(
    ("replace", "header", "says"),
    [
        ({"PatientName": "Doe"}, {}, "PatientName of a copy is '', and was to become 'Doe'"),
        ({"PatientWeight": 70}, {"0010,1030": "7"}, "PatientWeight of a copy is '7'"),
        ({"PatientName": "王^A"}, {"0010,0010": "^A"}, "name no character set, so that not all"),
        ({"PatientName": "Müller"}, {"0010,0010": "Müller"}, "name no character set"),
        ({"PatientName": "王"}, {"0010,0010": "?", "0008,0005": "ISO_IR 100"}, "name ISO_IR 100"),
        ({"StudyID": "1"}, {"0020,0010": "1", "0008,0050": "A1"}, "AccessionNumber of a copy is there"),
    ],
)
def test_other_values_are_wrong(replace: dict[str, Any], header: dict[str, Any], says: str) -> None:
    assert says in problem(replace, header, "AccessionNumber")


def test_one_identifier_is_for_one_object() -> None:
    changes = TagChanges.parse((), {"SOPInstanceUID": "1.2"}, ())
    group = CopyGroup("patient", (), {"series": ("one", "two")}, frozenset())
    with pytest.raises(SelectionError, match="one SOPInstanceUID to 2 instances"):
        check_identifiers(changes, [group], {"study": 1, "series": 1, "instance": 2}, "modified")
    check_identifiers(changes, [group], {"study": 1, "series": 1, "instance": 1}, "modified")


def test_a_patient_without_an_identifier_is_one_too(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(make_series((1, 4, 4), seed=1, PatientID=""))
    orthanc.select(PatientID="")
    for verb, changes in (("modify", {"replace": {"PatientName": "Roe"}}), ("anonymize", {"keep": ["PatientID"]})):
        with pytest.raises(SelectionError, match=r"the patient with PatientID '', whom the server has with another"):
            getattr(orthanc, verb)(**changes)
    table = orthanc.modify({"PatientName": "Roe", "PatientID": "P1"})
    assert table.status.tolist() == ["modified"], table.message.tolist()
    kept = orthanc.anonymize(keep=["PatientID", "PatientName", "PatientBirthDate", "PatientSex"])
    assert kept.status.tolist() == ["anonymized"], kept.message.tolist()
