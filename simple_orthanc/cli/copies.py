"""Commands that make copies with other values: ``anonymize``, ``modify``."""

from __future__ import annotations

import re
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from simple_orthanc.cli import tabular
from simple_orthanc.cli.acts import add_everything, options_named, server
from simple_orthanc.cli.parser import CommandParser, Commands, add_command
from simple_orthanc.cli.source import opened
from simple_orthanc.errors import SelectionError
from simple_orthanc.session import Orthanc

if TYPE_CHECKING:
    import pandas as pd

_REPLACEMENT = re.compile(r'((?:"[^"]*"|[^"=])+?)\s*=(.*)\Z', re.DOTALL)


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_command(
        commands,
        "anonymize",
        _anonymize,
        summary="store anonymized copies of what is selected on the same Orthanc server",
        details="The originals stay. Series of one study stay together, and so do studies of one patient.\nPrints one "
        "row per series, with its identifiers and those of its copy. The same command again copies nothing twice.",
        examples=[
            "anonymize --where StudyInstanceUID=1.2.840.113619.2.1",
            "anonymize 1.2.840.113619.2.1 --keep StudyDescription --replace PatientID=S042 --remove InstitutionName",
        ],
        arguments=_anonymize_arguments,
    )
    add_command(
        commands,
        "modify",
        _modify,
        summary="store copies of what is selected with other values, on the same Orthanc server",
        details="The originals stay. A new value at the level of the study makes new studies, at that of the series or "
        "below new\nseries. To modify in place, on a server with OverwriteInstances, keep all UIDs.",
        examples=[
            "modify 1.2.840.113619.2.1 --replace StudyDescription=knee",
            "modify P7 --replace PatientID=P8 --replace PatientName=Doe^Jane --delete-originals",
            "modify 1.2.840.113619.2.1 --replace StudyDescription=knee --keep StudyInstanceUID --keep "
            "SeriesInstanceUID --keep SOPInstanceUID",
        ],
        arguments=_modify_arguments,
    )


def _anonymize_arguments(parser: CommandParser) -> None:
    parser.add_argument("--keep", action="append", default=[], metavar="TAG", help="keep it as it is")
    parser.add_argument("--keep-private", action="store_true", help="keep private elements")
    _add_changes(parser, "remove it, even if it identifies nobody")


def _modify_arguments(parser: CommandParser) -> None:
    parser.add_argument("--keep", action="append", default=[], metavar="UID", help="keep this UID, and make no new one")
    parser.add_argument("--remove-private", action="store_true", help="remove private elements")
    _add_changes(parser, "remove it")


def _add_changes(parser: CommandParser, remove: str) -> None:
    parser.add_argument("--replace", action="append", default=[], metavar="TAG=VALUE", help="replace its value")
    parser.add_argument("--remove", action="append", default=[], metavar="TAG", help=remove)
    parser.add_argument("--whole", action="store_true", help="take whole series, or whole studies in place")
    parser.add_argument("--delete-originals", action="store_true", help="delete each once its copy is complete")
    parser.add_argument("--dry-run", action="store_true", help="only print what would be done")
    add_everything(parser)
    tabular.add_format(parser)


def _anonymize(args: Namespace) -> int:
    return _run(args, "anonymized", lambda orthanc, **changes: orthanc.anonymize(**changes), "keep_private")


def _modify(args: Namespace) -> int:
    return _run(args, "modified", lambda orthanc, **changes: orthanc.modify(**changes), "remove_private")


def _run(args: Namespace, done: str, verb: Any, private: str) -> int:
    # Only these commands need it.
    from simple_orthanc.session.acts.tag_changes import TagChanges

    changes: dict[str, Any] = {
        "keep": args.keep,
        "replace": dict(map(replacement, args.replace)),
        "remove": args.remove,
    }
    # Before anything is asked of a server.
    TagChanges.parse(**changes)
    names = (private, "everything", "whole", "delete_originals", "dry_run")
    options = {name: getattr(args, name) for name in names}
    with opened(args) as session, options_named():
        orthanc: Orthanc = server(session, done)
        table: pd.DataFrame = verb(orthanc, **changes, **options)
    # The server's own ids are for programs.
    shown = table.filter(regex="^(?!.*orthanc_id)") if args.format == "table" else table
    rows = tabular.from_frame(shown)
    rows.ends.update(name for name in rows.columns if name.endswith("UID"))
    tabular.write(rows, args.format, exact=args.exact, quiet=args.quiet)
    return int((table["status"] == "failed").any())


def replacement(text: str) -> tuple[str, str]:
    """Read an option that replaces the value of a tag."""
    match = _REPLACEMENT.match(text)
    if match is None:
        raise SelectionError(f"--replace {text!r}: write TAG=VALUE, as in --replace PatientID=S042.")
    return match[1].strip(), match[2]
