"""Times as Orthanc writes them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from simple_orthanc.rest.server_time import server_time


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("20261129T011739", datetime(2026, 11, 29, 1, 17, 39, tzinfo=timezone.utc)),
        ("20261129T011739.250000", datetime(2026, 11, 29, 1, 17, 39, 250000, timezone.utc)),
        (" 20261129T011739\n", datetime(2026, 11, 29, 1, 17, 39, tzinfo=timezone.utc)),
    ],
)
def test_a_time(written: str, time: datetime) -> None:
    assert server_time(written) == time


@pytest.mark.parametrize("written", ["", None, 7, "yesterday", "20261329T011739", "2026-11-29T01:17:39"])
def test_an_invalid_time(written: Any) -> None:
    assert server_time(written) is None
