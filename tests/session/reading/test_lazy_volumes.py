"""Volumes that are read ahead of a loop: those of `get_volumes`, bounded in memory, and ended with the loop."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc import EmptySelectionError, Folder, MissingSlicesError, OrthancError, Session, Volume, VolumeError
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import NoPixelDataError, NotFoundError, SelectionError, ServerError, TransportError
from simple_orthanc.phantom import as_bytes, make_enhanced, make_report, make_series
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.source import Row
from simple_orthanc.session.reading import prefetching
from tests.memory_source import MemorySource
from tests.session.damaged import DAMAGES, CheckingSource, DamagedSource


class TogetherSource(MemorySource):
    """Knows the sizes of files, and hands over those of whole series together."""

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        super().__init__(datasets)
        self.together: list[int] = []
        self.wrong: dict[str, bytes | None] = {}

    @cached_property
    def files(self) -> dict[str, bytes]:
        return {self.key(dataset, "instance"): as_bytes(dataset) for dataset in self.datasets}

    def listed_file(self, key: str) -> StoredFile:
        return StoredFile(len(self.files[key]))

    def read_together(self, series: Sequence[Row]) -> dict[str, bytes]:
        self.together.append(len(series))
        files = {key: self.files[key] for row in series for key in row.children}
        for key, content in self.wrong.items():
            files.pop(key, None)
            if content is not None:
                files[key] = content
        return files


class FailingSource(DamagedSource):
    """Refuses what is damaged, as a server does of which a disk fails."""

    def content(self, key: str) -> bytes:
        if key.rpartition("|")[2] in self._damaged:
            raise ServerError(f"The server answered 500 for {key}.", status=500)
        return super().content(key)


def outcomes(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Read each volume, or the error in its place."""
    found: dict[str, Any] = {}
    for label in pairs:
        try:
            found[label] = pairs[label]
        except OrthancError as error:
            found[label] = error
    return found


def assert_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    assert list(one) == list(other)
    for label, expected in one.items():
        found = other[label]
        if isinstance(expected, OrthancError):
            assert type(found) is type(expected)
            assert str(found) == str(expected)
            continue
        assert isinstance(found, Volume)
        np.testing.assert_array_equal(found.array, expected.array)
        assert found.array.dtype == expected.array.dtype
        assert found.geometry.isclose(expected.geometry)
        assert (found.units, found.log, found.header) == (expected.units, expected.log, expected.header)
        np.testing.assert_array_equal(found.padding_mask, expected.padding_mask)


def series_of(number: int, kind: str) -> list[Dataset]:
    """Make a series of one of the kinds of which archives are made."""
    common: dict[str, Any] = {
        "seed": number,
        "PatientID": f"P{number // 3}",
        "SeriesNumber": number % 3,
        "SeriesDescription": f"s{number % 2}",
    }
    if kind == "enhanced":
        return [make_enhanced((3, 4, 4), **common)]
    if kind == "report":
        return [make_report(make_series((1, 4, 4), **common)[0], {"Finding": "None."})]
    series = make_series((5, 4, 4), **common)
    if kind == "hole":
        del series[2]
    elif kind == "scout":
        series += make_series((1, 4, 4), orientation=(1, 0, 0, 0, 0, -1), seed=number + 500, like=series[0])
    elif kind == "echoes":
        for index, dataset in enumerate(series):
            dataset.EchoTime = 10 + 10 * (index % 2)
            dataset.ImagePositionPatient = [0, 0, index // 2]
        del series[-1]
    elif kind == "pixels missing":
        del series[1].PixelData
    elif kind == "sizes":
        series[0].Rows, series[0].Columns = 2, 8
    return series


KINDS = ("plain", "plain", "plain", "hole", "scout", "echoes", "enhanced", "pixels missing", "sizes", "report")


@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=7),
    gaps=st.sampled_from(["raise", "nan", "split"]),
    together=st.booleans(),
    memory=st.sampled_from([0, 1000, 1 << 30]),
    descending=st.sampled_from([None, "InstanceNumber", "SeriesDescription"]),
)
@settings(max_examples=30)
def test_they_are_those_of_get_volumes(
    kinds: list[str], gaps: Any, together: bool, memory: int, descending: str | None
) -> None:
    datasets = [dataset for number, kind in enumerate(kinds) for dataset in series_of(number, kind)]
    source = (TogetherSource if together else MemorySource)(datasets)
    session = Session(source)
    if descending is not None:
        session.sort_by(descending, "descending")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        if set(kinds) == {"report"}:
            with pytest.raises(NoPixelDataError):
                list(session.get_volumes_lazily(gaps=gaps, memory=memory))
            return
        expected = outcomes(session.get_volumes(gaps=gaps))
        found = dict(session.get_volumes_lazily(gaps=gaps, errors="report", memory=memory).items())
    assert_same(expected, found)


