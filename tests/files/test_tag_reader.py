"""A few tags of a file, walked by hand, are what pydicom reads of the whole header."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from pydicom.data import get_charset_files, get_testdata_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.dicom.tags import INDEX_TAGS, parse_tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import TransportError
from simple_orthanc.files import tag_reader as scanning
from simple_orthanc.files.detection import refusal
from simple_orthanc.files.tag_reader import read_tags
from simple_orthanc.files.walker import DELIMITER, DamagedError
from tests.memory_source import archives, as_file, instance
from tests.session.uploads.test_files import without_preamble

MORE = """
    KVP Rows ImageType SliceThickness PatientComments PixelSpacing ImageComments SOPClassUID WindowCenter
    PixelAspectRatio FrameIncrementPointer PatientAge AcquisitionDateTime ProtocolName SpecificCharacterSet
"""
TAGS = tuple(tag for tags in INDEX_TAGS.values() for tag in tags.values()) + tuple(map(parse_tag, MORE.split()))
SHIPPED = [path for path in sorted({*get_testdata_files(), *get_charset_files()}) if Path(path).is_file()]


def by_pydicom(content: bytes) -> dict[str, Value]:
    with quiet():
        header = pydicom.dcmread(io.BytesIO(content), force=True, stop_before_pixels=True)
        found = {tag.name: read_value(header, tag) for tag in TAGS}
    return {name: value for name, value in found.items() if value is not None}


def by_hand(content: bytes) -> dict[str, Value]:
    return read_tags(io.BytesIO(content), len(content), TAGS)


def is_plain(content: bytes) -> bool:
    wanted = {tag.steps[0].number: tag for tag in TAGS}
    return scanning._scan(io.BytesIO(content), len(content), wanted) is not None


# Cut off: Orthanc refuses them too.
CUT = ("MR_truncated.dcm", "rtplan_truncated.dcm")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: Path(path).name)
def test_real_files(path: str) -> None:
    content = Path(path).read_bytes()
    with quiet():
        if refusal(content, in_zip=False) is not None:
            return
    if Path(path).name in CUT:
        with pytest.raises(DamagedError):
            by_hand(content)
        return
    assert by_hand(content) == by_pydicom(content)


def test_the_fast_way_is_the_usual_one() -> None:
    contents = [Path(path).read_bytes() for path in SHIPPED if path.endswith(".dcm") and Path(path).name not in CUT]
    with quiet():
        contents = [content for content in contents if refusal(content, in_zip=False) is None]
    assert sum(map(is_plain, contents)) / len(contents) > 0.9


@given(archives(least=1))
def test_random_headers(datasets: list[Dataset]) -> None:
    for dataset in datasets:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        with quiet():
            content = as_file(dataset)
        assert is_plain(content)
        assert by_hand(content) == by_pydicom(content)


def written(syntax: str, *, undefined: bool = False, **tags: object) -> bytes:
    """Write a file with nested sequences around its tags, of defined or undefined length, and pixels."""
    dataset = Dataset(instance(1, **tags))
    inner = Dataset()
    inner.PatientName = "not^this one"
    inner.InstanceNumber = "77"
    middle = Dataset()
    middle.ReferencedSeriesSequence = Sequence([inner, inner])
    dataset.ReferencedStudySequence = Sequence([middle, Dataset(), middle])
    dataset.IconImageSequence = Sequence([])
    for owner in (dataset, middle):
        for element in owner:
            if element.VR == "SQ":
                element.is_undefined_length = undefined
                for item in element.value:
                    item.is_undefined_length_sequence_item = undefined
    dataset.Rows, dataset.Columns, dataset.BitsAllocated = 2, 2, 16
    big = syntax == ExplicitVRBigEndian
    if syntax == JPEG2000Lossless:
        dataset.PixelData = pydicom.encaps.encapsulate([b"abcd", b"efghij"])
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.PixelData = bytes(8)
    dataset["PixelData"].VR = "OB" if syntax == JPEG2000Lossless else "OW"
    dataset.DataSetTrailingPadding = bytes(30)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    pydicom.dcmwrite(
        stream,
        dataset,
        enforce_file_format=True,
        little_endian=None if not big else False,
        implicit_vr=None if not big else False,
    )
    return stream.getvalue()


SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless]


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_sequences_are_stepped_over(syntax: str, undefined: bool) -> None:
    content = written(syntax, undefined=undefined, PatientName="Doe^Jane", ImageType=["A", "B"], ImageIndex=3)
    assert is_plain(content)
    found = by_hand(content)
    assert found == by_pydicom(content)
    assert (found["PatientName"], found["InstanceNumber"], found["Rows"]) == (("Doe^Jane",), ("1",), ("2",))


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_that_is_cut_off_is_damaged_wherever_it_is_cut(syntax: str, undefined: bool) -> None:
    content = written(syntax, undefined=undefined)
    ends = element_ends(content)
    for length in range(400, len(content)):
        # Behind a fragment no more than the delimiter may be missing; that frames are missing, decoding shows.
        fragment = max(content.rfind(part, 0, length) + len(part) for part in (b"abcd", b"efghij"))
        is_behind_fragment = syntax == JPEG2000Lossless and DELIMITER.startswith(content[fragment:length])
        if length in ends or (is_behind_fragment and length >= fragment):
            continue
        with pytest.raises(DamagedError):
            read_tags(io.BytesIO(content[:length]), length, TAGS)


def element_ends(content: bytes) -> set[int]:
    """Return the lengths at which a file ends between two elements, or inside the head of one."""
    whole = pydicom.dcmread(io.BytesIO(content), force=True)
    implicit = whole.original_encoding[0]
    starts = []
    for tag in whole._dict:
        element = whole.get_item(tag)
        place = getattr(element, "value_tell", None) or getattr(element, "file_tell", None)
        assert place is not None
        long = not implicit and element is not None and element.VR in ("OB", "OW", "SQ")
        starts.append(place - (12 if long else 8))
    return {start + more for start in starts for more in range(8)}


def test_long_values_and_long_headers() -> None:
    content = written(ExplicitVRLittleEndian, ImageComments="c" * 9000, PatientComments="p" * 9000, KVP="120")
    assert by_hand(content) == by_pydicom(content)
    long = written(ImplicitVRLittleEndian, OtherPatientIDs=["x" * 60] * 900, PixelSpacing=["1", "2"])
    assert len(long) > 3 * scanning.STEP
    assert by_hand(long) == by_pydicom(long)


def test_deflated() -> None:
    content = written(DeflatedExplicitVRLittleEndian, PatientName="Doe^Jane")
    assert not is_plain(content)
    assert by_hand(content) == by_pydicom(content)
    with pytest.raises(Exception, match="cut off: the deflated data have no end"):
        by_hand(content[:-20])


@pytest.mark.parametrize(
    "sets", ["ISO_IR 13", ["ISO 2022 IR 13", "ISO 2022 IR 87"], ["", "ISO 2022 IR 87"], "ISO_IR 192", "nonsense"]
)
def test_character_sets(sets: str | list[str]) -> None:
    content = as_file(instance(1, PatientName="Yamada^Tarou"))
    header = pydicom.dcmread(io.BytesIO(content))
    with quiet():
        header.SpecificCharacterSet = sets
        header.StudyDescription = "a\\b~c"
        content = as_file(header)
        assert by_hand(content) == by_pydicom(content)


def test_text_of_a_known_tag_in_an_unknown_representation() -> None:
    content = bytearray(as_file(instance(1, PatientID="P1")))
    # (0010,0020) LO, length 2, becomes UN, which has a longer length.
    place = content.index(b"\x10\x00\x20\x00LO\x02\x00")
    content[place : place + 8] = b"\x10\x00\x20\x00UN\x00\x00\x02\x00\x00\x00"
    assert by_hand(bytes(content))["PatientID"] == ("P1",)


def test_sequences_without_an_end_in_sight() -> None:
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff"
    start = as_file(instance(1))
    place = start.index(b"\x08\x00\x18\x00UI")
    meta, before = start[:place], b"\x08\x00\x10\x11SQ\x00\x00\xff\xff\xff\xff"
    content = meta + before + item * 5000
    with pytest.raises(TransportError, match="nested 51 levels deep"):
        by_hand(content)
    with pytest.raises(DamagedError):
        by_hand(meta + before + item * 5)


@pytest.mark.parametrize("implicit", [False, True])
def test_a_file_without_preamble_that_is_cut_off(implicit: bool) -> None:
    content = without_preamble(instance(1), implicit=implicit, little=True)
    assert by_hand(content) == by_pydicom(content)
    with pytest.raises(DamagedError, match="the file ends inside element"):
        by_hand(content[:-1])


def test_lengths_that_lie_are_not_believed() -> None:
    content = as_file(instance(1))
    place = content.index(b"\x20\x00\x13\x00IS") + 6
    huge = content[:place] + struct.pack("<H", 0xFFF0) + content[place + 2 :]
    with pytest.raises(DamagedError, match="cut off"):
        by_hand(huge)


def test_tags_that_need_the_rest_of_the_header() -> None:
    dataset = instance(1)
    dataset.add_new(0x00090010, "LO", "MAKER")
    dataset.add_new(0x00091001, "LO", "secret")
    content = as_file(dataset)
    names = (
        '(0009,"MAKER",01)',
        "0009,1001",
        "0008,9999",
        "TransferSyntaxUID",
        "ReferencedStudySequence.PatientName",
        "PatientID",
    )
    found = read_tags(io.BytesIO(content), len(content), tuple(map(parse_tag, names)))
    assert found == {
        '(0009,"MAKER",01)': ("secret",),
        "0009,1001": ("secret",),
        "TransferSyntaxUID": ("1.2.840.10008.1.2.1",),
        "PatientID": ("P1",),
    }


def test_odd_values_do_not_warn() -> None:
    # 70 characters where 64 are allowed, in a character set that nobody knows.
    header = pydicom.dcmread(io.BytesIO(as_file(instance(1))))
    with quiet():
        header.SpecificCharacterSet = "ISO 100"
        header.SeriesDescription = "ä" * 70
        content = as_file(header)
    assert by_hand(content)["SeriesDescription"] == ("ä" * 70,)
