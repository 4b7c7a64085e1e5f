"""Values read from pydicom headers: tolerant, without warnings, the same before and after pydicom's conversion."""

from __future__ import annotations

import io
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import DSdecimal, DSfloat

from simple_orthanc.dicom import header as reading
from simple_orthanc.dicom.header import read_value, texts
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value, comparable, from_texts
from simple_orthanc.errors import VolumeError
from simple_orthanc.files.tag_reader import read_tags
from tests.memory_source import as_file, instance


def test_the_first_nul_ends_an_element_of_several_values_too() -> None:
    assert from_texts(["A", "B\0", "C"], "LO") == ("A", "B")
    content = as_file(instance(1, PatientComments="ABCDEF", OperatorsName=["ABC", "DEF"]))
    dataset = pydicom.dcmread(io.BytesIO(content.replace(b"BCD", b"B\0D").replace(b"BC\\", b"B\0\\")))
    assert read_value(dataset, parse_tag("PatientComments")) == ("AB",)
    assert read_value(dataset, parse_tag("OperatorsName")) == ("AB",)


@pytest.mark.parametrize(
    ("character_set", "written", "value"),
    [
        ("ISO_IR 192", "SCHÄDEL".encode(), ("SCHÄDEL",)),
        ("ISO_IR 192", "Ä\\B".encode(), ("Ä", "B")),
        ("ISO_IR 144", "голова".encode("iso8859-5"), ("голова",)),
        ("\\ISO 2022 IR 87", "頭\\B".encode("iso2022_jp"), ("頭", "B")),
        # Of these two bytes the second is a backslash.
        ("GBK", "誠\\B".encode("gbk"), ("誠", "B")),
        ("", "Ä".encode("latin-1"), ("Ä",)),
        # What is not of the character set is shown as well as can be.
        ("ISO_IR 192", b"A\xc4B", ("AÄB",)),
    ],
)
def test_plain_characters_that_are_others_are_of_the_files_character_set(
    character_set: str, written: bytes, value: Value
) -> None:
    padded = written + b" " * (len(written) % 2)
    content = as_file(instance(1, SpecificCharacterSet=character_set.split("\\"), ImageType="Q" * len(padded)))
    content = content.replace(b"Q" * len(padded), padded)
    image_type = parse_tag("ImageType")
    assert read_value(pydicom.dcmread(io.BytesIO(content)), image_type) == value
    assert read_tags(io.BytesIO(content), len(content), (image_type,)) == {"ImageType": value}


def elements() -> Dataset:
    dataset = instance(1)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Müller^Jörg"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "", "M"]
    dataset.SliceThickness = "1.50"
    dataset.PixelSpacing = [0.1, "2.00"]
    dataset.KVP = None
    dataset.SeriesNumber = "+007"
    dataset.Rows = 512
    dataset.StudyDate = "20200131"
    dataset.StudyTime = "103000.5"
    dataset.AcquisitionDateTime = "20200131103000+0100"
    dataset.ImageComments = "one\\two"
    dataset.SelectorFDValue = [0.1, -1e300]
    dataset.SelectorFLValue = [0.5]
    dataset.SelectorSLValue = [-5]
    dataset.SelectorUVValue = [2**64 - 1]
    dataset.FrameIncrementPointer = [0x00181063, 0x00181065]
    dataset.DimensionIndexPointer = 0x00100010
    dataset.OtherPatientIDs = ""
    dataset.AccessionNumber = "  "
    dataset.add_new("SmallestImagePixelValue", "SS", -3)
    dataset.private_block(0x0009, "ACME", create=True).add_new(0x01, "OB", b"\x00\x01")
    dataset.private_block(0x0009, "ACME").add_new(0x02, "UN", b"12 ")
    dataset.private_block(0x0009, "ACME").add_new(0x03, "UN", b"\xff\xfe")
    dataset.private_block(0x0009, "ACME").add_new(0x04, "LO", ["a", "b"])
    return dataset


