"""The verbs by which an Orthanc server acts on what is selected; each is a module of this package."""

from __future__ import annotations

from simple_orthanc.session.orthanc_state import OrthancState


class ActsOnServer(OrthancState):
    """The verbs that need an Orthanc server.

    Each plans, acts and returns one row per object as `simple_orthanc.session.acts.reports` describes. A module of this
    package that carries out a verb takes an `OrthancState`, since `Orthanc` itself is made of this class.
    """
