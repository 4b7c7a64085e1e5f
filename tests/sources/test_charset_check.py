"""Strings that Orthanc could not decode are recognized, and others are not taken for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.sources.charset_check import is_decodable, is_mangled, shows_undecoded_strings

KANJI = "山田^太郎"


def undecoded(string: str, codec: str) -> str:
    """Return a string as a reader that decodes only its ASCII characters returns it."""
    return string.encode(codec).decode("ascii", "replace").replace("\x1b", "")


@pytest.mark.parametrize(
    "string",
    [
        undecoded(KANJI, "iso2022_jp"),
        undecoded("김희중", "iso2022_kr"),
        "Op^A\u00a5Op^B",
        "half\u203e",
        "\ufffd\ufffd",
        "a\x00b",
    ],
)
def test_remains_of_undecoded_strings_are_recognized(string: str) -> None:
    assert is_mangled(string)


@pytest.mark.parametrize("string", ["", "Doe^Jane", "T2*_GRE (3 mm)", "Schädel", KANJI, "5 $ off", "a\tb\nc"])
def test_decoded_strings_are_not_taken_for_remains(string: str) -> None:
    assert not is_mangled(string)


@given(st.from_regex(r"[A-Za-z0-9 ^=._-]*", fullmatch=True))
def test_plain_names_are_never_read_again(string: str) -> None:
    assert not is_mangled(string)


@pytest.mark.parametrize(
    "character_set",
    [None, "", "  ", "ISO_IR 100", "iso_ir 192", "GB18030", "ISO 2022 IR 149", "\\ISO 2022 IR 87", "\\", "ISO_IR 100 "],
)
def test_one_character_set_that_is_known_is_decoded(character_set: str | None) -> None:
    assert is_decodable(character_set)


@pytest.mark.parametrize(
    "character_set",
    ["ISO IR 100", "UTF-8", "ISO_IR 6\\ISO 2022 IR 87", "\\ISO 2022 IR 87\\ISO 2022 IR 159", "\\ISO 2022 IR 1000"],
)
def test_several_or_unknown_character_sets_are_not_decoded(character_set: str) -> None:
    assert not is_decodable(character_set)


def test_a_yen_sign_separates_character_sets_as_a_backslash_does() -> None:
    assert not is_decodable("ISO 2022 IR 13\u00a5ISO 2022 IR 87")


@pytest.mark.parametrize(
    ("name", "value", "shows"),
    [
        ("PatientName", ("YAMADA^TAROU=;3ED^B@O:",), True),
        ("PatientName", (f"YAMADA^TAROU={KANJI}",), False),
        ("PatientName", ("YAMADA^TAROU=^",), False),
        ("StudyDescription", ("head=neck",), False),
        ("StudyDescription", ("\uff94\uff8f\uff80\uff9e",), True),
        ("PatientName", (), False),
        ("PatientName", None, False),
    ],
)
def test_a_study_whose_name_is_undecoded_shows_it(name: str, value: tuple[str, ...] | None, shows: bool) -> None:
    assert shows_undecoded_strings({name: value}) is shows
