"""An Orthanc that keeps what is configured, and answers other requests as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from simple_orthanc.rest import Rest
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply

Answers = Mapping[str, "Callable[[Any], Any]"]
"""Method and path to a function that returns the answer to a body, or an (answer, status) pair."""

SYSTEM = {"Version": "1.12.7", "ApiVersion": 27, "DicomAet": "ME"}


class Server:
    """The configuration of one Orthanc, and the requests that it was asked."""

    def __init__(self, answers: Answers | None = None, system: Mapping[str, Any] = SYSTEM) -> None:
        self.configured: dict[str, dict[str, Any]] = {"modalities": {}, "peers": {}, "dicom-web/servers": {}}
        self.answers = dict(answers or {})
        self.system = system
        self.asked: list[tuple[str, str, Any]] = []

    def reply(self, asked: Asked, number: int) -> bytes:
        try:
            body = json.loads(asked.body) if asked.body else None
        except ValueError:
            body = asked.body.decode()
        self.asked.append((asked.method, asked.path, body))
        answer = self._answer(asked.method, asked.path, body)
        return reply(answer[0], answer[1]) if isinstance(answer, tuple) else reply(answer)

    def _answer(self, method: str, path: str, body: Any) -> Any:
        route = path.partition("?")[0].strip("/")
        if f"{method} /{route}" in self.answers:
            return self.answers[f"{method} /{route}"](body)
        if route == "system":
            return dict(self.system)
        for kind, known in self.configured.items():
            if route == kind:
                return {name: shown(fields) for name, fields in known.items()} if "expand" in path else list(known)
            name, _, below = route.removeprefix(f"{kind}/").partition("/")
            if route == f"{kind}/{name}" and method == "PUT":
                known[name] = body
                return b""
            if route == f"{kind}/{name}" and method == "DELETE" and name in known:
                del known[name]
                return b""
            if route.startswith(kind) and below == "configuration" and name in known and kind != "dicom-web/servers":
                return shown(known[name])
        return {"Message": "Unknown resource", "OrthancStatus": 17}, 404

    def requests(self, method: str) -> list[str]:
        """Return the paths that were asked by one method."""
        return [path for asked, path, _ in self.asked if asked == method]


def shown(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as Orthanc shows it: passwords are null, and of headers only the names are shown."""
    hidden = {"Password": None} if "Password" in fields else {}
    headers = {"HttpHeaders": list(fields["HttpHeaders"])} if "HttpHeaders" in fields else {}
    return {**fields, **hidden, **headers}


@contextmanager
def serving(server: Server) -> Iterator[Rest]:
    """Yield the REST API of the stand-in."""
    with StandIn(server.reply) as http:
        transport = Transport(http.url, patience=0)
        yield Rest(transport)
        transport.close()


def unreachable() -> Rest:
    """Return a REST API at which any request is a TransportError, for what is to be refused before any request."""
    return Rest(Transport("http://127.0.0.1:1", patience=0))
