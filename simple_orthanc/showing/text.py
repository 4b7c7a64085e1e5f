"""Values of archives as text: without control characters, cut to a width, in columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

# Control characters of both sets, marks of writing direction, line separators, and lone surrogates.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# A column of a table of text.
_WIDEST = 40


def safe(text: str) -> str:
    r"""Escape characters that could move the cursor, change colours, or turn the direction of writing.

    Examples
    --------
    >>> safe("Doe\x1b[2J^Jane\n")
    'Doe\\x1b[2J^Jane\\n'
    """
    return _CONTROL.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def width(text: str) -> int:
    r"""Count the columns that a string takes in a terminal: two for a wide character, none for a combining one.

    Examples
    --------
    >>> width("Doe"), width("山田"), width("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def shortened(text: str, room: int, *, keep_end: bool = False) -> str:
    """Shorten a string to a number of columns, with an ellipsis where something is missing.

    Examples
    --------
    >>> shortened("SeriesDescription", 8), shortened("1.2.840.113619", 8, keep_end=True)
    ('SeriesD…', '….113619')
    """
    if width(text) <= room:
        return text
    taken: list[str] = []
    used = 1
    for character in reversed(text) if keep_end else text:
        used += width(character)
        if used > room:
            break
        taken.append(character)
    return "…" + "".join(reversed(taken)) if keep_end else "".join(taken) + "…"


def brief(value: object, room: int = _WIDEST) -> str:
    r"""Write a value of an archive for people: on one line, escaped, and cut to a number of columns.

    Examples
    --------
    >>> brief(None), brief(1.5), brief("a\x1b[2J" * 20, 12)
    ('', '1.5', 'a\\x1b[2Ja\\x…')
    """
    if value is None:
        return ""
    if isinstance(value, tuple):
        value = "\\".join(str(part) for part in value)
    # What is cut off anyway need not be escaped.
    return shortened(safe(str(value)[: 8 * room]), room)


def columns(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write rows in aligned columns.

    Examples
    --------
    >>> print(columns(["name", "size"], [["head", 12], ["abdomen", None]]))
    name     size
    head     12
    abdomen
    """
    cells = [[brief(value) for value in row] for row in [header, *rows]]
    widths = [max(width(row[position]) for row in cells) for position in range(len(header))]
    lines = [
        "  ".join(cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)) for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def counted(number: int, singular: str, plural: str = "") -> str:
    """Write a number and what is counted.

    Examples
    --------
    >>> counted(1, "series", "series"), counted(1200, "job")
    ('1 series', '1,200 jobs')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def agreeing(number: int, verb: Literal["are", "have"]) -> str:
    """Return a verb in the singular where its subject is one.

    Examples
    --------
    >>> agreeing(1, "are"), agreeing(2, "have")
    ('is', 'have')
    """
    return {"are": "is", "have": "has"}[verb] if number == 1 else verb
