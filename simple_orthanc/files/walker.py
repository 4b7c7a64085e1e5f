"""Walking from element to element through the bytes of a DICOM file (PS3.5, section 7.1; PS3.10, section 7.1).

Making pydicom's datasets costs ten times what finding the elements does. So headers that are plain are walked here, and
the readers make of them what they need: `fast_headers` whole headers, `tag_reader` a few values, `partial` a view of
the pixels. A file that is not plain raises `NotPlainError`, and is left to pydicom.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterator
from itertools import repeat
from typing import NamedTuple, TypeAlias

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from simple_orthanc import limits

# Float Pixel Data, Double Float Pixel Data, Pixel Data (PS3.6).
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# The length of a sequence, an item or encapsulated pixels that end with a delimiter.
UNDEFINED = 0xFFFFFFFF
# Sequence Delimitation Item, little endian: what ends the fragments of encapsulated pixels (PS3.5, section A.4).
DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
# Where the file meta information begins, behind the preamble and the prefix.
META_START = 132

# VRs with a length of two bytes, and of four behind two that are reserved (PS3.5, section 7.1.2).
_SHORT = (
    *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
    *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
)
_LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
SHORT_VRS = {vr.encode(): vr for vr in _SHORT}
LONG_VRS = {vr.encode(): vr for vr in _LONG}

_ITEM = 0xE000

Buffer: TypeAlias = "bytes | memoryview"
# The position of an element, its tag, its VR as written (None: implicit), where its value begins, and its length.
Element: TypeAlias = "tuple[int, int, bytes | None, int, int]"


class NotPlainError(Exception):
    """The file must be read by pydicom; never leaves the package."""


class DamagedError(Exception):
    """The file ends in the middle of an element; never leaves the package."""


class Syntax(NamedTuple):
    """How the elements of a dataset are written.

    Attributes
    ----------
    implicit : bool
        Whether they have no VR.
    little : bool
        Whether numbers are little endian.
    """

    implicit: bool
    little: bool


EXPLICIT_LITTLE = Syntax(False, True)
IMPLICIT_LITTLE = Syntax(True, True)


_READERS = {
    Syntax(implicit, little): (
        struct.Struct(("<" if little else ">") + ("HHL" if implicit else "HH2sH")).unpack_from,
        struct.Struct("<L" if little else ">L").unpack_from,
    )
    for implicit in (False, True)
    for little in (False, True)
}


_EXPLICIT_HEAD, _LENGTH = _READERS[EXPLICIT_LITTLE]


class Meta(NamedTuple):
    """The file meta information.

    Attributes
    ----------
    elements : dict
        Tag to VR, position of the value, and value.
    end : int
        Where the dataset begins.
    """

    elements: dict[int, tuple[str, int, bytes]]
    end: int

    def uid(self, tag: int) -> str:
        """Return the UID in an element, "" if it is missing."""
        _, _, value = self.elements.get(tag, ("UI", 0, b""))
        return value.rstrip(b"\0 ").decode("latin-1")

    @property
    def transfer_syntax(self) -> str:
        """The TransferSyntaxUID, "" if it is missing."""
        return self.uid(0x00020010)


def has_prefix(content: Buffer) -> bool:
    """Check whether a file has the DICM prefix (PS3.10, section 7.1)."""
    return bytes(content[128:META_START]) == b"DICM"


def read_meta(content: Buffer, position: int = META_START) -> Meta | None:
    """Read the file meta information, which is in explicit VR, little endian; None if it is missing or not plain.

    Parameters
    ----------
    content : bytes or memoryview
        The file, or its beginning up to the first element of the dataset.
    position : int
        Where the first element begins.
    """
    elements: dict[int, tuple[str, int, bytes]] = {}
    last = 0
    while position + 12 <= len(content):
        group, element, code, length = _EXPLICIT_HEAD(content, position)
        if group != 2:
            break
        start = position + 8
        vr = SHORT_VRS.get(code)
        if vr is None:
            vr = LONG_VRS.get(code)
            (length,) = _LENGTH(content, start)
            start += 4
        tag = group << 16 | element
        position = start + length
        if vr is None or tag <= last or position > len(content):
            return None
        elements[tag] = vr, start, bytes(content[start:position])
        last = tag
    return Meta(elements, position) if elements else None


def dataset_syntax(content: Buffer, meta: Meta) -> Syntax:
    """Return how the dataset behind the file meta information is written.

    Raises
    ------
    NotPlainError
        The transfer syntax is missing, deflated, or contradicted by the first element.
    """
    uid = meta.transfer_syntax
    if not uid or uid == DeflatedExplicitVRLittleEndian:
        raise NotPlainError
    if uid != ImplicitVRLittleEndian:
        return EXPLICIT_LITTLE if uid != ExplicitVRBigEndian else Syntax(False, False)
    # Two capitals where the length is: the elements have VRs all the same, and pydicom warns.
    if all(0x40 < code < 0x5B for code in bytes(content[meta.end + 4 : meta.end + 6])):
        raise NotPlainError
    return IMPLICIT_LITTLE


def walk(
    buffer: Buffer,
    position: int,
    syntax: Syntax,
    *,
    size: int | None = None,
    base: int = 0,
    read_on: Callable[[int], bytes] | None = None,
    wanted: Container[int] | None = None,
    most: int | None = None,
) -> Iterator[Element]:
    """Walk from one element of a dataset to the next, to the end of the file.

    Inside sequences only the depth is counted: items and sequences of undefined length end with a delimiter, and so do
    the fragments of encapsulated pixel data.

    Parameters
    ----------
    buffer : bytes or memoryview
        A part of the file.
    position : int
        Where the first element begins in the file.
    syntax : Syntax
    size : int, optional
        Bytes of the file, or of as much of it as there is; by default those of the buffer.
    base : int
        Where the buffer begins in the file.
    read_on : callable, optional
        Returns a further part of the file, given where it begins.
    wanted : container of int, optional
        Only elements with these tags are yielded.
    most : int, optional
        The largest number of elements, items and delimiters; by default `limits.elements`.

    Yields
    ------
    tuple
        Of each element of the outermost dataset: position, tag, VR (None if implicit), position of the value, and
        length. It is not known yet whether the value ends within the file.

    Raises
    ------
    NotPlainError
        An element is out of order or has a VR that is not in the standard; or one of VR UN has an undefined length; or
        there are more elements than `most`.
    DamagedError
        The file ends in the middle of an element or a sequence.
    """
    implicit, little = syntax
    head, number = _READERS[syntax]
    end = len(buffer) if size is None else size
    limit = base + len(buffer)
    depth, last, items = 0, 0, 0
    code: bytes | None = None
    # Counts without taking time.
    for _ in repeat(None, limits.elements if most is None else most):
        if position + 8 > end:
            break
        if position + 12 > limit and limit < end:
            buffer, base = _next_part(read_on, position, end), position
            limit = base + len(buffer)
        if implicit:
            group, element, length = head(buffer, position - base)
        else:
            group, element, code, length = head(buffer, position - base)
        start = position + 8
        if group == 0xFFFE:
            # Items and delimiters have no VR in any syntax.
            depth, length = _step(depth, element, *number(buffer, position - base + 4))
            items += 1
        else:
            if not implicit and code not in SHORT_VRS:
                _check_long(code, position + 12 <= limit)
                (length,) = number(buffer, start - base)
                start += 4
            if not depth:
                tag = group << 16 | element
                if tag <= last:
                    raise NotPlainError
                last = tag
                if wanted is None or tag in wanted:
                    yield position, tag, code, start, length
            if length == UNDEFINED:
                depth, length = _enter(depth, code), 0
                items = 0
        position = start + length
        if position > end:
            raise DamagedError(f"cut off: {end:,} bytes are there, and {position:,} at least should be")
    lacks_delimiter_alone = depth == 1 and last in PIXELS and items > 1
    _check_end(
        position + 8 <= end,
        depth and not (lacks_delimiter_alone and _is_delimiter(buffer[position - base :], little)),
    )


def _check_end(is_left: bool, is_cut: bool | int) -> None:
    """Check that a walk has come to the end of the file, and not inside a sequence."""
    if is_left:
        raise NotPlainError
    if is_cut:
        raise DamagedError("cut off: a sequence has no end")


def _is_delimiter(rest: Buffer, little: bool) -> bool:
    """Check whether a file lacks no more than the delimiter behind the fragments of its pixels, or a part of it.

    Some writers forget it. Whether the fragments are all frames, decoding them shows.
    """
    return little and DELIMITER.startswith(bytes(rest))


def _next_part(read_on: Callable[[int], bytes] | None, position: int, end: int) -> bytes:
    part = b"" if read_on is None else read_on(position)
    if len(part) < min(12, end - position):
        raise DamagedError("cut off: the file is shorter than the system says")
    return part


def _check_long(code: bytes | None, is_whole: bool) -> None:
    if code not in LONG_VRS:
        raise NotPlainError
    if not is_whole:
        raise DamagedError("cut off: the file ends inside an element")


def _enter(depth: int, code: bytes | None) -> int:
    """Return the depth inside a value of undefined length."""
    if code == b"UN":  # a sequence whose elements may be written in another way
        raise NotPlainError
    return depth + 1


def _step(depth: int, element: int, length: int) -> tuple[int, int]:
    """Return the depth behind an item or a delimiter, and how many bytes of it are to be passed over."""
    if not depth:
        raise NotPlainError
    if element != _ITEM:
        return depth - 1, 0
    if length != UNDEFINED:
        return depth, length
    # A level of nesting is a sequence and an item.
    if depth >= 2 * limits.nesting:
        raise NotPlainError
    return depth + 1, 0
