"""What the commands that change an archive have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from simple_orthanc.cli import terminal
from simple_orthanc.cli.parser import CommandParser
from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.session import Orthanc, Session
from simple_orthanc.showing.text import safe

if TYPE_CHECKING:
    import pandas as pd

_UIDS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID")


def add_everything(parser: CommandParser) -> None:
    """Add the option that allows the whole archive."""
    parser.add_argument("--everything", action="store_true", help="allow the whole archive where nothing is selected")


@contextmanager
def options_named() -> Iterator[None]:
    """Name the options of the command line in errors that name arguments of the library."""
    try:
        yield
    except SelectionError as error:
        options = [option for option in ("everything", "whole", "overwrite") if f"{option}=True" in error.message]
        if not options:
            raise
        raise SelectionError(
            f"{error.message} On the command line that is --{options[0]}, and --where or an ID narrows."
        ) from None


def server(session: Session, verb: str) -> Orthanc:
    """Return a session that is on an Orthanc server.

    Raises
    ------
    UnsupportedError
        It is on something else.
    """
    if not isinstance(session, Orthanc):
        raise UnsupportedError(
            f"Images were to be {verb}, which only an Orthanc server does, and this is a {type(session).__name__}: "
            "name the server with --url."
        )
    return session


def report_others(table: pd.DataFrame, *done: str) -> int:
    """Print the objects with which something else was done; return the exit status."""
    for row in table[~table["status"].isin(done)].to_dict("records"):
        name = next((row[uid] for uid in _UIDS if isinstance(row.get(uid), str)), "")
        reason = f": {row['message']}" if row["message"] else ""
        terminal.say(safe(f"{row['status']}: {row['level']} {name}{reason}"))
    return int(table["status"].isin(("failed", "conflict", "not tried")).any())
