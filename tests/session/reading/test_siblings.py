"""Child sessions of series: what a loop over them needs is read for several at a time, and nothing before it is."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import MissingSlicesError, Session
from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.phantom import make_series
from tests.memory_source import MemorySource
from tests.session.damaged import CheckingSource, DamagedSource
from tests.session.reading.test_lazy_volumes import TogetherSource, series_of

SERIES = 40


def archive(count: int = SERIES) -> list[Dataset]:
    rng = np.random.default_rng(2)
    return [
        dataset
        for number in range(count)
        for dataset in make_series(
            array=rng.integers(0, 1000, (3, 4, 4)).astype(np.int16), seed=number, PatientID=f"P{number:02d}"
        )
    ]


def arrays_of(datasets: Sequence[Dataset]) -> list[bytes]:
    return [volume.array.tobytes() for volume in Session(MemorySource(datasets)).get_volumes().values()]


def rows_read(source: MemorySource) -> int:
    return sum(request.startswith("below instance") for request in source.asked)


def test_a_loop_over_descriptions_reads_no_instances() -> None:
    source = TogetherSource(archive())
    assert len([series.Modalities for series in Session(source).series]) == SERIES
    assert rows_read(source) == 0
    assert source.together == []


def test_rows_of_instances_are_read_for_several_series() -> None:
    source = MemorySource(archive())
    found = [series.get_dicom_tag("SOPInstanceUID") for series in Session(source).series]
    assert [len(uids) for uids in found] == [3] * SERIES
    assert rows_read(source) <= 8


def test_volumes_of_small_series_are_fetched_together() -> None:
    datasets = archive()
    source = TogetherSource(datasets)
    session = Session(source)
    arrays = [series.get_volume().array.tobytes() for series in session.series]
    assert arrays == arrays_of(datasets)
    assert len(source.together) <= 6
    assert sum(source.together) == SERIES - 1
    assert rows_read(source) <= 8


@pytest.mark.parametrize("part", [{"slices": 1}, {"lazy": True}], ids=["slices", "lazy"])
def test_of_volumes_of_which_parts_are_wanted_no_files_are_fetched_together(part: dict[str, Any]) -> None:
    source = TogetherSource(archive(8))
    shapes = {series.get_volume(**part).shape for series in Session(source).series}
    assert shapes == {(3, 4, 4) if "lazy" in part else (1, 4, 4)}
    assert source.together == []


def test_threads_take_them_in_any_order() -> None:
    datasets = archive()
    source = TogetherSource(datasets)
    children = Session(source).series
    arrays = run_all(lambda index: children[index].get_volume().array.tobytes(), range(SERIES), workers=4)
    assert arrays == arrays_of(datasets)
    assert len(source.together) <= 8


def test_a_child_by_itself_reads_nothing_else() -> None:
    source = TogetherSource(archive())
    session = Session(source)
    assert session.series[7].get_volume().shape == (3, 4, 4)
    assert session.series[8].get_volume().shape == (3, 4, 4)
    children = session.series
    for index in (5, 30, 12):
        assert children[index].get_volume().shape == (3, 4, 4)
    assert source.together == []


def test_a_child_that_is_narrowed_reads_what_it_selects() -> None:
    source = TogetherSource(archive())
    shapes = [series.select(InstanceNumber=(1, 2)).get_volume().shape for series in Session(source).series]
    assert shapes == [(2, 4, 4)] * SERIES
    assert source.together == []


def test_children_can_be_read_again_pickled_and_kept() -> None:
    datasets = archive()
    session = Session(TogetherSource(datasets))
    wanted, children = arrays_of(datasets), list(session.series)
    assert [child.get_volume().array.tobytes() for child in children] == wanted
    assert [child.get_volume().array.tobytes() for child in reversed(children)] == wanted[::-1]
    assert pickle.loads(pickle.dumps(children[3])).get_volume().array.tobytes() == wanted[3]


def test_irregular_series_raise_what_they_raise_alone() -> None:
    kinds = ["plain", "plain", "hole", "plain", "hole", "plain"]
    source = TogetherSource([dataset for number, kind in enumerate(kinds) for dataset in series_of(number, kind)])
    for series in Session(source).series:
        if series.instance_count == 5:
            assert series.get_volume().shape == (5, 4, 4)
        else:
            with pytest.raises(MissingSlicesError):
                series.get_volume()


def test_a_wrong_file_among_those_read_together_is_read_again() -> None:
    class Checking(TogetherSource, CheckingSource):
        def __init__(self, datasets: Sequence[Dataset]) -> None:
            DamagedSource.__init__(self, datasets, {})
            self.together, self.wrong = [], {}

    datasets = archive(6)
    source = Checking(datasets)
    source.wrong = {source.key(datasets[8], "instance"): b"no DICOM", source.key(datasets[13], "instance"): None}
    assert [series.get_volume().array.tobytes() for series in Session(source).series] == arrays_of(datasets)


def test_leaving_the_loop_ends_reading_ahead() -> None:
    source = TogetherSource(archive(100))
    for position, series in enumerate(Session(source).series):
        series.get_volume()
        if position == 3:
            break
    deadline = time.monotonic() + 10
    while any(thread.name == "simple_orthanc" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(thread.name == "simple_orthanc" for thread in threading.enumerate())
    fetched = sum(source.together)
    assert series.get_volume().shape == (3, 4, 4)
    time.sleep(0.05)
    assert sum(source.together) == fetched
