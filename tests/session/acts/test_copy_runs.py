"""One call that makes copies, from the selection to the table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simple_orthanc.concurrency.interruption import Interruption
from simple_orthanc.dicom.levels import Level
from simple_orthanc.phantom import make_series
from simple_orthanc.session.acts.copy_runs import _turn, copy_columns
from tests.session.acts.copying_server import CopyingServer


@pytest.fixture
def archive() -> Iterator[CopyingServer]:
    """A study of two series."""
    datasets = make_series((3, 4, 4), seed=1, PatientID="P1", StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1")
    datasets += make_series((2, 4, 4), seed=2, PatientID="P1", StudyInstanceUID="1.2", SeriesInstanceUID="1.2.2")
    with CopyingServer(datasets) as running:
        yield running


@pytest.mark.parametrize(("level", "rows"), [("patient", 1), ("study", 1), ("series", 2), ("instance", 5)])
def test_rows_are_of_the_level_and_columns_as_deep(archive: CopyingServer, level: Level, rows: int) -> None:
    with archive.connect(patience=0) as session:
        table = session.select(PatientID="P1").modify({"StudyDescription": "x"}, level=level)
    assert len(table) == rows
    assert table.instance_count.sum() == 5
    start = list(table.columns).index("new_PatientID")
    assert list(table.columns)[start : start + len(copy_columns(level))] == copy_columns(level)
    assert table.notna().all(axis=None)
    assert len(archive.datasets) == 10


def test_no_more_is_copied_than_selected_unless_whole_objects_are_asked_for(archive: CopyingServer) -> None:
    with archive.connect(patience=0) as session:
        session.select(SeriesInstanceUID="1.2.1", InstanceNumber=[1, 2])
        assert session.modify({"SeriesDescription": "x"}).instance_count.tolist() == [2]
        assert len(archive.datasets) == 7
        assert session.modify({"SeriesDescription": "y"}, whole=True).instance_count.tolist() == [3]
        assert len(archive.datasets) == 10
        assert len(archive.asked[0][1]["Resources"]) == 2
        assert len(archive.asked[1][1]["Resources"]) == 1


def test_the_session_knows_the_copies_afterwards(archive: CopyingServer) -> None:
    with archive.connect(patience=0) as session:
        table = session.select(SeriesInstanceUID="1.2.1").modify({"SeriesDescription": "x"})
        assert session.instance_count == 3
        assert session.reset().select(SeriesInstanceUID=list(table.new_SeriesInstanceUID)).instance_count == 3


def test_a_dry_run_waits_for_no_turn_and_an_interruption_ends_the_wait_of_others(archive: CopyingServer) -> None:
    with archive.connect(patience=0) as session:
        session.select(PatientID="P1")
        patients = session.get_orthanc_ids("patient")
        with _turn(session.rest.url, patients):
            assert session.modify({"StudyDescription": "x"}, dry_run=True).status.tolist() == ["would be modified"] * 2
            call = Interruption()
            call.interrupt()
            with call, pytest.raises(KeyboardInterrupt), _turn(session.rest.url, patients):
                pytest.fail("two turns at once")
        assert len(archive.datasets) == 5
        assert session.modify({"StudyDescription": "x"}).status.tolist() == ["modified"] * 2
