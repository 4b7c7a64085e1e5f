"""How many random examples the property tests try."""

from __future__ import annotations

import os

THOROUGH = os.environ.get("SIMPLE_ORTHANC_TESTS") == "thorough"
FACTOR = 10


def examples(count: int, *, thorough: int | None = None) -> int:
    """Return how many examples a test tries: `count`, and in a thorough run `thorough`, by default ten times as many.

    A test on a server that costs much for each example tries few in an ordinary run, others on each version.
    """
    if THOROUGH:
        return thorough or FACTOR * count
    return count
