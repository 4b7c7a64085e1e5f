"""Sessions on what is in a cache, without the server: everything that reads works, and nothing is sent."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simple_orthanc import Cache, DicomWeb, EmptySelectionError, Orthanc, SelectionError, UnsupportedError, label
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.testing import OrthancStandIn
from tests.dicomweb_stand_in import DicomServer
from tests.http_stand_in import free_port

SERIES = [
    *make_series((4, 32, 32), seed=1, PatientID="P1", Modality="CT"),
    *make_series((3, 32, 32), seed=2, PatientID="P2", Modality="MR"),
]


class Before:
    """What a session has read while the server was there."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        with OrthancStandIn(SERIES) as server:
            session = Orthanc(server.url, cache=self.cache)
            self.url = server.url
            self.arrays = {uid: session.copy().select(uid).get_array() for uid in session.SeriesInstanceUIDs}
            self.table = session.table()
            self.columns = session.table("PatientName", "KVP", "ImagePositionPatient", level="instance")
            self.headers = [header.to_json() for header in session.get_headers()]

    def offline(self) -> Orthanc:
        return Orthanc(self.url, username="jane", password="a secret", cache=self.cache, offline=True)


@pytest.fixture
def before(tmp_path: Path) -> Before:
    return Before(tmp_path)


@pytest.fixture
def no_network(before: Before, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network is used")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.mark.usefixtures("no_network")
def test_everything_that_was_read_is_read_again(before: Before, tmp_path: Path) -> None:
    session = before.offline()
    assert session.table().equals(before.table)
    columns = session.table("PatientName", "KVP", "ImagePositionPatient", level="instance")
    assert columns.equals(before.columns)
    assert [header.to_json() for header in session.get_headers()] == before.headers
    for uid, array in before.arrays.items():
        assert np.array_equal(session.copy().select(uid).get_array(), array)
    assert session.volume_table().regular.all()
    paths = session.download(tmp_path / "files")
    assert sorted(path.read_bytes() for path in paths) == sorted(map(as_bytes, SERIES))
    assert session.download(tmp_path / "files") == paths
    assert session._source.requests == 0
    assert f"{before.url} (offline)" in repr(session)
    session.close()
    assert session.refresh().instance_count == 7


@pytest.mark.usefixtures("no_network")
def test_a_pickled_session_lands_with_the_same_files(before: Before) -> None:
    session = before.offline().select(Modality="MR")
    written = pickle.dumps(session)
    assert len(written) < 4096
    assert b"a secret" not in written
    landed = pickle.loads(written)
    assert landed.instance_count == 3
    assert np.array_equal(landed.get_array(), session.get_array())


ACTS: dict[str, Callable[[Orthanc], Any]] = {
    "upload": lambda session: session.upload_dataset(SERIES[:1]),
    "delete": lambda session: session.delete(),
    "delete_selected_series": lambda session: session.delete_selected_series(),
    "label": lambda session: session.add_label("seen"),
    "labels": lambda session: session.labels(),
    "anonymize": lambda session: session.anonymize(),
    "archive": lambda session: session.archive("out.zip"),
    "rest": lambda session: session.rest.get("/system"),
    "dicomweb": lambda session: session.dicomweb,
    "modalities": lambda session: session.modalities,
    "watch": lambda session: session.watch(print),
    "select by label": lambda session: session.select(label("seen")),
}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("act", ACTS)
def test_what_needs_the_server_is_refused(before: Before, act: str) -> None:
    session = before.offline().select(Modality="CT")
    with pytest.raises(UnsupportedError, match=r"Open it without offline=True"):
        ACTS[act](session)
    assert session.instance_count == 4
    assert len(before.offline().cache or ()) == 7


def test_what_is_kept_of_one_server_is_not_that_of_another(before: Before) -> None:
    other = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SelectionError, match=rf"holds no file of {other}\. It holds files of {before.url}\. Files are"):
        Orthanc(other, cache=before.cache, offline=True)
    with pytest.raises(SelectionError, match=r"holds no file of .* It is empty"):
        Orthanc(before.url, cache=before.cache.parent / "new", offline=True)
    with pytest.raises(SelectionError, match=r'offline=True reads from a cache: give .* cache="cache", offline=True'):
        Orthanc(before.url, offline=True)


def test_a_file_that_was_removed_meanwhile_is_named(before: Before) -> None:
    session = before.offline().select(Modality="CT")
    assert session.get_array().shape == (4, 32, 32)
    Cache(before.cache).clear()
    with pytest.raises(SelectionError, match=r"is not in the cache .* any more: .* without offline=True"):
        session.get_array()


