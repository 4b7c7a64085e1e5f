"""Values of archives as text: nothing steers the terminal, everything fits."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.showing.text import brief, columns, counted, safe, shortened, width


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    shown = safe(text)
    assert not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in shown)
    turning = {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"}
    assert turning.isdisjoint(map(unicodedata.bidirectional, shown))
    assert safe(shown) == shown


@given(st.text(), st.integers(1, 30), st.booleans())
def test_a_shortened_string_fits(text: str, room: int, keep_end: bool) -> None:
    assert width(shortened(text, room, keep_end=keep_end)) <= room


@given(st.one_of(st.none(), st.text(), st.integers(), st.tuples(st.text(), st.text())), st.integers(1, 50))
def test_a_value_takes_one_line_and_its_room(value: object, room: int) -> None:
    shown = brief(value, room)
    assert len(shown.splitlines()) <= 1
    assert width(shown) <= room


def test_a_very_long_value_is_cut_before_it_is_escaped() -> None:
    assert brief("\x1b" * 10_000_000, 9) == "\\x1b\\x1b…"


@pytest.mark.parametrize(("value", "shown"), [(("ORIGINAL", "PRIMARY"), "ORIGINAL\\PRIMARY"), (0, "0"), ("", "")])
def test_values_are_written_as_dicom_writes_them(value: object, shown: str) -> None:
    assert brief(value) == shown


def test_columns_are_aligned_whatever_the_width_of_characters() -> None:
    lines = columns(["name", "n"], [["山田", 1], ["Doe", 22]]).splitlines()
    assert lines == ["name  n", "山田  1", "Doe   22"]


@pytest.mark.parametrize(("number", "shown"), [(0, "0 studies"), (1, "1 study"), (1200, "1,200 studies")])
def test_numbers_have_their_plural(number: int, shown: str) -> None:
    assert counted(number, "study", "studies") == shown
