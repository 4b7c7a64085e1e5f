"""The verbs of an Orthanc server are verbs of a session on it."""

from __future__ import annotations

from simple_orthanc import Orthanc
from simple_orthanc.session.acts.verbs import ActsOnServer


def test_a_session_on_an_orthanc_has_the_verbs() -> None:
    assert issubclass(Orthanc, ActsOnServer)
