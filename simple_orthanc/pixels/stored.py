"""Stored pixel values of an object, and the way from them to meaningful ones.

Two steps, kept apart. `stored` gives what the pixel data hold: decoded, stripped of bits that are not pixels, colour
as RGB. `rescale`, `result_dtype` and `apply` turn a frame of them into HU, Bq/ml or Gy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import NoPixelDataError, PixelDecodeError, VolumeError
from simple_orthanc.pixels.colour import PHOTOMETRIC, apply_palette, has_palette, palette, stored_samples, ybr_to_rgb
from simple_orthanc.pixels.decoders import Decoded, Layout, decode, frame_streams, supported
from simple_orthanc.pixels.processes import DecodingProcesses
from simple_orthanc.pixels.rescale import (
    ALLOCATED,
    FLOATS,
    Rescale,
    apply,
    check_units,
    is_label_map,
    rescale,
    result_dtype,
    volume_bytes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Plain",
    "Rescale",
    "apply",
    "background",
    "check_units",
    "padding",
    "plain",
    "rescale",
    "result_dtype",
    "stored",
    "strip",
    "volume_bytes",
]

_KEYWORDS = ("PixelData", *FLOATS)
_NATIVE = {
    "1.2.840.10008.1.2": True,
    "1.2.840.10008.1.2.1": True,
    "1.2.840.10008.1.2.1.99": True,
    "1.2.840.10008.1.2.2": False,
}


def stored(dataset: Dataset, processes: DecodingProcesses | None = None) -> NDArray[Any]:
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
        is converted and a palette applied, but not to label maps and nuclear medicine, whose stored values are more
        than colours. MONOCHROME1 is not inverted, since that is a matter of display. Single bits come as 0 and 1.

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
    >>> array = stored(dcmread(get_testdata_file("CT_small.dcm")))
    >>> array.shape, array.dtype.name, int(array[0, 0, 0])
    ((1, 128, 128), 'int16', 175)
    """
    keyword = next((name for name in _KEYWORDS if name in dataset), None)
    if keyword is None:
        kind = elements.text(dataset, "SOPClassUID")
        raise NoPixelDataError(
            f"Pixels were asked of {elements.text(dataset, 'SOPInstanceUID') or 'an object'}, which has none: it is "
            f"{UID(kind).name if kind else 'of no stated SOP class'}. Read it with get_headers(), or select images "
            "only, for example by Modality."
        )
    try:
        return _floats(dataset, keyword) if keyword in FLOATS else _integers(dataset, processes)
    except (PixelDecodeError, MemoryError) as error:
        if isinstance(error, MemoryError):
            raise
        raise PixelDecodeError(f"{elements.instance_of(dataset)}: {error.message}") from error
    except Exception as error:
        raise PixelDecodeError(
            f"The pixels of {elements.instance_of(dataset)} cannot be decoded ({_syntax_name(dataset)}): "
            f"{str(error) or type(error).__name__}. The object may be truncated or corrupt: "
            f"store it again, or leave it out with {_without(dataset)}."
        ) from error


