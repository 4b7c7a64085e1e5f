"""The decoders that hold the interpreter, OpenJPEG, CharLS and GDCM: from a codestream to samples.

`processes` calls `run` here, or has `answer` called in a helper process, which loads this file by itself. So it imports
the standard library alone, and a decoder when one is needed: pydicom's plugins for the same packages would take half a
second more in each helper.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

# What libjpeg prints of a stream whose end is missing.
_CUT_OFF = b"premature end of data segment"
# What to import before a helper is ready for its first codestream.
MODULES = {"openjpeg": "openjpeg.utils", "charls": "jpeg_ls", "gdcm": "gdcm"}


def openjpeg(stream: bytes) -> bytes | bytearray:
    """Decode JPEG 2000, High-Throughput or not; samples are interleaved."""
    from openjpeg.utils import decode_pixel_data

    samples: Any = decode_pixel_data(stream, version=2)
    decoded: bytearray = samples
    return decoded


def charls(stream: bytes) -> bytes | bytearray:
    """Decode JPEG-LS; samples are as the stream interleaves them."""
    import jpeg_ls  # type: ignore[import-untyped]

    samples: bytearray = jpeg_ls.decode_pixel_data(stream)[0]
    return samples


class _StandardError:
    """The C library's stream ``stderr``, led into memory for a while; what Python prints does not go through it.

    Of glibc alone, where it is a variable; elsewhere nothing is changed, and nothing is read.
    """

    def __init__(self) -> None:
        import ctypes

        self._lock = threading.Lock()
        self._library: Any = None
        self._text, self._size = ctypes.c_void_p(), ctypes.c_size_t()
        with suppress(OSError, TypeError, ValueError, AttributeError):
            library = ctypes.CDLL(None)
            library.gnu_get_libc_version  # noqa: B018 - raises AttributeError where it is another library
            library.open_memstream.restype = ctypes.c_void_p
            library.open_memstream.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
            library.fclose.argtypes = library.free.argtypes = (ctypes.c_void_p,)
            self._variable = ctypes.c_void_p.in_dll(library, "stderr")
            self._library = library

    def read_while(self, function: Callable[[], Any]) -> tuple[Any, bytes]:
        """Call a function, and return its result and what C code has printed meanwhile; one call at a time."""
        import ctypes

        if self._library is None:
            return function(), b""
        with self._lock:
            stream = self._library.open_memstream(ctypes.byref(self._text), ctypes.byref(self._size))
            original, self._variable.value = self._variable.value, stream
            try:
                result = function()
            finally:
                self._variable.value = original
                printed = self._taken(stream)
        return result, printed

    def _taken(self, stream: int | None) -> bytes:
        """Close a stream, and return what was printed to it."""
        import ctypes

        if not stream:
            return b""
        self._library.fclose(stream)
        printed = ctypes.string_at(self._text.value, self._size.value) if self._text.value else b""
        self._library.free(self._text)
        return printed


@lru_cache(maxsize=1)
def _standard_error() -> _StandardError:
    return _StandardError()


def gdcm(
    stream: bytes, rows: int, columns: int, samples: int, precision: int, signed: int, syntax: str
) -> bytes | bytearray:
    """Decode JPEG, lossless or of 12 bits, whose markers are sound.

    At a malformed header GDCM throws an exception that nobody catches, which ends the process.
    """
    import gdcm as package  # type: ignore[import-untyped]

    # GDCM reports on the standard error stream each codec it tries first.
    package.Trace.WarningOff()
    package.Trace.ErrorOff()
    fragment = package.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = package.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = package.DataElement(package.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = package.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    kinds = package.PhotometricInterpretation
    image.SetPhotometricInterpretation(kinds(kinds.RGB if samples == 3 else kinds.MONOCHROME2))
    image.SetTransferSyntax(package.TransferSyntax(package.TransferSyntax.GetTSType(syntax)))
    allocated = 8 if precision <= 8 else 16
    image.SetPixelFormat(package.PixelFormat(samples, allocated, precision, precision - 1, signed))
    # libjpeg inside GDCM prints what is wrong with a stream, and fills what is missing of it with anything.
    text, printed = _standard_error().read_while(image.GetBuffer)
    if text is None:
        raise ValueError("GDCM cannot decode the stream")
    if _CUT_OFF in printed:
        raise ValueError("the stream ends before its pixels do")
    # GDCM's wrapper returns the bytes as a string.
    decoded: bytes = text.encode("utf-8", "surrogateescape")
    return decoded


_CODECS: dict[str, Callable[..., bytes | bytearray]] = {"openjpeg": openjpeg, "charls": charls, "gdcm": gdcm}


def run(codec: str, stream: bytes, arguments: Sequence[Any]) -> bytes | bytearray:
    """Decode a codestream in this process.

    Parameters
    ----------
    codec : {"openjpeg", "charls", "gdcm"}
    stream : bytes
    arguments : sequence
        What the codec takes beside the stream.

    Raises
    ------
    Exception
        Whatever the decoder raises at a corrupt stream; ImportError where it is not installed.
    """
    return _CODECS[codec](stream, *arguments)


def answer(head: Sequence[Any], body: bytes) -> tuple[None, bytes | bytearray]:
    """Decode a codestream in a helper process: the head holds the codec and its arguments."""
    codec, *arguments = head
    return None, run(codec, body, arguments)
