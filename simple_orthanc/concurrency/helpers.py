"""Helper processes, for work that holds the interpreter: in threads of one process such work takes turns.

A helper is a plain Python that runs the file `helper_main` and exchanges messages over its standard streams. Neither a
fork, which is unsound in a program with threads, nor the start-up of `multiprocessing`, which runs a user's script
again. Helpers live as long as their pool: closed pipes end them, however this process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import IO, Any

from simple_orthanc.concurrency import helper_main, interruption
from simple_orthanc.concurrency.helper_main import receive, send

# More helpers than this share the memory bandwidth of most machines, and each takes memory of its own.
MOST_HELPERS = 8

_PROGRAM = Path(helper_main.__file__)
_PACKAGES = str(Path(__file__).parents[2])
# Seconds for a helper that has lost its pipes to end.
_PATIENCE = 2.0
_SECONDS_BETWEEN_LOOKS = 0.2
_ENVIRONMENT = {
    # Linear algebra, which no helper uses, would start threads for all processors of each helper.
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # Memory that is given back after each frame costs up to a third of the decoding time to get again. The GNU library
    # reads these, others ignore them.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 24),
}


class HelperEndedError(RuntimeError):
    """A helper ended in the middle of its work; the message is the signal or the exit status."""


class HelperTaskError(RuntimeError):
    """The work of a helper raised an exception.

    Attributes
    ----------
    kind : str
        The name of the exception's type.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def interpreter() -> str | None:
    """Return the path of the Python that can run a script, or None where this process is another program."""
    frozen = getattr(sys, "frozen", False) or not sys.executable
    name = "" if frozen else Path(sys.executable).name.lower()
    return sys.executable if ("python" in name or "pypy" in name) and _PROGRAM.is_file() else None


class Helper:
    """A helper that answers one caller alone.

    Parameters
    ----------
    process : Popen
        The helper.
    replace : callable
        Starts another in its place, and returns how it ended.

    Attributes
    ----------
    is_usable : bool
        Whether it answers; after an error it does not.
    """

    def __init__(self, process: subprocess.Popen[bytes], replace: Callable[[subprocess.Popen[bytes]], str]) -> None:
        self._process, self._replace = process, replace
        self.is_usable = True

    def call(self, head: Any, body: bytes = b"") -> tuple[Any, bytearray]:
        """Let the helper answer a message, and wait for it; arguments, results and errors as for `HelperPool.call`."""
        try:
            with interruption.ended_by(self._process.kill):
                send(_raw(self._process.stdin), head, body)
                (kind, result), content = receive(_raw(self._process.stdout))
        except BaseException as error:
            # Whatever happened, the helper may be in the middle of a message.
            self.is_usable = False
            if not isinstance(error, Exception):
                self._process.kill()
            reason = self._replace(self._process)
            interruption.check()
            if isinstance(error, (EOFError, OSError)):
                raise HelperEndedError(reason) from error
            raise
        if kind is not None:
            raise HelperTaskError(kind, result)
        return result, content


