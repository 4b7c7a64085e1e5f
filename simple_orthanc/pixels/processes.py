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

from simple_orthanc.pixels import codestreams

_PROGRAM = Path(codestreams.__file__)
# Roughly the seconds that a decoder takes for a sample. They decide only whether helpers are worth starting, and how
# many.
_SECONDS = {"openjpeg": 100e-9, "gdcm": 25e-9, "charls": 20e-9}
# A helper takes up to a fifth of a second to start, so that each must have more than that to do.
_SECONDS_EACH = 0.25
_MOST = 8
# Seconds for a helper that has lost its pipes to end.
_PATIENCE = 2.0
_ENVIRONMENT = {
    # Linear algebra, which no decoder uses, would start threads for all processors of each helper.
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # Memory that is given back after each frame costs up to a third of the decoding time to get again. The GNU library
    # reads these, others ignore them.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 24),
}


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
    >>> from simple_orthanc.pixels.stored import stored_values
    >>> from pydicom import dcmread
    >>> from pydicom.data import get_testdata_file
    >>> with DecodingProcesses(instances=1) as processes:
    ...     stored_values(dcmread(get_testdata_file("JPEG2000.dcm")), processes).shape
    (1, 1024, 256)
    """

    def __init__(self, instances: int) -> None:
        self._instances = instances
        self.width = min(processors(), _MOST)
        self._lock = threading.Lock()
        self._started = self._closed = False
        self._helpers: set[subprocess.Popen[bytes]] = set()
        self._starting: set[threading.Thread] = set()
        # The helpers with nothing to do. None says that there are none and will be none, to everybody who asks.
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
            self._free.put(helper)
            raise RuntimeError("the read that it belongs to is over")
        if helper is None:
            self._free.put(None)
            return codestreams.run(codec, stream, arguments)
        try:
            codestreams.send(_raw(helper.stdin), [codec, *arguments], stream)
            (kind, *facts), content = codestreams.receive(_raw(helper.stdout))
        except BaseException as error:
            # Whatever happened, the helper may be in the middle of a message.
            reason = self._replace(helper, codec)
            if isinstance(error, (EOFError, OSError)):
                raise ValueError(f"the helper process that decoded it ended ({reason})") from error
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
        if min(self.width, worthwhile) < 2 or not interpreter():
            return False
        with self._lock:
            if not self._started and not self._closed:
                self._started = True
                for _ in range(min(self.width, worthwhile)):
                    self._start_one(codec)
        return self._started

    def _start_one(self, codec: str) -> None:
        thread = threading.Thread(target=self._launch, args=(codec,), name="simple_orthanc helper", daemon=True)
        # There may be as many threads already as the system allows.
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._starting.add(thread)
        self._tell_if_none_is_left()

    def _tell_if_none_is_left(self) -> None:
        if not self._helpers and not self._starting:
            self._free.put(None)

    def _launch(self, codec: str) -> None:
        """Start a helper and wait until it can decode; the last that cannot be started leaves it to this process."""
        helper: subprocess.Popen[bytes] | None = None
        ready = False
        try:
            with self._lock:
                if not self._closed:
                    helper = _popen(codec)
                    self._helpers.add(helper)
            if helper is not None:
                codestreams.receive(_raw(helper.stdout))
                ready = True
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
                self._tell_if_none_is_left()

    def _replace(self, helper: subprocess.Popen[bytes], codec: str) -> str:
        """Put another in the place of a helper that ended, and say how it ended."""
        with self._lock:
            self._helpers.discard(helper)
            if not self._closed:
                self._start_one(codec)
        status = _finish(helper)
        if status < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-status).name
        return f"exit status {status}"


def interpreter() -> str | None:
    """Name the Python that can run a script, where this process is one."""
    frozen = getattr(sys, "frozen", False) or not sys.executable
    name = "" if frozen else Path(sys.executable).name.lower()
    return sys.executable if ("python" in name or "pypy" in name) and _PROGRAM.is_file() else None


def _popen(codec: str) -> subprocess.Popen[bytes]:
    options: dict[str, Any]
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
