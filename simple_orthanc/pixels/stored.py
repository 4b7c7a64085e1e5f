"""Stored pixel values of an object: decoded, without bits that are not part of the value, colour as RGB.

`rescale` and `conversion` turn them into HU, Bq/ml or Gy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import NoPixelDataError, PixelDecodeError
from simple_orthanc.files.inflating import expansion_problem
from simple_orthanc.pixels.colour import apply_palette, has_palette, palette, ybr_to_rgb
from simple_orthanc.pixels.decoders import Decoded, decode, supported
from simple_orthanc.pixels.encapsulation import frame_streams, promised_frames
from simple_orthanc.pixels.layout import NATIVE, PixelLayout, read_layout, required, syntax_name, transfer_syntax
from simple_orthanc.pixels.processes import DecodingProcesses
from simple_orthanc.pixels.sample_format import FLOATS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEYWORDS = ("PixelData", *FLOATS)


def stored_values(dataset: Dataset, processes: DecodingProcesses | None = None) -> NDArray[Any]:
    """Decode the pixel data of an object.

    Parameters
    ----------
    dataset : Dataset
        As read from a file, with its ``file_meta``. It may be read in any thread.
    processes : DecodingProcesses, optional
        Helpers for decoders that hold the interpreter. The values are the same with and without.

    Returns
    -------
    ndarray
        Shape (frames, rows, columns), or (frames, rows, columns, 3) for colour, with as many frames as the header
        promises. Of the type that BitsAllocated and PixelRepresentation name: uint8, int8, uint16, int16, uint32,
        int32, float32 or float64. It may be a read-only view of the pixel data.

        Bits beyond BitsStored below HighBit (overlays) are cleared, or carry the sign. Colour is RGB, interleaved: YBR
        is converted and a palette applied, but not to label maps and nuclear medicine, whose stored values are not
        only colours. MONOCHROME1 is not inverted, since that is a matter of display. Single bits become 0 and 1.

    Raises
    ------
    NoPixelDataError
        The object holds no image; the message says what it is.
    PixelDecodeError
        The pixel data is cut off or corrupt, the header contradicts it, or there is no decoder for its transfer syntax.

    Notes
    -----
    Encoding of pixels: PS3.5 section 8.1.1. Image Pixel Module: PS3.3 section C.7.6.3.

    Examples
    --------
    >>> from pydicom import dcmread
    >>> from pydicom.data import get_testdata_file
    >>> array = stored_values(dcmread(get_testdata_file("CT_small.dcm")))
    >>> array.shape, array.dtype.name, int(array[0, 0, 0])
    ((1, 128, 128), 'int16', 175)
    """
    keyword = next((name for name in _KEYWORDS if name in dataset), None)
    if keyword is None:
        kind = elements.text(dataset, "SOPClassUID")
        raise NoPixelDataError(
            f"Pixels were requested from {elements.text(dataset, 'SOPInstanceUID') or 'an object'}, which has none: it "
            f"is {UID(kind).name if kind else 'of no stated SOP class'}. Read it with get_headers(), or select images "
            "only, for example by Modality."
        )
    try:
        return _floats(dataset, keyword) if keyword in FLOATS else _integers(dataset, processes)
    except (PixelDecodeError, MemoryError) as error:
        if isinstance(error, MemoryError):
            raise
        # Else a traceback would say it twice.
        raise PixelDecodeError(f"{elements.instance_of(dataset)}: {error.message}") from error.__cause__
    except Exception as error:
        raise PixelDecodeError(
            f"The pixels of {elements.instance_of(dataset)} cannot be decoded ({syntax_name(dataset)}): "
            f"{str(error).rstrip('.') or type(error).__name__}. The object may be truncated or corrupt: "
            f"store it again, or leave it out with {_without(dataset)}."
        ) from error


def remove_pixels(dataset: Dataset) -> None:
    """Remove the pixel data of an object, which leaves its header.

    Where they were floats, BitsStored and HighBit go with them: these count the bits of integers, floats do not have
    them (PS3.3 section C.7.6.24), and without the pixels nothing else would tell the one from the other.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> (image,) = make_series((1, 4, 4), dtype="float32", slope=None, intercept=None, BitsStored=32)
    >>> remove_pixels(image)
    >>> "FloatPixelData" in image, "BitsStored" in image
    (False, False)
    """
    is_integer = "PixelData" in dataset
    for keyword in _KEYWORDS:
        if keyword in dataset:
            del dataset[keyword]
            if not is_integer:
                for name in ("BitsStored", "HighBit"):
                    dataset.pop(name, None)


def _without(dataset: Dataset) -> str:
    return f"exclude(SOPInstanceUID={elements.text(dataset, 'SOPInstanceUID')!r})"


def _buffer(dataset: Dataset, keyword: str) -> bytes | memoryview:
    element: Any = dataset.get_item(elements.tag_of(keyword))
    value = element.value
    if hasattr(value, "read"):
        position = value.tell()
        content = bytes(value.read())
        value.seek(position)
        return content
    return value if isinstance(value, (bytes, memoryview)) else bytes(value or b"")


def _floats(dataset: Dataset, keyword: str) -> NDArray[Any]:
    size = FLOATS[keyword]
    shape = (
        elements.frame_count(dataset),
        required(dataset, "Rows"),
        required(dataset, "Columns"),
    )
    syntax = transfer_syntax(dataset)
    if syntax not in NATIVE:
        raise ValueError(f"{keyword} cannot be compressed")
    # Not numpy's product, which overflows.
    count = math.prod(shape)
    expected = count * size
    buffer = _checked(_native_buffer(dataset, keyword, expected), expected, shape[0])
    dtype = np.dtype(f"{'<' if NATIVE[syntax] else '>'}f{size}")
    return np.frombuffer(buffer, dtype, count=count).reshape(shape).astype(f"f{size}", copy=False)


def _integers(dataset: Dataset, processes: DecodingProcesses | None) -> NDArray[Any]:
    layout = read_layout(dataset)
    if layout.syntax in NATIVE:
        array = _native(dataset, layout)
        return _finished(dataset, layout, array, layout.photometric)
    if not supported(layout.syntax):
        raise PixelDecodeError(
            f"The pixels are encoded as {UID(layout.syntax).name} ({layout.syntax}), for which there is no decoder "
            f"here. Convert it to Explicit VR Little Endian where it is kept, or leave it out with {_without(dataset)}."
        )
    offsets, lengths = (
        bytes(_buffer(dataset, keyword)) if keyword in dataset else b""
        for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    )
    content = bytes(_buffer(dataset, "PixelData"))
    problem = expansion_problem(layout.frames * layout.frame_bytes, len(content), is_file=False)
    if problem is not None:
        raise ValueError(problem)
    streams = frame_streams(content, layout.frames, (offsets, lengths))
    result: NDArray[Any] | None = None
    at_once = min(processes.width, len(streams)) if processes else 1
    frames = map_ordered(lambda stream: decode(stream, layout, processes), streams, workers=at_once)
    for index, decoded in enumerate(frames):
        frame = _decoded_frame(dataset, layout, decoded)
        if len(streams) == 1:
            return frame
        if result is None:
            result = np.empty((layout.frames, *frame.shape[1:]), frame.dtype)
        result[index] = frame[0]
    if result is None:
        raise ValueError("the pixel data hold no frame")
    return result


def _decoded_frame(dataset: Dataset, layout: PixelLayout, decoded: Decoded) -> NDArray[Any]:
    array = decoded.array[np.newaxis]
    if decoded.high is not None:
        array = layout.extract(array, decoded.high)
    return _finished(dataset, layout, array, decoded.photometric)


def _checked(buffer: bytes | memoryview, expected: int, frames: int) -> bytes | memoryview:
    """Refuse a buffer that is too short, or holds more frames; the end of one that is a little longer is padding."""
    if len(buffer) < expected:
        raise ValueError(f"{expected} bytes of pixel data are promised, and there are {len(buffer)}")
    more = (len(buffer) - expected) * frames // expected
    # One byte more makes the length even, and padding is all alike.
    if more and len(buffer) > expected + 1 and (rest := bytes(buffer[expected:])).strip(rest[:1]):
        raise ValueError(f"{promised_frames(frames)}, and the pixel data hold {frames + more}")
    return buffer


def _native_buffer(dataset: Dataset, keyword: str, expected: int) -> bytes | memoryview:
    """Return the bytes of uncompressed pixels; refuse encapsulated ones, whose item tags would be read as pixels.

    Only encapsulated pixel data has no stated length (PS3.5 section A.4), and begins with the tag of an item.
    """
    element: Any = dataset.get_item(elements.tag_of(keyword))
    length = getattr(element, "length", None)
    buffer = _buffer(dataset, keyword)
    undefined = length == 0xFFFFFFFF or getattr(element, "is_undefined_length", False)
    # One byte more is the padding to an even length.
    if undefined or (len(buffer) > expected + 1 and bytes(buffer[:4]) == b"\xfe\xff\x00\xe0"):
        raise PixelDecodeError(
            f"The pixels are said to be uncompressed ({syntax_name(dataset)}), but {elements.name_of(keyword)} holds "
            "encapsulated fragments. Store the object again from its origin, with the transfer syntax it was made in."
        )
    return buffer


def _native(dataset: Dataset, layout: PixelLayout) -> NDArray[Any]:
    """View uncompressed pixels as (frames, rows, columns) or (frames, rows, columns, 3)."""
    little = NATIVE[layout.syntax]
    count = layout.frames * layout.rows * layout.columns * layout.samples
    subsampled = layout.photometric == "YBR_FULL_422" and layout.allocated > 1
    promised = count // 3 * 2 if subsampled else count
    expected = -(-promised * layout.allocated // 8)
    buffer = _native_buffer(dataset, "PixelData", expected)
    if subsampled and len(buffer) >= count * layout.allocated // 8:
        raise ValueError(
            "PhotometricInterpretation is YBR_FULL_422, and the pixel data is as long as for RGB or YBR_FULL"
        )
    buffer = _checked(buffer, expected, layout.frames)
    if not little and layout.allocated <= 8 and str(getattr(dataset.get_item("PixelData"), "VR", "")) == "OW":
        buffer = _swapped(buffer, expected)
    if layout.allocated == 1:
        bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little", count=count)
        return bits.reshape(layout.frames, *layout.shape)
    array = np.frombuffer(buffer, layout.dtype.newbyteorder("<" if little else ">"), count=promised)
    array = array.astype(layout.dtype, copy=False)
    if subsampled:
        array = _upsampled(array)
    elif layout.samples > 1 and layout.planar == 1:
        array = layout.interleave(array)
    return layout.extract(array.reshape(layout.frames, *layout.shape), layout.high)


def _swapped(buffer: bytes | memoryview, expected: int) -> bytes:
    """Swap the bytes of big endian words, so that bytes and bits are in order (PS3.5 section 8.1.1)."""
    words = bytes(buffer[: expected + expected % 2])
    # Some writers do not pad an odd number of bytes.
    words += b"\0" * (len(words) % 2)
    return np.frombuffer(words, np.uint16).byteswap().tobytes()


def _upsampled(array: NDArray[Any]) -> NDArray[Any]:
    """Repeat the colour that two neighbours share: Y1 Y2 Cb Cr to Y1 Cb Cr Y2 Cb Cr."""
    groups = array.reshape(-1, 4)
    return groups[:, [0, 2, 3, 1, 2, 3]].reshape(-1)


def _finished(dataset: Dataset, layout: PixelLayout, array: NDArray[Any], photometric: str) -> NDArray[Any]:
    """Convert colour to RGB."""
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        result = np.empty(array.shape, array.dtype)
        for index, frame in enumerate(array):
            result[index] = ybr_to_rgb(frame, layout.stored)
        return result
    if photometric == "PALETTE COLOR" and has_palette(dataset):
        first, table = palette(dataset, little=NATIVE.get(layout.syntax, True))
        array = apply_palette(array, first, table)
    return array
