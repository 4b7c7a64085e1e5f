"""Runs the benchmark: ``python -m benchmarks``, with the other clients ``python -m benchmarks --peers PYTHON``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from benchmarks import growth, jobs, report
from benchmarks.archive import Archive
from benchmarks.images import Images, make_compressed, make_ct, make_time_series
from benchmarks.jobs import Job, Place
from benchmarks.peers import PeerEnvironment
from benchmarks.resources import first_answer, importing
from benchmarks.servers import Recipe, fill, installed, workshop
from benchmarks.timing import ROUNDS, interleaved

_HERE = Path(__file__).parent
# A third of a second each, and the most disturbed by whatever else the machine does.
_IMPORTS_PER_ROUND = 3


@dataclass(frozen=True)
class Size:
    """How much is built and how often it is measured."""

    volume: tuple[int, int, int] = (300, 512, 512)
    times: tuple[int, int, int, int] = (5, 24, 192, 192)
    compressed: int = 100
    instances: int = 20_000
    # With the volume of 300 slices, a thousand.
    few_instances: int = 700
    stand_ins: tuple[int, ...] = growth.STAND_IN_SIZES
    rounds: int = ROUNDS
    small_files: int = 5_000


QUICK = Size((24, 128, 128), (3, 8, 32, 32), 8, 1_000, 200, (2_000,), 2, 500)


@dataclass(frozen=True)
class Data:
    """The files on the local disk: the series, and a folder for each version with the server's storage."""

    few: Path
    many: Path
    series: tuple[Images, ...]

    @property
    def few_series(self) -> tuple[Images, ...]:
        """Files that the server with few instances holds in addition."""
        return tuple(images for images in self.series if images.description in ("ct_volume", "mr_warm"))


def build(folder: Path, size: Size, recipes: Sequence[Recipe]) -> Data:
    """Make the files, and fill a server with few and one with many instances for each version, all at once."""
    archive, servers = Archive(size.instances), folder / "servers"
    data = Data(servers / "few", servers / "many", _make_series(folder, size))
    with workshop(servers) as place, ThreadPoolExecutor(2) as pool:
        filling = [
            pool.submit(fill, recipes, place / "few", archive, size.few_instances, data.few_series),
            pool.submit(fill, recipes, place / "many", archive, size.instances, data.series),
        ]
        for each in filling:
            each.result()
    return data


def _make_series(folder: Path, size: Size) -> tuple[Images, ...]:
    volume = make_ct(folder / "ct", size.volume)
    return (
        volume,
        make_compressed(folder / "jpeg_2000", volume, size.compressed, JPEG2000Lossless),
        make_compressed(folder / "jpeg_lossless", volume, size.compressed, JPEGLosslessSV1),
        make_time_series(folder / "times", size.times),
        make_time_series(folder / "warm", (1, 4, 32, 32), "mr_warm", seed=3),
    )


def measure(recipe: Recipe, data: Data, size: Size, stand_ins: Sequence[str], peers: jobs.Peers) -> list[Job]:
    """Do all jobs on one version of Orthanc."""
    archive = Archive(size.instances)
    done: list[Job] = []
    with recipe.server(data.few / recipe.version) as server:
        place = Place(server.url, recipe.numbers, archive, range(size.few_instances), data.few_series, size.rounds)
        jobs.warm(place)
        title = f"headers of {{}} slices, {size.few_instances:,} other instances"
        few = jobs.headers(place, "headers, small archive", title, jobs.no_peers)
        uploading = jobs.upload(place, peers)
    with recipe.server(data.many / recipe.version) as server:
        place = Place(server.url, recipe.numbers, archive, range(size.instances), data.series, size.rounds)
        jobs.warm(place)
        for name, description, title, options in _volumes(size):
            done.append(jobs.volume(place, name, title, description, peers, **options))
        title = f"headers of {{}} slices, {size.instances:,} other instances"
        done += [jobs.headers(place, "headers", title, peers), few, uploading]
        done += [jobs.column(place, peers), jobs.table(place), jobs.one_patient(place), jobs.memory(place)]
        done.append(
            Job("first answer", "import, and count the series", interleaved(first_answer(place.url), size.rounds))
        )
        # Takes three times as long as all other jobs about tags together.
        done += [jobs.kvp(place)] if peers is not jobs.no_peers else []
        with recipe.server(data.few / recipe.version) as few_server:
            places = [(few_server.url, archive, "Orthanc"), (place.url, archive, "Orthanc")]
            sizes = zip(stand_ins, size.stand_ins, strict=True)
            places += [(url, Archive(instances), "stand-in") for url, instances in sizes]
            done.append(growth.judged(growth.steps(places, size.rounds)))
    return done


