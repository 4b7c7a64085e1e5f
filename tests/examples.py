"""How many random examples the property tests try."""

from __future__ import annotations

import os

THOROUGH = os.environ.get("SIMPLE_ORTHANC_TESTS") == "thorough"
FACTOR = 10 if THOROUGH else 1


def examples(count: int) -> int:
    """Return how many examples a test tries for which `count` suffice in an ordinary run."""
    return FACTOR * count
