"""Sessions: their state and verbs, and the constructors for each kind of source."""

from simple_orthanc.session.base import Session
from simple_orthanc.session.completion.ipython import offer_completions
from simple_orthanc.session.orthanc import Orthanc

__all__ = ["Orthanc", "Session"]

# Before there is a session, so that Tab knows what to offer in `Orthanc().select(`.
offer_completions()
