"""Table E.1-1 of DICOM PS3.15, edition 2024e: what becomes of each attribute under the basic profile and its options.

The 621 rows are package data. `row_of` finds the row of a tag, including the rows for repeating groups and for all
private attributes. Table E.3.10-1, the private attributes thought to be safe, is beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

EDITION = "2024e"

_PRIVATE = "(gggg,eeee)"


@dataclass(frozen=True)
class Row:
    """A row of Table E.1-1.

    Attributes
    ----------
    pattern : str
        The tag as the table has it: x is any hexadecimal digit, (gggg,eeee) any private attribute.
    name : str
        The name of the attribute.
    is_standard : bool
        Whether the attribute is in a standard composite IOD.
    basic : str
        The action of the basic profile: one of X, Z, D, U, or a compound such as X/Z/D.
    options : Mapping of str to str
        The action, K or C, of each option that has one for this attribute, by the value of the option.
    """

    pattern: str
    name: str
    is_standard: bool
    basic: str
    options: Mapping[str, str]


def read_lines(name: str) -> Iterator[dict[str, str]]:
    """Read a table of this package: tab-separated lines below a header, with comments before it."""
    content = (files("simple_orthanc.deidentification") / name).read_text(encoding="utf-8")
    lines = [line for line in content.splitlines() if not line.startswith("#")]
    columns = lines[0].split("\t")
    for line in lines[1:]:
        yield dict(zip(columns, line.split("\t"), strict=True))


@lru_cache(maxsize=1)
def rows() -> tuple[Row, ...]:
    """Return all rows of Table E.1-1 in the order of their tags.

    Examples
    --------
    >>> len(rows())
    621
    """
    found = []
    for line in read_lines("table_e1_1.tsv"):
        pattern, name, standard, basic = (line.pop(key) for key in ("tag", "name", "standard", "basic"))
        options = {option: action for option, action in line.items() if action}
        found.append(Row(pattern, name, standard == "Y", basic, options))
    return tuple(found)


@lru_cache(maxsize=1)
def _by_number() -> tuple[Mapping[int, Row], Mapping[str, Row]]:
    """Return the rows of single attributes by their numbers, and the others by their patterns."""
    numbers, patterns = {}, {}
    for row in rows():
        digits = row.pattern.strip("()").replace(",", "")
        if any(digit not in "0123456789ABCDEF" for digit in digits):
            patterns[row.pattern] = row
        else:
            numbers[int(digits, 16)] = row
    return numbers, patterns


def row_of(tag: int) -> Row | None:
    """Return the row for a tag, or None if Table E.1-1 does not list it.

    Examples
    --------
    >>> row_of(0x00100010).basic, row_of(0x60023000).name, row_of(0x00091001).name
    ('Z', 'Overlay Data', 'Private Attributes')
    >>> row_of(0x00180050) is None
    True
    """
    numbers, patterns = _by_number()
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:
        return patterns[_PRIVATE]
    if group >> 8 == 0x50:
        return patterns["(50xx,xxxx)"]
    if group >> 8 == 0x60:
        return patterns.get(f"(60xx,{element:04X})")
    return numbers.get(tag)


@lru_cache(maxsize=1)
def safe_private() -> Mapping[tuple[str, int, int], str]:
    """Return the private attributes of Table E.3.10-1: creator, group and element within the block, with their VR.

    Examples
    --------
    >>> safe_private()["SIEMENS MR HEADER", 0x0019, 0x0C]
    'IS'
    """
    found = {}
    for line in read_lines("table_e3_10_1.tsv"):
        group, element = line["element"].strip("()").split(",")
        found[line["creator"], int(group, 16), int(element.removeprefix("xx"), 16)] = line["vr"]
    return found
