"""The query of a search: every string survives in a URL, and is compared here as a server would."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.dicomweb.query import attribute, matches, needs_escape, query_string, widened
from simple_orthanc.errors import UnsupportedError


@given(st.dictionaries(st.sampled_from(["PatientName", "StudyID", "0009,1001"]), st.text(st.characters(codec="utf-8"))))
def test_any_string_survives_in_a_query(filters: dict[str, str]) -> None:
    pairs = parse_qsl(query_string(filters, False, ()), keep_blank_values=True)
    assert pairs == [(attribute(name), value) for name, value in filters.items()]


@pytest.mark.parametrize(
    ("value", "wider"), [("Doe^Jane", "Doe*Jane"), ("Müller", "M*ller"), ("a b+c", "a*b*c"), ("T2*", "T2*")]
)
def test_what_must_be_encoded_becomes_a_wildcard(value: str, wider: str) -> None:
    assert needs_escape("PatientName", value) == (value != wider)
    assert widened("PatientName", value) == wider
    assert matches({"00100010": {"vr": "PN", "Value": [{"Alphabetic": value}]}}, "PatientName", wider)


def test_what_has_no_wildcards_is_not_widened() -> None:
    with pytest.raises(UnsupportedError, match="StudyDate = '2020 01'"):
        widened("StudyDate", "2020 01")
