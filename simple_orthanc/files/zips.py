"""Zips, whose members may promise anything: read in pieces, and never beyond what is believed of a file."""

from __future__ import annotations

import io
import os
import weakref
import zipfile
from typing import IO, Any, cast

from simple_orthanc import limits
from simple_orthanc.files.inflating import expansion_problem
from simple_orthanc.files.opening import open_regular

# zipfile inflates as much at a time as is asked for; of what is packed otherwise, all that comes out of so many bytes.
# A block of bzip2 takes at least 37 of them, and may hold 46 MB.
_PIECE, _PACKED_PIECE = 1 << 20, 32
_BUFFER = 64 * 1024


def open_zip(file: str | os.PathLike[str] | IO[bytes]) -> zipfile.ZipFile:
    """Open a zip.

    Parameters
    ----------
    file : path or binary file
        A file that is opened here is closed when the zip and what is read of it are no longer used.

    Raises
    ------
    ValueError
        It is damaged, or its members together promise more than can be in it.
    OSError
        It cannot be opened, or is not a regular file.
    """
    stream = open_regular(file) if isinstance(file, (str, os.PathLike)) else file
    try:
        archive = zipfile.ZipFile(stream)
        problem = _expansion_of_all(archive)
    except Exception as error:  # a damaged zip can fail in as many ways as it has fields
        if stream is not file:
            stream.close()
        raise ValueError(f"a broken zip: {error}") from None
    if stream is not file:
        weakref.finalize(archive, stream.close)
    if problem is not None:
        raise ValueError(problem)
    return archive


def members_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files in a zip, in their order."""
    return [member for member in archive.infolist() if not member.is_dir()]


def member_problem(member: zipfile.ZipInfo) -> str | None:
    """Return why a member cannot be read, by what the zip promises of it; None if it can."""
    problem = expansion_problem(member.file_size, member.compress_size)
    return None if problem is None else f"cannot be read: {problem}"


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> io.BufferedReader:
    """Open a member for reading in any order; no more of it is unpacked at a time than is read.

    Raises
    ------
    Exception
        A member can fail in as many ways as there are kinds of zip, now and while it is read. Read from its beginning
        to its end, it is compared with its checksum.
    """
    return io.BufferedReader(_Member(cast("zipfile.ZipExtFile", archive.open(member)), member.compress_type), _BUFFER)


class _Member(io.RawIOBase):
    """A member whose reads are small enough for its compression."""

    def __init__(self, stream: zipfile.ZipExtFile, compression: int) -> None:
        self._stream = stream
        self._is_bounded = compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not self._is_bounded:
            self._stream.MIN_READ_SIZE = _PACKED_PIECE

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # As many as are asked for: readers that go back a little find them in the buffer.
        count = 0
        while count < len(buffer) and (piece := self._next(len(buffer) - count)):
            buffer[count : count + len(piece)] = piece
            count += len(piece)
        return count

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, position: int, whence: int = 0) -> int:
        if whence:
            raise OSError("a member of a zip is read from its beginning")
        if position < self._stream.tell():
            self._stream.seek(0)
        # Its own way forward would unpack more at a time.
        while (left := position - self._stream.tell()) > 0 and self._next(left):
            pass
        return self._stream.tell()

    def _next(self, count: int) -> bytes:
        if not self._is_bounded:
            # Asks for one byte, so that no more than a piece is unpacked, and returns more of what is there.
            count = min(count, len(self._stream.peek()))
        return self._stream.read(min(count, _PIECE))

    def close(self) -> None:
        self._stream.close()
        super().close()


def _expansion_of_all(archive: zipfile.ZipFile) -> str | None:
    """Return why the members cannot all be in a zip: they may share their bytes, so that each alone looks plausible."""
    size, packed = sum(member.file_size for member in archive.infolist()), archive.start_dir
    if size <= limits.expanded_bytes or size <= limits.expansion * packed:
        return None
    return f"a zip of {packed:,} bytes whose members promise {size:,}. {limits.advice('expansion')}"
