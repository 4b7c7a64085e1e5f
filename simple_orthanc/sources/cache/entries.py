"""The file of one entry of a cache: the content, and behind it a record of what it is, with checksums of both.

The content begins at the first byte, so that it is read into the memory of a caller as it is. Its first 64 KiB have a
checksum of their own, so that a header is read and checked without the pixels. The checksums are CRC-32, which finds
every flipped bit and whatever a disk loses, at several times the speed of MD5; that the content is what the server
lists was checked before it was kept.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

HEAD = 64 * 1024
"""How many bytes at the beginning of a content are read and checked by themselves."""

# What follows the record: a name, the length and the checksum of the record, and the checksums of the content.
_FOOTER = struct.Struct("<8sIIII")
_MAGIC = b"so-kept1"
# The record and the footer of nearly every entry, in one read.
_TAIL = 2048
_MOST_RECORD = 1 << 16


class DamagedEntryError(Exception):
    """An entry is not what was written, or the disk cannot read it; it never leaves this package."""


class Record(NamedTuple):
    """What an entry holds.

    Attributes
    ----------
    archive : str
        The address of the server.
    key : str
        The source's key of the instance.
    stamp : str
        By which the server tells this file from another one of the same instance.
    md5 : str or None
        Its MD5 as the server lists it, if it does.
    is_whole : bool
        Whether it is the whole file, and not only its beginning.
    siblings : int or None
        How many instances the server listed in its series; None if that was not known.
    """

    archive: str
    key: str
    stamp: str
    md5: str | None
    is_whole: bool
    siblings: int | None = None


class Entry(NamedTuple):
    """An entry that is open: its record, the length of its content, and the checksums of its parts."""

    record: Record
    length: int
    head_crc: int
    rest_crc: int


def ending(record: Record, content: memoryview) -> bytes:
    """Return what follows a content in its file."""
    return ending_of(record, zlib.crc32(content[:HEAD]), zlib.crc32(content[HEAD:]))


def ending_of(record: Record, head_crc: int, rest_crc: int) -> bytes:
    """Return what follows a content with these checksums in its file.

    Examples
    --------
    >>> ending_of(Record("http://127.0.0.1:8042", "4ac2", "0f", None, True), 0, 0)[:42]
    b'["http://127.0.0.1:8042","4ac2","0f",null,'
    """
    text = json.dumps(record, separators=(",", ":")).encode("ascii")
    return text + _FOOTER.pack(_MAGIC, len(text), zlib.crc32(text), head_crc, rest_crc)


def open_entry(descriptor: int) -> Entry:
    """Read the record of the entry in an open file.

    Raises
    ------
    DamagedEntryError
        It is not one, or not whole.
    """
    size = os.fstat(descriptor).st_size
    tail = _read(descriptor, _TAIL, max(0, size - _TAIL))
    if len(tail) < _FOOTER.size:
        raise DamagedEntryError
    magic, length, crc, head_crc, rest_crc = _FOOTER.unpack(tail[-_FOOTER.size :])
    start = size - _FOOTER.size - length
    if magic != _MAGIC or length > _MOST_RECORD or start < 0:
        raise DamagedEntryError
    text = tail[-_FOOTER.size - length : -_FOOTER.size]
    if len(text) < length:
        text = _read(descriptor, length, start)
    if zlib.crc32(text) != crc:
        raise DamagedEntryError
    return Entry(Record(*json.loads(text)), start, head_crc, rest_crc)


def read_content(descriptor: int, entry: Entry, allocate: Callable[[int], memoryview]) -> memoryview:
    """Read and check the content of an entry.

    Raises
    ------
    DamagedEntryError
        It is not what was written.
    """
    memory = allocate(entry.length)
    filled = 0
    while filled < entry.length:
        try:
            count = os.preadv(descriptor, [memory[filled:]], filled)
        except OSError as error:
            raise DamagedEntryError from error
        if not count:
            raise DamagedEntryError
        filled += count
    if zlib.crc32(memory[:HEAD]) != entry.head_crc or zlib.crc32(memory[HEAD:]) != entry.rest_crc:
        raise DamagedEntryError
    return memory


def read_head(descriptor: int, entry: Entry) -> bytes:
    """Read and check the first 64 KiB of the content of an entry, or all of a shorter one.

    Raises
    ------
    DamagedEntryError
        They are not what was written.
    """
    head = _read(descriptor, min(HEAD, entry.length), 0)
    if zlib.crc32(head) != entry.head_crc:
        raise DamagedEntryError
    return head


def copy_content(source: int, target: int, length: int) -> tuple[int, int]:
    """Copy a content from one open file to another, piece by piece, and return the checksums of its parts.

    Raises
    ------
    DamagedEntryError
        The source is shorter.
    """
    crcs = [0, 0]
    position = 0
    while position < length:
        # The head first, so that no piece belongs to both parts.
        size = HEAD if position < HEAD else 1 << 20
        piece = _read(source, min(size - position % HEAD, length - position), position)
        if not piece:
            raise DamagedEntryError
        part = 0 if position < HEAD else 1
        crcs[part] = zlib.crc32(piece, crcs[part])
        write_all(target, piece)
        position += len(piece)
    return crcs[0], crcs[1]


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write bytes to an open file, however many it takes at a time."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _read(descriptor: int, size: int, position: int) -> bytes:
    try:
        return os.pread(descriptor, size, position)
    except OSError as error:
        raise DamagedEntryError from error
