"""Layouts: what they make of values, which they refuse, and that no two files ever share a name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import SelectionError, UnknownTagError
from simple_orthanc.session.exports.layouts import parse_layout
from tests.session.exports.test_names import HOSTILE

VALUES: dict[str, Value | int] = {
    "PatientID": ("P 1",),
    "PatientName": ("Doe^Jane",),
    "StudyDate": ("2020.01.31",),
    "StudyTime": ("103015.5",),
    "AcquisitionDateTime": ("20200131103015.5+0100",),
    "SeriesNumber": ("4",),
    "SliceThickness": ("1.50",),
    "ImageType": ("ORIGINAL", "PRIMARY"),
    "PixelSpacing": ("0.5", "0.25"),
    "SeriesDescription": ("T2* / FLAIR",),
    "InstanceNumber": ("-7",),
    "PixelPaddingValue": (b"\x01\x02",),
    "index": 3,
}


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("{PatientID}", "P_1"),
        ("{PatientName}.dcm", "Doe_Jane.dcm"),
        ("{StudyDate:%Y}/{StudyDate:%m-%d}/a", "2020/01-31/a"),
        ("{StudyDate:%y%j}", "20031"),
        ("{StudyTime:%H%M%S.%f}", "103015.500000"),
        ("{AcquisitionDateTime:%Y-%m-%dT%H}", "2020-01-31T10"),
        ("{SeriesNumber:03d}-{InstanceNumber:04d}.dcm", "004--007.dcm"),
        ("{SliceThickness:.1f}mm", "1.5mm"),
        ("{SliceThickness:d}", "1.50"),
        ("{PixelSpacing:.1f}", "0.5-0.2"),
        ("{ImageType}", "ORIGINAL-PRIMARY"),
        ("{ImageType:.4}", "ORIG-PRIM"),
        ("{SeriesDescription}", "T2____FLAIR"),
        ("{0020,0011}_{index:02d}", "4_03"),
        ("{StationName}/{StationName|no station}/{StationName|}/x{StationName|}.dcm", "missing/no station/x.dcm"),
        ("{StationName|}.dcm", "missing.dcm"),
        ("{StationName:.3}", "missing"),
        ("{{braces}}", "{braces}"),
        ("a b/{PatientID}", "a b/P_1"),
        ("{PixelPaddingValue}", "0102"),
    ],
)
def test_what_a_layout_makes_of_values(layout: str, path: str) -> None:
    # The names of fields are those in the layout.
    values = {**VALUES, "0020,0011": VALUES["SeriesNumber"]}
    assert str(parse_layout(layout, "download").name(values).path) == path


@pytest.mark.parametrize(
    ("value", "name"),
    [("20200231", "20200231"), ("unknown", "unknown"), ("", "")],
)
def test_what_is_no_date_is_named_as_it_is(value: str, name: str) -> None:
    made = parse_layout("x{StudyDate:%Y}", "download").name({"StudyDate": (value,) if value else None})
    assert str(made.path) == f"x{name or 'missing'}"


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("", "a layout is a string of tags"),
        (None, "a layout is a string of tags"),
        (5, "a layout is a string of tags"),
        ("/{PatientID}", "begins or ends with a slash"),
        ("{PatientID}/", "begins or ends with a slash"),
        ("a//b", "begins or ends with a slash"),
        ("../{PatientID}", "a folder of dots"),
        ("a/./b", "a folder of dots"),
        ("{PatientID", "a { without its other half"),
        ("PatientID}", "a } without its other half"),
        ("C:\\{PatientID}", "character that names on some systems cannot have"),
        ("a\0b", "character that names on some systems cannot have"),
        ("a\nb", "character that names on some systems cannot have"),
        ("{PatientID|a/b}", "the default 'a/b'"),
        ("{StudyDate:%b}", r"'%b' is no format of StudyDate: it takes %Y, .*as in \{StudyDate:%Y%m%d\}"),
        ("{StudyDate:%}", "is no format of StudyDate"),
        ("{StudyDate:04d}", "is no format of StudyDate"),
        ("{StudyTime:%Y}", "is no format of StudyTime"),
        ("{StudyDate:%Y/%m}", r"for folders write \{StudyDate:%Y\}/\{StudyDate:%m\}"),
        ("{InstanceNumber:04s}", r"a number, as in \{InstanceNumber:04d\}"),
        ("{InstanceNumber:999999999d}", "a number"),
        ("{InstanceNumber:.2d}", "a number"),
        ("{PatientID:04d}", r"a string, .*as in \{PatientID:.20\}"),
        ("{PatientID:.9999}", "a string"),
        ("{PixelData}", "a sequence or pixels"),
        ("{ReferencedImageSequence}", "a sequence or pixels"),
    ],
)
def test_layouts_that_are_refused(layout: Any, message: str) -> None:
    with pytest.raises(SelectionError, match=message) as caught:
        parse_layout(layout, "download")
    assert "A layout is, for example, " in caught.value.message


def test_an_unknown_tag_is_an_error_with_close_matches() -> None:
    with pytest.raises(UnknownTagError, match=r"download\(layout='\{PatientNme\}'\): .*Did you mean PatientName"):
        parse_layout("{PatientNme}", "download")
    with pytest.raises(UnknownTagError, match=r"\{index\}, \{label\}"):
        parse_layout("{}", "save_volumes", ("index", "label"))


def test_the_layout_of_a_message_can_be_used() -> None:
    for verb in ("download", "save_volumes"):
        with pytest.raises(SelectionError) as caught:
            parse_layout("", verb)
        (example,) = re.findall(r'for example, "(.*?)"', caught.value.message)
        parse_layout(example, verb)


@pytest.mark.parametrize("value", [*HOSTILE, "x" * 1000, "\u202e\u2066", "\r\n"])
def test_hostile_values_alone(value: str) -> None:
    name = parse_layout("{PatientID}/{PatientID}.dcm", "download").name({"PatientID": (value,)})
    whole = Path("/base", name.path)
    assert Path(os.path.normpath(whole)) == whole
    assert len(name.parts) == 2