def _volumes(size: Size) -> list[tuple[str, str, str, dict[str, Any]]]:
    shape, times = " x ".join(map(str, size.volume)), " x ".join(map(str, size.times))
    return [
        ("volume", "ct_volume", f"one-line volume, {shape}", {}),
        ("JPEG 2000", "jpeg_2000", f"JPEG 2000 lossless, {size.compressed} slices", {}),
        ("JPEG lossless", "jpeg_lossless", f"JPEG lossless, {size.compressed} slices", {}),
        ("4D", "mr_times", f"4D series, {times}", {"dims": "time"}),
    ]


def run(arguments: argparse.Namespace) -> int:
    """Build, measure and report; return the exit status: 0, or 1 if a bar is missed."""
    began = time.monotonic()
    size = QUICK if arguments.quick else Size()
    recipes, complaints = installed()
    recipes = [each for each in recipes if not arguments.only or each.version.startswith(tuple(arguments.only))]
    content: dict[str, Any] = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    content |= {"size": "quick" if arguments.quick else "full", **report.environment(), "orthanc": {}}
    _say(f"# simple_orthanc, measured {content['date']}\n\n{_surroundings(content)}\n")
    for complaint in complaints:
        _say(f"Not measured: {complaint}\n")
    if not recipes:
        return 1
    failures: list[str] = [] if arguments.only else list(complaints)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simple-orthanc-bench-", dir="/tmp")))
        peers = stack.enter_context(PeerEnvironment(arguments.peers)) if arguments.peers else None
        data = build(folder, size, recipes)
        _say(f"Built in {time.monotonic() - began:.0f} s.\n")
        imported = Job("import", "import", interleaved(importing(), _IMPORTS_PER_ROUND * size.rounds))
        small = jobs.first_table(folder / "small", Archive(size.instances), size.small_files, size.rounds)
        everywhere = [imported, small]
        stand_ins = [stack.enter_context(growth.stand_in(instances)) for instances in size.stand_ins]
        for recipe in recipes:
            print(f"Measuring Orthanc {recipe.version} ...", file=sys.stderr, flush=True)
            done = measure(recipe, data, size, stand_ins, peers.contestants if peers else jobs.no_peers)
            # Small data say nothing about bars that are set for large ones.
            verdicts = [] if arguments.quick else report.judge([*done, *everywhere], recipe.numbers, bool(peers))
            content["orthanc"][recipe.version] = {
                "jobs": [report.job_as_dict(job) for job in [*done, *everywhere]],
                "bars": [verdict.as_dict() for verdict in verdicts],
            }
            _say(f"## Orthanc {recipe.version}\n\n{report.table([*done, *everywhere])}\n")
            _say(f"{report.verdict_table(verdicts)}\n" if verdicts else "The bars are for the full size.\n")
            failures += report.missed(verdicts, f"Orthanc {recipe.version}")
        if peers:
            content["peers"] = peers.versions
    content["minutes"] = round((time.monotonic() - began) / 60, 1)
    if arguments.json:
        report.write(arguments.json, content)
    _say(f"Done in {content['minutes']} minutes. " + ("Missed:" if failures else "Nothing is missed."))
    for failure in failures:
        _say(f"- {failure}")
    return 1 if failures else 0


def _surroundings(content: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in content["packages"].items())
    return f"Python {content['python']}, {content['processors']} processors, {content['system']}. {packages}."


def _say(text: str) -> None:
    print(text, flush=True)


def main(words: Sequence[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = report.parser_of("benchmarks", __doc__, "two rounds")
    parser.add_argument(
        "--peers", type=Path, metavar="PYTHON", help="a Python in which the other clients are installed"
    )
    return run(parser.parse_args(words))


if __name__ == "__main__":
    sys.exit(main())
