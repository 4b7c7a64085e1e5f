"""Encapsulated pixel data: from one value to the codestreams of its frames (PS3.5 section A.4).

pydicom's own functions take an offset table that was never filled in for true, and do not notice a value that is cut
off.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from simple_orthanc.showing.text import agreeing, counted

_END_OF_IMAGE = b"\xff\xd9"
# The first marker of a JPEG or JPEG-LS stream, and that of a JPEG 2000 stream.
_STARTS = (b"\xff\xd8", b"\xff\x4f")


def frame_streams(buffer: bytes, frames: int, extended: tuple[bytes, bytes] | None = None) -> list[bytes]:
    """Split encapsulated pixel data into the codestreams of its frames (PS3.5 section A.4).

    Parameters
    ----------
    buffer : bytes
        The value of Pixel Data: the Basic Offset Table item and the fragments.
    frames : int
        The number of frames that the header promises.
    extended : (bytes, bytes), optional
        Extended Offset Table and Extended Offset Table Lengths.

    Raises
    ------
    ValueError
        The buffer is cut off, or the fragments do not make that many frames.
    """
    table, fragments = _fragments(buffer)
    if extended is not None and len(extended[0]) == 8 * frames == len(extended[1]):
        by_offset = dict(fragments)
        offsets = struct.unpack_from(f"<{frames}Q", extended[0])
        lengths = struct.unpack_from(f"<{frames}Q", extended[1])
        if _increasing(offsets) and all(offset in by_offset for offset in offsets):
            return [by_offset[offset][:length] for offset, length in zip(offsets, lengths, strict=True)]
    listed = _cut_by_table(fragments, table, len(buffer))
    if len(listed) == frames > 1:
        return listed
    parts = [fragment for _, fragment in fragments]
    for streams in (listed, parts, _joined_by_marker(parts)):
        # What only ends like a frame, or is only listed as one, may be a part of one.
        if len(streams) > frames and all(map(_begins_frame, streams)):
            raise ValueError(f"{promised_frames(frames)}, and the pixel data hold {len(streams)}")
    if frames == 1 and parts:
        return [b"".join(parts)]
    if len(parts) > frames:
        parts = _joined_by_marker(parts)
    if len(parts) != frames:
        raise ValueError(f"{promised_frames(frames)}, and the pixel data hold {len(parts)}")
    return parts


def promised_frames(frames: int) -> str:
    """Return the beginning of a sentence on how many frames a header promises."""
    return f"{counted(frames, 'frame')} {agreeing(frames, 'are')} promised"


def _begins_frame(stream: bytes) -> bool:
    """Check whether a frame begins here: with the first marker of its codestream, or the header of run lengths."""
    # Up to 15 segments, the first of them behind the 64 bytes of the header (PS3.5 section G.5).
    return stream.startswith(_STARTS) or (1 <= int.from_bytes(stream[:4], "little") <= 15 and stream[4:8] == b"@\0\0\0")


def _cut_by_table(fragments: Sequence[tuple[int, bytes]], table: tuple[int, ...], end: int) -> list[bytes]:
    """Join fragments into frames by the Basic Offset Table; an empty list if it cannot be trusted."""
    starts = [offset for offset, _ in fragments]
    if not table or not _increasing(table) or not set(table) <= set(starts):
        return []
    return [
        b"".join(fragment for _, fragment in fragments[bisect_left(starts, start) : bisect_left(starts, stop)])
        for start, stop in zip(table, (*table[1:], end), strict=True)
    ]


def _increasing(offsets: tuple[int, ...]) -> bool:
    """Check whether a table of offsets can be trusted: some writers leave space for one and never fill it in."""
    return all(one < following for one, following in pairwise(offsets))


def _fragments(buffer: bytes) -> tuple[tuple[int, ...], list[tuple[int, bytes]]]:
    """Return the Basic Offset Table, and each fragment with its offset from the item tag of the first one."""
    fragments: list[tuple[int, bytes]] = []
    table: tuple[int, ...] | None = None
    position = start = 0
    while position + 8 <= len(buffer):
        group, element, length = struct.unpack_from("<HHI", buffer, position)
        if (group, element) == (0xFFFE, 0xE0DD):
            break
        if (group, element) != (0xFFFE, 0xE000):
            raise ValueError(f"no fragment begins at byte {position} of the encapsulated pixel data")
        value = buffer[position + 8 : position + 8 + length]
        if len(value) < length:
            raise ValueError(f"a fragment of {length} bytes is cut off after {len(value)}")
        if table is None:
            table = struct.unpack(f"<{length // 4}I", value[: length // 4 * 4])
            start = position + 8 + length
        else:
            fragments.append((position - start, value))
        position += 8 + length
    return table or (), fragments


def _joined_by_marker(parts: list[bytes]) -> list[bytes]:
    """Join fragments into frames by the end marker of JPEG, where no offset table assigns them."""
    joined: list[bytes] = []
    current: list[bytes] = []
    for part in parts:
        current.append(part)
        if _END_OF_IMAGE in part[-10:]:
            joined.append(b"".join(current))
            current = []
    return [*joined, b"".join(current)] if current else joined
