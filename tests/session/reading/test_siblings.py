"""Child sessions of series: what a loop over them needs is read for several at a time, and nothing before it is."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import MissingSlicesError, Session
from simple_orthanc.concurrency.interruption import Interruption, pause
from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.phantom import make_series
from simple_orthanc.selection.source import Mark, Revision, Row
from simple_orthanc.session.reading import siblings
from tests.memory_source import MemorySource
from tests.session.damaged import CheckingSource, DamagedSource
from tests.session.reading.test_lazy_volumes import TogetherSource, as_bytes, series_of

SERIES = 40


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine what was read ahead waits longer.
    monkeypatch.setattr(siblings, "_YOUNG", 600.0)


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


class ReplacedSource(TogetherSource):
    """Has files that are replaced after they were listed."""

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        super().__init__(datasets)
        self.replaced: set[str] = set()

    def replace(self, number: int) -> None:
        """Replace the pixels of a series of three slices."""
        for index in range(3 * number, 3 * number + 3):
            dataset = self.datasets[index] = copy.deepcopy(self.datasets[index])
            dataset.PixelData = np.full((4, 4), 1777, np.int16).tobytes()
            key = self.key(dataset, "instance")
            self.files[key] = as_bytes(dataset)
            self.replaced.add(key)


class TellingSource(ReplacedSource):
    """Can tell what was replaced."""

    def mark(self, revision: Revision | None, instances: Sequence[str] | None) -> Mark | None:  # type: ignore[override]
        return Mark(Revision(0), 0.0)

    def replaced_since(self, mark: Mark, instances: Sequence[str], at: float, series_of: object = None) -> int:
        return len(self.replaced & set(instances))


def is_replaced(series: Session) -> bool:
    return bool((series.get_volume(units="stored").array == 1777).all())


def read_two(source: TogetherSource, session: Session) -> Sequence[Session]:
    children = session.series
    assert not is_replaced(children[0])
    assert not is_replaced(children[1])
    deadline = time.monotonic() + 20
    while sum(source.together) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sum(source.together) >= 4
    return children


@pytest.mark.parametrize("times", [1, 2])
def test_nothing_that_was_read_before_a_refresh_is_handed_over(times: int) -> None:
    source = ReplacedSource(archive(9))
    session = Session(source)
    for _ in range(times - 1):
        session.refresh()
    children = read_two(source, session)
    source.replace(2)
    session.refresh()
    assert [is_replaced(child) for child in children] == [False, False, True] + [False] * 6


def test_a_refresh_of_a_refreshed_session_counts_for_earlier_children() -> None:
    source = ReplacedSource(archive(9))
    session = Session(source)
    children = session.series
    session.refresh()
    for child in children[:2]:
        assert not is_replaced(child)
    source.replace(2)
    session.refresh()
    assert is_replaced(children[2])


@pytest.mark.parametrize("kind", [ReplacedSource, TellingSource])
def test_what_waited_long_is_handed_over_only_if_it_was_not_replaced(
    kind: type[ReplacedSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = kind(archive(9))
    children = read_two(source, Session(source))
    monkeypatch.setattr(siblings, "_YOUNG", -1.0)
    source.replace(2)
    assert [is_replaced(child) for child in children[2:]] == [True] + [False] * 6
    if kind is ReplacedSource:
        # Of a slow loop no more is read ahead in vain.
        assert sum(source.together) <= 8


def test_a_source_that_tells_nothing_is_read_less_far_ahead() -> None:
    datasets = archive(150)
    source = TogetherSource(datasets)
    children = Session(source).series
    arrays = [child.get_volume().array.tobytes() for child in children]
    assert arrays == arrays_of(datasets)
    assert sum(source.together) >= 140


def test_a_sorted_sequence_reads_ahead_what_comes_next() -> None:
    datasets = archive(20)
    for number, dataset in enumerate(datasets):
        dataset.SeriesDescription = f"{99 - number // 3}"
        dataset.InstanceNumber = number + 1
    source = TogetherSource(datasets)
    session = Session(source).sort_by("SeriesDescription")
    found = [series.get_volume().header.SeriesDescription for series in session.series]
    assert found == [f"{99 - number}" for number in range(20)]
    # The first alone, before the loop has shown what it needs.
    assert source.asked.count("content") == 3
    assert sum(source.together) == 19


def test_an_interrupted_call_does_not_interrupt_those_that_read_the_next_ones() -> None:
    datasets = archive(12)
    children = Session(TogetherSource(datasets)).series
    arrays = [children[0].get_volume().array.tobytes()]
    call = Interruption()
    with call:
        arrays.append(children[1].get_volume().array.tobytes())
    call.interrupt()
    arrays += [child.get_volume().array.tobytes() for child in children[2:]]
    assert arrays == arrays_of(datasets)


def test_reading_ahead_begins_anew_after_a_call_that_was_interrupted_while_it_waited() -> None:
    class Waiting(TogetherSource):
        waits = True

        def read_together(self, series: Sequence[Row]) -> dict[str, bytes]:
            if self.waits:
                call.interrupt()
                pause(60)
            return super().read_together(series)

    datasets = archive(12)
    source = Waiting(datasets)
    children = Session(source).series
    arrays = [children[0].get_volume().array.tobytes()]
    call = Interruption()
    with call, pytest.raises(KeyboardInterrupt):
        children[1].get_volume()
    source.waits = False
    arrays += [child.get_volume().array.tobytes() for child in children[1:]]
    assert arrays == arrays_of(datasets)
    assert source.together
