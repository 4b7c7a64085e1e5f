"""The command ``upload-volume``."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import Counter
from typing import Any

from simple_orthanc.cli import tabular, terminal
from simple_orthanc.cli.acts import report_others
from simple_orthanc.cli.parser import CommandParser, Commands, add_command
from simple_orthanc.cli.source import opened
from simple_orthanc.errors import SelectionError, TransportError, UnsupportedError

_GOOD = ("stored", "stored, changed", "already stored")


def add_commands(commands: Commands) -> None:
    """Add the command."""
    add_command(
        commands,
        "upload-volume",
        _upload_volume,
        summary="store a .nii.gz, .nrrd or .mha file as a derived series of DICOM images",
        details="What is selected is the series that it was computed from: the new one belongs to the same patient and "
        "study.\nWithout a selection, --tag PatientID=... and --tag Modality=... say whose it is. Prints the new "
        "SeriesInstanceUID. The\nsame command stores nothing twice, so that it finishes what was interrupted.",
        examples=[
            "upload-volume smooth.nii.gz --where SeriesDescription=ct_scan --tag SeriesDescription=smooth",
            "upload-volume phantom.mha --tag PatientID=P7 --tag Modality=OT",
        ],
        arguments=_arguments,
    )


def _arguments(parser: CommandParser) -> None:
    parser.add_argument("file", metavar="FILE", help=".nii.gz, .nii, .nrrd or .mha")
    parser.add_argument("--tag", action="append", default=[], metavar="KEYWORD=VALUE", help="a tag of the new series")
    parser.add_argument("--list", action="store_true", help="print what became of each slice")
    tabular.add_format(parser)


def _upload_volume(args: Namespace) -> int:
    tags = dict(map(_tag, args.tag))
    is_narrowed = bool(args.where or args.exclude or args.identifier)
    with opened(args) as session:
        holder: Any = session
        if not hasattr(session, "upload_volume"):
            raise UnsupportedError(
                f"A volume was to be uploaded, but a {type(session).__name__} is only read: name a server."
            )
        try:
            table = holder.upload_volume(args.file, like=session if is_narrowed else None, **tags)
        except TransportError as error:
            if error.table is not None:
                report_others(error.table, *_GOOD)
            raise
    status = report_others(table, *_GOOD)
    if args.list:
        tabular.write(tabular.from_frame(table), args.format, exact=args.exact, quiet=args.quiet)
    else:
        sys.stdout.write(f"{table['SeriesInstanceUID'][0]}\n")
    counted = Counter(str(each) for each in table["status"])
    terminal.say(", ".join(f"{count} {name}" for name, count in counted.most_common()), quiet=args.quiet)
    return status


def _tag(text: str) -> tuple[str, str]:
    keyword, equals, value = text.partition("=")
    if not equals or not keyword.strip().isidentifier():
        raise SelectionError(f"--tag {text!r}: write KEYWORD=VALUE, as in --tag SeriesDescription=smooth.")
    return keyword.strip(), value
