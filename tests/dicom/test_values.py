"""Values in their one form, and what numbers, dates and times they are, against pydicom's own reading."""

from __future__ import annotations

import io
import math
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import DSdecimal, DSfloat

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import (
    Value,
    comparable,
    from_text,
    from_texts,
    parse_number,
    read_value,
    shown,
    typed,
)
from simple_orthanc.files.tag_reader import read_tags
from tests.memory_source import as_file, instance


@pytest.mark.parametrize(
    ("text", "vr", "value"),
    [
        ("ORIGINAL\\PRIMARY ", "CS", ("ORIGINAL", "PRIMARY")),
        ("1.2.840\0", "UI", ("1.2.840",)),
        (" a ", "LO", ("a",)),
        ("a\\\\b", "LO", ("a", "", "b")),
        ("a\\", "LO", ("a", "")),
        ("", "LO", None),
        ("  ", "LO", None),
        ("\\", "LO", None),
        ("\0", "UI", None),
        ("ABC\0XYZ", "LO", ("ABC",)),
        ("A \0\\B", "CS", ("A",)),
        ("A\\\0\\B", "PN", ("A", "")),
        ("a\0b", "LT", ("a",)),
        ("\0ABC", "SH", None),
        ("a\\b", "LT", ("a\\b",)),
        ("a\\b", "ST", ("a\\b",)),
        ("a\\b", "UT", ("a\\b",)),
        ("http://h/a\\b", "UR", ("http://h/a\\b",)),
        ("a\\b", "UC", ("a", "b")),
        ("Doe^Jane==", "PN", ("Doe^Jane",)),
        ("Doe^Jane^^", "PN", ("Doe^Jane^^",)),
        ("Yamada^Tarou=山田^太郎", "PN", ("Yamada^Tarou=山田^太郎",)),
        ("=", "PN", None),
    ],
)
def test_a_text_becomes_values(text: str, vr: str, value: Value) -> None:
    assert from_text(text, vr) == value


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


@given(st.lists(st.text(st.characters(exclude_characters="\\"))), st.sampled_from(["LO", "CS", "DS", "PN", "UI"]))
def test_reading_a_value_again_changes_nothing(texts: list[str], vr: str) -> None:
    value = from_texts(texts, vr)
    if value is not None:
        assert from_texts([str(part) for part in value], vr) == value
        assert from_text("\\".join(str(part) for part in value), vr) == value


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
def test_every_text_and_number_of_a_real_file_is_what_pydicom_reads(name: str) -> None:
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


@pytest.mark.parametrize(
    ("text", "vr", "number"),
    [
        ("1.50", "DS", 1.5),
        (" 1.50 ", "DS", 1.5),
        ("-1e-3", "DS", -0.001),
        (".5", "DS", 0.5),
        ("5.", "DS", 5.0),
        ("+007", "IS", 7),
        ("-0", "IS", 0),
        ("3.0", "IS", 3),
        ("3.5", "IS", None),
        ("18446744073709551615", "UV", 2**64 - 1),
        ("9007199254740993", "SV", 2**53 + 1),
        ("1,5", "DS", None),
        ("1.5mm", "DS", None),
        ("", "DS", None),
        ("1_000", "DS", None),
        ("1_000", "IS", None),
        ("١٢", "IS", None),
        ("٣", "DS", None),
        ("0x10", "IS", None),
        ("nan", "DS", None),
        ("inf", "DS", None),
        ("1e999", "DS", None),
        ("nan", "FD", None),
        ("-inf", "FD", -math.inf),
        ("inf", "IS", None),
        ("12.5", "UN", 12.5),
        ("abc", "UN", None),
    ],
)
def test_numbers(text: str, vr: str, number: float | None) -> None:
    found = parse_number(text, vr)
    assert found == number
    assert type(found) is type(number)


# At the very end of the range, rounding to sixteen letters makes infinity.
@given(st.floats(-1e308, 1e308))
def test_a_decimal_string_is_the_number_pydicom_reads(number: float) -> None:
    text = pydicom.valuerep.format_number_as_ds(number)
    assert parse_number(text, "DS") == float(DSfloat(text))


@given(st.integers(-(2**31), 2**31 - 1))
def test_an_integer_string_is_the_number_pydicom_reads(number: int) -> None:
    assert parse_number(str(number), "IS") == int(pydicom.valuerep.IS(str(number))) == number


def test_text_and_bytes_do_not_compare_by_value() -> None:
    assert comparable("5", "LO") is None
    assert comparable(b"5", "DS") is None


def test_what_a_users_function_gets() -> None:
    assert typed("1.50", "DS") == 1.5
    assert typed("20200131", "DA") == date(2020, 1, 31)
    assert typed("1030", "TM") == timedelta(hours=10, minutes=30)
    assert typed("2020", "DT") == datetime(2020, 1, 1)
    assert typed("045Y", "AS") == "045Y"
    assert typed("a", "LO") == "a"
    assert typed("abc", "DS") is None


@pytest.mark.parametrize(
    ("value", "name", "seen"),
    [
        (("1.50",), "SliceThickness", 1.5),
        (("7",), "SeriesNumber", 7),
        (("abc",), "SliceThickness", None),
        (("20200131",), "StudyDate", "20200131"),
        (("A",), "ImageType", ("A",)),
        (("A", ""), "ImageType", ("A", "")),
        (("0.5", "0.50"), "PixelSpacing", (0.5, 0.5)),
        (("0.5", "x"), "PixelSpacing", (0.5, None)),
        (("a", "b"), "SeriesDescription", "a\\b"),
        ((b"\x00\xff",), "0009,1001", b"\x00\xff"),
        (None, "ImageType", None),
    ],
)
def test_what_lists_of_values_hold(value: Value, name: str, seen: object) -> None:
    assert shown(value, parse_tag(name)) == seen
