"""Waiting returns what it waited for, and ends."""

from __future__ import annotations

import time

import pytest

from simple_orthanc.errors import RequestTimeout
from simple_orthanc.testing import wait_until


def test_what_is_true_at_once_is_returned_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("slept"))
    assert wait_until(lambda: ["here"], timeout=0) == ["here"]


def test_it_is_called_until_it_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    answers = iter([None, 0, "", 7])
    assert wait_until(lambda: next(answers), interval=0.25) == 7
    assert slept == [0.25] * 3


def test_the_wall_clock_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    clock = iter([0.0, 1e9, -1e9, 5e9])
    monkeypatch.setattr(time, "time", lambda: next(clock))
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), timeout=30)


def test_it_gives_up_and_shows_the_last_answer() -> None:
    with pytest.raises(RequestTimeout, match=r"waited for 0 s, and last returned \[\]") as caught:
        wait_until(list, timeout=0)
    assert isinstance(caught.value, TimeoutError)


def test_errors_of_the_function_are_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0)
