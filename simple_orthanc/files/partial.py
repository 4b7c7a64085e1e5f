"""Reading a DICOM header from a part of its file, and an image without copying its pixels."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from simple_orthanc.dicom import header as elements
from simple_orthanc.files.fast_headers import PIXELS, Scanner

# Reads bytes start to stop of a file; or, and then it says True, the whole file. They may lie in memory that the next
# reading overwrites.
PartReader: TypeAlias = Callable[[int, int], "tuple[bytes | memoryview, bool]"]


def read_header(read: PartReader, first: int, scanner: Scanner) -> Dataset:
    """Read a header, fetching no more of the file than it needs, in steps that double.

    Parameters
    ----------
    read : callable
        Gives bytes of the file.
    first : int
        How many bytes to fetch at first.
    scanner : Scanner
        For what is plain.

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
            return _by_pydicom(content)[0]
        header = _parse(content)
        if header is not None:
            return header
        content = bytes(content)
        more, whole = read(len(content), 4 * len(content))
        content = more if whole else content + bytes(more)


def read_beginning(content: bytes | memoryview, scanner: Scanner) -> tuple[Dataset, int | None]:
    """Read the header of a file, and say where the element with its pixels begins; None: there is none.

    Parameters
    ----------
    content : bytes or memoryview
        The file, or its beginning with that of the element.
    scanner : Scanner
        For what is plain.
    """
    return scanner.scan(content) or _by_pydicom(content)


def read_image(content: bytes | memoryview, scanner: Scanner) -> Dataset:
    """Read a DICOM file for its pixels.

    The pixel data of an uncompressed image are not copied: the element holds a view of the file, which stays in memory
    as long as the view. Elements behind the pixel data are left out.

    Parameters
    ----------
    content : bytes or memoryview
        The whole file.
    scanner : Scanner
        For what is plain.
    """
    dataset, start = read_beginning(content, scanner)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "")) if hasattr(dataset, "file_meta") else ""
    found = None
    if start is not None and syntax in _PLAIN_SYNTAXES:
        found = _pixel_element(content, start, _is_implicit(dataset))
    if found is None:
        return _without_stream(dcmread(io.BytesIO(content), force=True))
    elements.store(dataset, found)
    return dataset


# Little endian, uncompressed.
_PLAIN_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")


def _is_implicit(header: Dataset) -> bool:
    """Say how the elements were read: some files have VRs though their transfer syntax denies it."""
    raw = (element for element in elements.stored_elements(header).values() if isinstance(element, RawDataElement))
    return next((element.is_implicit_VR for element in raw), bool(header.original_encoding[0]))


def _pixel_element(content: bytes | memoryview, start: int, implicit: bool) -> RawDataElement | None:
    """Read the element at a place in a file as a view of it (PS3.5, section 7.1); None: it is not a plain one."""
    if start + 12 > len(content):
        return None
    if implicit:
        group, element, length = struct.unpack_from("<HHL", content, start)
        vr, first = "OW", start + 8
    else:
        group, element, letters, length = struct.unpack_from("<HH2s2xL", content, start)
        vr, first = letters.decode("latin-1"), start + 12
    tag = Tag(group, element)
    if tag not in PIXELS or vr not in ("OW", "OB", "OF", "OD") or first + length > len(content):
        return None
    if implicit and tag != 0x7FE00010:
        vr = "OF" if tag == 0x7FE00008 else "OD"
    view: Any = memoryview(content)[first : first + length]
    return RawDataElement(tag, vr, length, view, first, implicit, True)


class _Stop:
    """Stops pydicom at the pixel data, and remembers that it came so far."""

    def __init__(self) -> None:
        self.reached = False

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        self.reached = tag in PIXELS
        return self.reached


def _parse(content: bytes | memoryview) -> Dataset | None:
    try:
        header, start = _by_pydicom(content)
    except Exception:  # cut off in the middle of an element: whatever pydicom says of it, more bytes are needed
        return None
    return None if start is None else header


def _by_pydicom(content: bytes | memoryview) -> tuple[Dataset, int | None]:
    stream, stop = io.BytesIO(content), _Stop()
    header = _without_stream(read_partial(stream, stop, force=True))
    return header, stream.tell() if stop.reached else None


def _without_stream(dataset: FileDataset) -> FileDataset:
    """Let go of the file, which pydicom would keep in memory as long as its header."""
    dataset.buffer = None
    return dataset
