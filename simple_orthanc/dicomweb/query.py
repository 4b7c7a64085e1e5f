"""The query of a search, as it is written in a URL, and how a result is compared with it here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicomweb.model import texts
from simple_orthanc.errors import SelectionError, UnsupportedError

_PLAIN = "*?:/@!$'()"
_ESCAPES = re.compile(r"(%[0-9A-F]{2})+")
_WITH_WILDCARDS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})


def query_string(filters: Mapping[str, str], fuzzy: bool, fields: Sequence[str]) -> str:
    """Write the query of a search, percent-encoded where it must be.

    Examples
    --------
    >>> query_string({"PatientName": "Doe^J*", "0008,0050": "a b"}, False, ["StudyDescription"])
    '00100010=Doe%5EJ*&00080050=a%20b&includefield=00081030'
    """
    pairs = [(attribute(name), escaped(name, value)) for name, value in filters.items()]
    if fuzzy:
        pairs.append(("fuzzymatching", "true"))
    listed = (fields,) if isinstance(fields, str) else fields
    pairs += [("includefield", "all" if field == "all" else attribute(field)) for field in listed]
    return "&".join(f"{name}={value}" for name, value in pairs)


def _filter_string(name: str, value: object) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise SelectionError(f"The filter {name} is of type {type(value).__name__}; give a string as DICOM writes it.")
    return value


def escaped(name: str, value: object) -> str:
    """Return a filter as it is written in a URL.

    Examples
    --------
    >>> escaped("PatientName", "Doe^J*"), escaped("StudyInstanceUID", "1.2,1.3")
    ('Doe%5EJ*', '1.2,1.3')
    """
    # Only what must be encoded is, since some servers do not decode it. Commas separate the UIDs of a list.
    return quote(_filter_string(name, value), safe=_PLAIN + ("," if parse_tag(name).vr == "UI" else ""))


def needs_escape(name: str, value: object) -> bool:
    """Check whether a filter has a character that must be encoded in a URL.

    Examples
    --------
    >>> needs_escape("SeriesDescription", "T2*"), needs_escape("SeriesDescription", "T2 AX*")
    (False, True)
    """
    return "%" in escaped(name, value)


def widened(name: str, value: object) -> str:
    """Replace the characters that must be encoded in a URL by wildcards, so that the filter matches at least as much.

    Raises
    ------
    UnsupportedError
        If its VR has no wildcards (PS3.4 section C.2.2.2.4).

    Examples
    --------
    >>> widened("PatientName", "Müller^A B")
    'M*ller*A*B'
    """
    if parse_tag(name).vr not in _WITH_WILDCARDS:
        raise UnsupportedError(
            f"The server does not understand the filter {name} = {value!r}: it does not decode characters in "
            "URLs. Search without it, and filter the results yourself."
        )
    return _ESCAPES.sub("*", escaped(name, value))


def matches(item: Mapping[str, Any], name: str, value: object) -> bool:
    """Check whether a result matches a filter, ignoring case, which the server has compared.

    Examples
    --------
    >>> matches({"0008103E": {"vr": "LO", "Value": ["T2 AXIAL"]}}, "SeriesDescription", "t2 ax*")
    True
    """
    forms: list[str] = []
    for string in texts(item, name):
        forms += [string, *string.split("=")] if parse_tag(name).vr == "PN" else [string]
    forms += [form.rstrip("^ ") for form in forms]
    wanted = unicodedata.normalize("NFC", _filter_string(name, value))
    pattern = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in wanted)
    matcher = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return any(matcher.fullmatch(unicodedata.normalize("NFC", form)) for form in forms)


def attribute(name: str) -> str:
    """Write an attribute for a search: its eight digits, for a path several of them joined by dots.

    Examples
    --------
    >>> attribute("RequestAttributesSequence.ScheduledProcedureStepID")
    '00400275.00400009'
    """
    steps = parse_tag(name).steps
    for step in steps:
        if step.creator is not None or step.item is not None:
            raise SelectionError(
                f"A search cannot ask for {name}: searches have neither private creators nor items of a sequence "
                '(PS3.18 section 8.3.4.1). Give the number as it is in the files, such as "0009,1001", or the path '
                "without items."
            )
    return ".".join(f"{step.number:08X}" for step in steps)
