"""docs/coming-from.md, read: the rows of its table, and the calls in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path(__file__).parents[1] / "docs" / "coming-from.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


class Row(NamedTuple):
    """A row of the table of capabilities.

    Attributes
    ----------
    number : int
    what : str
        The capability.
    elsewhere : str
        What other clients call it.
    codes : list of str
        The calls here.
    outcome : str
        "works", or a reason.
    """

    number: int
    what: str
    elsewhere: str
    codes: list[str]
    outcome: str


def codes_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def section(heading: str) -> str:
    """Return the text below a heading of the second level."""
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def calls_below(heading: str) -> list[str]:
    """Return the calls in the right column of the table below a heading, in their order."""
    rows = re.findall(r"^\| .* \| ([^|]*) \|$", section(heading), re.MULTILINE)
    return [code for row in rows for code in codes_in(row)]


def _row(line: str) -> Row:
    number, what, elsewhere, here, outcome = (cell.strip() for cell in line.strip().strip("|").split("|"))
    return Row(int(number), what, elsewhere, codes_in(here), outcome)


ROWS = [_row(line) for line in re.findall(r"^\| \d+ \|.*$", TEXT, re.MULTILINE)]
