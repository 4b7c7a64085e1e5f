"""Commands for what DICOMweb servers return besides files: ``frames``, ``rendered``, ``bulkdata``."""

from __future__ import annotations

import importlib
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from simple_orthanc.cli import tabular
from simple_orthanc.cli.files import write_whole
from simple_orthanc.cli.parser import CommandParser, Commands, add_command, positive
from simple_orthanc.cli.source import open_session, opened
from simple_orthanc.errors import AmbiguousSelectionError, NoPixelDataError, SelectionError, UnsupportedError
from simple_orthanc.files.paths import make_folders
from simple_orthanc.session import Session
from simple_orthanc.session.exports.names import safe_name
from simple_orthanc.showing.text import safe

EQUIVALENTS = """\
The commands of other DICOMweb clients are here:
  search for studies, series, instances     find LEVEL --where TAG=VALUE --columns TAG,TAG --limit N --offset N
  fuzzy matching                            --where 'PatientName=Doe*'
  retrieve metadata                         tags --all --format json; as text: tags --all
  retrieve whole files                      download FOLDER
  retrieve frames                           frames FOLDER --numbers 1,2 --media-type image/jpeg
    in one transfer syntax                    --transfer-syntax 1.2.840.10008.1.2.4.50
  retrieve rendered images, thumbnails      rendered FILE, rendered FILE --thumbnail; drawn here: show FILE
  retrieve bulk data                        bulkdata URI FILE
  store instances                           upload PATH...
  delete studies, series, instances         delete LEVEL
"""

_SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/jp2": ".jp2",
    "image/jls": ".jls",
    "video/mp4": ".mp4",
    "application/octet-stream": ".raw",
}
# The files that single frames of a compressed object are (PS3.5, section 10).
_SUFFIX_OF_SYNTAX = {
    "1.2.840.10008.1.2.4.50": ".jpg",
    "1.2.840.10008.1.2.4.51": ".jpg",
    "1.2.840.10008.1.2.4.57": ".jpg",
    "1.2.840.10008.1.2.4.70": ".jpg",
    "1.2.840.10008.1.2.4.80": ".jls",
    "1.2.840.10008.1.2.4.81": ".jls",
    "1.2.840.10008.1.2.4.90": ".j2k",
    "1.2.840.10008.1.2.4.91": ".j2k",
    "1.2.840.10008.1.2.5": ".rle",
}
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_command(
        commands,
        "frames",
        _frames,
        summary="write frames as they are stored, or as a DICOMweb server converts them",
        details="Each goes to FOLDER/SOPInstanceUID-NUMBER with the suffix of its format; .raw is uncompressed.",
        examples=[
            "frames out 1.2.840.113619.2.1 --numbers 1,3",
            "--dicomweb http://127.0.0.1:8042/dicom-web frames out --media-type image/jpeg --where Modality=US",
        ],
        arguments=_frames_arguments,
    )
    add_command(
        commands,
        "rendered",
        _rendered,
        summary="get one image as a DICOMweb server draws it",
        details="The suffix of FILE sets the media type: .jpg, .png, .gif, .mp4. To draw on this machine: show.",
        examples=[
            "--dicomweb http://127.0.0.1:8042/dicom-web rendered slice.png 1.2.840.113619.2.1",
            "rendered small.jpg 1.2.840.113619.2.1 --thumbnail",
        ],
        arguments=_rendered_arguments,
    )
    add_command(
        commands,
        "bulkdata",
        _bulkdata,
        summary="get bulk data by the address in the metadata",
        details="Without FILE it goes to the standard output, unless that is a terminal.",
        examples=[
            "--dicomweb http://127.0.0.1:8042/dicom-web bulkdata "
            "http://127.0.0.1:8042/dicom-web/studies/1.2/series/1.3/instances/1.4/bulk/7fe00010 pixels.raw"
        ],
        arguments=_bulkdata_arguments,
        selects=False,
    )


def transactions(session: Session) -> Any:
    """Return the DICOMweb transactions of a session: its own, or those of an Orthanc server's plugin."""
    library: Any = session
    if type(session).__name__ == "DicomWeb":
        return library.rest
    if hasattr(type(session), "dicomweb"):
        return library.dicomweb.rest
    raise UnsupportedError(
        f"This is asked of a DICOMweb server, not of this {type(session).__name__}: name one with --dicomweb URL; "
        "`show` draws a picture here."
    )


