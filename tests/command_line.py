"""Running the command line as users do: in a process of its own, on a terminal or in a pipe; or in this process."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from simple_orthanc.cli import main

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-m", "simple_orthanc")
# The same command line, with the sessions of `stand_ins` in the place of those that it names.
WITH_STAND_INS = (sys.executable, "-m", "tests.stand_ins")
# A hanging program must fail its test, and a busy machine must not.
PATIENCE = 120.0


@dataclass(frozen=True)
class Ended:
    """The output and the status of a program; on a terminal both streams are one, ``out``."""

    status: int
    out: str
    err: str = ""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables for a program: no server of the developer's, and this checkout of the package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ORTHANC_", "DICOMWEB_"))}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, "PYTHONWARNINGS": "", **(more or {})}


def in_pipe(
    *arguments: str | Path,
    program: Sequence[str] = PROGRAM,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
) -> Ended:
    """Run the command line with its streams in pipes."""
    ended = subprocess.run(
        [*program, *map(str, arguments)],
        input=stdin.encode(),
        capture_output=True,
        timeout=PATIENCE,
        env=environment(env),
        cwd=cwd,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout.decode("utf-8", "replace"), ended.stderr.decode("utf-8", "replace"))


@contextlib.contextmanager
def inside(folder: Path | None) -> Iterator[None]:
    """Work in a folder inside the block."""
    before = Path.cwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)


def in_process(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
) -> Ended:
    """Run the command line in this process, with its streams in memory: like `in_pipe`, without the start of Python."""
    out, err = io.BytesIO(), io.BytesIO()
    with (
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()))),
        patch.object(sys, "stdout", io.TextIOWrapper(out, write_through=True)),
        patch.object(sys, "stderr", io.TextIOWrapper(err, write_through=True)),
        patch.dict(os.environ, environment(env), clear=True),
        inside(cwd),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        status = main([str(argument) for argument in arguments])
        return Ended(status, out.getvalue().decode("utf-8", "replace"), err.getvalue().decode("utf-8", "replace"))


class Terminal:
    """The command line on a terminal of its own, to wait for its output and to type."""

    def __init__(
        self,
        *arguments: str | Path,
        program: Sequence[str] = PROGRAM,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        columns: int = 100,
    ) -> None:
        import fcntl
        import termios

        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

        def own_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        variables = environment(env)
        variables.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [*program, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"TERM": "xterm", **variables},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=own_terminal,
        )
        os.close(slave)
        self.text = ""

    def _read(self, deadline: float) -> bool:
        """Read what has arrived; False if nothing more will."""
        if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise AssertionError(f"the program is silent; so far it wrote: {self.text!r}")
        try:
            piece = os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        self.text += piece.decode("utf-8", "replace")
        return bool(piece)

    def wait_for(self, pattern: str) -> str:
        """Wait until something is written, and return it."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text)):
            if not self._read(deadline):
                raise AssertionError(f"the program ended without {pattern!r}: {self.text!r}")
        return found[0]

    def type(self, text: str) -> None:
        """Type on the terminal."""
        os.write(self._master, text.encode())

    def end(self) -> Ended:
        """Wait for the end."""
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(OSError):
            while self._read(deadline):
                pass
        status = self.process.wait(PATIENCE)
        os.close(self._master)
        return Ended(status, self.text.replace("\r\n", "\n"))


def on_terminal(
    *arguments: str | Path,
    program: Sequence[str] = PROGRAM,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    columns: int = 100,
) -> Ended:
    """Run the command line on a terminal."""
    return Terminal(*arguments, program=program, env=env, cwd=cwd, columns=columns).end()
