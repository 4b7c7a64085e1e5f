"""A session over an archive in memory with the REST API of an Orthanc whose answers are given beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simple_orthanc.errors import NotFoundError
from simple_orthanc.session import Session
from tests.memory_source import MemorySource
from tests.session.sessions import source_of, three_series


class RestStandIn:
    """Answers what is given, and writes down the jobs that were started."""

    def __init__(self, answers: Mapping[str, Any], job: Mapping[str, Any] | None = None) -> None:
        self._answers, self._job = dict(answers), dict(job or {})
        self.jobs: list[tuple[str, dict[str, Any]]] = []

    def get(self, path: str) -> Any:
        if path not in self._answers:
            raise NotFoundError(f"There is no {path}.", status=404, path=path)
        return self._answers[path]

    def run_job(self, path: str, body: dict[str, Any], *, label: str) -> dict[str, Any]:
        assert label
        self.jobs.append((path, body))
        return self._job


class SessionWithRest(Session):
    """The three series in memory, as an Orthanc."""

    def __init__(self, rest: RestStandIn) -> None:
        super().__init__(MemorySource(source_of(three_series()).datasets))
        self._rest = rest

    @property
    def rest(self) -> RestStandIn:
        """The REST API."""
        return self._rest


def with_rest(rest: RestStandIn) -> SessionWithRest:
    return SessionWithRest(rest)
