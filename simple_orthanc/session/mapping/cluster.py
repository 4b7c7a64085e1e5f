"""A map on the cluster of a `dask.distributed` client, and the selection as a bag of sessions.

Dask schedules: it decides which worker computes what, and computes again what was lost with a worker. This module only
puts objects into tasks, a few at a time, so that a selection of any size needs little memory.
"""

from __future__ import annotations

import asyncio
import pickle
import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.extras import import_extra
from simple_orthanc.session.mapping.calls import Outcome, Row, carry_out, recording
from simple_orthanc.session.mapping.functions import name_of, pickled_function
from simple_orthanc.session.mapping.local_runs import LABEL
from simple_orthanc.session.mapping.parcels import ParcelSize, UnreadableParcelError, read_parcel, unreadable_session
from simple_orthanc.session.mapping.process_worker import as_bytes, outcome_of

if TYPE_CHECKING:
    import dask.bag

    from simple_orthanc.session.mapping.run import Run

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_COUNTS = 2.0
# Tasks for each thread of the workers, so that no thread waits for its next task.
_TASKS_PER_THREAD = 3
# An object whose task was lost is computed alone. It is given up after so many attempts.
_MOST_ATTEMPTS = 3
# Bytes of a function up to which it is sent with each task.
_LARGEST_SENT_EACH_TIME = 100_000
# The default of `dask.bag.from_sequence`.
_PARTITIONS = 100


def is_client(scheduler: object) -> bool:
    """Check whether an object is a `dask.distributed.Client`, without importing Dask."""
    return any(
        f"{kind.__module__}.{kind.__qualname__}" == "distributed.client.Client" for kind in type(scheduler).__mro__
    )


@dataclass
class _Task:
    """Some objects that are computed one after the other."""

    positions: Sequence[int]
    future: Any


class ClusterRun:
    """One map on a cluster.

    Parameters
    ----------
    client : distributed.Client
        It stays open.
    run : Run
        The objects; it takes their outcomes.

    Raises
    ------
    SelectionError
        The function cannot be sent to another process, or the client works in an event loop.
    """

    def __init__(self, client: Any, run: Run[Any]) -> None:
        if client.asynchronous:
            raise SelectionError(
                "This Dask client works in an event loop: give one that does not, Client(...), and await the map of an "
                "AsyncSession instead."
            )
        self._client, self._run = client, run
        self._content = pickled_function(run.function, "dask")
        self._sent: list[Any] = []
        self._left = deque(run.pending)
        # Objects that cannot be computed together with others.
        self._alone: deque[int] = deque()
        # Objects whose task was lost with its worker, and how often it was.
        self._suspects: deque[int] = deque()
        self._attempts: dict[int, int] = {}
        self._tasks: dict[str, _Task] = {}
        self._finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._size = ParcelSize()
        self._threads, self._counted = 1, float("-inf")

    def run(self) -> None:
        """Compute all objects. However this ends, none of its tasks is left on the cluster.

        Raises
        ------
        TransportError
            The client lost the cluster.
        """
        if not self._left:
            return
        try:
            self._send_function()
            with progress_bar(len(self._left), LABEL) as advance:
                while self._left or self._alone or self._suspects or self._tasks:
                    self._submit()
                    self._take(advance)
        except (Exception, asyncio.CancelledError) as error:
            # A lost connection raises errors of many kinds.
            if self._is_connected():
                raise
            raise TransportError(
                f"The Dask client is {self._client.status}: connect again, and call map() again; with a checkpoint it "
                "resumes where it stopped."
            ) from error
        finally:
            futures = [task.future for task in self._tasks.values()]
            # The cluster may be gone.
            with suppress(Exception):
                self._client.cancel([*futures, *self._sent], force=True)

    def _is_connected(self) -> bool:
        return self._client.status in ("running", "connecting")

    def _send_function(self) -> None:
        """Send a large function to the workers once, instead of with each task."""
        if len(self._content) <= _LARGEST_SENT_EACH_TIME:
            return
        # A task, not scattered data: Dask computes it again if the worker that holds it is lost. It is replicated to
        # all workers, since Dask prefers those that hold what a task needs.
        self._sent = [self._client.submit(_unchanged, self._content, key=_new_key("function"), pure=False)]
        self._client.replicate(self._sent)

    def _submit(self) -> None:
        """Submit as many tasks as keep the workers busy."""
        while self._alone and len(self._tasks) < _TASKS_PER_THREAD * self._capacity():
            self._submit_task([self._alone.popleft()])
        while self._left and len(self._tasks) < _TASKS_PER_THREAD * self._capacity():
            count = min(self._size.next(len(self._left), self._capacity()), len(self._left))
            self._submit_task([self._left.popleft() for _ in range(count)])
        if self._suspects and not self._tasks:
            # Alone on the cluster: if its worker dies then, the object is the cause.
            self._submit_task([self._suspects.popleft()])

    def _submit_task(self, positions: Sequence[int]) -> None:
        key = _new_key("map")
        function = self._sent[0] if self._sent else self._content
        future = self._client.submit(_computed, function, self._run.parcel(positions), key=key, pure=False)
        self._tasks[key] = _Task(positions, future)
        future.add_done_callback(self._finished.put)

    def _capacity(self) -> int:
        if time.monotonic() - self._counted > _SECONDS_BETWEEN_COUNTS:
            self._threads = max(1, sum(self._client.nthreads().values()))
            self._counted = time.monotonic()
        return self._threads

    def _take(self, advance: Callable[[int], object]) -> None:
        """Wait for the end of a task, and take its outcomes."""
        try:
            future = self._finished.get(timeout=_SECONDS_BETWEEN_LOOKS)
        except queue.Empty:
            interruption.check()
            if not self._is_connected():
                raise TransportError("The client was closed during the call.") from None
            return
        self._take_outcomes(future, self._tasks[future.key].positions, advance)
        # Not earlier: if this is interrupted before, the task is cancelled with the others.
        del self._tasks[future.key]

    def _take_outcomes(self, future: Any, positions: Sequence[int], advance: Callable[[int], object]) -> None:
        if future.status == "finished":
            contents = future.result()
            if contents is None:
                self._alone.extend(positions)
                return
            for position, content in zip(positions, contents, strict=True):
                outcome = outcome_of(content)
                self._size.add(outcome.row.seconds)
                self._run.finish(position, outcome)
                advance(1)
            return
        error = future.exception() if future.status == "error" else None
        if isinstance(error, UnreadableFunctionError):
            raise SelectionError(
                f"{name_of(self._run.function)} cannot be read on the workers: {error}. They need the same packages as "
                "this program."
            ) from None
        if isinstance(error, UnreadableParcelError):
            raise unreadable_session("on the workers", str(error)) from None
        if error is not None and type(error).__name__ != "KilledWorker":
            raise error
        for position in positions:
            self._note_lost(position, error, advance)

    def _note_lost(self, position: int, error: BaseException | None, advance: Callable[[int], object]) -> None:
        """Try an object whose task was lost again, up to a limit."""
        attempts = self._attempts[position] = self._attempts.get(position, 0) + 1
        if attempts < _MOST_ATTEMPTS:
            self._suspects.append(position)
            return
        how = "Its workers ended while they computed it" if error is not None else "Its task was cancelled"
        failure = RuntimeError(f"{how}, {attempts} times.")
        self._run.finish(position, Outcome(Row(None, str(failure), 0.0), failure))
        advance(1)


