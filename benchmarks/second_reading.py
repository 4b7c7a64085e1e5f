"""What a cache saves: ``python -m benchmarks.second_reading`` reads a cohort for the first and for the second time.

Three jobs on each version of Orthanc, each on a fresh session, over loopback: all volumes in a loop, all instances
series by series, and a table of all volumes from their headers; the first of them also over a slow link. Each is done
without a cache, into an empty cache, from a cache that is full, and from that cache without the server. No cache is
removed before the end: for a minute after many files were removed, ext4 takes three times as long to make new ones.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.archive import Archive
from benchmarks.images import Images, digest, make_ct
from benchmarks.jobs import Job
from benchmarks.servers import fill, installed, workshop
from benchmarks.throttle import Link
from benchmarks.timing import Contestant, interleaved
from benchmarks.workload import QUICK, Size, make_cohort
from simple_orthanc import Cache, Orthanc, Volume

AT_LEAST = 5.0
"""How many times as quick as the first reading the second is to be."""

WITHOUT, FIRST, SECOND, OFFLINE = "without a cache", "first reading", "second reading", "second reading, offline"
_COHORT = ["cohort_*", "ct_volume"]
_SLICES = (30, 256, 256)


Read = Callable[[Orthanc], Any]


def are_right(volumes: Iterable[Volume], cohort: Sequence[Images]) -> bool:
    """Check whether volumes are those that were stored, whose arrays may have an axis of one step in time."""
    stored = {images.digest for images in cohort}
    read = [{digest(volume.array), digest(volume.array[None])} & stored for volume in volumes]
    return all(read) and set().union(*read) == stored


def fetch_volumes(session: Orthanc) -> int:
    """Read every volume in a loop, and return how many bytes they are."""
    return sum(volume.array.nbytes for volume in session.get_volumes_lazily())


def read_instances(session: Orthanc) -> int:
    """Read all instances, and return how many there are."""
    return sum(len(series.get_instances()) for series in session.series)


def read_headers(session: Orthanc) -> int:
    """Plan all volumes from headers, and return how many there are."""
    return len(session.volume_table())


def contestants(url: str, folder: Path, read: Read) -> dict[str, Contestant]:
    """Return the ways to read; the caches are made in a folder."""
    # Where headers alone were read, the files are not there, which reading offline needs.
    full, kept = Cache(folder / "full"), Cache(tempfile.mkdtemp(dir=folder))
    empty: list[Cache] = []

    def add_empty() -> None:
        empty.append(Cache(tempfile.mkdtemp(dir=folder)))

    def connect(read: Read = read, **options: Any) -> Any:
        with Orthanc(url, **options) as session:
            return read(session.select(SeriesDescription=_COHORT))

    return {
        WITHOUT: Contestant(connect),
        FIRST: Contestant(lambda: connect(cache=empty[-1]), prepare=add_empty),
        SECOND: Contestant(lambda: connect(cache=kept), prepare=lambda: connect(cache=kept)),
        OFFLINE: Contestant(
            lambda: connect(cache=full, offline=True), prepare=lambda: connect(fetch_volumes, cache=full)
        ),
    }


def jobs(url: str, folder: Path, cohort: Sequence[Images], rounds: int) -> Iterator[Job]:
    """Time each job, and the first also over a link (see `benchmarks.link`)."""
    for _ in range(2):
        with Orthanc(url, cache=folder / "full") as session:
            if not are_right(session.select(SeriesDescription=_COHORT).get_volumes_lazily(), cohort):
                raise RuntimeError("The volumes are not those that were stored.")
    count = sum(len(images.instances) for images in cohort)
    works: list[tuple[str, str, Read]] = [
        ("volumes", f"{len(cohort)} volumes of {count:,} slices", fetch_volumes),
        ("instances", f"{count:,} instances", read_instances),
        ("headers", f"headers of {count:,} slices", read_headers),
    ]
    for name, title, read in works:
        yield _timed(f"second reading of {name}", title, contestants(url, folder, read), rounds)
    with Link(url) as link:
        over_link = contestants(link.url, folder, fetch_volumes)
        yield _timed("second reading of volumes over a link", f"{works[0][1]}, 100 Mbit/s and 20 ms", over_link, rounds)


def _timed(name: str, title: str, ways: dict[str, Contestant], rounds: int) -> Job:
    job = Job(name, title, interleaved(ways, rounds))
    first, second, offline = (job.timings[key].median for key in (FIRST, SECOND, OFFLINE))
    if first and second and offline:
        job.figures = {"first to second": first / second, "first to offline": first / offline}
    return job


def run(arguments: argparse.Namespace) -> int:
    """Build, measure and report."""
    began, size = time.monotonic(), QUICK if arguments.quick else Size(slices=_SLICES)
    recipes, complaints = installed()
    recipes = [each for each in recipes if not arguments.only or each.version.startswith(tuple(arguments.only))]
    content: dict[str, Any] = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), **report.environment()}
    content |= {"at least": AT_LEAST, "orthanc": {}}
    for complaint in complaints:
        print(f"Not measured: {complaint}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="simple-orthanc-bench-", dir="/tmp") as name:
        folder = Path(name)
        cohort = [make_ct(folder / "ct", size.volume), *make_cohort(folder / "cohort", size)]
        with workshop(folder / "servers") as place:
            fill(recipes, place, Archive(size.instances), size.instances, cohort)
        for recipe in recipes:
            print(f"Measuring Orthanc {recipe.version} ...", file=sys.stderr, flush=True)
            with recipe.server(folder / "servers" / recipe.version) as server:
                done = list(jobs(server.url, folder / "caches" / recipe.version, cohort, size.rounds))
            content["orthanc"][recipe.version] = [report.job_as_dict(job) for job in done]
            print(f"## Orthanc {recipe.version}\n\n{report.table(done)}\n", flush=True)
            for job in done:
                print(job.title, {key: round(value, 2) for key, value in job.figures.items()}, flush=True)
    content["minutes"] = round((time.monotonic() - began) / 60, 1)
    if arguments.json:
        report.write(arguments.json, content)
    print(f"Done in {content['minutes']} minutes.")
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Parse the command line and run."""
    return run(report.parser_of("benchmarks.second_reading", __doc__, "one round").parse_args(words))


if __name__ == "__main__":
    sys.exit(main())
