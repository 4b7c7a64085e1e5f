"""Comments and metadata in the headers of compressed frames: Exif, XMP and IPTC of cameras, comments of programs.

They are cleared where they are, so that no length and no offset changes (ISO/IEC 10918-1, annex B.2; ISO/IEC 15444-1,
annex A). What decoders need stays.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from simple_orthanc.deidentification.cleaning import Identifiers

_SYNTAXES = frozenset({*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes})
_ITEM, _ITEM_HEADER = b"\xfe\xff\x00\xe0", 8
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f"
_COMMENT, _COMMENT_OF_JPEG_2000 = 0xFE, 0x64
_FIRST_APPLICATION, _LAST_APPLICATION = 0xE0, 0xEF
# Start of scan; start of a tile-part, and of its data.
_ENDS = frozenset({0xDA, 0x90, 0x93, 0xD9})
# What decoders read: density, colour profile, colour transforms, SPIFF and the end of its directory.
_READ = (b"JFIF\0", b"ICC_PROFILE\0", b"mrfx", b"SPIFF\0", b"\0\0\0\1", b"Adobe")


def without_comments(new: Dataset, transfer_syntax: str, identifiers: Identifiers) -> bool:
    """Clear comments and metadata in the compressed pixels of a copy, and return whether there were any.

    Parameters
    ----------
    new : Dataset
        The copy.
    transfer_syntax : str
        Of its pixels.
    identifiers : Identifiers
        Of the object. A comment of JPEG 2000, which most encoders write, is cleared if it holds one.
    """
    if "PixelData" not in new or UID(transfer_syntax) not in _SYNTAXES:
        return False
    element = new["PixelData"]
    if not isinstance(element.value, bytes):
        return False
    cleared = clear_comments(element.value, identifiers)
    if cleared is element.value:
        return False
    new.add(DataElement(element.tag, str(element.VR), cleared))
    new["PixelData"].is_undefined_length = True
    return True


def clear_comments(pixels: bytes, identifiers: Identifiers) -> bytes:
    r"""Return encapsulated pixels with zeros in the comments and metadata of their frames; the same if there are none.

    Examples
    --------
    >>> frame = b"\xff\xd8\xff\xfe\x00\x05Doe\xff\xd9"
    >>> pixels = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + b"\xfe\xff\x00\xe0\x0b\x00\x00\x00" + frame
    >>> clear_comments(pixels, Identifiers())[-11:]
    b'\xff\xd8\xff\xfe\x00\x05\x00\x00\x00\xff\xd9'
    """
    found = [
        (start, end)
        for first, last in _fragments(pixels)
        for start, end in _comments(pixels, first, last, identifiers)
        if any(pixels[start:end])
    ]
    if not found:
        return pixels
    cleared = bytearray(pixels)
    for start, end in found:
        cleared[start:end] = bytes(end - start)
    return bytes(cleared)


def _fragments(pixels: bytes) -> Iterator[tuple[int, int]]:
    """Return where each fragment begins and ends (DICOM PS3.5, section A.4); the first is the offset table."""
    at = 0
    while pixels[at : at + 4] == _ITEM:
        start = at + _ITEM_HEADER
        at = start + int.from_bytes(pixels[at + 4 : start], "little")
        yield start, min(at, len(pixels))


def _comments(pixels: bytes, at: int, last: int, identifiers: Identifiers) -> Iterator[tuple[int, int]]:
    """Return where the comments and metadata of a fragment are that begins with the header of a frame."""
    start = pixels[at : at + 2]
    if start not in (_JPEG, _JPEG_2000):
        return
    at += 2
    while at + 4 <= last and pixels[at] == 0xFF:
        marker = pixels[at + 1]
        if marker == 0xFF:  # Padding before a marker.
            at += 1
            continue
        if marker in _ENDS:
            return
        content, end = at + 4, at + 2 + int.from_bytes(pixels[at + 2 : at + 4], "big")
        part = pixels[content : min(end, last)]
        is_jpeg = start == _JPEG
        if _is_comment(marker, part) if is_jpeg else marker == _COMMENT_OF_JPEG_2000 and identifiers.are_in(part):
            yield content, min(end, last)
        at = max(end, content)


def _is_comment(marker: int, part: bytes) -> bool:
    if marker == _COMMENT:
        return True
    return _FIRST_APPLICATION <= marker <= _LAST_APPLICATION and not part.startswith(_READ)
