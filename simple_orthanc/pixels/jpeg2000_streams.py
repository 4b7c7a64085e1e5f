"""The main header of a JPEG 2000 codestream, High-Throughput or not.

Marker codes and the SIZ segment: ITU-T T.800, annex A.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# Start of codestream, followed by the SIZ marker that must come next.
_START = b"\xff\x4f\xff\x51"
# Lsiz, Rsiz, Xsiz, Ysiz, XOsiz, YOsiz, XTsiz, YTsiz, XTOsiz, YTOsiz, Csiz
_SIZ = struct.Struct(">HH8IH")


@dataclass(frozen=True)
class Jpeg2000Header:
    """The SIZ marker segment of a codestream whose components are all alike.

    Attributes
    ----------
    rows, columns, components : int
    precision : int
        Bits of each sample.
    is_signed : bool
    start : int
        The byte of the stream at which the codestream begins: not 0 where a file format is around it.
    """

    rows: int
    columns: int
    components: int
    precision: int
    is_signed: bool
    start: int


def jpeg2000_header(stream: bytes) -> Jpeg2000Header:
    """Read the main header of a codestream, which may be inside a JP2 file.

    Raises
    ------
    ValueError
        The stream has no such header; or its components differ in precision or sign, or are subsampled, so that a
        decoder would stretch or shift their values.
    """
    start = stream.find(_START)
    begin = start + len(_START)
    if start < 0 or len(stream) < begin + _SIZ.size:
        raise ValueError("the stream has no JPEG 2000 main header")
    length, _, right, lower, left, upper, _, _, _, _, count = _SIZ.unpack_from(stream, begin)
    details = stream[begin + _SIZ.size : begin + _SIZ.size + 3 * count]
    if not count or length != _SIZ.size + 3 * count or len(details) != 3 * count:
        raise ValueError("the SIZ marker segment of the stream is malformed")
    depths = set(details[::3])
    sampling = {*details[1::3], *details[2::3]}
    if sampling != {1}:
        raise ValueError("the components of the stream are subsampled, which their decoder would stretch")
    if len(depths) > 1:
        listed = ", ".join(f"{(depth & 0x7F) + 1} {'signed' if depth >> 7 else 'unsigned'}" for depth in details[::3])
        raise ValueError(f"the components of the stream differ in their bits: {listed}")
    depth = depths.pop()
    return Jpeg2000Header(
        rows=lower - upper,
        columns=right - left,
        components=count,
        precision=(depth & 0x7F) + 1,
        is_signed=bool(depth >> 7),
        start=start,
    )
