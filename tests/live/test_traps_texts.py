"""Traps 24 and 25: texts in any script, empty and missing and too long values, through real servers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Orthanc
from simple_orthanc.phantom import as_bytes, make_series

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured

# Characters and their declaration (PS3.5 6.1.2): names as in the standard's examples, and a description.
SCRIPTS = {
    "Latin 1": ("ISO_IR 100", "Buc^Jérôme", "Crâne"),
    "Latin 2": ("ISO_IR 101", "Wałęsa", "Łódź"),
    "Cyrillic": ("ISO_IR 144", "Люкceмбypг", "голова"),
    "Arabic": ("ISO_IR 127", "قباني^لنزار", "رأس"),
    "Greek": ("ISO_IR 126", "Διονυσιος", "κεφαλή"),
    "Hebrew": ("ISO_IR 138", "שרון^דבורה", "ראש"),
    "Thai": ("ISO_IR 166", "สมชาย", "ศีรษะ"),
    "Japanese by escapes": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "頭部"),
    "half-width Japanese": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "頭部"),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "머리"),
    "Chinese, GB18030": ("GB18030", "Wang^XiaoDong=王^小东", "头部"),
    # In GBK a second byte can be a backslash: 誠 is 0xD5 0x5C.
    "Chinese, backslash in a character": ("GBK", "Wang^XiaoDong=王^誠", "誠"),
    "Unicode": ("ISO_IR 192", "Wang^XiaoDong=王^小東", "T2 ½ µ"),
}


def one(**keywords: Any) -> Dataset:
    return make_series((1, 4, 4), seed=1, **keywords)[0]


@pytest.mark.parametrize("script", SCRIPTS)
def test_strings_come_back_as_they_were_written(orthanc: Orthanc, script: str) -> None:
    characters, name, description = SCRIPTS[script]
    with pydicom.config.disable_value_validation():
        header = one()
        header.SpecificCharacterSet = characters
        header.PatientName, header.SeriesDescription, header.ImageComments = name, description, description
        content = as_bytes(header)
    assert orthanc.upload_file(content).status.tolist() == ["stored"]
    assert str(orthanc.get_header().PatientName) == name
    assert orthanc.get_header().SeriesDescription == orthanc.get_header().ImageComments == description
    assert orthanc.PatientNames == [name]
    table = orthanc.table("PatientName", "SeriesDescription", "ImageComments", level="instance")
    assert table.iloc[0].tolist() == [name, description, description]
    for criterion in ({"PatientName": name}, {"SeriesDescription": description}, {"ImageComments": description}):
        assert orthanc.copy().select(**criterion).get_array().shape == (1, 4, 4)
    for group in name.split("="):
        if group:
            assert orthanc.copy().select(PatientName=group).series_count == 1


def test_a_backslash_separates_values_only_where_several_are_allowed(orthanc: Orthanc) -> None:
    header = one(ImageType=("ORIGINAL", "PRIMARY", "AXIAL"))
    for keyword, value in {"ImageComments": "C:\\data\\1", "TextComments": "a\\b", "TextString": "c\\d"}.items():
        header.add_new(keyword, "UT" if keyword == "TextString" else "LT", value)
    orthanc.upload_dataset(header)
    found = orthanc.get_header()
    assert (found.ImageComments, found.TextComments, found.TextString) == ("C:\\data\\1", "a\\b", "c\\d")
    assert list(found.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert orthanc.get_dicom_tag("ImageComments") == ["C:\\data\\1"]
    assert orthanc.ImageTypes == [("ORIGINAL", "PRIMARY", "AXIAL")]
    for criterion in ({"ImageType": "AXIAL"}, {"ImageComments": "C:\\data\\1"}):
        assert orthanc.copy().select(**criterion).instance_count == 1


@pytest.mark.parametrize("written", ["1", "1.0", "1e0", " 1.000 ", "+1", "01"])
def test_numbers_by_value_and_as_written(orthanc: Orthanc, written: str) -> None:
    header = one()
    header.SliceThickness = "7777"
    content = as_bytes(header)
    element = b"\x18\x00\x50\x00DS\x04\x00" + b"7777"
    assert content.count(element) == 1
    padded = written.encode() + b" " * (len(written) % 2)
    with_written = b"\x18\x00\x50\x00DS" + len(padded).to_bytes(2, "little") + padded
    assert orthanc.upload_file(content.replace(element, with_written)).status.tolist() == ["stored"]
    assert orthanc.table("SliceThickness", level="instance").SliceThickness.tolist() == [1.0]
    for value in (1, 1.0, "1.0", "1"):
        assert orthanc.copy().select(SliceThickness=value).instance_count == 1
    assert orthanc.get_volume().spacing == (1, 1, 1)


def test_a_decimal_comma_is_read_as_the_number_it_is(orthanc: Orthanc) -> None:
    header = one(SpacingBetweenSlices="7777", modality="MR")
    content = as_bytes(header)
    assert content.count(b"DS\x04\x007777") == 1
    orthanc.upload_file(content.replace(b"DS\x04\x007777", b"DS\x04\x002,5 "))
    assert orthanc.get_volume().spacing == (1, 1, 2.5)


def test_none_selects_empty_and_missing_values_which_headers_distinguish(orthanc: Orthanc) -> None:
    empty = one(PatientID="empty", StudyDescription="")
    missing = make_series((1, 4, 4), seed=2, PatientID="missing")[0]
    filled = make_series((1, 4, 4), seed=3, PatientID="filled", StudyDescription="head")[0]
    orthanc.upload_dataset([empty, missing, filled])
    assert orthanc.copy().select(PatientID="empty").get_header().get("StudyDescription", "absent") in ("", None)
    assert "StudyDescription" not in orthanc.copy().select(PatientID="missing").get_header()
    assert orthanc.copy().select(StudyDescription=None).PatientIDs == ["empty", "missing"]
    assert orthanc.copy().exclude(StudyDescription=None).PatientIDs == ["filled"]
    assert orthanc.table("PatientID", "StudyDescription").StudyDescription.isna().tolist() == [True, False, True]


LONG = "".join(chr(ord("a") + number % 26) for number in range(300))


def test_a_long_value_is_whole_in_headers_tables_and_selections(orthanc: Orthanc) -> None:
    """Orthanc answers null, or TooLong, for more than 256 characters in its simplified tags."""
    orthanc.upload_dataset([one(ImageComments=LONG), make_series((1, 4, 4), seed=2, ImageComments=LONG[:-1])[0]])
    assert sorted(len(header.ImageComments) for header in orthanc.get_headers()) == [299, 300]
    assert sorted(orthanc.get_dicom_tag("ImageComments"), key=len) == [LONG[:-1], LONG]
    assert orthanc.copy().select(ImageComments=LONG).get_header().ImageComments == LONG
    assert orthanc.copy().select(ImageComments=LONG[:-1]).instance_count == 1


def test_a_tag_of_the_image_is_not_that_of_one_instance(orthanc: Orthanc) -> None:
    """Orthanc answers a series' RequestedTags with the value of one instance."""
    orthanc.upload_dataset(make_series((4, 4, 4), seed=1, KVP=[80, 80, 120, 120]))
    assert orthanc.copy().select(KVP=80).get_array()[:, 0, 0].tolist() == [0, 1]
    assert orthanc.copy().select(KVP=120).get_array()[:, 0, 0].tolist() == [2, 3]
    assert orthanc.get_dicom_tag("KVP", unique=False, level="instance") == [80, 80, 120, 120]


def test_elements_after_the_pixels_do_no_harm(orthanc: Orthanc) -> None:
    header = one()
    header.add_new(0xFFFCFFFC, "OB", bytes(10))
    orthanc.upload_dataset(header)
    (instance,) = orthanc.get_instances()
    assert instance[0xFFFCFFFC].value == bytes(10)
    assert np.array_equal(orthanc.get_array(), [[[0] * 4] * 4])
