"""Names of files: one plain part of a path, and never the same for two values."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.session.exports.names import file_name, folded, readable_name, safe_name

HOSTILE = [
    "..",
    ".",
    "",
    "/",
    "/etc/passwd",
    "../../x",
    "..\\..\\x",
    "C:\\x",
    "con",
    "NUL.txt",
    "nul.?",
    "a\0b",
    "~",
    "-rf",
]
NAMES = st.one_of(
    st.sampled_from([*HOSTILE, "missing", "missing-e3b0c442", "a" * 300, "a.", "a ", "é", "e\u0301", "COM1"]),
    st.text("aA./\\ -_:é0\0", max_size=8),
    st.text(max_size=80),
)


@pytest.mark.parametrize("name", ["1.2.840.10008", "P1", "a_b-c", "x.dcm", "console", "A" * 64])
def test_a_plain_identifier_is_unchanged(name: str) -> None:
    assert safe_name(name) == name


@given(NAMES | st.none())
def test_a_name_is_one_plain_part_of_a_path(text: str | None) -> None:
    name = safe_name(text)
    assert name == os.path.basename(name)
    assert Path("folder", name).parts == ("folder", name)
    assert Path(os.path.normpath(Path("folder", name))) == Path("folder", name)
    assert 0 < len(name) <= 73
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set(' /\\:*?"<>|')
    assert not name.endswith(".")
    assert name.partition(".")[0].lower() not in ("con", "prn", "aux", "nul", "com1", "lpt1")


@given(NAMES, NAMES)
def test_two_names_differ_unless_one_is_made_to_look_like_the_other(one: str, other: str) -> None:
    if one == other:
        assert safe_name(one) == safe_name(other)
    elif safe_name(one) == safe_name(other):
        # Only an identifier that is itself a made name, checksum and all, meets the one it was made from.
        assert one == safe_name(other) or other == safe_name(one)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("T1_MPRAGE", "T1_MPRAGE"),
        ("T1 MPRAGE", "T1_MPRAGE"),
        ("T2*/FLAIR", "T2__FLAIR"),
        ("Müller^Jürgen", "Müller_Jürgen"),
        ("山田^太郎", "山田_太郎"),
        ("e\u0301", "\u00e9"),
        ("T1+C", "T1+C"),
        ("***", "___-"),
        ("line\nbreak", "line_break-"),
        ("\u202eabc", "_abc-"),
        ("\ud800", "_-"),
        ("x" * 65, "x" * 64 + "-"),
    ],
)
def test_a_value_stays_readable(value: str, name: str) -> None:
    assert readable_name(value) == name or (name.endswith("-") and readable_name(value)[:-8] == name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("T1_sag.dcm", "T1_sag.dcm"),
        ("..", "__"),
        (".hidden", "_hidden"),
        ("dot.", "dot_"),
        ("space ", "space_"),
        ("CON", "_CON"),
        ("nul.nii.gz", "_nul.nii.gz"),
        ("LPT1.dcm", "_LPT1.dcm"),
        ("console", "console"),
    ],
)
def test_a_name_is_safe_on_windows(name: str, expected: str) -> None:
    assert file_name(name) == expected


@given(NAMES, st.sampled_from(["", ".dcm", ".nii.gz"]))
def test_a_readable_name_is_one_plain_part_of_a_path(text: str, suffix: str) -> None:
    name = file_name(readable_name(text) + suffix)
    assert Path("folder", name).parts == ("folder", name)
    assert Path(os.path.normpath(Path("folder", name))) == Path("folder", name)
    assert 0 < len(name.encode()) <= 200
    assert name.isprintable()
    assert not set(name) & set(' /\\:*?"<>|')
    assert not name.startswith(".")
    assert not name.endswith(".")
    assert name.endswith(suffix)
    assert name.partition(".")[0].lower() not in ("con", "prn", "aux", "nul", "com1", "lpt1")
    assert file_name(name) == name


def test_a_long_name_keeps_its_suffix() -> None:
    assert file_name("山" * 100 + ".nii.gz").endswith(".nii.gz")
    assert file_name("山" * 100 + ".nii.gz") != file_name("山" * 101 + ".nii.gz")


def test_names_that_a_file_system_takes_for_one() -> None:
    assert folded("T1") == folded("t1")
    assert folded("e\u0301") == folded("\u00c9")
    assert folded("T1") != folded("T2")
