"""Runs the whole bench, and writes the table of ``docs/reliability.md``: ``python -m tests.faults --write``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from simple_orthanc.errors import OrthancError
from simple_orthanc.local.server import free_port
from tests.conftest import Servers
from tests.faults import report
from tests.faults.archive import OrthancServer, StandInServer, ThreadSafeServer, make_archive
from tests.faults.bench import Bench, Cell, Outcome, cells_of
from tests.faults.registry import FAULTS
from tests.faults.restarts import USER, survive_restarts

STAND_IN = "stand-in"


@contextmanager
def benches(versions: list[str]) -> Iterator[Iterator[Bench]]:
    """Yield the bench of each server that is here, one after the other."""
    servers = Servers()
    with ExitStack() as stack:

        def make() -> Iterator[Bench]:
            archive = make_archive()
            for name in servers.recipes:
                if any(version in name for version in versions or [name]):
                    local = stack.enter_context(servers.make(name, {}))
                    server = OrthancServer(local.url, local.version)
                    for series in archive:
                        server.put(series.files.values())
                    yield Bench(server, archive)
            if not versions or STAND_IN in versions:
                stand_in = stack.enter_context(
                    ThreadSafeServer(dataset for each in archive for dataset in each.datasets)
                )
                yield Bench(StandInServer(stand_in), archive)

        yield make()


def main(arguments: list[str] | None = None) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--version", action="append", default=[], help="of Orthanc, or stand-in; all by default")
    parser.add_argument("--only", action="append", default=[], help="a part of the name of a cell")
    parser.add_argument("--every", action="store_true", help="let faults that last meet every operation")
    parser.add_argument("--write", action="store_true", help="write the tables of docs/reliability.md")
    options = parser.parse_args(arguments)
    failed = 0
    results: list[tuple[str, dict[Cell, Outcome]]] = []
    with benches(options.version) as found:
        for bench in found:
            protocols = ("DICOMweb",) if isinstance(bench.server, StandInServer) else ("Orthanc", "DICOMweb")
            cells = [
                cell
                for cell in cells_of(FAULTS, protocols, every=options.every)
                if not options.only or any(part in str(cell) for part in options.only)
            ]
            begin = time.monotonic()
            outcomes = bench.run(cells)
            print(f"## {bench.server.name}: {len(outcomes)} cells in {time.monotonic() - begin:.0f} s", flush=True)
            failed += show(bench.server.name, outcomes)
            results.append((bench.server.name, outcomes))
    if not options.only:
        failed += restarts(options.version)
    if options.write:
        report.write(results)
    return int(failed > 0)


def restarts(versions: list[str]) -> int:
    """Kill each server in the middle of its work, and return how many sessions did not survive that."""
    failed = 0
    servers = Servers()
    for name in servers.recipes:
        if any(version in name for version in versions or [name]):
            with tempfile.TemporaryDirectory(prefix="faults-") as folder:
                server = servers.make(
                    name, {"HttpPort": free_port(), "RegisteredUsers": USER}, folder=f"{folder}/server"
                )
                try:
                    survive_restarts(server, Path(folder) / "files")
                except (OrthancError, AssertionError):
                    failed += 1
                    print(f"- {name}, killed and started again: {traceback.format_exc()}")
                else:
                    print(f"{name}, killed and started again in an upload, a volume and a download: right")
    return failed


def show(server: str, outcomes: dict[Cell, Outcome]) -> int:
    """Print each cell that is not as expected, and return how many they are."""
    failed = 0
    for cell, outcome in outcomes.items():
        expected = cell.fault.outcome(server, cell.protocol, cell.operation)
        if not outcome.fulfils(expected):
            failed += 1
            print(f"- {cell}: {outcome.kind} ({outcome.seconds:.1f} s), not {expected}: {outcome.detail[:300]!r}")
    kinds: dict[str, int] = {}
    for outcome in outcomes.values():
        kinds[outcome.kind] = kinds.get(outcome.kind, 0) + 1
    print(kinds, f"{failed} not as expected")
    return failed


if __name__ == "__main__":
    sys.exit(main())
