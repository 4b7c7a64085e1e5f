"""Compressed frames: from a codestream to samples, by pydicom's decoders.

=============================================  =====================================
Transfer syntax                                plugin (package)
=============================================  =====================================
RLE Lossless                                   pydicom's (pylibjpeg, pylibjpeg-rle)
JPEG Baseline, JPEG Extended of 8 bits         pydicom's (pillow)
JPEG Extended of 12 bits, JPEG Lossless        GDCM (python-gdcm)
JPEG-LS, lossless and near-lossless            CharLS (pyjpegls)
JPEG 2000, High-Throughput JPEG 2000           OpenJPEG (pylibjpeg-openjpeg)
Deflated Image Frame Compression               zlib, since pydicom has no decoder
=============================================  =====================================

pydicom's registered decoders stay as they are. Each transfer syntax has a `Decoder` here with one plugin, `run_plugin`:
the registered ones would fall back from one package to another that may return other values, and log the traceback of
every damaged frame. GDCM, which can end its process, CharLS and OpenJPEG, which hold the interpreter, run in helper
processes where a read is long enough to pay for them (`processes`).

Before a frame is decoded, the header of its codestream is compared with that of the object. Colour is not converted
here, and the markers that would make a package convert it are removed: `Decoded` holds the colour space of the samples.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders import pillow, pylibjpeg
from pydicom.pixels.decoders.base import Decoder, DecodeRunner
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from simple_orthanc.errors import PixelDecodeError
from simple_orthanc.files.inflating import expansion_problem
from simple_orthanc.pixels import codecs
from simple_orthanc.pixels.jpeg2000_streams import jpeg2000_header
from simple_orthanc.pixels.jpeg_streams import (
    JpegHeader,
    checked_stream,
    has_colour_planes,
    jpeg_header,
    without_application_data,
)
from simple_orthanc.pixels.layout import PixelLayout
from simple_orthanc.pixels.processes import DecodingProcesses

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEFLATED = UID("1.2.840.10008.1.2.8.1")
_LOSSLESS = frozenset(
    (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless, HTJ2KLosslessRPCL)
)
# A frame may be this much smaller than `limits.expanded_bytes` before it must have grown by `limits.expansion`.
_COPIES = 8
_END_OF_IMAGE = b"\xff\xd9"
_PLUGIN = "simple_orthanc"
# What pydicom is given to decode. The codestream goes to the plugin by itself, since pydicom would copy it three times,
# and warn in any thread about markers that contradict the header.
_PLACEHOLDER = encapsulate([b"\0\0"], has_bot=False)


@dataclass(frozen=True)
class Decoded:
    """One decoded frame.

    Attributes
    ----------
    array : ndarray
        Shape (rows, columns) or (rows, columns, samples), of the layout's type.
    photometric : str
        The colour space that these samples are in.
    high : int or None
        HighBit, if the array still holds whole words, as native pixel data does, of which only the stored bits count.
    """

    array: NDArray[Any]
    photometric: str
    high: int | None = None


@dataclass(frozen=True)
class _Checked:
    """A codestream whose own header agrees with that of the object, ready to be decoded.

    Attributes
    ----------
    stream : bytes
    precision : int
        Bits of each sample.
    photometric : str
        The colour space that decoded samples are in.
    codec : str
        A codec of `codecs`, or empty for a plugin of pydicom.
    arguments : tuple
        What the codec takes beside the stream.
    has_sign : bool
        Whether the highest bit of the precision is the sign where the header promises one. Other streams know no sign.
    is_signed : bool
        Whether the codestream itself has signed samples.
    """

    stream: bytes
    precision: int
    photometric: str
    codec: str = ""
    arguments: tuple[Any, ...] = ()
    has_sign: bool = True
    is_signed: bool = False


def supported(syntax: str) -> bool:
    """Check whether there is a decoder for an encapsulated transfer syntax."""
    return syntax == _DEFLATED or syntax in _FAMILIES


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
    # Decoders hold several copies of a frame.
    problem = expansion_problem(_COPIES * layout.frame_bytes, len(stream), is_file=False)
    if problem is not None:
        raise ValueError(f"the frame would take {layout.frame_bytes:,} bytes, and {problem}")
    if layout.syntax == _DEFLATED:
        return _inflate(stream, layout)
    package, check = _FAMILIES[layout.syntax]
    checked = check(stream, layout)
    if checked.precision > layout.allocated:
        raise ValueError(f"the stream has {checked.precision} bits, and BitsAllocated is {layout.allocated}")
    try:
        array = _decode_array(checked, layout, processes)
    except ImportError as error:
        raise PixelDecodeError(
            f"The pixels are compressed as {UID(layout.syntax).name} ({layout.syntax}), and its decoder is not "
            f"installed. Run: pip install {package}"
        ) from error
    return _limited(array, layout, checked)


def _decode_array(checked: _Checked, layout: PixelLayout, processes: DecodingProcesses | None) -> NDArray[Any]:
    """Decode a frame by pydicom, into an array of the layout's shape and type."""
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "number_of_frames": 1,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        # No colour is converted.
        "photometric_interpretation": "MONOCHROME2" if layout.samples == 1 else "RGB",
        "planar_configuration": 0,
        "pixel_representation": int(layout.signed),
        # These two are for `run_plugin`.
        "checked": checked,
        "run_codec": partial(_run_codec, checked, layout, processes),
    }
    try:
        buffer, facts = _decoder(layout.syntax).as_buffer(_PLACEHOLDER, index=0, validate=False, **options)
    except _PluginError as failure:
        raise failure.error from None
    # pydicom's own arrays would be one copy more of each frame.
    size = int(facts["bits_allocated"]) // 8
    array: NDArray[Any] = np.frombuffer(buffer, f"<u{size}").astype(f"u{size}", copy=False)
    if facts.get("planar_configuration") == 1:
        array = layout.interleave(array)
    return _with_sign(array.reshape(layout.shape), layout.dtype, checked)


