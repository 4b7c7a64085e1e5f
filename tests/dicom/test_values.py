"""Values in their one form, and what numbers, dates and times they are, against pydicom's own reading."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.valuerep import DSfloat

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value, comparable, from_text, from_texts, parse_number, shown, typed


@pytest.mark.parametrize(
    ("text", "vr", "value"),
    [
        ("ORIGINAL\\PRIMARY ", "CS", ("ORIGINAL", "PRIMARY")),
        ("1.2.840\0", "UI", ("1.2.840",)),
        (" a ", "LO", ("a",)),
        ("a\\\\b", "LO", ("a", "", "b")),
        ("a\\", "LO", ("a", "")),
        ("", "LO", None),
        ("  ", "LO", None),
        ("\\", "LO", None),
        ("\0", "UI", None),
        ("ABC\0XYZ", "LO", ("ABC",)),
        ("A \0\\B", "CS", ("A",)),
        ("A\\\0\\B", "PN", ("A", "")),
        ("a\0b", "LT", ("a",)),
        ("\0ABC", "SH", None),
        ("a\\b", "LT", ("a\\b",)),
        ("a\\b", "ST", ("a\\b",)),
        ("a\\b", "UT", ("a\\b",)),
        ("http://h/a\\b", "UR", ("http://h/a\\b",)),
        ("a\\b", "UC", ("a", "b")),
        ("Doe^Jane==", "PN", ("Doe^Jane",)),
        ("Doe^Jane^^", "PN", ("Doe^Jane^^",)),
        ("Yamada^Tarou=山田^太郎", "PN", ("Yamada^Tarou=山田^太郎",)),
        ("=", "PN", None),
    ],
)
def test_a_string_is_parsed_into_values(text: str, vr: str, value: Value) -> None:
    assert from_text(text, vr) == value


@given(st.lists(st.text(st.characters(exclude_characters="\\"))), st.sampled_from(["LO", "CS", "DS", "PN", "UI"]))
def test_reading_a_value_again_changes_nothing(texts: list[str], vr: str) -> None:
    value = from_texts(texts, vr)
    if value is not None:
        assert from_texts([str(part) for part in value], vr) == value
        assert from_text("\\".join(str(part) for part in value), vr) == value


@pytest.mark.parametrize(
    ("text", "vr", "number"),
    [
        ("1.50", "DS", 1.5),
        (" 1.50 ", "DS", 1.5),
        ("-1e-3", "DS", -0.001),
        (".5", "DS", 0.5),
        ("5.", "DS", 5.0),
        ("+007", "IS", 7),
        ("-0", "IS", 0),
        ("3.0", "IS", 3),
        ("3.5", "IS", None),
        ("18446744073709551615", "UV", 2**64 - 1),
        ("9007199254740993", "SV", 2**53 + 1),
        ("1,5", "DS", None),
        ("1.5mm", "DS", None),
        ("", "DS", None),
        ("1_000", "DS", None),
        ("1_000", "IS", None),
        ("١٢", "IS", None),
        ("٣", "DS", None),
        ("0x10", "IS", None),
        ("nan", "DS", None),
        ("inf", "DS", None),
        ("1e999", "DS", None),
        ("nan", "FD", None),
        ("-inf", "FD", -math.inf),
        ("inf", "IS", None),
        ("12.5", "UN", 12.5),
        ("abc", "UN", None),
    ],
)
def test_numbers(text: str, vr: str, number: float | None) -> None:
    found = parse_number(text, vr)
    assert found == number
    assert type(found) is type(number)


# At the very end of the range, rounding to sixteen letters makes infinity.
@given(st.floats(-1e308, 1e308))
def test_a_decimal_string_is_the_number_pydicom_reads(number: float) -> None:
    text = pydicom.valuerep.format_number_as_ds(number)
    assert parse_number(text, "DS") == float(DSfloat(text))


@given(st.integers(-(2**31), 2**31 - 1))
def test_an_integer_string_is_the_number_pydicom_reads(number: int) -> None:
    assert parse_number(str(number), "IS") == int(pydicom.valuerep.IS(str(number))) == number


def test_text_and_bytes_do_not_compare_by_value() -> None:
    assert comparable("5", "LO") is None
    assert comparable(b"5", "DS") is None


def test_what_a_users_function_gets() -> None:
    assert typed("1.50", "DS") == 1.5
    assert typed("20200131", "DA") == date(2020, 1, 31)
    assert typed("1030", "TM") == timedelta(hours=10, minutes=30)
    assert typed("2020", "DT") == datetime(2020, 1, 1)
    assert typed("045Y", "AS") == "045Y"
    assert typed("a", "LO") == "a"
    assert typed("abc", "DS") is None


@pytest.mark.parametrize(
    ("value", "name", "seen"),
    [
        (("1.50",), "SliceThickness", 1.5),
        (("7",), "SeriesNumber", 7),
        (("abc",), "SliceThickness", None),
        (("20200131",), "StudyDate", "20200131"),
        (("A",), "ImageType", ("A",)),
        (("A", ""), "ImageType", ("A", "")),
        (("0.5", "0.50"), "PixelSpacing", (0.5, 0.5)),
        (("0.5", "x"), "PixelSpacing", (0.5, None)),
        (("a", "b"), "SeriesDescription", "a\\b"),
        ((b"\x00\xff",), "0009,1001", b"\x00\xff"),
        (None, "ImageType", None),
    ],
)
def test_what_lists_of_values_hold(value: Value, name: str, seen: object) -> None:
    assert shown(value, parse_tag(name)) == seen
