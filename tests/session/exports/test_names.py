"""Names of files: one plain part of a path, and never the same for two values."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.session.exports.names import safe_name

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
