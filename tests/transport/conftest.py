"""What the tests of the transport share."""

from __future__ import annotations

import os

import pytest

from simple_orthanc.transport import sending


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without pauses, and see neither proxies nor certificate bundles of the environment."""
    monkeypatch.setattr(sending, "RETRY_PAUSES", (0.001, 0.001, 0.001))
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name)
