"""Files that are read from an archive: nothing of it is believed, and nobody else's jobs suffer from it."""

from __future__ import annotations

import io
import json
import threading
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.phantom import make_series
from simple_orthanc.session.orthanc import Orthanc
from tests.http_stand_in import Asked, reply
from tests.memory_source import as_file
from tests.orthanc_stand_in import OrthancServer

SERIES = 6
NOW = "20260301T101010.500000"


def zip_of(datasets: Iterable[Dataset]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for number, dataset in enumerate(datasets):
            made.writestr(f"{number}.dcm", as_file(dataset))
    return buffer.getvalue()


class ArchivingServer(OrthancServer):
    """An Orthanc that makes archives, and has jobs; each archive becomes one of them."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        super().__init__(datasets)
        self.jobs: list[dict[str, Any]] = []
        self.archived: list[list[str]] = []
        self.send_archive: Callable[[bytes], bytes | None] = reply

    def _answer(self, asked: Asked, count: int) -> Any:
        if asked.path.startswith("/jobs"):
            return reply(self.jobs)
        if asked.path != "/tools/create-archive":
            return super()._answer(asked, count)
        question = json.loads(asked.body)
        self.archived.append(question["Resources"])
        self.jobs.append(job("Archive", Priority=question["Priority"]))
        wanted = [each for each in self.datasets if self.identifier_of(each, "Series") in question["Resources"]]
        return self.send_archive(zip_of(wanted))


def job(kind: str, state: str = "Success", completed: str = NOW, **fields: Any) -> dict[str, Any]:
    described = {"Type": kind, "State": state, "Timestamp": NOW, "Priority": 0, **fields}
    return described if state in ("Running", "Pending") else {**described, "CompletionTime": completed}


def datasets() -> list[Dataset]:
    rng = np.random.default_rng(3)
    return [
        dataset
        for number in range(SERIES)
        for dataset in make_series(array=rng.integers(0, 99, (3, 4, 4)).astype(np.int16), seed=number)
    ]


@pytest.fixture
def archive() -> Iterator[ArchivingServer]:
    with ArchivingServer(datasets()) as running:
        yield running


def sums(archive: ArchivingServer) -> list[int]:
    session = Orthanc(archive.url, patience=0.02)
    return sorted(int(volume.array.sum()) for volume in session.get_volumes_lazily())


def expected() -> list[int]:
    every = datasets()
    return sorted(int(sum(each.pixel_array.sum() for each in every[start : start + 3])) for start in range(0, 18, 3))


def files_read(archive: ArchivingServer) -> int:
    return sum(asked.path.endswith("/file") for asked in archive.asked)


def test_small_series_come_from_archives(archive: ArchivingServer) -> None:
    assert sums(archive) == expected()
    assert sorted(map(len, archive.archived)) == [2, 4]
    assert files_read(archive) == 0


def test_no_more_than_two_archives_are_made_at_a_time(archive: ArchivingServer) -> None:
    lock, has_two, under_way, counts = threading.Lock(), threading.Event(), [], []

    def send(content: bytes) -> bytes:
        with lock:
            under_way.append(content)
            counts.append(len(under_way))
        if len(under_way) > 1:
            has_two.set()
        has_two.wait(20)
        # The third would come now.
        time.sleep(0.2)
        with lock:
            under_way.remove(content)
        return reply(content)

    archive.send_archive = send
    source = Orthanc(archive.url)._source
    rows = list(source.listing("series"))
    list(source.below("instance", rows))
    files = run_all(source.read_together, [rows[:2], rows[2:4], rows[4:]], workers=3)
    assert [len(each) for each in files] == [6, 6, 6]
    assert max(counts) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 413, 500])
def test_a_server_that_makes_no_archive_is_asked_for_files(archive: ArchivingServer, status: int) -> None:
    archive.send_archive = lambda content: reply({"Message": "no"}, status)
    assert sums(archive) == expected()
    assert files_read(archive) == 18


@pytest.mark.parametrize("way", ["cut", "closed", "redirected"])
def test_an_archive_that_does_not_arrive_is_asked_for_by_files(archive: ArchivingServer, way: str) -> None:
    ways: dict[str, Callable[[bytes], bytes | None]] = {
        "cut": lambda content: reply(content[:-10], headers={"X-Close": "yes"}, length=len(content)),
        "closed": lambda content: None,
        "redirected": lambda content: reply(b"", 302, {"Location": "http://login.example.org/"}),
    }
    archive.send_archive = ways[way]
    assert sums(archive) == expected()
    assert files_read(archive) == 18


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_member_takes_no_more_memory_than_it_promises(archive: ArchivingServer, compression: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        made.writestr("0.dcm", bytes(32 << 20))
        member = made.infolist()[0]
        member.file_size, member.CRC = 500, zlib.crc32(bytes(500))
    bomb = buffer.getvalue()
    archive.send_archive = lambda content: reply(bomb)
    tracemalloc.start()
    try:
        assert sums(archive) == expected()
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert archive.archived
    assert files_read(archive) == 18


@pytest.mark.parametrize(
    "others",
    {
        "runs": [job("DicomModalityStore", "Running")],
        "waits": [job("ResourceModification", "Pending")],
        "has just ended": [job("DicomMoveScu", completed="20260301T100910")],
        "an archive to be fetched": [job("Archive", completed="20260301T100910")],
        "no list": {"Message": "no"},
        "no jobs": ["Archive"],
    }.items(),
    ids=lambda item: item[0],
)
def test_other_jobs_are_neither_waited_for_nor_pushed_out(archive: ArchivingServer, others: tuple[str, Any]) -> None:
    archive.jobs = others[1]
    assert sums(archive) == expected()
    assert archive.archived == []


def test_old_jobs_do_not_count(archive: ArchivingServer) -> None:
    archive.jobs = [
        job("DicomModalityStore", completed="20260228T101010"),
        job("MergeStudy", "Failure", "20260228T101010"),
    ]
    assert sums(archive) == expected()
    assert len(archive.archived) == 2
