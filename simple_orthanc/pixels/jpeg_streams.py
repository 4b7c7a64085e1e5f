"""The markers of JPEG and JPEG-LS streams: the format of the samples, and checks of their structure.

Marker codes and segments: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
_HUFFMAN, _QUANTISATION, _RESTART_INTERVAL = 0xC4, 0xDB, 0xDD
_BASELINE = 0xC0
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
# Sequential with Huffman coding of 8 and of 12 bits, and lossless.
_DECODABLE = {False: (0xC0, 0xC1), True: (0xC3,)}
_COMMENTS = frozenset({*range(0xE0, 0xF0), 0xFE})
# An APP14 segment of Adobe: version 100, no flags, colour transform 0, which is none.
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
# In coded data 0xFF is followed by 0 or by a restart marker; anything else ends it.
_END_OF_CODED_DATA = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True)
class JpegHeader:
    """The markers before the first scan of a JPEG or JPEG-LS stream.

    Attributes
    ----------
    precision, rows, columns : int
    components : tuple of int
        The identifiers of the components.
    adobe : int or None
        The colour transform of an Adobe APP14 marker: 0 none, 1 YCbCr.
    jfif : bool
        Whether there is a JFIF marker, which implies YCbCr.
    sampling : frozenset of (int, int)
        The different sampling factors of the components, across and down.
    is_baseline : bool
        Whether the coding process is the baseline one (SOF0).
    """

    precision: int
    rows: int
    columns: int
    components: tuple[int, ...]
    adobe: int | None
    jfif: bool
    sampling: frozenset[tuple[int, int]] = frozenset({(1, 1)})
    is_baseline: bool = True

    def colour(self, photometric: str) -> str:
        """Return the colour space of the samples: that of the stream's markers, or else that of the header.

        Examples
        --------
        >>> JpegHeader(8, 1, 1, (1, 2, 3), adobe=1, jfif=False).colour("RGB")
        'YBR_FULL'
        """
        if len(self.components) != 3:
            return photometric
        if bytes(self.components) in (b"RGB", b"rgb"):
            return "RGB"
        if self.adobe is not None:
            return "YBR_FULL" if self.adobe else "RGB"
        return "YBR_FULL" if self.jfif or photometric.startswith("YBR") else photometric


def jpeg_header(stream: bytes) -> JpegHeader:
    """Read the markers of a JPEG or JPEG-LS stream up to the start of its frame.

    Raises
    ------
    ValueError
        The stream has no such marker.
    """
    adobe: int | None = None
    jfif = False
    for marker, content, *_ in _header_segments(stream):
        if marker == 0xE0 and content.startswith(b"JFIF"):
            jfif = True
        elif marker == 0xEE and content.startswith(b"Adobe") and len(content) >= 12:
            adobe = content[11]
        elif marker in _START_OF_FRAME and len(content) >= 6:
            precision, rows, columns, count = struct.unpack_from(">BHHB", content)
            identifiers, factors = content[6 : 6 + 3 * count : 3], content[7 : 6 + 3 * count : 3]
            if len(content) != 6 + 3 * count:
                raise ValueError("the JPEG frame header is malformed")
            sampling = frozenset((factor >> 4, factor & 15) for factor in factors)
            return JpegHeader(precision, rows, columns, tuple(identifiers), adobe, jfif, sampling, marker == _BASELINE)
    raise ValueError("the stream has no JPEG frame header")


def checked_stream(stream: bytes, *, lossless: bool) -> bytes:
    """Refuse a JPEG stream whose markers are malformed, misplaced or missing, and remove its comments.

    Parameters
    ----------
    stream : bytes
    lossless : bool
        Whether the lossless process is expected, or a sequential one.

    Returns
    -------
    bytes
        The stream without comments and application data, which decoding does not need.

    Raises
    ------
    ValueError
        The message says what is wrong.
    """
    components: dict[int, int] = {}
    tables: set[int] = set()
    scanned: set[int] = set()
    kept = [stream[:2]]
    for marker, content, coded in _segments(stream):
        if marker == _END_OF_IMAGE:
            if not components or scanned != set(components):
                raise ValueError("the stream ends before all components were coded")
            return b"".join((*kept, b"\xff\xd9"))
        if marker in _START_OF_FRAME:
            _expect(
                not components and marker in _DECODABLE[lossless], f"the frame marker 0x{marker:02X} is out of place"
            )
            components = _components(content, lossless)
        elif marker == _HUFFMAN:
            tables |= _huffman_tables(content, lossless)
        elif marker == _QUANTISATION:
            _check_quantisation(content)
        elif marker == _RESTART_INTERVAL:
            _expect(len(content) == 2, "the restart interval has the wrong length")
        elif marker == _START_OF_SCAN:
            scanned |= _scan(content, components, tables, lossless)
        else:
            _expect(marker in _COMMENTS, f"the marker 0x{marker:02X} is not allowed here")
        if marker not in _COMMENTS:
            kept += [struct.pack(">BBH", 0xFF, marker, len(content) + 2), content, coded]
    raise ValueError("the stream has no end marker")


def without_application_data(stream: bytes, *, is_rgb: bool = False) -> bytes:
    """Remove the application data and comments before the first scan of a JPEG or JPEG-LS stream.

    Decoders would take the colour space from them; here `jpeg_header` reads it.

    Parameters
    ----------
    stream : bytes
    is_rgb : bool
        Whether to write an Adobe marker for colours that are not transformed.

    Raises
    ------
    ValueError
        The markers are malformed.
    """
    kept = [stream[:2]]
    if is_rgb:
        kept.append(_ADOBE_RGB)
    position = 2
    for marker, _, start, position in _header_segments(stream):
        if marker == _START_OF_SCAN:
            return b"".join((*kept, stream[start:]))
        if marker not in _COMMENTS:
            kept.append(stream[start:position])
    raise ValueError("the stream has no scan")


def has_colour_planes(stream: bytes) -> bool:
    """Check whether the components of a JPEG-LS stream follow one another as planes (ITU-T T.87, C.2.3)."""
    scan = next((content for marker, content, *_ in _header_segments(stream) if marker == _START_OF_SCAN), b"")
    # The scan header ends with the near-lossless parameter, the interleave mode and the point transform.
    return scan[-2:-1] == b"\0"


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _segments(stream: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Walk from marker to marker; yield the marker, the content of its segment, and the data coded after it."""
    for marker, content, _, position in _header_segments(stream):
        if marker != _START_OF_SCAN:
            yield marker, content, b""
            continue
        while marker != _END_OF_IMAGE:
            coded_from = position
            if marker == _START_OF_SCAN:
                end = _END_OF_CODED_DATA.search(stream, position)
                position = len(stream) if end is None else end.end() - 2
            yield marker, content, stream[coded_from:position]
            if position + 2 > len(stream):
                return
            marker, content, _, position = _segment_at(stream, position)
        yield marker, b"", b""
        return


