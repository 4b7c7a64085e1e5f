"""The output of a run: a table for each version of Orthanc, the bars, and a JSON with everything."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.bars import BARS, Bar
from benchmarks.jobs import OURS, Job
from benchmarks.timing import Timing

_PACKAGES = ("numpy", "pydicom", "pandas", "requests", "urllib3", "SimpleITK", "python-gdcm", "pylibjpeg-openjpeg")


@dataclass(frozen=True)
class Verdict:
    """One bar, and what was measured.

    Attributes
    ----------
    bar : Bar
        What was asked.
    measured : float or None
        The ratio or figure; None where there is none to compare.
    reason : str
        Why there is none, or why it does not count.
    """

    bar: Bar
    measured: float | None
    reason: str = ""

    @property
    def met(self) -> bool:
        """Whether the bar is met; a job that failed or was wrong meets none."""
        return not self.reason and self.measured is not None and self.measured <= self.bar.at_most

    def as_dict(self) -> dict[str, Any]:
        """Return what the JSON of a run keeps."""
        kept = {
            "job": self.bar.job,
            "against": self.bar.against,
            "at_most": self.bar.at_most,
            "measured": self.measured,
        }
        return kept | {"met": self.met} | ({"reason": self.reason} if self.reason else {})


def judge(jobs: Sequence[Job], numbers: tuple[int, ...], peers: bool) -> list[Verdict]:
    """Compare jobs with the bars that are set for a version of Orthanc.

    Parameters
    ----------
    jobs : sequence of Job
        What was measured.
    numbers : tuple of int
        The version.
    peers : bool
        Whether the other clients were there; without them nothing is said about them.
    """
    verdicts = []
    for job in jobs:
        for bar in BARS:
            if bar.job == job.name and bar.holds_for(numbers) and (peers or bar.against not in PEER_NAMES):
                verdicts.append(_verdict(bar, job))
        # A wrong result is a miss, whether or not there is a bar for its time.
        ours = job.timings.get(OURS)
        if ours is not None and not any(bar.job == job.name for bar in BARS) and (ours.error or ours.right is False):
            verdicts.append(Verdict(Bar(job.name, "the right result", 0), None, ours.error or "the result is wrong"))
    return verdicts


PEER_NAMES = ("PyOrthanc", "orthanc-api-client", "dicomweb-client", "beren", "simple-orthanc's way")


def _verdict(bar: Bar, job: Job) -> Verdict:
    if bar.against in job.figures:
        return Verdict(bar, job.figures[bar.against])
    ours, other = job.timings.get(OURS, Timing()), job.timings.get(bar.against, Timing())
    if ours.error or ours.right is False:
        return Verdict(bar, None, ours.error or "ours is wrong")
    if ours.median is None or other.median is None:
        return Verdict(bar, None, other.error or f"nothing was measured for {bar.against}")
    return Verdict(bar, ours.median / other.median)


def table(jobs: Sequence[Job]) -> str:
    """Write the jobs as a Markdown table, one row for each contestant."""
    lines = [
        "| job | who | median | spread | runs | ours / this | |",
        "|---|---|---:|---|---:|---:|---|",
    ]
    for job in jobs:
        ours = job.timings.get(OURS)
        title = job.title
        for name, timing in job.timings.items():
            lines.append(_row(title, name, timing, ours))
            title = ""
        for name, value in job.figures.items():
            lines.append(f"| {title} | {name} | {figure(value)} | | | | |")
            title = ""
    return "\n".join(lines)


def _row(title: str, name: str, timing: Timing, ours: Timing | None) -> str:
    remarks = "; ".join(filter(None, ("**wrong result**" if timing.right is False else "", timing.error, timing.note)))
    if timing.median is None:
        return f"| {title} | {name} | | | 0 | | {_one_line(remarks)} |"
    spread = f"{seconds(min(timing.seconds))} to {seconds(max(timing.seconds))}"
    ratio = ""
    if ours is not None and ours is not timing and ours.median is not None:
        ratio = figure(ours.median / timing.median)
    return (
        f"| {title} | {name} | {seconds(timing.median)} | {spread} | {len(timing.seconds)} | {ratio} | "
        f"{_one_line(remarks)} |"
    )


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Write the bars as a Markdown table."""
    lines = ["| bar | at most | measured | |", "|---|---:|---:|---|"]
    for verdict in verdicts:
        bar = verdict.bar
        aim = f" (aim {figure(bar.aim)})" if bar.aim is not None else ""
        measured = "" if verdict.measured is None else figure(verdict.measured)
        state = "met" if verdict.met else "**MISSED**" + (f": {_one_line(verdict.reason)}" if verdict.reason else "")
        lines.append(f"| {bar.job}: {bar.against} | {figure(bar.at_most)}{aim} | {measured} | {state} |")
    return "\n".join(lines)


def missed(verdicts: Iterable[Verdict], version_name: str) -> list[str]:
    """Name the bars that are missed."""
    named = []
    for verdict in verdicts:
        if not verdict.met:
            found = verdict.reason or f"{figure(verdict.measured or math.nan)} instead of {figure(verdict.bar.at_most)}"
            named.append(f"{version_name}: {verdict.bar.job}, against {verdict.bar.against}: {_one_line(found)}")
    return named


def environment(packages: Sequence[str] = _PACKAGES) -> dict[str, Any]:
    """Describe the machine and the packages of the run."""
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "load before": [round(each, 2) for each in os.getloadavg()],
        "packages": versions,
    }


def job_as_dict(job: Job) -> dict[str, Any]:
    """Return what the JSON of a run keeps of a job."""
    timings = {name: timing.as_dict() for name, timing in job.timings.items()}
    return {"job": job.name, "title": job.title, "timings": timings, "figures": job.figures}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the JSON of a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def seconds(value: float) -> str:
    """Write a time."""
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def figure(value: float) -> str:
    """Write a ratio, a count or a size."""
    if math.isnan(value):
        return ""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _one_line(text: str) -> str:
    line = " ".join(text.replace("|", "/").split())
    return line if len(line) <= 160 else line[:157] + "..."


def parser_of(program: str, description: str | None, rounds: str) -> argparse.ArgumentParser:
    """Return a parser of the options that a run on each version of Orthanc takes.

    Parameters
    ----------
    program : str
        The module.
    description : str
        What it does.
    rounds : str
        What is left of a run with ``--quick``.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the JSON of the run goes")
    parser.add_argument("--only", nargs="*", metavar="VERSION", help="only these versions of Orthanc, such as 1.12")
    parser.add_argument("--quick", action="store_true", help=f"small data and {rounds}: to see that it works")
    return parser
