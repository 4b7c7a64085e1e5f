"""The value of a DICOM element in one canonical form, whatever it was read from.

A value is a tuple of strings, one for each value of the element (PS3.5, section 6.4), stripped of padding; ``None`` if
the element is missing or empty. Bytes stay bytes. Orthanc's JSON and pydicom's elements both become this form, and only
here is it converted to numbers, dates and times.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from pydicom.dataelem import DataElement

from simple_orthanc.dicom.tags import NUMBER_VRS, PADDING, REAL_VRS, Tag
from simple_orthanc.dicom.times import parse_age, parse_date, parse_datetime, parse_time

Value: TypeAlias = "tuple[str | bytes, ...] | None"
Comparable: TypeAlias = "int | float | date | datetime | timedelta"

# A backslash separates values except in these (PS3.5, section 6.2, "not permitted as delimiter").
_UNSPLIT_VRS = frozenset({"LT", "ST", "UT", "UR"})
# These should hold plain characters of the default repertoire, so that the bytes say it all and pydicom's conversion,
# which refuses what is malformed, is not needed.
PLAIN_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})


def from_text(text: str, vr: str) -> Value:
    r"""Read a value from one string with backslashes between values.

    Examples
    --------
    >>> from_text("ORIGINAL\\PRIMARY ", "CS"), from_text("", "CS"), from_text("a\\b", "LT")
    (('ORIGINAL', 'PRIMARY'), None, ('a\\b',))
    """
    if "\0" in text:
        # Servers end the element there.
        text = text.partition("\0")[0]
    return _stripped([text] if vr in _UNSPLIT_VRS else text.split("\\"), vr)


def from_texts(texts: Iterable[str], vr: str) -> Value:
    """Read a value from its strings, one for each value.

    Examples
    --------
    >>> from_texts(["Doe^Jane="], "PN"), from_texts(["", ""], "LO")
    (('Doe^Jane',), None)
    """
    return _stripped(_before_nul(texts), vr)


def _stripped(texts: Iterable[str], vr: str) -> Value:
    cleaned = tuple(text.strip(PADDING) for text in texts)
    if vr == "PN":
        cleaned = tuple(text.rstrip("= ") for text in cleaned)
    return cleaned if any(cleaned) else None


def _before_nul(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        before, nul, _ = text.partition("\0")
        yield before
        if nul:
            return


def from_element(element: DataElement) -> Value:
    """Read the value of an element that pydicom has converted.

    Examples
    --------
    >>> from_element(DataElement(0x00180050, "DS", "1.50")), from_element(DataElement(0x00180060, "DS", None))
    (('1.50',), None)
    """
    content = element.value
    if content is None or (isinstance(content, (str, bytes)) and not content):
        return None
    if element.VR == "SQ":
        return tuple(json.dumps(item.to_json_dict(), ensure_ascii=False) for item in content) or None
    if element.VR == "AT":
        tags = [content] if isinstance(content, int) else content
        return tuple(f"{int(tag) >> 16:04x},{int(tag) & 0xFFFF:04x}" for tag in tags) or None
    if isinstance(content, bytes):
        return _from_unknown(content) if element.VR == "UN" else (content,)
    parts = content if element.VM > 1 or isinstance(content, list) else [content]
    return from_texts((_as_written(part) for part in parts), element.VR)


def _from_unknown(content: bytes) -> Value:
    """Read a private element whose VR a file with implicit VR does not state: as a string if it can be nothing else."""
    text_ = content.rstrip(b"\0 ")
    if text_ and all(32 <= code < 127 for code in text_):
        return from_text(text_.decode("ascii"), "UN")
    return (content,)


def _as_written(part: Any) -> str:
    if part is None:
        return ""
    if isinstance(part, (int, float, Decimal)):
        # pydicom's own classes of numbers write themselves with quotation marks.
        plain = repr(float(part)) if isinstance(part, float) else str(int(part)) if isinstance(part, int) else str(part)
        return str(getattr(part, "original_string", None) or plain)
    return str(part)


def parse_number(text: str, vr: str) -> int | float | None:
    """Read a number, ``None`` if the string is not one.

    Examples
    --------
    >>> parse_number("1.50", "DS"), parse_number("+007", "IS"), parse_number("abc", "DS")
    (1.5, 7, None)
    """
    text = text.strip(PADDING)
    if not text.isascii() or "_" in text:  # which Python would read, and DICOM does not allow
        return None
    try:
        if vr not in REAL_VRS and re.fullmatch(r"[+-]?\d+", text):
            return int(text)
        number = float(text)
    except ValueError:
        return None
    if vr in REAL_VRS or vr == "UN":
        # Only the binary kinds have a value for infinity.
        return number if math.isfinite(number) or (math.isinf(number) and vr in ("FL", "FD")) else None
    return int(number) if number.is_integer() else None


def comparable(text: str | bytes, vr: str) -> Comparable | None:
    """Convert one value to what compares by value: a number, date, time since midnight, or age in days.

    Returns
    -------
    int, float, date, datetime, timedelta or None
        ``None`` if the value cannot be read by its value representation, or is a string.
    """
    if isinstance(text, bytes):
        return None
    if vr in NUMBER_VRS or vr == "UN":
        return parse_number(text, vr)
    parser = {"DA": parse_date, "TM": parse_time, "DT": parse_datetime, "AS": parse_age}.get(vr)
    return parser(text) if parser else None


def typed(text: str | bytes, vr: str) -> Any:
    """Convert one value to what a user's function receives: a number, date, time since midnight, or the string."""
    if vr in NUMBER_VRS or vr in ("DA", "TM", "DT"):
        return comparable(text, vr)
    return text


def shown(value: Value, tag: Tag) -> Any:
    """Convert a value to what lists of values hold.

    Numbers are numbers; everything else, dates too, is the string in the file. A tag that may have several values is a
    tuple. A missing value, and a number that cannot be read, are ``None``.

    Examples
    --------
    >>> from simple_orthanc.dicom.tags import parse_tag
    >>> shown(("1.50",), parse_tag("SliceThickness")), shown(("A", "B"), parse_tag("ImageType"))
    (1.5, ('A', 'B'))
    """
    if value is None:
        return None
    if tag.is_multiple:
        return tuple(_shown_part(part, tag.vr) for part in value)
    if len(value) == 1:
        return _shown_part(value[0], tag.vr)
    return "\\".join(part if isinstance(part, str) else part.hex() for part in value)


def _shown_part(part: str | bytes, vr: str) -> Any:
    return parse_number(part, vr) if vr in NUMBER_VRS and isinstance(part, str) else part
