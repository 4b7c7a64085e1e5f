"""Deleting what is selected from an archive in memory: one object, or all that is selected where that is asked."""

from __future__ import annotations

import warnings

import pytest

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import (
    AmbiguousSelectionError,
    EmptySelectionError,
    SelectionError,
    ServerError,
    TransportError,
)
from tests.memory_source import instance
from tests.session.deleting import Deleting, deleting_session
from tests.session.sessions import quiet, source_of


def left(session: Deleting) -> int:
    return len(source_of(session).datasets)


@pytest.mark.parametrize(("level", "count"), [("patient", 1), ("study", 1), ("series", 2)])
def test_the_one_selected_object_goes_with_everything_below_it(level: str, count: int) -> None:
    session = deleting_session().select("1.2.1.2")
    delete = getattr(session, f"delete_selected_{level}")
    if level != "series":
        with pytest.raises(
            SelectionError, match=r"holds 1 series that the selection left out \(1\.2\.1\.1\).*whole=True"
        ):
            delete()
        assert left(session) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert delete(whole=level != "series") is session
    assert left(session) == count
    assert session.instance_count == 0
    assert session.selection == {"SeriesInstanceUID": "1.2.1.2"}
    assert session.reset().instance_count == count


@pytest.mark.parametrize("level", ["patient", "study", "series"])
def test_several_objects_go_only_where_that_is_asked(level: str) -> None:
    session = deleting_session().select(InstanceNumber=1)
    with pytest.raises(AmbiguousSelectionError, match=rf"deletes one\. Nothing was deleted\..*delete\('{level}'\)"):
        getattr(session, f"delete_selected_{level}")(whole=True)
    assert left(session) == 4
    getattr(session, f"delete_selected_{level}")(everything=True, whole=True)
    assert left(session) == 0


def test_the_whole_archive_and_nothing_are_not_deleted() -> None:
    session = deleting_session()
    for delete_anything in (session.delete_selected_series, session.delete):
        with pytest.raises(SelectionError, match=r"the whole archive would be deleted.*everything=True"):
            delete_anything()
    quiet(lambda: session.select(Modality="US"))
    deletes = (session.delete_selected_patient, session.delete_selected_study, session.delete_selected_series)
    for delete in (*deletes, session.delete):
        with pytest.raises(EmptySelectionError, match="Nothing is selected by Modality == 'US'"):
            delete(everything=True)
    assert left(session) == 4


def test_an_error_between_two_deletions_leaves_a_session_that_knows_what_is_left() -> None:
    session = deleting_session().select(Modality="CT")
    session.interrupt_at(2)
    with pytest.raises(KeyboardInterrupt):
        session.delete_selected_series(everything=True)
    assert left(session) == 3
    assert session.SeriesDescriptions == ["head"]


def test_a_dry_run_deletes_nothing_and_then_the_same_is_deleted() -> None:
    session = deleting_session().select(Modality="CT")
    planned = session.delete("study", dry_run=True)
    assert planned.status.tolist() == ["would be deleted"]
    assert left(session) == 4
    table = session.delete("study")
    assert table.status.tolist() == ["deleted"]
    assert table.drop(columns="status").equals(planned.drop(columns="status"))
    assert left(session) == 1
    assert session.instance_count == 0


@pytest.mark.parametrize("level", ["patient", "study", "series"])
def test_what_arrives_after_a_dry_run_is_not_deleted(level: Level) -> None:
    session = deleting_session().select(PatientID="P1")
    assert session.delete(level, dry_run=True).instance_count.sum() == 3
    source_of(session).datasets.append(instance(9, series="2"))
    with pytest.raises(SelectionError, match=r"1 instance that the selection left out \(1\.2\.1\.2\.9\)"):
        session.delete(level)
    assert left(session) == 5
    assert session.refresh().delete(level).instance_count.sum() == 4


def test_a_deletion_never_takes_more_than_is_selected() -> None:
    session = deleting_session().select("1.2.1.2.1")
    with pytest.raises(SelectionError, match=r"1 instance that the selection left out \(1\.2\.1\.2\.2\)"):
        session.delete()
    assert session.delete("instance").SOPInstanceUID.tolist() == ["1.2.1.2.1"]
    assert session.reset().SOPInstanceUIDs == ["1.2.1.1.1", "1.2.1.2.2", "1.2.7.1.1"]
    assert session.select("1.2.1.2.2").delete("patient", whole=True).instance_count.tolist() == [2]
    assert left(session) == 1
    assert session.reset().delete("patient", everything=True).PatientID.tolist() == ["P2"]
    assert left(session) == 0


@pytest.mark.parametrize("failure", [TransportError("no answer"), KeyboardInterrupt()])
def test_a_deletion_that_ends_early_is_finished_by_the_next(failure: BaseException) -> None:
    session = deleting_session().select(Modality=["CT", "PT"])
    session.interrupt_at(2, failure, lives=False)
    with pytest.raises(type(failure)) as caught:
        session.delete()
    assert vars(caught.value)["table"].status.tolist() == ["deleted", "failed", "not tried"]
    assert left(session) == 3
    assert session.delete().status.tolist() == ["deleted", "deleted"]
    assert left(session) == 0


def test_what_a_server_refuses_is_a_row_or_an_error() -> None:
    session = deleting_session().select(Modality="CT")
    session.interrupt_at(1, ServerError("The server refused.", status=403))
    table = session.delete()
    assert table.status.tolist() == ["failed", "deleted"]
    assert table.message.tolist() == ["The server refused.", ""]
    session = deleting_session().select("1.2.1.2")
    session.interrupt_at(1, ServerError("The server refused.", status=403))
    with pytest.raises(ServerError, match="refused") as caught:
        session.delete_selected_series()
    assert vars(caught.value)["table"].status.tolist() == ["failed"]
    assert left(session) == 4


def test_an_object_that_is_gone_is_no_error() -> None:
    session = deleting_session().select(Modality=["CT", "PT"])
    session.table(level="instance")
    source_of(session).datasets.pop(0)
    table = session.delete()
    assert sorted(zip(table.SeriesInstanceUID, table.status, strict=True)) == [
        ("1.2.1.1", "gone"),
        ("1.2.1.2", "deleted"),
        ("1.2.7.1", "deleted"),
    ]
    assert left(session) == 0
