"""Whether the first steps of a session stay as cheap on a large archive as on a small one."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

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


def steps(places: Sequence[tuple[str, Archive, str]], rounds: int = ROUNDS) -> list[Step]:
    """Connect, count, select one patient and make its table, on each server in turn, each time on a fresh session.

    Parameters
    ----------
    places : sequence of (str, Archive, str)
        URL, archive and kind of each server.
    rounds : int
        How often; four times as often is measured, since it takes some ten milliseconds.

    Raises
    ------
    RuntimeError
        A table is not that of the patient.
    """
    names = [patient_tags(typical_patient(archive))["PatientName"] for _, archive, _ in places]
    found = []
    for (url, _, server), name in zip(places, names, strict=True):
        with Relay(url) as relay:
            count, rows = session.browse(relay.url, name)
        if rows != 4:
            raise RuntimeError(f"{name} has a table of {rows} rows, and four series")
        found.append(Step(count, server, relay.requests, relay.received, [], []))
    for _ in range(4 * rounds):
        for (url, _, _), name, step in zip(places, names, found, strict=True):
            began, own = time.perf_counter(), time.process_time()
            session.browse(url, name)
            step.client.append(time.process_time() - own)
            step.seconds.append(time.perf_counter() - began)
    return found


@contextmanager
def stand_in(instances: int) -> Iterator[str]:
    """Run the stand-in server in a process of its own, and yield its URL."""
    command = [sys.executable, "-m", "benchmarks.stand_in", str(instances)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the stand-in server did not start")
        yield url
        # Leaving closes its standard input, at which it ends.


def judged(found: Sequence[Step]) -> Job:
    """Make a job of what the steps took on archives of growing size."""
    job = Job("growth", "connect, count, select one patient, its table")
    first, last = found[0], found[-1]
    for each in found:
        name = f"{each.instances:,} instances ({each.server})"
        job.timings[name] = Timing(each.client, note=f"{each.requests} requests")
        job.figures[f"requests, {name}"] = each.requests
        job.figures[f"kB answered, {name}"] = each.received / 1000
    job.figures["requests, largest to smallest"] = last.requests / first.requests
    job.figures["client time, largest to smallest"] = statistics.median(last.client) / statistics.median(first.client)
    return job
