"""Deflated files, inflated as far as they are read, and never beyond what is believed of a file.

A megabyte inflates to a gigabyte. pydicom inflates a deflated file (PS3.5, section A.5) as a whole before it looks at
the first element; here it reads from a file that is inflated while it is read.
"""

from __future__ import annotations

import zlib
from typing import IO

from pydicom.dataset import FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from simple_orthanc import limits
from simple_orthanc.errors import TransportError
from simple_orthanc.files.walker import DamagedError, has_prefix, read_meta

# More than file meta information takes.
_META_BYTES = 16 * 1024
_STEP = 64 * 1024
# Headers that are inflated to no more than this may have been any number of times smaller.
_PLAIN_HEADER = 2 << 20
_TRANSFER_SYNTAX = 0x00020010


def expansion_problem(size: int, packed: int, *, is_file: bool = True) -> str | None:
    """Return why so many bytes may not come out of so few, as a sentence; None if they may.

    Parameters
    ----------
    size : int
        Bytes after decompression, as many as are known of or promised.
    packed : int
        Bytes before it.
    is_file : bool
        Whether it is a file, rather than pixels, of which there may be more than of any file.

    Examples
    --------
    >>> expansion_problem(1 << 20, 2000) is None, expansion_problem(3 << 30, 2 << 30) is None
    (True, True)
    >>> expansion_problem(3 << 30, 3 << 20).partition(". ")[0]
    '3,145,728 bytes decompress to 3,221,225,472 or more'
    """
    name = None
    if is_file and size > limits.decompressed_bytes:
        name = "decompressed_bytes"
    elif size > limits.expanded_bytes and size > limits.expansion * packed:
        name = "expansion"
    return None if name is None else f"{packed:,} bytes decompress to {size:,} or more. {limits.advice(name)}"


class InflatedFile:
    """A deflated DICOM file, to be read as if it were not deflated.

    What is inflated is kept, since readers go back and forth: as much as was read, and at most the limit.

    Parameters
    ----------
    stream : binary file
        At any position.
    name : str
        How messages name the file.
    most : str
        The name of the limit of what may be inflated.
    """

    def __init__(self, stream: IO[bytes], name: str, most: str = "header_bytes") -> None:
        self._stream, self._name, self._most = stream, name, most
        stream.seek(0)
        beginning = stream.read(_META_BYTES)
        meta = read_meta(beginning)
        if meta is None:
            raise DamagedError("the file meta information is damaged")
        self._content = bytearray(beginning[: meta.end])
        # Of equal length, so that nothing behind it moves.
        _, start, value = meta.elements[_TRANSFER_SYNTAX]
        self._content[start : start + len(value)] = ExplicitVRLittleEndian.encode().ljust(len(value), b"\0")
        stream.seek(meta.end)
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = b""
        self._read, self._size = 0, len(self._content)
        self._position = 0

    def read(self, count: int = -1) -> bytes:
        """Read the next bytes.

        Raises
        ------
        DamagedError
            The deflated data are cut off or damaged.
        TransportError
            They inflate to more than a limit allows.
        """
        end = self._position + count if count >= 0 else None
        while (end is None or len(self._content) < end) and (part := self._next()):
            self._content += part
            if self._most == "header_bytes" and _PLAIN_HEADER < len(self._content) > limits.expansion * self._read:
                # A megabyte of empty elements takes a second to read.
                raise self._refused(f"its header is inflated out of {self._read:,} bytes. {limits.advice('expansion')}")
            if len(self._content) > self._most_bytes():
                raise self._refused(f"more than {self._most_bytes():,} bytes are inflated. {limits.advice(self._most)}")
        with memoryview(self._content) as content:
            piece = bytes(content[self._position : end])
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        if whence == 2:
            raise OSError("the end of a deflated file is not known")
        self._position = offset + (self._position if whence == 1 else 0)
        return self._position

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def check_end(self) -> None:
        """Inflate the rest without keeping it.

        Raises
        ------
        DamagedError
            The deflated data are cut off or damaged.
        TransportError
            They inflate to more than a limit allows.
        """
        while self._next():
            pass

    def _next(self) -> bytes:
        """Inflate some more bytes, b"" at the end."""
        part = b""
        while not part and not self._inflater.eof:
            block = self._left or self._stream.read(_STEP)
            if not block:
                raise DamagedError("cut off: the deflated data have no end")
            try:
                part = self._inflater.decompress(block, 16 * _STEP)
            except zlib.error as error:
                raise DamagedError(f"the deflated data are damaged: {error}") from None
            self._left = self._inflater.unconsumed_tail
            self._read += len(block) - len(self._left)
        self._size += len(part)
        problem = expansion_problem(self._size, self._read)
        if problem is not None:
            raise self._refused(problem)
        return part

    def _most_bytes(self) -> int:
        most: int = getattr(limits, self._most)
        # A long value is in memory twice: here, and in the header that is read.
        return most // 2 if self._most == "header_bytes" else most

    def _refused(self, problem: str) -> TransportError:
        return TransportError(f"{self._name} cannot be read: {problem}", is_about_object=True)


def readable(stream: IO[bytes], name: str = "A DICOM file", most: str = "header_bytes") -> IO[bytes] | InflatedFile:
    """Return a file as its elements can be read: itself, or inflated while it is read.

    Parameters
    ----------
    stream : binary file
        At any position.
    name, most
        As for `InflatedFile`.
    """
    stream.seek(0)
    beginning = stream.read(_META_BYTES)
    stream.seek(0)
    return InflatedFile(stream, name, most) if is_deflated(beginning) else stream


def is_deflated(beginning: bytes) -> bool:
    """Check whether a file that begins with these bytes is deflated behind its file meta information."""
    meta = read_meta(beginning[:_META_BYTES]) if has_prefix(beginning) else None
    return meta is not None and meta.transfer_syntax == DeflatedExplicitVRLittleEndian


def mark_deflated(header: FileDataset) -> None:
    """Put the transfer syntax of the file back into a header that was read from an `InflatedFile`."""
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
