"""The largest memory that this process has had."""

from __future__ import annotations

import re
from pathlib import Path


def peak_memory() -> float:
    """Return it in MB, on Linux.

    Not ``ru_maxrss`` of the resource module, which begins with the memory of the process that started this one.
    """
    kilobytes = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert kilobytes is not None
    return int(kilobytes[1]) / 1024
