"""The short tables of one run for `benchmarks/README.md`, made from the JSON of that run.

``python -m benchmarks.summary`` prints them; with ``--write`` it puts them between the marks in the README.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.jobs import FLOOR, OURS
from benchmarks.report import PEER_NAMES, figure, seconds

README = Path(__file__).with_name("README.md")
RUN = Path(__file__).with_name("results") / "bench-peers.json"
MARKS = ("<!-- run -->", "<!-- /run -->")

# The title of a column, and its contestants, of which a job has at most one.
_COLUMNS = {
    "the wire": (FLOOR, "plain loop", "bare request"),
    "by hand": ("whole files", "one request per series", "cheapest single way"),
    "SimpleITK": ("SimpleITK, local files",),
    "pydicom": ("pydicom, local files",),
    **{peer: (peer,) for peer in PEER_NAMES},
}

Run = Mapping[str, Any]


def summary(run: Run) -> str:
    """Write the tables of a run, one pair for each version of Orthanc.

    Parameters
    ----------
    run : mapping
        What ``python -m benchmarks --json`` keeps.
    """
    packages = {**run["packages"], **run.get("peers", {})}
    machine = f"Python {run['python']}, {run['processors']} processors"
    about = (
        f"{run['date'][:10]}, in {run['minutes']:.0f} minutes. {machine}. "
        f"{', '.join(f'{name} {version}' for name, version in packages.items())}. "
        "The whole of it, with each single time, is in `results/bench-peers.json`."
    )
    lines = [*textwrap.wrap(about, 120, break_on_hyphens=False), ""]
    lines += ["Seconds; the other columns are ratios, ours divided by theirs.", ""]
    for version, found in run["orthanc"].items():
        lines += [f"### Orthanc {version}", "", *_jobs(found["jobs"]), "", *_bars(found["bars"]), ""]
    return "\n".join([*lines, "### Growth", "", *_growth(run["orthanc"])])


def _jobs(jobs: Sequence[Run]) -> Iterator[str]:
    yield _row("job", OURS, *_COLUMNS)
    yield _row("---", *["---:"] * (1 + len(_COLUMNS)))
    for job in jobs:
        if OURS in job["timings"]:
            median = job["timings"][OURS]["median"]
            yield _row(job["title"], _seconds(median), *(_ratio(job["timings"], names) for names in _COLUMNS.values()))


def _seconds(median: float | None) -> str:
    return "failed" if median is None else seconds(median)


def _ratio(timings: Run, names: Sequence[str]) -> str:
    for name in names:
        median = timings.get(name, {}).get("median")
        if median is not None and timings[OURS]["median"] is not None:
            wrong = timings[name].get("right") is False
            return figure(timings[OURS]["median"] / median) + (" (wrong result)" if wrong else "")
    return ""


def _bars(bars: Sequence[Run]) -> Iterator[str]:
    yield _row("bar", "at most", "measured", "")
    yield _row("---", "---:", "---:", "---")
    for bar in bars:
        measured = "" if bar["measured"] is None else figure(bar["measured"])
        met = "met" if bar["met"] else "**missed**"
        yield _row(f"{bar['job']}: {bar['against']}", figure(bar["at_most"]), measured, met)


def _growth(versions: Mapping[str, Run]) -> Iterator[str]:
    yield "Connect, count, select one patient, its table: requests, and the client's own processor time."
    yield ""
    headed = False
    for version, found in versions.items():
        job = next(job for job in found["jobs"] if job["job"] == "growth")
        if not headed:
            yield _row("Orthanc", *job["timings"])
            yield _row("---", *["---:"] * len(job["timings"]))
            headed = True
        requests = [job["figures"][f"requests, {name}"] for name in job["timings"]]
        times = [seconds(timing["median"]) for timing in job["timings"].values()]
        yield _row(version, *(f"{count:.0f} requests, {time}" for count, time in zip(requests, times, strict=True)))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def written(text: str, run: Run) -> str:
    """Return the README with the tables of a run between its marks."""
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    return f"{before}{MARKS[0]}\n{summary(run)}\n{MARKS[1]}{after}"


def main(words: Sequence[str] | None = None) -> None:
    """Parse the command line, and print or write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.summary", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the README beside this")
    arguments = parser.parse_args(words)
    run = json.loads(RUN.read_text(encoding="utf-8"))
    if arguments.write:
        README.write_text(written(README.read_text(encoding="utf-8"), run), encoding="utf-8")
    else:
        print(summary(run))


if __name__ == "__main__":
    main()
