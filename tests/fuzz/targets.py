"""What is fuzzed: functions that take any bytes, and the inputs that they begin from."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames

from simple_orthanc import Folder
from simple_orthanc.dicomweb.datasets import to_dataset
from simple_orthanc.dicomweb.multipart import read_parts
from simple_orthanc.errors import OrthancError
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_header, read_image
from simple_orthanc.files.streaming import nesting_refusal
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.pixels.stored import stored_values
from simple_orthanc.volume.choosing import choose_volume, plan_stacks, summarize
from tests.bombs import deflated_file, deflated_of, identifiers, nested_file, zipped

_CODED = (
    *("JPEG2000.dcm", "JPGExtended.dcm", "SC_rgb_jpeg_gdcm.dcm", "MR_small_RLE.dcm", "SC_rgb_rle.dcm"),
    *("MR_small_jpeg_ls_lossless.dcm", "JPEGLSNearLossless_08.dcm", "693_J2KI.dcm", "SC_rgb_jpeg_dcmtk.dcm"),
)
_HEADERS = ("CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "nested_priv_SQ.dcm", "image_dfl.dcm")


@dataclass(frozen=True)
class Target:
    """A function that takes any bytes.

    Attributes
    ----------
    run : callable
        Raises nothing but errors of the library.
    seeds : callable
        Returns inputs that it takes.
    """

    run: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]


def file_named(name: str) -> bytes:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    return Path(path).read_bytes()


def phantoms() -> list[bytes]:
    return [as_bytes(dataset) for dataset in make_series((2, 8, 8))]


def read_files_header(content: bytes) -> None:
    """Read a header in parts, and plan a volume of it."""
    stream = io.BytesIO(content)

    def read(start: int, stop: int) -> tuple[bytes, bool]:
        stream.seek(start)
        return stream.read(stop - start), stop >= len(content)

    header = read_header(read, 1024, Scanner())
    nesting_refusal(content, content[:65536])
    stacks = plan_stacks([header])
    for stack in stacks:
        summarize(stack)
    choose_volume(stacks)


def read_pixels(content: bytes) -> None:
    stored_values(read_image(content, Scanner()))


def codestream(content: bytes) -> None:
    """Decode a codestream: the number of a file that is coded alike, and the stream in place of its own."""
    if not content:
        return
    name = _CODED[content[0] % len(_CODED)]
    dataset = pydicom.dcmread(io.BytesIO(file_named(name)))
    dataset.PixelData = encapsulate([content[1:]], has_bot=False)
    dataset["PixelData"].is_undefined_length = True
    dataset.NumberOfFrames = 1
    stored_values(dataset)


def codestreams() -> list[bytes]:
    streams = []
    for number, name in enumerate(_CODED):
        dataset = pydicom.dcmread(io.BytesIO(file_named(name)))
        streams.append(bytes([number]) + next(generate_frames(dataset.PixelData, number_of_frames=1)))
    return streams


def multipart(content: bytes) -> None:
    """Read a message of several parts, in chunks."""
    chunks = [content[start : start + 97] for start in range(0, len(content), 97)]
    for part in read_parts(chunks, 'multipart/related; type="application/dicom"; boundary=b', "fuzzed"):
        len(part.content)


def messages() -> list[bytes]:
    part = b"--b\r\nContent-Type: application/dicom\r\nContent-Length: 20\r\n\r\n" + bytes(20) + b"\r\n"
    return [part * 2 + b"--b--\r\n", part.replace(b"Content-Length: 20\r\n", b"") * 3 + b"--b--"]


def model(content: bytes) -> None:
    """Read an item of the DICOM JSON model."""
    with suppress(ValueError, RecursionError):
        item = json.loads(content)
        if isinstance(item, dict):
            to_dataset(item)


def models() -> list[bytes]:
    return [pydicom.dcmread(io.BytesIO(file_named(name))).to_json().encode() for name in ("rtplan.dcm", "CT_small.dcm")]


def folder(content: bytes) -> None:
    """Open a folder with one file: look at it, and read what it holds in all ways."""
    with tempfile.TemporaryDirectory() as name:
        Path(name, "file").write_bytes(content)
        session = Folder(name, cache=False)
        for verb in (session.table, session.volume_table, session.get_headers, session.get_instances):
            with suppress(OrthancError):
                verb()
        with suppress(OrthancError):
            for _, volume in session.get_volumes().items():
                len(volume.array)


def listing(content: bytes) -> None:
    """Open a DICOMDIR."""
    with tempfile.TemporaryDirectory() as name:
        Path(name, "DICOMDIR").write_bytes(content)
        Path(name, "a.dcm").write_bytes(phantoms()[0])
        Folder(Path(name, "DICOMDIR"), cache=False).table()


def zips() -> list[bytes]:
    one, other = phantoms()
    return [
        zipped([("a", one, len(one), 0), ("b", other, len(other), 0)]),
        zipped([("a", deflated_of(one, 1 << 20), len(one) + (1 << 20), 8)]),
    ]


def odd_files() -> list[bytes]:
    return [deflated_file(deflated_of(identifiers(), 1 << 20)), nested_file(20), nested_file(20, stated=True)]


TARGETS = {
    "header": Target(read_files_header, lambda: [*map(file_named, _HEADERS), *phantoms(), *odd_files()]),
    "pixels": Target(read_pixels, lambda: [*map(file_named, _CODED[:4]), *phantoms()]),
    "codestream": Target(codestream, codestreams),
    "multipart": Target(multipart, messages),
    "json": Target(model, models),
    "dicomdir": Target(listing, lambda: [file_named("DICOMDIR")]),
    "zip": Target(folder, zips),
    "folder": Target(folder, lambda: [*phantoms(), *odd_files(), file_named("rtdose_1frame.dcm")]),
}


def outcome(target: Target, content: bytes) -> Exception | None:
    """Return the error that a target should not have raised; None if it did as it should."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.run(content)
    except OrthancError:
        return None
    except Exception as error:
        return error
    return None
