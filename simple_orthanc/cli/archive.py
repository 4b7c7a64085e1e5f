"""Commands that change an archive or send from it: ``send``, ``delete``."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from simple_orthanc.cli import tabular, terminal
from simple_orthanc.cli.acts import add_everything, options_named, report_others, server
from simple_orthanc.cli.parser import CommandParser, Commands, add_command, level_of
from simple_orthanc.cli.source import opened
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.session import Session
from simple_orthanc.session.acting import ActingSession
from simple_orthanc.session.display import counted, location

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
        summary="send what is selected from an Orthanc server to another archive",
        details="TARGET is the name of a modality (C-STORE), a peer or a DICOMweb server (STOW-RS) in the "
        "configuration of the\nserver; modality:NAME, peer:NAME and dicomweb:NAME distinguish them. If TARGET is not "
        "known, the error lists\nthose that are.",
        examples=["send PACS --where StudyDate=2020-01-01", "send peer:research 1.2.840.113619.2.1"],
        arguments=_send_arguments,
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
    parser.add_argument("target", metavar="TARGET", help="name of a machine in the server's configuration")
    add_everything(parser)


def _send(args: Namespace) -> int:
    from simple_orthanc.session.sending import send

    with opened(args) as session, options_named():
        sent = send(server(session, "sent"), args.target, everything=args.everything)
    sys.stdout.write(
        f"{counted({'instance': sent.instance_count})} sent to the {sent.kind} {terminal.safe(sent.name)}\n"
    )
    return 0


def _delete_arguments(parser: CommandParser) -> None:
    parser.add_argument("level", type=level_of, metavar="LEVEL", help="patients, studies, series or instances")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--whole", action="store_true", help="also delete the parts of them that are not selected")
    add_everything(parser)


def _delete(args: Namespace) -> int:
    level: Level = args.level
    with opened(args) as session, options_named():
        acting = _changeable(session)
        allowed = {"everything": args.everything, "whole": args.whole}
        what = _counted(acting.delete(level, dry_run=True, **allowed), level, "would be deleted")
        where = location(session)
        if not args.yes and not _agreed(session, level, f"{what} on {where}"):
            return 1
        table = acting.delete(level, **allowed)
    sys.stdout.write(f"deleted: {terminal.safe(_counted(table, level, 'deleted'))} on {terminal.safe(where)}\n")
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
        terminal.say("  " + terminal.safe("  ".join(tabular.text_of(value) for value in row)))
    if len(frame) > _NAMED_IN_QUESTION:
        terminal.say(f"  and {len(frame) - _NAMED_IN_QUESTION:,} more")
    if terminal.confirmed(f"Delete {terminal.safe(what)}?"):
        return True
    terminal.say("Nothing was deleted.")
    return False
