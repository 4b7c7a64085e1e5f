"""The connection to a server: one pooled ``requests.Session``, with authentication, retries, timeouts and streaming.

Nothing here knows DICOM or Orthanc's routes. `Transport` sends requests and returns an `HttpResponse` or a `Stream`;
every failure is raised as an error of `simple_orthanc.errors`.
"""

from __future__ import annotations

from simple_orthanc.transport.address import is_loopback, parse_address
from simple_orthanc.transport.bodies import HttpResponse, Stream
from simple_orthanc.transport.client import Transport
from simple_orthanc.transport.patience import UnusableError

__all__ = ["HttpResponse", "Stream", "Transport", "UnusableError", "is_loopback", "parse_address"]