EXPECTED: dict[str, Value] = {
    "PatientName": ("Müller^Jörg",),
    "ImageType": ("ORIGINAL", "PRIMARY", "", "M"),
    "SliceThickness": ("1.50",),
    "PixelSpacing": ("0.1", "2.00"),
    "KVP": None,
    "SeriesNumber": ("+007",),
    "Rows": ("512",),
    "StudyDate": ("20200131",),
    "StudyTime": ("103000.5",),
    "AcquisitionDateTime": ("20200131103000+0100",),
    "ImageComments": ("one\\two",),
    "SelectorFDValue": ("0.1", "-1e+300"),
    "SelectorFLValue": ("0.5",),
    "SelectorSLValue": ("-5",),
    "SelectorUVValue": ("18446744073709551615",),
    "FrameIncrementPointer": ("0018,1063", "0018,1065"),
    "DimensionIndexPointer": ("0010,0010",),
    "OtherPatientIDs": None,
    "AccessionNumber": None,
    "SmallestImagePixelValue": ("-3",),
    '(0009,"ACME",01)': (b"\x00\x01",),
    '(0009,"ACME",02)': ("12",),
    '(0009,"ACME",03)': (b"\xff\xfe",),
    '(0009,"ACME",04)': ("a", "b"),
    "StudyDescription": None,
    "TransferSyntaxUID": ("1.2.840.10008.1.2.1",),
}


@pytest.mark.parametrize(("name", "value"), EXPECTED.items())
def test_an_element_has_the_same_value_in_memory_and_in_a_file(name: str, value: Value) -> None:
    in_file = pydicom.dcmread(io.BytesIO(as_file(elements())))
    assert read_value(in_file, parse_tag(name)) == value
    if name != "TransferSyntaxUID":
        assert read_value(elements(), parse_tag(name)) == value
    # Once pydicom has converted the element, it is another object than the raw one.
    _ = [str(element.value) for element in in_file]
    assert read_value(in_file, parse_tag(name)) == value


@pytest.mark.parametrize("part", [1.5, DSfloat(1.5), DSfloat("1.5"), DSdecimal("1.5"), np.float64(1.5), Decimal("1.5")])
def test_a_number_made_in_memory_is_written_plainly(part: object) -> None:
    dataset = Dataset()
    dataset.SliceThickness = part
    assert read_value(dataset, parse_tag("SliceThickness")) == ("1.5",)


def test_a_sequence_is_json_and_an_empty_one_is_missing() -> None:
    dataset, item = Dataset(), Dataset()
    item.CodeMeaning = "頭"
    dataset.ProcedureCodeSequence, dataset.BreedRegistrationSequence = Sequence([item]), Sequence([])
    assert read_value(dataset, parse_tag("ProcedureCodeSequence")) == ('{"00080104": {"vr": "LO", "Value": ["頭"]}}',)
    assert read_value(dataset, parse_tag("BreedRegistrationSequence")) is None


def test_what_pydicom_refuses_is_still_read() -> None:
    dataset = pydicom.dcmread(io.BytesIO(as_file(instance(1, SliceThickness="1.5", StudyDate="20200131"))))
    for keyword, raw in (("SliceThickness", b"1,5 "), ("StudyDate", b"20201399")):
        element: Any = dataset.get_item(keyword)
        dataset._dict[element.tag] = element._replace(value=raw, length=len(raw))
    assert read_value(dataset, parse_tag("SliceThickness")) == ("1,5",)
    assert read_value(dataset, parse_tag("StudyDate")) == ("20201399",)


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_bigendian.dcm", "rtplan.dcm", "reportsi.dcm", "waveform_ecg.dcm"]
)
def test_every_string_and_number_of_a_real_file_equals_that_of_pydicom(name: str) -> None:
    path = get_testdata_file(name)
    assert path is not None
    dataset, reference = pydicom.dcmread(path), pydicom.dcmread(path)
    compared = 0
    for element in reference:
        if element.VR in ("SQ", "OB", "OW", "UN", "AT") or element.tag.is_private:
            continue
        tag = parse_tag(int(element.tag))
        value = read_value(dataset, tag)
        parts = element.value if element.VM > 1 else [element.value] if element.VM else []
        if element.VR in ("DS", "IS", "US", "SS", "UL", "SL", "FL", "FD"):
            assert [comparable(part, tag.vr) for part in value or ()] == [float(part) for part in parts]
        else:
            assert "\\".join(map(str, value or ())) == "\\".join(str(part).strip().rstrip("=") for part in parts)
        compared += 1
    assert compared > 10


def raw_element(keyword: str, vr: str, content: bytes) -> RawDataElement:
    return RawDataElement(reading.tag_of(keyword), vr, len(content), content, 0, False, True)


@pytest.mark.parametrize(
    ("encoding", "character_set", "written", "expected"),
    [
        ("utf_8", "ISO_IR 192", "Schädel\\Hüfte ".encode(), ["Schädel", "Hüfte"]),
        ("iso8859_5", "ISO_IR 144", "голова".encode("iso8859-5"), ["голова"]),
        ("iso8859", "", "Schädel".encode("latin-1"), ["Schädel"]),
        ("utf_8", "ISO_IR 192", b"A\xc4B", ["AÄB"]),
        ("utf_8", "ISO_IR 192", b"plain ", ["plain"]),
    ],
)
def test_strings_for_messages_are_in_the_character_set_of_the_header(
    encoding: str, character_set: str, written: bytes, expected: list[str]
) -> None:
    header = Dataset()
    header.SpecificCharacterSet = character_set
    header.set_original_encoding(False, True, encoding)
    reading.store(header, raw_element("SeriesDescription", "LO", written))
    assert texts(header, "SeriesDescription") == expected


