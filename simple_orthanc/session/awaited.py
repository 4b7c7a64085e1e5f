"""The threads in which verbs run that are awaited, and the order in which they use a session."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from simple_orthanc.concurrency.interruption import Interruption

# Seconds for which a cancelled call is waited for.
_SECONDS_AFTER_CANCELLATION = 1.0


class Turn:
    """The turn of one verb to use the session."""

    def __init__(self, before: Future[None] | None) -> None:
        self._before, self.ended = before, Future[None]()

    async def come(self) -> None:
        """Wait for the end of all earlier turns."""
        if self._before is None or self._before.done():
            return
        try:
            await asyncio.shield(asyncio.wrap_future(self._before))
        except BaseException:
            # Nothing was done in this turn, and the next one still comes after the earlier ones.
            self._before.add_done_callback(self.over)
            raise

    def over(self, *_: object) -> None:
        """End the turn."""
        self.ended.set_result(None)


class Turns:
    """Turns in the order in which they were taken, whichever event loop the verbs run in."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: Future[None] | None = None

    def take(self) -> Turn:
        """Return the next turn."""
        with self._lock:
            turn = Turn(self._last)
            self._last = turn.ended
        return turn


class Threads:
    """A bounded number of threads for work that event loops wait for."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._executor: ThreadPoolExecutor | None = None
        self._lock = Lock()

    def close(self) -> None:
        """End the threads that are idle, and the others after their work; others are started for later work."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    def _submit(self, work: Callable[[], Any]) -> Future[Any]:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self.most, thread_name_prefix="simple_orthanc")
            return self._executor.submit(work)

    async def run(self, work: Callable[[], Any], over: Callable[..., None] | None = None) -> Any:
        """Do some work in a thread; cancelling this interrupts it.

        Parameters
        ----------
        work : callable
            Returns the result.
        over : callable, optional
            Called when the work is over, also if that is later than it was given up.
        """
        ending, context = Interruption(), contextvars.copy_context()

        def carry_out() -> tuple[Any, BaseException | None]:
            try:
                with ending:
                    return context.run(work), None
            except BaseException as error:
                # Not raised here: a KeyboardInterrupt would end the event loop.
                return None, error

        try:
            future = self._submit(carry_out)
        except BaseException:
            if over is not None:
                over()
            raise
        if over is not None:
            future.add_done_callback(over)
        waiting = asyncio.wrap_future(future)
        try:
            result, error = await asyncio.shield(waiting)
        except asyncio.CancelledError:
            ending.interrupt()
            if not future.cancel():
                await asyncio.wait([waiting], timeout=_SECONDS_AFTER_CANCELLATION)
            waiting.cancel()
            raise
        if isinstance(error, KeyboardInterrupt):
            raise asyncio.CancelledError from error
        if error is not None:
            try:
                raise error
            finally:
                # The error refers to this call, and this call to the error.
                del error
        return result
