"""Sessions: their state and verbs, and the constructors for each kind of source."""

from simple_orthanc.session.base import Session
from simple_orthanc.session.orthanc import Orthanc

__all__ = ["Orthanc", "Session"]
