"""What DICOMweb decides by filters is what a listing gives, on each version, and whether case matters there or not."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc import DicomWeb, Session, exact
from tests.conftest import MakeServer, share_of_version
from tests.memory_source import MemorySource, instance

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured

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


QUESTIONS: list[tuple[str, Any]] = [
    *((name, value) for name in ("PatientID", "AccessionNumber", "StudyID") for value in IDENTIFIERS if value),
    *(("PatientName", exact(name)) for name in NAMES),
    *(("StudyDate", day) for day in (*DAYS[:2], ("20200101", None), (None, "20200102"))),
    ("StudyInstanceUID", "1.2.3"),
]


def studies(session: Session, name: str, value: Any) -> list[Any]:
    """Return the studies that a question selects."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Nothing is selected")
        return session.select(**{name: value}).StudyInstanceUIDs


@cache
def expected_studies() -> list[list[Any]]:
    """Return what each question selects in the datasets themselves."""
    held = datasets()
    return [studies(Session(MemorySource(held)), *question) for question in QUESTIONS]


@pytest.mark.parametrize("is_cased", [True, False])
def test_filters_select_what_a_listing_selects(
    make_server: MakeServer, is_cased: bool, request: pytest.FixtureRequest
) -> None:
    server = make_server({"DicomWeb": {"Enable": True, "QidoCaseSensitive": is_cased}})
    with server.connect() as orthanc:
        assert set(orthanc.upload_dataset(datasets()).status) == {"stored"}
    asked = list(zip(QUESTIONS, expected_studies(), strict=True))
    for question, expected in asked[share_of_version(server, request.config)]:
        with DicomWeb(f"{server.url}/dicom-web") as session:
            assert studies(session, *question) == expected, (question, server.version)
