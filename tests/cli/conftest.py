"""The command line runs in the process of the tests, of which another test may have made a kernel of a notebook."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no progress bars on a stderr that is read: a notebook, and not a terminal, would show them there."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