def test_a_file_that_another_thread_has_found_gone_is_named(before: Before) -> None:
    session = before.offline().select(Modality="CT")
    other = session.copy()
    looked_at = session._source.index  # type: ignore[attr-defined]
    Cache(before.cache).clear()
    with pytest.warns(UserWarning, match="Nothing is selected any more"):
        other.refresh()
    # As a thread finds it that had begun before.
    session._source._index = looked_at  # type: ignore[attr-defined]
    with pytest.raises(SelectionError, match=r"is not in the cache .* any more: .* without offline=True"):
        session.get_array()


def test_a_damaged_file_is_not_read(before: Before) -> None:
    for path in (before.cache / "entries").rglob("*"):
        if path.is_file():
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
    with pytest.raises(SelectionError, match="holds no file of"):
        before.offline()


@pytest.mark.usefixtures("no_network")
def test_who_finds_nothing_is_told_that_only_the_cache_is_seen(before: Before) -> None:
    session = before.offline()
    note = rf"is offline and sees only what the cache {before.cache} holds: what else {before.url} may have"
    with pytest.warns(UserWarning, match=rf"Nothing is selected any more: .*PatientID.* {note}"):
        session.select(PatientID="P3")
    with pytest.raises(EmptySelectionError, match=rf"Nothing is selected by .*PatientID.* {note}"):
        session.get_array()


def test_a_session_on_the_server_says_nothing_of_a_cache(tmp_path: Path) -> None:
    with OrthancStandIn(SERIES) as server:
        session = Orthanc(server.url, cache=tmp_path / "cache")
        with pytest.warns(UserWarning, match="Nothing is selected any more") as caught:
            session.select(PatientID="P3")
        with pytest.raises(EmptySelectionError) as error:
            session.get_array()
    assert "offline" not in f"{caught[0].message} {error.value}"


def thumbnail(session: Orthanc, folder: Path) -> None:
    session.thumbnail()


def instance(session: Orthanc, folder: Path) -> None:
    next(iter(session.instances)).get_instances()


def in_another_process(session: Orthanc, folder: Path) -> None:
    thumbnail(pickle.loads(pickle.dumps(session)), folder)


def downloaded(session: Orthanc, folder: Path) -> None:
    next(iter(session.instances)).download(folder)


@pytest.mark.parametrize("read", [thumbnail, instance, in_another_process, downloaded])
@pytest.mark.parametrize("kind", [Orthanc, DicomWeb])
def test_a_series_that_is_there_in_part_is_told(
    read: Callable[[Any, Path], None], kind: type[Orthanc] | type[DicomWeb], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with OrthancStandIn(SERIES) if kind is Orthanc else DicomServer(SERIES) as server:
        url = server.url if kind is Orthanc else f"{server.url}/dicom-web"
        session = kind(url, cache=cache)
        session.copy().select(Modality="MR").get_array()
        read(session.copy().select(Modality="CT"), tmp_path / "files")
        with pytest.warns(UserWarning, match=r"holds 1 series of .* only in part, such as 1 of 4 instances of 1\.2\."):
            assert kind(url, cache=cache, offline=True).series_count == 2
        session.select(Modality="CT").get_instances()
        assert kind(url, cache=cache, offline=True).instance_count == 7


def test_a_series_of_which_files_were_removed_to_make_room_is_told(tmp_path: Path) -> None:
    with OrthancStandIn(SERIES) as server:
        session = Orthanc(server.url, cache=tmp_path / "cache")
        for series in session.series:
            series.get_array()
        size = Cache(tmp_path / "cache").size
        Cache(tmp_path / "cache", limit=size - 1)
        with pytest.warns(UserWarning, match=r"only in part, such as 3 of 4 instances"):
            offline = Orthanc(server.url, cache=tmp_path / "cache", offline=True)
        assert offline.instance_count == 6
        # Another process makes room.
        Cache(tmp_path / "cache", limit=size - size // 7 - 1)
        with pytest.warns(UserWarning, match=r"only in part, such as 2 of 4 instances"):
            offline.refresh()
        assert offline.refresh().instance_count == 5


def test_a_series_that_has_grown_since_is_there_in_part(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with OrthancStandIn(SERIES[:3]) as server:
        Orthanc(server.url, cache=cache).get_array()
        assert Orthanc(server.url, cache=cache, offline=True).instance_count == 3
        server.datasets.append(SERIES[3])
        later = Orthanc(server.url, cache=cache)
        assert len(later.get_volume(slices=slice(2, 4)).array) == 2
        assert Orthanc(server.url, cache=cache, offline=True).instance_count == 4
