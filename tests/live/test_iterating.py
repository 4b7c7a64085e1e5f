"""Volumes one after the other: the requests that they take, and what is wrong with an archive that Orthanc makes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import DicomWeb, LocalOrthanc, Orthanc
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.sources.orthanc import archived
from simple_orthanc.transport import pace
from tests.live.archives import store

SERIES = 40


@pytest.fixture(autouse=True)
def no_jobs_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no notice of the jobs of other tests on the same server."""
    monkeypatch.setattr(archived, "_RECENTLY", 0.0)


def small_series(count: int = SERIES, shape: tuple[int, int, int] = (4, 8, 8)) -> list[list[Dataset]]:
    rng = np.random.default_rng(1)
    return [
        make_series(
            array=rng.integers(0, 2000, shape).astype(np.int16),
            seed=number,
            PatientID=f"P{number:03d}",
            SeriesDescription="small",
        )
        for number in range(count)
    ]


def zipped(series: Sequence[Sequence[Dataset]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, dataset in enumerate(dataset for each in series for dataset in each):
            archive.writestr(f"{number}.dcm", as_bytes(dataset))
    return buffer.getvalue()


def means(session: Any) -> list[float]:
    return [float(volume.array.mean()) for volume in session.get_volumes_lazily()]


@contextmanager
def counted(session: Orthanc) -> Iterator[list[int]]:
    before, sent = session._source.requests, list[int]()
    yield sent
    sent.append(session._source.requests - before)


def test_small_series_take_few_requests(empty_server: LocalOrthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    series = small_series()
    store(empty_server, zipped(series))
    expected = [float(np.stack([dataset.pixel_array for dataset in each]).mean()) for each in series]
    session = empty_server.connect()
    with counted(session) as sent:
        assert means(session) == expected
    is_new = session.rest.capabilities.version >= (1, 12)
    files = SERIES * 4
    # To list 40 series, their instances in a few lots, and their files in archives of up to 64 series.
    assert sent[0] <= (20 if is_new else 16 + files)
    if not is_new:
        # A server behind a network is asked for archives, whatever its version.
        monkeypatch.setattr(pace, "_NEARBY", 0.0)
        session = empty_server.connect()
        with counted(session) as sent:
            assert means(session) == expected
        assert sent[0] <= 24
    # What is selected of series by instances is read file by file.
    session = empty_server.connect().select(InstanceNumber=[1, 2])
    assert len(means(session)) == SERIES


@pytest.mark.parametrize("damage", ["missing", "changed", "cut", "no zip", "refused"])
def test_an_archive_is_not_trusted(empty_server: LocalOrthanc, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    from simple_orthanc import NotFoundError

    series = small_series(8)
    store(empty_server, zipped(series))
    session = empty_server.connect()
    expected = means(session)
    monkeypatch.setattr(pace, "_NEARBY", 0.0)
    transport = session._source.transport
    whole = transport.content

    def damaged(method: str, path: str, **options: Any) -> bytes:
        content = whole(method, path, **options)
        if path != "/tools/create-archive":
            return content
        if damage == "refused":
            raise NotFoundError("There is no archive.", status=404)
        if damage in ("cut", "no zip"):
            return content[: len(content) // 2] if damage == "cut" else b"<html>"
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(buffer, "w") as made:
            for number, member in enumerate(given.infolist()):
                file = given.read(member)
                if number % 3 == 0:
                    if damage == "missing":
                        continue
                    file = file[:-2]
                made.writestr(member, file)
        return buffer.getvalue()

    session = empty_server.connect()
    monkeypatch.setattr(session._source.transport, "content", damaged)
    assert means(session) == expected


def test_dicomweb_is_read_ahead(empty_server: LocalOrthanc) -> None:
    series = small_series(6)
    store(empty_server, zipped(series))
    expected = means(empty_server.connect())
    web = DicomWeb(f"{empty_server.url}/dicom-web", auth=empty_server.credentials)
    assert means(web) == expected
