"""Small files that would exhaust memory or stack are refused, in little time and memory; see `tests/bombs.py`."""

from __future__ import annotations

import bz2
import io
import lzma
import random
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from simple_orthanc import Folder, limits
from simple_orthanc.errors import TransportError
from simple_orthanc.files.detection import looks_like_dicom, object_uid
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.parsing import parse_file, parse_header
from simple_orthanc.files.partial import read_header, read_image
from simple_orthanc.files.walker import PIXELS, DamagedError
from simple_orthanc.sources.identity import identity_in
from tests import bombs
from tests.bombs import Outcome, deflated_file, deflated_of, element, identifiers, meta, nested, nested_file, zipped
from tests.files.test_tag_reader import written

GIGABYTE = 1 << 30
EMPTY = 30 << 20
LZMA: list[dict[str, int]] = [{"id": lzma.FILTER_LZMA1, "preset": 0}]


def deflated_element(size: int) -> bytes:
    """Return a deflated file with one private element of so many zeros, before the pixels."""
    return deflated_file(deflated_of(identifiers() + element(0x00290010, "OB", b"", size), size))


def deflated_pixels(size: int) -> bytes:
    return deflated_file(deflated_of(identifiers() + element(0x7FE00010, "OB", b"", size), size))


def deflated_nested(depth: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflated_file(packer.compress(identifiers() + nested(depth)) + packer.flush())


def deflated_just_below(size: int) -> bytes:
    """Return a deflated file with a header of so many bytes, of which enough are random for the limit of expansion."""
    value = random.Random(1).randbytes(size // 190)
    beginning = identifiers() + element(0x00290010, "OB", b"", size) + value
    return deflated_file(deflated_of(beginning, size - len(value)))


def ascending(count: int) -> bytes:
    """Return a file of empty elements in order, in implicit VR."""
    heads = np.zeros(count, [("tag", "<u2", 2), ("length", "<u4")])
    heads["tag"] = np.stack([8 + 2 * (np.arange(count) >> 16), np.arange(count) & 0xFFFF], axis=1)
    return meta(ImplicitVRLittleEndian) + heads.tobytes()


def empty_items(count: int) -> bytes:
    sequence = element(0x00081140, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 0) * count)
    return meta(ExplicitVRLittleEndian) + identifiers() + sequence


def zip_of(content: bytes, zeros: int = 0) -> bytes:
    stream = io.BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a", content + bytes(zeros))
    return stream.getvalue()


def header_in_parts(content: bytes) -> object:
    stream = io.BytesIO(content)

    def read(start: int, stop: int) -> tuple[bytes, bool]:
        stream.seek(start)
        return stream.read(stop - start), stop >= len(content)

    return read_header(read, 16 * 1024, Scanner())


def looked_at(content: bytes, folder: Path) -> str:
    """Look at a folder with one file, and return what became of it."""
    (folder / "file").write_bytes(content)
    files = Folder(folder, cache=False).files
    return f"{len(files)} " + " ".join(dict.fromkeys(files["status"] + ": " + files["message"]))


def stream_of(content: bytes) -> io.BytesIO:
    return io.BytesIO(content)


def many_members(count: int, content: bytes) -> bytes:
    return zipped([(f"{number}", content, len(content), 0) for number in range(count)])


def packed_by(packer: Any, megabytes: int) -> bytes:
    """Pack a file with one private element of zeros, a megabyte at a time."""
    beginning = meta(ExplicitVRLittleEndian) + identifiers() + element(0x00290010, "OB", b"", megabytes << 20)
    parts = [packer.compress(beginning), *(packer.compress(bytes(1 << 20)) for _ in range(megabytes))]
    return b"".join([*parts, packer.flush()])


@cache
def bzip2_member(megabytes: int) -> bytes:
    """Return less than a kilobyte: each block of 40 bytes holds 46 MB of zeros."""
    return packed_by(bz2.BZ2Compressor(), megabytes)


def lzma_member(megabytes: int) -> bytes:
    # As in a zip: version 9.4 and five bytes of properties, with the size of the dictionary of this preset.
    head = struct.pack("<BBHBI", 9, 4, 5, 0x5D, 1 << 18)
    return head + packed_by(lzma.LZMACompressor(lzma.FORMAT_RAW, filters=LZMA), megabytes)


BOMBS: dict[str, bombs.Bomb] = {
    "deflated header, looked at": lambda folder: looked_at(deflated_element(2 * GIGABYTE), folder),
    "deflated header, read": lambda folder: header_in_parts(deflated_element(2 * GIGABYTE)),
    "deflated elements, read": lambda folder: header_in_parts(deflated_file(deflated_of(identifiers(), 100 << 20))),
    "deflated elements, whole": lambda folder: parse_file(deflated_file(deflated_of(identifiers(), 100 << 20))),
    "deflated header, whole": lambda folder: parse_file(deflated_element(2 * GIGABYTE)),
    "deflated header, image": lambda folder: read_image(deflated_element(2 * GIGABYTE), Scanner()),
    "deflated header, identity": lambda folder: identity_in(stream_of(deflated_element(2 * GIGABYTE)), 0).instance,
    "deflated header, detected": lambda folder: object_uid(deflated_element(2 * GIGABYTE)),
    "deflated pixels, looked at": lambda folder: looked_at(deflated_pixels(2 * GIGABYTE), folder),
    "deflated pixels, header": lambda folder: header_in_parts(deflated_pixels(2 * GIGABYTE)).SOPInstanceUID,  # type: ignore[attr-defined]
    "deflated pixels, image": lambda folder: read_image(deflated_pixels(2 * GIGABYTE), Scanner()),
    "deflated header below the limit, whole": lambda folder: parse_file(deflated_just_below(63 << 20)).SOPInstanceUID,
    "deflated header below the limit, looked at": lambda folder: looked_at(deflated_just_below(63 << 20), folder),
    "deflated header below the limit, image": lambda folder: (
        read_image(deflated_just_below(63 << 20), Scanner()).SOPInstanceUID
    ),
    "deflated header above the limit, whole": lambda folder: parse_file(deflated_just_below(127 << 20)),
    "empty elements, looked at": lambda folder: looked_at(
        meta(ExplicitVRLittleEndian) + identifiers() + bytes(EMPTY), folder
    ),
    "empty elements, in a zip": lambda folder: looked_at(zip_of(meta(ExplicitVRLittleEndian), EMPTY), folder),
    "empty elements, implicit, in a zip": lambda folder: looked_at(zip_of(meta(ImplicitVRLittleEndian), EMPTY), folder),
    "empty elements, whole": lambda folder: parse_file(meta(ExplicitVRLittleEndian) + identifiers() + bytes(EMPTY)),
    "empty elements, read": lambda folder: header_in_parts(meta(ExplicitVRLittleEndian) + identifiers() + bytes(EMPTY)),
    "empty elements in order, in a zip": lambda folder: looked_at(zip_of(ascending(4_000_000)), folder),
    "empty items, whole": lambda folder: parse_file(empty_items(4_000_000)),
    "nested, looked at": lambda folder: looked_at(nested_file(5000), folder),
    "nested, read": lambda folder: header_in_parts(nested_file(2000)),
    "nested, stated": lambda folder: parse_file(nested_file(2000, stated=True)),
    "nested, deflated": lambda folder: parse_file(deflated_nested(2000)),
    "nested, implicit": lambda folder: parse_file(
        meta("1.2.840.10008.1.2") + nested(2000, implicit=True, tag=0x00081115)
    ),
    "nested, without preamble": lambda folder: looks_like_dicom(nested(2000, implicit=True, tag=0x00081115)),
    "zip of one": lambda folder: looked_at(
        zipped([("a", deflated_of(bytes(128) + b"DICM", 3 * GIGABYTE), 3 * GIGABYTE, 8)]), folder
    ),
    "zip with shared bytes": lambda folder: looked_at(
        zipped(500 * [("name", deflated_of(b"", GIGABYTE // 4), GIGABYTE // 4, 8)], shared=True), folder
    ),
    "zip with a wrong size": lambda folder: looked_at(
        zipped([("a", deflated_of(bytes(128) + b"DICM", 2 * GIGABYTE), 1000, 8)]), folder
    ),
    "zip of many": lambda folder: looked_at(many_members(10_000, b"text"), folder),
    "zip in a zip": lambda folder: looked_at(
        zipped([("a.zip", many_members(1, bytes(1000)), len(many_members(1, bytes(1000))), 0)]), folder
    ),
    "zip with bzip2": lambda folder: looked_at(
        zipped([("a", bz2.compress(bytes(128) + b"DICM" + bytes(60 << 20)), 1000, 12)]), folder
    ),
    "zip with bzip2, many blocks": lambda folder: looked_at(zipped([("a", bzip2_member(60), 60 << 20, 12)]), folder),
    "zip with bzip2, a wrong size": lambda folder: looked_at(zipped([("a", bzip2_member(120), 1000, 12)]), folder),
    "zip with lzma": lambda folder: looked_at(zipped([("a", lzma_member(32), 1000, 14)]), folder),
    "zip with names": lambda folder: looked_at(
        zipped([("../../a", b"text", 4, 0), ("/etc/b", b"text", 4, 0), ("..\\c", b"text", 4, 0)]), folder
    ),
    "length of a value": lambda folder: looked_at(
        meta(ExplicitVRLittleEndian) + identifiers() + element(0x00290010, "OB", b"", 0xFFFFFFF0), folder
    ),
}


EXPECTED: dict[str, tuple[str, str]] = {
    "deflated header, looked at": ("", "unreadable: SOPInstanceUID 1.2.1.1.1 cannot be read: its header is inflated"),
    "deflated header, read": ("TransportError", "its header is inflated out of"),
    "deflated elements, read": ("TransportError", "it has 100,001 elements or more"),
    "deflated elements, whole": ("TransportError", "it has 100,001 elements or more"),
    "deflated header, whole": ("TransportError", "limits.expansion = 200"),
    "deflated header, image": ("TransportError", "limits."),
    "deflated header, identity": ("", "1.2.1.1.1"),
    "deflated header, detected": ("", "1.2.1.1.1"),
    "deflated pixels, looked at": ("", "limits.expansion = 200"),
    "deflated pixels, header": ("", "1.2.1.1.1"),
    "deflated pixels, image": ("TransportError", "limits.expansion = 200"),
    "deflated header below the limit, whole": ("", "1.2.1.1.1"),
    "deflated header below the limit, looked at": ("", "1 indexed"),
    "deflated header below the limit, image": ("", "1.2.1.1.1"),
    "deflated header above the limit, whole": ("TransportError", "67,108,864 bytes are inflated"),
    "empty elements, looked at": ("", "1 unreadable: SOPInstanceUID 1.2.1.1.1 cannot be read: it has 100,001 elements"),
    "empty elements, in a zip": ("", "it has 100,001 elements or more. The limit is simple_orthanc.limits.elements"),
    "empty elements, implicit, in a zip": ("", "it has 100,001 elements or more"),
    "empty elements, whole": ("TransportError", "it has 100,001 elements or more"),
    "empty elements, read": ("TransportError", "it has 100,001 elements or more"),
    "empty elements in order, in a zip": ("", "it has 100,001 elements or more"),
    "empty items, whole": ("TransportError", "it has 1,000,001 elements or more"),
    "nested, looked at": ("", "nested 51 levels deep or more. The limit is simple_orthanc.limits.nesting = 50"),
    "nested, read": ("TransportError", "SOPInstanceUID 1.2.1.1.1 cannot be read: its sequences are nested 51"),
    "nested, stated": ("TransportError", "nested 51 levels deep"),
    "nested, deflated": ("TransportError", "nested 51 levels deep"),
    "nested, implicit": ("TransportError", "nested 51 levels deep"),
    "nested, without preamble": ("", "False"),
    "zip of one": ("", "whose members promise 3,221,225,472. The limit is simple_orthanc.limits.expansion"),
    "zip with shared bytes": (
        "",
        "whose members promise 134,217,728,000. The limit is simple_orthanc.limits.expansion",
    ),
    "zip with a wrong size": ("", "1 unreadable: cannot be read: Bad CRC-32"),
    "zip of many": ("", "10000 not DICOM"),
    "zip in a zip": ("", "1 skipped: a zip inside a zip"),
    "zip with bzip2": ("", "1 unreadable: cannot be read: Bad CRC-32"),
    "zip with bzip2, many blocks": ("", "1 unreadable: "),
    "zip with bzip2, a wrong size": ("", "1 unreadable: cannot be read: Bad CRC-32"),
    "zip with lzma": ("", "1 unreadable: cannot be read: Bad CRC-32"),
    "zip with names": ("", "3 not DICOM"),
    "length of a value": ("", "1 unreadable: cut off"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return bombs.run(__name__, tmp_path_factory.mktemp("bombs"))


@pytest.mark.parametrize("name", EXPECTED)
def test_bombs(name: str, outcomes: dict[str, Outcome]) -> None:
    bombs.check(outcomes[name], *EXPECTED[name])


def test_every_bomb_is_checked() -> None:
    assert EXPECTED.keys() == BOMBS.keys()


def test_deflated_files_are_what_pydicom_reads() -> None:
    content = written(DeflatedExplicitVRLittleEndian, PatientName="Doe^Jane")
    expected = dcmread(io.BytesIO(content))
    found = parse_file(content)
    assert found == expected
    assert found.file_meta == expected.file_meta
    header = parse_header(io.BytesIO(content), lambda tag, vr, length: tag in PIXELS, to_the_end=True)
    assert header.PatientName == "Doe^Jane"
    assert "PixelData" not in header
    assert header.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian


def test_deflated_files_that_are_cut_off_or_damaged() -> None:
    content = written(DeflatedExplicitVRLittleEndian, PatientName="Doe^Jane")
    for end in range(len(content) - 200, len(content), 17):
        with pytest.raises(DamagedError, match="the deflated data have no end"):
            parse_file(content[:end])
    # A block of a type that does not exist.
    with pytest.raises(DamagedError, match="the deflated data are damaged"):
        parse_file(deflated_file(b"\xff" * 100))


def test_limits_can_be_raised() -> None:
    content = deflated_element(8 << 20)
    with limits.changed(header_bytes=1 << 20), pytest.raises(TransportError, match=r"limits.header_bytes = 1048576"):
        header_in_parts(content)
    with limits.changed(expanded_bytes=1 << 20), pytest.raises(TransportError, match=r"limits.expansion = 200"):
        parse_file(content)
    with limits.changed(expanded_bytes=1 << 20, expansion=10_000):
        assert len(parse_file(content)[0x00290010].value) == 8 << 20
    with limits.changed(decompressed_bytes=1 << 20), pytest.raises(TransportError, match=r"decompressed_bytes"):
        parse_file(content)
