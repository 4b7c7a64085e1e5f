"""Commands that act on what is selected: ``send``, ``archive``, ``label``, ``delete``."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from simple_orthanc.cli import tabular, terminal
from simple_orthanc.cli.acts import add_everything, options_named, report_others, server
from simple_orthanc.cli.parser import CommandParser, Commands, add_command, level_of
from simple_orthanc.cli.source import add_target_options, opened, opened_target, target_of
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.session import Session
from simple_orthanc.session.acting import ActingSession
from simple_orthanc.session.display import counted, location
from simple_orthanc.showing.text import safe

if TYPE_CHECKING:
    import pandas as pd

_NAMED_IN_QUESTION = 10
_DESCRIBED: dict[Level, str] = {
    "patient": "PatientID PatientName",
    "study": "PatientID PatientName StudyDate StudyDescription StudyInstanceUID",
    "series": "PatientID PatientName StudyDate Modality SeriesDescription SeriesInstanceUID",
    "instance": "PatientID Modality SeriesDescription InstanceNumber SOPInstanceUID",
}


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_command(
        commands,
        "send",
        _send,
        summary="send what is selected to another archive",
        details="TARGET is the name of a modality (C-STORE), a peer or a DICOMweb server (STOW-RS) in the "
        "configuration of the\nOrthanc server; modality:NAME, peer:NAME and dicomweb:NAME distinguish them. If "
        "TARGET is not known, the error\nlists those that are. Or it is another archive, to which the files are "
        "copied: the URL of an Orthanc server,\ndicomweb:URL, folder:PATH or profile:NAME. What is there already "
        "stays as it is, and is not sent again.\n\nHow to log in to it is said by the profile, the environment "
        "variables that name this server, or ~/.netrc;\nor by --to-username with --to-password-file or a question "
        "on the terminal.",
        examples=[
            "send PACS --where StudyDate=2020-01-01",
            "send peer:research 1.2.840.113619.2.1",
            "send https://research.example.org/orthanc --where Modality=MR",
            "send folder:images --where PatientID=P7",
        ],
        arguments=_send_arguments,
    )
    add_command(
        commands,
        "archive",
        _archive,
        summary="write what is selected to one zip file, made by an Orthanc server",
        details="FILE appears when it is whole and every instance is in it. A file that is there is kept.",
        examples=["archive study.zip 1.2.840.113619.2.1", "archive disc.zip --media --where PatientID=P1"],
        arguments=_archive_arguments,
    )
    add_command(
        commands,
        "label",
        _label,
        summary="add a label to what is selected, remove it, or list labels",
        details="Without --level those objects get it that the selection is one of: studies if it was made by tags of "
        "the\npatient or the study, series if by tags of the series, instances if by tags of the image. Labels need "
        "Orthanc 1.12.",
        examples=[
            "label add reviewed 1.2.840.113619.2.1",
            "label remove reviewed --where StudyDate=2020-01-01",
            "label list",
        ],
        arguments=_label_arguments,
    )
    add_command(
        commands,
        "delete",
        _delete,
        summary="delete what is selected from the archive",
        details="Lists what will be deleted and asks, unless --yes is given. A patient, study or series is deleted "
        "with all\nthat it holds; if that is more than what is selected, nothing is deleted unless --whole allows it.",
        examples=["delete series --where SeriesDescription=localizer", "delete studies 1.2.840.113619.2.1 --yes"],
        arguments=_delete_arguments,
    )


def _send_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="TARGET", type=target_of, help="name of a machine, or another archive")
    parser.add_argument("--dry-run", action="store_true", help="print what would be sent, and send nothing")
    add_target_options(parser)
    add_everything(parser)


def _send(args: Namespace) -> int:
    with opened(args) as session, opened_target(args) as to, options_named():
        table = session.send(to, everything=args.everything, dry_run=args.dry_run)
        where = to if isinstance(to, str) else location(to)
    if args.dry_run:
        would = _counted(table, "series", "would be sent")
        sys.stdout.write(f"would be sent: {would} to {safe(where)}\n")
        return 0
    sent, there = (int(table[f"{name}_count"].sum()) for name in ("sent", "already_there"))
    more = f", and {there:,} already there" if there else ""
    sys.stdout.write(f"sent: {counted({'instance': sent})} to {safe(where)}{more}\n")
    return report_others(table, "sent", "already there")


def _archive_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="FILE", help="the zip; its folder exists")
    parser.add_argument("--media", action="store_true", help="files named as for a disc, with a DICOMDIR")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    add_everything(parser)


def _archive(args: Namespace) -> int:
    with opened(args) as session, options_named():
        orthanc = server(session, "archived")
        path = orthanc.archive(args.target, media=args.media, overwrite=args.overwrite, everything=args.everything)
        count = orthanc.instance_count
    sys.stdout.write(f"{safe(str(path))}: {counted({'instance': count})}\n")
    return 0


def _label_arguments(parser: CommandParser) -> None:
    parser.add_argument("act", choices=("add", "remove", "list"), metavar="ACT", help="add, remove or list")
    parser.add_argument("name", nargs="?", metavar="LABEL", help="letters, digits, - and _; not for list")
    parser.add_argument("--level", type=level_of, help="patients, studies, series or instances")
    parser.add_argument("--whole", action="store_true", help="also where more than what is selected gets the label")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")
    add_everything(parser)
    tabular.add_format(parser)


def _label(args: Namespace) -> int:
    if args.act == "list":
        if args.identifier is not None:
            args.usage(f"list takes no label, and one ID: label list {args.identifier}")
        # An ID stands in the place of a label.
        args.identifier = args.name
    elif args.name is None:
        args.usage(f"which label? For example: label {args.act} reviewed --where StudyDate=2020-01-01")
    with opened(args) as session, options_named():
        orthanc = server(session, "labelled")
        if args.act == "list":
            tabular.write(tabular.from_frame(orthanc.labels()), args.format, exact=args.exact, quiet=args.quiet)
            return 0
        change, done = (orthanc.add_label, "labelled") if args.act == "add" else (orthanc.remove_label, "unlabelled")
        options = {"everything": args.everything, "whole": args.whole, "dry_run": args.dry_run}
        table = change(args.name, args.level, **options)
        done = f"would be {done}" if args.dry_run else done
    counts: dict[Level, int] = {
        level: int(((table["level"] == level) & (table["status"] == done)).sum()) for level in table["level"].unique()
    }
    sys.stdout.write(f"{done}: {counted(counts)}\n")
    return report_others(table, done)


def _delete_arguments(parser: CommandParser) -> None:
    parser.add_argument("level", type=level_of, metavar="LEVEL", help="patients, studies, series or instances")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="print what would be deleted, and delete nothing")
    parser.add_argument("--whole", action="store_true", help="also delete the parts of them that are not selected")
    add_everything(parser)


def _delete(args: Namespace) -> int:
    level: Level = args.level
    with opened(args) as session, options_named():
        acting = _changeable(session)
        allowed = {"everything": args.everything, "whole": args.whole}
        what = _counted(acting.delete(level, dry_run=True, **allowed), level, "would be deleted")
        where = location(session)
        if args.dry_run:
            sys.stdout.write(f"would be deleted: {safe(what)} on {safe(where)}\n")
            return 0
        if not args.yes and not _agreed(session, level, f"{what} on {where}"):
            return 1
        table = acting.delete(level, **allowed)
    sys.stdout.write(f"deleted: {safe(_counted(table, level, 'deleted'))} on {safe(where)}\n")
    return report_others(table, "deleted")


def _changeable(session: Session) -> ActingSession:
    if not isinstance(session, ActingSession):
        raise UnsupportedError(f"A {type(session).__name__} is only read, so nothing was deleted: name a server.")
    return session


def _counted(table: pd.DataFrame, level: Level, status: str) -> str:
    """Write the number of objects of a status, and of their instances."""
    rows = table[table["status"] == status]
    counts: dict[Level, int] = {level: len(rows), "instance": int(rows["instance_count"].sum())}
    return counted(counts)


def _agreed(session: Session, level: Level, what: str) -> bool:
    if not terminal.can_ask():
        raise SelectionError(
            f"{what} would be deleted, and there is no terminal to ask on: use --yes. Nothing was deleted."
        )
    frame = session.table(*_DESCRIBED[level].split(), level=level)
    for row in tabular.from_frame(frame.head(_NAMED_IN_QUESTION)).rows:
        terminal.say("  " + safe("  ".join(tabular.text_of(value) for value in row)))
    if len(frame) > _NAMED_IN_QUESTION:
        terminal.say(f"  and {len(frame) - _NAMED_IN_QUESTION:,} more")
    if terminal.confirmed(f"Delete {safe(what)}?"):
        return True
    terminal.say("Nothing was deleted.")
    return False
