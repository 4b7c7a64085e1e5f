"""Series that are read ahead of the loop that uses them: small ones together, large ones one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.ahead import Job, Sized
from simple_orthanc.concurrency.interruption import check
from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.errors import OrthancError, TransportError
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_beginning
from simple_orthanc.files.walker import Buffer
from simple_orthanc.selection.file_reading import FileReading, StoredFile
from simple_orthanc.selection.source import Source
from simple_orthanc.session.reading.decoding_turns import DecodingTurns
from simple_orthanc.session.reading.selected_series import ListedSeries
from simple_orthanc.session.reading.unreadable import is_about_one_object
from simple_orthanc.volume.volume import Volume

Result = TypeVar("Result")

WORKERS = 3
"""Groups that are read at a time: while two wait for the server, or for a slow link, a third is decoded."""

# Bytes of the files of a group, which are in memory until they are decoded. A larger last group would be decoded for
# longer while nothing is fetched.
_GROUP_BYTES = 4 << 20
# A group grows up to this many series, from few, so that the first comes soon.
_FIRST_GROUP, _LARGEST_GROUP = 4, 64
# What each frame of a file is taken for whose size is not known.
_USUAL_FRAME = 300_000


@dataclass(frozen=True)
class Wanted(Generic[Result]):
    """A series to be read.

    Attributes
    ----------
    series : ListedSeries
    read : callable
        Called with what reads the files: files in memory, or the source itself. Returns the results.
    """

    series: ListedSeries
    read: Callable[[FileReading], list[Sized[Result]]]


def jobs(source: Source, wanted: Iterable[Wanted[Result]], most: int) -> Iterator[Job[Result]]:
    """Yield the jobs that read series, in their order.

    Parameters
    ----------
    source : Source
        Has the files.
    wanted : iterable of Wanted
        Taken as they are needed.
    most : int
        Bytes of memory that may be used; a group takes at most a quarter of it.
    """
    group: list[Wanted[Result]] = []
    held, limit = 0, _FIRST_GROUP
    group_bytes = min(_GROUP_BYTES, most // 4)
    expansion, turns = _Expansion(), DecodingTurns()

    def is_too_much(size: int) -> bool:
        return size > group_bytes or expansion.expected(size) > most // 4

    for item in wanted:
        # What takes long is not always a wait.
        check()
        size, is_known = _size(source, item.series)
        # Of files whose sizes are not known the first ones show how large they are.
        is_full = len(group) >= limit or not (is_known or expansion.is_known)
        if group and (is_full or is_too_much(held + size)):
            yield _together(source, group, held, expansion, turns)
            group, held, limit = [], 0, min(2 * limit, _LARGEST_GROUP)
        if is_too_much(size):
            yield _alone(source, item, size, expansion)
            continue
        group.append(item)
        held += size
    if group:
        yield _together(source, group, held, expansion, turns)


def _size(source: Source, series: ListedSeries) -> tuple[int, bool]:
    """Return the bytes of the files of a series, and whether they are known or estimated."""
    sizes = [source.listed_file(key).size for key in series.keys]
    unknown = sizes.count(None)
    known = sum(size for size in sizes if size is not None)
    if not unknown:
        return known, True
    return known + _USUAL_FRAME * series.frames() * unknown // len(sizes), False


class _Expansion:
    """How much larger than their files volumes are, as far as they were read: compressed ones may be by far.

    Attributes
    ----------
    factor : float
    is_known : bool
        Whether any have been read.
    """

    def __init__(self) -> None:
        self.factor, self.is_known = 1.0, False

    def expected(self, size: int) -> int:
        return int(size * self.factor)

    def learn(self, size: int, results: Sequence[Sized[Any]]) -> None:
        self.factor = max(self.factor, sum(result.bytes for result in results) / max(size, 1))
        self.is_known = True


def _alone(source: Source, item: Wanted[Result], size: int, expansion: _Expansion) -> Job[Result]:
    """Return the job that reads one series, whose files need not be held."""

    def work() -> list[Sized[Result]]:
        results = item.read(source)
        expansion.learn(size, results)
        return results

    return Job(expansion.expected(size), work)


def _together(
    source: Source, group: Sequence[Wanted[Result]], size: int, expansion: _Expansion, turns: DecodingTurns
) -> Job[Result]:
    """Return the job that reads several series, whose files are fetched together."""

    def work() -> list[Sized[Result]]:
        begun_at = time.monotonic()
        files = HeldFiles(source, _fetch(source, group), begun_at=begun_at, turns=turns)
        results: list[Sized[Result]] = []
        for item in group:
            check()
            with turns.turn():
                results += item.read(files)
            files.forget(item.series.keys)
        expansion.learn(size, results)
        turns.learn(size, sum(result.bytes for result in results))
        return results

    # The files, and what they become.
    return Job(size + expansion.expected(size), work)


def _fetch(source: Source, group: Sequence[Wanted[Any]]) -> dict[str, Buffer]:
    """Read the files of several series; those that cannot be read are missing, which reading them again explains."""
    whole = [item.series.row for item in group if item.series.row is not None]
    files = dict(source.read_together(whole)) if whole else {}
    missing = [key for item in group for key in item.series.keys if key not in files]
    read = run_all(partial(_content, source), missing, workers=source.at_once(missing))
    files.update((key, content) for key, content in zip(missing, read, strict=True) if content is not None)
    return files


def _content(source: Source, key: str) -> memoryview | None:
    try:
        return source.read(key, _new_memory)
    except OrthancError as error:
        if not is_about_one_object(error):
            raise
        return None


def _new_memory(size: int) -> memoryview:
    return memoryview(bytearray(size))


class HeldFiles:
    """Files that were fetched together, and are read from memory; what is missing is read from the source.

    Parameters
    ----------
    source : FileReading
        Has all files.
    files : mapping
        Key of instance to file.
    scanner : Scanner, optional
        One that has read similar files.
    begun_at, read_at : float, optional
        When fetching them began and ended, by `time.monotonic`. Default: now.
    turns : DecodingTurns, optional
        Of the threads that decode the files of one loop.

    Attributes
    ----------
    scanner : Scanner
        Reads the headers of the files.
    turns : DecodingTurns
        Whose turn it is to decode.
    begun_at, read_at : float
        When fetching them began and ended.
    """

    def __init__(
        self,
        source: FileReading,
        files: Mapping[str, Buffer],
        scanner: Scanner | None = None,
        *,
        begun_at: float | None = None,
        read_at: float | None = None,
        turns: DecodingTurns | None = None,
    ) -> None:
        self._source, self._files = source, dict(files)
        self.scanner = scanner or Scanner()
        self.turns = turns or DecodingTurns()
        self.read_at = time.monotonic() if read_at is None else read_at
        self.begun_at = self.read_at if begun_at is None else begun_at

    @property
    def keys(self) -> list[str]:
        """Keys of the instances whose files are held."""
        return list(self._files)

    @property
    def bytes(self) -> int:
        """Bytes of the files."""
        return sum(map(len, self._files.values()))

    def part(self, keys: Iterable[str]) -> HeldFiles:
        """Return those files that have some keys."""
        files = {key: self._files[key] for key in keys if key in self._files}
        times = {"begun_at": self.begun_at, "read_at": self.read_at}
        return HeldFiles(self._source, files, self.scanner, turns=self.turns, **times)

    def forget(self, keys: Iterable[str]) -> None:
        """Release the memory of files that were used."""
        for key in keys:
            self._files.pop(key, None)

    def stored_file(self, key: str) -> StoredFile:
        """Return what the source knows of a file."""
        return self._source.stored_file(key)

    def at_once(self, keys: Sequence[str], headers: bool = False) -> int:
        """Return 1 for files that are in memory."""
        return 1

    def header(self, key: str) -> Dataset:
        """Read the header of an instance."""
        content = self._files.get(key)
        if content is None:
            return self._source.header(key)
        header, _ = read_beginning(content, self.scanner)
        self.check_identity(key, header)
        return header

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        """Read the file of an instance."""
        content = self._files.get(key)
        return self._source.read(key, allocate) if content is None else memoryview(content)

    def check_identity(self, key: str, header: Dataset) -> None:
        """Raise a TransportError if a header is not that of the instance, whose file is then fetched anew."""
        try:
            self._source.check_identity(key, header)
        except TransportError:
            self.forget([key])
            raise


def scanner_of(files: FileReading) -> Scanner | None:
    """Return the scanner of files that were fetched together; None for other files."""
    return files.scanner if isinstance(files, HeldFiles) else None


def read_in_turn(files: FileReading, read: Callable[[], Volume]) -> Volume:
    """Call what reads a volume: if its files are in memory, while no other thread decodes files of the same loop."""
    if not isinstance(files, HeldFiles):
        return read()
    with files.turns.turn():
        volume = read()
    files.turns.learn(files.bytes, volume.array.nbytes)
    return volume
