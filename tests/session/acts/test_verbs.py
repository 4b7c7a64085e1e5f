"""The verbs of an Orthanc server are verbs of a session on it, and change it."""

from __future__ import annotations

import inspect

import pytest

from simple_orthanc import Orthanc
from simple_orthanc.session import asynchronous
from simple_orthanc.session.acts.verbs import ActsOnServer

VERBS = [name for name in vars(ActsOnServer) if not name.startswith("_")]


@pytest.mark.parametrize("name", VERBS)
def test_an_orthanc_has_the_verb(name: str) -> None:
    assert getattr(Orthanc, name) is getattr(ActsOnServer, name)
    # Awaited verbs that change a session wait for their turn.
    assert ActsOnServer in asynchronous._CHANGING


@pytest.mark.parametrize("name", [name for name in VERBS if name not in ("labels", "archive")])
def test_acts_can_be_tried_and_restricted_by_name_only(name: str) -> None:
    parameters = inspect.signature(getattr(ActsOnServer, name)).parameters
    assert "everything" in parameters
    for option in ("dry_run", "everything", "whole"):
        assert option not in parameters or parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