def strip(dataset: Dataset) -> None:
    """Take the pixels out of an object, so that what is left is its header.

    Where they were floats, BitsStored and HighBit go with them: these count the bits of integers, floats do not have
    them (PS3.3 section C.7.6.24), and without the pixels nothing else would tell the one from the other.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> (image,) = make_series((1, 4, 4), dtype="float32", slope=None, intercept=None, BitsStored=32)
    >>> strip(image)
    >>> "FloatPixelData" in image, result_dtype([image], [rescale(image)]).name
    (False, 'float32')
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


@dataclass(frozen=True)
class Plain:
    """How the single, uncompressed, grey frames of many files lie in them, known from one of these files."""

    layout: Layout
    _deciding: tuple[object, ...]

    def fits(self, header: Dataset) -> bool:
        """Say whether a header says the same of its pixels."""
        return _deciding(header) == self._deciding

    def stored(self, content: memoryview) -> NDArray[Any]:
        """View pixel data as `stored` gives them, (1, rows, columns); what comes behind them is ignored.

        Raises
        ------
        ValueError
            The pixel data is too short.
        """
        layout = self.layout
        array = np.frombuffer(content, layout.dtype.newbyteorder("<"), count=layout.rows * layout.columns)
        return _extracted(array.reshape(1, *layout.shape).astype(layout.dtype, copy=False), layout, layout.high)


def plain(header: Dataset) -> Plain | None:
    """Say how the pixels of files like this one are read without a look at their headers; None: they cannot be.

    Parameters
    ----------
    header : Dataset
        With its ``file_meta``.
    """
    try:
        layout = _layout(header)
    except (ValueError, VolumeError):
        return None
    simple = layout.syntax in _PLAIN and layout.frames == layout.samples == 1 and layout.allocated in (8, 16, 32)
    grey = layout.photometric in ("MONOCHROME1", "MONOCHROME2")
    return Plain(layout, _deciding(header)) if simple and grey and "FloatPixelData" not in header else None


_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
# What `_layout` and `padding` read.
_DECIDING = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SegmentationType",
)


def _deciding(header: Dataset) -> tuple[object, ...]:
    return (_syntax(header), *(elements.raw(header, keyword) for keyword in _DECIDING))


def padding(header: Dataset, stored_frame: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Say which pixels of a frame are padding, outside of what the scanner measured.

    Parameters
    ----------
    header : Dataset
    stored_frame : ndarray
        Shape (rows, columns), stored values, before any rescaling.

    Returns
    -------
    ndarray of bool, or None
        True where the value is Pixel Padding Value (0028,0120), or lies between that and Pixel Padding Range Limit
        (0028,0121), whichever is larger. None where the header names no padding, or the frame is colour or a label map.

    Notes
    -----
    PS3.3 section C.7.5.1.1.2. Float pixels have elements of their own, (0028,0122) to (0028,0125).

    Examples
    --------
    >>> header = Dataset()
    >>> header.PixelRepresentation, header.BitsStored, header.PixelPaddingValue = 1, 16, 63536
    >>> padding(header, np.array([[-2000, 5]], dtype=np.int16)).tolist()
    [[True, False]]
    """
    if stored_frame.ndim != 2 or is_label_map(header):
        return None
    if stored_frame.dtype.kind == "f":
        prefix = "Double" if stored_frame.dtype.itemsize == 8 else ""
        # What floats can hold marks padding as well, NaN and infinities too.
        first, limit = (
            elements.number(header, f"{prefix}FloatPixelPadding{name}", finite=False)
            for name in ("Value", "RangeLimit")
        )
        if prefix == "" and first is not None:
            # The element has the pixels' precision, and comparing it as anything wider would miss them.
            first, limit = (None if value is None else float(np.float32(value)) for value in (first, limit))
    else:
        first, limit = (_stored_value(header, f"PixelPadding{name}") for name in ("Value", "RangeLimit"))
    if first is None:
        return None
    if np.isnan(first):
        return np.asarray(np.isnan(stored_frame))
    if limit is None or limit == first or np.isnan(limit):
        return np.asarray(stored_frame == first)
    low, high = min(first, limit), max(first, limit)
    return np.asarray((stored_frame >= low) & (stored_frame <= high))


def background(header: Dataset) -> int:
    """Give the stored value that a segmentation has where no segment is.

    Notes
    -----
    A label map names it as its Pixel Padding Value (0028,0120), DICOM supplement 243: there this marks what is no
    segment, and not, as elsewhere, what is no image.

    Examples
    --------
    >>> header = Dataset()
    >>> header.SegmentationType, header.BitsStored, header.PixelPaddingValue = "LABELMAP", 8, 255
    >>> background(header)
    255
    """
    return (_stored_value(header, "PixelPaddingValue") or 0) if is_label_map(header) else 0


def _stored_value(header: Dataset, keyword: str) -> int | None:
    """Read a stored value as pixels hold it: of BitsStored bits, with the sign of PixelRepresentation.

    Its VR, US or SS, is often the wrong one of the two, and its upper bits are often filled.
    """
    value = elements.number(header, keyword)
    if value is None:
        return None
    bits = int(elements.number(header, "BitsStored") or 16)
    whole = int(value) & ((1 << bits) - 1)
    if elements.number(header, "PixelRepresentation") == 1 and whole >> (bits - 1):
        return whole - (1 << bits)
    return whole