def test_some_instances_of_a_series_are_read_by_themselves() -> None:
    datasets = [*make_series((6, 4, 4), seed=1), *make_series((3, 4, 4), seed=2, PatientID="other")]
    source = TogetherSource(datasets)
    session = Session(source).select(InstanceNumber=[1, 2, 3])
    (first, second) = session.get_volumes_lazily()
    assert (first.shape, second.shape) == ((3, 4, 4), (3, 4, 4))
    assert source.together == [1]


def test_small_series_are_read_together() -> None:
    source = TogetherSource([dataset for number in range(100) for dataset in series_of(number, "plain")])
    assert len(list(Session(source).get_volumes_lazily())) == 100
    assert sum(source.together) == 100
    assert len(source.together) <= 7
    # A file by itself is a request.
    assert not [request for request in source.asked if "content" in request or "header" in request]


@pytest.mark.parametrize("wrong", [None, b"", b"no DICOM", as_bytes(make_series((1, 4, 4), seed=77)[0])])
def test_what_was_not_read_together_is_read_by_itself(wrong: bytes | None) -> None:
    class Checking(TogetherSource, CheckingSource):
        def __init__(self, datasets: Sequence[Dataset]) -> None:
            DamagedSource.__init__(self, datasets, {})
            self.together, self.wrong = [], {}

    datasets = [dataset for number in range(3) for dataset in series_of(number, "plain")]
    source = Checking(datasets)
    source.wrong = {source.key(datasets[7], "instance"): wrong}
    found = dict(Session(source).get_volumes_lazily().items())
    assert_same(outcomes(Session(MemorySource(datasets)).get_volumes()), found)


def test_errors_are_raised_in_their_turn_and_the_next_ones_follow() -> None:
    session = Session(MemorySource([*series_of(0, "plain"), *series_of(1, "hole"), *series_of(2, "plain")]))
    volumes = session.get_volumes_lazily()
    assert next(volumes).shape == (5, 4, 4)
    with pytest.raises(MissingSlicesError):
        next(volumes)
    assert list(volumes.problems) == [volumes.label]
    assert next(volumes).shape == (5, 4, 4)
    assert list(volumes) == []

    with pytest.warns(UserWarning, match=r"s1 - .* cannot be read and is left out: .* 1 slice is missing"):
        assert len(list(session.get_volumes_lazily(errors="report"))) == 2


def test_series_without_images_are_left_out_with_a_warning() -> None:
    session = Session(MemorySource([*series_of(0, "plain"), *series_of(1, "report")]))
    volumes = session.get_volumes_lazily()
    with pytest.warns(UserWarning, match="1 of 2 series has no images and no volume"):
        assert len(list(volumes)) == 1
    assert volumes.problems == {}


def test_a_file_that_is_gone_is_the_problem_of_its_volume() -> None:
    datasets = [dataset for number in range(3) for dataset in series_of(number, "plain")]
    source = DamagedSource(datasets, {str(datasets[6].SOPInstanceUID): None})
    found = dict(Session(source).get_volumes_lazily(errors="report").items())
    assert [type(each) for each in found.values()] == [Volume, NotFoundError, Volume]
    assert str(datasets[6].SOPInstanceUID) in str(list(found.values())[1])