def _with_sign(array: NDArray[Any], dtype: np.dtype[Any], checked: _Checked) -> NDArray[Any]:
    """Return unsigned samples as the type that the header names, with their sign."""
    if checked.is_signed:
        # The samples fill their words with their sign; an unsigned header means the bits of its precision alone.
        array = array.view(f"i{array.itemsize}").astype(dtype, copy=False)
        mask = (1 << checked.precision) - 1
        return array & dtype.type(mask) if dtype.kind == "u" and checked.precision < 8 * dtype.itemsize else array
    array = array.view(dtype) if array.itemsize == dtype.itemsize else array.astype(dtype)
    shift = 8 * dtype.itemsize - checked.precision
    return (array << shift) >> shift if checked.has_sign and dtype.kind == "i" and shift > 0 else array


def _run_codec(checked: _Checked, layout: PixelLayout, processes: DecodingProcesses | None) -> bytes | bytearray:
    if processes is None:
        return codecs.run(checked.codec, checked.stream, checked.arguments)
    samples = layout.frames * layout.rows * layout.columns * layout.samples
    return processes.run(checked.codec, checked.stream, checked.arguments, samples)


@lru_cache
def _decoder(syntax: str) -> Decoder:
    decoder = Decoder(UID(syntax))
    decoder.add_plugin(_PLUGIN, (__name__, run_plugin.__name__))
    return decoder


# What pydicom asks of the module of a plugin.
DECODER_DEPENDENCIES: dict[UID, tuple[str, ...]] = {}


def is_available(uid: str) -> bool:
    """Check whether the plugin can decode a transfer syntax; a missing package is reported at the first frame."""
    return uid in _FAMILIES


