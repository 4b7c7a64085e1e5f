"""Units as codes of UCUM."""

from __future__ import annotations

import pytest

from simple_orthanc.pixels.ucum import UNKNOWN, is_known, unit_code, unit_of_code


@pytest.mark.parametrize("unit", ["HU", "BQML", "GY", "mm2/s", "g/ml", "%"])
def test_units_come_back(unit: str) -> None:
    assert is_known(unit)
    assert unit_of_code(unit_code(unit)[0]) == unit


@pytest.mark.parametrize("unit", UNKNOWN)
def test_unspecified_units_are_no_units(unit: str) -> None:
    assert unit_code(unit) == ("1", "no units")
    assert unit_of_code("1") == ""
