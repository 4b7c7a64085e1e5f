"""The table of the bench in ``docs/reliability.md``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.faults.bench import BAD, PROTOCOLS, Cell, Outcome
from tests.faults.registry import FAULTS, RIGHT, WARNING, Fault

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
    lines = [_row("server", "protocol", "cells", *COLUMNS), _row(*["---"] * (3 + len(COLUMNS)))]
    for server, outcomes in results:
        for protocol in PROTOCOLS:
            counts = Counter(column_of(outcome) for cell, outcome in outcomes.items() if cell.protocol == protocol)
            if total := sum(counts.values()):
                lines.append(_row(server, protocol, str(total), *(str(counts[column]) for column in COLUMNS)))
    return lines


def fault_rows() -> list[str]:
    """Return the rows of the table of faults: what becomes of an operation that meets one."""
    lines = [_row("fault", "right", "clear error or warning"), _row("---", "---", "---")]
    return lines + [_row(fault.name, *_outcomes(fault)) for fault in FAULTS]


def _outcomes(fault: Fault) -> tuple[str, str]:
    by_outcome: dict[str, list[str]] = {}
    for operation in fault.operations:
        by_outcome.setdefault(fault.outcome("", "Orthanc", operation), []).append(operation)
    survived = ", ".join(by_outcome.pop(RIGHT, []))
    others = [
        f"`{name}`: {', '.join(names)}" if name != WARNING else f"warning: {', '.join(names)}"
        for name, names in by_outcome.items()
    ]
    return survived, "; ".join(others)


def write(results: Iterable[tuple[str, Outcomes]]) -> None:
    """Replace the tables in the document."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    tables = "\n\n".join("\n".join(lines) for lines in (summary(results), fault_rows()))
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", encoding="utf-8")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
