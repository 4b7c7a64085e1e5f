"""What the tests of the transactions share."""

from __future__ import annotations

import pytest

from tests.http_stand_in import make_environment_plain


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    make_environment_plain(monkeypatch)
