"""Numbers as decimal strings of at most 16 characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.valuerep import is_valid_ds

from simple_orthanc.volume.writing.decimals import decimal_string, decimal_strings


@given(st.floats(-1e308, 1e308))
def test_every_number_is_written_as_closely_as_16_characters_can(value: float) -> None:
    written = decimal_string(value)
    assert is_valid_ds(written)
    assert float(written) == pytest.approx(value, rel=1e-7, abs=5e-324)


@given(st.floats(-1e6, 1e6).filter(lambda value: abs(value) > 1e-3))
def test_lengths_in_a_patient_are_written_to_13_digits(value: float) -> None:
    assert float(decimal_string(value)) == pytest.approx(value, rel=1e-11, abs=1e-13)


def test_what_is_short_is_written_as_it_is() -> None:
    assert decimal_strings([0.1, 1.0, -0.0, 12345678.5, 1e22]) == ["0.1", "1", "0", "12345678.5", "1e+22"]
