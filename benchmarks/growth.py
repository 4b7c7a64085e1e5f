"""Whether the first steps of a session stay as cheap on a large archive as on a small one."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import session
from benchmarks.archive import Archive, patient_tags
from benchmarks.jobs import Job, typical_patient
from benchmarks.relay import Relay
from benchmarks.resources import ROOT
from benchmarks.timing import ROUNDS, Timing

STAND_IN_SIZES = (100_000, 1_000_000)


@dataclass(frozen=True)
class Step:
    """What the first steps took on one archive.

    Attributes
    ----------
    instances : int
        The size of the archive.
    server : str
        "Orthanc" or "stand-in".
    requests : int
        How many.
    received : int
        Bytes the server answered.
    client : list of float
        Seconds of this process's own time, run by run; what the server took is not in it.
    seconds : list of float
        By the clock, the server's time included.
    """

    instances: int
    server: str
    requests: int
    received: int
    client: list[float]
    seconds: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Give what the JSON of a run keeps."""
        return asdict(self)


def step(url: str, archive: Archive, server: str, rounds: int = ROUNDS) -> Step:
    """Connect, count, select one patient and make its table; several times, each on a fresh session.

    Raises
    ------
    RuntimeError
        The table is not that of the patient.
    """
    name = patient_tags(typical_patient(archive))["PatientName"]
    with Relay(url) as relay:
        count, rows = session.browse(relay.url, name)
    if rows != 4:
        raise RuntimeError(f"{name} has a table of {rows} rows, and four series")
    client, seconds = [], []
    for _ in range(rounds):
        began, own = time.perf_counter(), time.process_time()
        session.browse(url, name)
        client.append(time.process_time() - own)
        seconds.append(time.perf_counter() - began)
    return Step(count, server, relay.requests, relay.received, client, seconds)


@contextmanager
def stand_in(instances: int) -> Iterator[str]:
    """Run the stand-in server in a process of its own, and give its URL."""
    command = [sys.executable, "-m", "benchmarks.stand_in", str(instances)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the stand-in server did not start")
        yield url
        # Leaving closes its standard input, at which it ends.


def on_stand_ins(sizes: tuple[int, ...] = STAND_IN_SIZES, rounds: int = ROUNDS) -> list[Step]:
    """Take the steps on stand-in servers."""
    steps = []
    for size in sizes:
        with stand_in(size) as url:
            steps.append(step(url, Archive(size), "stand-in", rounds))
    return steps


def judged(steps: list[Step]) -> Job:
    """Make a job of the steps on archives of growing size."""
    job = Job("growth", "connect, count, select one patient, its table")
    first, last = steps[0], steps[-1]
    for each in steps:
        name = f"{each.instances:,} instances ({each.server})"
        job.timings[name] = Timing(each.client, note=f"{each.requests} requests")
        job.figures[f"requests, {name}"] = each.requests
        job.figures[f"kB answered, {name}"] = each.received / 1000
    job.figures["requests, largest to smallest"] = last.requests / first.requests
    job.figures["client time, largest to smallest"] = statistics.median(last.client) / statistics.median(first.client)
    return job
