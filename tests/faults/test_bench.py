"""Nothing wrong, lost, unclear or without end through a proxy that misbehaves.

Here the versions of Orthanc share the cells: every fault in every operation is met on one of them, and every version
meets every fault. A DICOMweb server that is no Orthanc meets every fault in one operation. ``make faults`` runs every
cell on every server.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simple_orthanc import LocalOrthanc
from tests.conftest import servers_of
from tests.faults.archive import OrthancServer, StandInServer, ThreadSafeServer, make_archive
from tests.faults.bench import Bench, Cell, Outcome, cells_of
from tests.faults.registry import FAULTS, Fault

# The code that meets the faults is measured by the tests of each of its modules.
pytestmark = pytest.mark.unmeasured

Outcomes = dict[Cell, Outcome]
BY_NAME = pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])


def one_operation_each(protocol: str, turn: int) -> list[Cell]:
    """List one cell of each fault, another operation for the next fault or turn."""
    cells = (cells_of([fault], (protocol,)) for fault in FAULTS)
    return [of_fault[(number + turn) % len(of_fault)] for number, of_fault in enumerate(cells) if of_fault]


def share_of_version(turn: int, versions: int) -> list[Cell]:
    """List the cells of one version, which meets every fault; together the versions have all cells of Orthanc."""
    cells: list[Cell] = []
    for number, fault in enumerate(FAULTS):
        of_orthanc, of_dicomweb = (cells_of([fault], (protocol,)) for protocol in ("Orthanc", "DICOMweb"))
        if of_orthanc:
            cells += of_orthanc[(number + turn) % min(versions, len(of_orthanc)) :: versions]
        if of_dicomweb and (not of_orthanc or number % versions == turn):
            cells.append(of_dicomweb[(number + turn) % len(of_dicomweb)])
    return cells


@pytest.fixture(scope="module")
def on_orthanc(request: pytest.FixtureRequest, server: LocalOrthanc) -> Iterator[tuple[str, Outcomes]]:
    """What became of the cells on one version of Orthanc."""
    servers = servers_of(request.config)
    archive = make_archive()
    names = list(servers.recipes)
    cells = share_of_version(names.index(f"orthanc-{server.version}"), len(names))
    with servers.make(f"orthanc-{server.version}", {}) as local:
        orthanc = OrthancServer(local.url, local.version)
        for series in archive:
            orthanc.put(series.files.values())
        yield orthanc.name, Bench(orthanc, archive).run(cells)


@pytest.mark.parametrize("versions", [1, 2, 3])
def test_the_versions_share_all_cells_and_each_meets_every_fault(versions: int) -> None:
    shares = [share_of_version(turn, versions) for turn in range(versions)]
    assert {cell for share in shares for cell in share} >= set(cells_of(FAULTS, ("Orthanc",)))
    assert all({cell.fault for cell in share} == set(FAULTS) for share in shares)


@pytest.fixture(scope="module")
def on_stand_in() -> Iterator[tuple[str, Outcomes]]:
    """What became of the cells on a DICOMweb server that is no Orthanc."""
    archive = make_archive()
    with ThreadSafeServer(dataset for series in archive for dataset in series.datasets) as server:
        stand_in = StandInServer(server)
        yield stand_in.name, Bench(stand_in, archive).run(one_operation_each("DICOMweb", 0))


def failures(fault: Fault, name: str, outcomes: Outcomes) -> list[str]:
    """Describe the cells of a fault that did not end as they must."""
    return [
        f"{cell}: {outcome.kind} after {outcome.seconds:.1f} s, not {expected}: {outcome.detail}"
        for cell, outcome in outcomes.items()
        if cell.fault is fault and not outcome.fulfils(expected := fault.outcome(name, cell.protocol, cell.operation))
    ]


@BY_NAME
def test_a_fault_before_orthanc_is_survived_or_named(fault: Fault, on_orthanc: tuple[str, Outcomes]) -> None:
    assert failures(fault, *on_orthanc) == []


@BY_NAME
def test_a_fault_before_another_dicomweb_server_is_survived_or_named(
    fault: Fault, on_stand_in: tuple[str, Outcomes]
) -> None:
    assert failures(fault, *on_stand_in) == []
