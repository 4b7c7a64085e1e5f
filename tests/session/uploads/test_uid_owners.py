"""Files that put the study or series of one patient under another."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc import DicomWeb, Orthanc, TransportError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.session.uploads.files import Uploader, jobs_for
from simple_orthanc.session.uploads.uid_owners import UidOwners
from tests.session.store_stand_in import Server


def image(number: int, patient: str | None = "P1", study: str = "1.2", series: str = "1.2.3") -> bytes:
    dataset = make_series(
        (1, 4, 4),
        seed=1,
        StudyInstanceUID=study,
        SeriesInstanceUID=series,
        SOPInstanceUID=f"{series}.{number}",
        PatientID=patient,
    )[0]
    return as_bytes(dataset)


def held(*files: bytes) -> Server:
    server = Server()
    assert {report.status for report in server.upload(list(files))} == {"stored"}
    server.questions.clear()
    return server


def outcomes(server: Server, *files: bytes, **options: Any) -> list[tuple[str, str]]:
    return [(report.status, report.message) for report in Uploader(server).run(jobs_for(files), True, **options)]


class TestConflicts:
    @pytest.mark.parametrize(
        ("file", "keyword", "mine"),
        [
            (image(9, "P2"), "StudyInstanceUID 1.2", "'P2'"),
            (image(9, "P2", study="1.9"), "SeriesInstanceUID 1.2.3", "'P2'"),
            (image(9, "p1"), "StudyInstanceUID 1.2", "'p1'"),
            (image(9, None), "StudyInstanceUID 1.2", "no PatientID"),
        ],
    )
    def test_a_known_uid_under_another_patient_is_refused(self, file: bytes, keyword: str, mine: str) -> None:
        server = held(image(1))
        ((status, message),) = outcomes(server, file)
        assert status == "conflict"
        assert f"its {keyword} under the PatientID 'P1', and the file has" in message
        assert mine in message
        assert "allow_foreign_uids=True" in message
        assert len(server.held) == 1
        assert outcomes(server, file, allow_foreign_uids=True) == [("stored", "")]

    @pytest.mark.parametrize("patient", ["P1", " P1 "])
    def test_more_of_the_same_patient_is_stored(self, patient: str) -> None:
        server = held(image(1))
        assert [status for status, _ in outcomes(server, image(2, patient), image(1))] == ["stored", "already stored"]

    def test_a_patient_who_is_not_ascii_is_not_compared(self) -> None:
        server = held(image(1, "Müller"))
        assert outcomes(server, image(2, "M?ller")) == [("stored", "")]

    def test_the_first_file_of_an_upload_decides_for_a_new_uid(self) -> None:
        owners = UidOwners(Server())
        assert owners.conflict(image(1)) is None
        assert "under the PatientID 'P1'" in str(owners.conflict(image(2, "P2")))
        assert owners.conflict(image(3)) is None

    def test_a_uid_that_is_held_under_both_is_refused_for_neither(self) -> None:
        server = held(image(1))
        outcomes(server, image(2, "P2"), allow_foreign_uids=True)
        assert [status for status, _ in outcomes(server, image(3), image(4, "P2"))] == ["stored", "stored"]
        assert "'P1' and 'P2'" in outcomes(server, image(5, "P3"))[0][1]


class TestQuestions:
    def test_each_uid_is_asked_for_once(self) -> None:
        server = Server()
        outcomes(server, *(image(number, series=f"1.2.{number % 2}") for number in range(12)))
        assert sorted(server.questions) == [("series", "1.2.0"), ("series", "1.2.1"), ("study", "1.2")]

    def test_nothing_is_asked_where_foreign_uids_are_allowed(self) -> None:
        server = Server()
        outcomes(server, image(1), allow_foreign_uids=True)
        assert server.questions == []

    def test_a_server_that_refuses_searches_still_takes_files(self) -> None:
        server = held(image(1))
        server.refuses_searches = True
        assert outcomes(server, image(2, "P2")) == [("stored", "")]

    def test_an_answer_that_is_lost_is_asked_for_again(self) -> None:
        server = held(image(1))
        server.lost_questions = 2
        assert outcomes(server, image(2, "P2"))[0][0] == "conflict"
        server.lost_questions = 3
        with pytest.raises(TransportError, match="not understood"):
            outcomes(server, image(3))

    def test_a_server_that_is_gone(self) -> None:
        server = Server()
        server.does_answer = False
        with pytest.raises(TransportError, match="went away") as caught:
            outcomes(server, image(1), image(2))
        assert list(caught.value.table["status"]) == ["failed", "failed"]


def uploaded(session: Orthanc | DicomWeb, dataset: Dataset, **options: Any) -> tuple[str, str]:
    table = session.upload_dataset(dataset, **options)
    return table["status"][0], table["message"][0]


def series(patient: str, study: str = "1.2.77", number: int = 1) -> Dataset:
    uid = f"{study}.1"
    return make_series(
        (1, 4, 4),
        seed=1,
        StudyInstanceUID=study,
        SeriesInstanceUID=uid,
        SOPInstanceUID=f"{uid}.{number}",
        PatientID=patient,
    )[0]


def test_orthanc_refuses_nothing_by_itself_and_this_library_does(orthanc: Orthanc) -> None:
    assert uploaded(orthanc, series("P1")) == ("stored", "")
    status, message = uploaded(orthanc, series("P2", number=2))
    assert status == "conflict"
    assert "StudyInstanceUID 1.2.77 under the PatientID 'P1', and the file has the PatientID 'P2'" in message
    other_study = series("P2", number=3)
    other_study.StudyInstanceUID = "1.2.78"
    assert "SeriesInstanceUID 1.2.77.1" in uploaded(orthanc, other_study)[1]
    assert uploaded(orthanc, series(" P1", number=4)) == ("stored", "")
    assert orthanc.instance_count == 2
    assert uploaded(orthanc, series("P2", number=2), allow_foreign_uids=True) == ("stored", "")
    assert set(orthanc.PatientIDs) >= {"P1", "P2"}
    # Now that both have it, both may get more of it.
    assert uploaded(orthanc, series("P2", number=5)) == ("stored", "")
    assert uploaded(orthanc, series("P1", number=6)) == ("stored", "")


def test_over_dicomweb(orthanc: Orthanc) -> None:
    web = orthanc.dicomweb
    assert uploaded(web, series("P1")) == ("stored", "")
    status, message = uploaded(web, series("P2", number=2))
    assert status == "conflict"
    assert "under the PatientID 'P1', and the file has the PatientID 'P2'" in message
    assert uploaded(web, series("P2", number=2), allow_foreign_uids=True)[0] == "stored"


def test_an_upload_has_two_more_requests_for_a_series(orthanc: Orthanc) -> None:
    counts = []
    for allow in (True, False):
        slices = make_series((20, 4, 4), PatientID=f"P{allow}")
        before = orthanc._orthanc.requests
        table = orthanc.upload_dataset(slices, allow_foreign_uids=allow)
        assert set(table["status"]) == {"stored"}
        counts.append(orthanc._orthanc.requests - before)
    assert counts[1] - counts[0] == 2