def frame_numbers(text: str) -> list[int]:
    """Read a list of frame numbers, which DICOM counts from 1.

    Examples
    --------
    >>> frame_numbers("1,3-5")
    [1, 3, 4, 5]
    """
    numbers: list[int] = []
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if not (low.isdecimal() and (high or low).isdecimal() and 0 < int(low) <= int(high or low)):
            raise ArgumentTypeError(f"{text!r} is not a list of frames: write 1,3-5; the first frame is 1")
        numbers += range(int(low), int(high or low) + 1)
    return numbers


def _frames_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="FOLDER", help="created if it is missing")
    parser.add_argument("--numbers", type=frame_numbers, metavar="1,3-5", help="which frames, from 1 (default: all)")
    parser.add_argument("--media-type", metavar="TYPE", help="ask a DICOMweb server for it, as in image/jpeg")
    parser.add_argument("--transfer-syntax", metavar="UID", help="the transfer syntax to ask for, with --media-type")


def _frames(args: Namespace) -> int:
    folder = Path(args.target).expanduser()
    if args.transfer_syntax is not None and args.media_type is None:
        args.usage("--transfer-syntax is one of a --media-type: name that too")
    with opened(args) as session:
        if args.media_type is None:
            datasets = session.get_instances()
            found = [(str(each.get("SOPInstanceUID", "")), _stored_frames(each), _suffix(each)) for each in datasets]
            files = [
                (uid, number, frames[number - 1], suffix)
                for uid, frames, suffix in found
                for number in _checked(args.numbers, len(frames), uid)
            ]
        else:
            files = _converted(session, args.media_type, args.transfer_syntax, args.numbers)
    make_folders(folder)
    for uid, number, content, suffix in files:
        path = folder / f"{safe_name(uid)}-{number:04}{suffix}"
        write_whole(path, lambda stream, content=content: stream.write(content))  # type: ignore[misc]
        sys.stdout.write(f"{safe(str(path))}\n")
    return 0


def _checked(numbers: Sequence[int] | None, count: int, uid: str) -> Sequence[int]:
    wanted = range(1, count + 1) if numbers is None else numbers
    if wrong := [number for number in wanted if number > count]:
        raise SelectionError(f"Frame {wrong[0]} of {uid} was asked for, which has {count}. Nothing was written.")
    return wanted


def _stored_frames(dataset: Dataset) -> list[bytes]:
    """Split an object into its frames as they are stored (PS3.5, sections 8 and A.4)."""
    content = next(
        (dataset[name].value for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in dataset),
        None,
    )
    if content is None:
        raise NoPixelDataError(f"Frames were requested from {dataset.get('SOPInstanceUID')}, which holds no image.")
    count = int(dataset.get("NumberOfFrames") or 1)
    if UID(dataset.file_meta.TransferSyntaxUID).is_compressed and "PixelData" in dataset:
        return list(generate_frames(content, number_of_frames=count))
    bits = (
        int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1)) * int(dataset.BitsAllocated)
    )
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits * 2 // 3
    if bits % 8 and count > 1:
        raise UnsupportedError(
            f"Single frames were requested from {dataset.SOPInstanceUID}, whose frames do not begin at whole bytes: "
            "read it with volume."
        )
    size = (bits + 7) // 8
    if len(content) < size * count:
        raise NoPixelDataError(
            f"{dataset.SOPInstanceUID} was to have {count} frames of {size} bytes, and holds "
            f"{len(content)} bytes in all."
        )
    return [content[index * size : (index + 1) * size] for index in range(count)]


def _suffix(dataset: Dataset) -> str:
    return _SUFFIX_OF_SYNTAX.get(str(dataset.file_meta.TransferSyntaxUID), ".raw")


def _converted(
    session: Session, media_type: str, transfer_syntax: str | None, numbers: Sequence[int] | None
) -> list[tuple[str, int, bytes, str]]:
    service = transactions(session)
    how: dict[str, Any] = {"media_types": (media_type,)}
    if transfer_syntax is not None:
        how["transfer_syntaxes"] = (transfer_syntax,)
    rows = tabular.from_frame(session.table(*_UIDS, "NumberOfFrames", level="instance")).rows
    _check_unchanged(session)
    files = []
    for study, series, instance, count in rows:
        wanted = _checked(numbers, int(count or 1), instance)
        for frame in service.retrieve_frames(study, series, instance, wanted, **how):
            suffix = _SUFFIX_OF_SYNTAX.get(frame.transfer_syntax or "") or _SUFFIXES.get(frame.media_type, ".raw")
            files.append((instance, frame.number, frame.content, suffix))
    return files


