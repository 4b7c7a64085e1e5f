"""Memory for a volume and time to import, each measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.images import Images
from benchmarks.timing import Contestant, Elsewhere

ROOT = Path(__file__).parents[1]

_OURS = "from simple_orthanc import Orthanc"
_THEIRS = "import requests, pydicom"


def importing() -> dict[str, Contestant]:
    """Return the contestants of the job of importing, ours as the first line of the README."""
    return _in_new_processes(_OURS, _THEIRS)


def first_answer(url: str) -> dict[str, Contestant]:
    """Return the contestants of importing and counting the series of a server, with all that is imported on demand."""
    return _in_new_processes(
        f"{_OURS}; Orthanc({url!r}).series_count", f"{_THEIRS}; len(requests.get({url + '/series'!r}).json())"
    )


def _in_new_processes(ours: str, theirs: str) -> dict[str, Contestant]:
    """Return two contestants that run in new processes; compiled bytecode is there, as after an installation."""
    statements = {"ours": ours, "requests and pydicom": theirs}
    for statement in statements.values():
        _timed(statement)
    return {name: Contestant(partial(_timed, statement)) for name, statement in statements.items()}


def _timed(statement: str) -> Elsewhere:
    source = f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    answer = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    return Elsewhere(float(answer.stdout), "")


def peak_memory(url: str, warm: Images, images: Images) -> dict[str, float]:
    """Read a volume in a fresh process, and return by how much its resident memory rose.

    Parameters
    ----------
    url : str
        The server.
    warm : Images
        A small series, read before the measurement starts, so that what is imported on first use is not counted.
    images : Images
        The volume.

    Returns
    -------
    dict
        "share of the array": bytes above what importing takes, divided by the bytes of the array; and both in MB.
    """
    question = json.dumps([url, warm.description, images.description])
    command = [sys.executable, "-m", "benchmarks.resources", question]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip().splitlines()[-1])
    found: dict[str, Any] = json.loads(answer.stdout)
    risen = found["peak"] - found["before"]
    return {
        "share of the array": risen / found["array"],
        "array in MB": found["array"] / 1e6,
        "risen by MB": risen / 1e6,
        "before in MB": found["before"] / 1e6,
    }


def _memory(name: str) -> int:
    """Return ``VmRSS`` or ``VmHWM`` of this process in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"this system does not tell {name}")


def _measure(url: str, *descriptions: str) -> dict[str, int]:
    from benchmarks.images import PATIENT
    from simple_orthanc import Orthanc

    before = array = 0
    for description in descriptions:
        before = _memory("VmRSS")
        # Resets the peak to the memory that is resident now.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        with Orthanc(url) as orthanc:
            array = orthanc.select(PatientName=PATIENT, SeriesDescription=description).get_array().nbytes
    return {"before": before, "peak": _memory("VmHWM"), "array": array}


if __name__ == "__main__":
    print(json.dumps(_measure(*json.loads(sys.argv[1]))))
