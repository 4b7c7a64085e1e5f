"""Copies by jobs that fail, are lost or report more than they did; and what the next call makes of the rest."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from simple_orthanc.errors import OrthancError, ServerError, TransportError
from simple_orthanc.phantom import make_series
from simple_orthanc.rest import Rest
from simple_orthanc.session import Orthanc
from simple_orthanc.sources.identity import orthanc_id
from simple_orthanc.testing.dataset_answers import chain
from simple_orthanc.testing.stand_in import Reply
from tests.session.acts.copying_server import CopyingServer

CHANGE: dict[str, Any] = {"replace": {"SeriesDescription": "new"}}


@pytest.fixture
def archive() -> Iterator[CopyingServer]:
    """Two patients, one with three instances and one with two."""
    datasets = make_series((3, 4, 4), seed=1, PatientID="P1") + make_series((2, 4, 4), seed=2, PatientID="P2")
    with CopyingServer(datasets) as running:
        yield running


def connect(archive: CopyingServer) -> Orthanc:
    return archive.connect(patience=0).select(Modality="CT")


def notes(archive: CopyingServer) -> list[str]:
    return [key for key, values in archive.metadata.items() if "39921" in values]


@pytest.mark.parametrize("verb", ["anonymize", "modify"])
def test_each_patient_is_copied_once_by_a_job_of_its_own(archive: CopyingServer, verb: str) -> None:
    with connect(archive) as session:
        changes = CHANGE if verb == "modify" else {}
        table = getattr(session, verb)(**changes)
        done = f"{verb.replace('ize', 'iz').replace('modify', 'modifi')}ed"
        assert table.status.tolist() == [done, done]
        assert [sorted(body) for _, body in archive.asked] == [sorted(archive.asked[0][1])] * 2
        assert len(archive.datasets) == 10
        assert notes(archive) == []
        again = getattr(session, verb)(**changes)
        assert sorted(again.status) == ["already there"] * 2 + ["skipped"] * 2
        assert len(archive.asked) == 2
        assert set(again.new_orthanc_id.dropna()) == set(table.new_orthanc_id)


@pytest.mark.parametrize("wrong", ["lost", "forgotten", "twice"])
def test_what_a_restart_spoils_is_made_again(archive: CopyingServer, wrong: str) -> None:
    archive.script = [wrong]
    with connect(archive) as session:
        table = session.modify(**CHANGE)
        assert table.status.tolist() == ["modified"] * 2, table.message.tolist()
        assert len(archive.datasets) == 10
        # The surplus of a job whose report is right is only removed.
        assert len(archive.asked) == (2 if wrong == "twice" else 3)
    assert notes(archive) == []


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (["part"], "cannot read a file"),
        (["lost", "lost"], "ended as Failure"),
        (["forgotten", "forgotten"], "not known to the server"),
        (["unchanged"], "and was to become 'new'"),
    ],
)
def test_a_patient_that_fails_leaves_nothing_and_the_others_are_done(
    archive: CopyingServer, script: list[str], says: str
) -> None:
    archive.script = script
    with connect(archive) as session:
        table = session.modify(**CHANGE, delete_originals=True)
        assert table.status.tolist() == ["failed", "modified"]
        assert says in table.message[0]
        assert table.message[1] == "original deleted"
        assert [str(dataset.PatientID) for dataset in archive.datasets] == ["P1"] * 3 + ["P2"] * 2
        assert notes(archive) == []
        assert session.modify(**CHANGE).status.tolist() == ["modified", "skipped"]


def left_by_a_killed_client(archive: CopyingServer, session: Orthanc, script: str) -> str:
    """Begin copies of the first patient as a process does that is killed, and return the id of the patient."""
    from simple_orthanc.session.acts import making_copies

    def killed(*_: object) -> None:
        raise SystemExit

    archive.script = [script]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making_copies.CopyMaker, "_wait", killed)
        with pytest.raises(SystemExit):
            session.modify(**CHANGE)
    patient = orthanc_id(chain(archive.datasets[0], "Patient"))
    assert notes(archive) == [patient]
    return patient


@pytest.mark.parametrize("script", ["", "part", "running"])
def test_what_a_killed_client_leaves_is_finished_or_removed(archive: CopyingServer, script: str) -> None:
    with connect(archive) as session:
        left_by_a_killed_client(archive, session, script)
        if script == "running":
            # Paused by somebody, it would never end.
            archive.jobs["job-0"]["State"] = "Paused"
        table = session.refresh().modify(**CHANGE)
        done = table[table.status != "skipped"]
        assert sorted(done.status.tolist()) == ["modified"] * 2, table.message.tolist()
        assert len(archive.asked) == (2 if script == "" else 3)
        assert len(archive.datasets) == 10
    assert notes(archive) == []


def test_copies_that_others_made_later_stay(archive: CopyingServer) -> None:
    with connect(archive) as session:
        left_by_a_killed_client(archive, session, "part")
        archive.now = "20200301T120000"
        # As another program does, which marks nothing.
        series = orthanc_id(chain(archive.datasets[0], "Series"))
        body = {"Resources": [series], "Keep": [], "Replace": {}, "Remove": [], "Level": "Series"}
        others = archive._copy(archive.datasets[:3], "/tools/bulk-modify", body, "")
        kept = {str(dataset.SOPInstanceUID) for dataset in others}
        session.refresh().select(SOPInstanceUID=originals(archive))
        assert session.modify(**CHANGE).status.tolist() == ["modified"] * 2
        assert kept <= {str(dataset.SOPInstanceUID) for dataset in archive.datasets}
        assert len(archive.datasets) == 10 + 3


def test_copies_that_others_make_meanwhile_stay(archive: CopyingServer) -> None:
    start = archive._start

    def start_with_others(route: str, body: dict[str, Any]) -> Any:
        if not archive.asked:
            archive._copy(archive.datasets[:3], route, body, "")
        return start(route, body)

    archive._start = start_with_others  # type: ignore[method-assign]
    with connect(archive) as session:
        assert session.modify(**CHANGE).status.tolist() == ["modified"] * 2
    assert len(archive.datasets) == 10 + 3


def test_another_call_does_not_disturb_a_job_that_runs(archive: CopyingServer) -> None:
    with connect(archive) as session:
        left_by_a_killed_client(archive, session, "running")
        table = session.refresh().select(PatientID="P1", SOPInstanceUID=originals(archive)).anonymize()
        assert table.status.tolist() == ["failed"]
        assert "orthanc.jobs['job-0'].wait()" in table.message[0]
        archive.jobs["job-0"] |= {"State": "Success", "CompletionTime": "20200101T120003.123456"}
        archive.now = "20200101T120030"
        assert "in a minute" in session.anonymize().message[0]
        assert len(archive.datasets) == 5 + 1
        archive.now = "20200101T120130"
        # What it left is removed by any call.
        assert session.anonymize().status.tolist() == ["anonymized"]
        assert len(archive.datasets) == 5 + 3


def originals(archive: CopyingServer) -> list[str]:
    return [str(dataset.SOPInstanceUID) for dataset in archive.datasets[:5]]


def test_a_note_that_cannot_be_read_is_not_believed(archive: CopyingServer) -> None:
    patient = orthanc_id(chain(archive.datasets[0], "Patient"))
    archive.metadata[patient] = {"39921": "of somebody else"}
    with connect(archive) as session:
        assert session.modify(**CHANGE).status.tolist() == ["modified"] * 2


def test_a_series_that_goes_meanwhile_is_gone_and_the_rest_is_copied(archive: CopyingServer) -> None:
    archive.datasets += make_series((2, 4, 4), seed=3, PatientID="P1", PatientName=archive.datasets[0].PatientName)
    with connect(archive) as session:
        session.select(PatientID="P1")
        start = archive._start

        def gone_before_the_job(route: str, body: dict[str, Any]) -> Any:
            if len(archive.datasets) == 7:
                del archive.datasets[:3]
            return start(route, body)

        archive._start = gone_before_the_job  # type: ignore[method-assign]
        table = session.modify(**CHANGE)
        assert sorted(table.status) == ["gone", "modified"], table.message.tolist()
        assert len(archive.datasets) == 4 + 2


def test_a_dry_run_tells_what_is_done_already_and_sends_nothing(archive: CopyingServer) -> None:
    with connect(archive) as session:
        session.select(PatientID="P1").modify(**CHANGE)
        archive.changing.clear()
        session.reset().select(SOPInstanceUID=originals(archive))
        table = session.modify(**CHANGE, dry_run=True)
        assert table.status.tolist() == ["already there", "would be modified"]
        assert table.new_SeriesInstanceUID.notna().tolist() == [True, False]
        assert archive.changing == []


def test_copies_that_were_changed_since_are_made_again(archive: CopyingServer) -> None:
    with connect(archive) as session:
        table = session.select(PatientID="P1").modify(**CHANGE)
        for dataset in archive.datasets[5:]:
            dataset.SeriesDescription = "changed"
        session.reset().select(SOPInstanceUID=originals(archive)[:3])
        archive.datasets[:] = [copy.deepcopy(dataset) for dataset in archive.datasets]
        again = session.modify(**CHANGE)
        assert again.status.tolist() == ["modified"]
        assert again.new_orthanc_id[0] != table.new_orthanc_id[0]
        del archive.datasets[8]
        assert session.modify(**CHANGE).new_orthanc_id[0] != again.new_orthanc_id[0]


def test_ctrl_c_cancels_the_job_and_the_table_is_true(archive: CopyingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from simple_orthanc.concurrency import interruption

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    archive.script = ["running"]
    monkeypatch.setattr(interruption, "pause", interrupted)
    with connect(archive) as session:
        with pytest.raises(KeyboardInterrupt) as caught:
            session.modify(**CHANGE)
        assert archive.jobs["job-0"]["ErrorCode"] == 37
        table = vars(caught.value)["table"]
        assert table.status.tolist() == ["failed", "not tried"]
        assert "the same call removes or finishes them" in table.message[0]
        monkeypatch.undo()
        again = session.modify(**CHANGE)
        assert sorted(again.status[again.status != "skipped"]) == ["modified", "modified"]
        assert len(archive.datasets) == 10


@pytest.mark.parametrize("error", [TransportError("It was cut off."), ServerError("Bad Gateway", status=502)])
def test_a_job_whose_answer_was_lost_is_found(
    archive: CopyingServer, monkeypatch: pytest.MonkeyPatch, error: OrthancError
) -> None:
    start = Rest.start_job

    def answer_lost(self: Rest, *request: Any, **options: Any) -> Any:
        start(self, *request, **options)
        raise error

    monkeypatch.setattr(Rest, "start_job", answer_lost)
    with connect(archive) as session:
        assert session.modify(**CHANGE).status.tolist() == ["modified"] * 2
    assert len(archive.asked) == 2
    assert len(archive.datasets) == 10


def test_a_server_that_is_gone_leaves_a_true_table(archive: CopyingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> Any:
        # As a proxy answers for a server that is away.
        monkeypatch.setattr(archive, "respond", lambda *_: Reply(b"", "text/html", 502))
        raise TransportError("Connection refused.")

    with connect(archive) as session:
        with monkeypatch.context() as patch:
            patch.setattr(Rest, "start_job", gone)
            with pytest.raises(TransportError, match=r"0 of 2 objects are known to be modified") as caught:
                session.modify(**CHANGE)
        assert caught.value.table.status.tolist() == ["failed", "not tried"]
        assert "the server went away meanwhile" in caught.value.table.message[0]
    monkeypatch.undo()
    with connect(archive) as later:
        assert later.modify(**CHANGE).status.tolist() == ["modified"] * 2
    assert notes(archive) == []


def test_copies_that_cannot_be_removed_are_named(archive: CopyingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.script = ["part"]
    monkeypatch.setattr(archive, "_bulk_delete", lambda keys: Reply(b"", "text/plain"))
    with connect(archive) as session:
        table = session.modify(**CHANGE)
        assert table.status.tolist() == ["failed", "modified"]
        assert table.message[0].startswith("1 instance of incomplete copies could not be removed: ")
        # The next call tries again.
        assert len(notes(archive)) == 1
        monkeypatch.undo()
        assert "modified" in session.modify(**CHANGE).status.tolist()
    assert len(archive.datasets) == 10


def test_a_copy_whose_original_is_gone_may_be_copied(archive: CopyingServer) -> None:
    with connect(archive) as session:
        archive.metadata[session.get_orthanc_ids()[0]] = {"ModifiedFrom": "gone"}
        assert session.modify(**CHANGE).status.tolist() == ["modified"] * 2


def test_copies_that_two_equal_calls_made_at_once_are_there_afterwards(archive: CopyingServer) -> None:
    from simple_orthanc.session.acts.making_copies import CopyMaker

    with connect(archive) as session:
        first = session.modify(**CHANGE)
        with pytest.MonkeyPatch.context() as patch:
            # The other one had looked before these copies were there.
            patch.setattr(CopyMaker, "_marked", lambda *_: None)
            session.select(SOPInstanceUID=originals(archive)).modify(**CHANGE)
        assert len(archive.datasets) == 15
        table = session.modify(**CHANGE)
        assert table.status.tolist() == ["already there"] * 2
        assert len(archive.datasets) == 15
        # All from one of both.
        assert all(", " not in key for key in table.new_orthanc_id)
        assert len(first) == len(table)


@pytest.mark.parametrize("marked", [0, 1, 2])
@pytest.mark.parametrize("between", [None, {"replace": {"SeriesDescription": "newer"}}])
def test_a_client_that_is_killed_while_it_marks_copies_leaves_them_whole(
    marked: int, between: dict[str, Any] | None
) -> None:
    from simple_orthanc.session.acts.copy_notes import Notes

    datasets = [
        dataset
        for number in (1, 2)
        for dataset in make_series((2, 4, 4), seed=number, PatientID="P1", StudyInstanceUID="1.2.3")
    ]
    with CopyingServer(datasets) as archive, connect(archive) as session:
        series = {str(dataset.SeriesInstanceUID) for dataset in datasets}
        session.select(SeriesInstanceUID=sorted(series))
        mark, left = Notes.mark, [None] * marked

        def killed(*arguments: Any) -> None:
            if not left:
                raise SystemExit
            left.pop()
            mark(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Notes, "mark", killed)
            if marked == 2:
                patch.setattr(Notes, "remove", killed)
            with pytest.raises(SystemExit):
                session.modify(**CHANGE)
        archive.now = "20200301T120000"
        if between is not None:
            assert session.modify(**between).status.tolist() == ["modified"] * 2
        for _ in range(2):
            table = session.modify(**CHANGE)
            assert set(table.status) <= {"modified", "already there"}
        assert table.status.tolist() == ["already there"] * 2
        assert len(archive.datasets) == 4 + 4 + 4 * (between is not None)
        assert notes(archive) == []
