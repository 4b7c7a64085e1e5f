"""A session on a DICOMweb service: how it is opened, and what it deletes and uploads."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from simple_orthanc import DicomWeb, TransportError
from tests.dicomweb_stand_in import DicomServer
from tests.http_stand_in import StandIn, reply
from tests.memory_source import instance


@pytest.fixture
def stand_in() -> Iterator[DicomServer]:
    datasets = [instance(number, study=study, Modality="CT") for study in ("1", "2") for number in (1, 2)]
    with DicomServer(datasets) as stand_in:
        yield stand_in


def test_the_constructor_asks_for_one_study(stand_in: DicomServer) -> None:
    DicomWeb(stand_in.root)
    assert [asked.method for asked in stand_in.asked] == ["GET"]
    assert "limit=1" in stand_in.asked[0].path


def test_a_selection_is_made_at_once(stand_in: DicomServer) -> None:
    session = DicomWeb(stand_in.root, selection={"StudyInstanceUID": "1.2.2"})
    assert session.instance_count == 2


def test_an_address_that_is_no_service_raises_at_once() -> None:
    with (
        StandIn(lambda asked, count: reply(b"<html>welcome</html>", headers={"Content-Type": "text/html"})) as other,
        pytest.raises(TransportError),
    ):
        DicomWeb(other.url)


def test_a_session_is_picklable(stand_in: DicomServer) -> None:
    again = pickle.loads(pickle.dumps(DicomWeb(stand_in.root).select(StudyInstanceUID="1.2.1")))
    assert again.instance_count == 2
    assert again.get_headers()[0].StudyInstanceUID == "1.2.1"


def test_rest_is_that_of_the_same_service(stand_in: DicomServer) -> None:
    found = DicomWeb(stand_in.root).rest.search_studies({"StudyInstanceUID": "1.2.2"})
    assert [study["0020000D"]["Value"] for study in found] == [["1.2.2"]]


def test_what_is_uploaded_is_found_after_a_refresh(stand_in: DicomServer) -> None:
    session = DicomWeb(stand_in.root)
    assert session.study_count == 2
    table = session.upload_dataset(instance(1, study="3", Modality="CT"))
    assert list(table["status"]) == ["stored"]
    assert session.refresh().study_count == 3
