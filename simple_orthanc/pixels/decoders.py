"""Compressed frames: from an encapsulated buffer to samples, with one decoder for each transfer syntax.

=============================================  =====================================
Transfer syntax                                decoder (package)
=============================================  =====================================
RLE Lossless                                   pylibjpeg-rle
JPEG Baseline, JPEG Extended of 8 bits         pillow
JPEG Extended of 12 bits, JPEG Lossless        gdcm (python-gdcm)
JPEG-LS, lossless and near-lossless            CharLS (pyjpegls)
JPEG 2000, High-Throughput JPEG 2000           OpenJPEG (pylibjpeg-openjpeg)
Deflated Image Frame Compression               zlib
=============================================  =====================================

They are called directly, not through pydicom's decoders: those warn, which in threads cannot be caught, fall back from
one decoder to another that may give other values, and convert colour by the header alone. A decoder is imported when it
is first needed. Those that hold the interpreter, GDCM, CharLS and OpenJPEG, are called in `codestreams`. What comes out
here are the samples of the codestream, colour not yet converted.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.uid import UID

from simple_orthanc.errors import PixelDecodeError
from simple_orthanc.pixels import codestreams as codestreams
from simple_orthanc.pixels.jpeg_streams import JpegHeader, checked_stream, jpeg_header
from simple_orthanc.pixels.layout import PixelLayout
from simple_orthanc.pixels.processes import DecodingProcesses

if TYPE_CHECKING:
    from numpy.typing import NDArray

_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_LOSSLESS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in ("57", "70", "80", "90", "201", "202"))
_END_OF_IMAGE = b"\xff\xd9"


@dataclass(frozen=True)
class Decoded:
    """One decoded frame.

    Attributes
    ----------
    array : ndarray
        Shape (rows, columns) or (rows, columns, samples), of the layout's type.
    photometric : str
        The colour space these samples are in.
    high : int or None
        Where the array still holds whole words, as native pixel data does, the highest of the stored bits that are to
        be taken out of them.
    """

    array: NDArray[Any]
    photometric: str
    high: int | None = None


def supported(syntax: str) -> bool:
    """Whether there is a decoder for an encapsulated transfer syntax."""
    return syntax in _DECODERS


def decode(stream: bytes, layout: PixelLayout, processes: DecodingProcesses | None = None) -> Decoded:
    """Decode one frame.

    Parameters
    ----------
    stream : bytes
        The codestream of one frame.
    layout : PixelLayout
    processes : DecodingProcesses, optional
        What runs the decoders that hold the interpreter; without it they run in this process.

    Raises
    ------
    PixelDecodeError
        The package that decodes this transfer syntax is not installed.
    Exception
        Whatever the decoder raises at a corrupt stream.
    """
    package, function = _DECODERS[layout.syntax]
    try:
        return function(stream, layout, processes)
    except ImportError as error:
        raise PixelDecodeError(
            f"The pixels are compressed as {UID(layout.syntax).name} ({layout.syntax}), and its decoder is not "
            f"installed. Run: pip install {package}"
        ) from error


def frame_streams(buffer: bytes, frames: int, extended: tuple[bytes, bytes] | None = None) -> list[bytes]:
    """Split encapsulated pixel data into the codestreams of its frames (PS3.5 section A.4).

    Parameters
    ----------
    buffer : bytes
        The value of Pixel Data: the Basic Offset Table item and the fragments.
    frames : int
        How many frames the header promises.
    extended : (bytes, bytes), optional
        Extended Offset Table and Extended Offset Table Lengths.

    Raises
    ------
    ValueError
        The buffer is cut off, or the fragments do not make that many frames.
    """
    table, fragments = _fragments(buffer)
    if extended is not None and len(extended[0]) >= 8 * frames <= len(extended[1]):
        by_offset = dict(fragments)
        offsets = struct.unpack_from(f"<{frames}Q", extended[0])
        lengths = struct.unpack_from(f"<{frames}Q", extended[1])
        if _increasing(offsets) and all(offset in by_offset for offset in offsets):
            return [by_offset[offset][:length] for offset, length in zip(offsets, lengths, strict=True)]
    if len(table) >= frames > 1 and _increasing(table) and set(table) <= {offset for offset, _ in fragments}:
        ends = (*table[1:frames], table[frames] if len(table) > frames else len(buffer))
        return [
            b"".join(fragment for offset, fragment in fragments if start <= offset < end)
            for start, end in zip(table[:frames], ends, strict=True)
        ]
    parts = [fragment for _, fragment in fragments]
    if frames == 1 and parts:
        return [b"".join(parts)]
    if len(parts) > frames:
        parts = _joined_by_marker(parts)
    if len(parts) != frames:
        raise ValueError(f"{frames} frames are promised, and the pixel data hold {len(parts)}")
    return parts


def _increasing(offsets: tuple[int, ...]) -> bool:
    """Say whether a table of offsets can be believed: some writers leave room for one, and never fill it in."""
    return all(one < following for one, following in pairwise(offsets))


def _fragments(buffer: bytes) -> tuple[tuple[int, ...], list[tuple[int, bytes]]]:
    """Give the Basic Offset Table, and each fragment with its offset from the first one's item tag."""
    found: list[tuple[int, bytes]] = []
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
            found.append((position - start, value))
        position += 8 + length
    return table or (), found


