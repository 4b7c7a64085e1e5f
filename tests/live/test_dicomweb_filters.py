"""What DICOMweb decides by filters is what a listing gives, on each version, and whether case matters there or not."""

from __future__ import annotations

import warnings

import pytest
from pydicom.dataset import Dataset

from simple_orthanc import DicomWeb, Session, exact
from tests.conftest import MakeServer
from tests.memory_source import MemorySource, instance

IDENTIFIERS = [
    "P1",
    "p1",
    "P_1",
    "P 1",
    "P1x",
    "P*1",
    "P?1",
    "P%1",
    "P,1",
    "007",
    "7",
    "P-1.b",
    "Pä1",
    "1/2",
    "P%201",
    "",
]
NAMES = ["Doe^Jane", "DOE^JANE", "Doe^Jane^^", "Doe^J*", "Müller^A", "Doe Jane", "Yamada^Tarou=山田^太郎"]
DAYS = ["20200102", "2020.01.02", "20191231", "20210101", ""]


def datasets() -> list[Dataset]:
    """Make one image for each identifier, with names and days in turn."""
    made = []
    for number, identifier in enumerate(IDENTIFIERS):
        tags = dict.fromkeys(("AccessionNumber", "StudyID"), identifier)
        tags |= {"PatientName": NAMES[number % len(NAMES)], "StudyDate": DAYS[number % len(DAYS)], "StudyTime": "10"}
        tags |= {"SpecificCharacterSet": "ISO_IR 192"}
        made.append(instance(1, study=str(number), patient=identifier, **tags))
    return made


@pytest.mark.parametrize("is_cased", [True, False])
def test_filters_select_what_a_listing_selects(make_server: MakeServer, is_cased: bool) -> None:
    server = make_server({"DicomWeb": {"Enable": True, "QidoCaseSensitive": is_cased}})
    held = datasets()
    with server.connect() as orthanc:
        assert set(orthanc.upload_dataset(held).status) == {"stored"}
    questions = [
        (name, value) for name in ("PatientID", "AccessionNumber", "StudyID") for value in IDENTIFIERS if value
    ]
    questions += [("PatientName", exact(name)) for name in NAMES] + [("StudyDate", day) for day in DAYS[:2]]
    questions += [("StudyDate", ("20200101", None)), ("StudyDate", (None, "20200102")), ("StudyInstanceUID", "1.2.3")]
    for name, value in questions:
        expected = Session(MemorySource(held))
        with DicomWeb(f"{server.url}/dicom-web") as session, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Nothing is selected")
            assert (
                session.select(**{name: value}).StudyInstanceUIDs == expected.select(**{name: value}).StudyInstanceUIDs
            ), (name, value, server.version)
