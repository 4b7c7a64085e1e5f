"""Types of attributes are those of the tables that highdicom has of the standard."""

from __future__ import annotations

import pytest
from pydicom.uid import (
    CTImageStorage,
    EncapsulatedPDFStorage,
    PositronEmissionTomographyImageStorage,
    RTPlanStorage,
    SegmentationStorage,
)

from simple_orthanc.deidentification.iod_types import type_of
from simple_orthanc.deidentification.table import read_lines
from simple_orthanc.deidentification.uids import is_uid


@pytest.mark.parametrize(
    ("sop_class", "path", "expected"),
    [
        (CTImageStorage, "SeriesDate", 3),
        (CTImageStorage, "ContentDate", 2),
        (CTImageStorage, "PatientID", 2),
        (CTImageStorage, "ProtocolName", 3),
        (CTImageStorage, "Nothing.ProtocolName", 3),
        (PositronEmissionTomographyImageStorage, "SeriesDate", 1),
        (PositronEmissionTomographyImageStorage, "AcquisitionDate", 2),
        (SegmentationStorage, "DeviceSerialNumber", 1),
        (SegmentationStorage, "ContentDate", 1),
        (EncapsulatedPDFStorage, "AcquisitionDateTime", 2),
        (RTPlanStorage, "BeamSequence.TreatmentMachineName", 2),
        (CTImageStorage, "ReferringPhysicianIdentificationSequence.InstitutionCodeSequence", 1),
        ("1.2.3", "PatientID", None),
        ("", "PatientID", None),
    ],
)
def test_types(sop_class: str, path: str, expected: int | None) -> None:
    assert type_of(sop_class, path.split(".")) == expected


def test_the_data_are_whole() -> None:
    classes = {line["sop_class"]: line["iod"] for line in read_lines("sop_class_iods.tsv")}
    assert len(classes) == 180
    assert all(is_uid(uid) and uid.startswith("1.2.840.10008.") for uid in classes)
    lines = list(read_lines("iod_types.tsv"))
    assert {line["type"] for line in lines} == {"1", "2"}
    assert {line["iods"] for line in lines if " " not in line["iods"]} <= {"*", *classes.values()}
