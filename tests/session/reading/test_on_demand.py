"""Volumes whose slices are read when they are computed: the values of the whole volume, read as late as that."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from simple_orthanc import Folder, SelectionError, Session, UnsupportedError, VolumeError
from simple_orthanc.errors import InconsistentSlicesError, MissingSlicesError, OrthancError, PixelDecodeError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.session.reading.on_demand import SlicesOnDemand
from simple_orthanc.session.reading.volume_reader import VolumeRequest
from simple_orthanc.volume.slice_parts import read_slices
from simple_orthanc.volume.volume import Volume
from tests.examples import examples
from tests.memory_source import MemorySource
from tests.session.reading.test_fetching import UNITS, outcome, reader, slices
from tests.session.reading.test_slices import CountedFiles
from tests.session.reading.volume_kinds import SLICES, Kind, kinds
from tests.volume.helpers import segmentation


@pytest.fixture(autouse=True)
def _in_one_thread() -> Iterator[None]:
    """Do without threads, which take longer to start than these volumes to read."""
    with dask.config.set(scheduler="synchronous"):
        yield


KINDS = kinds()
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


class StoredFiles(CountedFiles):
    """Files of which checksums may be known."""

    description = "files in memory"

    def __init__(self, files: Sequence[bytes], knows_md5: bool = True) -> None:
        super().__init__(files)
        self._knows_md5 = knows_md5

    def stored_file(self, key: str) -> StoredFile:
        content = self.files[int(key)]
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() if self._knows_md5 else None
        return StoredFile(len(content), md5)

    def mark(self, revision: Any, instances: Sequence[str] | None) -> Any:
        return None

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self.files, "knows_md5": self._knows_md5}

    def __setstate__(self, state: dict[str, Any]) -> None:
        StoredFiles.__init__(self, state["files"], state["knows_md5"])


def lazily(source: StoredFiles, wanted: Any = None, **options: Any) -> xarray.DataArray:
    return reader(source, VolumeRequest(**options, slices=read_slices(wanted))).on_demand(None)


def whole_of(kind: Kind) -> xarray.DataArray:
    return reader(StoredFiles(kind.files), VolumeRequest(**kind.options)).volume().to_xarray()


@each_kind
def test_computed_it_is_the_volume(kind: Kind) -> None:
    expected = whole_of(kind)
    found = lazily(StoredFiles(kind.files), **kind.options)
    assert found.data.dtype == expected.dtype
    xarray.testing.assert_identical(found.compute(), expected)


@settings(max_examples=examples(60, thorough=2000))
@given(files=slices(), units=st.sampled_from(UNITS), gaps=st.sampled_from(["raise", "nan"]), data=st.data())
def test_whatever_differs_between_slices_it_is_the_volume(
    files: list[bytes], units: str, gaps: str, data: st.DataObject
) -> None:
    if gaps == "nan" and len(files) > 3:
        del files[data.draw(st.integers(0, len(files) - 1))]
    request = VolumeRequest(units, gaps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = outcome(lambda: reader(StoredFiles(files), request).volume())
        try:
            found = reader(StoredFiles(files), request).on_demand(None).compute()
        except OrthancError:
            assert not isinstance(whole, Volume)
        else:
            assert isinstance(whole, Volume)
            xarray.testing.assert_identical(found, whole.to_xarray())


@pytest.mark.parametrize("wanted", [slice(0, 2), slice(None, None, -1), -1], ids=str)
@pytest.mark.parametrize("name", ["CT", "holes", "time", "enhanced, time", "segments", "colour"])
def test_parts_of_it_are_parts_of_the_volume(name: str, wanted: Any) -> None:
    kind = KINDS[name]
    request = VolumeRequest(**kind.options, slices=read_slices(wanted))
    expected = reader(StoredFiles(kind.files), request).volume().to_xarray()
    xarray.testing.assert_identical(lazily(StoredFiles(kind.files), wanted, **kind.options).compute(), expected)


@each_kind
def test_indexed_it_is_the_indexed_volume(kind: Kind) -> None:
    expected, found = whole_of(kind), lazily(StoredFiles(kind.files), **kind.options)
    last = expected.sizes["slice"] - 1
    selections: list[dict[str, Any]] = [
        {"slice": 0},
        {"slice": last, "row": slice(1, None)},
        {"slice": slice(None, None, -1), "column": -1},
        {"row": 1, "column": slice(0, 2)},
        {"slice": [last, 0]},
    ]
    for selection in selections:
        xarray.testing.assert_identical(found.isel(selection).compute(), expected.isel(selection))


def test_nothing_is_fetched_before_it_is_computed_and_then_only_what_is_needed() -> None:
    source = StoredFiles(KINDS["CT"].files)
    data = lazily(source)
    assert (len(source.headers), sum(source.reads)) == (SLICES, 0)
    assert data.data.chunks == ((1,) * SLICES, (3,), (4,))
    data.isel(slice=slice(2, 4), row=1).compute()
    assert source.reads == [0, 0, 1, 1, 0, 0]
    # Nothing is kept.
    data.isel(slice=2).compute()
    assert source.reads == [0, 0, 2, 1, 0, 0]
    assert len(source.headers) == SLICES


@pytest.mark.parametrize(
    ("name", "chunks"),
    [
        ("time", ((1, 1), (1,) * SLICES)),
        ("enhanced, time", ((1, 1), (SLICES,))),
        ("enhanced, time in one", ((2,), (SLICES,))),
        ("mosaics", ((1, 1), (SLICES,))),
        ("segments", ((SLICES,),)),
    ],
)
def test_an_object_is_read_for_one_block(name: str, chunks: tuple[Any, ...]) -> None:
    kind = KINDS[name]
    source = StoredFiles(kind.files)
    data = lazily(source, **kind.options)
    assert data.data.chunks[: len(chunks)] == chunks
    data.compute()
    assert source.reads == [1] * len(kind.files)


def test_slices_that_are_missing_are_not_fetched() -> None:
    kind = KINDS["holes"]
    source = StoredFiles(kind.files)
    data = lazily(source, **kind.options)
    assert np.isnan(data.isel(slice=[2, 3]).compute()).all()
    assert sum(source.reads) == 0


def _with_other_pixels(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def _with_another_header(content: bytes) -> bytes:
    return content.replace(b"PHANTOM", b"phantom")


@pytest.mark.parametrize(
    ("change", "knows_md5", "is_refused"),
    [
        (_with_other_pixels, True, True),
        (_with_another_header, True, True),
        (_with_another_header, False, True),
        # Nothing tells it.
        (_with_other_pixels, False, False),
    ],
)
def test_an_object_that_was_replaced_is_refused(
    change: Callable[[bytes], bytes], knows_md5: bool, is_refused: bool
) -> None:
    source = StoredFiles(KINDS["CT"].files, knows_md5)
    data = lazily(source)
    source.files[2] = change(source.files[2])
    assert source.files[2] != KINDS["CT"].files[2]
    assert data.isel(slice=slice(3, None)).compute().shape == (3, 3, 4)
    if is_refused:
        with pytest.raises(VolumeError, match="it was replaced in the archive"):
            data.compute()
    else:
        data.compute()


def test_what_is_wrong_with_headers_is_refused_at_once() -> None:
    files = [as_bytes(dataset) for number, dataset in enumerate(make_series((6, 3, 4))) if number != 2]
    with pytest.raises(MissingSlicesError, match="1 slice is missing"):
        lazily(StoredFiles(files))
    with pytest.raises(VolumeError, match='errors="report" was requested with lazy=True'):
        lazily(StoredFiles(files), errors="report")
    with pytest.raises(VolumeError, match="none of the slices of the volume"):
        lazily(StoredFiles(KINDS["CT"].files), 6)


def test_what_is_wrong_with_pixels_is_refused_when_they_are_read() -> None:
    files = [as_bytes(dataset) for dataset in make_series((3, 3, 4))]
    files[1] = files[1][:-4]
    data = lazily(StoredFiles(files))
    data.isel(slice=0).compute()
    with pytest.raises(PixelDecodeError):
        data.isel(slice=1).compute()


def test_segments_that_overlap_anywhere_are_refused() -> None:
    full = np.ones((3, 4), bool)
    overlapping = segmentation([(1, 0.0, full), (1, 2.0, full), (2, 2.0, full), (2, 4.0, full)])
    data = lazily(StoredFiles([as_bytes(overlapping)]))
    with pytest.raises(InconsistentSlicesError, match="overlap in slice 1"):
        data.isel(slice=0).compute()


def test_blocks_are_small_and_name_what_they_hold() -> None:
    files = [as_bytes(dataset) for dataset in make_series((300, 2, 3))]
    one, other = lazily(StoredFiles(files)), lazily(StoredFiles(files))
    assert one.data.name == other.data.name
    assert one.data.name != lazily(StoredFiles(files), units="stored").data.name
    assert one.data.name != lazily(StoredFiles([*files[:-1], _with_other_pixels(files[-1])])).data.name
    (array,) = (value for value in dict(one.data.dask).values() if isinstance(value, SlicesOnDemand))
    array._source = None  # type: ignore[assignment]
    # A header alone has a kilobyte.
    assert len(pickle.dumps(array)) < 300 * 250


def test_an_array_is_indexed_as_an_array_is() -> None:
    files = KINDS["time"].files
    data = lazily(StoredFiles(files), dims="time")
    (array,) = (value for value in dict(data.data.dask).values() if isinstance(value, SlicesOnDemand))
    expected = data.compute().values
    keys: list[Any] = [0, -1, ..., (..., 2), (1, np.int64(-2)), (slice(None, None, -1), ..., slice(1, 2)), (0, 1, 2, 3)]
    for key in keys:
        assert np.array_equal(array[key], expected[key])
    again = pickle.loads(pickle.dumps(array))
    assert np.array_equal(again[0, 1], expected[0, 1])


def test_in_threads() -> None:
    files = [as_bytes(dataset) for dataset in make_series((40, 8, 9), seed=1)]
    with dask.config.set(scheduler="threads", num_workers=4):
        computed = lazily(StoredFiles(files)).compute()
    xarray.testing.assert_identical(computed, whole_of(Kind(files, {})))


def test_in_other_processes(tmp_path: Path) -> None:
    for number, content in enumerate(KINDS["SUV"].files):
        (tmp_path / f"{number}.dcm").write_bytes(content)
    session = Folder(tmp_path)
    data = session.get_volume(units="SUVbw", lazy=True)
    # Processes are started and not forked, which is unsound in a program with threads.
    with dask.config.set({"scheduler": "processes", "num_workers": 2, "multiprocessing.context": "spawn"}):
        computed = data.compute()
    xarray.testing.assert_identical(computed, session.get_volume(units="SUVbw").to_xarray())


def test_a_file_that_is_another_one_in_another_process_is_refused(tmp_path: Path) -> None:
    for number, content in enumerate(KINDS["CT"].files):
        (tmp_path / f"{number}.dcm").write_bytes(content)
    data = Folder(tmp_path).get_volume(lazy=True)
    pickled = pickle.dumps(data)
    (tmp_path / "2.dcm").write_bytes(_with_other_pixels(KINDS["CT"].files[2]))
    with pytest.raises(SelectionError, match="has changed since the folder was looked at"):
        data.compute()
    program = f"""
import pickle, dask
from simple_orthanc import VolumeError
data = pickle.loads({pickled!r})
with dask.config.set(scheduler="synchronous"):
    print(data.isel(slice=slice(3, None)).compute().shape)
    try:
        data.compute()
    except VolumeError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("(3, 3, 4)\nThe file of SOPInstanceUID")
    assert "it was replaced in the archive" in done.stdout


@pytest.mark.parametrize(("package", "extra"), [("dask", "dask"), ("xarray", "xarray")])
def test_a_package_that_is_missing_is_named_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    source = MemorySource(make_series((3, 3, 4)))
    session = Session(source)
    session.get_volume()
    before = len(source.asked)
    with pytest.raises(
        UnsupportedError, match=rf'lazy=True needs {package}, .* pip install "simple-orthanc\[{extra}\]"'
    ):
        session.get_volume(lazy=True)
    assert not {"header", "content"} & set(source.asked[before:])


def test_headers_tell_integers_from_floats_where_only_pixels_do() -> None:
    kind = KINDS["floats"]
    data = lazily(StoredFiles(kind.files))
    assert data.dtype == np.float32
