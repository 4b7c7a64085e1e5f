"""Small files that are asked for in rows: each is checked, and what is wrong with one is told as of any other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import OrthancError
from simple_orthanc.phantom import make_series
from simple_orthanc.session.orthanc import Orthanc
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, reply
from tests.memory_source import as_file
from tests.orthanc_stand_in import OrthancServer

SERIES = 6


def datasets() -> list[Dataset]:
    rng = np.random.default_rng(3)
    return [
        dataset
        for number in range(SERIES)
        for dataset in make_series(array=rng.integers(0, 99, (3, 4, 4)).astype(np.int16), seed=number)
    ]


class FileServer(OrthancServer):
    """An Orthanc before archives of small series pay, whose files can be changed on their way.

    `change` takes the file, how often it was asked for, and a file of another series.
    """

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        super().__init__(datasets, "1.10.1")
        self.files = {
            f"/instances/{self.identifier_of(each, 'Instance')}/file": as_file(each) for each in self.datasets
        }
        self.asked_for: Counter[str] = Counter()
        self.change: Callable[[bytes, int, bytes], bytes | None] = lambda file, count, other: reply(file)

    def _answer(self, asked: Asked, count: int) -> Any:
        if asked.path not in self.files:
            return super()._answer(asked, count)
        self.asked_for[asked.path] += 1
        paths = list(self.files)
        other = paths[(paths.index(asked.path) + 3) % len(paths)]
        return self.change(self.files[asked.path], self.asked_for[asked.path], self.files[other])


@pytest.fixture
def archive() -> Iterator[FileServer]:
    with FileServer(datasets()) as running:
        yield running


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files each row has brought."""
    brought: list[int] = []
    read = Transport.read_several

    def counted(self: Transport, paths: Sequence[str]) -> list[bytes | None]:
        found = read(self, paths)
        brought.append(len(found) - found.count(None))
        return found

    monkeypatch.setattr(Transport, "read_several", counted)
    return brought


def sums(archive: FileServer, **options: Any) -> list[int]:
    with Orthanc(archive.url, patience=0.02, **options) as session:
        return sorted(int(volume.array.sum()) for volume in session.get_volumes_lazily())


def expected() -> list[int]:
    every = datasets()
    return sorted(int(sum(each.pixel_array.sum() for each in every[start : start + 3])) for start in range(0, 18, 3))


def test_each_file_is_asked_for_once_in_few_rows(archive: FileServer, rows: list[int]) -> None:
    assert sums(archive) == expected()
    assert sum(rows) == 18
    assert len(rows) == 2
    assert set(archive.asked_for.values()) == {1}


WRONG: dict[str, Callable[[bytes, bytes], bytes | None]] = {
    "mixed up": lambda file, other: reply(other),
    "cut": lambda file, other: reply(file[:-1]),
    "too long": lambda file, other: reply(file + b"\0"),
    "a page": lambda file, other: reply(b"<html>Please log in</html>"),
    "refused": lambda file, other: reply({"Message": "busy"}, 503),
    "broken": lambda file, other: None,
    "chunked": lambda file, other: reply(file, chunked=True),
}


@pytest.mark.parametrize("way", WRONG)
@pytest.mark.parametrize("which", [0, 2, 17])
def test_what_comes_wrongly_is_asked_for_again(archive: FileServer, way: str, which: int) -> None:
    wrong = list(archive.files.values())[which]
    archive.change = lambda file, count, other: WRONG[way](file, other) if file == wrong and count == 1 else reply(file)
    assert sums(archive) == expected()
    assert archive.asked_for[list(archive.files)[which]] > 1


def test_what_always_comes_wrongly_is_an_error_of_its_series_alone(archive: FileServer) -> None:
    wrong = list(archive.files.values())[4]
    archive.change = lambda file, count, other: reply(other if file == wrong else file)
    with Orthanc(archive.url, patience=0.02) as session:
        found = dict(session.get_volumes_lazily(errors="report").items())
    errors = [each for each in found.values() if isinstance(each, OrthancError)]
    assert len(found) == SERIES
    assert len(errors) == 1
    assert re.search("asked for|replaced|another", str(errors[0]))


def test_files_of_which_each_checksum_is_asked_for_are_read_one_by_one(archive: FileServer, rows: list[int]) -> None:
    assert sums(archive, checksums=True) == expected()
    assert rows == []


def test_what_a_row_brings_is_kept_in_a_cache(archive: FileServer, tmp_path: Path) -> None:
    assert sums(archive, cache=tmp_path) == sums(archive, cache=tmp_path) == expected()
    assert set(archive.asked_for.values()) == {1}


def test_a_wrong_file_is_not_kept_in_a_cache(archive: FileServer, tmp_path: Path) -> None:
    archive.change = lambda file, count, other: reply(other if count == 1 else file)
    assert sums(archive, cache=tmp_path) == sums(archive, cache=tmp_path) == expected()


def test_the_instances_of_several_series_are_looked_up_by_their_ids(archive: FileServer) -> None:
    with Orthanc(archive.url, patience=0.02) as session:
        source = session._source
        rows = list(source.listing("series"))
        gone = archive.datasets.pop()
        found = list(source.below("instance", rows))
    assert {row.key for row in found} == {archive.identifier_of(each, "Instance") for each in archive.datasets}
    assert archive.identifier_of(gone, "Instance") not in {row.key for row in found}
    assert not [asked for asked in archive.asked if asked.path == "/tools/find"]
    assert all(source.listed_file(row.key).size for row in found)
