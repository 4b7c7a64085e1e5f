"""Commands that show what is there: ``info``, ``find``, ``tags``."""

from __future__ import annotations

import re
import sys
import warnings
from argparse import ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from simple_orthanc.cli import tabular
from simple_orthanc.cli.parser import CommandParser, Commands, add_command, level_of, positive
from simple_orthanc.cli.source import opened
from simple_orthanc.cli.tabular import Rows
from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection import tables
from simple_orthanc.session import Orthanc, Session
from simple_orthanc.session.display import location
from simple_orthanc.showing.text import safe

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS: dict[Level, str] = {
    "patient": "PatientID PatientName PatientBirthDate PatientSex study_count series_count instance_count",
    "study": """
        PatientID PatientName StudyDate StudyDescription AccessionNumber series_count instance_count StudyInstanceUID
    """,
    "series": """
        PatientID PatientName StudyDate Modality SeriesNumber SeriesDescription instance_count SeriesInstanceUID
    """,
    "instance": "PatientID Modality SeriesDescription InstanceNumber SOPInstanceUID SeriesInstanceUID",
}
# A comma separates columns, but not inside a number (0018,0050) or the brackets of a private tag.
_COLUMN = re.compile(r"(?:\([^()]*\)|(?<![0-9A-Za-z])[0-9A-Fa-f]{4},[0-9A-Fa-f]{4}(?![0-9A-Za-z])|[^,\s])+")
# Of longer binary values only the length is shown.
_LONGEST_BINARY = 32


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_command(
        commands,
        "info",
        _info,
        summary="show what is there: server, version, plugins, counts",
        examples=["info", "--folder ~/scans info", "info --where Modality=CT --format json"],
        arguments=lambda parser: _add_format(parser, "text", "json"),
    )
    add_command(
        commands,
        "find",
        _find,
        summary="list patients, studies, series or instances as a table",
        details="One row for each that is selected, in the order of patients, studies and series.",
        examples=[
            "find studies --where 'PatientName=Doe*'",
            "find series --where Modality=CT --where 'SliceThickness<=3' --columns PatientID,SeriesDescription,KVP",
            "find series --where Modality=MR --sort EchoTime --descending --limit 10 --format csv > mr.csv",
            "find instances 1.2.840.113619.2.1 --columns all --format json",
        ],
        arguments=_find_arguments,
    )
    add_command(
        commands,
        "tags",
        _tags,
        summary="show all tags of an instance, or of every selected one",
        details="The header as the file holds it, without pixels. Formats: table, csv, or the DICOM JSON model (PS3.18,"
        " annex F),\nwhich is one object, or a list of them with --all.",
        examples=[
            "tags --where Modality=CT",
            "tags 1.2.840.113619.2.1 --index 5 --format json",
            "tags --all --format json --where StudyInstanceUID=1.2.840.113619.2.1 > metadata.json",
        ],
        arguments=_tags_arguments,
    )


def _add_format(parser: CommandParser, *choices: str) -> None:
    parser.add_argument("--format", choices=choices, default=choices[0], help=f"default: {choices[0]}")


def _info(args: Namespace) -> int:
    with opened(args) as session:
        facts = _facts(session)
    if args.format == "json":
        sys.stdout.write(tabular.json_text(facts) + "\n")
        return 0
    for name, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else f"{value:,}" if _counts(value) else str(value)
        sys.stdout.write(f"{name + ':':<12} {safe(text)}\n")
    return 0


def _counts(value: object) -> bool:
    return isinstance(value, int)