def _joined_by_marker(parts: list[bytes]) -> list[bytes]:
    """Join fragments into frames where nothing says which belong together: a JPEG frame ends with its end marker."""
    joined: list[bytes] = []
    current: list[bytes] = []
    for part in parts:
        current.append(part)
        if _END_OF_IMAGE in part[-10:]:
            joined.append(b"".join(current))
            current = []
    return [*joined, b"".join(current)] if current else joined


def _checked_jpeg_header(stream: bytes, layout: PixelLayout) -> JpegHeader:
    header = jpeg_header(stream)
    # A stream may leave its number of lines to a later marker, and says 0 then.
    if header.columns != layout.columns or header.rows not in (0, layout.rows):
        raise ValueError(
            f"the stream has {header.rows} x {header.columns} pixels, the header {layout.rows} x {layout.columns}"
        )
    if len(header.components) != layout.samples:
        raise ValueError(f"the stream has {len(header.components)} components, the header {layout.samples}")
    return header


def _shaped(buffer: Any, layout: PixelLayout, precision: int, *, planes: bool = False) -> NDArray[Any]:
    """View a decoder's bytes as unsigned samples, in the smallest word that holds the precision."""
    size = 1 if precision <= 8 else 2 if precision <= 16 else 4
    array = np.frombuffer(buffer, dtype=f"<u{size}").astype(f"u{size}", copy=False)
    expected = layout.rows * layout.columns * layout.samples
    if array.size != expected:
        raise ValueError(f"the decoder gave {array.size} samples instead of {expected}")
    if planes and layout.samples > 1:
        return np.ascontiguousarray(np.moveaxis(array.reshape(layout.samples, layout.rows, layout.columns), 0, -1))
    return array.reshape(layout.shape)


def _typed(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Give integers as another type, without a copy where only the sign differs."""
    return array.view(dtype) if array.dtype.itemsize == dtype.itemsize else array.astype(dtype)


def _signed(array: NDArray[Any], precision: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Extend the sign of samples of so many bits, which a codestream without a sign carries as unsigned."""
    shift = 8 * dtype.itemsize - precision
    wide = _typed(array, dtype)
    return (wide << shift) >> shift if shift > 0 else wide


def _fitted(array: NDArray[Any], layout: PixelLayout, precision: int, photometric: str) -> Decoded:
    """Bring samples of more bits than the header stores into the range of these.

    Without loss the upper bits are those of native pixel data, and are no part of the value (PS3.5 section 8.1.1). With
    loss a value that overshot ran over into them, so that it is clipped: without these bits it would be a wrong one.
    """
    if precision > layout.allocated:
        raise ValueError(f"the stream has {precision} bits, and BitsAllocated is {layout.allocated}")
    if layout.syntax in _LOSSLESS:
        return Decoded(array, photometric, layout.high if precision > layout.high else layout.stored - 1)
    if precision > layout.stored:
        array = np.clip(array, *layout.range)
    return Decoded(array, photometric)


def _rle(stream: bytes, layout: PixelLayout, processes: DecodingProcesses | None) -> Decoded:
    from rle.utils import decode_pixel_data

    try:
        buffer = decode_pixel_data(
            stream, version=2, rows=layout.rows, columns=layout.columns, bits_allocated=layout.allocated
        )
    except BaseException as error:
        # A panic in the package's own language arrives as what is no Exception.
        if type(error).__name__ == "PanicException":
            raise ValueError(f"the run lengths are corrupt ({error})") from error
        raise
    array = _shaped(buffer, layout, layout.allocated, planes=True)
    return Decoded(array.view(layout.dtype), layout.photometric, layout.high)


def _deflated(stream: bytes, layout: PixelLayout, processes: DecodingProcesses | None) -> Decoded:
    buffer = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream)
    if layout.allocated == 1:
        count = layout.rows * layout.columns
        bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little", count=count)
        return Decoded(bits.reshape(layout.shape), layout.photometric)
    size = layout.rows * layout.columns * layout.samples * layout.allocated // 8
    array = _shaped(buffer[:size], layout, layout.allocated, planes=layout.planar == 1)
    return Decoded(array.view(layout.dtype), layout.photometric, layout.high)


