"""Every trap, for tests/live/test_traps*.py and for tools/trap-table."""

from __future__ import annotations

from tests.live import traps_in_space, traps_in_values
from tests.live.trap_registry import TRAPS, Case, Trap

__all__ = ["TRAPS", "Case", "Trap", "traps_in_space", "traps_in_values"]
