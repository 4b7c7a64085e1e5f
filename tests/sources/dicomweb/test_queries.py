"""The server is asked for no more than is needed, and nothing that it hides is lost silently."""

from __future__ import annotations

import pytest

from simple_orthanc import (
    DicomWeb,
    ServerError,
)
from tests.memory_source import instance
from tests.sources.dicomweb.conftest import Make, archive


def test_instances_are_not_listed_before_they_are_asked_for(serve: Make) -> None:
    server = serve(archive())
    session = DicomWeb(server.root)
    assert (session.patient_count, session.study_count, session.series_count, session.instance_count) == (2, 3, 6, 18)
    assert session.StudyDescriptions == ["head", "Schädel"]
    session.table("PatientName", "SeriesDescription", "SeriesNumber")
    assert not [asked for asked in server.asked if "/instances" in asked.path]


def test_refresh_sees_what_changed(serve: Make) -> None:
    server = serve(archive())
    session = DicomWeb(server.root).select(Modality="MR")
    assert session.series_count == 3
    server.datasets.append(instance(1, study="4", Modality="MR"))
    server.datasets.pop(3)
    assert session.series_count == 3
    session.refresh()
    assert (session.series_count, session.instance_count) == (4, 9)


def test_a_study_without_search_and_metadata_is_not_lost_silently(serve: Make) -> None:
    session = DicomWeb(serve(archive(), unsearchable={"1.2.2"}, metadata="none").root)
    with pytest.raises(ServerError, match="Bad type for a parameter"):
        session.table("Modality")
