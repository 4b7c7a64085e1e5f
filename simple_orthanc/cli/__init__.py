"""The command line, ``simple-orthanc`` or ``python -m simple_orthanc``: the library's sessions in a shell.

Results go to the standard output, everything else to the standard error stream. Exit status: 0 success, 1 an error,
reported on one line, 2 a wrong command line, 130 Ctrl-C.

Examples
--------
``simple-orthanc --url http://127.0.0.1:8042 find series --where Modality=CT --format json``
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence

import simple_orthanc
from simple_orthanc.cli import (
    archive,
    cohorts,
    copies,
    deidentifying,
    files,
    local,
    looking,
    source,
    terminal,
    volume_uploads,
    web,
)
from simple_orthanc.cli.parser import CommandParser, Parser
from simple_orthanc.errors import AmbiguousSelectionError, InconsistentSlicesError, OrthancError

__all__ = ["build_parser", "main"]

INTERRUPTED = 130
# What a shell reports for a program that wrote to a closed pipe.
CLOSED_PIPE = 141

_DESCRIPTION = """\
Narrow a DICOM archive by its tags; show it as tables; get files, headers and correct volumes.

  simple-orthanc [options for the source of the images] COMMAND [options of the command]
"""
_EXAMPLES = """\
examples:
  simple-orthanc info
  simple-orthanc --url http://127.0.0.1:8042 find series --where Modality=CT --format json
  simple-orthanc --dicomweb https://pacs.example.org/dicom-web --username jane find studies --where PatientID=P1
  simple-orthanc --folder ~/scans volume ct.nii.gz --where SeriesDescription=ct_scan

simple-orthanc COMMAND --help shows the options of a command, with examples.

Exit status: 0 success, 1 an error, reported on one line, 2 a wrong command line, 130 interrupted by Ctrl-C.
"""


def build_parser() -> Parser:
    """Return the parser with all commands."""
    parser = Parser(
        prog=terminal.PROGRAM, description=_DESCRIPTION, epilog=f"{source.SOURCE_HELP}\n{web.EQUIVALENTS}\n{_EXAMPLES}"
    )
    parser.add_argument("--version", action="version", version=f"{terminal.PROGRAM} {simple_orthanc.__version__}")
    parser.add_argument("--quiet", action="store_true", help="no warnings, progress bars or remarks, only errors")
    parser.add_argument("--no-progress", action="store_true", help="no progress bars; pipes never get any")
    parser.add_argument("--traceback", action="store_true", help="show where an error was raised in the program")
    source.add_options(parser)
    parser.set_defaults(usage=parser.error)
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    for group in (looking, files, volume_uploads, copies, deidentifying, archive, cohorts, web, local):
        group.add_commands(commands)
    for command in commands.choices.values():
        command.before = parser.options - command.options
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the program by default.

    Returns
    -------
    int
        The exit status.
    """
    terminal.prepare_streams()
    shows_traceback = False
    try:
        args = build_parser().parse_args(argv)
        shows_traceback = args.traceback
        with terminal.reporting(args.quiet, not args.no_progress):
            status: int = args.run(args)
        sys.stdout.flush()
        return status
    except SystemExit as ended:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            return ended.code if isinstance(ended.code, int) else 0
        return _after_lost_output(CLOSED_PIPE)
    except KeyboardInterrupt:
        terminal.say(f"{terminal.PROGRAM}: interrupted")
        return _after_lost_output(INTERRUPTED)
    except BrokenPipeError:
        return _after_lost_output(CLOSED_PIPE)
    except Exception as error:
        if shows_traceback:
            traceback.print_exc()
        terminal.say_error(_message(error))
        return _after_lost_output(1)


def _message(error: Exception) -> str:
    if isinstance(error, InconsistentSlicesError):
        return f"{error.message} On the command line --split writes one file for each, and --dims stacks them."
    if isinstance(error, AmbiguousSelectionError) and "get_volume(across_series=True)" in error.message:
        return f"{error.message} On the command line --where TAG=VALUE narrows, and --across-series reads them as one."
    if isinstance(error, AmbiguousSelectionError):
        return f"{error.message} On the command line --where TAG=VALUE narrows."
    if isinstance(error, OrthancError):
        return error.message
    if isinstance(error, OSError):
        name = "" if error.filename is None else f"{error.filename}: "
        return f"{name}{error.strerror or error}"
    return f"an unexpected {type(error).__name__}: {error} (--traceback before the command shows where)"


def _after_lost_output(status: int) -> int:
    """Flush the output, or drop it where that fails, so that Python reports no error at exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
