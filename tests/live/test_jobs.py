"""What only the server's own API does, from a selection: identifiers for its routes, and jobs that are waited for."""

from __future__ import annotations

import pytest

from simple_orthanc import JobError, LocalOrthanc, Orthanc, SelectionError, ServerError
from simple_orthanc.dicom.levels import LEVELS
from tests.live.archives import simple_file, store


@pytest.fixture
def filled(empty_server: LocalOrthanc, orthanc: Orthanc) -> Orthanc:
    store(
        empty_server,
        *(
            simple_file(
                number,
                PatientID=f"p{number % 2}",
                StudyInstanceUID=f"1.2.{number % 2}",
                SeriesInstanceUID=f"1.2.{number % 2}.{number % 4}",
                SeriesNumber=str(number % 4),
                InstanceNumber=str(9 - number),
            )
            for number in range(8)
        ),
    )
    return orthanc.refresh()


def test_identifiers_have_the_order_of_the_table(filled: Orthanc) -> None:
    keywords = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    for level, keyword in zip(LEVELS, keywords, strict=True):
        route = "series" if level == "series" else "studies" if level == "study" else f"{level}s"
        found = [
            filled.rest.get(f"/{route}/{identifier}")["MainDicomTags"][keyword]
            for identifier in filled.get_orthanc_ids(level)
        ]
        assert found == filled.table(keyword, level=level)[keyword].tolist()
    filled.sort_by("InstanceNumber").select(PatientID="p1")
    numbers = [
        filled.rest.get(f"/instances/{identifier}/content/0020-0013").strip()
        for identifier in filled.get_orthanc_ids("instance")
    ]
    assert [int(number) for number in numbers] == [2, 4, 6, 8]
    with pytest.raises(SelectionError, match="image"):
        filled.get_orthanc_ids("image")  # type: ignore[arg-type]


def test_a_job_is_waited_for(filled: Orthanc) -> None:
    (study,) = filled.select(PatientID="p0").get_orthanc_ids("study")
    job = filled.rest.run_job(f"/studies/{study}/anonymize", {"Replace": {"PatientID": "new"}, "Force": True})
    assert job["State"] == "Success"
    assert filled.reset().refresh().select(PatientID="new").get_orthanc_ids("study") == [job["Content"]["ID"]]
    assert filled.instance_count == 4


def test_a_route_that_answers_at_once_returns_its_answer(filled: Orthanc) -> None:
    run_job = filled.rest.run_job
    (instance, *_), (patient, *_) = filled.get_orthanc_ids("instance"), filled.get_orthanc_ids("patient")
    modified = run_job(f"/instances/{instance}/modify", {"Replace": {"PatientName": "x"}})
    assert modified["Content"][128:132] == b"DICM"
    assert run_job(f"/patients/{patient}/reconstruct") == {"State": "Success", "Content": ""}
    assert run_job("/tools/lookup", {})["State"] == "Success"


def test_the_error_of_a_failed_job_holds_the_reason(filled: Orthanc) -> None:
    filled.rest.put("/peers/nobody", {"Url": "http://127.0.0.1:9/"})
    try:
        with pytest.raises(JobError, match="/peers/nobody/store ended as Failure"):
            filled.rest.run_job("/peers/nobody/store", {"Resources": filled.get_orthanc_ids()})
    finally:
        filled.rest.delete("/peers/nobody")
    with pytest.raises(ServerError):
        filled.rest.run_job("/studies/none/anonymize")