def _check_unchanged(session: Session) -> None:
    from simple_orthanc.session.cohorts.opening import check_unchanged

    check_unchanged(session)


def _rendered_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="FILE", help="ends in .jpg, .png, .gif or .mp4")
    parser.add_argument("--frame", type=positive, metavar="N", help="this frame, from 1")
    parser.add_argument("--thumbnail", action="store_true", help="a small picture, in a size that the server chooses")
    parser.add_argument("--window", nargs=2, type=float, metavar=("CENTER", "WIDTH"))
    parser.add_argument("--viewport", nargs=2, type=positive, metavar=("WIDTH", "HEIGHT"), help="in pixels")
    parser.add_argument("--quality", type=positive, metavar="1-100", help="of a lossy compression")


def _rendered(args: Namespace) -> int:
    target = Path(args.target).expanduser()
    by_suffix = {suffix: media_type for media_type, suffix in _SUFFIXES.items()}
    media_type = by_suffix.get(target.suffix.lower().replace(".jpeg", ".jpg"))
    if media_type is None or media_type == "application/octet-stream":
        args.usage(f"{target.name} must end in one of {', '.join(each for each in by_suffix if each != '.raw')}")
    with opened(args) as session:
        service = transactions(session)
        if session.instance_count != 1:
            raise AmbiguousSelectionError(
                f"One instance is drawn at a time, and {session.instance_count} are selected: name its SOPInstanceUID."
            )
        uids = tabular.from_frame(session.table(*_UIDS, level="instance")).rows[0]
        _check_unchanged(session)
        content = _drawn(service, uids, args, str(media_type))
    write_whole(target, lambda stream: stream.write(content))
    sys.stdout.write(f"{safe(str(target))}\n")
    return 0


def _drawn(service: Any, uids: Sequence[str], args: Namespace, media_type: str) -> bytes:
    # Imported by name: other commands do not need DICOMweb.
    rendering: Any = importlib.import_module("simple_orthanc.dicomweb.rendering").Rendering
    how = rendering(
        media_type,
        quality=args.quality,
        viewport=args.viewport and tuple(args.viewport),
        window=args.window and tuple(args.window),
    )
    if args.thumbnail:
        part = (
            service.retrieve_frame_thumbnail(*uids, args.frame, how)
            if args.frame
            else service.retrieve_instance_thumbnail(*uids, how)
        )
        return bytes(part.content)
    parts = (
        service.retrieve_frames_rendered(*uids, [args.frame], how)
        if args.frame
        else service.retrieve_instance_rendered(*uids, how)
    )
    if len(parts) != 1:
        raise AmbiguousSelectionError(
            f"One picture was asked for, and the server drew {len(parts)}: choose one with --frame N."
        )
    return bytes(parts[0].content)


def _bulkdata_arguments(parser: CommandParser) -> None:
    parser.add_argument("address", metavar="URI", help="a BulkDataURI, on the server itself")
    parser.add_argument("target", nargs="?", metavar="FILE")
    parser.add_argument("--range", type=byte_range, metavar="FIRST-LAST", help="these bytes, from 0, both included")


def byte_range(text: str) -> tuple[int, int]:
    """Read a range of bytes, both ends included.

    Examples
    --------
    >>> byte_range("0-1023")
    (0, 1023)
    """
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise ArgumentTypeError(f"{text!r} is not a range of bytes: write 0-1023")
    return int(first), int(last)


def _bulkdata(args: Namespace) -> int:
    if args.target is None and sys.stdout.isatty():
        args.usage("bulk data is nothing for a terminal: name a FILE")
    with open_session(args) as session:
        content = bytes(transactions(session).retrieve_bulkdata(args.address, byte_range=args.range))
    if args.target is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return 0
    target = Path(args.target).expanduser()
    write_whole(target, lambda stream: stream.write(content))
    sys.stdout.write(f"{safe(str(target))}\n")
    return 0
