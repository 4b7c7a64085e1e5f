"""Elements are found where pydicom finds them, in every transfer syntax, whole or in pieces, or the file is refused."""

from __future__ import annotations

import io
import struct
from contextlib import nullcontext

import pytest
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_partial
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from simple_orthanc import limits
from simple_orthanc.files.walker import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    PIXELS,
    UNDEFINED,
    DamagedError,
    NotPlainError,
    Syntax,
    dataset_syntax,
    has_prefix,
    read_meta,
    walk,
)
from tests.memory_source import as_file, instance

FILES = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "JPEG2000.dcm",
    "rtplan.dcm",
]


def content_of(name: str) -> bytes:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    with open(path, "rb") as stream:
        return stream.read()


@pytest.mark.parametrize("name", FILES)
def test_elements_are_those_of_pydicom(name: str) -> None:
    content = content_of(name)
    meta = read_meta(content)
    assert meta is not None
    syntax = dataset_syntax(content, meta)
    expected = read_partial(io.BytesIO(content))
    implicit, little = expected.original_encoding
    assert syntax == Syntax(bool(implicit), bool(little))
    walked = list(walk(content, meta.end, syntax))
    assert [number for _, number, _, _, _ in walked] == list(map(int, expected.keys()))
    for _, number, code, start, length in walked:
        raw = expected.get_item(number)
        if isinstance(raw, RawDataElement) and length != UNDEFINED:
            assert (start, length) == (raw.value_tell, raw.length)
            assert code is None if implicit else code == raw.VR.encode()
    assert list(meta.elements) == list(map(int, expected.file_meta.keys()))
    assert meta.transfer_syntax == expected.file_meta.TransferSyntaxUID


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("step", [12, 100, 4096])
def test_a_file_read_in_pieces_has_the_same_elements(name: str, step: int) -> None:
    content = content_of(name)
    meta = read_meta(content)
    assert meta is not None
    syntax = dataset_syntax(content, meta)
    pieces = walk(
        b"",
        meta.end,
        syntax,
        size=len(content),
        base=meta.end,
        read_on=lambda position: content[position : position + step],
    )
    assert list(pieces) == list(walk(content, meta.end, syntax))


def test_only_what_is_wanted_is_yielded() -> None:
    content = content_of("CT_small.dcm")
    meta = read_meta(content)
    assert meta is not None
    walked = list(walk(content, meta.end, EXPLICIT_LITTLE, wanted={0x00100010, 0x7FE00010}))
    assert [number for _, number, _, _, _ in walked] == [0x00100010, 0x7FE00010]
    assert walked[-1][1] in PIXELS


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_off_is_damaged_wherever_it_is_cut_inside_an_element(name: str) -> None:
    content = content_of(name)
    meta = read_meta(content)
    assert meta is not None
    syntax = dataset_syntax(content, meta)
    _, _, _, start, length = list(walk(content, meta.end, syntax))[-1]
    inside = start + 1 if length == UNDEFINED else start + length - 1
    with pytest.raises(DamagedError, match="cut off"):
        list(walk(content[:inside], meta.end, syntax))


def element(number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HH2sH", number >> 16, number & 0xFFFF, vr, len(value) if length is None else length) + value


@pytest.mark.parametrize(
    "content",
    [
        element(0x00100020, b"LO", b"") + element(0x00100010, b"PN", b""),
        element(0x00100010, b"PN", b"") + element(0x00100010, b"PN", b""),
        element(0x00100010, b"ZZ", b""),
        struct.pack("<HHL", 0xFFFE, 0xE000, 0),
        element(0x00091001, b"UN", b"", 0) + b"\xff\xff\xff\xff",
    ],
    ids=["out of order", "twice", "unknown VR", "item outside of a sequence", "unknown of undefined length"],
)
def test_what_is_odd_is_left_to_pydicom(content: bytes) -> None:
    with pytest.raises(NotPlainError):
        list(walk(content, 0, EXPLICIT_LITTLE))


@pytest.mark.parametrize("syntax", ["", DeflatedExplicitVRLittleEndian])
def test_a_syntax_that_cannot_be_walked_is_left_to_pydicom(syntax: str) -> None:
    meta = element(0x00020000, b"UL", b"\0\0\0\0") + (element(0x00020010, b"UI", syntax.encode()) if syntax else b"")
    content = bytes(128) + b"DICM" + meta + element(0x00080005, b"CS", b"ISO_IR 100")
    found = read_meta(content)
    assert found is not None
    with pytest.raises(NotPlainError):
        dataset_syntax(content, found)


def test_vrs_where_the_transfer_syntax_denies_them_are_left_to_pydicom() -> None:
    meta = element(0x00020010, b"UI", ImplicitVRLittleEndian.encode() + b"\0")
    content = bytes(128) + b"DICM" + meta + element(0x00080005, b"CS", b"ISO_IR 100")
    found = read_meta(content)
    assert found is not None
    assert found.transfer_syntax == ImplicitVRLittleEndian
    with pytest.raises(NotPlainError):
        dataset_syntax(content, found)
    big = content.replace(ImplicitVRLittleEndian.encode() + b"\0", ExplicitVRBigEndian.encode()[:18])
    assert read_meta(big) is not None


def test_file_meta_information_that_is_missing_or_broken() -> None:
    content = as_file(instance(1))
    assert has_prefix(content)
    assert read_meta(content) is not None
    assert read_meta(content[:185]) is None
    assert read_meta(bytes(128) + b"DICM" + element(0x00080005, b"CS", b"ISO_IR 100")) is None
    assert read_meta(bytes(128) + b"DICM" + element(0x00020002, b"ZZ", b"1.2 ")) is None
    assert not has_prefix(b"")


def test_implicit_elements_have_no_vr() -> None:
    content = struct.pack("<HHL", 0x0010, 0x0010, 4) + b"Doe " + struct.pack("<HHL", 0x0010, 0x0020, 2) + b"7 "
    assert list(walk(content, 0, IMPLICIT_LITTLE)) == [(0, 0x00100010, None, 8, 4), (12, 0x00100020, None, 20, 2)]


@pytest.mark.parametrize("count", [999, 1000, 1001])
def test_more_elements_than_are_believed_are_not_plain(count: int) -> None:
    top = b"".join(element(0x00100000 + number, b"UI", b"") for number in range(count))
    inside = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, UNDEFINED) + bytes.fromhex("feff00e0ffffffff")
    inside += element(0x00080016, b"UI", b"") * (count - 4) + bytes.fromhex("feff0de000000000feffdde000000000")
    for content in (top, inside):
        with limits.changed(elements=1000), pytest.raises(NotPlainError) if count > 1000 else nullcontext():
            assert len(list(walk(content, 0, EXPLICIT_LITTLE))) in (1, count)