def run_on_cluster(client: Any, run: Run[Any]) -> None:
    """Compute all objects of a map on the cluster of a client; raises what `ClusterRun` raises."""
    ClusterRun(client, run).run()


def _new_key(name: str) -> str:
    import uuid

    return f"simple_orthanc-{name}-{uuid.uuid4().hex}"


class UnreadableFunctionError(RuntimeError):
    """A worker cannot read the function; the message is the reason."""


@lru_cache(maxsize=4)
def _loaded(content: bytes) -> Any:
    try:
        return pickle.loads(content)
    except Exception as error:
        raise UnreadableFunctionError(f"{type(error).__name__}: {error}") from None


def _computed(function_content: bytes, content: bytes) -> list[bytes] | None:
    """Compute the objects of a parcel on a worker; return None if they must be sent one by one."""
    function: Callable[[Any], Any] = _loaded(function_content)
    parcel = read_parcel(content)
    try:
        sessions = parcel.sessions()
    except Exception:  # sent alone, each object raises its own error
        return None
    outcomes = []
    for position in range(parcel.count):
        with recording() as warned:
            outcome = carry_out(function, partial(sessions.__getitem__, position))
        outcomes.append(as_bytes(outcome, tuple(warned)))
    return outcomes


def _unchanged(content: bytes) -> bytes:
    return content


def as_bag(sessions: Sequence[Any], npartitions: int | None) -> dask.bag.Bag:
    """Return sessions as a bag, each partition of which is one pickle.

    Parameters
    ----------
    sessions : sequence of Session
    npartitions : int, optional
        Number of partitions. Default: about a hundred, or one for each session if there are fewer.
    """
    bag: Any = import_extra("dask.bag", "dask", "to_dask()")
    delayed: Any = import_extra("dask.delayed", "dask", "to_dask()").delayed
    count = len(sessions)
    size = -(-count // (npartitions or _PARTITIONS)) or 1
    load = delayed(_loaded_partition, pure=False)
    parts = [load(_Partition(tuple(sessions[start : start + size]))) for start in range(0, count, size)]
    made: dask.bag.Bag = bag.from_delayed(parts) if parts else bag.from_sequence([], npartitions=1)
    return made


@dataclass(frozen=True)
class _Partition:
    """Sessions that Dask does not look into."""

    sessions: tuple[Any, ...]


def _loaded_partition(partition: _Partition) -> list[Any]:
    return list(partition.sessions)
