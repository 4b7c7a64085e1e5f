"""The depth of a file is counted without recursion, whatever its lengths and its byte order, and is limited."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from pydicom import config, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.data.data_manager import DATA_ROOT
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from simple_orthanc import limits
from simple_orthanc.errors import SelectionError
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.nesting import may_be_deep, nesting, nesting_problem
from tests.bombs import element, identifiers, meta, nested, nested_dataset, nested_file
from tests.files.test_walker import FILES, content_of


def depth_of(content: bytes, enough: int = 1000) -> int:
    return nesting(io.BytesIO(content), content[:65536], enough)


class OneWay(io.BytesIO):
    """A file that may go back to its beginning alone, as a member of a zip is unpacked."""

    def seek(self, position: int, whence: int = 0) -> int:
        assert whence or position >= self.tell() or not position
        return super().seek(position, whence)


def depth_by_recursion(dataset: Dataset) -> int:
    sequences = [element.value for element in dataset if element.VR == "SQ"]
    return bool(sequences) + max((depth_by_recursion(item) for items in sequences for item in items), default=0)


@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 49, 400])
def test_sequences_of_either_length(depth: int, stated: bool) -> None:
    assert depth_of(nested_file(depth, stated=stated)) == depth


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_other_transfer_syntaxes(syntax: str, undefined: bool) -> None:
    dataset = Dataset()
    for _ in range(12):
        outer = Dataset()
        outer.SOPInstanceUID = "1.2.3"
        outer.ContentSequence = [dataset]
        outer["ContentSequence"].is_undefined_length = undefined
        outer.PixelPaddingValue = 3
        dataset = outer
    dataset.file_meta = dcmread(io.BytesIO(nested_file(1))).file_meta
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    with config.disable_value_validation():
        dcmwrite(buffer, dataset)
    assert depth_of(buffer.getvalue()) == 12


@pytest.mark.parametrize("name", [*FILES, "test-SR.dcm", "DICOMDIR", "examples_overlay.dcm"])
def test_honest_files(name: str) -> None:
    content = content_of(name)
    assert depth_of(content) == depth_by_recursion(dcmread(io.BytesIO(content)))
    assert nesting_problem(io.BytesIO(content), content) is None


@pytest.mark.parametrize("count", [20, 100, 101, 5000])
@pytest.mark.parametrize("kind", ["in order", "repeated", "without VR", "in an item", "items", "delimiters"])
def test_too_many_elements_are_refused(count: int, kind: str) -> None:
    first = element(0x00080016, "UI", b"")
    body = {
        "in order": b"".join(element(0x00080016 + number, "UI", b"") for number in range(count)),
        "repeated": first * count,
        "without VR": first + bytes(8 * (count - 1)),
        "in an item": element(0x00081140, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 8 * count) + first * count),
        "items": first + element(0x00081140, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 10 * (count - 1)),
        "delimiters": first + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) * 10 * count,
    }[kind]
    content = meta("1.2.840.10008.1.2.1") + body
    with limits.changed(elements=1000):
        problem = nesting_problem(io.BytesIO(content), content)
    assert (problem is not None) == (count > 100 or (kind == "delimiters" and count == 100))
    if problem is not None:
        assert " elements or more. The limit is simple_orthanc.limits.elements = 1000" in problem


def test_elements_without_vr_in_an_explicit_file_do_not_hide_deep_sequences() -> None:
    start = meta("1.2.840.10008.1.2.1") + identifiers()
    hidden = element(0x00290010, "UI", b"")[:4] + bytes(4)
    assert depth_of(start + hidden + nested(60)) == depth_of(start + nested(60, implicit=True)) == 60
    assert depth_of(start + element(0x00290010, "ZZ", b"") + nested(60)) == 60


def test_no_honest_file_comes_near_the_limit_of_elements(shared_data: Path) -> None:
    paths = [path for folder in (Path(DATA_ROOT), shared_data) for path in folder.rglob("*.dcm")]
    assert len(paths) > 200
    with limits.changed(elements=limits.elements // 20):
        for path in paths:
            content = path.read_bytes()
            problem = nesting_problem(io.BytesIO(content), content[:65536])
            assert problem is None, path


def test_sequences_behind_the_pixels_count_only_in_whole_files() -> None:
    pixels = element(0x7FE00010, "OB", bytes(8))
    content = meta("1.2.840.10008.1.2.1") + identifiers() + pixels + nested(60, tag=0xFFFA0001)
    assert depth_of(content) == 60
    assert nesting(io.BytesIO(content), content, 100, whole=False) == 0


ITEMS = b"\xfe\xff\x00\xe0" * 20_000
PLAIN = "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_pixels_that_look_like_items_are_none(vr: str) -> None:
    pixels = element(0x7FE00010, vr, bytes(8) + ITEMS)
    content = meta(PLAIN) + identifiers() + pixels
    assert not may_be_deep(content)
    assert may_be_deep(content + nested(60, tag=0xFFFA0001))
    assert may_be_deep(meta(PLAIN) + identifiers() + nested(60) + pixels)


@pytest.mark.parametrize(
    ("syntax", "elements"),
    [
        (PLAIN, element(0x7FE00010, "UN", ITEMS)),
        (PLAIN, element(0x7FE00010, "SQ", ITEMS)),
        (PLAIN, element(0x7FE00010, "OB", ITEMS, length=len(ITEMS) + 1)),
        (PLAIN, element(0x7FE00010, "OB", ITEMS, length=0xFFFFFFFF)),
        (PLAIN, element(0x00200013, "IS", b"1 ") + element(0x00200011, "IS", b"1 ") + element(0x7FE00010, "OB", ITEMS)),
        (PLAIN, element(0x00290010, "OB", ITEMS)),
        (PLAIN, element(0x00290010, "OB", b"") * 300 + element(0x7FE00010, "OB", ITEMS)),
        (ImplicitVRLittleEndian, struct.pack("<HHL", 0x7FE0, 0x10, len(ITEMS)) + ITEMS),
    ],
    ids=["unknown VR", "sequence", "cut off", "fragments", "out of order", "no pixels", "many", "implicit items"],
)
def test_items_count_wherever_a_reader_may_see_a_sequence(syntax: str, elements: bytes) -> None:
    start = identifiers() if syntax == PLAIN else b""
    assert may_be_deep(meta(syntax) + start + elements)


def test_fragments_of_pixels_are_no_sequence() -> None:
    path = get_testdata_file("JPEG2000.dcm")
    assert isinstance(path, str)
    content = Path(path).read_bytes()
    inside = content.replace(b"\xff\x4f\xff\x51", b"\xfe\xff\x00\xe0", 1)
    assert depth_of(content) == depth_of(inside) == depth_by_recursion(dcmread(io.BytesIO(content)))


def test_damaged_files_are_followed_as_far_as_possible() -> None:
    content = nested_file(30)
    for end in range(0, len(content), 7):
        assert depth_of(content[:end]) <= 30
    assert depth_of(content[:400] + bytes(100)) < 30
    assert depth_of(b"") == 0


@pytest.mark.parametrize("size", [0, 2, 50, 1000])
def test_a_file_is_walked_without_going_back(size: int) -> None:
    start = meta("1.2.840.10008.1.2.1") + identifiers()
    content = start + element(0x00290010, "OB", bytes(size)) * 6000 + nested(3)
    assert len(content) > 65536
    assert nesting(OneWay(content), content[:65536], 1000) == 3


def test_the_limit_can_be_raised() -> None:
    content = nested_file(60)
    assert may_be_deep(content)
    problem = nesting_problem(io.BytesIO(content), content)
    assert problem is not None
    assert "nested 51 levels deep or more" in problem
    assert "simple_orthanc.limits.nesting = 50" in problem
    with limits.changed(nesting=60):
        assert not may_be_deep(content)
        assert nesting_problem(io.BytesIO(content), content) is None


def test_a_plain_header_with_deep_sequences_is_left_to_the_parser() -> None:
    pixels = element(0x7FE00010, "OB", bytes(8))
    start = meta("1.2.840.10008.1.2.1") + identifiers()
    assert Scanner().scan(start + nested(50, stated=True) + pixels) is not None
    assert Scanner().scan(start + nested(51, stated=True) + pixels) is None


@pytest.mark.parametrize("depth", [51, 60, 400, 2000])
def test_a_dataset_in_memory_is_counted_before_it_is_written(depth: int) -> None:
    assert dataset_bytes(nested_dataset(50))
    with pytest.raises(SelectionError, match="not written: its sequences are nested 51 levels deep"):
        dataset_bytes(nested_dataset(depth))
