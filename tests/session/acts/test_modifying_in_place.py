"""Modification in place: of whole objects, read back, on a server that overwrites."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simple_orthanc.errors import SelectionError, TransportError, UnsupportedError
from simple_orthanc.phantom import make_series
from simple_orthanc.rest import Rest
from simple_orthanc.session import Orthanc
from simple_orthanc.testing.stand_in import Reply
from tests.session.acts.copying_server import CopyingServer

KEPT = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]


@pytest.fixture
def archive() -> Iterator[CopyingServer]:
    """A server that overwrites, with two series of one study."""
    datasets = make_series((2, 4, 4), seed=1, PatientID="P1", StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1")
    datasets += make_series((2, 4, 4), seed=2, PatientID="P1", StudyInstanceUID="1.2", SeriesInstanceUID="1.2.2")
    with CopyingServer(datasets) as running:
        running.overwrites = True
        yield running


@pytest.fixture
def session(archive: CopyingServer) -> Orthanc:
    return archive.connect(patience=0).select("1.2.1")


def values(archive: CopyingServer, keyword: str) -> list[str]:
    return [str(dataset.get(keyword)) for dataset in archive.datasets]


def test_a_whole_study_is_modified_if_a_tag_of_it_is(archive: CopyingServer, session: Orthanc) -> None:
    with pytest.raises(SelectionError, match="whole=True"):
        session.modify({"StudyDescription": "new"}, keep=KEPT)
    assert archive.changing == []
    table = session.modify({"StudyDescription": "new"}, keep=KEPT, whole=True)
    assert table[["level", "instance_count", "status"]].values.tolist() == [["study", 4, "modified"]]
    assert "new_SeriesInstanceUID" not in table
    assert values(archive, "StudyDescription") == ["new"] * 4


def test_single_instances_are_modified_if_a_tag_of_theirs_is(archive: CopyingServer, session: Orthanc) -> None:
    table = session.select(InstanceNumber=1).modify({"WindowWidth": 7}, keep=KEPT)
    assert table[["level", "instance_count", "status"]].values.tolist() == [["series", 1, "modified"]]
    assert sorted(values(archive, "WindowWidth")) == ["7", "None", "None", "None"]


def test_a_patient_keeps_the_identifier_as_a_replacement(archive: CopyingServer, session: Orthanc) -> None:
    table = session.reset().select(PatientID="P1").modify({"PatientName": "Roe"}, keep=KEPT)
    assert table[["level", "status"]].values.tolist() == [["patient", "modified"]]
    ((_, body),) = archive.asked
    assert (body["Level"], body["Replace"]["0010,0020"]) == ("Patient", "P1")


def test_a_job_that_fails_is_begun_again_since_that_does_no_harm(archive: CopyingServer, session: Orthanc) -> None:
    archive.script = ["lost"]
    assert session.modify({"SeriesDescription": "new"}, keep=KEPT).status.tolist() == ["modified"]
    assert len(archive.asked) == 2


def test_what_is_as_it_was_is_a_failure(archive: CopyingServer, session: Orthanc) -> None:
    archive.script = ["unchanged"]
    table = session.modify({"SeriesDescription": "new"}, keep=KEPT)
    assert table.status.tolist() == ["failed"]
    assert table.message[0].startswith("2 of 2 instances are unchanged: SeriesDescription")
    archive.script = ["part", "part"]
    table = session.modify({"SeriesDescription": "new"}, keep=KEPT)
    assert table.message[0].startswith("1 of 2 instances is unchanged: ")
    assert "cannot read a file" in table.message[0]


def test_a_server_that_does_not_overwrite_is_not_asked(archive: CopyingServer, session: Orthanc) -> None:
    archive.overwrites = False
    with pytest.raises(UnsupportedError, match="OverwriteInstances"):
        session.modify({"SeriesDescription": "new"}, keep=KEPT)
    archive.overwrites = True
    with pytest.raises(SelectionError, match="leave delete_originals out"):
        session.modify({"SeriesDescription": "new"}, keep=KEPT, delete_originals=True)
    assert session.modify({"SeriesDescription": "x"}, keep=KEPT, dry_run=True).status.tolist() == ["would be modified"]
    assert archive.changing == []


@pytest.mark.parametrize("error", [TransportError("Connection refused."), KeyboardInterrupt()])
def test_what_ends_the_call_leaves_a_true_table(
    archive: CopyingServer, session: Orthanc, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def ended(*_: Any, **__: Any) -> Any:
        # As a proxy answers for a server that is away.
        monkeypatch.setattr(archive, "respond", lambda *_: Reply(b"", "text/html", 502))
        raise error

    monkeypatch.setattr(Rest, "start_job", ended)
    with pytest.raises(type(error)) as caught:
        session.modify({"SeriesDescription": "new"}, keep=KEPT)
    table = vars(caught.value)["table"]
    assert table.status.tolist() == ["failed"]
    assert "the same call modifies the rest" in table.message[0]


def test_an_answer_that_was_lost_is_no_failure(
    archive: CopyingServer, session: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Rest.start_job

    def answer_lost(self: Rest, *request: Any, **options: Any) -> Any:
        start(self, *request, **options)
        raise TransportError("The answer was cut off.")

    monkeypatch.setattr(Rest, "start_job", answer_lost)
    assert session.modify({"SeriesDescription": "new"}, keep=KEPT).status.tolist() == ["modified"]


def test_a_refusal_is_a_row(archive: CopyingServer, session: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_start", lambda *_: Reply(b"{}", status=403))
    table = session.modify({"SeriesDescription": "new"}, keep=KEPT)
    assert table.status.tolist() == ["failed"]
    assert "403" in table.message[0]
