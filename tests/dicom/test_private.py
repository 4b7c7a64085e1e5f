"""Private elements are read with or without their creator, their VR and explicit lengths."""

from __future__ import annotations

import doctest
import struct
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from simple_orthanc.dicom import private
from simple_orthanc.dicom.private import PrivateElement, items_of, numbers_of, text_of, values_of
from simple_orthanc.phantom import as_bytes, make_series

VECTOR = PrivateElement(0x0065, 0x37, "FD", "Image Private Header", ("uih", "united"))
NUMBER = PrivateElement(0x2001, 0x03, "FL", "Philips Imaging DD 001", ("philips",))
STRINGS = PrivateElement(0x0043, 0x39, "IS", "GEMS_PARM_01", ("ge ",))
SLICES = PrivateElement(0x0065, 0x51, "SQ", "Image Private Header", ("uih", "united"))


def test_examples() -> None:
    assert doctest.testmod(private).failed == 0


@pytest.mark.parametrize(
    ("element", "content", "expected"),
    [
        (VECTOR, struct.pack("<3d", 0.25, -0.5, 1), [0.25, -0.5, 1]),
        (NUMBER, struct.pack("<f", 1000), [1000]),
        (STRINGS, b"1000\\8\\0\\0 ", [1000, 8, 0, 0]),
        (STRINGS, b"1000\\?", []),
        (STRINGS, b" ", []),
        (NUMBER, struct.pack("<f", float("nan")), []),
        (VECTOR, b"", []),
    ],
)
def test_numbers_of_unknown_vr(element: PrivateElement, content: bytes, expected: list[float]) -> None:
    header = Dataset()
    header.private_block(element.group, element.creator, create=True).add_new(element.element, "UN", content)
    assert numbers_of(header, element) == expected


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_what_a_file_holds(syntax: str) -> None:
    (image,) = make_series((1, 4, 4), modality="MR")
    item = Dataset()
    item.ImagePositionPatient = [1, 2, 3]
    block = image.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x37, "FD", [0.25, -0.5, 1.0])
    block.add_new(0x51, "SQ", Sequence([item]))
    image.file_meta.TransferSyntaxUID = syntax
    read = pydicom.dcmread(BytesIO(as_bytes(image)))
    assert numbers_of(read, VECTOR) == [0.25, -0.5, 1.0]
    assert [list(found.ImagePositionPatient) for found in items_of(read, SLICES)] == [[1, 2, 3]]


def test_a_sequence_whose_bytes_are_damaged_has_no_items() -> None:
    header = Dataset()
    header.private_block(0x0065, "Image Private Header", create=True).add_new(0x51, "UN", b"\xfe\xff\x00\xe0\x08\0")
    assert items_of(header, SLICES) == []


@pytest.mark.parametrize(
    ("manufacturer", "expected"), [("UIH", "7.0"), ("United Imaging", "7.0"), ("SIEMENS", ""), (None, "")]
)
def test_without_a_creator_the_maker_must_be_named(manufacturer: str | None, expected: str) -> None:
    header = Dataset()
    if manufacturer:
        header.Manufacturer = manufacturer
    header.add_new((0x0065, 0x1037), "FD", 7.0)
    assert text_of(header, VECTOR) == expected


def test_the_block_of_another_creator_is_left_alone() -> None:
    header = Dataset()
    header.private_block(0x0065, "OTHER", create=True).add_new(0x37, "FD", 7.0)
    header.Manufacturer = "UIH"
    assert values_of(header, VECTOR) == []
    header.private_block(0x0065, "image private header ", create=True).add_new(0x37, "FD", 8.0)
    assert values_of(header, VECTOR) == ["8.0"]
