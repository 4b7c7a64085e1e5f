"""The commands ``upload-volume``, ``upload-masks`` and ``upload-document``."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import Counter
from typing import Any, get_args

from simple_orthanc.cli import tabular, terminal
from simple_orthanc.cli.acts import report_others
from simple_orthanc.cli.parser import CommandParser, Commands, add_command
from simple_orthanc.cli.source import opened
from simple_orthanc.errors import SelectionError, TransportError, UnsupportedError
from simple_orthanc.volume.writing.segments import Kind

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
        arguments=_volume_arguments,
    )
    add_command(
        commands,
        "upload-masks",
        _upload_masks,
        summary="store a label map in a .nii.gz, .nrrd or .mha file as a DICOM segmentation (SEG)",
        details="What is selected is the series that it was drawn on. Each label is a segment. Prints the new "
        "SeriesInstanceUID. Needs highdicom.",
        examples=[
            "upload-masks organs.nii.gz --where SeriesDescription=ct_scan --name 1=liver --name 2=spleen",
            "upload-masks aseg.nii.gz --where Modality=MR --kind LABELMAP --algorithm 'FreeSurfer 7.4'",
        ],
        arguments=_mask_arguments,
    )
    add_command(
        commands,
        "upload-document",
        _upload_document,
        summary="store PNG and JPEG pictures as Secondary Captures, PDF files as Encapsulated PDF",
        details="What is selected is the study that they belong to. Without a selection, --tag PatientID=... says "
        "whose they are.\nSeveral files make one series. Prints its SeriesInstanceUID. The same command stores nothing "
        "twice.",
        examples=[
            "upload-document report.pdf --where StudyInstanceUID=1.2.3 --tag SeriesDescription=report",
            "upload-document front.jpg back.jpg --tag PatientID=P7 --tag Modality=XC",
        ],
        arguments=_document_arguments,
    )


def _volume_arguments(parser: CommandParser) -> None:
    parser.add_argument("file", metavar="FILE", help=".nii.gz, .nii, .nrrd or .mha")
    _add_common(parser)


def _mask_arguments(parser: CommandParser) -> None:
    parser.add_argument("file", metavar="FILE", help=".nii.gz, .nii, .nrrd or .mha")
    parser.add_argument("--name", action="append", default=[], metavar="LABEL=NAME", help="the name of a label")
    parser.add_argument("--kind", choices=get_args(Kind), default="BINARY", help="default: BINARY")
    parser.add_argument("--algorithm", metavar="NAME", help="of the program that drew the masks")
    _add_common(parser)


def _document_arguments(parser: CommandParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=".png, .jpg or .pdf")
    _add_common(parser)


def _add_common(parser: CommandParser) -> None:
    parser.add_argument("--tag", action="append", default=[], metavar="KEYWORD=VALUE", help="a tag of the new series")
    parser.add_argument("--list", action="store_true", help="print what became of each object")
    tabular.add_format(parser)


def _upload_volume(args: Namespace) -> int:
    return _upload(args, "upload_volume", args.file)


def _upload_masks(args: Namespace) -> int:
    options = {"names": dict(map(_label, args.name)) or None, "kind": args.kind, "algorithm": args.algorithm}
    return _upload(args, "upload_masks", args.file, **options)


def _upload_document(args: Namespace) -> int:
    return _upload(args, "upload_document", args.files)


def _upload(args: Namespace, verb: str, what: Any, **options: Any) -> int:
    tags = dict(map(_tag, args.tag))
    is_narrowed = bool(args.where or args.exclude or args.has_series or args.identifier)
    with opened(args) as session:
        if not hasattr(type(session), verb):
            raise UnsupportedError(
                f"Something was to be uploaded, but a {type(session).__name__} is only read: name a server."
            )
        try:
            table = getattr(session, verb)(what, like=session if is_narrowed else None, **options, **tags)
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


def _label(text: str) -> tuple[int, str]:
    number, equals, name = text.partition("=")
    if not equals or not number.strip().isdecimal():
        raise SelectionError(f"--name {text!r}: write LABEL=NAME, as in --name 1=liver.")
    return int(number), name


def _tag(text: str) -> tuple[str, str]:
    keyword, equals, value = text.partition("=")
    if not equals or not keyword.strip().isidentifier():
        raise SelectionError(f"--tag {text!r}: write KEYWORD=VALUE, as in --tag SeriesDescription=smooth.")
    return keyword.strip(), value
