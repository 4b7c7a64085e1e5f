"""Numbers as the decimal strings (DS) of a header, of at most 16 characters."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.valuerep import format_number_as_ds


def decimal_string(value: float) -> str:
    """Write a number as the nearest decimal string of at most 16 characters (PS3.5 section 6.2).

    Examples
    --------
    >>> decimal_string(1 / 3), decimal_string(-2.0), decimal_string(1e-12 / 3)
    ('0.33333333333333', '-2', '3.3333333333e-13')
    """
    number = float(value)
    if number == 0:
        return "0"
    text = repr(number).removesuffix(".0")
    return text if len(text) <= 16 else format_number_as_ds(number)


def decimal_strings(values: Iterable[float]) -> list[str]:
    """Write several numbers.

    Examples
    --------
    >>> decimal_strings([0.5, -0.0])
    ['0.5', '0']
    """
    return [decimal_string(value) for value in values]
