"""What was planned for a selection is kept with it: no verb reads headers, plans or fetches pixels in vain."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import InconsistentSlicesError, VolumeError
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_header
from simple_orthanc.phantom import make_series
from simple_orthanc.session import Session
from simple_orthanc.session.reading import volume_reader
from simple_orthanc.session.reading.kept_plans import KeptPlans
from simple_orthanc.session.reading.volume_reader import VolumeRequest
from tests.memory_source import MemorySource


class CountingSource(MemorySource):
    """An archive in memory that counts the headers and the files that are read."""

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        super().__init__(datasets)
        self.headers = self.files = 0

    def header(self, key: str) -> Dataset:
        self.headers += 1
        content = self.content(key)
        return read_header(lambda start, stop: (content, True), len(content), Scanner())

    def read(self, key: str, room: Any) -> memoryview:
        self.files += 1
        return super().read(key, room)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of headers of which plans were made."""
    counts: list[int] = []
    plan = volume_reader.plan_stacks

    def counted(headers: Sequence[Dataset], *arguments: Any) -> Any:
        counts.append(len(headers))
        return plan(headers, *arguments)

    monkeypatch.setattr(volume_reader, "plan_stacks", counted)
    return counts


def two_times(**tags: Any) -> list[Dataset]:
    """Two time points of one series."""
    base = make_series((3, 4, 4), modality="MR", TemporalPositionIdentifier=1, **tags)
    return base + make_series((3, 4, 4), modality="MR", TemporalPositionIdentifier=2, like=base[0], **tags)


def session_of(datasets: Sequence[Dataset]) -> tuple[Session, CountingSource]:
    source = CountingSource(datasets)
    return Session(source), source


def test_a_table_is_planned_once(planned: list[int]) -> None:
    session, source = session_of(two_times())
    first = session.volume_table()
    assert (source.headers, planned) == (6, [6])
    assert session.volume_table().equals(first)
    assert (source.headers, planned) == (6, [6])


def test_a_series_that_cannot_be_a_volume_is_refused_without_fetching_it(planned: list[int]) -> None:
    session, source = session_of(two_times())
    session.volume_table()
    for _ in range(2):
        with pytest.raises(InconsistentSlicesError, match="2 groups"):
            session.get_volume()
    assert (source.files, planned) == (0, [6])
    assert session.get_volume(dims="time").array.shape == (2, 3, 4, 4)
    assert (source.files, planned) == (6, [6])


def test_labels_volumes_and_the_table_share_one_plan(planned: list[int]) -> None:
    session, _ = session_of(two_times())
    session.volume_table()
    labels = list(session.get_volumes(gaps="nan"))
    assert labels == list(session.get_volumes())
    assert planned == [6]


def test_a_volume_is_planned_once_and_read_each_time(planned: list[int]) -> None:
    session, source = session_of(make_series((3, 4, 4)))
    np.testing.assert_array_equal(session.get_array(), session.get_array())
    assert (source.files, planned) == (6, [3])


@pytest.mark.parametrize("arguments", [{"spacing": 2.0}, {"across_series": True}])
def test_a_plan_is_made_again_when_what_it_depends_on_changes(planned: list[int], arguments: dict[str, Any]) -> None:
    session, _ = session_of(make_series((3, 4, 4)))
    session.get_volume()
    session.get_volume(**arguments)
    assert planned == [3, 3]


def test_another_selection_has_a_plan_of_its_own(planned: list[int]) -> None:
    session, _ = session_of(two_times())
    session.volume_table()
    child = session.copy()
    assert len(child.select(TemporalPositionIdentifier=1).volume_table()) == 1
    assert len(session.volume_table()) == 2
    assert planned == [6, 3]


def test_a_replaced_object_is_planned_again(planned: list[int]) -> None:
    datasets = make_series((3, 4, 4))
    session, _ = session_of(datasets)
    assert session.get_volume().spacing == (1.0, 1.0, 1.0)
    for index, dataset in enumerate(datasets):
        dataset.ImagePositionPatient = [0, 0, 2.0 * index]
    assert session.get_volume().spacing == (1.0, 1.0, 2.0)
    assert planned == [3, 3]


def test_a_refresh_reads_and_plans_again(planned: list[int]) -> None:
    datasets = make_series((3, 4, 4))
    session, source = session_of(datasets)
    session.volume_table()
    for dataset in datasets:
        dataset.Rows, dataset.Columns, dataset.PixelData = 2, 2, bytes(8)
    session.refresh()
    assert session.volume_table()["rows"].tolist() == [2]
    assert (source.headers, planned) == (6, [3, 3])


def test_volumes_that_were_replaced_are_named_again_as_the_error_proposes() -> None:
    datasets = two_times()
    session, _ = session_of(datasets)
    volumes = session.get_volumes()
    for dataset in datasets[3:]:
        dataset.TemporalPositionIdentifier = 7
    with pytest.raises(VolumeError, match=r"Call get_volumes\(\) again"):
        _ = volumes["time 2"]
    assert list(session.get_volumes()) == ["time 1", "time 7"]


def test_an_interrupted_plan_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    session, _ = session_of(two_times())

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(volume_reader, "plan_stacks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.volume_table()
    assert len(session.volume_table()) == 2


def test_plans_are_not_pickled() -> None:
    session, _ = session_of(two_times())
    session.volume_table()
    twin = pickle.loads(pickle.dumps(session))
    assert session._kept_plans().readers
    assert not twin._kept_plans().readers
    assert twin.volume_table().equals(session.volume_table())


def test_plans_are_those_of_one_state() -> None:
    one, other = object(), object()
    plans = KeptPlans(one, other)
    assert plans.is_of(one, other)
    assert not plans.is_of(other, one)
    assert not plans.is_of(one)
    headers = make_series((2, 4, 4))
    assert plans.known(["a", "b"], VolumeRequest()) is None
    planned = plans.plan(["a", "b"], headers, VolumeRequest())
    assert plans.known(["a", "b"], VolumeRequest(units="stored")) is planned
    plans.forget()
    assert plans.known(["a", "b"], VolumeRequest()) is None
