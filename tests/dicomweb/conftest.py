"""What the tests of the transactions share."""

from __future__ import annotations

import pytest

from tests.http_stand_in import QuickClock, make_environment_plain


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> QuickClock:
    return make_environment_plain(monkeypatch)
