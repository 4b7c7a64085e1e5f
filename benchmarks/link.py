"""What a slow link costs: ``python -m benchmarks.link`` reads through one of 100 Mbit/s with a round trip of 20 ms.

Three jobs on each version of Orthanc, each on a fresh session: one CT volume in one line, a hundred small series one
after the other, and the descriptions of all series. Each is compared with what the link needs for the bytes that it
brought, and one round trip; with the same bytes fetched by `http.client` over the same link; and with the job without
the link, which shows how much of the time the server and this library take themselves.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report, session
from benchmarks.archive import Archive
from benchmarks.images import Images, digest, make_ct
from benchmarks.jobs import FLOOR, OURS, Job, bare_request
from benchmarks.servers import Recipe, fill, installed, workshop
from benchmarks.throttle import RATE, ROUND_TRIP, Figures, Link
from benchmarks.timing import Contestant, interleaved
from benchmarks.wire import Wire, file_path
from benchmarks.workload import QUICK, Size, make_cohort
from simple_orthanc import Orthanc

AT_MOST = 1.15
"""How much longer than the link needs for its bytes a job may take."""

LINK = "the link"
UNPACKED = "the link, had nothing been packed"
_NEARBY = "ours without the link"


def read_cohort(url: str) -> list[str]:
    """Read every small series in a loop, and return the digests of their values."""
    with Orthanc(url) as orthanc:
        orthanc.select(SeriesDescription="cohort_*")
        return [_of_values(digest(volume.array)) for volume in orthanc.get_volumes_lazily()]


def _of_values(shape_and_values: str) -> str:
    """Return the digest of values alone: a series with one time is made with four dimensions, and read with three."""
    return shape_and_values.rpartition(" ")[2]


def read_many(url: str, instances: Sequence[str], connections: int) -> int:
    """Read DICOM files over so many kept connections, and forget them."""
    with Wire(url) as wire:
        return sum(wire.each(lambda key: len(wire.ask("GET", file_path(key))), instances, connections))


@dataclass(frozen=True)
class _Task:
    name: str
    title: str
    ours: Callable[[str], Any]
    is_right: Callable[[Any], bool]
    bare: Callable[[str], Any]
    unpacked: Callable[[str], int] | None = None


def unpacked_bytes(url: str) -> int:
    """Return the bytes of the rows of all studies and series where they are not packed."""
    with Wire(url) as wire:
        return sum(len(wire.ask("GET", f"/{level}?expand&short")) for level in ("studies", "series"))


def tasks(volume: Images, cohort: Sequence[Images], series: int) -> Iterator[_Task]:
    """Yield what is timed."""
    shape = " x ".join(map(str, volume.shape))
    yield _Task(
        "volume over a link",
        f"one-line volume, {shape}",
        lambda url: session.volume(url, volume),
        lambda array: digest(array) == volume.digest,
        lambda url: read_many(url, volume.instances, 6),
    )
    files = [key for images in cohort for key in images.instances]
    shape = " x ".join(map(str, cohort[0].shape[-3:]))
    yield _Task(
        "cohort over a link",
        f"{len(cohort)} series of {shape} in a loop",
        read_cohort,
        lambda found: sorted(found) == sorted(_of_values(images.digest) for images in cohort),
        lambda url: read_many(url, files, 24),
    )
    yield _Task(
        "column over a link",
        f"descriptions of {series:,} series",
        session.column,
        lambda found: len(set(found)) > 1,
        lambda url: len(bare_request(url)),
        unpacked_bytes,
    )


def measure(task: _Task, url: str, rounds: int) -> Job:
    """Time a task through a link and without it."""
    with Link(url) as link:
        needed: list[Figures] = []

        def ours() -> Any:
            before = link.figures()
            result = task.ours(link.url)
            needed.append(link.figures().since(before))
            return result

        contestants = {
            OURS: Contestant(ours, task.is_right),
            FLOOR: Contestant(lambda: task.bare(link.url), note="http.client over the link"),
            _NEARBY: Contestant(lambda: task.ours(url)),
        }
        job = Job(task.name, task.title, interleaved(contestants, rounds))
        if needed and job.timings[OURS].seconds:
            seconds = [link.seconds_for(figures) for figures in needed]
            ratios = [taken / least for taken, least in zip(job.timings[OURS].seconds, seconds, strict=False)]
            job.figures = {
                LINK: statistics.median(ratios),
                "seconds that the link needs": statistics.median(seconds),
                "megabytes": needed[-1].received / 1e6,
                "requests": needed[-1].requests,
                "connections": needed[-1].connections,
                "processor time of the link, share": needed[-1].processor / job.timings[OURS].seconds[-1],
            }
            if task.unpacked is not None:
                least = link.seconds_for(Figures(received=task.unpacked(url)))
                job.figures[UNPACKED] = statistics.median(job.timings[OURS].seconds) / least
    return job


def run(arguments: argparse.Namespace) -> int:
    """Build, measure and report; return the exit status: 0, or 1 if a job takes longer than it may."""
    began, size = time.monotonic(), QUICK if arguments.quick else Size()
    recipes, complaints = installed()
    recipes = [each for each in recipes if not arguments.only or each.version.startswith(tuple(arguments.only))]
    content: dict[str, Any] = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), **report.environment()}
    content |= {"rate": RATE, "round trip": ROUND_TRIP, "at most": AT_MOST, "orthanc": {}}
    for complaint in complaints:
        print(f"Not measured: {complaint}\n", flush=True)
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="simple-orthanc-bench-", dir="/tmp") as name:
        folder, archive = Path(name), Archive(size.instances)
        volume, cohort = make_ct(folder / "ct", size.volume), make_cohort(folder / "cohort", size)
        with workshop(folder / "servers") as place:
            fill(recipes, place, archive, size.instances, (volume, *cohort))
        for recipe in recipes:
            print(f"Measuring Orthanc {recipe.version} ...", file=sys.stderr, flush=True)
            jobs = list(_measured(recipe, folder / "servers", volume, cohort, archive, size.rounds))
            content["orthanc"][recipe.version] = [report.job_as_dict(job) for job in jobs]
            print(f"## Orthanc {recipe.version}\n\n{report.table(jobs)}\n", flush=True)
            missed += [
                f"Orthanc {recipe.version}: {job.title}: {report.figure(job.figures.get(LINK, np.inf))}"
                for job in jobs
                if not job.figures.get(LINK, np.inf) <= AT_MOST or job.timings[OURS].right is False
            ]
    content["minutes"] = round((time.monotonic() - began) / 60, 1)
    if arguments.json:
        report.write(arguments.json, content)
    print(f"Done in {content['minutes']} minutes. Longer than {AT_MOST} of what the link needs: {missed or 'nothing'}.")
    return 1 if missed and not arguments.quick else 0


def _measured(
    recipe: Recipe, folder: Path, volume: Images, cohort: Sequence[Images], archive: Archive, rounds: int
) -> Iterator[Job]:
    with recipe.server(folder / recipe.version) as server:
        read_cohort(server.url)
        for task in tasks(volume, cohort, archive.series + 1 + len(cohort)):
            yield measure(task, server.url, rounds)


def main(words: Sequence[str] | None = None) -> int:
    """Parse the command line and run."""
    return run(report.parser_of("benchmarks.link", __doc__, "one round").parse_args(words))


if __name__ == "__main__":
    sys.exit(main())
