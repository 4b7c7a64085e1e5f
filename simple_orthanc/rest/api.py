"""The requests that jobs and objects need, as `simple_orthanc.rest.Rest` makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class RestApi(Protocol):
    """What modules below `Rest` see of it, so that they need not import it."""

    @property
    def get(self) -> Callable[..., Any]:
        """`Rest.get`."""

    @property
    def post(self) -> Callable[..., Any]:
        """`Rest.post`."""