def test_a_persons_name_made_in_memory_is_one_string() -> None:
    header = Dataset()
    header.PatientName = "Müller^Jörg"
    header.OtherPatientNames = ["Meier^J", "Maier^J"]
    assert texts(header, "PatientName") == ["Müller^Jörg"]
    assert texts(header, "OtherPatientNames") == ["Meier^J", "Maier^J"]


@pytest.mark.parametrize(
    ("keyword", "vr", "content"), [("SliceThickness", "DS", b"1,5 "), ("StudyDate", "DA", b"today ")]
)
def test_reading_neither_warns_nor_changes_the_header(keyword: str, vr: str, content: bytes) -> None:
    header = Dataset()
    reading.store(header, raw_element(keyword, vr, content))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts(header, keyword) == [content.decode().strip()]
        assert read_value(header, parse_tag(keyword)) == (content.decode().strip(),)
    assert reading.stored_elements(header)[reading.tag_of(keyword)].value is content


def test_a_string_that_pydicom_cannot_decode_is_read_without_a_warning() -> None:
    header = Dataset()
    header.set_original_encoding(False, True, "utf_8")
    reading.store(header, raw_element("PatientComments", "LT", b"A\xc4B "))
    assert read_value(header, parse_tag("PatientComments")) is not None


def test_warnings_are_back_after_the_quiet_block() -> None:
    with quiet():
        warnings.warn("not heard", stacklevel=1)
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_a_private_element_is_found_in_whichever_block_its_creator_reserved() -> None:
    header = Dataset()
    header.add_new(0x00090010, "LO", "SOMEBODY")
    header.add_new(0x000910EE, "LO", "theirs")
    header.add_new(0x000900FF, "LO", "ACME")
    header.add_new(0x0009FFEE, "LO", "ours")
    assert read_value(header, parse_tag('(0009,"ACME",EE)')) == ("ours",)
    assert list(reading.private(header, 0x0009, 0xEE, "acme", ("acme",))) == [0x0009FFEE]


def test_private_creators_are_looked_up_again_after_a_header_changes() -> None:
    header = Dataset()
    header.add_new(0x00090010, "LO", "SOMEBODY")
    header.add_new(0x0009100D, "LO", "value")
    assert list(reading.private(header, 0x0009, 0x0D, "ACME", ())) == []
    header[0x00090010].value = "ACME"
    assert list(reading.private(header, 0x0009, 0x0D, "ACME", ())) == [0x0009100D]
    del header[0x00090010]
    header.add_new(0x00090011, "LO", "ACME")
    header.add_new(0x0009110D, "LO", "other")
    assert list(reading.private(header, 0x0009, 0x0D, "ACME", ())) == [0x0009110D, 0x0009100D]


def test_equal_bytes_are_converted_to_numbers_once_and_each_caller_has_its_own_list() -> None:
    headers = [Dataset(), Dataset()]
    for header in headers:
        reading.store(header, RawDataElement(reading.tag_of("PixelSpacing"), "DS", 8, b"0.1234\\7", 0, False, True))
    before = reading._finite_numbers.cache_info().misses
    first, second = (reading.numbers(header, "PixelSpacing") for header in headers)
    first.append(1.0)
    assert second == reading.numbers(headers[0], "PixelSpacing") == [0.1234, 7.0]
    assert reading._finite_numbers.cache_info().misses == before + 1


@pytest.mark.parametrize("written", [b"nan ", b"inf ", b"1\\x "])
def test_bytes_that_are_no_finite_numbers_are_refused_each_time(written: bytes) -> None:
    header = Dataset()
    reading.store(header, RawDataElement(reading.tag_of("PixelSpacing"), "DS", 4, written, 0, False, True))
    for _ in range(2):
        with pytest.raises(VolumeError, match="which is not a number"):
            reading.numbers(header, "PixelSpacing")


def test_a_name_that_pydicom_has_converted_is_one_string() -> None:
    header = instance(1, PatientName="Doe^Jane", OperatorsName=["Roe^A", "Roe^B"])
    assert reading.text(header, "PatientName") == "Doe^Jane"
    assert texts(header, "OperatorsName") == ["Roe^A", "Roe^B"]