def _facts(session: Session) -> dict[str, Any]:
    facts: dict[str, Any] = {"source": type(session).__name__, "address": location(session)}
    if isinstance(session, Orthanc):
        system = session.rest.get("/system")
        facts |= {"version": str(system.get("Version", "")), "name": str(system.get("Name", ""))}
        facts["plugins"] = [str(name) for name in session.rest.get("/plugins")]
    if hasattr(type(session), "files"):
        folder: Any = session
        counted = Counter(str(status) for status in folder.files["status"])
        facts["files"] = [f"{count} {status}" for status, count in counted.most_common()]
    return facts | {
        "patients": session.patient_count,
        "studies": session.study_count,
        "series": session.series_count,
        "instances": session.instance_count,
    }


def _find_arguments(parser: CommandParser) -> None:
    parser.add_argument("level", type=level_of, metavar="LEVEL", help="patients, studies, series or instances")
    parser.add_argument(
        "--columns",
        action="append",
        type=column_names,
        metavar="TAG,TAG",
        help="tags in any spelling, and study_count, series_count, instance_count; all: everything that is indexed",
    )
    parser.add_argument("--sort", metavar="TAG", help="sort the rows by a tag or count; rows without it come last")
    parser.add_argument("--descending", action="store_true", help="largest first")
    parser.add_argument("--limit", type=positive, metavar="N", help="print at most N rows")
    parser.add_argument("--offset", type=positive, default=0, metavar="N", help="leave out the first N rows")
    parser.add_argument(
        "--varying",
        choices=("na", "list"),
        default="na",
        help="where a tag differs within a row: no value and a warning (na), or all values (list)",
    )
    tabular.add_format(parser)


def column_names(text: str) -> list[str]:
    """Split a list of tags.

    Examples
    --------
    >>> column_names('PatientID,0018,0050,(0009,"GEMS PETD",0D)')
    ['PatientID', '0018,0050', '(0009,"GEMS PETD",0D)']
    """
    names = _COLUMN.findall(text)
    if not names:
        raise ArgumentTypeError(f"{text!r} is not a list of tags")
    return names


def _find(args: Namespace) -> int:
    names = list(dict.fromkeys(name for each in args.columns or () for name in each))
    columns: Sequence[str] = names or _COLUMNS[args.level].split()
    if names == ["all"]:
        columns = tables.default_columns(args.level)
    # A wrong column is reported before any request.
    for name in [*columns, *([args.sort] if args.sort else [])]:
        tables.parse_column(name)
    if args.descending and not args.sort:
        args.usage("--descending needs --sort TAG")
    with opened(args) as session:
        asked = [*columns, args.sort] if args.sort and args.sort not in columns else columns
        frame = session.table(*asked, level=args.level, varying=args.varying)
    if args.sort:
        frame = frame.iloc[_order(frame[args.sort], args.descending)]
    end = None if args.limit is None else args.offset + args.limit
    rows = tabular.from_frame(frame[list(columns)].iloc[args.offset : end])
    tabular.write(rows, args.format, exact=args.exact, quiet=args.quiet)
    return 0


def _order(column: pd.Series[Any], descending: bool) -> list[int]:
    """Return the positions of the rows in sorted order; missing values come last, equal ones keep their order."""
    ranks = [_rank(value) for value in column.tolist()]
    present = [position for position in range(len(ranks)) if ranks[position] is not None]
    present.sort(key=lambda position: ranks[position] or (), reverse=descending)
    return present + [position for position in range(len(ranks)) if ranks[position] is None]


def _rank(value: Any) -> tuple[Any, ...] | None:
    if isinstance(value, (tuple, list)):
        return tuple(_rank(part) or () for part in value)
    plain = tabular.plain(value)
    if plain is None:
        return None
    return (0, value) if not isinstance(value, str) else (1, value)


