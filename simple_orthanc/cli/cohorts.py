"""Commands on cohorts: ``freeze`` and ``difference``; ``--cohort`` of other commands opens one."""

from __future__ import annotations

import sys
from argparse import Namespace

from simple_orthanc.cli import tabular, terminal
from simple_orthanc.cli.acts import options_named
from simple_orthanc.cli.parser import CommandParser, Commands, add_command
from simple_orthanc.cli.source import open_session, opened
from simple_orthanc.errors import CohortError
from simple_orthanc.selection.cohort import Checksums
from simple_orthanc.showing.text import safe

_CHECKSUMS: dict[str, Checksums | None] = {"files": "files", "datasets": "datasets", "none": None}


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_command(
        commands,
        "freeze",
        _freeze,
        summary="write what is selected to a file, to be opened again with --cohort",
        details="FILE has the identifiers of all instances, lengths and MD5s of their files, and the criteria; no "
        "images.\nA name that ends in .gz is compressed.",
        examples=[
            "freeze ct.cohort --where Modality=CT",
            "freeze public.cohort.gz --no-identifiers --where Modality=MR",
        ],
        arguments=_freeze_arguments,
    )
    add_command(
        commands,
        "difference",
        _difference,
        summary="list what is new, gone or changed since a cohort was frozen",
        details="One row per instance. Exit status 1 if there is any, or if not all is known.",
        examples=["difference ct.cohort", "difference ct.cohort --format csv > changes.csv"],
        arguments=_difference_arguments,
        selects=False,
    )


def _freeze_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="FILE", help="one that exists is an error, unless --overwrite is given")
    parser.add_argument(
        "--checksums",
        choices=tuple(_CHECKSUMS),
        default="files",
        help="datasets: also of the datasets alone, which other archives wrap in other files; none: identifiers alone",
    )
    parser.add_argument(
        "--no-identifiers",
        dest="identifiers",
        action="store_false",
        help="leave out PatientIDs, criteria that may identify a patient and the archive's address, to publish it",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")


def _freeze(args: Namespace) -> int:
    with opened(args) as session, options_named():
        cohort = session.freeze(
            args.target,
            checksums=_CHECKSUMS[args.checksums],
            identifiers=args.identifiers,
            overwrite=args.overwrite,
        )
    sys.stdout.write(f"{safe(repr(cohort))}\n")
    return 0


def _difference_arguments(parser: CommandParser) -> None:
    parser.add_argument("cohort", metavar="FILE", help="the file of a cohort")
    parser.add_argument("--quick", action="store_true", help="compare only what the archive lists, and read no file")
    tabular.add_format(parser)


def _difference(args: Namespace) -> int:
    import pandas as pd

    from simple_orthanc.session.cohorts.cohort import Cohort

    cohort = Cohort.load(args.cohort)
    with open_session(args) as session:
        difference = cohort.difference(session, checksums=not args.quick)
    parts: list[pd.DataFrame] = []
    unknown: list[str] = []
    for name in ("new", "gone", "changed"):
        try:
            parts.append(getattr(difference, name).assign(difference=name))
        except CohortError as error:
            unknown.append(error.message)
    frame = pd.concat(parts, ignore_index=True)
    names = ["difference", *difference.gone.columns]
    tabular.write(tabular.from_frame(frame[names]), args.format, exact=args.exact, quiet=args.quiet)
    for reason in unknown:
        terminal.say_error(reason)
    return int(len(frame) > 0 or bool(unknown))
