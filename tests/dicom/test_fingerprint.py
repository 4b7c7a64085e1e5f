"""Equal headers have one fingerprint, whatever way they were read, and others have another."""

from __future__ import annotations

import io

import pydicom
from pydicom.dataset import Dataset

from simple_orthanc.dicom.fingerprint import fingerprint
from tests.memory_source import as_file, instance


def nested(value: str = "a", creator: str = "ACME", vr: str = "LO") -> Dataset:
    header, item = Dataset(), Dataset()
    item.CodeMeaning = value
    header.ProcedureCodeSequence = [item]
    header.private_block(0x0009, creator, create=True).add_new(0x01, vr, "1")
    return header


def test_equal_headers_have_one_fingerprint_and_others_another() -> None:
    prints = [fingerprint(header) for header in (nested(), nested("b"), nested(creator="B"), nested(vr="SH"))]
    assert fingerprint(nested()) == prints[0]
    assert len(set(prints)) == 4
    content = as_file(instance(1, SliceThickness="1.0"))
    read = [pydicom.dcmread(io.BytesIO(data)) for data in (content, content, content.replace(b"1.0 ", b"2.0 "))]
    first, again, other = map(fingerprint, read)
    assert first == again != other


def test_pixels_are_no_part_of_a_fingerprint() -> None:
    header = nested()
    before = fingerprint(header)
    header.add_new(0x7FE00010, "OW", b"\1\2")
    assert fingerprint(header) == before
