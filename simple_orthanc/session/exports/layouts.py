"""Layouts: templates of tags that name files, as in ``{PatientID}/{StudyDate:%Y}/{SeriesNumber:03d}.dcm``.

A field is a tag in braces, with a format for dates, times, numbers and lengths behind a colon, and the value of objects
that lack the tag behind a bar: ``{SeriesDescription:.20|unnamed}``. Slashes separate folders; one whose name is empty,
as ``{StudyDescription|}`` can be, is left out. ``{{`` and ``}}`` are braces.

Everything is decided before a file is written: no I/O here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import TypeAlias

from simple_orthanc.dicom.tags import NUMBER_VRS, Tag, parse_tag
from simple_orthanc.dicom.times import parse_date, parse_moment, parse_time
from simple_orthanc.dicom.values import Value, parse_number
from simple_orthanc.errors import SelectionError, UnknownTagError
from simple_orthanc.session.exports.names import file_name, readable_name

Values: TypeAlias = "Mapping[str, Value | int]"
"""Name of field to value, of one object."""

_TOKENS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_CALENDAR = frozenset({"DA", "TM", "DT"})
_DATE_PARTS = "Ymdjy"
_TIME_PARTS = "HMSf"
_NUMBER_FORMAT = re.compile(r"0?\d{0,2}d?|0?\d{0,2}(\.\d{1,2})?[fg]")
_TEXT_FORMAT = re.compile(r"\.\d{1,3}")
# Not in names on Windows, whoever wrote them.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\<>:"|?*]')
_SUFFIX = re.compile(r"(\.nii\.gz|\.\w{1,8})\Z")
_MISSING = "missing"


@dataclass(frozen=True)
class Field:
    """A field of a layout.

    Attributes
    ----------
    name : str
        As written.
    tag : Tag or None
        None: a number or name that is not from the headers, such as ``{index}``.
    spec : str
        The format; "" if there is none.
    default : str or None
        What stands for a missing value; None: the word "missing".
    """

    name: str
    tag: Tag | None
    spec: str = ""
    default: str | None = None

    def text(self, values: Values) -> tuple[str, bool]:
        """Return the value of an object as a string, and whether the object has one."""
        value = values.get(self.name)
        if value is None:
            return self.default or "", False
        if isinstance(value, int):
            return format(value, self.spec), True
        vr = self.tag.vr if self.tag is not None else "LO"
        return "-".join(_formatted(part, vr, self.spec) for part in value), True


@dataclass(frozen=True)
class Name:
    """What a layout makes of one object: for each part of its path the string as it is, and as the name on disk."""

    texts: tuple[str, ...]
    parts: tuple[str, ...]

    @property
    def path(self) -> PurePosixPath:
        """The path, relative to the target folder."""
        return PurePosixPath(*self.parts)


@dataclass(frozen=True)
class Layout:
    """A parsed layout.

    Attributes
    ----------
    text : str
        As written.
    parts : tuple
        For each part of the path its pieces: strings and fields.
    """

    text: str
    parts: tuple[tuple[str | Field, ...], ...]

    @property
    def fields(self) -> list[Field]:
        """All fields, in order."""
        return [piece for part in self.parts for piece in part if isinstance(piece, Field)]

    def name(self, values: Values) -> Name:
        """Name the file of one object."""
        texts, parts = [], []
        for position, pieces in enumerate(self.parts):
            text, part = _joined(pieces, values)
            is_file = position == len(self.parts) - 1
            if is_file and not _SUFFIX.sub("", part):
                part = _MISSING + part
            if part:
                texts.append(text)
                parts.append(file_name(part))
        return Name(tuple(texts), tuple(parts))

    def extended(self, *fields: str) -> str:
        """Return the layout with those fields that it lacks at the end of the name of the file, before its suffix."""
        match = _SUFFIX.search(self.text)
        suffix = match[0] if match else ""
        stem = self.text[: len(self.text) - len(suffix)]
        present = {field.name for field in self.fields}
        return "-".join([stem, *(f"{{{field}}}" for field in fields if field not in present)]) + suffix

    def replaced(self, *fields: str) -> str:
        """Return a layout of these fields alone, with the same suffix."""
        match = _SUFFIX.search(self.text)
        return "-".join(f"{{{field}}}" for field in fields) + (match[0] if match else "")


def _joined(pieces: Sequence[str | Field], values: Values) -> tuple[str, str]:
    """Put one part of a path together: with values as they are, and as names hold them."""
    texts, parts = [], []
    for piece in pieces:
        if isinstance(piece, str):
            texts.append(piece)
            parts.append(piece)
            continue
        text, is_there = piece.text(values)
        if is_there:
            texts.append(text)
            parts.append(readable_name(text))
        else:
            # What no value is: a missing one does not share a folder with one that reads "missing".
            texts.append("\0" if piece.default is None else text)
            parts.append(_MISSING if piece.default is None else text)
    return "".join(texts), "".join(parts)


def _formatted(part: str | bytes, vr: str, spec: str) -> str:
    if isinstance(part, bytes):
        return part.hex()
    if not spec:
        return part
    if vr in _CALENDAR:
        moment = _moment(part, vr)
        # What is no date is named as it is.
        return part if moment is None else re.sub("%(.)", lambda match: _calendar_part(moment, match[1]), spec)
    if vr in NUMBER_VRS:
        return _formatted_number(part, vr, spec)
    return part[: int(spec[1:])]


def _formatted_number(part: str, vr: str, spec: str) -> str:
    number = parse_number(part, vr)
    if number is None:
        return part
    try:
        whole = int(number)
        return format(number if spec.endswith(("f", "g")) or whole != number else whole, spec)
    except (ValueError, OverflowError):
        # No whole number, but a format of these; infinite; or too large for a float.
        return part


def _moment(part: str, vr: str) -> datetime | None:
    if vr == "DA":
        day: date | None = parse_date(part)
        return None if day is None else datetime(day.year, day.month, day.day)
    if vr == "TM":
        time: timedelta | None = parse_time(part)
        return None if time is None else datetime(1, 1, 1) + time
    moment = parse_moment(part)
    return None if moment is None else moment.clock


def _calendar_part(moment: datetime, directive: str) -> str:
    parts = {
        "Y": f"{moment.year:04d}",
        "y": f"{moment.year % 100:02d}",
        "m": f"{moment.month:02d}",
        "d": f"{moment.day:02d}",
        "j": f"{moment.timetuple().tm_yday:03d}",
        "H": f"{moment.hour:02d}",
        "M": f"{moment.minute:02d}",
        "S": f"{moment.second:02d}",
        "f": f"{moment.microsecond:06d}",
    }
    return parts.get(directive, directive)


# Reading a layout


def parse_layout(text: object, verb: str, others: Sequence[str] = ("index",)) -> Layout:
    """Read a layout.

    Parameters
    ----------
    text : str
        The layout.
    verb : str
        The method that takes it, for messages.
    others : sequence of str
        Names of fields that are not tags.

    Raises
    ------
    SelectionError
        It is not one; the message has one that is.
    UnknownTagError
        A field is no tag; the message has close matches.

    Examples
    --------
    >>> layout = parse_layout("{PatientID}/{StudyDate:%Y}/{SeriesNumber:03d} {SeriesDescription|}.dcm", "download")
    >>> values = {"PatientID": ("P 1",), "StudyDate": ("20200131",), "SeriesNumber": ("4",)}
    >>> str(layout.name(values).path)
    'P_1/2020/004 .dcm'
    """
    if not isinstance(text, str) or not text:
        raise _wrong(text, verb, "a layout is a string of tags")
    parts: list[list[str | Field]] = [[]]
    for piece in _pieces(text, verb, others):
        if isinstance(piece, Field):
            parts[-1].append(piece)
            continue
        for position, literal in enumerate(piece.split("/")):
            if position:
                parts.append([])
            if literal:
                parts[-1].append(literal)
    layout = Layout(text, tuple(tuple(part) for part in parts))
    _check_parts(layout, verb)
    return layout


def _pieces(text: str, verb: str, others: Sequence[str]) -> Iterator[str | Field]:
    for match in _TOKENS.finditer(text):
        token = match[0]
        if token in ("{{", "}}"):
            yield token[0]
        elif match[1] is not None:
            yield _field(match[1], text, verb, others)
        elif token in "{}":
            raise _wrong(text, verb, f"there is a {token} without its other half; a brace of a name is written twice")
        elif _FORBIDDEN.search(token):
            raise _wrong(text, verb, f"{token!r} has a character that names on some systems cannot have")
        else:
            yield token


def _check_parts(layout: Layout, verb: str) -> None:
    if not all(layout.parts):
        raise _wrong(layout.text, verb, "it begins or ends with a slash, or has two in a row; it names a file below it")
    for part in layout.parts:
        if all(isinstance(piece, str) and not piece.strip(". ") for piece in part):
            raise _wrong(layout.text, verb, "a folder of dots leads elsewhere; files go below the target folder")


def _field(content: str, text: str, verb: str, others: Sequence[str]) -> Field:
    rest, bar, default = content.partition("|")
    name, _, spec = rest.partition(":")
    name = name.strip()
    if bar and (_FORBIDDEN.search(default) or "/" in default):
        raise _wrong(text, verb, f"the default {default!r} has a character that names cannot have")
    if name in others:
        _check_spec(name, "IS" if name == "index" else "LO", spec, text, verb)
        return Field(name, None, spec, default if bar else None)
    try:
        tag = parse_tag(name)
    except UnknownTagError as error:
        raise UnknownTagError(
            f"{verb}(layout={text!r}): {error.message} Beside tags a layout takes "
            f"{', '.join('{' + other + '}' for other in others)}."
        ) from None
    if tag.is_sequence or tag.is_pixels:
        raise _wrong(text, verb, f"{name} is a sequence or pixels, which are no name")
    _check_spec(name, tag.vr, spec, text, verb)
    return Field(name, tag, spec, default if bar else None)


def _check_spec(name: str, vr: str, spec: str, text: str, verb: str) -> None:
    if not spec:
        return
    if vr in _CALENDAR:
        allowed = {"DA": _DATE_PARTS, "TM": _TIME_PARTS, "DT": _DATE_PARTS + _TIME_PARTS}[vr]
        directives = re.findall("%(.?)", spec)
        if directives and all(directive and directive in allowed + "%" for directive in directives):
            if "/" in spec:
                folders = "}/{".join(f"{name}:{part}" for part in spec.split("/"))
                raise _wrong(text, verb, f"a format is one name; for folders write {{{folders}}}")
            return
        example = f"{name}:{'%H%M%S' if vr == 'TM' else '%Y%m%d'}"
        known = ", ".join(f"%{part}" for part in allowed)
        raise _wrong(text, verb, f"{spec!r} is no format of {name}: it takes {known}, as in {{{example}}}")
    is_number = vr in NUMBER_VRS
    if not (_NUMBER_FORMAT if is_number else _TEXT_FORMAT).fullmatch(spec):
        example = f"{name}:04d" if is_number else f"{name}:.20"
        what = "a number" if is_number else "a string, of which a layout takes the first characters"
        raise _wrong(text, verb, f"{spec!r} is no format of {name}, {what}, as in {{{example}}}")


def _wrong(text: object, verb: str, reason: str) -> SelectionError:
    example = '"{PatientID}/{StudyDate}/{SeriesDescription}/{InstanceNumber:04d}.dcm"'
    if verb == "save_volumes":
        example = '"{PatientID}/{StudyDate}/{SeriesNumber:03d}_{SeriesDescription}"'
    return SelectionError(f"{verb}(layout={text!r}): {reason}. A layout is, for example, {example}. Nothing was read.")