def _syntax(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    syntax = elements.text(meta, "TransferSyntaxUID") if meta is not None else ""
    if not syntax:
        raise PixelDecodeError(
            "The object does not say how its pixels are encoded: TransferSyntaxUID (0002,0010) is missing from its "
            "file_meta. Set dataset.file_meta.TransferSyntaxUID."
        )
    return syntax


def _syntax_name(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    return UID(elements.text(meta, "TransferSyntaxUID")).name if meta is not None else "no transfer syntax"


def _required(dataset: Dataset, keyword: str) -> int:
    value = elements.number(dataset, keyword)
    if value is None:
        raise ValueError(f"{elements.name_of(keyword)} is missing")
    return int(value)


def _layout(dataset: Dataset) -> Layout:
    syntax = _syntax(dataset)
    allocated, bits = _required(dataset, "BitsAllocated"), _required(dataset, "BitsStored")
    high = int(elements.number(dataset, "HighBit") or 0)
    photometric = elements.text(dataset, "PhotometricInterpretation")
    samples = stored_samples(dataset)
    if allocated not in ALLOCATED or not 1 <= bits <= allocated:
        raise ValueError(f"BitsAllocated {allocated} with BitsStored {bits} cannot be read")
    if photometric not in PHOTOMETRIC.get(samples, ()):
        raise ValueError(f"PhotometricInterpretation {photometric!r} with {samples} samples per pixel cannot be read")
    layout = Layout(
        rows=_required(dataset, "Rows"),
        columns=_required(dataset, "Columns"),
        frames=elements.frame_count(dataset),
        samples=samples,
        allocated=allocated,
        stored=bits,
        # Below BitsStored - 1 there is no room for the bits, so the value is an error.
        high=high if bits - 1 <= high < allocated else bits - 1,
        signed=_required(dataset, "PixelRepresentation") == 1,
        photometric=photometric,
        planar=int(elements.number(dataset, "PlanarConfiguration") or 0),
        syntax=syntax,
    )
    if layout.rows < 1 or layout.columns < 1:
        raise ValueError(f"the image has {layout.rows} rows and {layout.columns} columns")
    return layout


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
        _required(dataset, "Rows"),
        _required(dataset, "Columns"),
    )
    syntax = _syntax(dataset)
    if syntax not in _NATIVE:
        raise ValueError(f"{keyword} cannot be compressed")
    expected = int(np.prod(shape)) * size
    buffer = _checked(_native_buffer(dataset, keyword, expected), expected)
    dtype = np.dtype(f"{'<' if _NATIVE[syntax] else '>'}f{size}")
    return np.frombuffer(buffer, dtype, count=int(np.prod(shape))).reshape(shape).astype(f"f{size}", copy=False)


def _integers(dataset: Dataset, processes: DecodingProcesses | None) -> NDArray[Any]:
    layout = _layout(dataset)
    if layout.syntax in _NATIVE:
        array = _native(dataset, layout)
        return _finished(dataset, layout, array, layout.photometric)
    if not supported(layout.syntax):
        raise PixelDecodeError(
            f"The pixels are encoded as {UID(layout.syntax).name} ({layout.syntax}), for which there is no decoder "
            "here. Ask the server to transcode the object to Explicit VR Little Endian."
        )
    offsets, lengths = (
        bytes(_buffer(dataset, keyword)) if keyword in dataset else b""
        for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    )
    streams = frame_streams(bytes(_buffer(dataset, "PixelData")), layout.frames, (offsets, lengths))
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


def _decoded_frame(dataset: Dataset, layout: Layout, decoded: Decoded) -> NDArray[Any]:
    array = decoded.array[np.newaxis]
    if decoded.high is not None:
        array = _extracted(array, layout, decoded.high)
    return _finished(dataset, layout, array, decoded.photometric)


def _checked(buffer: bytes | memoryview, expected: int) -> bytes | memoryview:
    """Refuse a buffer that is too short; one that is longer is padded, and the header says what counts."""
    if len(buffer) < expected:
        raise ValueError(f"{expected} bytes of pixel data are promised, and there are {len(buffer)}")
    return buffer


def _native_buffer(dataset: Dataset, keyword: str, expected: int) -> bytes | memoryview:
    """Give the bytes of uncompressed pixels; refuse items of encapsulated ones, whose tags would be taken for pixels.

    Only encapsulated pixel data has no stated length (PS3.5 section A.4), and begins with the tag of an item.
    """
    element: Any = dataset.get_item(elements.tag_of(keyword))
    length = getattr(element, "length", None)
    buffer = _buffer(dataset, keyword)
    undefined = length == 0xFFFFFFFF or getattr(element, "is_undefined_length", False)
    # One byte more is the padding to an even length.
    if undefined or (len(buffer) > expected + 1 and bytes(buffer[:4]) == b"\xfe\xff\x00\xe0"):
        raise PixelDecodeError(
            f"The pixels are said to be uncompressed ({_syntax_name(dataset)}), but {elements.name_of(keyword)} holds "
            "encapsulated fragments. Store the object again from its origin, with the transfer syntax it was made in."
        )
    return buffer


def _native(dataset: Dataset, layout: Layout) -> NDArray[Any]:
    """View uncompressed pixels as (frames, rows, columns) or (frames, rows, columns, 3)."""
    little = _NATIVE[layout.syntax]
    count = layout.frames * layout.rows * layout.columns * layout.samples
    subsampled = layout.photometric == "YBR_FULL_422" and layout.allocated > 1
    promised = count // 3 * 2 if subsampled else count
    expected = -(-promised * layout.allocated // 8)
    buffer = _checked(_native_buffer(dataset, "PixelData", expected), expected)
    if subsampled and len(buffer) >= count * layout.allocated // 8:
        raise ValueError(
            "PhotometricInterpretation is YBR_FULL_422, and the pixel data is as long as for RGB or YBR_FULL"
        )
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
        planes = array.reshape(layout.frames, layout.samples, layout.rows, layout.columns)
        array = np.ascontiguousarray(np.moveaxis(planes, 1, -1))
    return _extracted(array.reshape(layout.frames, *layout.shape), layout, layout.high)


def _swapped(buffer: bytes | memoryview, expected: int) -> bytes:
    """Put bytes and bits that were written as big endian words into their order (PS3.5 section 8.1.1)."""
    words = bytes(buffer[: expected + expected % 2])
    # A last odd byte that a writer forgot to pad is no loss.
    words += b"\0" * (len(words) % 2)
    return np.frombuffer(words, np.uint16).byteswap().tobytes()


def _upsampled(array: NDArray[Any]) -> NDArray[Any]:
    """Repeat the colour that two neighbours share: Y1 Y2 Cb Cr becomes Y1 Cb Cr Y2 Cb Cr."""
    groups = array.reshape(-1, 4)
    return groups[:, [0, 2, 3, 1, 2, 3]].reshape(-1)


def _extracted(array: NDArray[Any], layout: Layout, high: int) -> NDArray[Any]:
    """Take the stored bits out of their words, and extend the sign."""
    if layout.stored == layout.allocated or layout.allocated == 1:
        return array
    # Most writers leave the other bits as they have to become, and looking costs less than a copy.
    least, greatest = layout.range
    if high == layout.stored - 1 and array.max() <= greatest and (not layout.signed or array.min() >= least):
        return array
    result: NDArray[Any]
    if layout.signed:
        result = (array << (layout.allocated - 1 - high)) >> (layout.allocated - layout.stored)
    else:
        below = high + 1 - layout.stored
        result = (array >> below if below else array) & layout.dtype.type((1 << layout.stored) - 1)
    return result


def _finished(dataset: Dataset, layout: Layout, array: NDArray[Any], photometric: str) -> NDArray[Any]:
    """Convert colour to RGB."""
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        result = np.empty(array.shape, array.dtype)
        for index, frame in enumerate(array):
            result[index] = ybr_to_rgb(frame, layout.stored)
        return result
    if photometric == "PALETTE COLOR" and has_palette(dataset):
        first, table = palette(dataset, little=_NATIVE.get(layout.syntax, True))
        array = apply_palette(array, first, table)
    return array
