"""Fuzz every target in turn, for `FUZZ_SECONDS` (600) in all: ``make fuzz``.

An input that ends the process, takes too long, or raises what is no error of the library is kept in `fuzz-found/`, by
its target and its checksum. What is found becomes a test, and a file of `tests/fuzz/corpus/`.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.targets import TARGETS

FOUND = Path("fuzz-found")
_INPUTS_EACH = 60


def run_inputs(name: str, seed: int, count: int, folder: Path) -> str:
    """Run some inputs of a target in a process; return what went wrong, "" if nothing did."""
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(seed), str(count), str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if not ended.returncode:
        return ""
    return f"{name}, seed {seed}: ended with {ended.returncode}\n{(ended.stdout + ended.stderr)[-3000:]}"


def main(seconds: float) -> int:
    """Fuzz until the time is over; return how many inputs were found."""
    ends = time.monotonic() + seconds
    found: set[str] = set()
    runs = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        while time.monotonic() < ends:
            for target in TARGETS:
                problem = run_inputs(target, random.randrange(1, 1 << 30), _INPUTS_EACH, folder)
                runs += _INPUTS_EACH
                if problem:
                    content = (folder / "input").read_bytes()
                    FOUND.mkdir(exist_ok=True)
                    path = FOUND / f"{target}-{hashlib.sha256(content).hexdigest()[:12]}"
                    path.write_bytes(content)
                    found.add(str(path))
                    print(f"{problem}\nkept as {path}\n", flush=True)
                if time.monotonic() > ends:
                    break
    print(f"{runs} inputs at most, {len(found)} found")
    return len(found)


if __name__ == "__main__":
    sys.exit(min(main(float(os.environ.get("FUZZ_SECONDS") or 600)), 1))
