"""The table in the documents is that of this bench."""

from __future__ import annotations

from tests.faults.bench import Cell, Outcome, cells_of
from tests.faults.registry import FAULTS
from tests.faults.report import COLUMNS, DOCUMENT, fault_rows, summary


def test_the_documents_list_every_fault_with_what_becomes_of_it() -> None:
    assert "\n".join(fault_rows()) in DOCUMENT.read_text(encoding="utf-8")


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
