"""Helper processes that decode, for decoders that hold the interpreter: in threads of one process these take turns.

A helper is a plain Python started on the file `codestreams`, and spoken to over its standard streams. Neither a fork,
which is unsound in a program with threads, nor the start-up of `multiprocessing`, which runs a user's script again.
Helpers live as long as one read: closed pipes end them, whatever ends this process.
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
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import IO, Any

from simple_orthanc import codestreams

_PROGRAM = Path(codestreams.__file__)
# Seconds that a decoder takes for a sample of an ordinary image, on a machine of 2020. They decide only whether helpers
# are worth starting, and how many.
_SECONDS = {"openjpeg": 100e-9, "gdcm": 25e-9, "charls": 20e-9}
# Starting a helper takes this machine a sixth of a second, so that each must have more than that to do.
_SECONDS_EACH = 0.25
_MOST = 8
# Seconds for a helper that has lost its pipes to end.
_PATIENCE = 2.0
# Linear algebra, which no decoder uses, would start threads for all processors of each helper.
_ENVIRONMENT = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class DecodingProcesses:
    """Decodes the codestreams of one read: in this process, or in helpers where these save time.

    It may be used from several threads at once, which is what makes helpers work side by side. None is started before
    the first codestream shows that the read is long enough, and none is left after the ``with`` block.

    Parameters
    ----------
    instances : int
        How many objects are about to be read.

    Attributes
    ----------
    width : int
        How many codestreams are worth decoding at once.

    Examples
    --------
    >>> from simple_orthanc import pixels
    >>> from pydicom import dcmread
    >>> from pydicom.data import get_testdata_file
    >>> with DecodingProcesses(instances=1) as processes:
    ...     pixels.stored(dcmread(get_testdata_file("JPEG2000.dcm")), processes).shape
    (1, 1024, 256)
    """

    def __init__(self, instances: int) -> None:
        self._instances = instances
        self.width = min(processors(), _MOST)
        self._lock = threading.Lock()
        self._started = self._closed = False
        # Whether this process takes its turn among the helpers, and how many of these are ready.
        self._here = False
        self._helpers: set[subprocess.Popen[bytes]] = set()
        self._ready = 0
        self._starting: set[threading.Thread] = set()
        # Who may decode the next codestream: a helper, or None for this process.
        self._free: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()

    def __enter__(self) -> DecodingProcesses:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(
        self, codec: str, stream: bytes, arguments: Sequence[Any], samples: int
    ) -> tuple[bytes | bytearray, tuple[int, ...]]:
        """Decode a codestream, as `codestreams.run` does, with the same results.

        Parameters
        ----------
        codec, stream, arguments
            As there.
        samples : int
            How many samples the whole object has, all of its frames together.

        Raises
        ------
        ValueError
            The decoder refused the stream, or ended the process that it ran in.
        ImportError, MemoryError
            As they were raised.
        """
        if not self._started and not self._start(codec, samples):
            return codestreams.run(codec, stream, arguments)
        helper = self._free.get()
        if self._closed:
            # Others may wait as well.
            self._free.put(None)
            raise RuntimeError("The read that these helpers decode for is over.")
        if helper is None:
            try:
                return codestreams.run(codec, stream, arguments)
            finally:
                self._give_back_this_process()
        try:
            codestreams.send(_raw(helper.stdin), [codec, *arguments], stream)
            (kind, *facts), content = codestreams.receive(_raw(helper.stdout))
        except BaseException as error:
            # Whatever happened, the helper may be in the middle of a message.
            reason = self._replace(helper, codec)
            if isinstance(error, (EOFError, OSError)):
                raise ValueError(f"the process that decoded the stream ended by {reason}") from error
            raise
        self._free.put(helper)
        if kind is None:
            return content, tuple(facts)
        if kind in ("ImportError", "ModuleNotFoundError"):
            # Packages can be found by more than a path, and that is known to this process alone.
            return codestreams.run(codec, stream, arguments)
        raise (MemoryError if kind == "MemoryError" else ValueError)(facts[0] or kind)

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

    def _start(self, codec: str, samples: int) -> bool:
        """Start helpers if they are worth it, and say whether they were ever started."""
        worthwhile = int(self._instances * samples * _SECONDS[codec] / _SECONDS_EACH)
        if min(self.width, worthwhile) < 2 or not _interpreter():
            return False
        with self._lock:
            if not self._started and not self._closed:
                # Until a helper is ready this process decodes.
                self._free.put(None)
                self._started = self._here = True
                for _ in range(min(self.width, worthwhile)):
                    self._start_one(codec)
        return self._started

    def _start_one(self, codec: str) -> None:
        thread = threading.Thread(target=self._launch, args=(codec,), name="simple_orthanc helper", daemon=True)
        self._starting.add(thread)
        thread.start()

    def _launch(self, codec: str) -> None:
        """Start a helper and wait until it can decode; without one, the others or this process go on alone."""
        helper = None
        try:
            with self._lock:
                if self._closed:
                    return
                helper = _popen(codec)
                self._helpers.add(helper)
            codestreams.receive(_raw(helper.stdout))
        except (OSError, EOFError, ValueError):
            if helper is not None:
                with self._lock:
                    self._helpers.discard(helper)
                _finish(helper)
        else:
            with self._lock:
                self._ready += 1
            self._free.put(helper)
        finally:
            with self._lock:
                self._starting.discard(threading.current_thread())

    def _give_back_this_process(self) -> None:
        """Let this process decode again, unless there are helpers to do it."""
        with self._lock:
            self._here = not self._ready
            if self._here:
                self._free.put(None)

    def _replace(self, helper: subprocess.Popen[bytes], codec: str) -> str:
        """Put another in the place of a helper that ended, and say how it ended."""
        with self._lock:
            self._ready -= 1
            self._helpers.discard(helper)
            if not self._ready and not self._here:
                self._here = True
                self._free.put(None)
            if not self._closed:
                self._start_one(codec)
        status = _finish(helper)
        if status < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-status).name
        return f"exit status {status}"


def _interpreter() -> str | None:
    """Name the Python that can run a script, where this process is one."""
    frozen = getattr(sys, "frozen", False) or not sys.executable
    name = "" if frozen else Path(sys.executable).name.lower()
    return sys.executable if ("python" in name or "pypy" in name) and _PROGRAM.is_file() else None


def _popen(codec: str) -> subprocess.Popen[bytes]:
    # Ctrl-C in a terminal is for this process, which then ends the helpers.
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    else:
        options = {"start_new_session": True}
    path = [os.path.abspath(entry) for entry in sys.path]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_PROGRAM), codec, json.dumps(path)],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_ENVIRONMENT},
        **options,
    )


def _raw(pipe: IO[bytes] | None) -> FileIO:
    """Give a pipe of `subprocess` as what it is without a buffer."""
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