@pytest.mark.parametrize("kind", [DamagedSource, FailingSource])
@pytest.mark.parametrize("index", [5, 7])
@pytest.mark.parametrize("damage", [*DAMAGES.values(), None])
def test_what_cannot_be_read_has_the_error_of_get_volume(
    kind: type[DamagedSource], index: int, damage: Callable[[bytes], bytes] | None
) -> None:
    datasets = [dataset for number in range(3) for dataset in series_of(number, "plain")]
    damaged = datasets[index]
    content = None if damage is None else damage(as_bytes(damaged))
    session = Session(kind(datasets, {str(damaged.SOPInstanceUID): content}))
    with pytest.raises(OrthancError) as caught:
        session.series[1].get_volume()
    expected = caught.value
    for errors in ("raise", "report"):
        volumes = session.get_volumes_lazily(errors=errors)
        pairs = volumes.items()
        assert isinstance(next(pairs)[1], Volume)
        if errors == "report":
            error: object = next(pairs)[1]
        else:
            with pytest.raises(OrthancError) as caught:
                next(pairs)
            error = caught.value
        assert (type(error), str(error)) == (type(expected), str(expected))
        assert list(volumes.problems.values()) == [error]
        assert len(list(volumes)) == 1
    rows = session.map(lambda series: series.get_volume().array.size)
    assert rows["error"].fillna("").tolist() == ["", str(expected), ""]


def test_arguments_are_checked_at_once() -> None:
    session = Session(MemorySource(series_of(0, "plain")))
    for wrong in ({"units": "SUV"}, {"errors": "skip"}, {"memory": -1}, {"memory": "1 GB"}, {"gaps": "fill"}):
        with pytest.raises((SelectionError, VolumeError), match="|".join(wrong)):
            session.get_volumes_lazily(**wrong)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="any more"), pytest.raises(EmptySelectionError, match="Nothing is selected"):
        session.select(Modality="XX").get_volumes_lazily()


def test_they_stay_what_was_selected() -> None:
    session = Session(MemorySource([dataset for number in range(6) for dataset in series_of(number, "plain")]))
    seen = []
    for volume in session.get_volumes_lazily(memory=0):
        seen.append(volume.header.PatientID)
        session.reset().select(PatientID="P0")
    assert seen == ["P0"] * 3 + ["P1"] * 3


def test_two_loops_at_once() -> None:
    session = Session(MemorySource([dataset for number in range(8) for dataset in series_of(number, "plain")]))
    pairs = list(zip(session.get_volumes_lazily(), session.get_volumes_lazily(), strict=True))
    assert [one.header.SeriesInstanceUID == other.header.SeriesInstanceUID for one, other in pairs] == [True] * 8


class SlowSource(MemorySource):
    """Notes how many bytes of files were read, and waits before each."""

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        super().__init__(datasets)
        self.read_bytes = 0
        self.may_read = threading.Event()
        self.may_read.set()
        self._counting = threading.Lock()

    def listed_file(self, key: str) -> StoredFile:
        return StoredFile(len(as_bytes(self._dataset(key))))

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        assert self.may_read.wait(20)
        content = super().read(key, allocate)
        with self._counting:
            self.read_bytes += len(content)
        return content


def test_what_is_read_ahead_is_bounded_by_bytes() -> None:
    datasets = [dataset for number in range(12) for dataset in series_of(number, "plain")]
    source = SlowSource(datasets)
    size = len(as_bytes(datasets[0])) * 5
    with Session(source).get_volumes_lazily(memory=3 * size) as volumes:
        for _ in range(1, 12):
            next(volumes)
            # Volumes take much less than their files here, so that more of them may be read ahead than files are held.
            assert volumes._ahead.held <= 3 * size
        assert source.read_bytes >= 10 * size
    source = SlowSource(datasets)
    with Session(source).get_volumes_lazily(memory=0) as volumes:
        for taken in range(1, 12):
            next(volumes)
            time.sleep(0.005)
            assert source.read_bytes <= (taken + 1) * size


@pytest.mark.parametrize("tells_children", [True, False])
def test_a_series_that_is_deleted_keeps_no_other_from_being_read(tells_children: bool) -> None:
    class Forgetful(TogetherSource):
        def listing(self, level: Level) -> Iterator[Row]:
            for row in super().listing(level):
                yield row if tells_children else replace(row, children=(), has_unknown_children=True)

    datasets = [dataset for number in range(9) for dataset in series_of(number, "plain")]
    source = Forgetful(datasets)
    session = Session(source)
    expected = list(session.get_volumes_lazily())
    session = Session(source)
    volumes = session.get_volumes_lazily(errors="report")
    uid = session.SeriesInstanceUIDs[4]
    source.datasets = [dataset for dataset in datasets if uid != dataset.SeriesInstanceUID]
    found = [result for _, result in volumes.items()]
    assert [isinstance(result, Volume) for result in found] == [True] * 4 + [False] + [True] * 4
    assert "refresh()" in str(found[4])
    for one, other in zip(expected, found, strict=True):
        if isinstance(other, Volume):
            np.testing.assert_array_equal(one.array, other.array)


