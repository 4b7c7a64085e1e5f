"""Deletions are looked at afterwards."""

from __future__ import annotations

import pytest

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import ServerError
from simple_orthanc.session.acts.deleting import DELETED, delete_all
from simple_orthanc.session.acts.reports import ActReport
from simple_orthanc.session.acts.targets import whole_targets
from tests.memory_source import MemorySource
from tests.session.sessions import source_of, three_series


@pytest.mark.parametrize("level", ["patient", "study", "series", "instance"])
def test_a_server_that_only_pretends_to_delete_is_found_out(level: Level) -> None:
    session = three_series()
    source = source_of(session)
    report = ActReport(whole_targets(session, level, DELETED, everything=True, whole=False), DELETED)

    def delete(level: Level, key: str) -> bool:
        source.datasets = [
            dataset
            for dataset in source.datasets
            if dataset.PatientID == "P1" or MemorySource.key(dataset, level) != key
        ]
        return True

    delete_all(report, delete, source, lambda: True)
    table = report.table()
    assert table.loc[table.PatientID == "P2", "status"].tolist() == ["deleted"]
    assert set(table.loc[table.PatientID == "P1", "status"]) == {"failed"}
    assert set(table.loc[table.PatientID == "P1", "message"].str.contains("still holds it")) == {True}
    assert isinstance(report.first_error, ServerError)


def test_what_somebody_else_deletes_at_the_same_time_is_gone() -> None:
    session = three_series()
    report = ActReport(whole_targets(session, "study", DELETED, everything=True, whole=False), DELETED)
    source_of(session).datasets.clear()
    delete_all(report, lambda level, key: False, source_of(session), lambda: True)
    assert report.table().status.tolist() == ["gone", "gone"]
