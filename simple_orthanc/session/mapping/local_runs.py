"""A map in threads of this process, or in processes of this machine."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from simple_orthanc.concurrency.helpers import Helper, HelperEndedError, HelperPool, HelperTaskError, processors
from simple_orthanc.concurrency.progress import in_background, progress_bar
from simple_orthanc.concurrency.threads import map_ordered, run_all
from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.session.mapping.calls import Outcome, Row, carry_out
from simple_orthanc.session.mapping.functions import name_of, pickled_function
from simple_orthanc.session.mapping.parcels import ParcelSize, UnreadableParcelError, unreadable_session
from simple_orthanc.session.mapping.process_worker import outcome_of

if TYPE_CHECKING:
    from simple_orthanc.session.mapping.run import Run

LABEL = "mapping"
# Two are enough for reading and computing to overlap; each holds one object in memory.
THREADS = 4
# A process may die for reasons that have nothing to do with its object, such as a lack of memory for all processes.
_MOST_ENDS = 3
_WORKER = "simple_orthanc.session.mapping.process_worker"


def run_in_threads(run: Run[Any], workers: int | None) -> None:
    """Call the function in threads of this process."""
    with run.children() as child:

        def compute(position: int) -> None:
            # The progress of all objects is shown, not that of reading one.
            with in_background():
                run.finish(position, carry_out(run.function, partial(child, position)))

        run_all(compute, run.pending, workers=workers or THREADS, label=LABEL)


def run_in_processes(run: Run[Any], workers: int | None) -> None:
    """Call the function in processes, each of which computes one object at a time.

    A process that dies is replaced, and its object is tried again.

    Raises
    ------
    SelectionError
        The function, or one of the session's criteria, cannot be sent to another process.
    UnsupportedError
        No process can be started.
    """
    content = pickled_function(run.function, "processes")
    if not run.pending:
        return
    count = min(workers or processors(), len(run.pending))
    pool = HelperPool(_WORKER)
    # The function may be large, so each process reads it once, from a file that no other user can read.
    with (
        tempfile.TemporaryDirectory(prefix="simple_orthanc-") as folder,
        progress_bar(len(run.pending), LABEL) as advance,
    ):
        path = os.path.join(folder, "function")
        with open(path, "wb") as stream:
            stream.write(content)
        dispatcher = _Dispatcher(run, pool, path, count, advance)
        try:
            pool.start(count)
            list(map_ordered(dispatcher.work, range(count), workers=max(count, 2)))
        finally:
            pool.close()


class _Dispatcher:
    """Hands parcels to processes, from one thread for each process, until nothing is left."""

    def __init__(
        self, run: Run[Any], pool: HelperPool, path: str, count: int, advance: Callable[[int], object]
    ) -> None:
        self._run, self._pool, self._path, self._count, self._advance = run, pool, path, count, advance
        self._lock = threading.Lock()
        self._left = deque(run.pending)
        # Objects that are sent one by one.
        self._alone: deque[int] = deque()
        # How often a process died while it computed an object.
        self._ends: dict[int, int] = {}
        self._size = ParcelSize()
        self._is_over = False

    def work(self, thread: int) -> None:
        """Hand over one parcel after the other; run by each thread."""
        try:
            while positions := self._next():
                with self._pool.lend() as helper:
                    if helper is None:
                        raise UnsupportedError(
                            "No process can be started from this program: use threads, map(function), or "
                            'scheduler="threads".'
                        )
                    self._compute(helper, deque(positions))
        except BaseException:
            # It ends the other threads too.
            self._is_over = True
            raise

    def _next(self) -> list[int]:
        with self._lock:
            if self._is_over:
                return []
            if self._alone:
                return [self._alone.popleft()]
            count = min(self._size.next(len(self._left), self._count), len(self._left))
            return [self._left.popleft() for _ in range(count)]

    def _compute(self, helper: Helper, positions: deque[int]) -> None:
        """Compute a parcel; what was not computed is sent one by one later."""
        try:
            if not self._ask(helper, ["open", self._path], self._run.parcel(positions))[0]:
                self._put_back(positions)
                return
            while positions:
                _, content = self._ask(helper, ["next", self._path])
                self._note(positions.popleft(), outcome_of(content))
        except HelperEndedError as ended:
            suspect = positions.popleft()
            self._put_back(positions)
            self._ends[suspect] = self._ends.get(suspect, 0) + 1
            if self._ends[suspect] < _MOST_ENDS:
                self._put_back([suspect])
                return
            error = RuntimeError(f"The process that computed it ended {_MOST_ENDS} times ({ended}).")
            self._note(suspect, Outcome(Row(None, str(error), 0.0), error))

    def _ask(self, helper: Helper, head: Any, body: bytes = b"") -> tuple[Any, bytearray]:
        try:
            return helper.call(head, body)
        except HelperTaskError as error:
            if error.kind == UnreadableParcelError.__name__:
                raise unreadable_session("in another process", str(error)) from None
            raise SelectionError(
                f"{name_of(self._run.function)} cannot be read in another process: {error.kind}: {error}. What it "
                "imports must be importable there by the same names; or use threads: map(function)."
            ) from None

    def _note(self, position: int, outcome: Outcome) -> None:
        self._size.add(outcome.row.seconds)
        self._run.finish(position, outcome)
        self._advance(1)

    def _put_back(self, positions: Iterable[int]) -> None:
        with self._lock:
            self._alone.extend(positions)
