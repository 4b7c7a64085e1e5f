"""Send files piece by piece from the disk or a zip, so that they are never in memory as a whole."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO
from zipfile import ZipFile, ZipInfo

from simple_orthanc.files.detection import BEGINNING
from simple_orthanc.files.inflating import is_deflated, readable
from simple_orthanc.files.nesting import may_be_deep, nesting_problem
from simple_orthanc.files.opening import open_regular
from simple_orthanc.files.zips import open_member

# A file of more bytes than this is sent in pieces; reading a smaller one at once takes less time.
IN_MEMORY = 16 * 1024 * 1024
_PIECE = 1024 * 1024


def read_file(path: Path) -> bytes | LongFile:
    """Read a file, or return it to be read in pieces.

    Raises
    ------
    OSError
        It cannot be read, or is not a regular file.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        return stream.read(size) if size <= IN_MEMORY else LongFile(size, lambda: open_regular(path))


def read_member(archive: ZipFile, member: ZipInfo) -> bytes | LongFile:
    """Read a member of a zip, or return it to be read in pieces."""
    if member.file_size > IN_MEMORY:
        return LongFile(member.file_size, lambda: open_member(archive, member))
    with open_member(archive, member) as stream:
        return stream.read()


class LongFile:
    """The body of a request: as many bytes as the file has now, read when the connection takes them.

    Parameters
    ----------
    size : int
        How many bytes there are.
    open_file : callable
        Opens the file at its beginning.
    """

    def __init__(self, size: int, open_file: Callable[[], IO[bytes]]) -> None:
        self._size, self._open = size, open_file
        self._stream: IO[bytes] | None = None
        self._position = 0
        self.failure: Exception | None = None
        """Why it could not be read to its end."""

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self._size

    def beginning(self) -> bytes:
        """Return the first bytes, which show what the file is."""
        with self._open() as stream:
            return stream.read(BEGINNING)

    def as_stream(self) -> IO[bytes]:
        """Open the file at its beginning, to be read in any order."""
        return self._open()

    def whole(self) -> bytes:
        """Return all bytes, for use where pieces are not accepted."""
        self.seek(0)
        pieces = []
        while piece := self.read(_PIECE):
            pieces.append(piece)
        return b"".join(pieces)

    def md5(self) -> str:
        """Return the MD5 of the file in hexadecimal, as Orthanc writes it."""
        self.seek(0)
        digest = hashlib.md5(usedforsecurity=False)
        while piece := self.read(_PIECE):
            digest.update(piece)
        return digest.hexdigest()

    def read(self, count: int = -1) -> bytes:
        """Read the next bytes.

        Raises
        ------
        OSError
            The file has become shorter, or cannot be read; `failure` says why.
        """
        left = self._size - self._position
        wanted = left if count < 0 else min(count, left)
        if not wanted:
            return b""
        try:
            if self._stream is None:
                self._stream = self._open()
                # A member of a zip is only read from its beginning.
                self._stream.seek(self._position)
            piece = self._stream.read(wanted)
            if not piece:
                raise EOFError("it has become shorter")
        except Exception as error:  # a member of a zip can fail in as many ways as there are compressions
            self.failure = error
            self.close()
            raise OSError(str(error)) from error
        self._position += len(piece)
        if self._position == self._size:
            self.close()
        return piece

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def seekable(self) -> bool:
        """Return True: a request that is repeated starts again from the first byte."""
        return True

    def seek(self, position: int) -> int:
        """Go to a position, counted from the first byte."""
        self.close()
        self._position = position
        return position

    def close(self) -> None:
        """Close the file; reading goes on from the same position."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def nesting_refusal(content: bytes | LongFile, beginning: bytes) -> str | None:
    """Return why a file is not to be sent: sequences nested too deep end the process of any Orthanc.

    Parameters
    ----------
    content : bytes or LongFile
    beginning : bytes
        The first bytes of the file, with its file meta information.
    """
    if isinstance(content, bytes) and not may_be_deep(content) and not is_deflated(content):
        return None
    try:
        with content.as_stream() if isinstance(content, LongFile) else io.BytesIO(content) as stream:
            problem = nesting_problem(readable(stream), beginning)
    except Exception as error:  # deflated data and zips can be damaged in many ways
        problem = str(error)
    return None if problem is None else f"not sent: {problem}"
