"""Deleting what is selected from an archive in memory: one object, or all that is selected where that is asked."""

from __future__ import annotations

import warnings

import pytest

from simple_orthanc.errors import AmbiguousSelectionError, EmptySelectionError, SelectionError
from tests.session.deleting import Deleting, deleting_session
from tests.session.sessions import quiet, source_of


def left(session: Deleting) -> int:
    return len(source_of(session).datasets)


@pytest.mark.parametrize(("level", "count"), [("patient", 1), ("study", 1), ("series", 2)])
def test_the_one_selected_object_goes_with_everything_below_it(level: str, count: int) -> None:
    session = deleting_session().select("1.2.1.2")
    delete = getattr(session, f"delete_selected_{level}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert delete() is session
    assert left(session) == {"patient": 1, "study": 1, "series": 2}[level] == count
    assert session.instance_count == 0
    assert session.selection == {"SeriesInstanceUID": "1.2.1.2"}
    assert session.reset().instance_count == count


@pytest.mark.parametrize("level", ["patient", "study", "series"])
def test_several_objects_go_only_where_that_is_asked(level: str) -> None:
    session = deleting_session().select(InstanceNumber=1)
    with pytest.raises(
        AmbiguousSelectionError, match=rf"deletes one\. Nothing was deleted\..*{level}\(everything=True\)"
    ):
        getattr(session, f"delete_selected_{level}")()
    assert left(session) == 4
    getattr(session, f"delete_selected_{level}")(everything=True)
    assert left(session) == 0


def test_the_whole_archive_and_nothing_are_not_deleted() -> None:
    session = deleting_session()
    with pytest.raises(
        SelectionError, match=r"would mean the whole archive.*delete_selected_series\(everything=True\)"
    ):
        session.delete_selected_series()
    quiet(lambda: session.select(Modality="US"))
    for delete in (session.delete_selected_patient, session.delete_selected_study, session.delete_selected_series):
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
