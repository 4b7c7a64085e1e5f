"""A server killed in the middle of an upload, a volume and a download, and started again after three seconds."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from simple_orthanc import LocalOrthanc, Orthanc
from simple_orthanc.phantom import make_series
from tests.memory_source import as_file

SLICES = 300
DOWN = 3.0
USER = {"somebody": "a password that stays"}
DEADLINE = 90.0


def killed(server: LocalOrthanc) -> None:
    """Kill the program of a server, as the system does when memory runs out."""
    guard = server._guard
    assert guard is not None
    children = Path(f"/proc/{guard.pid}/task/{guard.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    guard.wait(10)
    assert not server.is_running, "the server outlived its program"


def in_the_middle(server: LocalOrthanc, session: Orthanc, requests: int, work: Callable[[], Any]) -> Any:
    """Do some work, and kill the server after so many requests of it; return what the work returns."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)

    before = session._source.requests
    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    while session._source.requests < before + requests:
        assert worker.is_alive(), f"finished before the server was killed: {results}"
        time.sleep(0.0005)
    killed(server)
    assert worker.is_alive(), "finished before the server was killed"
    time.sleep(DOWN)
    server.start()
    worker.join(DEADLINE)
    assert not worker.is_alive(), f"not finished after {DEADLINE:g} s"
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


def survive_restarts(server: LocalOrthanc, folder: Path) -> None:
    """Upload, read and download a series of 300 files, each across a restart.

    Parameters
    ----------
    server : LocalOrthanc
        A server with a folder and a port of its own, and `USER` as its user.
    folder : Path
        For the download.
    """
    pixels = np.random.default_rng(7).integers(-1000, 2000, (SLICES, 64, 64)).astype(np.int16)
    files = [as_file(dataset) for dataset in make_series(array=pixels, PatientID="RESTART")]
    with server, server.connect() as session:
        _upload(server, session, files)
        session.refresh().select(PatientID="RESTART")
        volume = in_the_middle(server, session, 60, session.get_volume)
        assert np.array_equal(volume.array, pixels), "voxels that are not true"
        paths = in_the_middle(server, session, 60, lambda: session.download(folder))
        here = [path for path in folder.rglob("*") if path.is_file()]
        assert sorted(paths) == sorted(here), f"{len(paths)} paths, {len(here)} files"
        whole = sorted(_digest(path.read_bytes()) for path in here) == sorted(map(_digest, files))
        assert whole, "files that are not those of the archive"


def _upload(server: LocalOrthanc, session: Orthanc, files: list[bytes]) -> None:
    table = in_the_middle(server, session, 100, lambda: session.upload_file(files))
    statuses = table["status"].value_counts().to_dict()
    assert statuses == {"stored": SLICES}, f"{statuses}: {set(table['message'])}"
    count = session.rest.get("/statistics")["CountInstances"]
    assert count == SLICES, f"the server holds {count}"
    changes = session.rest.get(f"/changes?limit={10 * SLICES}")["Changes"]
    new = [change["ID"] for change in changes if change["ChangeType"] == "NewInstance"]
    assert len(new) == len(set(new)) == SLICES, f"{len(new)} stored, {len(set(new))} of them once"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
