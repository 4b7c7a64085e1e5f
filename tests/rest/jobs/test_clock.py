"""How long a job is waited for."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import TransportError
from simple_orthanc.rest.jobs.clock import Clock, checked_seconds
from tests.http_stand_in import QuickClock
from tests.rest.jobs.server import quick

RUNNING = {"State": "Running", "Progress": 1, "Content": {}}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> QuickClock:
    return quick(monkeypatch)


def test_a_pause_ends_with_the_nearest_limit(waits: QuickClock) -> None:
    clock = Clock(10, 3)
    assert clock.pause(RUNNING, 1.0) == 1.0
    waits.pause(2.5)
    assert clock.pause(RUNNING, 1.0) == 0.5
    assert clock.pause({**RUNNING, "Progress": 2}, 1.0) == 1.0
    waits.pause(2.5)
    assert clock.pause({**RUNNING, "Progress": 3}, 9.0) == 3.0
    waits.pause(2.5)
    assert (clock.pause({**RUNNING, "Progress": 4}, 9.0), clock.left()) == (2.5, 2.5)
    assert clock.reason == "did not end within 10 s"


def test_without_a_timeout_only_a_standstill_ends_it(waits: QuickClock) -> None:
    clock = Clock(None, 3)
    for progress in range(100):
        assert clock.pause({**RUNNING, "Progress": progress}, 1.0) == 1.0
        waits.pause(2.9)
    assert clock.left() is None
    waits.pause(0.2)
    assert clock.pause({**RUNNING, "Progress": 99}, 1.0) <= 0
    assert clock.reason == "has not changed for 3 s"


@pytest.mark.parametrize(
    ("name", "seconds", "expected"), [("timeout", None, None), ("timeout", 0, 0.0), ("stall", 2, 2.0)]
)
def test_times(name: str, seconds: Any, expected: float | None) -> None:
    assert checked_seconds(name, seconds) == expected


@pytest.mark.parametrize(("name", "seconds"), [("stall", None), ("timeout", -1), ("stall", "5"), ("timeout", True)])
def test_invalid_times(name: str, seconds: Any) -> None:
    with pytest.raises(TransportError, match=f"{name} is .*; give seconds, as in {name}=60"):
        checked_seconds(name, seconds)
