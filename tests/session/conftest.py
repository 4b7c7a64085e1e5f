"""What the tests of the session share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture
def empty_selections() -> Iterator[None]:
    """Allow empty selections without a warning: an archive made at random has many of them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Nothing is selected any more")
        yield