def _jpeg(stream: bytes, layout: PixelLayout, processes: DecodingProcesses | None) -> Decoded:
    header = _checked_jpeg_header(stream, layout)
    if header.precision != 8:
        if layout.syntax == _JPEG_BASELINE:
            raise ValueError(f"the stream has {header.precision} bits, and JPEG Baseline has 8")
        return _jpeg_gdcm(stream, layout, processes)
    from PIL import Image

    with Image.open(io.BytesIO(stream), formats=("JPEG",)) as image:
        if layout.samples == 3:
            # Pillow converts colour by markers alone; naming the same space twice leaves the samples as they are.
            image.draft("YCbCr", image.size)
            image.tile = [tile._replace(args=("YCbCr", "YCbCr")) for tile in image.tile]
        array = np.asarray(image).reshape(layout.shape)
    return _jpeg_values(array, layout, header.precision, header.colour(layout.photometric))


def _jpeg_gdcm(stream: bytes, layout: PixelLayout, processes: DecodingProcesses | None) -> Decoded:
    header = _checked_jpeg_header(stream, layout)
    # At a malformed header GDCM throws an exception that nobody catches, which ends the process.
    stream = checked_stream(stream, lossless=layout.syntax != _JPEG_EXTENDED)
    arguments = (layout.rows, layout.columns, layout.samples, header.precision, int(layout.signed), layout.syntax)
    buffer, _ = _run("gdcm", stream, arguments, layout, processes)
    array = _shaped(buffer, layout, header.precision)
    # Without loss there is no reason for YCbCr, and writers put a JFIF marker even before RGB; so the header decides.
    photometric = header.colour(layout.photometric) if layout.syntax == _JPEG_EXTENDED else layout.photometric
    return _jpeg_values(array, layout, header.precision, photometric)


def _jpeg_values(array: NDArray[Any], layout: PixelLayout, precision: int, photometric: str) -> Decoded:
    typed = _typed(array, layout.dtype)
    if layout.signed and layout.syntax not in _LOSSLESS:
        # These streams know no sign, so that it is where the header has it.
        return Decoded(typed, photometric, layout.stored - 1)
    return _fitted(typed, layout, precision, photometric)


def _jpeg_ls(stream: bytes, layout: PixelLayout, processes: DecodingProcesses | None) -> Decoded:
    header = _checked_jpeg_header(stream, layout)
    buffer, (interleave,) = _run("charls", stream, (), layout, processes)
    array = _shaped(buffer, layout, header.precision, planes=interleave == 0)
    array = _signed(array, header.precision, layout.dtype) if layout.signed else array.astype(layout.dtype, copy=False)
    return _fitted(array, layout, header.precision, layout.photometric)


def _jpeg_2000(stream: bytes, layout: PixelLayout, processes: DecodingProcesses | None) -> Decoded:
    arguments = (layout.rows, layout.columns, layout.samples)
    buffer, (precision, signed) = _run("openjpeg", stream, arguments, layout, processes)
    array = _shaped(buffer, layout, precision)
    if signed and layout.signed:
        array = array.view(f"i{array.itemsize}").astype(layout.dtype, copy=False)
    elif layout.signed:
        array = _signed(array, precision, layout.dtype)
    else:
        array = (array & ((1 << precision) - 1)).astype(layout.dtype, copy=False)
    # The decoder undoes the multiple component transformation, so that these are RGB already.
    photometric = "RGB" if layout.photometric in ("YBR_ICT", "YBR_RCT") else layout.photometric
    return _fitted(array, layout, precision, photometric)


def _run(
    codec: str, stream: bytes, arguments: tuple[Any, ...], layout: PixelLayout, processes: DecodingProcesses | None
) -> tuple[bytes | bytearray, tuple[int, ...]]:
    """Decode by a codec of `codestreams`, here or in a helper."""
    if processes is None:
        return codestreams.run(codec, stream, arguments)
    return processes.run(codec, stream, arguments, layout.frames * layout.rows * layout.columns * layout.samples)


_DECODERS: dict[str, tuple[str, Callable[[bytes, PixelLayout, DecodingProcesses | None], Decoded]]] = {
    "1.2.840.10008.1.2.5": ("pylibjpeg-rle", _rle),
    "1.2.840.10008.1.2.8.1": ("", _deflated),
    _JPEG_BASELINE: ("pillow", _jpeg),
    _JPEG_EXTENDED: ("pillow python-gdcm", _jpeg),
    "1.2.840.10008.1.2.4.57": ("python-gdcm", _jpeg_gdcm),
    "1.2.840.10008.1.2.4.70": ("python-gdcm", _jpeg_gdcm),
    "1.2.840.10008.1.2.4.80": ("pyjpegls", _jpeg_ls),
    "1.2.840.10008.1.2.4.81": ("pyjpegls", _jpeg_ls),
    **{
        f"1.2.840.10008.1.2.4.{number}": ("pylibjpeg-openjpeg", _jpeg_2000)
        for number in ("90", "91", "201", "202", "203")
    },
}
