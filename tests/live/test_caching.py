"""Files that were read from a server are read from the cache, as long as the server still has the same."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import CohortError, DicomWeb, LocalOrthanc, Orthanc, UnsupportedError
from simple_orthanc.phantom import as_bytes, make_series
from tests.conftest import MakeServer, ask
from tests.live.archives import store


@pytest.fixture
def server_that_overwrites(make_server: MakeServer) -> LocalOrthanc:
    return make_server({"OverwriteInstances": True})


def files_sent(session: Orthanc, read: Callable[[], object]) -> int:
    """Count the requests for files, or parts of them, that a call sends."""
    transport = session._source.transport  # type: ignore[attr-defined]
    paths: list[str] = []
    read_into, download = transport.read_into, transport.download

    def count(function: Callable[..., object]) -> Callable[..., object]:
        def counted(path: str, *arguments: object, **options: object) -> object:
            if path.endswith(("/file", "/data")):
                paths.append(path)
            return function(path, *arguments, **options)

        return counted

    transport.read_into, transport.download = count(read_into), count(download)
    try:
        read()
    finally:
        del transport.read_into, transport.download
    return len(paths)


def changed(dataset: Dataset) -> Dataset:
    """Return an object of the same identifiers and length with other pixels."""
    twin = copy.deepcopy(dataset)
    twin.PixelData = bytes(np.frombuffer(dataset.PixelData, np.int16) + np.int16(100))
    assert len(as_bytes(twin)) == len(as_bytes(dataset))
    return twin


def test_files_are_read_once(server_that_overwrites: LocalOrthanc, tmp_path: Path) -> None:
    server = server_that_overwrites
    datasets = make_series((5, 64, 64), seed=1)
    store(server, *map(as_bytes, datasets))
    first = server.connect(cache=tmp_path / "cache")
    array = first.get_array()
    headers = first.get_headers()
    again = server.connect(cache=tmp_path / "cache")
    assert files_sent(again, again.get_array) == 0
    assert files_sent(again, again.get_headers) == 0
    assert np.array_equal(again.get_array(), array)
    assert [header.to_json() for header in again.get_headers()] == [header.to_json() for header in headers]
    assert sorted(map(as_bytes, again.get_instances())) == sorted(map(as_bytes, first.get_instances()))


def test_headers_are_read_once_without_their_files(server_that_overwrites: LocalOrthanc, tmp_path: Path) -> None:
    server = server_that_overwrites
    store(server, *map(as_bytes, make_series((3, 256, 256), seed=2)))
    table = server.connect(cache=tmp_path / "cache").volume_table()
    again = server.connect(cache=tmp_path / "cache")
    assert files_sent(again, again.volume_table) == 0
    assert again.volume_table().equals(table)


def test_downloads_are_kept_and_copied(server_that_overwrites: LocalOrthanc, tmp_path: Path) -> None:
    server = server_that_overwrites
    datasets = make_series((3, 64, 64), seed=3)
    store(server, *map(as_bytes, datasets))
    server.connect(cache=tmp_path / "cache").download(tmp_path / "first")
    again = server.connect(cache=tmp_path / "cache")
    assert files_sent(again, lambda: again.download(tmp_path / "second")) == 0
    expected = sorted(map(as_bytes, datasets))
    for name in ("first", "second"):
        assert sorted(path.read_bytes() for path in (tmp_path / name).rglob("*.dcm")) == expected


@pytest.mark.parametrize("checksums", [None, True, False])
def test_a_replaced_instance_is_read_anew(
    server_that_overwrites: LocalOrthanc, tmp_path: Path, checksums: bool | None
) -> None:
    server = server_that_overwrites
    datasets = make_series((4, 32, 32), seed=4)
    store(server, *map(as_bytes, datasets))

    def connect(cache: object = tmp_path / "cache") -> Orthanc:
        return server.connect(cache=cache, checksums=checksums)

    before = connect()
    old = before.get_array()
    assert files_sent(before, before.get_array) == 0
    store(server, as_bytes(changed(datasets[2])))
    new = connect(None).get_array()
    assert (new != old).any(axis=(1, 2)).sum() == 1
    # Also by the session that has listed the former one.
    assert np.array_equal(before.get_array(), new)
    after = connect()
    assert np.array_equal(after.get_array(), new)
    assert files_sent(after, after.get_array) == 0
    # Deleted, and stored as it was at first.
    key = after.select(SOPInstanceUID=datasets[2].SOPInstanceUID).get_orthanc_ids("instance")[0]
    ask(server, f"/instances/{key}", "DELETE")
    store(server, as_bytes(datasets[2]))
    assert np.array_equal(before.get_array(), old)
    assert np.array_equal(connect().get_array(), old)


def test_a_replaced_instance_is_read_anew_after_another_look_at_the_archive(
    server_that_overwrites: LocalOrthanc, tmp_path: Path
) -> None:
    server = server_that_overwrites
    datasets = make_series((4, 32, 32), seed=4)
    store(server, *map(as_bytes, [*datasets, *make_series((2, 32, 32), seed=5, Modality="MR")]))
    session = server.connect(cache=tmp_path / "cache")
    ct, mr = session.copy().select(Modality="CT"), session.copy().select(Modality="MR")
    cohort = mr.freeze()
    old = ct.get_array()
    assert files_sent(ct, ct.get_array) == 0
    store(server, as_bytes(changed(datasets[2])))
    cohort.open(session)
    assert (ct.get_array() != old).any(axis=(1, 2)).sum() == 1


def test_a_session_from_a_pickle_reads_a_replaced_instance_anew(
    server_that_overwrites: LocalOrthanc, tmp_path: Path
) -> None:
    server = server_that_overwrites
    datasets = make_series((4, 32, 32), seed=4)
    store(server, *map(as_bytes, datasets))
    session = server.connect(cache=tmp_path / "cache").select(Modality="CT")
    landed = pickle.loads(pickle.dumps(session))
    old = landed.get_array()
    store(server, as_bytes(changed(datasets[2])))
    assert (landed.get_array() != old).any(axis=(1, 2)).sum() == 1


def test_a_damaged_file_is_read_anew(server_that_overwrites: LocalOrthanc, tmp_path: Path) -> None:
    server = server_that_overwrites
    store(server, *map(as_bytes, make_series((3, 64, 64), seed=5)))
    session = server.connect(cache=tmp_path / "cache")
    array = session.get_array()
    for path in (tmp_path / "cache" / "entries").rglob("*"):
        if path.is_file():
            content = bytearray(path.read_bytes())
            content[-len(content) // 3] ^= 1
            path.write_bytes(content)
    assert files_sent(session, lambda: np.testing.assert_array_equal(session.get_array(), array)) >= 3
    assert files_sent(session, lambda: np.testing.assert_array_equal(session.get_array(), array)) == 0


def test_two_servers_share_a_folder_and_do_not_mix(make_server: MakeServer, tmp_path: Path) -> None:
    datasets = make_series((3, 32, 32), seed=6)
    one, other = make_server({"Name": "one"}), make_server({"Name": "other"})
    store(one, *map(as_bytes, datasets))
    store(other, *map(as_bytes, map(changed, datasets)))
    for _ in range(2):
        first = one.connect(cache=tmp_path / "cache").get_array()
        second = other.connect(cache=tmp_path / "cache").get_array()
        assert (first != second).all()
        assert np.array_equal(first, one.connect().get_array())
        assert np.array_equal(second, other.connect().get_array())


def test_a_changed_session_reads_what_it_has_made(server_that_overwrites: LocalOrthanc, tmp_path: Path) -> None:
    server = server_that_overwrites
    datasets = make_series((3, 32, 32), seed=7)
    session = server.connect(cache=tmp_path / "cache")
    session.upload_dataset(datasets)
    old = session.get_array()
    session.upload_dataset(list(map(changed, datasets)))
    new = session.get_array()
    assert (new != old).all()
    assert np.array_equal(new, server.connect().get_array())


def retrieved(session: DicomWeb, read: Callable[[], object]) -> int:
    """Count the instances that a call retrieves over DICOMweb, whole or in part."""
    rest: Any = session.rest
    count = 0

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*uids: str) -> Any:
            nonlocal count
            count += 1
            return function(*uids)

        return counted

    names = ("retrieve_instance", "open_instance")
    for name in names:
        setattr(rest, name, counting(getattr(rest, name)))
    try:
        read()
    finally:
        for name in names:
            delattr(rest, name)
    return count


@pytest.mark.parametrize("is_below", [False, True])
def test_dicomweb_reads_from_the_cache_what_orthanc_still_has(
    server_that_overwrites: LocalOrthanc, tmp_path: Path, is_below: bool
) -> None:
    server = server_that_overwrites
    datasets = make_series((4, 32, 32), seed=8)
    store(server, *map(as_bytes, datasets))

    def connect() -> DicomWeb:
        if is_below:
            return server.connect(cache=tmp_path / "cache").dicomweb
        return DicomWeb(f"{server.url}/dicom-web", *(server.credentials or ()), cache=tmp_path / "cache")

    before = connect()
    old = before.get_array()
    again = connect()
    assert retrieved(again, lambda: np.testing.assert_array_equal(again.get_array(), old)) == 0
    assert retrieved(again, again.get_headers) == 0
    store(server, as_bytes(changed(datasets[2])))
    new = server.connect().get_array()
    assert (new != old).any(axis=(1, 2)).sum() == 1
    for session in (before, again, connect()):
        assert np.array_equal(session.get_array(), new)
    assert retrieved(again, again.get_array) == 0
    offline = DicomWeb(before._source.description, cache=tmp_path / "cache", offline=True)
    assert np.array_equal(offline.get_array(), new)
    assert offline._source.requests == 0
    with pytest.raises(UnsupportedError, match="without offline=True"):
        offline.upload_dataset(datasets)


def test_a_frozen_cohort_is_read_offline(server_that_overwrites: LocalOrthanc, tmp_path: Path) -> None:
    server = server_that_overwrites
    store(server, *map(as_bytes, [*make_series((3, 32, 32), seed=9), *make_series((2, 32, 32), seed=10)]))
    session = server.connect(cache=tmp_path / "cache")
    first, second = session.SeriesInstanceUIDs
    cohort = session.freeze()
    arrays = [session.copy().select(first).get_array()]
    offline = Orthanc(server.url, cache=tmp_path / "cache", offline=True)
    with pytest.raises(CohortError, match=r"are not in .*download\(\) them with the same cache"):
        cohort.open(offline)
    arrays.append(session.copy().select(second).get_array())
    server.stop()
    opened = cohort.open(offline.refresh())
    assert opened.instance_count == 5
    for uid, array in zip((first, second), arrays, strict=True):
        assert np.array_equal(opened.copy().select(uid).get_array(), array)
    assert opened.map(lambda series: float(series.get_array().mean())).result.tolist() == [
        pytest.approx(array.mean()) for array in arrays
    ]
    assert len(opened.download(tmp_path / "files")) == 5


def test_a_mapped_function_reads_anew_what_it_has_replaced(
    server_that_overwrites: LocalOrthanc, tmp_path: Path
) -> None:
    server = server_that_overwrites
    datasets = make_series((3, 32, 32), seed=11)
    store(server, *map(as_bytes, datasets))
    session = server.connect(cache=tmp_path / "cache")
    session.get_instances()

    def replaces(series: Orthanc) -> bool:
        # One read after the other, by whoever knows that the file was replaced.
        before = series._source.content(series.get_orthanc_ids("instance")[0])
        store(server, *map(as_bytes, map(changed, datasets)))
        return before != series._source.content(series.get_orthanc_ids("instance")[0])

    assert session.map(replaces).result.tolist() == [True]
