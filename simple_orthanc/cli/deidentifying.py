"""The command ``deidentify``."""

from __future__ import annotations

import os
import sys
import textwrap
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simple_orthanc.cli import tabular, terminal
from simple_orthanc.cli.acts import add_everything, options_named, report_others
from simple_orthanc.cli.copies import replacement
from simple_orthanc.cli.parser import CommandParser, Commands, add_command
from simple_orthanc.cli.source import opened, read_secret
from simple_orthanc.deidentification.keys import Key
from simple_orthanc.deidentification.profile import Option
from simple_orthanc.errors import SelectionError
from simple_orthanc.showing.text import safe

if TYPE_CHECKING:
    import pandas as pd

_KEY = "SIMPLE_ORTHANC_KEY"
_OPTIONS = textwrap.fill(", ".join(option.value for option in Option), 110)
_DETAILS = f"""\
By DICOM PS3.15, annex E, on any source, and without a server's help. The same key gives the same copies, so that a
command that was interrupted is finished by running it again.

The key is a secret of at least 16 bytes: the first line of --key-file, or else the value of {_KEY}, or
else asked for. This makes one:
python -c "import secrets; print(secrets.token_hex(16))"

The options of the profile:
{_OPTIONS}.

What may show a patient whatever its header says is left out: burned-in text, reports, documents. The exit status is
1 if a copy could not be made."""
_GOOD = ("deidentified", "already there", "would be deidentified")
_TABLES = {"objects": "table", "attributes": "report", "keys": "key_table"}


def add_commands(commands: Commands) -> None:
    """Add the command."""
    add_command(
        commands,
        "deidentify",
        _deidentify,
        summary="write de-identified copies of what is selected into a folder",
        details=_DETAILS,
        examples=[
            "--folder scans deidentify shared --key-file key.txt --where Modality=CT",
            "deidentify shared --key-file key.txt --option retain_modified_dates --keep SeriesDescription 1.2.840.1",
            "--folder scans deidentify shared --key-file key.txt --everything --dry-run --print attributes",
        ],
        arguments=_arguments,
    )


def _arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="FOLDER", help="created if it is missing")
    parser.add_argument("--key-file", metavar="FILE", help="its first line is the key; - is standard input")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME", help="an option of the profile, such as retain_uids"
    )
    parser.add_argument("--pseudonyms", metavar="FILE", help="a CSV with columns old (PatientID) and new (pseudonym)")
    parser.add_argument("--prefix", default="S-", metavar="TEXT", help="what pseudonyms begin with (S-)")
    parser.add_argument("--max-shift", type=int, default=365, metavar="DAYS", help="dates are moved by at most (365)")
    parser.add_argument("--keep", action="append", default=[], metavar="TAG", help="keep it as it is")
    parser.add_argument("--remove", action="append", default=[], metavar="TAG", help="remove it")
    parser.add_argument("--replace", action="append", default=[], metavar="TAG=VALUE", help="replace its value")
    parser.add_argument("--layout", metavar="NAMES", help="name the files by tags of the copies")
    parser.add_argument("--keep-suspicious", action="store_true", help="copy also what may show the patient")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    parser.add_argument(
        "--print",
        choices=list(_TABLES),
        help="what became of each object, or of each attribute, or the old and new identifiers",
    )
    add_everything(parser)
    tabular.add_format(parser)


def _deidentify(args: Namespace) -> int:
    key = _key(args)
    options: dict[str, Any] = {
        "options": args.option,
        "pseudonyms": _pseudonyms(args.pseudonyms),
        "prefix": args.prefix,
        "max_shift": args.max_shift,
        "keep": args.keep,
        "remove": args.remove,
        "replace": dict(map(replacement, args.replace)),
        "layout": args.layout,
        "suspicious": "keep" if args.keep_suspicious else "leave out",
        "everything": args.everything,
        "dry_run": args.dry_run,
    }
    with opened(args) as session, options_named():
        made = session.deidentify(args.target, key=key, **options)
    status = report_others(made.table, *_GOOD)
    counted = Counter(str(each) for each in made.table["status"])
    summary = ", ".join(f"{count} {status}" for status, count in counted.most_common())
    if args.print is None:
        sys.stdout.write(f"{summary} in {safe(args.target)}\n")
        return status
    frame: pd.DataFrame = getattr(made, _TABLES[args.print])
    tabular.write(tabular.from_frame(frame), args.format, exact=args.exact, quiet=args.quiet)
    terminal.say(summary, quiet=args.quiet)
    return status


def _key(args: Namespace) -> Key:
    """Read the key from a file, the environment or the terminal."""
    if args.key_file is not None:
        return Key(read_secret(args.key_file))
    if os.environ.get(_KEY):
        return Key(os.environ[_KEY])
    return Key(terminal.ask_secret("Key of the de-identification: ", "key"))


def _pseudonyms(file: str | None) -> pd.DataFrame | None:
    if file is None:
        return None
    import pandas as pd

    try:
        return pd.read_csv(Path(file).expanduser(), dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no CSV with a line of names"
        raise SelectionError(f"--pseudonyms {file}: it cannot be read: {reason}.") from None
