"""Whether a cohort of an archive of a million series takes no more than one of a small archive.

``python -m benchmarks.cohorts`` runs two stand-ins (`stand_in.py`) in processes of their own, of 100,000 and of
1,000,000 series. On each, in a new process, a session selects some series by PatientID, pickles its children, selects
them by their UIDs, freezes them, opens the cohort and maps a function over a growing part of it. For each step it
prints the client's own processor time, its requests and by how much its resident memory has risen.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from benchmarks import growth
from benchmarks.archive import PATIENT_ID, PATIENTS, SERIES, Archive
from benchmarks.resources import ROOT
from simple_orthanc import Orthanc

ARCHIVES = (100_000, 1_000_000)
COHORT = 10_000
# The map is over this part of the cohort first, and then over the rest: time and memory for each series are compared.
_FIRST_PART = 0.25

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """What one step took on one archive.

    Attributes
    ----------
    name : str
    series : int
        How many series it was about.
    seconds, client : float
        By the clock, with the server's time, and this process's own processor time.
    requests : int
    resident : float
        MB of resident memory at its end.
    bytes : int
        The largest of the pickles, where there are any.
    """

    name: str
    series: int
    seconds: float
    client: float
    requests: int
    resident: float
    bytes: int = 0


def resident() -> float:
    """Return the resident memory of this process in MB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def mean(series: Orthanc) -> float:
    """Return the mean value of the images of a series."""
    return float(series.get_array().mean())


def steps(url: str, cohort: int) -> Iterator[Step]:
    """Select, freeze, pickle, open and map over a cohort of a number of series."""
    session = Orthanc(url)

    def step(name: str, series: int, work: Callable[[], T]) -> tuple[T, Step]:
        began, own, sent = time.perf_counter(), time.process_time(), session._source.requests
        done = work()
        seconds, client = time.perf_counter() - began, time.process_time() - own
        return done, Step(name, series, seconds, client, session._source.requests - sent, resident())

    # Whole thousands of patients. A third of the series are CT, of several KVP each, and so no volumes.
    patients = range(math.ceil(1.5 * cohort * PATIENTS / SERIES / 1000))
    asked = {"PatientID": [f"{PATIENT_ID}{thousand:04d}*" for thousand in patients], "Modality": ["MR", "PT"]}
    _, done = step("select", cohort, lambda: session.select(**asked).series_count)
    yield done
    children = list(session.series[:cohort])
    _, done = step("pickle and land", cohort, lambda: [pickle.loads(pickle.dumps(child)) for child in children])
    yield replace(done, bytes=max(len(pickle.dumps(child)) for child in children[:100]))
    named = [child.SeriesInstanceUID[0] for child in children]
    _, done = step("select by UIDs", cohort, lambda: session.select(SeriesInstanceUID=named).series_count)
    yield done
    frozen, done = step("freeze", cohort, session.freeze)
    yield done
    opened, done = step("open", cohort, lambda: frozen.open(session))
    yield done
    first = round(cohort * _FIRST_PART)
    uids = opened.table("SeriesInstanceUID")["SeriesInstanceUID"].tolist()
    for name, part in (("map, first part", uids[:first]), ("map, the rest", uids[first:])):
        work = opened.copy().select(SeriesInstanceUID=part)
        table, done = step(name, len(part), lambda work=work: work.map(mean))  # type: ignore[misc]
        if table["error"].notna().any() or len(table) != len(part):
            raise RuntimeError(f"{table['error'].dropna().iloc[0]}")
        yield done


def _measure(url: str, cohort: int) -> list[Step]:
    command = [sys.executable, "-m", "benchmarks.cohorts", "--url", url, "--cohort", str(cohort)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip())
    return [Step(**each) for each in json.loads(answer.stdout)]


def report(found: Sequence[tuple[int, Sequence[Step]]]) -> Iterator[str]:
    """Yield the lines of a table of the steps on each archive."""
    yield "| archive | step | series | ms by the clock for each | own ms for each | requests for each | MB |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    for size, taken in found:
        for each in taken:
            per = [each.seconds * 1000 / each.series, each.client * 1000 / each.series, each.requests / each.series]
            numbers = " | ".join(f"{value:.2f}" for value in per)
            name = f"{each.name}, {each.bytes:,} bytes" if each.bytes else each.name
            yield f"| {size:,} series | {name} | {each.series:,} | {numbers} | {each.resident:.0f} |"


def main(given: Sequence[str] | None = None) -> int:
    """Measure on each archive, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cohorts", description=__doc__)
    parser.add_argument("--archives", type=int, nargs="+", default=ARCHIVES, help="numbers of series")
    parser.add_argument("--cohort", type=int, default=COHORT, help="how many series of each")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if arguments.url:
        warnings.simplefilter("ignore", UserWarning)
        print(json.dumps([asdict(each) for each in steps(arguments.url, arguments.cohort)]))
        return 0
    found = []
    for series in arguments.archives:
        with growth.stand_in(Archive.of_series(series).instances) as url:
            found.append((series, _measure(url, arguments.cohort)))
    print("\n".join(report(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
