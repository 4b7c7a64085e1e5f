"""Run inputs of one target in a process of its own: ``python -m tests.fuzz.worker TARGET SEED COUNT FOLDER``.

Each input is in a file before it is run, so that it is known which one ended the process, or never ended.
"""

from __future__ import annotations

import faulthandler
import random
import resource
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS, outcome

CORPUS = Path(__file__).parent / "corpus"
MOST_SECONDS = 30
MOST_BYTES = 3 << 30


def main(name: str, seed: int, count: int, folder: Path) -> int:
    """Run so many inputs; return 1 at the first raw error."""
    target = TARGETS[name]
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    seeds = [*target.seeds(), *(path.read_bytes() for path in sorted(CORPUS.glob(f"{name}-*")))]
    random_ = random.Random(seed)
    for number in range(count):
        content = seeds[number] if seed == 0 and number < len(seeds) else mutated(random_, seeds)
        (folder / "input").write_bytes(content)
        faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
        began = time.process_time()
        error = outcome(target, content)
        faulthandler.cancel_dump_traceback_later()
        if error is not None:
            traceback.print_exception(error)
            return 1
        if time.process_time() - began > MOST_SECONDS / 3:
            print(f"an input of {len(content)} bytes took {time.process_time() - began:.0f} s")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
