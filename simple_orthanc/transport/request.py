"""`Request`: one request to a server, as its caller specified it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from simple_orthanc.transport.patience import Patience
from simple_orthanc.transport.secret import Secret

IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
"""Methods whose requests can safely be sent twice."""


@dataclass(frozen=True)
class Request:
    """One request, which may take several attempts."""

    method: str
    path: str
    params: Mapping[str, Any] | None
    data: Any = field(repr=False)
    hidden_headers: Secret
    timeout: tuple[float | None, float | None]
    repeatable: bool
    start: int | None
    patience: Patience
    minimum_rate: float
    deadline: float | None = None
    accepted_statuses: tuple[int, ...] = ()

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of this request, sent in addition to those of the connection."""
        headers: Mapping[str, str] = self.hidden_headers.reveal()
        return headers

    @property
    def shown(self) -> str:
        """The path without the query, which may hold names of patients."""
        path = self.path.partition("?")[0]
        return urlsplit(path).path if self.is_absolute else f"/{path}"

    @property
    def is_absolute(self) -> bool:
        """Whether the path is a whole URL rather than one below the server's root."""
        return self.path.startswith(("http://", "https://"))

    def rewind(self) -> None:
        """Go back to the beginning of the body, for another attempt."""
        if self.start is not None:
            self.data.seek(self.start)
