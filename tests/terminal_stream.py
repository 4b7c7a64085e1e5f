"""A stream that says it is a terminal, and keeps what is written."""

from __future__ import annotations

import io


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
