"""A server that answers a few routes of the objects, on 127.0.0.1."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from simple_orthanc.rest import Rest
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply
from tests.rest.test_capabilities import SYSTEM

KEY = "59364e41-48479fd5"
STUDY = {
    "ID": KEY,
    "IsStable": True,
    "LastUpdate": "20261129T014435",
    "MainDicomTags": {"StudyInstanceUID": "1.2", "StudyDate": "20200101", "AccessionNumber": "A1"},
    "PatientMainDicomTags": {"PatientID": "P1"},
    "ParentPatient": "bdaf1eca-33d4619e",
    "Series": ["055f59f6-2936ada8"],
    "Type": "Study",
}


class ObjectServer(StandIn):
    """Answers by ``"METHOD /path"``, with a reply, an object as JSON, or one of a list after the other.

    A path is looked up with its query first, then without. Anything else is 404, as of Orthanc.

    Attributes
    ----------
    rest : Rest
        A connection that tries nothing again.
    """

    def __init__(self, routes: Mapping[str, Any], system: Mapping[str, Any] = SYSTEM) -> None:
        self.routes = {"GET /system": dict(system), **routes}
        super().__init__(self._answer)
        self.rest = Rest(Transport(self.url, patience=0))

    @property
    def calls(self) -> list[str]:
        """What was asked so far, as ``"METHOD /path?query"``."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def _answer(self, asked: Asked, count: int) -> bytes:
        call = f"{asked.method} {asked.path}"
        name = call if call in self.routes else call.partition("?")[0]
        if name not in self.routes:
            return reply({"Message": "Unknown resource", "HttpStatus": 404}, 404)
        answer = self.routes[name]
        if isinstance(answer, In):
            answer = answer.turn.pop(0) if len(answer.turn) > 1 else answer.turn[0]
        if callable(answer):
            answer = answer(asked)
        return answer if isinstance(answer, bytes) else reply(answer)


class In:
    """Answers that are given one after the other, the last one for ever."""

    def __init__(self, *turn: Any) -> None:
        self.turn = list(turn)


def text(content: str | bytes, status: int = 200, **headers: str) -> bytes:
    """A reply that is text."""
    body = content.encode() if isinstance(content, str) else content
    return reply(body, status, {"Content-Type": "text/plain", **headers})


def data(content: bytes, number: int = 0) -> bytes:
    """A reply with its revision, as of metadata and attachments."""
    return reply(content, 200, {"Content-Type": "application/octet-stream", "ETag": f'"{revision(content, number)}"'})


def revision(content: bytes, number: int = 0) -> str:
    return f"{number}-{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
