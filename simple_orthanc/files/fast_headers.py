"""Finding the elements of a plain DICOM header, several times as fast as by pydicom's general way.

pydicom reads every kind of file, element by element through a file object. Of the many headers of a series that costs
more time than fetching them. Here the plain case is read: little endian, every length stated, nothing unknown. The
result is what pydicom gives, with the values still to be converted by pydicom when they are asked for. Whatever is not
plain is left to pydicom.
"""

from __future__ import annotations

import io
import struct
from typing import Any, TypeAlias

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset

from simple_orthanc.dicom.header import interned

# Float Pixel Data, Double Float Pixel Data, Pixel Data (PS3.6).
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

# VRs with a length of two bytes, and of four behind two that are reserved (PS3.5, section 7.1.2). OB and its like can
# have no stated length, which shows, and SQ with a stated length is cut into items by pydicom when it is asked for.
_SHORT = {
    vr.encode(): vr
    for vr in [
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FL",
        "FD",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "SL",
        "SS",
        "ST",
        "TM",
        "UI",
        "UL",
        "US",
    ]
}
_LONG = {vr.encode(): vr for vr in ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]}
# Values that pydicom represents by an empty text rather than by nothing.
_EMPTY = frozenset(["AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "SQ", "ST", "TM", "UC", "UI", "UR", "UT"])

_IMPLICIT = b"1.2.840.10008.1.2"
_EXPLICIT = b"1.2.840.10008.1.2.1"
# Encapsulated pixels behind an explicit header: JPEG and its like, and run lengths.
_ENCAPSULATED = (b"1.2.840.10008.1.2.4.", b"1.2.840.10008.1.2.5")

_HEAD = struct.Struct("<HH2sH").unpack_from
_IMPLICIT_HEAD = struct.Struct("<HHL").unpack_from
_LENGTH = struct.Struct("<L").unpack_from
_FIRST = 132
_UNDEFINED = 0xFFFFFFFF

_Elements: TypeAlias = dict[Any, Any]


class Scanner:
    """Reads headers of which many are alike: what is equal is kept once. Several threads may use it at once."""

    def __init__(self) -> None:
        self._last: _Elements = {}

    def scan(self, content: bytes | memoryview) -> tuple[FileDataset, int] | None:
        """Read the header of a plain file, up to its pixels.

        Parameters
        ----------
        content : bytes or memoryview
            The file, or as much of its beginning as there is. The header holds nothing of it afterwards.

        Returns
        -------
        (FileDataset, int) or None
            The header, and where in `content` the element with the pixels begins; None where pydicom must read the
            file: it is not plain, or its pixels do not begin in `content`.
        """
        if bytes(content[128:_FIRST]) != b"DICM":
            return None
        try:
            found = _explicit(content, _FIRST, {}, meta=True)
            if found is None:
                return None
            meta, start = found
            syntax = meta[_SYNTAX].value.rstrip(b"\0 ") if _SYNTAX in meta else b""
            if syntax == _IMPLICIT:
                found = _implicit(content, start, self._last)
            elif syntax == _EXPLICIT or syntax.startswith(_ENCAPSULATED):
                found = _explicit(content, start, self._last)
            else:
                return None
        except (struct.error, IndexError):
            # The header goes on behind the end of what there is.
            return None
        if found is None:
            return None
        elements, end = found
        # A copy, since pydicom puts converted elements in the place of raw ones.
        self._last = dict(elements)
        return _header(content, meta, elements, syntax == _IMPLICIT), end


def _header(content: bytes | memoryview, meta: _Elements, elements: _Elements, implicit: bool) -> FileDataset:
    file_meta = FileMetaDataset(meta)
    file_meta.set_original_encoding(False, True, default_encoding)
    header = FileDataset(io.BytesIO(), elements, bytes(content[:128]), file_meta, implicit, True)
    encoding = convert_encodings(header[_CHARACTER_SET].value) if _CHARACTER_SET in elements else default_encoding
    header.set_original_encoding(implicit, True, encoding)
    return header


_SYNTAX, _CHARACTER_SET = interned(0x00020010), interned(0x00080005)


def _explicit(
    content: bytes | memoryview, start: int, like: _Elements, meta: bool = False
) -> tuple[_Elements, int] | None:
    """Read elements with their VRs, up to the pixels, or those of group 0002 only; equal ones come from `like`."""
    elements: _Elements = {}
    last = 0
    while True:
        group, element, code, length = _HEAD(content, start)
        tag = group << 16 | element
        if meta and group != 2:
            return (elements, start) if elements else None
        if tag in PIXELS:
            return elements, start
        vr = _SHORT.get(code)
        begin = start + 8
        if vr is None:
            vr = _LONG.get(code)
            if vr is None:
                return None
            (length,) = _LENGTH(content, begin)
            begin += 4
        end = begin + length
        # Out of order, a command's or a delimiter: this is no plain file.
        if tag <= last or length == _UNDEFINED or group < 2 or (group == 2 and not meta):
            return None
        if end > len(content):
            return None
        last = tag
        value = bytes(content[begin:end]) if length else (b"" if vr in _EMPTY else None)
        name = interned(tag)
        known = like.get(name)
        if known is None or known.value != value or known.value_tell != begin or vr != known.VR:
            known = RawDataElement(name, vr, length, value, begin, False, True)
        elements[name] = known
        start = end


def _implicit(content: bytes | memoryview, start: int, like: _Elements) -> tuple[_Elements, int] | None:
    """Read elements without VRs, up to the pixels; equal ones come from `like`."""
    # Two capital letters where the length is: the VRs are there all the same, and pydicom warns.
    if all(0x40 < letter < 0x5B for letter in bytes(content[start + 4 : start + 6])):
        return None
    elements: _Elements = {}
    last = 0
    while True:
        group, element, length = _IMPLICIT_HEAD(content, start)
        tag = group << 16 | element
        if tag in PIXELS:
            return elements, start
        begin = start + 8
        end = begin + length
        if tag <= last or length == _UNDEFINED or group <= 2 or end > len(content):
            return None
        last = tag
        value = bytes(content[begin:end]) if length else None
        name = interned(tag)
        known = like.get(name)
        if known is None or known.value != value or known.value_tell != begin or known.VR is not None:
            known = RawDataElement(name, None, length, value, begin, True, True)
        elements[name] = known
        start = end
