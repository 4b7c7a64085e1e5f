"""The table of the bench in ``docs/reliability.md``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.faults.bench import BAD, PROTOCOLS, Cell, Outcome
from tests.faults.operations import OPERATIONS
from tests.faults.registry import FAULTS, RIGHT, ROWS, Fault

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- The bench of faults writes from here -->", "<!-- to here. -->"
COLUMNS = ("right", "clear error", *BAD)

Outcomes = Mapping[Cell, Outcome]


def column_of(outcome: Outcome) -> str:
    """Return the column that counts an outcome."""
    if outcome.kind == RIGHT or outcome.kind in BAD:
        return outcome.kind
    return "clear error"


def summary(results: Iterable[tuple[str, Outcomes]]) -> list[str]:
    """Return the rows of the table of servers: how many cells ended how."""
    lines = []
    for server, outcomes in results:
        for protocol in PROTOCOLS:
            counts = Counter(column_of(outcome) for cell, outcome in outcomes.items() if cell.protocol == protocol)
            if total := sum(counts.values()):
                lines.append(_row(server, protocol, str(total), *(str(counts[column]) for column in COLUMNS)))
    titles = [_row("server", "protocol", "cells", *COLUMNS), _row(*["---"] * (3 + len(COLUMNS)))]
    return titles + lines if lines else []


def fault_rows() -> list[str]:
    """Return the rows of the table of faults: what becomes of an operation that meets one."""
    lines = [_row("fault", "right", "clear error or warning"), _row("---", "---", "---")]
    return lines + [_row(fault.name, *_outcomes(fault)) for fault in FAULTS]


def _outcomes(fault: Fault) -> tuple[str, str]:
    """Name the operations that survive a fault, and the error of the others."""
    by_outcome: dict[str, list[str]] = {}
    for operation in fault.operations:
        # The rows of an upload say what its error would.
        outcome = fault.outcome("", "Orthanc", operation).removeprefix(f"{ROWS} or ")
        by_outcome.setdefault(outcome, []).append(operation)
    survived = by_outcome.pop(RIGHT, [])
    errors = [f"{outcome}: {_named(names, fault)}" for outcome, names in by_outcome.items()]
    return _named(survived, fault), "; ".join(errors)


def _named(operations: list[str], fault: Fault) -> str:
    if operations == list(fault.operations):
        return "all" if operations == list(OPERATIONS) else ", ".join(operations)
    others = [operation for operation in fault.operations if operation not in operations]
    return ", ".join(operations) if len(others) >= len(operations) else f"all but {' and '.join(others)}"


def write(results: Iterable[tuple[str, Outcomes]]) -> None:
    """Replace the tables in the document."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    tables = "\n\n".join("\n".join(lines) for lines in (summary(results), fault_rows()) if lines)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", encoding="utf-8")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
