"""How much quicker a map is in two processes, and on a Dask cluster of two workers, than in one process.

``python -m benchmarks.mapping`` writes a folder of small series, so that no server is the limit, and maps a function
that computes for some milliseconds in Python over it: in threads, in one process, in two, and on two workers of
`dask.distributed` on this machine. Then once more on two workers of which one is killed in the middle. All tables are
compared. The processes are started within their time, and the workers before it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.timing import Contestant, interleaved
from simple_orthanc import Folder
from simple_orthanc.phantom import as_bytes, make_series

if TYPE_CHECKING:
    import pandas as pd

SERIES, SHAPE = 1000, (10, 64, 64)
_ROUNDS = 3
_STEPS = 300_000
THREADS, ONE, TWO = "threads", "one process", "two processes"
CLUSTER = "two workers of Dask, started before"


def compute(series: Folder) -> dict[str, float]:
    """Compute for about 20 ms in Python itself."""
    array = series.get_volume().array
    value = int(array[0, 0, 0])
    for _ in range(_STEPS):
        value = (value * 1103515245 + 12345) & 0x7FFFFFFF
    return {"mean": float(array.mean()), "value": value}


def write(folder: Path, count: int) -> Folder:
    """Write series of ten slices."""
    for number in range(count):
        uid = f"1.2.826.0.1.3680043.8.498.9.{number}"
        datasets = make_series(SHAPE, seed=number, SeriesInstanceUID=uid, SeriesNumber=number, PatientID="MAP")
        for index, dataset in enumerate(datasets):
            (folder / f"{number}-{index}.dcm").write_bytes(as_bytes(dataset))
    session = Folder(folder, cache=False)
    session.table()
    return session


def _mapped(session: Folder, **options: Any) -> pd.DataFrame:
    return session.map(compute, **options).drop(columns="seconds")


def _with_a_killed_worker(session: Folder, client: Any, seconds: float) -> pd.DataFrame:
    """Map while one of the workers is killed after some seconds."""
    process = next(iter(client.run(os.getpid).values()))
    timer = threading.Timer(seconds, partial(os.kill, process, signal.SIGKILL))
    timer.start()
    try:
        return _mapped(session, scheduler=client)
    finally:
        timer.cancel()


def run(count: int, rounds: int) -> None:
    """Measure, and print a table."""
    from distributed import Client, LocalCluster

    with (
        tempfile.TemporaryDirectory(prefix="simple-orthanc-bench-") as folder,
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        session = write(Path(folder), count)
        expected = _mapped(session)
        ways: dict[str, Callable[[], pd.DataFrame]] = {
            ONE: partial(_mapped, session, scheduler="processes", workers=1),
            TWO: partial(_mapped, session, scheduler="processes", workers=2),
            THREADS: partial(_mapped, session),
            CLUSTER: partial(_mapped, session, scheduler=client),
        }
        timings = interleaved({name: Contestant(way, expected.equals) for name, way in ways.items()}, rounds)
        for name, timing in timings.items():
            if timing.error or not timing.right:
                raise RuntimeError(f"{name}: {timing.error or 'another table'}")
        medians = {name: timing.median or 0.0 for name, timing in timings.items()}
        print(f"| {count} series | s | one process to this |\n| --- | ---: | ---: |")
        for name, seconds in medians.items():
            print(f"| {name} | {seconds:.2f} | {medians[ONE] / seconds:.2f} |")
        began = time.perf_counter()
        table = _with_a_killed_worker(session, client, medians[CLUSTER] / 2)
        took = time.perf_counter() - began
        print(f"| the same, one killed in the middle | {took:.2f} | {medians[ONE] / took:.2f} |")
        print(f"\nThe table after the kill is {'the same' if table.equals(expected) else 'ANOTHER'}.")


def main(words: Sequence[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapping", description=__doc__)
    parser.add_argument("--series", type=int, default=SERIES, help="how many series")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="how often each way is run")
    arguments = parser.parse_args(words)
    run(arguments.series, arguments.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
