"""What a thousand small series take, one after the other, against the bare bytes of their files.

``python -m benchmarks.small_series`` fills each version of Orthanc on this machine with 1,000 series of 10 slices of
64 x 64, and computes the mean of each series: in a loop over ``get_volumes_lazily()``, in a loop over
``session.series``, and with ``map``. The floor reads the same files over 4 kept connections and forgets them. The
processor time is that of this process alone, without the server's.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.images import CT_HEADER
from benchmarks.jobs import FLOOR, OURS, Job
from benchmarks.relay import Relay
from benchmarks.servers import Recipe, installed
from benchmarks.timing import ROUNDS, Contestant, Timing, interleaved
from benchmarks.wire import Wire, read_files, store
from simple_orthanc import Orthanc
from simple_orthanc.phantom import as_bytes, make_series

SERIES, SHAPE = 1000, (10, 64, 64)
_IN_ONE_ZIP = 50
_SERIES_OF_STUDY, _SERIES_OF_PATIENT = 2, 4


def make(series: int) -> tuple[list[bytes], float]:
    """Make the archive as zips, and the sum of the means of its series."""
    rng = np.random.default_rng(1)
    zips, total = [], 0.0
    for start in range(0, series, _IN_ONE_ZIP):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for number in range(start, min(start + _IN_ONE_ZIP, series)):
                stored = rng.integers(0, 4096, SHAPE, np.uint16)
                total += float((stored.astype(np.int16) - 1024).mean())
                datasets = make_series(
                    array=stored,
                    bits_stored=12,
                    intercept=-1024,
                    spacing=(5.0, 2.0, 2.0),
                    seed=1000 + number,
                    PatientID=f"SMALL-{number // _SERIES_OF_PATIENT:04d}",
                    PatientName=f"Bench^Small^{number // _SERIES_OF_PATIENT:04d}",
                    StudyInstanceUID=f"1.2.826.0.1.3680043.8.498.7.{1 + number // _SERIES_OF_STUDY}",
                    SeriesNumber=1 + number % _SERIES_OF_STUDY,
                    SeriesDescription="small",
                    **CT_HEADER,
                )
                for index, dataset in enumerate(datasets):
                    archive.writestr(f"{number}-{index}.dcm", as_bytes(dataset))
        zips.append(content.getvalue())
    return zips, total


def lazily(url: str) -> float:
    """Sum the means in a loop over the volumes."""
    with Orthanc(url) as orthanc:
        return sum(float(volume.array.mean()) for volume in orthanc.get_volumes_lazily())


def by_series(url: str) -> float:
    """Sum the means in a loop over child sessions."""
    with Orthanc(url) as orthanc:
        return sum(float(series.get_volume().array.mean()) for series in orthanc.series)


def mean(series: Orthanc) -> float:
    """Return the mean of a series."""
    return float(series.get_volume().array.mean())


def mapped(url: str, scheduler: str = "threads") -> float:
    """Sum the means of a map."""
    with Orthanc(url) as orthanc:
        return float(orthanc.map(mean, scheduler=scheduler)["result"].sum())


def measure(url: str, total: float, rounds: int) -> Job:
    """Time the ways against the floor, and count requests and the processor time of this process."""
    with Wire(url) as wire:
        instances = [key for series in wire.json("/series?expand") for key in series["Instances"]]
    processor: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any], is_right: Callable[[Any], bool] | None = None) -> Contestant:
        def run() -> Any:
            before = time.process_time()
            result = work()
            processor.setdefault(name, []).append(time.process_time() - before)
            return result

        return Contestant(run, is_right)

    def is_sum(found: float) -> bool:
        return abs(found - total) < 1e-6 * abs(total)

    ways = {OURS: lazily, "loop over session.series": by_series, "map": mapped}
    contestants = {name: timed(name, lambda way=way: way(url), is_sum) for name, way in ways.items()}  # type: ignore[misc]
    contestants[FLOOR] = timed(FLOOR, lambda: read_files(url, instances))
    timings: dict[str, Timing] = interleaved(contestants, rounds)
    job = Job("small series", f"{len(instances) // SHAPE[0]:,} series of {SHAPE[0]} slices", timings)
    for name, seconds in processor.items():
        job.figures[f"processor seconds, {name}"] = min(seconds)
    with Relay(url) as relay:
        lazily(relay.url)
    job.figures["requests"] = relay.requests
    job.figures["share of the bytes"] = relay.received / sum(_sizes(url))
    return job


def _sizes(url: str) -> list[int]:
    with Wire(url) as wire:
        return [int(instance["FileSize"]) for instance in wire.json("/instances?expand")]


def run(recipes: Sequence[Recipe], series: int, rounds: int, target: Path | None) -> None:
    """Measure each version, and print a table for each."""
    content: dict[str, Any] = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    content |= {"series": series, **report.environment(), "orthanc": {}}
    zips, total = make(series)
    for recipe in recipes:
        with tempfile.TemporaryDirectory(prefix="simple-orthanc-bench-", dir="/tmp") as folder:
            with recipe.server(Path(folder), SyncStorageArea=False, StableAge=3600, Plugins=[]) as server:
                store(server.url, zips)
            with recipe.server(Path(folder)) as server:
                job = measure(server.url, total, rounds)
        print(f"## Orthanc {recipe.version}\n\n{report.table([job])}\n", flush=True)
        content["orthanc"][recipe.version] = report.job_as_dict(job)
    if target is not None:
        report.write(target, content)


def main(words: Sequence[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_series", description=__doc__)
    parser.add_argument("--series", type=int, default=SERIES, help="how many series")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each way is run")
    parser.add_argument("--only", nargs="*", metavar="VERSION", help="only these versions of Orthanc, such as 1.12")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the JSON of the run goes")
    arguments = parser.parse_args(words)
    recipes, complaints = installed()
    for complaint in complaints:
        print(f"Not measured: {complaint}")
    chosen = [each for each in recipes if not arguments.only or each.version.startswith(tuple(arguments.only))]
    run(chosen, arguments.series, arguments.rounds, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
