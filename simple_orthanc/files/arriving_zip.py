"""The members of a zip while it arrives, each as soon as it is whole.

The directory of a zip is at its end, and each member begins with what the directory repeats. Where its writer knew
length and checksum before it wrote the member, as Orthanc does, that is enough to read it (APPNOTE.TXT, 4.3.7).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_SIGNATURE = b"PK\x03\x04"
_HEAD = struct.Struct("<4s2x2H4x3I2H")
# Encrypted; its length follows behind it; a patch of another file; encrypted in another way.
_NOT_PLAIN = 0x0001 | 0x0008 | 0x0020 | 0x2040
# By how much what cannot be packed may grow: a few bytes for each block.
_GROWTH, _LEAST_GROWTH = 256, 64


def members_on_arrival(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Yield the members of a zip, each compared with its length and checksum, while the zip arrives.

    All chunks are taken. What is damaged, packed in another way than by deflation, or longer than `most` is left out;
    behind what cannot be told from the next member, so is the rest.

    Parameters
    ----------
    chunks : iterable of bytes
        The zip.
    most : int
        The length in bytes of the longest member that is wanted, which bounds the memory that is used.

    Examples
    --------
    >>> import io, zipfile
    >>> buffer = io.BytesIO()
    >>> with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
    ...     for name in ("a", "b"):
    ...         archive.writestr(name, 3 * name)
    >>> list(members_on_arrival([buffer.getvalue()], most=3))
    [b'aaa', b'bbb']
    """
    zip_so_far = _Zip(most)
    for chunk in chunks:
        yield from zip_so_far.add(chunk)


class _Head(NamedTuple):
    """What a member begins with, and the number of bytes of it with the names that follow."""

    method: int
    checksum: int
    packed: int
    length: int
    size: int


class _Zip:
    """The part of a zip that has come and was not used yet."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = bytearray()
        # Bytes of a member that is not wanted, and are still to come.
        self._skipped = 0
        self._is_over = False

    def add(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the members that are whole with this chunk."""
        if self._is_over:
            return
        self._held += chunk
        while self._has_all_skipped() and (head := self._head()) is not None:
            if max(head.length, head.packed - head.packed // _GROWTH - _LEAST_GROWTH) > self._most:
                self._skipped = head.size + head.packed
                continue
            end = head.size + head.packed
            if len(self._held) < end:
                return
            content = _unpacked(head, bytes(self._held[head.size : end]))
            del self._held[:end]
            if content is not None:
                yield content

    def _has_all_skipped(self) -> bool:
        count = min(self._skipped, len(self._held))
        del self._held[:count]
        self._skipped -= count
        return not self._skipped

    def _head(self) -> _Head | None:
        """Return what the next member begins with; None if it has not come, or if nothing can be read any more."""
        if len(self._held) < _HEAD.size:
            return None
        signature, flags, method, checksum, packed, length, name, extra = _HEAD.unpack_from(self._held)
        if signature != _SIGNATURE or flags & _NOT_PLAIN:
            # The directory, for example.
            self._is_over = True
            self._held.clear()
            return None
        return _Head(method, checksum, packed, length, _HEAD.size + name + extra)


def _unpacked(head: _Head, packed: bytes) -> bytes | None:
    """Return the content of a member; None if it is not what its head announces."""
    content = packed
    if head.method == zipfile.ZIP_DEFLATED:
        decoder = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # It may hold more than it promises.
            content = decoder.decompress(packed, head.length + 1)
        except zlib.error:
            return None
        if not decoder.eof:
            return None
    elif head.method != zipfile.ZIP_STORED:
        return None
    return content if len(content) == head.length and zlib.crc32(content) == head.checksum else None
