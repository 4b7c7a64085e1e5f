"""Files that are sent from where they lie, piece by piece, so that they are never in memory as a whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO
from zipfile import ZipFile, ZipInfo

from simple_orthanc.files.detection import BEGINNING

# A file of more bytes than this is sent in pieces; reading a smaller one at once takes less time.
IN_MEMORY = 16 * 1024 * 1024
_PIECE = 1024 * 1024


def read_file(path: Path) -> bytes | LongFile:
    """Read a file, or give it to be read in pieces."""
    size = os.stat(path).st_size
    return path.read_bytes() if size <= IN_MEMORY else LongFile(size, lambda: path.open("rb"))


def read_member(archive: ZipFile, member: ZipInfo) -> bytes | LongFile:
    """Read a member of a zip, or give it to be read in pieces."""
    if member.file_size <= IN_MEMORY:
        return archive.read(member)
    return LongFile(member.file_size, lambda: archive.open(member))


class LongFile:
    """The body of a request: as many bytes as the file has now, read when the connection takes them.

    Parameters
    ----------
    size : int
        How many bytes there are.
    open_anew : callable
        Opens the file at its beginning.
    """

    def __init__(self, size: int, open_anew: Callable[[], IO[bytes]]) -> None:
        self._size, self._open = size, open_anew
        self._stream: IO[bytes] | None = None
        self._place = 0
        self.failure: Exception | None = None
        """Why it could not be read to its end."""

    def __len__(self) -> int:
        return self._size

    def beginning(self) -> bytes:
        """Give the first bytes, from which one sees what it is."""
        with self._open() as stream:
            return stream.read(BEGINNING)

    def whole(self) -> bytes:
        """Give all bytes, for what cannot take them in pieces."""
        self.seek(0)
        pieces = []
        while piece := self.read(_PIECE):
            pieces.append(piece)
        return b"".join(pieces)

    def md5(self) -> str:
        """Give the MD5 of the file, as Orthanc writes it."""
        self.seek(0)
        digest = hashlib.md5(usedforsecurity=False)
        while piece := self.read(_PIECE):
            digest.update(piece)
        return digest.hexdigest()

    def read(self, count: int = -1) -> bytes:
        """Read on.

        Raises
        ------
        OSError
            The file has become shorter, or cannot be read; `failure` says why.
        """
        left = self._size - self._place
        wanted = left if count < 0 else min(count, left)
        if not wanted:
            return b""
        try:
            if self._stream is None:
                self._stream = self._open()
                # A member of a zip is only read from its beginning.
                self._stream.seek(self._place)
            piece = self._stream.read(wanted)
            if not piece:
                raise EOFError("it has become shorter")
        except Exception as error:  # a member of a zip can fail in as many ways as there are compressions
            self.failure = error
            self.close()
            raise OSError(str(error)) from error
        self._place += len(piece)
        if self._place == self._size:
            self.close()
        return piece

    def tell(self) -> int:
        return self._place

    def seekable(self) -> bool:
        return True

    def seek(self, place: int) -> int:
        self.close()
        self._place = place
        return place

    def close(self) -> None:
        """Let go of the file; reading goes on where it was."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
