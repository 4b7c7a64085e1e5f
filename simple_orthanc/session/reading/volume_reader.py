"""From selected instances to volumes: fetch, plan and assemble."""

from __future__ import annotations

import copy
import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.errors import (
    DuplicateSlicesError,
    InconsistentSlicesError,
    MissingSlicesError,
    NoPixelDataError,
    OrthancError,
    SuvError,
    VolumeError,
    stacklevel,
)
from simple_orthanc.pixels.conversion import volume_bytes
from simple_orthanc.pixels.processes import DecodingProcesses
from simple_orthanc.pixels.rescale import check_units
from simple_orthanc.pixels.suv import SUV_KINDS
from simple_orthanc.selection.file_reading import FileReading
from simple_orthanc.selection.source import Revision, Source
from simple_orthanc.session.reading.fetching import ObjectFetcher
from simple_orthanc.session.reading.kept_plans import KeptPlans
from simple_orthanc.session.reading.prefetching import read_in_turn, scanner_of
from simple_orthanc.session.reading.selected_series import SelectedInstance
from simple_orthanc.session.reading.series_names import Labels
from simple_orthanc.session.reading.unreadable import (
    check_errors,
    is_about_one_object,
    reason_of,
    unreadable_error,
    unreadable_objects,
    warn_left_out,
    with_way_out,
)
from simple_orthanc.showing.table import MOST_ROWS, Table
from simple_orthanc.showing.text import agreeing, counted
from simple_orthanc.volume.assembly import array_bytes, part_of
from simple_orthanc.volume.choosing import (
    Stack,
    apply_gaps,
    check_gaps,
    check_options,
    choose_volume,
    middle_slice,
    plan_stacks,
    summarize,
)
from simple_orthanc.volume.planes import check_no_tiles, read_planes
from simple_orthanc.volume.slice_parts import objects_of
from simple_orthanc.volume.stacking import check_spacing
from simple_orthanc.volume.volume import Volume

if TYPE_CHECKING:
    import pandas as pd
    import xarray

# The second reading is of what the first turns out to lack; more are needed only where objects are replaced meanwhile.
_MOST_READINGS = 3
# So few objects may each be as large as a volume. Their memory is checked by a header, of more by the first that is
# fetched, since over a slow link one more answer is waited for.
_FEW = 2
# What objects that can each be read have wrong between them.
_BETWEEN_OBJECTS = (InconsistentSlicesError, MissingSlicesError, DuplicateSlicesError, SuvError)


Group: TypeAlias = Sequence[SelectedInstance]


@dataclass(frozen=True)
class Labelled:
    """A group of images that can be read as a volume, regular or not; or a series without any such group."""

    series: str
    instances: tuple[SelectedInstance, ...]
    stack: Stack | None
    problem: VolumeError | None
    # Of the array that it becomes.
    bytes: int = 0

    @property
    def name(self) -> str:
        """Its name in the series."""
        if self.stack is not None:
            return self.stack.label
        return "no images" if isinstance(self.problem, NoPixelDataError) else "no volume"


@dataclass(frozen=True)
class VolumeRequest:
    """How volumes are asked for: the arguments of `Session.get_volume`.

    Raises
    ------
    VolumeError
        An argument has no meaning; the message lists those that have.
    """

    units: str = "modality"
    gaps: str = "raise"
    dims: str | None = None
    spacing: float | None = None
    across_series: bool = False
    errors: str = "raise"
    # Before Python 3.12 a slice has no hash.
    slices: slice | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_errors(self.errors, VolumeError)
        check_units(self.units, SUV_KINDS)
        check_spacing(self.spacing)
        check_gaps(self.gaps)

    def plan(self, headers: Sequence[Dataset]) -> list[Stack]:
        """Plan the volumes of some objects."""
        return plan_stacks(headers, self.spacing, self.across_series)


