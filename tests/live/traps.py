"""Every trap: what tests/live/test_traps*.py assert of, and what tools/trap-table tabulates."""

from __future__ import annotations

import traps_in_space
import traps_in_values
from trap_registry import TRAPS, Case, Trap

__all__ = ["TRAPS", "Case", "Trap", "traps_in_space", "traps_in_values"]
