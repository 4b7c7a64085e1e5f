"""What a table of an act says at every moment."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest

from simple_orthanc.errors import JobError, NotFoundError, ServerError, TransportError
from simple_orthanc.session.acts.reports import ActReport, Outcome, Target

FIRST = Target("series", "1", ("P1", "1.2", "1.2.1"), ("a", "b"))
SECOND = Target("instance", "1", ("P1", "1.2", "1.2.2", "1.2.2.1"), ("c",))
LOST = Target("study", "9", (None, "1.9"), is_gone=True)


def statuses(table: pd.DataFrame) -> list[str]:
    found: list[str] = table["status"].tolist()
    return found


def test_columns_are_as_deep_as_the_objects() -> None:
    table = ActReport([FIRST, SECOND, LOST], "sent", ["new_id", "sent_count"]).planned()
    assert list(table.columns) == [
        *("level", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
        *("new_id", "sent_count", "instance_count", "status", "message"),
    ]
    assert {str(table[name].dtype) for name in ("sent_count", "instance_count")} == {"Int64"}
    assert {str(table[name].dtype) for name in ("level", "PatientID", "new_id", "status", "message")} == {"string"}
    assert statuses(table) == ["would be sent", "would be sent", "gone"]
    assert table["SOPInstanceUID"].isna().tolist() == [True, False, True]
    assert table["instance_count"].tolist() == [2, 1, 0]
    assert list(ActReport([LOST], "sent").table().columns)[:4] == [
        *("level", "PatientID", "StudyInstanceUID", "instance_count")
    ]
    assert len(ActReport([], "sent").table()) == 0


def test_a_refusal_is_a_row_and_the_next_object_is_tried() -> None:
    report = ActReport([LOST, FIRST, SECOND], "sent", ["new_id"])
    refusal = ServerError("The server refused.", status=403)

    def act(target: Target) -> Outcome:
        if target is FIRST:
            raise refusal
        return Outcome("sent", values={"new_id": "x"})

    report.walk(act, is_alive=lambda: False, label="sending")
    table = report.table()
    assert statuses(table) == ["gone", "failed", "sent"]
    assert table["message"].tolist() == ["not in the archive any more", "The server refused.", ""]
    assert table["new_id"].fillna("-").tolist() == ["-", "-", "x"]
    assert report.pending == []
    assert (report.having("sent"), report.outcome(FIRST).error) == ([SECOND], refusal)
    assert report.first_error is refusal
    assert statuses(vars(refusal)["table"]) == ["gone", "failed", "sent"]
    report.set(FIRST, Outcome("failed", "looked at again"))
    assert str(report.first_error) == "looked at again"
    report.set(FIRST, Outcome("sent"))
    assert report.first_error is None


def test_a_lost_answer_of_a_server_that_lives_is_a_row() -> None:
    report = ActReport([FIRST, SECOND], "sent")
    errors = [TransportError("no answer"), TransportError("another object", is_about_object=True)]

    def act(target: Target) -> Outcome:
        raise errors.pop(0)

    report.walk(act, is_alive=lambda: len(errors) == 1, label="sending")
    assert statuses(report.table()) == ["failed", "failed"]
    assert report.table()["message"].tolist() == ["no answer", "another object"]


@pytest.mark.parametrize("failure", [TransportError("no answer"), KeyboardInterrupt()])
def test_an_act_that_ends_early_knows_what_it_did(failure: BaseException) -> None:
    report = ActReport([FIRST, SECOND, Target("series", "3", ("P3", "3", "3.1"))], "deleted")

    def act(target: Target) -> Outcome:
        if target is SECOND:
            raise failure
        return Outcome("deleted")

    with pytest.raises(type(failure)) as caught:
        report.walk(act, is_alive=lambda: False, label="deleting")
    table = vars(caught.value)["table"]
    assert statuses(table) == ["deleted", "failed", "not tried"]
    assert "may or may not be deleted" in table["message"][1]
    assert [target.key for target in report.pending] == ["3"]
    if isinstance(failure, TransportError):
        assert str(failure).startswith("The server went away: 1 of 3 objects is known to be deleted; .table lists")
        assert str(failure).endswith("no answer")
        assert statuses(pickle.loads(pickle.dumps(failure)).table) == ["deleted", "failed", "not tried"]


def test_other_errors_carry_the_table_and_their_own_words() -> None:
    report = ActReport([FIRST], "sent")
    for error in (
        JobError("the job failed"),
        NotFoundError("no such"),
        TransportError("mixed up", is_about_object=True),
    ):
        with pytest.raises(type(error), match="^" + str(error) + "$") as caught, report.attached():
            raise error
        assert statuses(vars(caught.value)["table"]) == ["not tried"]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_whose_server_is_away_is_no_refusal(status: int) -> None:
    def refuse(target: Target) -> Outcome:
        raise ServerError("Bad Gateway", status=status)

    report = ActReport([FIRST, SECOND], "deleted")
    with pytest.raises(TransportError, match="The server went away") as caught:
        report.walk(refuse, is_alive=lambda: False, label="deleting")
    assert caught.value.table.status.tolist() == ["failed", "not tried"]
    report.walk(refuse, is_alive=lambda: True, label="deleting")
    assert report.table().status.tolist() == ["failed", "failed"]


def test_a_server_that_loses_every_answer_is_given_up() -> None:
    targets = [Target("series", str(number), ("P1", "1.2", f"1.2.{number}")) for number in range(8)]
    report = ActReport(targets, "sent")
    lost = {1, 2, 4, 5, 6}

    def act(target: Target) -> Outcome:
        if int(target.key) in lost:
            raise TransportError("no answer")
        return Outcome("sent")

    with pytest.raises(TransportError, match="3 answers in a row were lost: 2 of 8 objects are known") as caught:
        report.walk(act, is_alive=lambda: True, label="sending")
    assert statuses(caught.value.table) == [
        *("sent", "failed", "failed", "sent", "failed", "failed", "failed", "not tried")
    ]
