"""Limits can be changed, for good or for a block, to numbers above 0 only."""

from __future__ import annotations

from typing import Any

import pytest

import simple_orthanc
from simple_orthanc import limits
from simple_orthanc.errors import SelectionError

NAMES = [name for name in limits.__annotations__ if not name.startswith("_")]


def test_the_package_shows_its_limits() -> None:
    assert simple_orthanc.limits is limits
    assert all(limits.default(name) == getattr(limits, name) > 0 for name in NAMES)
    assert len(NAMES) > 5


def test_a_limit_is_changed_for_good_or_for_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "json_bytes", 1000)
    assert "simple_orthanc.limits.json_bytes = 1000;" in limits.advice("json_bytes")
    with limits.changed(json_bytes=5, head_seconds=2.5):
        assert (limits.json_bytes, limits.head_seconds) == (5, 2.5)
    with pytest.raises(ZeroDivisionError), limits.changed(json_bytes=5):
        limits.json_bytes //= 0
    assert (limits.json_bytes, limits.head_seconds) == (1000, limits.default("head_seconds"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("json_bytes", 0),
        ("json_bytes", -1),
        ("json_bytes", 1.5),
        ("json_bytes", True),
        ("json_bytes", "1000"),
        ("nesting", None),
        ("head_seconds", float("nan")),
        ("jsonbytes", 1000),
        ("changed", 1),
    ],
)
def test_other_values_and_names_are_refused(name: str, value: Any) -> None:
    before = {known: getattr(limits, known) for known in NAMES}
    with pytest.raises(SelectionError, match=name):
        setattr(limits, name, value)
    with pytest.raises(SelectionError, match=name), limits.changed(head_bytes=7, **{name: value}):
        pass
    assert {known: getattr(limits, known) for known in NAMES} == before