def _header_segments(stream: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """Walk up to the first scan header; yield the marker, the content of its segment, its start and its end."""
    _expect(stream[:2] == b"\xff\xd8", "the stream does not begin with a JPEG marker")
    position, marker = 2, 0
    while position + 2 <= len(stream) and marker not in (_START_OF_SCAN, _END_OF_IMAGE):
        marker, content, start, position = _segment_at(stream, position)
        yield marker, content, start, position


def _segment_at(stream: bytes, position: int) -> tuple[int, bytes, int, int]:
    """Read the segment at a byte: its marker, its content, its start and its end."""
    _expect(stream[position] == 0xFF, f"no marker at byte {position} of the stream")
    # A marker may be preceded by any number of fill bytes.
    while stream[position + 1 : position + 2] == b"\xff":
        position += 1
    _expect(position + 2 <= len(stream), "the stream ends inside a marker")
    marker = stream[position + 1]
    if marker == _END_OF_IMAGE:
        return marker, b"", position, position + 2
    length = int.from_bytes(stream[position + 2 : position + 4], "big")
    content = stream[position + 4 : position + 2 + length]
    _expect(length >= 2 and len(content) == length - 2, f"the marker 0x{marker:02X} is cut off")
    return marker, content, position, position + 2 + length


def _components(content: bytes, lossless: bool) -> dict[int, int]:
    """Read the frame header: the quantisation table of each component."""
    _expect(
        len(content) >= 6 and len(content) == 6 + 3 * content[5] and content[5] in (1, 3),
        "the frame header is malformed",
    )
    precision = content[0]
    _expect(8 <= precision <= 16 if lossless else precision in (8, 12), f"{precision} bits cannot be coded")
    tables = {}
    for index in range(6, len(content), 3):
        identifier, sampling, table = content[index : index + 3]
        across, down = sampling >> 4, sampling & 15
        _expect(
            (across, down) == (1, 1) if lossless else 1 <= across <= 4 and 1 <= down <= 4, "the sampling is malformed"
        )
        tables[identifier] = table
    _expect(len(tables) == content[5], "a component occurs twice")
    return tables


def _huffman_tables(content: bytes, lossless: bool) -> set[int]:
    """Check that codes of all lengths fit, and return the numbers of the tables."""
    numbers = set()
    position = 0
    while position < len(content):
        _expect(position + 17 <= len(content), "a Huffman table is cut off")
        number, counts = content[position], content[position + 1 : position + 17]
        _expect(number >> 4 <= 1 and number & 15 <= 3, "the number of a Huffman table is out of range")
        free = 1
        for count in counts:
            free = 2 * free - count
            _expect(free >= 0, "a Huffman table has too many codes")
        values = content[position + 17 : position + 17 + sum(counts)]
        _expect(0 < len(values) == sum(counts) <= 256, "a Huffman table is cut off")
        if number >> 4 == 0:
            _expect(max(values) <= (16 if lossless else 15), "a Huffman table has values out of range")
        numbers.add(number)
        position += 17 + len(values)
    return numbers


def _check_quantisation(content: bytes) -> None:
    position = 0
    while position < len(content):
        kind, number = content[position] >> 4, content[position] & 15
        _expect(kind <= 1 and number <= 3, "the number of a quantisation table is out of range")
        position += 65 + 64 * kind
    _expect(position == len(content), "a quantisation table is cut off")


def _scan(content: bytes, components: dict[int, int], tables: set[int], lossless: bool) -> set[int]:
    """Check a scan header against the markers before it, and return the components that it codes."""
    count = content[0] if content else 0
    _expect(1 <= count <= 4 and len(content) == 4 + 2 * count, "the scan header is malformed")
    scanned = set()
    for index in range(1, 1 + 2 * count, 2):
        identifier, choice = content[index], content[index + 1]
        needed = {choice >> 4} if lossless else {choice >> 4, 0x10 | choice & 15}
        _expect(identifier in components and needed <= tables, "a scan names a component or a table that is missing")
        scanned.add(identifier)
    first, _, approximation = content[-3:]
    if lossless:
        _expect(1 <= first <= 7 and approximation < 16, "the scan's predictor is malformed")
    else:
        _expect(first == 0 and approximation == 0, "the scan is malformed")
    _expect(len(scanned) == count, "a scan codes a component twice")
    return scanned
