"""Headers of plain files: what pydicom gives, and nothing where pydicom must look itself."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.walker import PIXELS
from simple_orthanc.phantom import as_bytes, make_series
from tests.examples import examples


def by_pydicom(content: bytes) -> tuple[Dataset, int]:
    stream = io.BytesIO(content)
    header = read_partial(stream, lambda tag, vr, length: tag in PIXELS, force=True)
    return header, stream.tell()


def raw(header: Dataset) -> list[Any]:
    return [tuple(element) if isinstance(element, tuple) else element for element in header._dict.values()]


def plain_files() -> list[Path]:
    found = []
    # Those that come with pydicom: others would be downloaded.
    for path in sorted((Path(pydicom.data.__file__).parent / "test_files").rglob("*")):
        if path.is_file() and Scanner().scan(path.read_bytes()) is not None:
            found.append(path)
    return found


def test_every_file_of_pydicom_is_read_as_pydicom_reads_it_or_not_at_all() -> None:
    files = plain_files()
    # Enough of them are plain for this to say something.
    assert len(files) > 50
    scanner = Scanner()
    with pydicom.config.disable_value_validation():
        for path in files:
            content = path.read_bytes()
            found = scanner.scan(memoryview(content))
            assert found is not None
            expected, end = by_pydicom(content)
            assert found[1] == end, path
            assert found[0] == expected, path
            assert found[0].file_meta == expected.file_meta, path
            mine, theirs = vars(found[0]), vars(expected)
            for name in set(theirs) - {"_dict", "buffer", "file_meta"}:
                assert mine[name] == theirs[name], (path, name)


def test_the_elements_are_the_raw_ones_of_pydicom() -> None:
    content = as_bytes(make_series((1, 4, 4))[0])
    found = Scanner().scan(content)
    assert found is not None
    # pydicom has converted the character set already.
    assert [one for one in raw(found[0]) if isinstance(one, tuple)][1:] == raw(by_pydicom(content)[0])[1:]


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "image_dfl.dcm", "ExplVR_LitEndNoMeta.dcm"])
def test_what_is_not_plain_is_left_to_pydicom(name: str) -> None:
    path = get_testdata_file(name, download=False)
    assert path is not None
    assert Scanner().scan(Path(str(path)).read_bytes()) is None


@pytest.mark.parametrize("behind", range(-8, 16))
def test_a_file_that_is_cut_before_the_value_of_its_pixels_is_not_read(behind: int) -> None:
    content = as_bytes(make_series((1, 40, 40))[0])
    _, pixels = by_pydicom(content)
    found = Scanner().scan(content[: pixels + behind])
    # Tag, VR, two bytes that are reserved, length.
    assert (found is not None) == (behind >= 12)


@settings(max_examples=examples(100))
@given(st.integers(0, 1000))
def test_a_file_that_is_cut_in_its_header_is_not_read(length: int) -> None:
    assert Scanner().scan(as_bytes(make_series((1, 40, 40))[0])[:length]) is None


def test_equal_elements_are_kept_once_and_never_shared_once_converted() -> None:
    scanner = Scanner()
    datasets = make_series((3, 4, 4))
    for number, dataset in enumerate(datasets):
        # Of one length, as those of a real series mostly are: else all behind it stands elsewhere in the file.
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}"
    contents = [as_bytes(dataset) for dataset in datasets]
    headers = []
    for content in contents:
        found = scanner.scan(content)
        assert found is not None
        headers.append(found[0])
    assert headers[0].get_item("Rows") is headers[2].get_item("Rows")
    headers[0].Modality = "XX"
    headers[1].PatientName = "Somebody^Else"
    assert headers[2].Modality == by_pydicom(contents[2])[0].Modality
    assert headers[2] == by_pydicom(contents[2])[0]


def test_elements_out_of_order_or_of_unknown_vr_are_left_to_pydicom() -> None:
    content = as_bytes(make_series((1, 4, 4))[0])
    start = content.index(b"\x28\x00\x10\x00US")
    assert Scanner().scan(content[:start] + b"\x28\x00\x10\x00QQ" + content[start + 6 :]) is None
    assert Scanner().scan(content[:start] + b"\x08\x00\x10\x00US" + content[start + 6 :]) is None


VRS = sorted(str(vr.value) for vr in (*EXPLICIT_VR_LENGTH_16, *EXPLICIT_VR_LENGTH_32))


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A file of elements of any VR, right or wrong for its tag, of any length, followed by pixels."""
    implicit = draw(st.booleans())
    tags = draw(st.lists(st.tuples(st.sampled_from([8, 9, 0x10, 0x28, 0x29]), st.integers(0, 0xFFFF)), max_size=8))
    body = b""
    for tag in tags if draw(st.integers(0, 9)) == 0 else sorted(set(tags)):
        vr, value = draw(st.sampled_from([*VRS, "XX"])), draw(st.binary(max_size=12))
        if tag == (8, 5):
            vr, value = "CS", draw(st.sampled_from([b"", b"ISO_IR 100", b"\\ISO 2022 IR 87", b"ISO_IR 192 "]))
        if implicit:
            body += struct.pack("<HHL", *tag, len(value)) + value
        elif vr in EXPLICIT_VR_LENGTH_32:
            body += struct.pack("<HH2s2xL", *tag, vr.encode(), len(value)) + value
        else:
            body += struct.pack("<HH2sH", *tag, vr.encode(), len(value)) + value
    body += b"\xe0\x7f\x10\x00" + (b"\x04\0\0\0" if implicit else b"OW\0\0\x04\0\0\0") + b"\1\2\3\4"
    syntax = b"1.2.840.10008.1.2\0" if implicit else b"1.2.840.10008.1.2.1\0"
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    return bytes(128) + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(meta)) + meta + body


@settings(max_examples=examples(300))
@given(written(), st.data())
def test_whatever_elements_there_are_they_are_those_of_pydicom(content: bytes, data: st.DataObject) -> None:
    scanner = Scanner()
    for _ in range(2):  # once with nothing to share, once with what is equal
        found = scanner.scan(content)
        if found is None:
            return
        with pydicom.config.disable_value_validation():
            expected, end = by_pydicom(content)
        assert found[1] == end
        # pydicom has converted the character set alone, to know it.
        assert found[0].get("SpecificCharacterSet", "") == expected.get("SpecificCharacterSet", "")
        assert raw(found[0]) == raw(expected)
        assert list(found[0]._dict) == list(expected._dict)
        assert found[0].original_character_set == expected.original_character_set
        assert found[0].original_encoding == expected.original_encoding
    cut = data.draw(st.integers(0, end + 7))
    shorter = scanner.scan(content[:cut])
    assert shorter is None


@pytest.mark.parametrize("vr", VRS)
def test_an_empty_element_is_that_of_pydicom(vr: str) -> None:
    content = as_bytes(make_series((1, 4, 4))[0])
    start = content.index(b"\x28\x00\x10\x00US")
    empty = struct.pack("<HH2s2x", 0x28, 0x0F, vr.encode()) + (bytes(4) if vr in EXPLICIT_VR_LENGTH_32 else b"")
    changed = content[:start] + empty + content[start:]
    found = Scanner().scan(changed)
    assert found is not None
    assert found[0].get_item(0x0028000F) == by_pydicom(changed)[0].get_item(0x0028000F)