class VolumeReader:
    """Reads the selected instances as volumes.

    Parameters
    ----------
    source : Source
        The archive.
    instances : sequence of SelectedInstance
        The selected instances.
    names : mapping
        Key of a series to its SeriesInstanceUID, and to its name in labels.
    request : VolumeRequest
        How the volumes are asked for.
    plans : KeptPlans, optional
        What was planned for the selection before.
    files : FileReading, optional
        Has the files of the instances in memory.
    """

    def __init__(
        self,
        source: Source,
        instances: Sequence[SelectedInstance],
        names: Mapping[str, tuple[str, str]],
        request: VolumeRequest,
        plans: KeptPlans | None = None,
        files: FileReading | None = None,
    ) -> None:
        self._source, self._names, self._request = source, dict(names), request
        self._files: FileReading = source if files is None else files
        self._instances = list(instances)
        self._plans = KeptPlans() if plans is None else plans
        self._planned: dict[str, Labelled] | None = None

    def volume(self) -> Volume:
        """Read all instances as one volume, or the slices of it that are wanted.

        Everything is fetched once: what is read decides whether it was one volume.
        """
        request = self._request
        check_options(request.gaps, request.dims)
        if request.slices is not None and request.errors == "report":
            # Which files can be read, and so how the slices are numbered, shows only when all of them are.
            whole = replace(request, slices=None)
            reader = VolumeReader(self._source, self._instances, self._names, whole, self._plans)
            return part_of(reader.volume(), request.slices)
        if self._files is not self._source:
            with suppress(OrthancError):
                return read_in_turn(self._files, partial(self._volume, self._instances))
            # The source tells what is wrong.
            self._files = self._source
        return self._without_unreadable(self._instances, self._volume)

    def on_demand(self, revision: Revision | None) -> xarray.DataArray:
        """Return all instances, which were listed after a revision, as one volume whose slices are read on demand."""
        from simple_orthanc.session.reading.on_demand import read_on_demand

        check_options(self._request.gaps, self._request.dims)
        return read_on_demand(self._source, self._instances, self._request, self._plans, revision)

    def _volume(self, group: Group) -> Volume:
        request, keys = self._request, [instance.key for instance in group]
        # What is left of a run between holes is one volume, or has holes of its own.
        gaps = "raise" if request.gaps == "split" else request.gaps
        known = self._plans.known(keys, request)
        # What is no volume need not be fetched to be refused.
        chosen = None if known is None else choose_volume(known, dims=request.dims, gaps=gaps)
        read, unread = self._expected(group, chosen), set(range(len(group)))
        is_in_memory = self._files is not self._source
        is_checked_first = not is_in_memory and (len(read) <= _FEW or len(read) < len(group))
        first = self.header(group[0]) if is_checked_first else None
        with DecodingProcesses(len(group)) as processes:
            fetcher = self._fetcher(group, processes)
            for _ in range(_MOST_READINGS):
                check = partial(self._check_objects, len(read))
                if first is not None:
                    check(first)
                builder = fetcher.read(read, None if is_checked_first or is_in_memory else check)
                fetcher.read_headers(sorted(unread.difference(read)))
                unread.clear()
                if reasons := unreadable_objects(fetcher.headers):
                    raise unreadable_error({group[index].name: why for index, why in reasons.items()}, len(group))
                chosen = choose_volume(self._plans.plan(keys, fetcher.headers, request), request.dims, gaps)
                wanted = objects_of(chosen, request.slices)
                if set(wanted) <= set(read):
                    return builder.finish(chosen, fetcher.again, gaps, request.slices)
                read = wanted
        raise VolumeError("Images were replaced in the archive while their volume was read. Read it again.")

    def _expected(self, group: Group, chosen: Sequence[Stack] | None) -> Sequence[int]:
        """Return the indexes of the objects that are probably wanted; what is planned of them decides."""
        everything, slices = range(len(group)), self._request.slices
        if slices is None or len(group) == 1:
            return everything
        if chosen is not None:
            return objects_of(chosen, slices)
        # In the usual order there is one object for each slice.
        return sorted(everything[slices]) if self._request.dims is None else ()

    def _fetcher(self, group: Group, processes: DecodingProcesses) -> ObjectFetcher:
        keys, uids = [instance.key for instance in group], [instance.uid for instance in group]
        return ObjectFetcher(self._files, keys, uids, self._request.units, processes, scanner_of(self._files))

    def _without_unreadable(self, group: Group, read: Callable[[Group], Volume]) -> Volume:
        """Read a volume; with ``errors="report"``, once more without the objects that cannot be read."""
        try:
            return read(group)
        except OrthancError as error:
            if self._request.errors == "raise" or isinstance(error, _BETWEEN_OBJECTS) or not is_about_one_object(error):
                raise
            reasons = self._unreadable(group)
            if not reasons or len(reasons) == len(group):
                raise
        warn_left_out({group[index].name: reason for index, reason in reasons.items()}, len(group))
        return read([instance for index, instance in enumerate(group) if index not in reasons])

    def _unreadable(self, group: Group) -> dict[int, str]:
        """Try each object alone, and return the index and the reason of those that cannot be read."""
        with DecodingProcesses(len(group)) as processes:
            fetcher = self._fetcher(group, processes)
            workers = self._source.at_once([instance.key for instance in group])
            tried = run_all(fetcher.try_reading, range(len(group)), workers=workers, label="finding unreadable images")
        reasons = {index: reason for index, reason in enumerate(tried) if reason is not None}
        return {**unreadable_objects(fetcher.headers), **reasons}

    def _check_objects(self, count: int, first: Dataset) -> None:
        check_no_tiles(first)
        needed = count * volume_bytes(first, self._request.units)
        self.check_memory(needed, f"{counted(count, 'instance')} like the first")

    def check_memory(self, needed: int, what: str) -> None:
        """Refuse what cannot fit, before it is downloaded."""
        free = free_memory()
        if free is not None and needed > free:
            raise VolumeError(
                f"{what} would need {needed / 1e9:,.1f} GB as an array, and {free / 1e9:,.1f} GB of memory are free. "
                "Select fewer, or read the volumes of get_volumes() one by one."
            )

    def labels(self) -> list[str]:
        """Name every volume, from headers alone."""
        planned = self._plan()
        pixelless = [group for group in planned.values() if isinstance(group.problem, NoPixelDataError)]
        if pixelless and len(pixelless) == len(planned):
            assert pixelless[0].problem is not None
            raise pixelless[0].problem
        if pixelless:
            warnings.warn(
                f"{len(pixelless)} of {len(self._names)} series {agreeing(len(pixelless), 'have')} no images and no "
                "volume: see volume_table().",
                stacklevel=stacklevel(),
            )
        return [label for label, group in planned.items() if group not in pixelless]

    def _plan(self) -> dict[str, Labelled]:
        if self._planned is not None:
            return self._planned
        by_series: dict[str, list[SelectedInstance]] = {}
        for instance in self._instances:
            by_series.setdefault(instance.series, []).append(instance)
        # Complete or not at all: it may be kept after Ctrl-C.
        planned: dict[str, Labelled] = {}
        labels = Labels()
        for series, instances in by_series.items():
            prefix = f"{self._names[series][1]} - " if len(by_series) > 1 else ""
            for group in self._groups(series, instances):
                planned[labels.add(prefix, group.name)] = group
        self._planned = planned
        return planned

    def planned(self) -> Mapping[str, Labelled]:
        """Return the groups of images by their label, from headers alone."""
        return self._plan()

    def header_of(self, group: Labelled) -> Dataset:
        """Read the header of the first image of a group."""
        assert group.stack is not None
        return self._source.header(group.instances[group.stack.planes[0].instance].key)

    def _groups(self, series: str, instances: Group) -> list[Labelled]:
        """Plan one series; a series that cannot be planned does not keep the others from being read."""
        try:
            readable, headers = self._headers(instances)
            planned = apply_gaps(
                self._plans.plan([item.key for item in readable], headers, self._request), self._request.gaps
            )
        except VolumeError as error:
            return [Labelled(series, tuple(instances), None, error)]
        return [
            Labelled(series, tuple(readable), stack, stack.problem, array_bytes(stack, headers, self._request.units))
            for stack in planned
        ]

    def _headers(self, instances: Group) -> tuple[list[SelectedInstance], list[Dataset]]:
        """Read the headers of a series.

        Raises
        ------
        VolumeError
            Some objects cannot be read, and were not to be left out.
        """
        keys = [instance.key for instance in instances]
        workers = self._source.at_once(keys, headers=True)
        headers = run_all(self._try_header, keys, workers=workers, label="reading headers")
        reasons = {index: reason_of(header) for index, header in enumerate(headers) if isinstance(header, OrthancError)}
        whole = [Dataset() if isinstance(header, OrthancError) else header for header in headers]
        reasons = {**unreadable_objects(whole), **reasons}
        if not reasons:
            return list(instances), whole
        named = {instances[index].name: reason for index, reason in reasons.items()}
        if self._request.errors == "raise" or len(reasons) == len(instances):
            raise unreadable_error(named, len(instances))
        warn_left_out(named, len(instances))
        kept = [index for index in range(len(instances)) if index not in reasons]
        return [instances[index] for index in kept], [whole[index] for index in kept]

    def _try_header(self, key: str) -> Dataset | OrthancError:
        try:
            return self._source.header(key)
        except OrthancError as error:
            if not is_about_one_object(error):
                raise
            return error

    def header(self, instance: SelectedInstance) -> Dataset:
        """Read the header of an instance.

        Raises
        ------
        OrthancError
            It cannot be read; the message names the calls that read the others.
        """
        try:
            return self._source.header(instance.key)
        except OrthancError as error:
            raise with_way_out(error, instance.uid, "get_volume") from None

    def with_files(self, files: FileReading) -> VolumeReader:
        """Return a reader of what is planned here that takes files from elsewhere."""
        reader = copy.copy(self)
        reader._files = files
        return reader

    def labelled(self, label: str) -> Volume:
        """Read one volume by its label."""
        group = self._plan()[label]
        if group.problem is not None:
            raise group.problem
        stack = group.stack
        assert stack is not None
        needed = sorted({plane.instance for plane in stack.planes})

        def read(instances: Group) -> Volume:
            if len(instances) < len(needed):
                # Without the unreadable ones it is another stack.
                return self._volume(instances)
            return self._planned_volume(label, group, stack, needed)

        return self._without_unreadable([group.instances[index] for index in needed], read)

    def checksum(self, group: Group) -> str | None:
        """Return a checksum of the files of some instances, or None if the source does not know that of each."""
        files = run_all(lambda instance: self._source.stored_file(instance.key), group, label="comparing")
        known = [file.md5 for file in files if file.md5 is not None]
        return hashlib.sha256("".join(known).encode()).hexdigest() if len(known) == len(group) else None

    def stacked(self, label: str, axis: str) -> Volume:
        """Read the series that a label belongs to as one volume along an axis."""
        request = replace(self._request, dims=axis)
        instances = self._plan()[label].instances
        return VolumeReader(self._source, instances, self._names, request, self._plans).volume()

    def _planned_volume(self, label: str, group: Labelled, stack: Stack, needed: Sequence[int]) -> Volume:
        self.check_memory(group.bytes, f"The volume {label!r}")
        with DecodingProcesses(len(needed)) as processes:
            fetcher = self._fetcher(group.instances, processes)
            builder = fetcher.read(needed)
            try:
                _check_planned(stack, fetcher.headers, self._request.spacing)
            except VolumeError:
                self._plans.forget()
                raise
            return builder.finish(stack, fetcher.again, self._request.gaps)

    def shown(self, labels: Sequence[str]) -> Table:
        """Return a table of the first of some volumes that are planned already, without a request."""
        planned = self._planned or {}
        rows = [(label, *_shown_cells(planned[label])) for label in labels[:MOST_ROWS] if label in planned]
        title = f"{counted(len(labels), 'volume')} by label, each read when it is looked up"
        names = ["label", "size (slice, row, column)", "spacing in mm", "problem"]
        # Nearly always there is no problem.
        most = len(names) if any(row[-1] for row in rows) else len(names) - 1
        return Table(title, names[:most], [row[:most] for row in rows], len(labels) - len(rows))

    def report(self) -> tuple[pd.DataFrame, list[str]]:
        """Describe every volume from headers alone: a table with one row each, and the keys of their series."""
        import pandas as pd

        rows, series = [], []
        for label, group in self._plan().items():
            row: dict[str, Any] = {"SeriesInstanceUID": self._names[group.series][0], "label": label}
            if group.stack is None:
                row |= {"slices": 0, "regular": False, "reason": str(group.problem)}
            else:
                row |= {**summarize(group.stack), "label": label}
            rows.append({**row, "bytes": group.bytes})
            series.append(group.series)
        names = ["SeriesInstanceUID", "label", "slices", "rows", "columns", "spacing", "regular", "reason", "bytes"]
        table: pd.DataFrame = pd.DataFrame(rows, columns=[*names, "contradiction"])
        return table.astype(dict.fromkeys(("slices", "rows", "columns", "bytes"), "Int64")), series


