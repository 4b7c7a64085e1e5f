"""Rows name their objects, even if one UID exists under two patients."""

from __future__ import annotations

import warnings

import pytest
from pydicom.dataset import Dataset

from simple_orthanc import (
    DicomWeb,
    UnsupportedError,
)
from tests.http_stand_in import reply
from tests.memory_source import instance
from tests.sources.dicomweb.conftest import Make, archive


def two_patients() -> list[Dataset]:
    return [instance(1, patient=patient, PatientName=f"{patient}^X") for patient in ("p1", "p2")]


def test_one_uid_under_two_patients_is_listed_apart_and_never_read_wrongly(serve: Make) -> None:
    server = serve(two_patients())
    session = DicomWeb(server.root)
    assert (session.patient_count, session.study_count, session.series_count, session.instance_count) == (2, 2, 2, 2)
    # What puts them in order would be in their files.
    with pytest.warns(UserWarning, match="could not be read"):
        assert session.table("PatientName", level="instance").PatientName.tolist() == ["p1^X", "p2^X"]
    session.select(PatientID="p2")
    assert session.instance_count == 1
    for read in (session.get_header, session.get_instances, session.download):
        with pytest.raises(UnsupportedError, match="2 patients"):
            read()
    with pytest.raises(UnsupportedError, match="2 patients"):
        session.delete_selected_series()
    assert len(server.datasets) == 2


def test_one_uid_under_two_patients_without_their_names_is_refused(serve: Make) -> None:
    server = serve(two_patients(), names_patients=False, deaf_to_fields=True)
    session = DicomWeb(server.root)
    assert session.study_count == 2
    with pytest.raises(UnsupportedError, match="exists under 2 patients"):
        session.table("SeriesDescription")


def test_patients_without_an_identifier(serve: Make) -> None:
    nameless = instance(1, study="2", patient="")
    server = serve([nameless, instance(1), instance(1, study="3", patient="a/b c%")])
    session = DicomWeb(server.root)
    assert session.patient_count == 3
    assert session.select(PatientID=None).StudyInstanceUIDs == ["1.2.2"]
    assert session.get_header().SOPInstanceUID == "1.2.2.1.1"
    session.reset().select(PatientID="a/b c%")
    assert session.instance_count == 1
    assert [child.PatientIDs for child in session.patients] == [["a/b c%"]]
    assert session.get_header().PatientID == "a/b c%"


def test_objects_without_a_uid_are_named_in_a_warning(serve: Make) -> None:
    server = serve(archive())
    ordinary = server.script
    nameless = reply([{"00100020": {"vr": "LO", "Value": ["p9"]}}], headers={"Content-Type": "application/dicom+json"})
    server.script = lambda asked, count: (
        nameless if "/studies?" in asked.path and "offset" not in asked.path else ordinary(asked, count)
    )
    session = DicomWeb(server.root)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="without a UID"):
            session._source.listing("study").__next__()
