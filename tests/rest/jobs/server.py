"""A server of jobs without a network."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.concurrency import interruption
from simple_orthanc.errors import NotFoundError
from simple_orthanc.rest.jobs import Job, clock
from tests.http_stand_in import QuickClock

RUNNING = {"ID": "7", "Type": "Archive", "State": "Running", "Progress": 40, "Content": {}}
SUCCESS = {"ID": "7", "Type": "Archive", "State": "Success", "Progress": 100, "Content": {"InstancesCount": 3}}
FAILURE = {"ID": "7", "State": "Failure", "ErrorCode": 9, "ErrorDescription": "Network", "ErrorDetails": "no\nroute"}
GONE = NotFoundError("404", status=404)


class JobServer:
    """Gives the states of job 7 one after the other, the last one for ever; an exception in their place is raised.

    What is posted is answered with `answer`, or with the exception that `refusals` has for the path.
    """

    url = "http://127.0.0.1:8042"

    def __init__(self, *states: Any, answer: Any = None) -> None:
        self.listings: dict[str, list[dict[str, Any]]] = {}
        self.states = list(states)
        self.posted: list[tuple[str, Any]] = []
        self.got: list[str] = []
        self.options: list[dict[str, Any]] = []
        self.answer = {"ID": "7", "Path": "/jobs/7"} if answer is None else answer
        self.refusals: dict[str, BaseException] = {}

    def __repr__(self) -> str:
        return "<REST API of http://127.0.0.1:8042>"

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        self.posted.append((path, body))
        if path in self.refusals:
            raise self.refusals[path]
        return self.answer

    def get(self, path: str, **options: Any) -> Any:
        self.got.append(path)
        self.options.append(options)
        if path not in ("/jobs/7", "/jobs"):
            raise NotFoundError(f"404 {path}", status=404)
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, BaseException):
            raise state
        return state

    def job(self, **description: Any) -> Job:
        return Job(self, "7", description or None)


def quick(monkeypatch: pytest.MonkeyPatch) -> QuickClock:
    """Let jobs wait by a clock that only their pauses move on."""
    quick_clock = QuickClock()
    monkeypatch.setattr(clock, "monotonic", quick_clock.monotonic)
    monkeypatch.setattr(interruption, "pause", quick_clock.pause)
    return quick_clock
