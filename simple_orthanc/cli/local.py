"""Commands that start their own archive: ``serve``, ``demo``."""

from __future__ import annotations

import signal
import sys
import time
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any

from simple_orthanc import demo
from simple_orthanc.cli import terminal
from simple_orthanc.cli.parser import CommandParser, Commands, add_command, positive
from simple_orthanc.cli.source import given_password
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.local.server import LocalOrthanc
from simple_orthanc.showing.text import safe
from simple_orthanc.transport.secret import reveal

_GLANCE = 0.2


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_command(
        commands,
        "serve",
        _serve,
        summary="start an Orthanc server over a folder of DICOM files, until Ctrl-C",
        details="The files are copied into a temporary store, which is removed at the end; the folder is not changed. "
        "Prints the\naddress, which only this machine can reach, and on a terminal how to log in: the password is new "
        "at each start,\nunless --username and --password-file name one before the command.",
        examples=["serve ~/scans", "serve ~/scans --port 8042", "--username jane --password-file FILE serve ~/scans"],
        arguments=_serve_arguments,
        selects=False,
    )
    add_command(
        commands,
        "demo",
        _demo,
        summary="a tour: a server, some files, a table, a volume, its picture",
        details="Leaves volume.png and volume.nii.gz in FOLDER.",
        examples=["demo", "demo /tmp/tour"],
        arguments=_demo_arguments,
        selects=False,
    )


def _serve_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="FOLDER", help="with the folders inside it")
    parser.add_argument("--port", type=positive, metavar="N", help="default: a free one")
    parser.add_argument("--program", metavar="FILE", help="the Orthanc program; default: the one that is found")


def _serve(args: Namespace) -> int:
    if args.url or args.dicomweb or args.profile or args.folder:
        args.usage("serve starts a server of its own, so no other source can be named before it")
    folder = Path(args.target).expanduser()
    if not folder.is_dir():
        raise SelectionError(f"{folder} is not a folder, so there is nothing to serve.")
    # The program also cleans up when it is ended by its process id.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config: dict[str, Any] = {} if args.port is None else {"HttpPort": args.port}
    if args.token_file is not None:
        args.usage("serve knows users with passwords, and no tokens")
    password = given_password(args)
    if (password is None) != (args.username is None):
        args.usage("serve needs both a --username and a password (--password-file or --ask-password), or neither")
    if password is not None:
        config["RegisteredUsers"] = {args.username: reveal(password)}
    with LocalOrthanc(program=args.program, config=config) as server, server.connect() as session:
        table = session.upload_folder(folder, recursive=True)
        counts = Counter(str(status) for status in table["status"])
        found = ", ".join(f"{count} {status}" for status, count in counts.most_common()) or "no files"
        terminal.say(f"Orthanc {server.version} over {safe(str(folder))}: {found}. Ctrl-C ends it.")
        if password is None:
            _show_login(server)
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        try:
            while server.is_running:
                time.sleep(_GLANCE)
        except KeyboardInterrupt:
            # Ctrl-C is how this command ends.
            return 0
        raise TransportError("The server ended by itself; its log may contain the reason: serve it again.")


def _show_login(server: LocalOrthanc) -> None:
    """Show a person how to log in; a log that the standard error stream goes to never gets the password."""
    assert server.credentials is not None
    if sys.stderr.isatty():
        user, password = server.credentials
        terminal.say(f"In a browser, log in as {user} with the password {password} (shown once, new at each start).")
    else:
        terminal.say(
            "Its random password is shown on a terminal only: for scripts, give --username and --password-file before "
            "serve."
        )


def _demo_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "target", nargs="?", default="demo", metavar="FOLDER", help="created if it is missing (default: demo)"
    )


def _demo(args: Namespace) -> int:
    return demo.main(Path(args.target).expanduser())
