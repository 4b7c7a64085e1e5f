"""Deletions are looked at afterwards."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.errors import EmptySelectionError, SelectionError, ServerError, UnsupportedError
from simple_orthanc.selection.conditions import Condition
from simple_orthanc.session.acts.deleting import DELETED, delete_all
from simple_orthanc.session.acts.reports import ActReport
from simple_orthanc.session.acts.targets import whole_targets
from tests.examples import examples
from tests.memory_source import MemorySource, archives
from tests.session.deleting import Deleting
from tests.session.sessions import CONDITIONS, KEYWORDS, source_of, three_series


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


@pytest.mark.parametrize("refused", [{"1.2.1", "1.2.7"}, {"1.2.7"}])
def test_a_server_that_deletes_nothing_is_an_error_and_one_that_deletes_some_is_not(refused: set[str]) -> None:
    session = three_series()
    source = source_of(session)
    report = ActReport(whole_targets(session, "study", DELETED, everything=True, whole=False), DELETED)

    def delete(level: Level, key: str) -> bool:
        if key.rpartition("|")[2] in refused:
            raise UnsupportedError("This server does not delete.")
        source.datasets = [dataset for dataset in source.datasets if dataset.PatientID != "P1"]
        return True

    if len(refused) == 1:
        delete_all(report, delete, source, lambda: True)
        assert report.table().status.tolist() == ["deleted", "failed"]
        return
    with pytest.raises(UnsupportedError, match="does not delete") as caught:
        delete_all(report, delete, source, lambda: True)
    assert vars(caught.value)["table"].status.tolist() == ["failed", "failed"]


@settings(max_examples=examples(60, thorough=1500))
@given(archives(1), KEYWORDS, CONDITIONS, st.sampled_from(LEVELS), st.booleans())
def test_exactly_what_is_selected_goes_or_nothing(
    datasets: list[Dataset], tags: dict[str, Any], condition: Condition, level: Level, whole: bool
) -> None:
    session = Deleting(MemorySource(datasets))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        session.select(condition, **tags)
    chosen = set(session._instances())
    owner_of = {MemorySource.key(each, "instance"): MemorySource.key(each, level) for each in datasets}
    owners = {owner_of[key] for key in chosen}
    touched = {key for key, owner in owner_of.items() if owner in owners}
    gone: set[str] = set()
    try:
        table = session.delete(level, whole=whole)
    except EmptySelectionError:
        assert not chosen
    except SelectionError:
        assert touched > chosen
        assert not whole
    else:
        gone = touched
        assert whole or touched == chosen
        assert len(table) == len(owners)
        assert table.instance_count.sum() == len(touched)
        assert set(table.status) == {"deleted"}
    left = {MemorySource.key(each, "instance") for each in source_of(session).datasets}
    assert left == owner_of.keys() - gone