def test_every_warning_is_heard_while_others_are_read() -> None:
    kinds = ["plain", "hole"] * 40
    source = MemorySource([dataset for number, kind in enumerate(kinds) for dataset in series_of(number, kind)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in Session(source).get_volumes_lazily(errors="report"):
            warnings.warn("of the loop", stacklevel=1)
    texts = [str(warning.message) for warning in caught]
    assert texts.count("of the loop") == sum("is left out" in text for text in texts) == 40


class SilentSource(SlowSource):
    """Does not tell how large its files are."""

    def listed_file(self, key: str) -> StoredFile:
        return StoredFile()


@pytest.mark.parametrize("kind", ["larger than usual", "many frames"])
def test_it_is_bounded_where_sizes_are_not_known(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "many frames":
        monkeypatch.setattr(prefetching, "_USUAL_FRAME", 64 * 64 * 2)
        large = [make_enhanced((8, 64, 64), seed=50 + number, PatientID=f"Q{number}") for number in range(12)]
        datasets = [*(dataset for number in range(8) for dataset in series_of(number, "plain")), *large]
    else:
        monkeypatch.setattr(prefetching, "_USUAL_FRAME", 1)
        datasets = [dataset for number in range(12) for dataset in series_of(number, "plain")]
    source = SilentSource(datasets)
    size = max(volume.array.nbytes for volume in Session(source).get_volumes().values())
    most = 0
    with Session(source).get_volumes_lazily(memory=3 * size) as volumes:
        for _ in volumes:
            time.sleep(0.02)
            most = max(most, volumes._ahead.held)
    assert 0 < most <= 5 * size


@pytest.mark.parametrize("end", [TransportError("down"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_a_reading_that_was_ended_does_not_look_complete(end: BaseException) -> None:
    class EndingSource(SlowSource):
        def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
            if self.read_bytes > 3000:
                raise end
            return super().read(key, allocate)

    datasets = [dataset for number in range(9) for dataset in series_of(number, "plain")]
    volumes = Session(EndingSource(datasets)).get_volumes_lazily(memory=0, errors="report")
    with pytest.raises(type(end)):
        list(volumes)
    for rest in (volumes, volumes.items()):
        with pytest.raises(OrthancError, match="again"):
            next(rest)
    volumes.close()


def test_leaving_the_loop_ends_the_threads() -> None:
    source = SlowSource([dataset for number in range(30) for dataset in series_of(number, "plain")])
    for _ in Session(source).get_volumes_lazily():
        source.may_read.clear()
        break
    source.may_read.set()
    deadline = time.monotonic() + 10
    while any(thread.name == "simple_orthanc" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(thread.name == "simple_orthanc" for thread in threading.enumerate())
    read = source.read_bytes
    time.sleep(0.05)
    assert source.read_bytes == read


def test_a_folder_is_read_ahead() -> None:
    session = Folder.example().select(Modality=["CT", "PT"])
    assert_same(outcomes(session.get_volumes()), dict(session.get_volumes_lazily(errors="report").items()))
    assert repr(session.get_volumes_lazily()) == "<volumes of 5 series, read one after the other>"


@pytest.mark.parametrize("kind", [MemorySource, TogetherSource])
def test_a_loop_over_get_volumes_reads_ahead(kind: type[MemorySource]) -> None:
    datasets = [dataset for number in range(6) for dataset in series_of(number, "scout" if number == 3 else "plain")]
    source = kind(datasets)
    volumes = Session(source).get_volumes()
    expected = outcomes(volumes)
    assert_same(expected, dict(volumes.items()))
    assert [volume.array.tobytes() for volume in volumes.values()] == [
        volume.array.tobytes() for volume in expected.values()
    ]
    assert len(volumes.values()) == len(volumes.items()) == 7
    if isinstance(source, TogetherSource):
        assert max(source.together) > 1


def test_a_loop_over_get_volumes_raises_in_turn() -> None:
    session = Session(MemorySource([*series_of(0, "plain"), *series_of(3, "hole"), *series_of(6, "plain")]))
    found = iter(session.get_volumes().items())
    assert next(found)[1].shape == (5, 4, 4)
    with pytest.raises(MissingSlicesError):
        next(found)
