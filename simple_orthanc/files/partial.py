"""Read DICOM headers from a part of their files, and images without a copy of their pixels."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from simple_orthanc.dicom.header import interned, store, stored_elements
from simple_orthanc.errors import OrthancError
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.parsing import parse_file, parse_header, typed_errors
from simple_orthanc.files.walker import (
    DELIMITER,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    PIXELS,
    Buffer,
    DamagedError,
    NotPlainError,
    walk,
)

# Reads bytes start to stop of a file, or else the whole file, which the second value tells. They may lie in memory that
# the next reading overwrites.
PartReader: TypeAlias = Callable[[int, int], "tuple[bytes | memoryview, bool]"]


def read_header(read: PartReader, first: int, scanner: Scanner) -> Dataset:
    """Read a header, fetching no more of the file than it needs, in steps that double.

    Parameters
    ----------
    read : callable
        Returns bytes of the file.
    first : int
        How many bytes to fetch at first.
    scanner : Scanner
        Reads what is plain.

    Returns
    -------
    pydicom.dataset.Dataset
        Everything before the pixel data, with its file meta information.
    """
    content, whole = read(0, first)
    while True:
        found = scanner.scan(content)
        if found is not None:
            return found[0]
        if whole:
            with typed_errors(content):
                return _by_pydicom(content)[0]
        header = _parse(content)
        if header is not None:
            return header
        content = bytes(content)
        more, whole = read(len(content), 4 * len(content))
        content = more if whole else content + bytes(more)


def read_beginning(content: Buffer, scanner: Scanner) -> tuple[Dataset, int | None]:
    """Read the header of a file, and where the element with its pixels begins; None if there is none.

    Parameters
    ----------
    content : bytes or memoryview
        The file, or its beginning with that of the element.
    scanner : Scanner
        Reads what is plain.
    """
    scanned = scanner.scan(content)
    if scanned is not None:
        return scanned
    with typed_errors(content):
        return _by_pydicom(content)


def read_image(content: Buffer, scanner: Scanner) -> Dataset:
    """Read a DICOM file for its pixels.

    The pixel data of an uncompressed image are not copied: the element holds a view of the file, which stays in memory
    as long as the view. Elements behind the pixel data are left out.

    Parameters
    ----------
    content : bytes or memoryview
        The whole file.
    scanner : Scanner
        Reads what is plain.
    """
    dataset, start = read_beginning(content, scanner)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "")) if hasattr(dataset, "file_meta") else ""
    found = None
    if start is not None and syntax in _PLAIN_SYNTAXES:
        found = _pixel_element(content, start, _is_implicit(dataset))
    if found is None:
        if start is not None and _lacks_delimiter(content, start):
            content = _with_delimiter(bytes(content))
        # A header may be as large as all that is allowed.
        del dataset
        with typed_errors(content):
            return _without_rest(_without_stream(parse_file(bytes(content))))
    store(dataset, found)
    return dataset


def _without_rest(dataset: FileDataset) -> FileDataset:
    """Remove what lies behind the pixels, which no header has that was read up to them."""
    tags = list(stored_elements(dataset))
    if not PIXELS.isdisjoint(tags):
        for tag in tags:
            if tag > _LAST_PIXELS:
                del dataset[tag]
    return dataset


_LAST_PIXELS = max(PIXELS)
# Little endian, uncompressed.
_PLAIN_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
_IMPLICIT_VRS = {0x7FE00008: "OF", 0x7FE00009: "OD", 0x7FE00010: "OW"}


def _lacks_delimiter(content: Buffer, start: int) -> bool:
    """Check whether a file ends before the delimiter of its encapsulated pixels, which pydicom then does not find."""
    # Encapsulated pixels are in explicit VR, little endian (PS3.5, section A.4).
    if bytes(content[start + 8 : start + 12]) != b"\xff\xff\xff\xff":
        return False
    position = start + 12
    while position + 8 <= len(content):
        element, length = struct.unpack_from("<2xHL", content, position)
        if element == 0xE0DD:
            return False
        position += 8 + length
    return True


def _with_delimiter(content: bytes) -> bytes:
    """Append what a file lacks of the delimiter that must end the fragments of its pixels."""
    present = next(size for size in range(len(DELIMITER), -1, -1) if content.endswith(DELIMITER[:size]))
    return content + DELIMITER[present:]


def _is_implicit(header: Dataset) -> bool:
    """Check how the elements were read: some files have VRs though their transfer syntax denies it."""
    raw = (element for element in stored_elements(header).values() if isinstance(element, RawDataElement))
    return next((element.is_implicit_VR for element in raw), bool(header.original_encoding[0]))


def _pixel_element(content: Buffer, start: int, implicit: bool) -> RawDataElement | None:
    """Read the element at a position of a file as a view of it; None if it is not plain."""
    syntax = IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE
    try:
        _, number, code, first, length = next(walk(content, start, syntax))
    except (NotPlainError, DamagedError, StopIteration):
        return None
    # An undefined length too is more than there is.
    if number not in PIXELS or code not in (None, b"OW", b"OB", b"OF", b"OD") or first + length > len(content):
        return None
    view: Any = memoryview(content)[first : first + length]
    vr = _IMPLICIT_VRS[number] if code is None else code.decode("ascii")
    return RawDataElement(interned(number), vr, length, view, first, implicit, True)


class _Stop:
    """Stops pydicom at the pixel data, and remembers that it came so far."""

    def __init__(self) -> None:
        self.reached = False

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        self.reached = tag in PIXELS
        return self.reached


def _parse(content: Buffer) -> Dataset | None:
    try:
        header, start = _by_pydicom(content)
    except OrthancError:
        raise
    except Exception:  # cut off in the middle of an element, which pydicom may report in any way: more bytes are needed
        return None
    return None if start is None else header


def _by_pydicom(content: Buffer) -> tuple[Dataset, int | None]:
    stream, stop = io.BytesIO(content), _Stop()
    header = _without_stream(parse_header(stream, stop))
    return header, stream.tell() if stop.reached else None


def _without_stream(dataset: FileDataset) -> FileDataset:
    """Release the file, which pydicom would keep in memory as long as its header."""
    dataset.buffer = None
    return dataset
