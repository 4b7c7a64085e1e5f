"""A map in threads of this process, or in processes of this machine."""

from __future__ import annotations

import os
import pickle
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any

from simple_orthanc.concurrency.helpers import HelperEndedError, HelperPool, HelperTaskError, processors
from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.session.mapping.calls import Outcome, Row, carry_out
from simple_orthanc.session.mapping.functions import name_of, pickled_function

if TYPE_CHECKING:
    from simple_orthanc.session.mapping.run import Run

LABEL = "mapping"
# Reading and computing overlap already with two; each has an object of its own in memory.
THREADS = 4
# A process that computes an object may end for reasons that lie elsewhere, such as too little memory for all of them.
_MOST_ENDS = 3
_WORKER = "simple_orthanc.session.mapping.process_worker"


def run_in_threads(run: Run[Any], workers: int | None) -> None:
    """Call the function in threads of this process."""

    def compute(position: int) -> None:
        run.finish(position, carry_out(run.function, partial(run.child, position)))

    run_all(compute, run.pending, workers=workers or THREADS, label=LABEL)


def run_in_processes(run: Run[Any], workers: int | None) -> None:
    """Call the function in processes, each of which does one object at a time.

    A process that ends in the middle is replaced, and its object is tried again.

    Raises
    ------
    SelectionError
        The function cannot be handed to another process.
    UnsupportedError
        No process can be started.
    """
    content = pickled_function(run.function, "processes")
    if not run.pending:
        return
    count = min(workers or processors(), len(run.pending))
    pool = HelperPool(_WORKER)
    # The function may hold much, so each process reads it once, from a file that no other user can read.
    with tempfile.TemporaryDirectory(prefix="simple_orthanc-") as folder:
        path = os.path.join(folder, "function")
        with open(path, "wb") as stream:
            stream.write(content)
        try:
            pool.start(count)
            run_all(partial(_compute, run, pool, path), run.pending, workers=count, label=LABEL)
        finally:
            pool.close()


def _compute(run: Run[Any], pool: HelperPool, path: str, position: int) -> None:
    content = pickle.dumps(run.child(position))
    for attempt in range(1, _MOST_ENDS + 1):
        try:
            answer = pool.call(path, content)
        except HelperEndedError as ended:
            if attempt == _MOST_ENDS:
                run.finish(position, _ended(str(ended)))
            continue
        except HelperTaskError as error:
            raise SelectionError(
                f"{name_of(run.function)} cannot be read in another process: {error.kind}: {error}. It imports what it "
                "needs by the same names as here; threads need no second import: map(function)."
            ) from None
        if answer is None:
            raise UnsupportedError(
                'No process can be started from this program: use threads, map(function), or scheduler="threads".'
            )
        outcome: Outcome = pickle.loads(answer[1])
        run.finish(position, outcome)
        return


def _ended(how: str) -> Outcome:
    error = RuntimeError(f"The process that computed it ended {_MOST_ENDS} times ({how}).")
    return Outcome(Row(None, str(error), 0.0), error)
