"""What people see: one line for each error and warning, values that cannot steer a terminal, questions, encodings."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import shutil
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from simple_orthanc.concurrency.progress import progress_is_shown, show_progress
from simple_orthanc.errors import OrthancError

PROGRAM = "simple-orthanc"

# Control characters of both sets, what turns the direction of writing, line separators, and lone surrogates.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def safe(text: str) -> str:
    """Write out whatever could move the cursor, change colours, or turn the direction of writing.

    Examples
    --------
    >>> safe("Doe\\x1b[2J^Jane\\n")
    'Doe\\\\x1b[2J^Jane\\\\n'
    """
    return _STEERING.sub(lambda found: _escaped(found[0]), text)


def _escaped(letter: str) -> str:
    code = ord(letter)
    return _SHORT.get(letter) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def one_line(text: str) -> str:
    """Put a message on one line.

    Examples
    --------
    >>> one_line("It ended.\\n  The log:\\nE: no")
    'It ended. The log: E: no'
    """
    return safe(" ".join(text.split()))


def width(text: str) -> int:
    """Count the columns that a text takes in a terminal: two for a wide character, none for a combining one.

    Examples
    --------
    >>> width("Doe"), width("山田"), width("e\\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def shortened(text: str, room: int, *, keep_end: bool = False) -> str:
    """Cut a text to so many columns, with an ellipsis where something is missing.

    Examples
    --------
    >>> shortened("SeriesDescription", 8), shortened("1.2.840.113619", 8, keep_end=True)
    ('SeriesD…', '….113619')
    """
    if width(text) <= room:
        return text
    taken: list[str] = []
    used = 1
    for letter in reversed(text) if keep_end else text:
        used += width(letter)
        if used > room:
            break
        taken.append(letter)
    return "…" + "".join(reversed(taken)) if keep_end else "".join(taken) + "…"


def terminal_width() -> int | None:
    """Give how many columns the standard output has; None where it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def prepare_streams() -> None:
    """Write UTF-8 to files and pipes, and to terminals that would otherwise know ASCII alone.

    A terminal with another encoding keeps it; what it cannot show is written out, and nothing fails for a character.
    """
    for stream in (sys.stdout, sys.stderr):
        _prepare(stream)


def _prepare(stream: Any) -> None:
    if not hasattr(stream, "reconfigure"):
        return
    keeps = stream.isatty() and codecs.lookup(stream.encoding or "ascii").name != "ascii"
    # Line ends are written as they are meant: those of CSV are CR LF everywhere.
    stream.reconfigure(
        encoding=stream.encoding if keeps else "utf-8",
        errors="backslashreplace",
        newline="\n",
    )


def say(text: str, *, quiet: bool = False) -> None:
    """Write a line to the standard error stream; a reader that is gone is no matter."""
    if quiet:
        return
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def say_error(text: str) -> None:
    """Write an error on one line."""
    say(f"{PROGRAM}: error: {one_line(text)}")


@contextlib.contextmanager
def reporting(quiet: bool, progress: bool) -> Iterator[None]:
    """Show each warning once, on a line of its own, and progress only where it is wanted, inside the block."""
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
        # What libraries say to programmers is not for users of a command.
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
    """Say whether somebody is there to answer a question."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def confirmed(question: str) -> bool:
    """Ask on the terminal; only "yes" and "y" mean yes."""
    sys.stderr.write(f"{question} [yes/no] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("yes", "y")


def ask_secret(question: str) -> str:
    """Ask for a password on the terminal, without showing what is typed.

    Raises
    ------
    OrthancError
        There is no terminal, so that the password would be shown or read from somewhere else.
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
                "The password was to be asked for, but there is no terminal: give --password-file FILE, or "
                "--password-file - to read it from the standard input."
            ) from None


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
