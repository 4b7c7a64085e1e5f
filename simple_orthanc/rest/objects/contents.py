"""The content of an attachment: what users give as such, a part of it, and its checksum."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from simple_orthanc.errors import SelectionError
from simple_orthanc.files.opening import open_regular

_PIECE = 1 << 20


def opened(content: Any) -> Any:
    """Return a context manager with bytes or an open binary file for whatever was given as content."""
    if isinstance(content, (bytes, bytearray, memoryview)):
        return nullcontext(bytes(content))
    if isinstance(content, (str, os.PathLike)) and os.fspath(content):
        try:
            return open_regular(content)
        except OSError as error:
            raise SelectionError(
                f"The file {os.fspath(content)!r} was to be attached, and cannot be read: {error.strerror or error}. "
                "Nothing was sent."
            ) from None
    if hasattr(content, "read") and hasattr(content, "seek") and not isinstance(content, io.TextIOBase):
        return nullcontext(content)
    raise SelectionError(
        f"An attachment of type {type(content).__name__} was given, and nothing was sent: give bytes, the path of a "
        "file, or a file that is open for reading bytes."
    )


def cut(body: Iterator[bytes], start: int, stop: int | None) -> bytes:
    """Return a part of what is read piece by piece, and read no more than needed."""
    kept, position = bytearray(), 0
    for piece in body:
        kept += piece[max(0, start - position) : None if stop is None else max(0, stop - position)]
        position += len(piece)
        if stop is not None and position >= stop:
            break
    return bytes(kept)


def md5_of(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal."""
    with path.open("rb") as file:
        return md5_of_stream(file)


def md5_of_stream(body: Any) -> str:
    """Return the MD5 of bytes, or of a file that is open, from its beginning."""
    file = io.BytesIO(body) if isinstance(body, bytes) else body
    file.seek(0)
    digest = hashlib.md5(usedforsecurity=False)
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
