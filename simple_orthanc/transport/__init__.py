"""The connection to a server: one pooled ``requests.Session``, with authentication, retries, timeouts and streaming.

Nothing here knows DICOM or Orthanc's routes. `Transport` sends requests and returns an `HttpResponse` or a `Stream`;
every failure is raised as an error of `simple_orthanc.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simple_orthanc.on_demand import on_demand

if TYPE_CHECKING:
    from simple_orthanc.transport.address import is_loopback, parse_address
    from simple_orthanc.transport.bodies import HttpResponse, Stream
    from simple_orthanc.transport.client import Transport
    from simple_orthanc.transport.patience import UnusableError

__all__ = ["HttpResponse", "Stream", "Transport", "UnusableError", "is_loopback", "parse_address"]

# Sessions hide passwords with `transport.secret`, and need no connection until they are opened.
__getattr__ = on_demand(
    __name__,
    {
        "HttpResponse": "simple_orthanc.transport.bodies",
        "Stream": "simple_orthanc.transport.bodies",
        "Transport": "simple_orthanc.transport.client",
        "UnusableError": "simple_orthanc.transport.patience",
        "is_loopback": "simple_orthanc.transport.address",
        "parse_address": "simple_orthanc.transport.address",
    },
)