def _tags_arguments(parser: CommandParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--index", type=positive, default=0, metavar="N", help="which of the selected instances (0)")
    which.add_argument("--all", action="store_true", help="every selected instance, one after the other")
    tabular.add_format(parser)


def _tags(args: Namespace) -> int:
    with opened(args) as session:
        if args.index and args.index >= session.instance_count > 0:
            raise SelectionError(
                f"--index {args.index}: {session.instance_count} instances are selected, and the first is 0."
            )
        headers = session.get_headers() if args.all else [session.get_header(args.index)]
    # pydicom warns of every malformed value; here the value itself is shown.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if args.format == "json":
            if args.all:
                tabular.write_json(map(dicom_json, headers), sys.stdout)
            else:
                sys.stdout.write(tabular.json_text(dicom_json(headers[0])) + "\n")
            return 0
        listed = [[number, *row] for number, header in enumerate(headers) for row in _elements(header)]
    names = ["tag", "VR", "keyword", "value"]
    rows = Rows(["instance", *names], listed) if args.all else Rows(names, [row[1:] for row in listed])
    tabular.write(rows, args.format, exact=args.exact, quiet=args.quiet)
    return 0


def _elements(header: Dataset, path: str = "") -> Iterator[list[Any]]:
    """Yield tag, VR, keyword and value of every element; of those in sequences with their path."""
    meta = getattr(header, "file_meta", None)
    if meta is not None and not path:
        yield from _elements(meta, "")
    for number in sorted(header.keys()):
        tag = parse_tag(int(number))
        raw: Any = header.get_item(number)
        name = tag.steps[0].keyword or ("private creator" if number.is_private_creator else "")
        shown = f"{path}{number.group:04x},{number.element:04x}"
        items = _items(header, number) if (raw.VR or tag.vr) == "SQ" else None
        if items is None:
            yield [shown, raw.VR or tag.vr, name, _value_text(header, tag)]
            continue
        yield [shown, "SQ", name, f"{len(items)} item{'' if len(items) == 1 else 's'}"]
        for index, item in enumerate(items):
            yield from _elements(item, f"{shown}[{index}].")


def _items(header: Dataset, number: Any) -> list[Dataset] | None:
    try:
        return list(header[number].value or ())
    except Exception:  # pydicom raises many kinds of errors on broken sequences
        return None


def _value_text(header: Dataset, tag: Any) -> Any:
    try:
        value = read_value(header, tag)
    except Exception:  # values that pydicom cannot convert are shown as bytes
        value = (_raw_bytes(header, tag),)
    if value is None:
        return None
    return "\\".join(part if isinstance(part, str) else _binary_text(part) for part in value)


def _raw_bytes(header: Dataset, tag: Any) -> bytes:
    content: Any = header.get_item(tag.steps[0].number).value
    return content if isinstance(content, bytes) else str(content).encode()


def _binary_text(content: bytes) -> str:
    if len(content) > _LONGEST_BINARY:
        return f"({len(content)} bytes)"
    return content.hex(" ")


def dicom_json(header: Dataset) -> dict[str, Any]:
    """Return a header in the DICOM JSON model (PS3.18, annex F), with malformed values as strings.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Rows = 4
    >>> dicom_json(header)
    {'00280010': {'vr': 'US', 'Value': [4]}}
    """
    result: dict[str, Any] = {}
    for number in sorted(header.keys()):
        raw: Any = header.get_item(number)
        key = f"{number.group:04X}{number.element:04X}"
        vr = raw.VR or parse_tag(int(number)).vr
        items = _items(header, number) if vr == "SQ" else None
        if items is not None:
            result[key] = {"vr": "SQ", "Value": [dicom_json(item) for item in items]}
            continue
        try:
            result[key] = _finite(header[number].to_json_dict(None, sys.maxsize))
        except Exception:  # malformed or cut off: the string in the file is better than no value
            text = _value_text(header, parse_tag(int(number)))
            result[key] = {"vr": vr} if text is None else {"vr": vr, "Value": text.split("\\")}
    return result


def _finite(element: dict[str, Any]) -> dict[str, Any]:
    """Write numbers that JSON does not have as strings."""
    values = element.get("Value")
    if isinstance(values, list):
        element["Value"] = [tabular.plain(value) if isinstance(value, float) else value for value in values]
    return element
