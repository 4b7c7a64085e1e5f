"""Runs one server program, and ends it when the Python process that asked for it has ended.

`server` starts this file as a script that uses only the standard library. A killed interpreter runs no clean-up, and
asking the kernel inside ``fork`` to end a child with its parent is unsafe in a program with threads. This process has
no threads when it starts the server, so it may. It also reads a pipe whose other end only its parent holds; the end of
that pipe shows on every system that the parent has ended.

It takes one JSON argument: ``command`` to run; ``lock``, a file to lock meanwhile; ``grace``, the seconds that the
server has to end before it is killed; ``orphan``, paths to remove if the parent has died. It writes one line
(``started``, ``busy`` or ``failed`` with the reason), and ``ended`` with the exit status if the server ends by itself.
It ends the server at the first byte or the end of its input.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

# Long enough for a server that is ending because its own parent has just died.
LOCK_PATIENCE = 3.0
PR_SET_PDEATHSIG = 1


def lock(path: str, patience: float = LOCK_PATIENCE) -> int | None:
    """Lock the file at `path` and return its descriptor, or None if another process holds the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.05)


def before_exec() -> Callable[[], None] | None:
    """Return a function that makes the kernel end the server with this process, or None where it cannot (not Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        # Loaded before the fork, so that the child only makes the call.
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def ask_to_end(server: subprocess.Popen[bytes], *, forcibly: bool = False) -> None:
    """Ask the server and the processes that it started to end."""
    if server.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            server.terminate()
        else:
            # The server leads its own process group, so a wrapper script ends together with what it runs.
            os.killpg(server.pid, signal.SIGKILL if forcibly else signal.SIGTERM)


def end_when_asked(server: subprocess.Popen[bytes], grace: float, orphan: list[str], asked: threading.Event) -> None:
    """Wait for the parent's signal or death, then end the server; remove `orphan` if the parent has died."""
    # os.read, because a buffered standard input blocked in a thread cannot be closed when the interpreter ends.
    first_byte = os.read(0, 1)
    asked.set()
    ask_to_end(server, forcibly=not grace)
    try:
        server.wait(grace or None)
    except subprocess.TimeoutExpired:
        ask_to_end(server, forcibly=True)
        server.wait()
    if not first_byte:
        for path in orphan:
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            elif os.path.exists(path):
                os.remove(path)


def report(line: str) -> None:
    """Write a line to the parent, which may have ended."""
    try:
        os.write(1, (line.replace("\n", " ") + "\n").encode())
    except OSError:
        return


def main(argument: str) -> int:
    """Run the server that `argument` describes until it ends or is asked to."""
    request = json.loads(argument)
    # Inherited by the server: nobody else may read what it writes.
    os.umask(0o077)
    if lock(request["lock"]) is None:
        report("busy")
        return 1
    # The log, which the parent opened: only the holder of the lock may remove what an earlier server wrote.
    os.ftruncate(2, 0)
    try:
        server = subprocess.Popen(
            request["command"],
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=2,
            start_new_session=True,
            preexec_fn=before_exec(),
        )
    except OSError as error:
        report(f"failed {error}")
        return 1
    signal.signal(signal.SIGTERM, lambda number, frame: ask_to_end(server))
    report("started")
    asked = threading.Event()
    listener = threading.Thread(
        target=end_when_asked, args=(server, request["grace"], request["orphan"], asked), daemon=True
    )
    listener.start()
    status = server.wait()
    if asked.is_set():
        listener.join()
    else:
        report(f"ended {status}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
