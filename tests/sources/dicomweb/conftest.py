"""What the tests of the DICOMweb source share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.dicomweb_stand_in import DicomServer, Peculiar
from tests.memory_source import instance

Make = Callable[..., DicomServer]


@pytest.fixture
def serve() -> Iterator[Make]:
    servers: list[DicomServer] = []

    def make(datasets: list[Dataset], **peculiar: Any) -> DicomServer:
        servers.append(DicomServer(datasets, Peculiar(**peculiar)))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def archive() -> list[Dataset]:
    """Three studies of two patients, whose tags agree as they should. No test changes the datasets."""
    return list(_archive())


@cache
def _archive() -> list[Dataset]:
    found = []
    for study, patient, name in (("1", "p1", "Doe^Jane"), ("2", "P1", "doe^jane"), ("3", "P1", "doe^jane")):
        of_study = {
            "PatientName": name,
            "StudyDate": f"2020010{study}",
            "StudyTime": "1030",
            "AccessionNumber": f"A{study}",
        }
        of_study |= {
            "StudyDescription": "Schädel" if study == "3" else "head",
            "StudyID": study,
            "InstitutionName": "Here",
        }
        for series in ("1", "2"):
            of_series = {
                "Modality": "CT" if series == "1" else "MR",
                "SeriesNumber": series,
                "SeriesDescription": "T2*_GRE",
            }
            if study == "2":
                of_series["OperatorsName"] = ["Op^A", "Op^B"]
            for number in (1, 2, 3):
                image = {
                    "SliceThickness": "1.50" if series == "1" else "2",
                    "KVP": "8E1",
                    "ImageType": ["ORIGINAL", "PRIMARY"],
                    "ImagePositionPatient": ["0", "0", str(-number)],
                    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
                    "AcquisitionDate": "20200101",
                    "Rows": 4,
                    "ImageComments": "c" * 300,
                }
                found.append(
                    instance(number, series=series, study=study, patient=patient, **of_study, **of_series, **image)
                )
    return found
