"""Output for people: one line per error and warning, questions, encodings."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from simple_orthanc.concurrency.progress import progress_is_shown, show_progress
from simple_orthanc.errors import OrthancError
from simple_orthanc.showing.text import safe

PROGRAM = "simple-orthanc"


def one_line(text: str) -> str:
    r"""Put a message on one line.

    Examples
    --------
    >>> one_line("It ended.\n  The log:\nE: no")
    'It ended. The log: E: no'
    """
    return safe(" ".join(text.split()))


def terminal_width() -> int | None:
    """Return the number of columns of the standard output, or None if it is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def prepare_streams() -> None:
    """Write UTF-8 to files and pipes, and to terminals whose encoding is ASCII.

    A terminal with another encoding keeps it; characters that it cannot show are escaped, and raise no error.
    """
    for stream in (sys.stdout, sys.stderr):
        _prepare(stream)


def _prepare(stream: Any) -> None:
    if not hasattr(stream, "reconfigure"):
        return
    keeps = stream.isatty() and codecs.lookup(stream.encoding or "ascii").name != "ascii"
    # Line ends are not translated: those of CSV are CR LF everywhere.
    stream.reconfigure(
        encoding=stream.encoding if keeps else "utf-8",
        errors="backslashreplace",
        newline="\n",
    )


def say(text: str, *, quiet: bool = False) -> None:
    """Write a line to the standard error stream; a closed pipe is ignored."""
    if quiet:
        return
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def say_error(text: str) -> None:
    """Write an error on one line."""
    say(f"{PROGRAM}: error: {one_line(text)}")


@contextlib.contextmanager
def reporting(quiet: bool, progress: bool) -> Iterator[None]:
    """Inside the block, show each warning once on its own line, and progress bars only if they are wanted."""
    said: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = one_line(str(message))
        if text not in said:
            said.add(text)
            say(f"{PROGRAM}: warning: {text}")

    before = progress_is_shown()
    with warnings.catch_warnings():
        # Warnings for programmers are not for users of a command.
        warnings.simplefilter("ignore")
        if not quiet:
            warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        show_progress(progress and not quiet)
        try:
            yield
        finally:
            show_progress(before)


def can_ask() -> bool:
    """Check whether a user can answer a question on the terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def confirmed(question: str) -> bool:
    """Ask a question on the terminal; only "yes" and "y" confirm."""
    sys.stderr.write(f"{question} [yes/no] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("yes", "y")


def ask_secret(question: str, what: str = "password") -> str:
    """Ask for a secret on the terminal, without echo.

    Parameters
    ----------
    question : str
        The question.
    what : str
        What is asked for; ``--WHAT-file`` is the option that takes it from a file.

    Raises
    ------
    OrthancError
        There is no terminal, so the secret would be shown, or read from another input.
    """
    import getpass

    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            if not sys.stdin.isatty() and not _has_terminal():
                raise EOFError
            return getpass.getpass(question)
        except (EOFError, getpass.GetPassWarning):
            raise OrthancError(
                f"The {what} cannot be asked for, because there is no terminal: give --{what}-file FILE, or "
                f"--{what}-file - to read it from the standard input."
            ) from None


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
