"""The verbs that make copies are verbs of a session on an Orthanc, and change it."""

from __future__ import annotations

import inspect

import pytest

from simple_orthanc import Orthanc
from simple_orthanc.session import asynchronous
from simple_orthanc.session.acts.copy_verbs import MakesCopies


@pytest.mark.parametrize("name", ["anonymize", "modify"])
def test_copies_are_made_by_verbs_whose_options_are_named(name: str) -> None:
    assert getattr(Orthanc, name) is getattr(MakesCopies, name)
    assert MakesCopies in asynchronous._CHANGING
    parameters = inspect.signature(getattr(MakesCopies, name)).parameters
    for option in ("level", "everything", "whole", "delete_originals", "dry_run"):
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
    for changes in ("keep", "replace", "remove"):
        assert not parameters[changes].default
