"""Rows of values as a text table, as CSV (RFC 4180) and as JSON (RFC 8259)."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from simple_orthanc.cli.terminal import say, terminal_width
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import UnknownTagError
from simple_orthanc.showing.text import safe, shortened, width

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("table", "csv", "json")

_GAP = "  "
# Narrower columns are not readable; those that do not fit are left out and named.
_NARROWEST = 8
# Spreadsheets run cells that begin with one of these as formulas; numbers and lists of numbers are safe.
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
# There is one way to match each digit, so that the time is proportional to the length.
_NUMBER = r"(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)?"
_NUMBERS = re.compile(rf"{_NUMBER}(?:\\{_NUMBER})*\Z")
# JSON allows these characters, and they control a terminal.
_JSON_CONTROL = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@dataclass
class Rows:
    """A table of plain values: None, numbers, strings, and tuples (values of one element) or lists (different values).

    Attributes
    ----------
    columns : list of str
        Names, each once.
    rows : list of list
        One value for each column.
    ends : set of str
        Columns whose values differ at their end, such as UIDs; they are shortened at the beginning.
    """

    columns: list[str]
    rows: list[list[Any]]
    ends: set[str] = field(default_factory=set)


def add_format(parser: ArgumentParser, default: str = "table") -> None:
    """Add the options of commands that print rows."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--format",
        choices=FORMATS,
        default=default,
        help="table: cut to the width of a terminal, whole in a pipe; csv: RFC 4180; json: a list of "
        f"objects, null where a value is missing (default: {default})",
    )
    group.add_argument(
        "--exact",
        action="store_true",
        help="csv: write strings that a spreadsheet would run as formulas unchanged, without a ' before them",
    )


def from_frame(frame: pd.DataFrame) -> Rows:
    """Convert a table of the library to plain values."""
    names = [str(name) for name in frame.columns]
    columns = [[plain(value, _vr(name)) for value in frame.iloc[:, at].tolist()] for at, name in enumerate(names)]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Rows(names, rows, {name for name in names if _vr(name) == "UI"})


def _vr(name: str) -> str:
    try:
        return parse_tag(name).vr
    except UnknownTagError:
        return ""


def plain(value: Any, vr: str = "") -> Any:
    """Convert a value of a table to None, a number, a string, or a tuple or list of these.

    Examples
    --------
    >>> plain(timedelta(hours=10, minutes=30)), plain((1.5, None)), plain(float("nan"))
    ('10:30:00', (1.5, None), None)
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, (tuple, list)):
        return type(value)(plain(part, vr) for part in value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, datetime):
        return value.date().isoformat() if vr == "DA" else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _clock(value)
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no infinite numbers.
        return None if math.isnan(value) else str(value)
    return value if isinstance(value, (str, bool, int, float)) else plain(value.item(), vr)


def _clock(time: timedelta) -> str:
    seconds, micro = divmod(time // timedelta(microseconds=1), 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{micro:06}" if micro else text


def text_of(value: Any) -> str:
    r"""Format a value for a cell: values of one element separated as in DICOM, different values by semicolons.

    Examples
    --------
    >>> text_of(("ORIGINAL", "PRIMARY")), text_of(["CT", "PT"]), text_of(None), text_of(2.0)
    ('ORIGINAL\\PRIMARY', 'CT; PT', '', '2.0')
    """
    if value is None:
        return ""
    if isinstance(value, tuple):
        return "\\".join(text_of(part) for part in value)
    if isinstance(value, list):
        return "; ".join(text_of(part) for part in value)
    return repr(value) if isinstance(value, float) else str(value)


def write(rows: Rows, form: str, *, exact: bool = False, quiet: bool = False) -> None:
    """Print rows to the standard output."""
    if form == "json":
        write_json([dict(zip(rows.columns, row, strict=True)) for row in rows.rows], sys.stdout)
    elif form == "csv":
        _write_csv(rows, exact)
    else:
        _write_table(rows, quiet)


def json_text(value: Any) -> str:
    """Return JSON in UTF-8 that is safe to print: control characters are written as escapes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _JSON_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_json(items: Iterable[Any], stream: Any) -> None:
    """Write a list with one item per line, as the items arrive."""
    opening = "["
    for item in items:
        stream.write(f"{opening}\n{json_text(item)}")
        opening = ","
    stream.write("[]\n" if opening == "[" else "\n]\n")


def _write_csv(rows: Rows, exact: bool) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(rows.columns)
    changed = 0
    on_terminal = sys.stdout.isatty()
    for row in rows.rows:
        cells = []
        for value in row:
            text = text_of(value)
            if not exact and not isinstance(value, (int, float)) and is_formula(text):
                text, changed = f"'{text}", changed + 1
            cells.append(safe(text) if on_terminal else text)
        writer.writerow(cells)
        sys.stdout.write(buffer.getvalue())
        buffer.seek(0)
        buffer.truncate()
    if not rows.rows:
        sys.stdout.write(buffer.getvalue())
    if changed:
        warnings.warn(
            f"{changed} strings begin like a formula and got a ' before them, so that no spreadsheet runs them: "
            "--exact writes them as they are, and --format json needs no such care.",
            stacklevel=2,
        )


def is_formula(text: str) -> bool:
    r"""Check whether a spreadsheet may run a string as a formula.

    Examples
    --------
    >>> is_formula("=HYPERLINK(1)"), is_formula("-125.0\\-125.0"), is_formula("Doe^Jane"), is_formula("-2+3")
    (True, False, False, True)
    """
    return _FORMULA.match(text) is not None and _NUMBERS.match(text) is None


def _write_table(rows: Rows, quiet: bool) -> None:
    cells = [[safe(text_of(value)) for value in row] for row in rows.rows]
    header = [safe(name) for name in rows.columns]
    widths = [max(map(width, column)) for column in zip(header, *cells, strict=True)]
    room = terminal_width()
    if room is not None:
        widths = fitted(widths, room)
    right = [
        any(isinstance(row[at], (int, float)) for row in rows.rows)
        and all(row[at] is None or isinstance(row[at], (int, float)) for row in rows.rows)
        for at in range(len(widths))
    ]
    ends = [name in rows.ends for name in rows.columns]
    for line in (header, *cells):
        shown = [
            _padded(shortened(text, size, keep_end=end and line is not header), size, aligned)
            for text, size, aligned, end in zip(line, widths, right, ends, strict=False)
        ]
        sys.stdout.write(_GAP.join(shown).rstrip() + "\n")
    left_out = header[len(widths) :]
    if left_out:
        say(
            f"not shown, the terminal is too narrow: {', '.join(left_out)} (--format csv has all of them)",
            quiet=quiet,
        )


def _padded(text: str, size: int, right: bool) -> str:
    space = " " * (size - width(text))
    return space + text if right else text + space


def fitted(widths: Sequence[int], room: int) -> list[int]:
    """Narrow the widest columns until all fit, and leave out the last ones where that is not enough.

    Examples
    --------
    >>> fitted([10, 64, 64, 5], 80), fitted([30, 30, 30], 20)
    ([10, 29, 29, 5], [9, 9])
    """
    kept = list(widths)
    while True:
        space = room - len(_GAP) * (len(kept) - 1)
        if sum(kept) <= space:
            return kept
        least = sum(min(size, _NARROWEST) for size in kept)
        if least <= space or len(kept) == 1:
            break
        kept.pop()
    cap = max(kept)
    while sum(min(size, cap) for size in kept) > space and cap > 1:
        cap -= 1
    return [min(size, cap) for size in kept]