def _shown_cells(group: Labelled) -> tuple[str, str, str]:
    """Return size, spacing and problem of a planned volume."""
    problem = "" if group.problem is None else str(group.problem)
    if group.stack is None:
        return "", "", problem
    summary = summarize(group.stack)
    size = " x ".join(str(summary[name]) for name in ("slices", "rows", "columns"))
    spacing = summary["spacing"]
    return size, "" if spacing is None else " x ".join(f"{value:.4g}" for value in spacing), problem


def read_middle_slice(source: Source, key: str, processes: DecodingProcesses) -> tuple[Volume, str]:
    """Read one object, and return its middle slice, and which one that is of how many.

    Where an object holds several volumes, it is that of the first.

    Parameters
    ----------
    source : Source
    key : str
        Of the object.
    processes : DecodingProcesses
        Decode compressed pixels.
    """
    fetcher = ObjectFetcher(source, [key], [None], "modality", processes)
    builder = fetcher.read([0])
    stacks = plan_stacks(fetcher.headers)
    frames = len(stacks[0].planes)
    places = [f"frame {frames // 2 + 1} of {frames}"] if frames > 1 else []
    places += [f"volume 1 of {len(stacks)}"] if len(stacks) > 1 else []
    return builder.finish(middle_slice(stacks[0]), fetcher.again), ", ".join(places)


def _check_planned(stack: Stack, headers: Sequence[Dataset], spacing: float | None) -> None:
    """Refuse objects that have changed since they were planned."""
    now = {(plane.instance, plane.frame_index): plane for plane in read_planes(headers, spacing)}
    for plane in stack.planes:
        if now.get((plane.instance, plane.frame_index)) != plane:
            raise VolumeError(
                f"The volume {stack.label!r} was requested, but {plane} was replaced in the archive after the volumes "
                "were named. Call get_volumes() again."
            )


def free_memory() -> int | None:
    """Return the bytes of memory that are available without swapping; None where the system does not report them."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return None
