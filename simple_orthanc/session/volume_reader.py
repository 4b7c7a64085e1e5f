"""From selected instances to volumes: fetches, plans and assembles."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.errors import NoPixelDataError, VolumeError, stacklevel
from simple_orthanc.pixels.conversion import volume_bytes
from simple_orthanc.pixels.processes import DecodingProcesses
from simple_orthanc.pixels.rescale import check_units
from simple_orthanc.pixels.suv import SUV_KINDS
from simple_orthanc.selection.source import Source
from simple_orthanc.session.fetching import ObjectFetcher
from simple_orthanc.volume import choosing as stacks
from simple_orthanc.volume.choosing import Stack
from simple_orthanc.volume.planes import read_planes
from simple_orthanc.volume.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

Units: TypeAlias = str


@dataclass(frozen=True)
class Labelled:
    """One group of images that can be read as a volume, regular or not; or a series of which no group can be made."""

    series: str
    keys: tuple[str, ...]
    stack: Stack | None
    problem: VolumeError | None


class VolumeReader:
    """Reads the selected instances as volumes.

    Parameters
    ----------
    source : Source
        Where from.
    keys, series : sequence of str
        Keys of the selected instances, and of the series of each.
    names : mapping
        Key of series to its SeriesInstanceUID, and to its name in labels.
    """

    def __init__(
        self, source: Source, keys: Sequence[str], series: Sequence[str], names: Mapping[str, tuple[str, str]]
    ) -> None:
        self._source, self._names = source, dict(names)
        self._keys: dict[str, list[str]] = {}
        for key, owner in zip(keys, series, strict=True):
            self._keys.setdefault(owner, []).append(key)
        self._planned: dict[str, Labelled] | None = None

    def volume(self, units: Units, gaps: str, dims: str | None) -> Volume:
        """Read all instances, which are of one series, as one volume.

        Everything is fetched once: what is read decides whether it was one volume.
        """
        (keys,) = self._keys.values()
        check_units(units, SUV_KINDS)
        stacks.check_options(gaps, dims)
        first = self._source.header(keys[0])
        self._check_memory(len(keys) * volume_bytes(first, units), f"{len(keys)} instances like the first")
        with DecodingProcesses(len(keys)) as processes:
            reading = ObjectFetcher(self._source, keys, units, processes)
            builder = reading.read(range(len(keys)))
            chosen = stacks.choose_volume(stacks.plan_stacks(reading.headers), dims=dims, gaps=gaps)
            return builder.finish(chosen, reading.again, gaps)

    def _check_memory(self, needed: int, what: str) -> None:
        """Refuse what cannot fit, before it is downloaded."""
        free = _free_memory()
        if free is not None and needed > free:
            raise VolumeError(
                f"{what} would need {needed / 1e9:,.1f} GB as an array, and {free / 1e9:,.1f} GB of memory are free. "
                "Select fewer, or read the volumes of get_volumes() one by one."
            )

    def labels(self, units: Units, gaps: str) -> list[str]:
        """Name every volume, from headers alone."""
        check_units(units, SUV_KINDS)
        planned = self._plan(gaps)
        pixelless = [found for found in planned.values() if isinstance(found.problem, NoPixelDataError)]
        if pixelless and len(pixelless) == len(planned):
            assert pixelless[0].problem is not None
            raise pixelless[0].problem
        if pixelless:
            warnings.warn(
                f"{len(pixelless)} of {len(self._keys)} series hold no images and give no volume: see volume_table().",
                stacklevel=stacklevel(),
            )
        return [label for label, found in planned.items() if found not in pixelless]

    def _plan(self, gaps: str) -> dict[str, Labelled]:
        if self._planned is None:
            self._planned = {}
            for series, keys in self._keys.items():
                prefix = f"{self._names[series][1]}: " if len(self._keys) > 1 else ""
                for name, stack, problem in self._groups(keys, gaps):
                    label, number = prefix + name, 1
                    while label in self._planned:
                        number += 1
                        label = f"{prefix}{name} ({number})"
                    self._planned[label] = Labelled(series, tuple(keys), stack, problem)
        return self._planned

    def _groups(self, keys: Sequence[str], gaps: str) -> list[tuple[str, Stack | None, VolumeError | None]]:
        """Plan one series; what makes a plan of it impossible must not keep the others from being read."""
        headers = run_all(self._source.header, keys, label="reading headers")
        try:
            planned = stacks.apply_gaps(stacks.plan_stacks(headers), gaps)
        except NoPixelDataError as error:
            return [("no images", None, error)]
        except VolumeError as error:
            return [("no volume", None, error)]
        return [(stack.label, stack, stack.problem) for stack in planned]

    def labelled(self, label: str, units: Units, gaps: str) -> Volume:
        """Read one volume by its label."""
        found = self._plan(gaps)[label]
        if found.problem is not None:
            raise found.problem
        assert found.stack is not None
        needed = sorted({plane.instance for plane in found.stack.planes})
        first = found.stack.planes[0]
        of_object = volume_bytes(self._source.header(found.keys[first.instance]), units)
        self._check_memory(of_object // first.number_of_frames * found.stack.slices, f"The volume {label!r}")
        with DecodingProcesses(len(needed)) as processes:
            reading = ObjectFetcher(self._source, found.keys, units, processes)
            builder = reading.read(needed)
            _check_planned(found.stack, reading.headers)
            return builder.finish(found.stack, reading.again, gaps)

    def report(self) -> pd.DataFrame:
        """Describe every volume: one row each, from headers alone."""
        import pandas as pd

        rows = []
        for label, found in self._plan("raise").items():
            row: dict[str, Any] = {"SeriesInstanceUID": self._names[found.series][0], "label": label}
            if found.stack is None:
                row |= {"slices": 0, "regular": False, "reason": str(found.problem), "bytes": 0}
            else:
                row |= {**stacks.summarize(found.stack), "label": label}
            rows.append(row)
        names = ["SeriesInstanceUID", "label", "slices", "rows", "columns", "spacing", "regular", "reason", "bytes"]
        table: pd.DataFrame = pd.DataFrame(rows, columns=names)
        return table.astype(dict.fromkeys(("slices", "rows", "columns", "bytes"), "Int64"))


def _check_planned(stack: Stack, headers: Sequence[Dataset]) -> None:
    """Refuse objects that are not any more what their place was planned from."""
    now = {(plane.instance, plane.frame_index): plane for plane in read_planes(headers)}
    for plane in stack.planes:
        if now.get((plane.instance, plane.frame_index)) != plane:
            raise VolumeError(
                f"The volume {stack.label!r} was asked, but {plane} was replaced in the archive after the volumes were "
                "named. Call get_volumes() again."
            )


def _free_memory() -> int | None:
    """Bytes of memory that can be had without swapping; None where the system does not say."""
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
