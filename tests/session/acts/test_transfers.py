"""What is sent, as rows: exactly what is selected, and every reason for what is not there."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.errors import EmptySelectionError, SelectionError
from simple_orthanc.session import Session
from simple_orthanc.session.acts.reports import Outcome
from simple_orthanc.session.acts.transfers import plan_transfer
from tests.memory_source import instance
from tests.session.sessions import quiet, session_of, source_of


def archive() -> Session:
    """Two series of three and two instances."""
    return session_of(*(instance(number) for number in (1, 2, 3)), *(instance(number, series="2") for number in (1, 2)))


def test_a_row_per_series_holds_what_is_selected_of_it() -> None:
    session = archive().select(InstanceNumber=[1, 2])
    transfer = plan_transfer(session, "series", everything=False)
    assert [(row.level, row.identifiers, len(row.instances)) for row in transfer.rows] == [
        ("series", ("P1", "1.2.1", "1.2.1.1"), 2),
        ("series", ("P1", "1.2.1", "1.2.1.2"), 2),
    ]
    assert [each.identifiers[-1] for each in transfer.instances] == ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1", "1.2.1.2.2"]
    assert transfer.report.planned().status.tolist() == ["would be sent"] * 2


def test_a_row_per_instance() -> None:
    transfer = plan_transfer(archive().select("1.2.1.2"), "instance", everything=False)
    table = transfer.report.planned()
    assert table.SOPInstanceUID.tolist() == ["1.2.1.2.1", "1.2.1.2.2"]
    assert table.instance_count.tolist() == [1, 1]


@pytest.mark.parametrize("level", ["study", "patient", "images", None])
def test_other_levels_are_refused(level: Any) -> None:
    with pytest.raises(SelectionError, match=r'reported by "series" or by "instance"'):
        plan_transfer(archive().select("P1"), level, everything=False)


def test_a_whole_archive_must_be_allowed_and_nothing_is_refused() -> None:
    session = archive()
    with pytest.raises(SelectionError, match="whole archive would be sent"):
        plan_transfer(session, "series", everything=False)
    assert len(plan_transfer(session, "series", everything=True).instances) == 5
    quiet(lambda: session.select(PatientID="nobody"))
    with pytest.raises(EmptySelectionError, match="nothing was sent"):
        plan_transfer(session, "series", everything=False)


def test_what_has_gone_since_it_was_selected_is_a_row() -> None:
    session = archive().select(InstanceNumber=[1, 2])
    source = source_of(session)
    source.datasets = [each for each in source.datasets if each.SOPInstanceUID != "1.2.1.2.2"]
    transfer = plan_transfer(session, "series", everything=False)
    assert len(transfer.instances) == 3
    table = transfer.report.table()
    assert table.status.tolist() == ["not tried", "not tried", "gone"]
    assert table.level.tolist() == ["series", "series", "instance"]


@pytest.mark.parametrize(
    ("outcomes", "status", "counts", "message"),
    [
        (["sent", "sent", "sent"], "sent", (3, 0, 0), ""),
        (["already there"] * 3, "already there", (0, 3, 0), ""),
        (["sent", "already there", "sent"], "sent", (2, 1, 0), ""),
        (["gone: left"] * 3, "gone", (0, 0, 3), "left"),
        (["failed: full"] * 3, "failed", (0, 0, 3), "full"),
        (["sent", "gone: left", "sent"], "failed", (2, 0, 1), "1 of 3 gone (1.2.1.1.2): left"),
        (["sent", "conflict: other", "already there"], "conflict", (1, 1, 1), "1 of 3 conflict (1.2.1.1.2): other"),
        (
            ["failed: a", "failed: b", "conflict: c"],
            "failed",
            (0, 0, 3),
            "1 of 3 failed (1.2.1.1.1): a; 1 of 3 failed (1.2.1.1.2): b; 1 of 3 conflict (1.2.1.1.3): c",
        ),
        (["sent: as it is"] * 3, "sent", (3, 0, 0), "as it is"),
        (["sent", "", ""], "failed", (1, 0, 2), "2 of 3 not tried (1.2.1.1.2, 1.2.1.1.3)"),
        (["", "", ""], "not tried", (0, 0, 3), ""),
        (["begun", "", ""], "failed", (0, 0, 3), "may or may not be sent; 2 of 3 not tried"),
    ],
)
def test_a_row_is_done_only_if_all_of_it_is(
    outcomes: list[str], status: str, counts: tuple[int, int, int], message: str
) -> None:
    transfer = plan_transfer(archive().select("1.2.1.1"), "series", everything=False)
    with transfer.summed_up():
        for each, told in zip(transfer.instances, outcomes, strict=True):
            if told:
                transfer.begun.add(each.key)
            if told and told != "begun":
                transfer.outcomes[each.key] = Outcome(*told.split(": "))
    (row,) = transfer.report.table().to_dict("records")
    assert row["status"] == status
    assert (row["sent_count"], row["already_there_count"], row["failed_count"]) == counts
    assert message in row["message"]
    assert bool(row["message"]) == bool(message)


def test_many_reasons_are_counted() -> None:
    transfer = plan_transfer(archive(), "series", everything=True)
    series = session_of(*(instance(number) for number in range(5)))
    transfer = plan_transfer(series, "series", everything=True)
    with transfer.summed_up():
        for number, each in enumerate(transfer.instances):
            transfer.outcomes[each.key] = Outcome("failed", f"reason {number}")
    assert transfer.report.table().message[0].endswith("reason 2; and 2 more reasons")


def test_rows_are_summed_up_after_an_error_too() -> None:
    transfer = plan_transfer(archive().select("1.2.1.1"), "series", everything=False)
    transfer.outcomes[transfer.instances[0].key] = Outcome("sent")
    transfer.begun.add(transfer.instances[1].key)
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), transfer.report.attached(), transfer.summed_up():
        raise error
    (row,) = vars(error)["table"].to_dict("records")
    assert (row["status"], row["sent_count"], row["failed_count"]) == ("failed", 1, 2)