class HelperPool:
    """Runs one function in helper processes; any number of threads may call it at once.

    Parameters
    ----------
    module : str
        The name or the file of the module whose function ``answer(head, body)`` the helpers call.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._preload = ""
        self._lock = threading.Lock()
        self._started = self._closed = False
        self._helpers: set[subprocess.Popen[bytes]] = set()
        self._starting: set[threading.Thread] = set()
        # The helpers with nothing to do. None tells every waiting thread that there are and will be none.
        self._free: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()

    @property
    def is_started(self) -> bool:
        """True if helpers were ever started."""
        return self._started

    def start(self, count: int, preload: str = "") -> bool:
        """Start helpers, once, and return at once; return whether they were ever started.

        Parameters
        ----------
        count : int
            The number of helpers.
        preload : str
            A module that each of them imports before it is ready.
        """
        if not interpreter():
            return False
        with self._lock:
            if not self._started and not self._closed:
                self._started, self._preload = True, preload
                for _ in range(count):
                    self._start_one()
        return self._started

    def call(self, head: Any, body: bytes = b"") -> tuple[Any, bytearray] | None:
        """Let a free helper answer a message, and wait for it.

        Parameters
        ----------
        head
            Anything that JSON can hold.
        body : bytes

        Returns
        -------
        (Any, bytearray) or None
            What ``answer`` returned; None where there is no helper, so that this process has to do the work.

        Raises
        ------
        HelperEndedError
            The helper ended, for example by a signal; another takes its place.
        HelperTaskError
            ``answer`` raised an exception.
        RuntimeError
            The pool is closed.
        """
        with self.lend() as helper:
            return None if helper is None else helper.call(head, body)

    @contextlib.contextmanager
    def lend(self) -> Iterator[Helper | None]:
        """Wait for a free helper, which is the caller's in a ``with`` block; None where there is no helper.

        Raises
        ------
        RuntimeError
            The pool is closed.
        """
        if not self._started:
            yield None
            return
        process = self._free_helper()
        if self._closed:
            self._free.put(process)
            raise RuntimeError("the helpers were ended by close()")
        if process is None:
            self._free.put(None)
            yield None
            return
        helper = Helper(process, self._replace)
        try:
            yield helper
        finally:
            if helper.is_usable:
                self._free.put(process)

    def _free_helper(self) -> subprocess.Popen[bytes] | None:
        """Wait for a helper with nothing to do."""
        while True:
            interruption.check()
            with contextlib.suppress(queue.Empty):
                return self._free.get(timeout=_SECONDS_BETWEEN_LOOKS)

    def close(self) -> None:
        """End the helpers."""
        with self._lock:
            self._closed = True
            helpers, threads = list(self._helpers), list(self._starting)
        for helper in helpers:
            helper.kill()
        for thread in threads:
            thread.join()
        for helper in helpers:
            _finish(helper)
        self._free.put(None)

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._launch, name="simple_orthanc helper", daemon=True)
        # There may be as many threads already as the system allows.
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._starting.add(thread)
        self._release_waiting()

    def _release_waiting(self) -> None:
        """Let every waiting thread know where there is no helper and none on its way."""
        if not self._helpers and not self._starting:
            self._free.put(None)

    def _launch(self) -> None:
        """Start a helper and wait until it is ready; where the last one fails, this process has to do the work."""
        helper: subprocess.Popen[bytes] | None = None
        ready = False
        try:
            with self._lock:
                if not self._closed:
                    helper = _popen(self._module, self._preload)
                    self._helpers.add(helper)
            if helper is not None:
                ready = receive(_raw(helper.stdout))[0] == "ready"
        except (OSError, EOFError, ValueError):
            # Such a Python cannot be started here, or said something else than that it is ready.
            ready = False
        finally:
            if helper is not None and ready:
                self._free.put(helper)
            elif helper is not None:
                _finish(helper)
            with self._lock:
                if helper is not None and not ready:
                    self._helpers.discard(helper)
                self._starting.discard(threading.current_thread())
                self._release_waiting()

    def _replace(self, helper: subprocess.Popen[bytes]) -> str:
        """Start another in place of a helper that ended, and return how it ended."""
        with self._lock:
            self._helpers.discard(helper)
            if not self._closed:
                self._start_one()
        status = _finish(helper)
        if status < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-status).name
        return f"exit status {status}"


def _popen(module: str, preload: str) -> subprocess.Popen[bytes]:
    options: dict[str, Any]
    # Ctrl-C in a terminal is for this process, which then ends the helpers.
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    else:
        options = {"start_new_session": True}
    path = [_PACKAGES, *(os.path.abspath(entry) for entry in sys.path)]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_PROGRAM), module, preload, json.dumps(path)],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_ENVIRONMENT},
        **options,
    )


def _raw(pipe: IO[bytes] | None) -> FileIO:
    """Return a pipe of `subprocess` as the unbuffered file that it is."""
    assert isinstance(pipe, FileIO)
    return pipe


def _finish(helper: subprocess.Popen[bytes]) -> int:
    """Close the pipes of a helper, which ends it, and wait for that."""
    for pipe in (helper.stdin, helper.stdout):
        _raw(pipe).close()
    try:
        return helper.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        helper.kill()
        return helper.wait()
