"""What the tests of the transactions share."""

from __future__ import annotations

import pytest

from simple_orthanc.transport import sending


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without pauses."""
    monkeypatch.setattr(sending, "RETRY_PAUSES", (0.001, 0.001, 0.001))
