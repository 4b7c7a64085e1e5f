"""Commands between the archive and the disk: ``download``, ``upload``, ``volume``, ``save``, ``show``."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from simple_orthanc.cli import tabular, terminal
from simple_orthanc.cli.parser import CommandParser, Commands, add_command, positive, slices_of
from simple_orthanc.cli.source import open_session, opened
from simple_orthanc.errors import OrthancError, SelectionError, TransportError, UnsupportedError, VolumeError
from simple_orthanc.extras import import_extra
from simple_orthanc.files.opening import not_regular
from simple_orthanc.session import Session
from simple_orthanc.session.exporting import VOLUME_LAYOUT
from simple_orthanc.session.exports.names import safe_name
from simple_orthanc.showing.text import safe
from simple_orthanc.volume.choosing import AXES
from simple_orthanc.volume.saving import SUFFIXES, check_target
from simple_orthanc.volume.views import PLANES
from simple_orthanc.volume.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

_PICTURES = (".png", ".jpg", ".jpeg")
# Outcomes that need attention.
_BAD = ("failed", "conflict", "filtered")
# Outcomes after which the archive holds the object.
_HELD = ("stored", "stored, changed", "already stored")


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_command(
        commands,
        "download",
        _download,
        summary="write the DICOM files into a folder, bit for bit",
        details="They go to FOLDER/PatientID/StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm, or where --layout"
        " puts them. A file appears when it is complete. What is there and whole is not fetched again, so the same"
        " command finishes a download that was interrupted; what is there and different is an error.",
        examples=[
            "download ct --where Modality=CT",
            "download out 1.2.840.113619.2.1 --list",
            "download out --layout '{PatientID}/{StudyDate}/{SeriesDescription}/{InstanceNumber:04d}.dcm'",
        ],
        arguments=_download_arguments,
    )
    add_command(
        commands,
        "upload",
        _upload,
        summary="store files, folders and zips in the archive",
        details="Prints the outcome for each file; the exit status is 1 if a file was not stored.",
        examples=["upload ~/scans", "upload a.dcm b.dcm more.zip --format csv", "upload ~/scans --no-recursive"],
        arguments=_upload_arguments,
        selects=False,
    )
    _add_volume_commands(commands)


def _add_volume_commands(commands: Commands) -> None:
    add_command(
        commands,
        "volume",
        _volume,
        summary="read one regular volume and write it as .nii.gz, .nrrd or .mha",
        details="A series that holds several (a localizer, several echoes or times) is an error that names them; "
        "--split writes each of them.",
        examples=[
            "volume ct.nii.gz --where SeriesDescription=ct_scan",
            "volume pet.nrrd 1.2.840.113619.2.1 --units SUVbw",
            "volume all.mha --where PatientID=P1 --split",
            "volume part.nii.gz --where SeriesDescription=ct_scan --slices 100:140",
        ],
        arguments=_volume_arguments,
    )
    add_command(
        commands,
        "save",
        _save,
        summary="write every volume of a cohort to a file of its own",
        details="Prints what became of each volume; the exit status is 1 if one was not saved. The same command"
        " finishes what was interrupted: volumes that are there are not read again. Beside each image is a JSON file"
        " with what its headers state of it.",
        examples=[
            "save cohort --where Modality=CT",
            "save cohort --where Modality=PT --units SUVbw --as .nrrd --layout '{PatientID}/{SeriesNumber}'",
            "save dataset --layout BIDS",
        ],
        arguments=_save_arguments,
    )
    add_command(
        commands,
        "show",
        _show,
        summary="draw a volume: its three planes, or one slice",
        details="Without FILE the picture goes to the standard output, or on a terminal to a temporary file whose name "
        "is printed.",
        examples=[
            "show ct.png --where SeriesDescription=ct_scan",
            "show slice.png 1.2.840.1 --slice 20 --window 40 400",
        ],
        arguments=_show_arguments,
    )


def _download_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="FOLDER", help="created if it is missing")
    parser.add_argument("--layout", metavar="NAMES", help="name the files by their tags")
    parser.add_argument("--replace", action="store_true", help="fetch all files, and replace those that are there")
    parser.add_argument("--list", action="store_true", help="print the path of every file")


def _download(args: Namespace) -> int:
    with opened(args) as session:
        paths = session.download(args.target, layout=args.layout, resume=not args.replace)
    if args.list:
        for path in paths:
            sys.stdout.write(f"{_shown_path(path)}\n")
    else:
        sys.stdout.write(f"{len(paths)} file{'' if len(paths) == 1 else 's'} in {_shown_path(args.target)}\n")
    return 0


def _shown_path(path: str | Path) -> str:
    return safe(str(path)) if sys.stdout.isatty() else str(path)


def _upload_arguments(parser: CommandParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files, zips and folders")
    parser.add_argument("--no-recursive", action="store_true", help="do not enter folders inside folders")
    parser.add_argument(
        "--no-test", action="store_true", help="send every file, and let the server decide what is DICOM"
    )
    parser.add_argument(
        "--allow-foreign-uids",
        action="store_true",
        help="send files too whose study or series the archive holds under another PatientID",
    )
    tabular.add_format(parser)


def _upload(args: Namespace) -> int:
    missing = [path for path in args.paths if not Path(path).expanduser().exists()]
    if missing:
        raise SelectionError(f"There is no {missing[0]}. Nothing was uploaded.")
    with open_session(args) as session:
        upload_file, upload_folder = _uploads(session)
        options = {"test_dicom": not args.no_test, "allow_foreign_uids": args.allow_foreign_uids}
        tables: list[pd.DataFrame] = []
        try:
            for path in map(Path, args.paths):
                if path.expanduser().is_dir():
                    tables.append(upload_folder(path, recursive=not args.no_recursive, **options))
                else:
                    tables.append(upload_file(path, **options))
        except TransportError as error:
            if error.table is not None:
                tables.append(error.table)
            _report(tables, args)
            raise
    counted = _report(tables, args)
    summary = ", ".join(f"{count} {status}" for status, count in counted.most_common()) or "nothing there"
    terminal.say(f"{summary}", quiet=args.quiet)
    # A file named on the command line should be DICOM; a folder may hold other files too.
    named = {str(Path(path).expanduser()) for path in args.paths}
    refused = any(
        status not in _HELD and path in named and not isinstance(member, str)
        for table in tables
        for path, member, status in zip(table["path"], table["member"], table["status"], strict=True)
    )
    return 1 if refused or any(counted[status] for status in _BAD) else 0


def _uploads(session: Session) -> tuple[Callable[..., Any], Callable[..., Any]]:
    kind = type(session)
    if not hasattr(kind, "upload_file"):
        raise UnsupportedError(f"Files were to be uploaded, but a {kind.__name__} is only read: name a server.")
    holder: Any = session
    return holder.upload_file, holder.upload_folder


def _report(tables: list[pd.DataFrame], args: Namespace) -> Counter[str]:
    import pandas as pd

    if not tables:
        return Counter()
    whole = pd.concat(tables, ignore_index=True)
    tabular.write(tabular.from_frame(whole), args.format, exact=args.exact, quiet=args.quiet)
    sys.stdout.flush()
    return Counter(str(status) for status in whole["status"])


def _volume_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="FILE", help="its suffix sets the format: .nii.gz, .nrrd or .mha")
    _add_units(parser)
    parser.add_argument("--gaps", choices=("raise", "nan"), default="raise", help="missing slices: an error, or NaN")
    parser.add_argument(
        "--dims", choices=("time", "echo", "b", "phase"), help="stack equal groups along this dimension"
    )
    parser.add_argument(
        "--resample", action="store_true", help="resample a sheared volume (gantry tilt) onto right angles"
    )
    parser.add_argument(
        "--slices",
        type=slices_of,
        metavar="FIRST:END",
        help="these slices alone, counted from 0, without END itself; or the number of one; --slices=-5: are the last",
    )
    parser.add_argument(
        "--spacing", type=float, metavar="MM", help="between slices, where the headers do not contain it"
    )
    parser.add_argument("--across-series", action="store_true", help="read series that hold a slice each as one volume")
    parser.add_argument("--split", action="store_true", help="write each volume to its own file: FILE-label.suffix")


def _add_units(parser: CommandParser) -> None:
    parser.add_argument(
        "--units",
        default="modality",
        help="modality (HU and the like: default), stored, SUVbw, SUVlbm, SUVbsa, SUVibw, 'real world', philips",
    )


def _volume(args: Namespace) -> int:
    target, suffix = check_target(Path(args.target).expanduser())
    if args.split and args.dims:
        args.usage("--split and --dims exclude each other: --dims makes one volume of several groups")
    if args.split and args.across_series:
        args.usage("--split and --across-series exclude each other: --across-series makes one volume of several series")
    if args.split and args.slices is not None:
        args.usage("--split and --slices exclude each other: slices are numbered in one volume")
    with opened(args) as session:
        if args.split:
            return _split(session, target, suffix, args)
        volume = session.get_volume(
            args.units,
            args.gaps,
            args.dims,
            spacing=args.spacing,
            across_series=args.across_series,
            slices=args.slices,
        )
        _written(volume, target, args.resample)
    return 0


def _split(session: Session, target: Path, suffix: str, args: Namespace) -> int:
    volumes = session.get_volumes(args.units, args.gaps, spacing=args.spacing)
    stem = target.name[: -len(suffix)]
    failed = 0
    taken: set[str] = set()
    for label in volumes:
        name = f"{stem}-{safe_name(label)}"
        # Some file systems fold case, so two names must not differ in case alone.
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        try:
            _written(volumes[label], target.with_name(name + target.name[-len(suffix) :]), args.resample)
        except VolumeError as error:
            failed += 1
            terminal.say_error(f"{label}: {error.message}")
    return 1 if failed else 0


def _written(volume: Volume, target: Path, resample: bool) -> None:
    if resample and volume.is_sheared:
        volume = Volume.from_sitk(volume.to_sitk(resample=True), like=volume)
    elif volume.is_sheared:
        raise VolumeError(
            f"{target.name} was to be written, but the volume is sheared (gantry tilt), which most formats would show "
            "in the wrong place: --resample puts it onto right angles."
        )
    volume.save(target)
    sys.stdout.write(f"{_shown_path(target)}: {safe(repr(volume)[len('<Volume ') : -1])}\n")
    sys.stdout.flush()


def _save_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="FOLDER", help="created if it is missing")
    parser.add_argument(
        "--layout",
        default=VOLUME_LAYOUT,
        metavar="NAMES",
        help="name the files by their tags, or BIDS for a BIDS dataset (default: %(default)s)",
    )
    parser.add_argument(
        "--as", dest="suffix", choices=SUFFIXES, default=SUFFIXES[0], help="the format of the images (default: .nii.gz)"
    )
    _add_units(parser)
    parser.add_argument("--gaps", choices=("raise", "nan", "split"), default="raise", help="holes: error, NaN, or two")
    parser.add_argument(
        "--dims",
        choices=AXES,
        action="append",
        help="stack the volumes of a series along this axis; again for more",
    )
    parser.add_argument("--resample", action="store_true", help="resample sheared volumes (gantry tilt)")
    parser.add_argument("--no-sidecar", action="store_true", help="write no JSON files")
    parser.add_argument("--identifiers", action="store_true", help="with what identifies the patient in the JSON files")
    parser.add_argument("--replace", action="store_true", help="read all volumes, and replace those that are there")
    tabular.add_format(parser)


def _save(args: Namespace) -> int:
    with opened(args) as session:
        try:
            table = session.save_volumes(
                args.target,
                args.layout,
                args.suffix,
                args.units,
                gaps=args.gaps,
                dims=args.dims,
                sidecar=not args.no_sidecar,
                identifiers=args.identifiers,
                resample=args.resample,
                resume=not args.replace,
            )
        except (OrthancError, KeyboardInterrupt) as error:
            if vars(error).get("table") is not None:
                _report([vars(error)["table"]], args)
            raise
    counted = _report([table], args)
    terminal.say(", ".join(f"{count} {status}" for status, count in counted.most_common()), quiet=args.quiet)
    return 1 if counted["refused"] or counted["failed"] or counted["not tried"] else 0


def _show_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", nargs="?", metavar="FILE", help="ends in .png or .jpg")
    parser.add_argument("--slice", type=positive, metavar="N", help="this plane alone, counted from 0")
    parser.add_argument("--plane", choices=PLANES, help="of this orientation; by default as the slices were acquired")
    parser.add_argument("--window", nargs=2, type=float, metavar=("CENTER", "WIDTH"), help="as in --window 40 400")
    parser.add_argument("--units", default="modality", help="as for volume")


def _show(args: Namespace) -> int:
    if args.target and args.identifier is None and not args.target.lower().endswith(_PICTURES):
        # The only name that was given is not that of a picture, so it is an identifier.
        args.identifier, args.target = args.target, None
    if args.target and not args.target.lower().endswith(_PICTURES):
        args.usage(f"the picture {args.target!r} must end in {', '.join(_PICTURES)}")
    if args.window and not args.window[1] > 0:
        args.usage("the width of a window must be above 0")
    import_extra("matplotlib", "plot", "A picture").use("Agg")
    with opened(args) as session:
        volume = session.get_volume(args.units)
    draw = _picture(volume, args)
    if args.target:
        target = Path(args.target).expanduser()
        write_whole(target, draw)
    elif sys.stdout.isatty():
        handle, name = tempfile.mkstemp(prefix="simple-orthanc-", suffix=".png")
        with os.fdopen(handle, "wb") as stream:
            draw(stream)
        target = Path(name)
    else:
        draw(sys.stdout.buffer)
        return 0
    sys.stdout.write(f"{_shown_path(target)}\n")
    return 0


def _picture(volume: Volume, args: Namespace) -> Callable[[BinaryIO], None]:
    try:
        figure = volume.plot(tuple(args.window) if args.window else None, args.slice, args.plane)
    except ValueError as error:
        raise SelectionError(f"--slice {args.slice}: {error}") from error
    kind = "jpeg" if args.target and not args.target.lower().endswith(".png") else "png"
    return lambda stream: figure.savefig(stream, format=kind, dpi=120)


def write_whole(target: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file under a temporary name and rename it, so that no partly written file is left."""
    # Named before it is created: otherwise an interrupt between the two would leave it behind.
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        if target.exists() and not target.is_file():
            raise not_regular(target)
        with part.open("xb") as stream:
            write(stream)
        os.replace(part, target)
    except OSError as error:
        raise OrthancError(
            f"{target} cannot be written: {error.strerror or error}. Nothing was left behind, and an older file of "
            "that name is unchanged. Choose another folder, or free some space."
        ) from error
    finally:
        part.unlink(missing_ok=True)
