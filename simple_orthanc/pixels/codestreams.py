"""Codestreams to samples by the packages that hold the interpreter while they decode: here, or in a helper process.

`decoders` calls the functions of `CODECS`, and `decoding_processes` starts this very file as a script that calls them
for it. So it imports the standard library alone, and a decoder when one is needed: a helper is there in a fraction of
the time that the package would take, and decodes by the same lines.

A message is a head, in JSON, and a body: the codec with its arguments and the codestream; or the facts that the codec
found and the samples; or the type and the text of an error.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import struct
import sys
from collections.abc import Callable, Sequence
from io import FileIO
from typing import Any

_LENGTHS = struct.Struct("<QQ")


def openjpeg(stream: bytes, rows: int, columns: int, samples: int) -> tuple[bytes | bytearray, tuple[int, ...]]:
    """Decode JPEG 2000, High-Throughput or not.

    Parameters
    ----------
    stream : bytes
    rows, columns, samples : int
        What the stream must hold.

    Returns
    -------
    (bytes-like, (int, int))
        The samples, interleaved, and as facts the precision and whether they have a sign.
    """
    from openjpeg.utils import decode_pixel_data, get_parameters

    information = get_parameters(stream)
    found = (information["rows"], information["columns"], information["samples_per_pixel"])
    if found != (rows, columns, samples):
        raise ValueError(f"the stream has rows, columns, components {found}, the header {(rows, columns, samples)}")
    buffer: Any = decode_pixel_data(stream, version=2)
    return buffer, (int(information["precision"]), int(information["is_signed"]))


def charls(stream: bytes) -> tuple[bytes | bytearray, tuple[int, ...]]:
    """Decode JPEG-LS; the fact is the interleave mode, 0 for one plane after the other."""
    import jpeg_ls  # type: ignore[import-untyped]

    buffer, information = jpeg_ls.decode_pixel_data(stream)
    return buffer, (int(information["interleave_mode"]),)


def gdcm(
    stream: bytes, rows: int, columns: int, samples: int, precision: int, signed: int, syntax: str
) -> tuple[bytes | bytearray, tuple[int, ...]]:
    """Decode JPEG, lossless or of 12 bits, whose markers are sound; there are no facts.

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
    text = image.GetBuffer()
    if text is None:
        raise ValueError("GDCM cannot decode the stream")
    # GDCM's wrapper takes the bytes for text.
    return text.encode("utf-8", "surrogateescape"), ()


CODECS: dict[str, Callable[..., tuple[bytes | bytearray, tuple[int, ...]]]] = {
    "openjpeg": openjpeg,
    "charls": charls,
    "gdcm": gdcm,
}
# What loading a codec means, for a helper that is to be ready for its first codestream.
_MODULES = {"openjpeg": "openjpeg.utils", "charls": "jpeg_ls", "gdcm": "gdcm"}


def run(codec: str, stream: bytes, arguments: Sequence[Any]) -> tuple[bytes | bytearray, tuple[int, ...]]:
    """Decode a codestream in this process.

    Parameters
    ----------
    codec : str
        A key of `CODECS`.
    stream : bytes
    arguments : sequence
        What the codec takes beside the stream.

    Raises
    ------
    Exception
        Whatever the decoder raises at a corrupt stream; ImportError where it is not installed.
    """
    return CODECS[codec](stream, *arguments)


def send(pipe: FileIO, head: Any, body: bytes | bytearray) -> None:
    """Write a message to a pipe; BrokenPipeError when nobody reads it."""
    text = json.dumps(head).encode()
    for part in (_LENGTHS.pack(len(text), len(body)) + text, body):
        view = memoryview(part)
        while view:
            view = view[pipe.write(view) :]


def receive(pipe: FileIO) -> tuple[Any, bytearray]:
    """Read a message from a pipe; EOFError when its other end is closed."""
    length, size = _LENGTHS.unpack(_exactly(pipe, _LENGTHS.size))
    return json.loads(_exactly(pipe, length)), _exactly(pipe, size)


def _exactly(pipe: FileIO, size: int) -> bytearray:
    content = bytearray(size)
    view = memoryview(content)
    while view:
        count = pipe.readinto(view)
        if not count:
            raise EOFError
        view = view[count:]
    return content


def serve(incoming: FileIO, outgoing: FileIO, codec: str) -> None:
    """Say that the codec is loaded, then answer each message until the other end closes the pipe."""
    # Where the package is missing, each codestream is answered with that.
    with contextlib.suppress(ImportError):
        importlib.import_module(_MODULES[codec])
    with contextlib.suppress(EOFError, BrokenPipeError):
        send(outgoing, "ready", b"")
        while True:
            (name, *arguments), stream = receive(incoming)
            samples: bytes | bytearray = b""
            try:
                samples, facts = run(name, bytes(stream), arguments)
                head: list[Any] = [None, *facts]
            except Exception as error:
                head = [type(error).__name__, str(error)]
            send(outgoing, head, samples)


def main(codec: str, path: list[str]) -> None:
    """Be a helper process: serve the standard streams, with the modules of who started it."""
    # The standard library of this process comes first, so that no file in somebody's folder stands in for it.
    sys.path += [entry for entry in path if entry not in sys.path]
    # Decoders print, and what they print is no answer.
    outgoing = os.dup(1)
    os.dup2(2, 1)
    serve(FileIO(0), FileIO(outgoing, "w"), codec)
    # Nothing is left to be done, and taking down the interpreter in good order takes time.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
