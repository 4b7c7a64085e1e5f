"""What a server says it can do, by its version and its answer to /system."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.rest.capabilities import Capabilities, parse_version

SYSTEM: dict[str, Any] = {
    "ApiVersion": 28,
    "Version": "1.12.7",
    "HasLabels": True,
    "Capabilities": {"HasExtendedFind": True},
    "IngestTranscoding": "",
    "MainDicomTags": {
        "Patient": "0010,0010;0010,0020",
        "Study": "0008,0020;0020,000D",
        "Series": "0008,103E",
        "Instance": "0008,0018",
    },
}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.10.1", (1, 10, 1)),
        ("1.12.7", (1, 12, 7)),
        ("1.12.7+dfsg", (1, 12, 7)),
        ("1.13", (1, 13)),
        ("1.12.5rc1", (1, 12, 5)),
        ("", ()),
        ("unknown", ()),
    ],
)
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@given(st.lists(st.integers(0, 99), min_size=3, max_size=3), st.lists(st.integers(0, 99), min_size=3, max_size=3))
def test_versions_are_ordered_as_numbers_and_the_development_line_is_newest(one: list[int], other: list[int]) -> None:
    first, second = (parse_version(".".join(map(str, parts))) for parts in (one, other))
    assert (first < second) == (one < other)
    assert parse_version("mainline-a1b2c3") > first


def test_what_a_server_can_do() -> None:
    found = Capabilities.from_system(SYSTEM)
    assert (found.extended_find, found.labels, found.ranges, found.transcodes) == (True, True, True, False)
    assert found.tags_by_level["study"] == ("0008,0020", "0020,000d")
    assert found.main_tags == {"0010,0010", "0010,0020", "0008,0020", "0020,000d", "0008,103e", "0008,0018"}


def test_what_an_old_server_can_do() -> None:
    found = Capabilities.from_system({"ApiVersion": 16, "Version": "1.10.1"})
    assert (found.extended_find, found.labels, found.ranges, found.transcodes) == (False, False, False, False)
    assert found.tags_by_level == {}
    assert found.main_tags == frozenset()
    assert Capabilities.from_system({"Version": "1.11.0", "IngestTranscoding": "1.2.840.10008.1.2.4.80"}).transcodes
