"""Headers with the layout of one that was read before: as a scanner reads them that has read nothing before."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from simple_orthanc.files import similar_headers
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.similar_headers import SimilarHeaders
from simple_orthanc.phantom import as_bytes, make_series
from tests.examples import examples


def written(dataset: Any, syntax: str = ExplicitVRLittleEndian) -> bytes:
    stream = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(stream, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True, enforce_file_format=True)
    return stream.getvalue()


@cache
def files(syntax: str, **tags: Any) -> list[bytes]:
    return [written(dataset, syntax) for dataset in make_series((12, 2, 3), spacing=(2.5, 1.0, 1.0), **tags)]


def held(found: tuple[FileDataset, int] | None) -> Any:
    """Return all that a header is."""
    if found is None:
        return None
    header, end = found
    attributes = {name: value for name, value in vars(header).items() if name not in ("file_meta", "buffer")}
    of_meta = vars(header.file_meta)
    assert isinstance(header.buffer, io.BytesIO)
    assert not header.buffer.getvalue()
    return end, type(header), attributes, type(header.file_meta), of_meta, list(header._dict), list(of_meta["_dict"])


def has_read(content: bytes) -> Scanner:
    scanner = Scanner()
    assert scanner.scan(content) is not None
    return scanner


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_each_header_of_a_series_is_as_it_is_read_alone(syntax: str) -> None:
    scanner = Scanner()
    for content in files(syntax, SpecificCharacterSet="ISO_IR 192", PatientName="Jörg"):
        assert held(scanner.scan(content)) == held(Scanner().scan(content))
        assert held(scanner.scan(memoryview(content))) == held(Scanner().scan(content))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_most_headers_of_a_series_are_read_by_the_layout_of_another(
    monkeypatch: pytest.MonkeyPatch, syntax: str
) -> None:
    contents = files(syntax)
    walked: list[int] = []
    walk = Scanner._walk

    def counted(self: Scanner, content: bytes) -> Any:
        walked.append(len(content))
        return walk(self, content)

    monkeypatch.setattr(Scanner, "_walk", counted)
    scanner = Scanner()
    for content in contents:
        scanner.scan(content)
    # Their numbers and positions have a few lengths.
    assert len(walked) < len(contents) / 2


@settings(max_examples=examples(300))
@given(data=st.data(), syntax=st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian]))
def test_whatever_bytes_differ_a_header_is_as_it_is_read_alone(data: st.DataObject, syntax: str) -> None:
    one = files(syntax)[0]
    changes = data.draw(
        st.lists(
            st.tuples(st.integers(0, len(one) - 1), st.one_of(st.integers(0, 255), st.sampled_from(b"\0 \\19AZ"))),
            min_size=1,
            max_size=4,
        )
    )
    other = bytearray(one)
    for position, byte in changes:
        other[position] = byte
    stop = data.draw(st.one_of(st.just(len(other)), st.integers(0, len(other))))
    content = bytes(other[:stop])
    assert held(has_read(one).scan(content)) == held(Scanner().scan(content))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_wherever_one_byte_differs_a_header_is_as_it_is_read_alone(syntax: str) -> None:
    one = files(syntax, SpecificCharacterSet="ISO_IR 100")[0]
    scanner = has_read(one)
    for position in range(len(one) - 12):
        other = bytearray(one)
        other[position] ^= 1
        assert held(scanner.scan(bytes(other))) == held(Scanner().scan(bytes(other))), position
        scanner.scan(one)


def test_a_header_that_was_changed_leaves_the_next_as_it_is() -> None:
    one, other = files(ExplicitVRLittleEndian)[:2]
    scanner = has_read(one)
    changed, _ = scanner.scan(other) or pytest.fail("not plain")
    changed.PatientName = "Changed"
    del changed.SOPInstanceUID
    changed.file_meta.SourceApplicationEntityTitle = "CHANGED"
    changed.private_block(0x0011, "CHANGED", create=True)
    assert held(scanner.scan(other)) == held(Scanner().scan(other))


def test_private_blocks_are_those_of_each_header() -> None:
    contents = []
    for number, dataset in enumerate(make_series((3, 2, 2))):
        dataset.private_block(0x0019, "TEST", create=True).add_new(0x10, "LO", f"value {number}")
        contents.append(as_bytes(dataset))
    scanner = Scanner()
    for number, content in enumerate(contents):
        header, _ = scanner.scan(content) or pytest.fail("not plain")
        block = header.private_block(0x0019, "TEST")
        assert block[0x10].value == f"value {number}"
        block.add_new(0x11, "LO", "added")
        assert header[0x0019, 0x1011].value == "added"


def test_a_value_nested_too_deep_is_left_to_the_check_of_pydicom_files() -> None:
    private = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 100
    series = make_series((2, 2, 2))
    for dataset, value in zip(series, (bytes(len(private)), private), strict=True):
        dataset.add_new(0x00110010, "LO", "TEST")
        dataset.add_new(0x00111001, "OB", value)
    one, other = map(as_bytes, series)
    assert held(has_read(one).scan(other)) == held(Scanner().scan(other))


def test_a_large_header_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar_headers, "_LARGEST", 100)
    content = files(ExplicitVRLittleEndian)[0]
    assert SimilarHeaders.of(content, *(Scanner().scan(content) or pytest.fail("not plain"))) is None