class _PluginError(BaseException):
    """Carries the error of a plugin past pydicom, which logs each `Exception` with its traceback."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def run_plugin(src: bytes, runner: DecodeRunner) -> bytes | bytearray:
    """Decode a frame as a plugin of pydicom.

    Parameters
    ----------
    src : bytes
        Not used: the codestream is in an option.
    runner : DecodeRunner
        With the options that `_decode_array` sets. Those that describe the decoded samples are changed.

    Returns
    -------
    bytes or bytearray
    """
    checked: _Checked = runner.get_option("checked")
    size = next(size for size in (8, 16, 32, 64) if checked.precision <= size)
    try:
        buffer: bytes | bytearray = runner.get_option("run_codec")() if checked.codec else _run_pydicom(checked, runner)
        expected = int(runner.frame_length("pixels"))
        if len(buffer) * 8 != expected * size:
            raise ValueError(f"the decoder returned {len(buffer) * 8 // size} samples instead of {expected}")
    except Exception as error:
        raise _PluginError(error) from error
    runner.set_option("bits_allocated", size)
    if checked.codec == "charls":
        runner.set_option("planar_configuration", int(has_colour_planes(checked.stream)))
    return buffer


def _run_pydicom(checked: _Checked, runner: DecodeRunner) -> bytes | bytearray:
    syntax = runner.transfer_syntax
    plugin = pylibjpeg if syntax == RLELossless else pillow
    if not plugin.is_available(syntax):
        raise ImportError(f"{plugin.DECODER_DEPENDENCIES[syntax]} is needed")
    try:
        samples: bytes | bytearray = plugin._decode_frame(checked.stream, runner)
    except BaseException as error:
        # A panic in the language of pylibjpeg-rle arrives as what is no Exception.
        if type(error).__name__ == "PanicException":
            raise ValueError(f"the run lengths are corrupt ({error})") from error
        raise
    return samples


def _limited(array: NDArray[Any], layout: PixelLayout, checked: _Checked) -> Decoded:
    """Decide what becomes of samples with more bits than the header stores.

    Without loss the upper bits are those of native pixel data, and are no part of the value (PS3.5 section 8.1.1). With
    loss a value that overshot ran over into them, so that it is clipped: without these bits it would be a wrong one.
    """
    precision, photometric = checked.precision, checked.photometric
    if layout.syntax == RLELossless:
        return Decoded(array, photometric, layout.high)
    if layout.syntax in _LOSSLESS:
        return Decoded(array, photometric, layout.high if precision > layout.high else layout.stored - 1)
    if layout.signed and not checked.has_sign:
        # These streams know no sign, so that it is where the header has it.
        return Decoded(array, photometric, layout.stored - 1)
    if precision > layout.stored:
        array = np.clip(array, *layout.range)
    return Decoded(array, photometric)


def _inflate(stream: bytes, layout: PixelLayout) -> Decoded:
    """Inflate a frame, and no more of it than the header promises."""
    count = layout.rows * layout.columns * layout.samples
    size = -(-count * layout.allocated // 8)
    buffer = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream, size)
    if len(buffer) < size:
        raise ValueError(f"the frame inflates to {len(buffer)} bytes instead of {size}")
    if layout.allocated == 1:
        bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little", count=count)
        return Decoded(bits.reshape(layout.shape), layout.photometric)
    array = np.frombuffer(buffer, layout.dtype.newbyteorder("<")).astype(layout.dtype, copy=False)
    if layout.planar == 1 and layout.samples > 1:
        array = layout.interleave(array)
    return Decoded(array.reshape(layout.shape), layout.photometric, layout.high)


def _check_rle(stream: bytes, layout: PixelLayout) -> _Checked:
    return _Checked(stream, layout.allocated, layout.photometric)


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


def _check_jpeg(stream: bytes, layout: PixelLayout) -> _Checked:
    header = _checked_jpeg_header(stream, layout)
    if header.precision != 8:
        if layout.syntax == JPEGBaseline8Bit:
            raise ValueError(f"the stream has {header.precision} bits, and JPEG Baseline has 8")
        return _check_jpeg_for_gdcm(stream, layout)
    photometric = header.colour(layout.photometric)
    # Without markers Pillow leaves YCbCr as it is; that samples are RGB it must be told.
    stream = without_application_data(stream, is_rgb=layout.samples == 3 and photometric == "RGB")
    return _Checked(stream, header.precision, photometric, has_sign=False)


def _check_jpeg_for_gdcm(stream: bytes, layout: PixelLayout) -> _Checked:
    header = _checked_jpeg_header(stream, layout)
    # At a malformed header GDCM throws an exception that nobody catches, which ends the process.
    stream = checked_stream(stream, lossless=layout.syntax != JPEGExtended12Bit)
    arguments = (layout.rows, layout.columns, layout.samples, header.precision, int(layout.signed), layout.syntax)
    # Without loss there is no reason for YCbCr, and writers put a JFIF marker even before RGB; so the header decides.
    photometric = header.colour(layout.photometric) if layout.syntax == JPEGExtended12Bit else layout.photometric
    return _Checked(stream, header.precision, photometric, "gdcm", arguments, has_sign=False)


def _check_jpeg_ls(stream: bytes, layout: PixelLayout) -> _Checked:
    header = _checked_jpeg_header(stream, layout)
    if header.sampling != {(1, 1)}:
        raise ValueError("the components of the stream are subsampled, which their decoder would not undo")
    stream = without_application_data(stream)
    # Without an end CharLS may read on for ever.
    if not stream.rstrip(b"\0").endswith(_END_OF_IMAGE):
        stream += _END_OF_IMAGE
    return _Checked(stream, header.precision, layout.photometric, "charls")


def _check_jpeg_2000(stream: bytes, layout: PixelLayout) -> _Checked:
    header = jpeg2000_header(stream)
    coded = (header.rows, header.columns, header.components)
    promised = (layout.rows, layout.columns, layout.samples)
    if coded != promised:
        raise ValueError(f"the stream has rows, columns, components {coded}, the header {promised}")
    # The decoder undoes the multiple component transformation, so that these are RGB already.
    photometric = "RGB" if layout.photometric in ("YBR_ICT", "YBR_RCT") else layout.photometric
    # A file format around the codestream would make it convert colour too.
    codestream = stream[header.start :]
    return _Checked(codestream, header.precision, photometric, "openjpeg", is_signed=header.is_signed)


_Check = Callable[[bytes, PixelLayout], _Checked]
# By transfer syntax: the packages that decode it, and the check of its codestreams.
_FAMILIES: dict[str, tuple[str, _Check]] = {
    RLELossless: ("pylibjpeg pylibjpeg-rle", _check_rle),
    JPEGBaseline8Bit: ("pillow", _check_jpeg),
    JPEGExtended12Bit: ("pillow python-gdcm", _check_jpeg),
    JPEGLossless: ("python-gdcm", _check_jpeg_for_gdcm),
    JPEGLosslessSV1: ("python-gdcm", _check_jpeg_for_gdcm),
    JPEGLSLossless: ("pyjpegls", _check_jpeg_ls),
    JPEGLSNearLossless: ("pyjpegls", _check_jpeg_ls),
    **dict.fromkeys(
        (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), ("pylibjpeg-openjpeg", _check_jpeg_2000)
    ),
}
