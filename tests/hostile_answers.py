"""A program that asks hostile servers one after the other, and prints what it got: see `test_hostile_answers`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from simple_orthanc import DicomWeb, Orthanc
from simple_orthanc.errors import OrthancError
from tests.peak_memory import peak_memory

OPTIONS: dict[str, Any] = {"timeout": (5, 20), "patience": 0}
JOBS: dict[str, Callable[[str], Any]] = {
    "orthanc": lambda url: Orthanc(url, **OPTIONS),
    "dicomweb": lambda url: DicomWeb(url, **OPTIONS).study_count,
}


def main(job: str, urls: list[str]) -> None:
    """Do a job on each server; print the peak of memory so far in MB, the seconds at work and in all, and the error.

    The memory is that above what the program takes before, with all modules that it imports.
    """
    with suppress(OrthancError):
        JOBS[job]("http://127.0.0.1:1")
    before = peak_memory()
    for url in urls:
        began, worked = time.monotonic(), time.process_time()
        try:
            JOBS[job](url)
            outcome = "no error"
        except OrthancError as error:
            outcome = f"{type(error).__name__}: {error}"
        peak = peak_memory() - before
        print(f"{peak:.0f} {time.process_time() - worked:.1f} {time.monotonic() - began:.1f} {outcome}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
