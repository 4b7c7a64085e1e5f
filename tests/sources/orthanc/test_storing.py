"""Uploads whose response is lost, of another shape or about another instance are settled by what the server holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import TransportError
from simple_orthanc.session.orthanc import Orthanc
from tests.http_stand_in import reply
from tests.memory_source import as_file, instance
from tests.orthanc_stand_in import OrthancServer

OTHER_KEY = "0" * 8


@pytest.fixture(params=["1.10.1", "1.12.7"])
def archive(request: pytest.FixtureRequest) -> Iterator[OrthancServer]:
    with OrthancServer([instance(9, study="9", patient="OTHER")], request.param) as running:
        yield running


def connect(archive: OrthancServer, patience: float = 5) -> Orthanc:
    return Orthanc(archive.url, patience=patience)


def images(count: int, **tags: Any) -> list[bytes]:
    return [as_file(instance(number, Rows=1, **tags)) for number in range(1, count + 1)]


def statuses(session: Orthanc, content: list[bytes]) -> list[str]:
    return list(session.upload_file(content)["status"])


def html(answer: dict[str, Any]) -> bytes:
    return reply(b"<html>Please log in</html>", headers={"Content-Type": "text/html"})


WRONG: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "a page": html,
    "nothing": lambda answer: reply(b""),
    "an empty list": lambda answer: reply([]),
    "a list of two": lambda answer: reply([answer, answer]),
    "a string": lambda answer: reply(b'"Success"', headers={"Content-Type": "application/json"}),
    "null": lambda answer: reply(b"null", headers={"Content-Type": "application/json"}),
    "no status": lambda answer: reply({"ID": answer["ID"]}),
    "an unknown status": lambda answer: reply({**answer, "Status": "Splendid"}),
    "no id": lambda answer: reply({"Status": "Success"}),
    "another id": lambda answer: reply({**answer, "ID": OTHER_KEY}),
    "cut JSON": lambda answer: reply(b'{"ID": "', headers={"Content-Type": "application/json"}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_answer_that_is_not_understood_is_settled_by_what_is_there(archive: OrthancServer, wrong: str) -> None:
    archive.answer_upload = lambda answer, count: WRONG[wrong](answer) if count == 0 else reply(answer)
    session = connect(archive)
    assert statuses(session, images(2)) == ["stored", "stored"]
    assert archive.uploads == 2
    assert session.instance_count == 3


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_missing_after_such_an_answer_is_sent_again(archive: OrthancServer, wrong: str) -> None:
    archive.answer_upload = lambda answer, count: WRONG[wrong](answer) if count < 2 else reply(answer)
    archive.keep_upload = lambda dataset, count: count >= 2
    session = connect(archive)
    assert statuses(session, images(1)) == ["stored"]
    assert archive.uploads == 3
    archive.keep_upload = lambda dataset, count: False
    archive.answer_upload = lambda answer, count: WRONG[wrong](answer)
    table = session.upload_file(images(2)[1:])
    assert list(table["status"]) == ["failed"]
    assert table["message"][0]


def test_the_answer_of_another_upload_is_not_believed(archive: OrthancServer) -> None:
    other = archive.identifier_of(archive.datasets[0], "Instance")
    archive.answer_upload = lambda answer, count: reply({**answer, "ID": other, "Status": "Success"})
    archive.keep_upload = lambda dataset, count: False
    table = connect(archive).upload_file(images(1))
    assert list(table["status"]) == ["failed"]
    assert "is about another instance" in table["message"][0]


def test_an_id_that_orthanc_computed_otherwise_is_looked_up(archive: OrthancServer) -> None:
    # As if it had decoded the PatientID in another way.
    held = instance(1, patient="Jos?")
    archive.datasets.append(held)
    key = archive.identifier_of(held, "Instance")
    archive.answer_upload = lambda answer, count: reply({**answer, "ID": key})
    store = connect(archive)._orthanc.store
    sent = as_file(instance(1, patient="Jos\u00e9", SpecificCharacterSet="ISO_IR 100"))
    assert store.store(sent) == ("stored", key, "")
    archive.datasets = [held]
    assert store.find(sent) == key
    assert store.find(as_file(instance(1, patient="Jose"))) is None


@pytest.mark.parametrize("patient", [" P7", "   P7", "P7"])
def test_an_instance_is_found_whatever_spaces_its_patient_begins_with(archive: OrthancServer, patient: str) -> None:
    held = instance(1, patient=patient)
    archive.datasets = [held]
    store = connect(archive)._orthanc.store
    assert store.find(as_file(held)) == archive.identifier_of(held, "Instance")
    assert store.find(as_file(instance(1, patient="P8"))) is None


def test_many_files_are_compared_in_few_requests() -> None:
    with OrthancServer([], "1.12.7") as archive:
        session = connect(archive)
        files = images(30)
        assert statuses(session, files) == ["stored"] * 30
        before = len(archive.asked)
        assert statuses(session, files) == ["already stored"] * 30
        uploads = sum(asked.path == "/instances" for asked in archive.asked[before:])
        assert uploads == 30
        finds = [
            asked
            for asked in archive.asked[before:]
            if b"SOPInstanceUID" in asked.body[:2000] and asked.path == "/tools/find"
        ]
        assert len(finds) == 1
        assert not any(asked.path.endswith("/md5") for asked in archive.asked)


def test_a_damaged_upload_is_a_row(archive: OrthancServer) -> None:
    def damage(dataset: Dataset, count: int) -> bool:
        dataset.Rows = 2
        return True

    archive.keep_upload = damage
    table = connect(archive).upload_file(images(3))
    assert list(table["status"]) == ["stored, changed"] * 3
    assert table["message"].str.contains("with other values of Rows").all()


def test_a_server_without_checksums_is_said_once_and_nothing_fails(archive: OrthancServer) -> None:
    archive.keeps_md5 = False
    with pytest.warns(UserWarning, match="StoreMD5ForAttachments is false") as warned:
        table = connect(archive).upload_file(images(3))
    assert len(warned) == 1
    assert list(table["status"]) == ["stored"] * 3
    assert table["message"].str.contains("keeps no checksums").all()


def test_a_server_that_stays_away_ends_the_upload_with_a_table(archive: OrthancServer) -> None:
    session = connect(archive, patience=0)

    def leave(answer: dict[str, Any], count: int) -> bytes:
        if count == 5:
            archive.script = lambda asked, count: None
        return reply(answer)

    archive.answer_upload = leave
    with pytest.raises(TransportError, match=r"The server went away during the upload: \d+ of 20 files") as caught:
        session.upload_file(images(20))
    assert len(caught.value.table) == 20


def test_the_md5_of_what_the_server_holds_is_asked_for_by_its_identifiers(archive: OrthancServer) -> None:
    session, other = connect(archive), instance(9, study="9", patient="OTHER")
    held = ["OTHER", other.StudyInstanceUID, other.SeriesInstanceUID, other.SOPInstanceUID]
    assert session._orthanc.store.md5_of(held) == hashlib.md5(as_file(other)).hexdigest()
    assert session._orthanc.store.md5_of(["NOBODY", *held[1:]]) is None


def test_a_server_without_checksums_tells_no_md5(archive: OrthancServer) -> None:
    archive.keeps_md5 = False
    session, one = connect(archive), instance(1)
    with pytest.warns(UserWarning, match="keeps no checksums"):
        session.upload_dataset(one)
    held = ["P1", one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID]
    assert session._orthanc.store.md5_of(held) is None
