"""The requests that jobs and objects need, as `simple_orthanc.rest.Rest` makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from simple_orthanc.rest.capabilities import Capabilities


class RestApi(Protocol):
    """What modules below `Rest` see of it, so that they need not import it."""

    @property
    def url(self) -> str:
        """`Rest.url`."""

    @property
    def capabilities(self) -> Capabilities:
        """`Rest.capabilities`."""

    @property
    def listings(self) -> dict[str, list[dict[str, Any]]]:
        """`Rest.listings`."""

    @property
    def get(self) -> Callable[..., Any]:
        """`Rest.get`."""

    @property
    def post(self) -> Callable[..., Any]:
        """`Rest.post`."""

    @property
    def put(self) -> Callable[..., Any]:
        """`Rest.put`."""

    @property
    def delete(self) -> Callable[..., Any]:
        """`Rest.delete`."""

    @property
    def request(self) -> Callable[..., Any]:
        """`Rest.request`."""

    @property
    def stream(self) -> Callable[..., Any]:
        """`Rest.stream`."""
