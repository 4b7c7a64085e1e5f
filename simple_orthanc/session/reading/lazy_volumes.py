"""Volumes one after the other, each with its label, while the next ones are read."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from simple_orthanc.concurrency.ahead import Ahead, Sized
from simple_orthanc.errors import NoPixelDataError, OrthancError, SelectionError, stacklevel
from simple_orthanc.pixels.conversion import volume_bytes
from simple_orthanc.pixels.processes import DecodingProcesses
from simple_orthanc.session.arguments import whole_number
from simple_orthanc.session.reading.fetching import ObjectFetcher
from simple_orthanc.session.reading.prefetching import WORKERS, Wanted, jobs, scanner_of
from simple_orthanc.session.reading.selected_series import ListedSeries, SelectedInstance, SelectedSeries
from simple_orthanc.session.reading.series_names import Labels, short_names
from simple_orthanc.session.reading.unreadable import is_about_one_object, unreadable_objects
from simple_orthanc.session.reading.volume_reader import VolumeReader, VolumeRequest, free_memory
from simple_orthanc.showing.text import agreeing
from simple_orthanc.volume.choosing import apply_gaps
from simple_orthanc.volume.volume import Volume

if TYPE_CHECKING:
    from simple_orthanc.selection.file_reading import FileReading
    from simple_orthanc.selection.source import Row, Source
    from simple_orthanc.session.reading.verbs import Reading

MOST_BYTES = 1 << 30
"""Bytes of volumes that are read ahead, if a quarter of the free memory is not less."""


def default_memory() -> int:
    """Return how many bytes are read ahead unless the user says."""
    free = free_memory()
    return MOST_BYTES if free is None else min(MOST_BYTES, free // 4)


def checked_memory(memory: object) -> int:
    """Check the argument ``memory``.

    Raises
    ------
    SelectionError
        It is no number of bytes.
    """
    number = whole_number(memory)
    if number is None or number < 0:
        raise SelectionError(f"memory={memory!r} is not valid; give the bytes that may be read ahead, such as 1 << 30.")
    return number


class Found(NamedTuple):
    """A volume, or why there is none.

    Attributes
    ----------
    series : str
        Key of its series.
    name : str
        Of the volume in its series.
    result : Volume or OrthancError
    has_images : bool
        Whether there is anything that could be one.
    """

    series: str
    name: str
    result: Volume | OrthancError
    has_images: bool = True


class VolumeIterator(Iterator[Volume]):
    """The volumes of a selection in order, each read before it is needed.

    `Session.get_volumes_lazily` returns it. What is iterated over stays what was selected when it was made. Its end,
    that of a ``with`` block around it, and the end of the loop over it end what is being read.

    Parameters
    ----------
    session : Session
        Has the selection.
    request : VolumeRequest
        How the volumes are asked for.
    errors : {"raise", "report"}
        Whether a volume that cannot be read is an error.
    memory : int
        Bytes that may be read ahead.

    Attributes
    ----------
    label : str
        Of the volume that came last, as `Session.get_volumes` has it; "" before the first.
    problems : dict
        Label to error, of the volumes that could not be read so far.

    Examples
    --------
    >>> volumes = archive.select(PatientID="EX-006", Modality="CT").get_volumes_lazily(errors="report")
    >>> for label, volume in volumes.items():
    ...     print(f"{label}: {getattr(volume, 'shape', type(volume).__name__)}")
    CT chest with scout - axial 20x96x96: (20, 96, 96)
    CT chest with scout - localizer coronal 1x96x96: (1, 96, 96)
    CT chest - axial 19x96x96: MissingSlicesError
    >>> list(volumes.problems)
    ['CT chest - axial 19x96x96']
    """

    def __init__(self, session: Reading, request: VolumeRequest, errors: str, memory: int) -> None:
        self.label, self.problems = "", dict[str, OrthancError]()
        self._is_raised, self._is_broken = errors == "raise", False
        series = SelectedSeries(session)
        if not series.keys:
            raise session._empty()
        source, names = session._source, short_names(session._index, series.keys)
        self._names, self._labels = names, Labels()
        self._pixelless: list[OrthancError] = []

        def wanted() -> Iterator[Wanted[Found]]:
            for listed in series.listed():
                own = {listed.key: names[listed.key]}
                yield Wanted(listed, partial(_read_series, source, listed, own, request))

        self._ahead = Ahead(jobs(source, wanted(), memory), memory, WORKERS)

    def __next__(self) -> Volume:
        """Return the next volume that can be read."""
        for label, result in self.items():
            if isinstance(result, Volume):
                return result
            if self._is_raised:
                raise result
            warnings.warn(f"{label} cannot be read and is left out: {result}", stacklevel=stacklevel())
        raise StopIteration

    def items(self) -> Iterator[tuple[str, Volume | OrthancError]]:
        """Iterate over label and volume, or label and error where a volume cannot be read.

        With ``errors="raise"`` the error is raised.

        Raises
        ------
        OrthancError
            Nothing can be read any more, or Ctrl-C has ended the reading before, so that volumes would be missing.

        Examples
        --------
        >>> volumes = archive.select(PatientID="EX-003").get_volumes_lazily()
        >>> {label: volume.units for label, volume in volumes.items()}
        {'CT low dose - axial 40x96x96': 'HU', 'PET FDG - axial 40x64x64': 'BQML'}
        """
        while (found := self._next()) is not None:
            series, name, result, has_images = found
            label = self._labels.add(self._prefix(series), name)
            if isinstance(result, OrthancError) and not has_images:
                self._pixelless.append(result)
                continue
            self.label = label
            if isinstance(result, OrthancError):
                self.problems[label] = result
                if self._is_raised:
                    raise result
            yield label, result
        self._end()

    def _next(self) -> Found | None:
        if self._is_broken:
            raise OrthancError(
                "The reading of volumes was ended before, by an error or Ctrl-C, and some were not read. Call "
                "get_volumes_lazily() again."
            )
        try:
            return next(self._ahead, None)
        except BaseException:
            self._is_broken = True
            raise

    def _prefix(self, series: str) -> str:
        return f"{self._names[series][1]} - " if len(self._names) > 1 else ""

    def _end(self) -> None:
        """Report series without images, as `get_volumes` does."""
        pixelless, self._pixelless = self._pixelless, []
        if not pixelless:
            return
        if not self.label:
            raise pixelless[0]
        warnings.warn(
            f"{len(pixelless)} of {len(self._names)} series {agreeing(len(pixelless), 'have')} no images and no "
            "volume: see volume_table().",
            stacklevel=stacklevel(),
        )

    def close(self) -> None:
        """End the reading; nothing comes any more.

        Examples
        --------
        >>> volumes = archive.select(Modality="CT").get_volumes_lazily()
        >>> next(volumes).shape
        (40, 128, 128)
        >>> volumes.close()
        >>> list(volumes)
        []
        """
        self._ahead.close()

    def __enter__(self) -> VolumeIterator:
        """Return the iterator itself, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the reading."""
        self.close()

    def __repr__(self) -> str:
        """Show of how many series there are volumes."""
        return f"<volumes of {len(self._names)} series, read one after the other>"


def _read_series(
    source: Source,
    series: ListedSeries,
    names: Mapping[str, tuple[str, str]],
    request: VolumeRequest,
    files: FileReading,
) -> list[Sized[Found]]:
    """Read the volumes of one series.

    Parameters
    ----------
    source, names, request
        As for `VolumeReader`.
    series : ListedSeries
    files : FileReading
        Reads the files of the instances: files in memory, or the source itself.
    """
    if series.error is not None:
        return [Sized(Found(series.key, "no volume", series.error), 0)]
    instances = series.instances
    reader = VolumeReader(source, instances, names, request)
    found, failure = None, None
    try:
        if files is source:
            first = reader.header(instances[0])
            reader.check_memory(len(instances) * volume_bytes(first, request.units), "The series")
        found = _read_at_once(instances, request, files)
    except OrthancError as error:
        if not is_about_one_object(error):
            raise
        failure = error
    if found is None:
        found = _read_by_label(reader, instances[0].series, failure)
    return [Sized(each, _bytes(each.result)) for each in found]


def _bytes(result: Volume | OrthancError) -> int:
    if not isinstance(result, Volume):
        return 0
    return result.array.nbytes + (0 if result.padding_mask is None else result.padding_mask.nbytes)


def _read_at_once(
    instances: Sequence[SelectedInstance], request: VolumeRequest, files: FileReading
) -> list[Found] | None:
    """Fetch each object once, before it is known which volumes they make; None if any of them cannot be read.

    `_read_by_label` tells what is wrong with which of the volumes.
    """
    keys, uids = [instance.key for instance in instances], [instance.uid for instance in instances]
    with DecodingProcesses(len(instances)) as processes:
        fetcher = ObjectFetcher(files, keys, uids, request.units, processes, scanner_of(files))
        builder = fetcher.read(range(len(instances)))
        if unreadable_objects(fetcher.headers):
            return None
        found = []
        for stack in apply_gaps(request.plan(fetcher.headers), request.gaps):
            result: Volume | OrthancError | None = stack.problem
            if result is None:
                # Each takes its slices from what was read.
                result = copy.copy(builder).finish(stack, fetcher.again, request.gaps)
            found.append(Found(instances[0].series, stack.label, result))
        return found


def _read_by_label(reader: VolumeReader, series: str, failure: OrthancError | None) -> list[Found]:
    """Plan the volumes from headers, and read one after the other.

    Where they cannot be planned, what failed before is the error, as it is that of `Session.get_volume`.
    """
    found = []
    for label, group in reader.planned().items():
        result: Volume | OrthancError
        has_images = not isinstance(group.problem, NoPixelDataError)
        try:
            result = reader.labelled(label)
        except OrthancError as error:
            if not is_about_one_object(error):
                raise
            result = failure if failure is not None and group.stack is None and has_images else error
        found.append(Found(series, group.name, result, has_images))
    return found


def read_labelled(
    source: Source, reader: VolumeReader, labels: Sequence[str], row_of: Callable[[str], Row]
) -> Iterator[Volume]:
    """Read volumes that are planned, the next ones while one is used.

    Parameters
    ----------
    source : Source
    reader : VolumeReader
        Has planned them.
    labels : sequence of str
    row_of : callable
        Called with the key of a series; returns its row.

    Raises
    ------
    OrthancError
        One of them cannot be read.
    """
    planned = reader.planned()

    def wanted() -> Iterator[Wanted[Volume | OrthancError]]:
        for label in labels:
            group = planned[label]
            planes = () if group.stack is None else group.stack.planes
            needed = sorted({plane.instance for plane in planes})
            instances = tuple(group.instances[index] for index in needed)
            row = row_of(group.series)
            is_whole = set(row.children) == {instance.key for instance in instances}
            series = ListedSeries(group.series, instances, row if is_whole else None, partial(len, planes))
            yield Wanted(series, partial(_read_label, reader, label))

    memory = default_memory()
    with Ahead(jobs(source, wanted(), memory), memory, WORKERS) as results:
        for result in results:
            if isinstance(result, OrthancError):
                raise result
            yield result


def _read_label(reader: VolumeReader, label: str, files: FileReading) -> list[Sized[Volume | OrthancError]]:
    result: Volume | OrthancError
    try:
        result = reader.with_files(files).labelled(label)
    except OrthancError as error:
        if not is_about_one_object(error):
            raise
        result = error
    return [Sized(result, _bytes(result))]
