"""Some slices of a volume are what indexing the whole volume returns, and only their objects are fetched."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc import Folder, Session, VolumeError
from simple_orthanc.errors import MissingSlicesError, NoPixelDataError, NotFoundError, OrthancError, PixelDecodeError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.session.reading import volume_reader
from simple_orthanc.session.reading.volume_reader import VolumeRequest
from simple_orthanc.volume.slice_parts import read_slices
from simple_orthanc.volume.volume import Volume
from tests.examples import examples
from tests.memory_source import INDEXED, MemorySource
from tests.session.reading.test_fetching import Files, outcome, reader, slices
from tests.session.reading.volume_kinds import SLICES, Kind, kinds
from tests.volume.test_builder import assert_same

KINDS = kinds()
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
WANTED: list[Any] = [
    slice(2, 4), slice(None, 1), slice(-1, None), slice(None, None, -1), slice(4, 0, -2), slice(1, 100), slice(None),
    0, 3, -1, np.int64(2), slice(np.int16(1), np.uint8(3)),
]  # fmt: skip


class CountedFiles(Files):
    """Files that also count which headers are read."""

    def __init__(self, files: Sequence[bytes]) -> None:
        super().__init__(files)
        self.headers: list[int] = []
        self._headers_lock = threading.Lock()

    def header(self, key: str) -> Dataset:
        with self._headers_lock:
            self.headers.append(int(key))
        return super().header(key)


def part(source: Files, wanted: Any, **options: Any) -> Volume:
    return reader(source, VolumeRequest(**options, slices=read_slices(wanted))).volume()


def indexed(volume: Volume, wanted: Any) -> Volume:
    key = wanted if isinstance(wanted, slice) else slice(int(wanted), int(wanted) + 1 or None)
    found: Volume = volume[:, key] if len(volume.dims) == 4 else volume[key]
    return found


def assert_is_part(found: Volume, expected: Volume) -> None:
    assert_same(found, expected)
    assert found.header == expected.header
    assert found.suv == expected.suv


@each_kind
def test_a_part_is_what_indexing_the_whole_volume_returns(kind: Kind) -> None:
    whole = reader(Files(kind.files), VolumeRequest(**kind.options)).volume()
    for wanted in WANTED if whole.shape[len(whole.dims) - 3] == SLICES else (0, -1, slice(None, None, -1)):
        assert_is_part(part(Files(kind.files), wanted, **kind.options), indexed(whole, wanted))


@settings(max_examples=examples(100, thorough=3000))
@given(
    files=slices(),
    units=st.sampled_from(["modality", "stored", "real world"]),
    gaps=st.sampled_from(["raise", "nan"]),
    wanted=st.slices(7),
    data=st.data(),
)
def test_whatever_differs_between_slices_a_part_is_that_of_the_whole(
    files: list[bytes], units: str, gaps: str, wanted: slice, data: st.DataObject
) -> None:
    if gaps == "nan" and len(files) > 3:
        del files[data.draw(st.integers(0, len(files) - 1))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = outcome(lambda: reader(Files(files), VolumeRequest(units, gaps)).volume())
        found = outcome(lambda: part(Files(files), wanted, units=units, gaps=gaps))
    if isinstance(whole, Volume):
        expected = outcome(lambda: indexed(whole, wanted))
        if isinstance(expected, Volume):
            assert isinstance(found, Volume), found
            assert_is_part(found, expected)
        else:
            assert found is expected
    elif isinstance(found, Volume):
        # What is wrong with pixels alone shows when they are read.
        assert issubclass(whole, (PixelDecodeError, NoPixelDataError))


@pytest.mark.parametrize(
    ("count", "wanted", "read"),
    [(12, slice(4, 7), [4, 5, 6]), (12, 0, [0]), (12, -1, [11]), (12, slice(None, None, 5), [0, 5, 10])],
)
def test_only_the_objects_of_the_part_are_fetched(count: int, wanted: Any, read: list[int]) -> None:
    source = CountedFiles([as_bytes(dataset) for dataset in make_series((count, 3, 4))])
    part(source, wanted)
    assert source.reads == [int(number in read) for number in range(count)]
    # The first header tells how much memory an object needs.
    assert sorted(source.headers) == sorted([0, *(set(range(count)) - set(read))])


def test_objects_in_another_order_are_fetched_once_their_headers_are_known() -> None:
    series = make_series((12, 3, 4))
    source = CountedFiles([as_bytes(dataset) for dataset in series[::-1]])
    whole = reader(Files(source.files), VolumeRequest()).volume()
    assert_is_part(part(source, slice(1, 4)), whole[1:4])
    assert source.reads == [0, 1, 1, 1, *[0] * 4, 1, 1, 1, 0]
    assert len(source.headers) == 10


def test_each_step_is_cut() -> None:
    kind = KINDS["time"]
    source = CountedFiles(kind.files)
    assert part(source, slice(2, 3), dims="time").shape == (2, 1, 3, 4)
    assert sum(source.reads) == 2


def test_missing_slices_are_not_fetched() -> None:
    kind = KINDS["holes"]
    source = Files(kind.files)
    # The part lies where nothing is.
    found = part(source, slice(2, 4), **kind.options)
    assert np.isnan(found.array).all()
    assert found.array.dtype == np.float32


@pytest.mark.parametrize(
    "wrong", [(100, 140), [1, 2], range(3), 1.5, True, "3", slice(0.5, 2), slice(0, 4, 0), slice("a"), np.array([1, 2])]
)
def test_what_is_no_slice_is_refused_before_anything_is_read(wrong: Any) -> None:
    source = MemorySource(make_series())
    for read in (Session(source).get_volume, Session(source).get_array, Session(source).get_image):
        with pytest.raises(VolumeError, match=r"slices=.* is not valid; write slice\(first, last \+ 1\)"):
            read(slices=wrong)
    assert source.requests == 0


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (6, "6"),
        (-7, "-7"),
        (slice(6, 9), "slice(6, 9)"),
        (slice(4, 2), "slice(4, 2)"),
        (slice(10**12, None), "slice(1000000000000, None)"),
        (slice(2, 4, -1), "slice(2, 4, -1)"),
    ],
)
@pytest.mark.parametrize("errors", ["raise", "report"])
def test_a_part_without_slices_is_refused(wanted: Any, named: str, errors: str) -> None:
    with pytest.raises(VolumeError) as caught:
        part(Files(KINDS["CT"].files), wanted, errors=errors)
    says = "selects none of the slices of the volume: it has 6, numbered from 0 to 5."
    assert str(caught.value) == f"slices={named} {says}"


def test_a_part_of_what_is_no_volume_is_refused() -> None:
    files = [as_bytes(dataset) for number, dataset in enumerate(make_series((12, 3, 4))) if number != 9]
    with pytest.raises(MissingSlicesError, match="1 slice is missing"):
        part(Files(files), slice(0, 3))
    source = MemorySource([dataset for number, dataset in enumerate(make_series((12, 3, 4))) if number != 9])
    session = Session(source)
    session.volume_table()
    before = source.requests
    with pytest.raises(MissingSlicesError, match="1 slice is missing"):
        session.get_volume(slices=slice(0, 3))
    # Known from the table.
    assert "content" not in source.asked[before:]


def test_what_is_planned_already_names_the_objects() -> None:
    # Without positions the archive lists the slices by their numbers, which run against the positions.
    series = make_series((8, 3, 4))
    for number, dataset in enumerate(series):
        dataset.InstanceNumber = 8 - number
    source = MemorySource(series, indexed={**INDEXED, "instance": "SOPInstanceUID InstanceNumber"})
    session = Session(source)
    whole = session.get_volume()
    before = len(source.asked)
    assert_same(session.get_volume(slices=slice(1, 3)), whole[1:3])
    assert source.asked[before:].count("content") == 2


def test_files_that_cannot_be_read_are_left_out_as_of_the_whole_volume() -> None:
    files = [as_bytes(dataset) for dataset in make_series((8, 3, 4), seed=1)]
    # Its header is whole, and only its pixels are missing.
    files[0] = files[0][:-10]
    with pytest.warns(UserWarning, match="1 of 8 instances cannot be read"):
        whole = reader(Files(files), VolumeRequest(errors="report")).volume()
    with pytest.warns(UserWarning, match="1 of 8 instances cannot be read"):
        found = part(Files(files), slice(2, 5), errors="report")
    assert_is_part(found, whole[2:5])
    with pytest.raises(OrthancError):
        part(Files(files), slice(0, 2))


def test_an_object_that_is_gone_is_named() -> None:
    source = Files([as_bytes(dataset) for dataset in make_series((8, 3, 4))])
    plain = source.header

    def header(key: str) -> Dataset:
        if key == "6":
            raise NotFoundError("gone", status=404)
        return plain(key)

    source.header = header  # type: ignore[method-assign]
    with pytest.raises(NotFoundError, match="gone"):
        part(source, slice(0, 2))


def test_what_is_replaced_between_two_readings_is_read_as_it_is_then() -> None:
    """The plan is made of the headers that came with the pixels."""
    first, second = (make_series((8, 3, 4), seed=1, slope=slope) for slope in (1, 2))
    files = [as_bytes(dataset) for dataset in first[::-1]]
    source = Files(files)

    def replace(files: Files, number: int) -> None:
        # Once one object was read, all are others.
        files.files[:] = [as_bytes(dataset) for dataset in second[::-1]]

    source.replace = replace
    found = part(source, slice(0, 2))
    assert found.slices is not None
    assert found.slices.slope.tolist() == [2.0, 2.0]


def test_the_memory_that_a_part_needs_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(MemorySource(make_series((12, 4, 4))))
    monkeypatch.setattr(volume_reader, "free_memory", lambda: 64)
    assert session.get_array(slices=slice(2, 4)).nbytes == 64
    with pytest.raises(VolumeError, match=r"3 instances like the first would need"):
        session.get_array(slices=slice(2, 5))


def test_arrays_and_images_of_a_folder(tmp_path: Path) -> None:
    for number, content in enumerate(KINDS["CT"].files):
        (tmp_path / f"{number}.dcm").write_bytes(content)
    session = Folder(tmp_path)
    whole = session.get_volume()
    assert np.array_equal(session.get_array(slices=slice(1, 4)), whole.array[1:4])
    image = session.get_image(slices=-1)
    assert image.GetSize() == (4, 3, 1)
    assert image.GetOrigin() == whole[-1:].origin
    assert len(whole) == SLICES
