"""The connection to a server: one pooled ``requests.Session``, with authentication, retries, timeouts and streaming.

Nothing here knows DICOM or Orthanc's routes. `Transport` sends requests; `Answer` and `Stream` are what comes back;
everything that goes wrong comes out as an error of `simple_orthanc.errors`.
"""

from __future__ import annotations

from simple_orthanc.transport.address import is_loopback, parse_address
from simple_orthanc.transport.client import Transport
from simple_orthanc.transport.reading import Answer, Stream

__all__ = ["Answer", "Stream", "Transport", "is_loopback", "parse_address"]
