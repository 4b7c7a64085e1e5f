"""Equal headers have one fingerprint, whatever way they were read, and others have another."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicom.fingerprint import differing, fingerprint
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


def read(**tags: object) -> Dataset:
    return pydicom.dcmread(io.BytesIO(as_file(instance(1, **tags))))


@pytest.mark.parametrize(
    ("one", "other", "tags"),
    [
        ({}, {}, set()),
        # Behind another length each element lies elsewhere.
        ({"AccessionNumber": "1"}, {"AccessionNumber": "12345"}, {0x00080050}),
        ({"KVP": "120"}, {}, {0x00180060}),
        ({}, {"KVP": "120"}, {0x00180060}),
        ({"KVP": "120", "StudyID": "1"}, {"KVP": "80", "StudyID": "2"}, {0x00180060, 0x00200010}),
        ({"KVP": "120 "}, {"KVP": "120"}, set()),
    ],
)
def test_what_differs_is_named(one: dict[str, str], other: dict[str, str], tags: set[int]) -> None:
    assert differing(read(**one), read(**other)) == tags


def test_what_was_converted_counts_as_differing() -> None:
    converted = read(KVP="120")
    assert converted.KVP == 120
    assert differing(converted, read(KVP="120")) == differing(read(KVP="120"), converted) == {0x00180060}
    assert differing(converted, converted) == set()
