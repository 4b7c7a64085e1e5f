"""The table in the documents is that of this bench."""

from __future__ import annotations

from tests.faults.archive import OrthancServer, StandInServer
from tests.faults.bench import BAD, PROTOCOLS, Cell, Outcome, cells_of
from tests.faults.registry import FAULTS
from tests.faults.report import COLUMNS, DOCUMENT, fault_rows, summary


def documented_servers() -> list[list[str]]:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("| server | protocol |"))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_documents_list_every_fault_with_what_becomes_of_it() -> None:
    assert "\n".join(fault_rows()) in DOCUMENT.read_text(encoding="utf-8")


def test_the_documents_count_every_cell_and_none_that_ended_badly() -> None:
    rows = documented_servers()
    assert {(row[0].split()[0], row[1]) for row in rows} == {
        *(("Orthanc", protocol) for protocol in PROTOCOLS),
        (StandInServer.name.split()[0], "DICOMweb"),
    }
    for server, protocol, cells, right, clear, *bad in rows:
        kind = OrthancServer if server.startswith("Orthanc") else StandInServer
        assert int(cells) == sum(
            (cell.protocol, cell.operation) not in kind.lacks and (kind.counts or not cell.fault.needs_count)
            for cell in cells_of(FAULTS, (protocol,))
        )
        assert int(right) + int(clear) == int(cells), server
        assert bad == ["0"] * len(BAD)
        assert int(right) >= 0.75 * int(cells), f"{server} {protocol}"


def test_outcomes_are_counted_by_column() -> None:
    cells = cells_of(FAULTS[:1], ("Orthanc",))
    kinds = ["right", "TransportError", "rows", "warning", "lost", "no end", "unclear"]
    outcomes = {cell: Outcome(kind) for cell, kind in zip(cells, kinds, strict=True)}
    assert len(cells) == len(kinds)
    line = summary([("a server", outcomes)])[-1]
    counts = dict(zip(COLUMNS, line.strip("| ").split(" | ")[3:], strict=True))
    assert counts == {"right": "1", "clear error": "3", "unclear": "1", "no end": "1", "wrong": "0", "lost": "1"}


def test_each_fault_and_each_cell_has_a_name_of_its_own() -> None:
    cells: list[Cell] = cells_of(FAULTS)
    assert len({str(cell) for cell in cells}) == len(cells)
