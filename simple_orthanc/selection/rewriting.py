"""Strings in the notation of pandas, SQL and shells, rewritten in the form that `select` takes."""

from __future__ import annotations

import ast
import re
import warnings
from contextlib import suppress

from simple_orthanc.dicom.times import parse_date

_SEPARATORS = re.compile(r"\s*[,|;\\]\s*")
# In this order, since a time has colons of its own.
_RANGES = [re.compile(rf"(.*?)\s*(?:{separator})\s*(.*)\Z", re.DOTALL) for separator in (r"\.\.+", r"\bto\b", "–", ":")]
_RELATION = re.compile(r"(<=|>=|<|>)\s*(\S.*)\Z", re.DOTALL)
_YEAR_FIRST = re.compile(r"(\d{4})[/ ](\d{1,2})[/ ](\d{1,2})\Z", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})\Z", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+\Z", re.ASCII)
_BEGINNING = re.compile(r"(\d{4})(?:-(\d{2}))?\Z", re.ASCII)


def as_list(string: str) -> list[str] | None:
    """Return the strings that one string lists; None if it is not a list.

    Examples
    --------
    >>> as_list("CT,MR"), as_list("['CT', 'MR']"), as_list("CT|MR"), as_list("CT"), as_list("(1)")
    (['CT', 'MR'], ['CT', 'MR'], ['CT', 'MR'], None, ['1'])
    """
    inner = string.strip()
    is_bracketed = inner[:1] + inner[-1:] in ("[]", "()", "{}")
    if is_bracketed:
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError), warnings.catch_warnings():
            # Python warns of invalid escapes.
            warnings.simplefilter("ignore")
            listed = ast.literal_eval(inner)
            # What one pair of brackets is around, as in "(1)", is no list.
            if isinstance(listed, (list, tuple, set)):
                return [str(item) for item in listed] or None
        inner = inner[1:-1]
    items = [item.strip("'\" ") for item in _SEPARATORS.split(inner)]
    items = [item for item in items if item]
    return items if len(items) > 1 or (is_bracketed and items) else None


def as_range(string: str) -> tuple[str | None, str | None] | None:
    """Return the ends of a range that a string states; None if it states none.

    Examples
    --------
    >>> as_range("20200101:20201231"), as_range("1..3"), as_range("2 to 4"), as_range("..3")
    (('20200101', '20201231'), ('1', '3'), ('2', '4'), (None, '3'))
    """
    matches = (pattern.match(string.strip(" []()")) for pattern in _RANGES)
    match = next((match for match in matches if match), None)
    return (match[1] or None, match[2] or None) if match and (match[1] or match[2]) else None


def as_relation(string: str) -> tuple[str, str] | None:
    """Return the operator and the operand of a string such as ``>60``; None if it is not of this form.

    Examples
    --------
    >>> as_relation(">= 60"), as_relation("60")
    (('>=', '60'), None)
    """
    match = _RELATION.match(string.strip())
    return (match[1], match[2]) if match else None


def as_decimal(string: str) -> str:
    """Replace the decimal comma of a number by a point; return any other string as it is.

    Examples
    --------
    >>> as_decimal("1,5"), as_decimal("1, 5"), as_decimal("1,5,2")
    ('1.5', '1, 5', '1,5,2')
    """
    return string.replace(",", ".") if _DECIMAL_COMMA.match(string.strip()) else string


def as_date(string: str) -> str | None:
    """Return a date that is written otherwise as DICOM writes it, or as a wildcard if it lacks the day; else None.

    Examples
    --------
    >>> as_date("2020/1/31"), as_date("31.1.2020"), as_date("2020-01"), as_date("01/31/2020"), as_date("2020/31/01")
    ('20200131', '20200131', '202001*', None, None)
    """
    string = string.strip()
    if match := _YEAR_FIRST.match(string):
        written, rest = f"{match[1]}{int(match[2]):02d}{int(match[3]):02d}", ""
    elif match := _DAY_FIRST.match(string):
        written, rest = f"{match[3]}{int(match[2]):02d}{int(match[1]):02d}", ""
    elif match := _BEGINNING.match(string):
        written, rest = f"{match[1]}{match[2] or ''}", "*"
    else:
        return None
    return f"{written}{rest}" if parse_date(f"{written}0101"[:8]) else None
