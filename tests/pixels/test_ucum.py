"""Units as codes of UCUM."""

from __future__ import annotations

import pytest

from simple_orthanc.pixels.ucum import unit_code, unit_of_code


@pytest.mark.parametrize("unit", ["HU", "BQML", "GY", "mm2/s", "g/ml", "1/s", ""])
def test_units_come_back(unit: str) -> None:
    value, scheme, meaning = unit_code(unit)
    assert scheme == "UCUM"
    assert value
    assert meaning
    assert unit_of_code(value) == unit


@pytest.mark.parametrize("unit", ["US", "stored"])
def test_unspecified_units_are_no_units(unit: str) -> None:
    assert unit_code(unit) == ("1", "UCUM", "no units")
