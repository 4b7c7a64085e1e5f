"""What a value that a user gives for a tag means, and which values are refused, with what message."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value, from_text
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.criteria import exact, like
from simple_orthanc.selection.literals import decide
from simple_orthanc.selection.parsing import predicate_for, unreadable_strings, with_exact


def holds(name: str, value: Any, string: str | None) -> bool:
    """Check whether the predicate for a value holds for an element written so; None: it is missing."""
    tag = parse_tag(name)
    written: Value = None if string is None else from_text(string, tag.vr)
    return predicate_for(tag, value).holds(written, tag.vr)


NAN, NAT, NO_SPAN = float("nan"), np.datetime64("NaT", "us"), np.timedelta64("NaT", "us")
MISSING = [
    None,
    "",
    "  ",
    "\0",
    NAN,
    Decimal("NaN"),
    np.float64("nan"),
    pd.NA,
    pd.NaT,
    NAT,
    np.timedelta64("NaT", "us"),
]


@pytest.mark.parametrize(
    ("name", "value", "yes", "no"),
    [
        ("SeriesDescription", "ct*", ["CT", "ct_scan"], ["a ct", None]),
        ("SeriesDescription", " ct_scan ", ["CT_SCAN"], ["ct_scan2"]),
        ("SeriesDescription", ["a*", "b"], ["abc", "B"], ["bc", None]),
        ("SeriesDescription", [], [], ["a", None]),
        ("SeriesDescription", ["a", None], ["a", None], ["b"]),
        ("SeriesDescription", {"a"}, ["a"], ["b"]),
        ("SeriesDescription", frozenset({"a"}), ["a"], ["b"]),
        ("SeriesDescription", {"a": 1}.keys(), ["a"], ["b"]),
        ("SeriesDescription", np.array(["a", "b"]), ["a", "b"], ["c"]),
        ("SeriesDescription", pd.Series(["a", None]), ["a", None], ["c"]),
        ("SeriesDescription", pd.Index(["a"]), ["a"], ["c"]),
        ("SeriesDescription", np.str_("a"), ["a"], ["b"]),
        ("SeriesDescription", re.compile("T[12]"), ["axT2"], ["axt2", None]),
        ("SeriesDescription", str.isdigit, ["12"], ["a", None]),
        ("SeriesDescription", exact("T2*"), ["T2*"], ["T2*_GRE", "t2*"]),
        ("SeriesDescription", exact("a\\*"), ["a\\*"], ["a", "*", "A\\*", "a\\b"]),
        ("ImageComments", exact("a\\b"), ["a\\b"], ["a"]),
        ("SeriesDescription", like("T2*"), ["T2*", "t2*_gre"], ["T1"]),
        ("SeriesDescription", [exact("T2*"), like("x?")], ["T2*", "xy"], ["T2*_GRE", "x?z"]),
        ("SeriesDescription", 5, ["5"], ["5.0"]),
        ("PatientID", "a", ["a"], ["A"]),
        ("PatientID", 12345, ["12345"], ["012345"]),
        ("PatientID", np.int64(7), ["7"], ["8"]),
        ("PatientID", 7.0, ["7"], ["7.0"]),
        ("PatientID", Decimal(7), ["7"], ["8"]),
        ("PatientID", 10**400, [str(10**400)], ["1"]),
        ("PatientName", "doe^jane", ["DOE^Jane^^", "Doe^Jane=X"], ["Doe", None]),
        ("SliceThickness", 1, ["1.0", "1", "+1.00"], ["1.1", "x", None]),
        ("SliceThickness", "1", ["1.0"], ["1.1"]),
        ("SliceThickness", Decimal("1.5"), ["1.50"], ["1.5001"]),
        ("SliceThickness", np.float32(0.5), ["0.5"], ["0.6"]),
        ("SliceThickness", [1, "2", (3, 4)], ["1.0", "2.0", "3.5"], ["2.5", None]),
        ("SliceThickness", np.array([1.0, 2.0]), ["1", "2"], ["3"]),
        ("SliceThickness", range(3), ["0", "2.0"], ["3", "0.5"]),
        ("SliceThickness", (1, 3), ["1", "3.0"], ["0.99", "3.01", None]),
        ("SliceThickness", (None, "3"), ["-1", "3"], ["4", None]),
        ("SliceThickness", (1, NAN), ["1", "9"], ["0"]),
        ("SliceThickness", lambda number: number > 2, ["2.5"], ["2", "x", None]),
        ("SliceThickness", exact("1.50"), ["1.50"], ["1.5"]),
        ("SeriesNumber", "7", ["007"], ["8"]),
        ("SeriesNumber", (1, 3), ["2"], ["4"]),
        ("StudyDate", "20200131", ["20200131", "2020.01.31"], ["20200130", None]),
        ("StudyDate", "2020-01-31", ["20200131"], ["20200130"]),
        ("StudyDate", 20200131, ["20200131"], ["20200130"]),
        ("StudyDate", date(2020, 1, 31), ["20200131"], ["20200130"]),
        ("StudyDate", datetime(2020, 1, 31), ["20200131"], ["20200130"]),
        ("StudyDate", pd.Timestamp("2020-01-31"), ["20200131"], ["20200130"]),
        ("StudyDate", np.datetime64("2020-01-31", "D"), ["20200131"], ["20200130"]),
        ("StudyDate", "20200101-20201231", ["20200101", "20201231"], ["20191231", "20210101", None]),
        ("StudyDate", "20200101 - 20201231", ["20200601"], ["20210101"]),
        ("StudyDate", "20200101-", ["20990101"], ["20191231", None]),
        ("StudyDate", "-20201231", ["19000101"], ["20210101", None]),
        ("StudyDate", ("20200101", date(2020, 12, 31)), ["20200601"], ["20210101"]),
        ("StudyDate", "2020*", ["20200131"], ["20210131"]),
        ("StudyDate", lambda day: day.year == 2020, ["20200131"], ["20210131", "x"]),
        ("StudyTime", "10:30", ["1030", "103000.0"], ["103001"]),
        ("StudyTime", time(10, 30), ["103000"], ["103001"]),
        ("StudyTime", timedelta(hours=10), ["10"], ["11"]),
        ("StudyTime", pd.Timedelta("10h"), ["100000"], ["11"]),
        ("StudyTime", np.timedelta64(10, "h"), ["10"], ["11"]),
        ("StudyTime", "10-12", ["1030", "12"], ["1201", "0959"]),
        ("AcquisitionDateTime", "2020-01-31 10:30:00", ["20200131103000", "20200131113000+0100"], ["20200131103001"]),
        ("AcquisitionDateTime", datetime(2020, 1, 31, 10, tzinfo=timezone.utc), ["2020013110"], ["2020013111"]),
        ("AcquisitionDateTime", date(2020, 1, 31), ["20200131"], ["2020013101"]),
        ("AcquisitionDateTime", "20200101-20201231", ["20200601"], ["20201231000001"]),
        ("AcquisitionDateTime", "202001-202006", ["20200320"], ["202007", "2019"]),
        ("AcquisitionDateTime", "2020-2021", ["202012"], ["2022"]),
        ("PatientAge", "045Y", ["045Y", "45Y"], ["540M"]),
        ("PatientAge", "45y", ["045Y", "45Y"], ["4Y", "450Y", "45M"]),
        ("PatientAge", "04*Y", ["045Y"], ["45Y", "004Y"]),
        ("PatientAge", ["7D", "unknown"], ["007D", "unknown"], ["07W"]),
        ("PatientAge", ["> old", exact(">60")], ["> old", ">60"], ["061Y"]),
        ("PatientAge", ("018Y", "030Y"), ["018Y", "300M"], ["017Y", "45", None]),
        ("PatientAge", 60, ["060Y", "60Y", "720M"], ["061Y", "60", "059Y", None]),
        ("PatientAge", (60, None), ["060Y", "061Y"], ["059Y", "719M", "x", None]),
        ("PatientAge", [0.5, "030Y"], ["006M", "030Y"], ["005M"]),
        ("ImageType", "PRIMARY", ["ORIGINAL\\PRIMARY"], ["PRIMARY2", None]),
        ("ImageType", ("ORIGINAL", "PRIM*"), ["original\\primary"], ["PRIMARY\\ORIGINAL", "ORIGINAL\\PRIMARY\\X"]),
        ("ImageType", "ORIGINAL\\PRIMARY", ["ORIGINAL\\PRIMARY"], ["PRIMARY\\ORIGINAL"]),
        ("ImageType", ("A", ""), ["A\\"], ["A", "A\\B"]),
        ("ImageType", [("A", "B"), "C"], ["A\\B", "X\\C"], ["B\\A"]),
        ("PixelSpacing", (1, 2), ["1.0\\2.00"], ["2\\1", "1.5\\1.5"]),
        ("PixelSpacing", "1\\2", ["1.0\\2"], ["1\\3"]),
        ("PixelSpacing", (1.0, None), ["1\\x", "1\\"], ["1\\2"]),
        ("PixelSpacing", 1, ["1\\2"], ["2\\3"]),
        ("WindowCenter", ("40", "400"), ["40\\400"], ["40", "100"]),
        ("ImageComments", "a\\b", ["a\\b"], ["a"]),
        ("0009,1001", 5, ["5.0"], ["x", None]),
        ("0009,1001", "5*", ["5.0"], ["6"]),
        ("StudyInstanceUID", "1.2.*", ["1.2.3"], ["1.3"]),
        ("FrameIncrementPointer", "0018,1063", ["0018,1063"], ["0018,1065"]),
        ("PatientName", PersonName("Doe^Jane"), ["DOE^JANE^^"], ["Doe^J"]),
        ("PatientName", [PersonName("Doe^Jane"), PersonName("")], ["Doe^Jane", None], ["Doe"]),
        ("PatientName", MultiValue(PersonName, ["Doe^Jane", "Roe"]), ["Doe^Jane", "ROE"], ["Jane", None]),
        ("OtherPatientNames", MultiValue(PersonName, ["Doe^Jane", "Roe"]), ["Doe^Jane\\Roe"], ["Doe^Jane", "Roe"]),
        ("ImageType", MultiValue(str, ["A", "B"]), ["A\\B"], ["A", "B\\A"]),
        ("PixelSpacing", MultiValue(float, [1, 2]), ["1.0\\2"], ["1", "1.5\\1.5"]),
        ("SliceThickness", MultiValue(float, [1, 3]), ["1", "3.0"], ["2"]),
        *[("SliceThickness", nothing, [None, ""], ["1"]) for nothing in MISSING],
        *[("SeriesDescription", nothing, [None, ""], ["a"]) for nothing in MISSING],
    ],
)
def test_what_a_value_means(name: str, value: Any, yes: list[str | None], no: list[str | None]) -> None:
    assert {string: holds(name, value, string) for string in [*yes, *no]} == {
        **dict.fromkeys(yes, True),
        **dict.fromkeys(no, False),
    }


def test_spaces_that_are_not_padding_are_a_value() -> None:
    assert holds("SeriesDescription", "\u3000", "\u3000")
    assert not holds("SeriesDescription", "\u3000", None)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("StudyDate", "20200231", 'a date is written "20200131", "2020-01-31" or datetime.date(2020, 1, 31)'),
        ("StudyDate", "yesterday", "a date is written"),
        ("StudyDate", "31.01.2020", "a date is written"),
        ("StudyDate", 2020, "a date is written"),
        ("StudyDate", 1.5, "a date is written"),
        ("StudyDate", True, "a date is written"),
        ("StudyDate", datetime(2020, 1, 31, 10), "a date is written"),
        ("StudyDate", "20200101-2020123", "a date is written"),
        ("StudyDate", "20200101-20200201-20200301", "a date is written"),
        ("StudyDate", "-", "a range needs at least one end"),
        ("StudyDate", ("20201231", "20200101"), "its low end lies above its high end"),
        ("StudyDate", "20201231-20200101", "its low end lies above its high end"),
        ("StudyDate", (None, None), "a range needs at least one end"),
        ("StudyDate", ("20200101", "20200601", "20201231"), "give a list, ['20200101', '20200601', '20201231']"),
        ("StudyDate", ("20200101",), "a tuple is a range (low, high) with both ends included"),
        ("StudyTime", "25:00", 'a time is written "103000", "10:30:00" or datetime.time(10, 30)'),
        ("StudyTime", 10, "a time is written"),
        ("StudyTime", date(2020, 1, 1), "a time is written"),
        ("AcquisitionDateTime", "2020-13-01", 'a date-time is written "20200131103000"'),
        ("AcquisitionDateTime", time(10), "a date-time is written"),
        ("SliceThickness", "thin", 'a number is written 3, 2.5 or "2.5"'),
        ("SliceThickness", "1*", "a number is written"),
        ("SliceThickness", "1-3", "a range is a tuple (low, high), either end None; several values are a list"),
        ("SliceThickness", True, "a number is written"),
        ("SliceThickness", 1j, "a number is written"),
        ("SliceThickness", date(2020, 1, 1), "a number is written"),
        ("SliceThickness", (3, 1), "its low end lies above its high end"),
        ("SliceThickness", (1, 2, 3), "give a list, [1, 2, 3]"),
        ("SliceThickness", ("a", "b"), "a number is written"),
        ("SliceThickness", [1, "thin"], "a number is written"),
        ("SliceThickness", {"a": 1}, "a number is written"),
        ("PatientAge", -45, 'an age is a number of years, or is written "045Y", "003M", "002W" or "010D"'),
        ("PatientAge", [math.inf], "an age is a number of years"),
        ("PatientAge", date(2020, 1, 1), "an age is a number of years"),
        ("PatientAge", True, "an age is a number of years"),
        ("PatientAge", ">60", "the string itself is exact('>60'). Perhaps age() > 60 is meant."),
        ("PatientAge", "<= 006M", "Perhaps age() <= 0.5 is meant."),
        ("PatientAge", ["060Y", ">=60"], "PatientAge='>=60': an age is a number of years"),
        ("PatientAge", (18, "old"), "PatientAge='old': an age is a number of years"),
        ("SliceThickness", ">2", 'Perhaps tag("SliceThickness") > 2.0 is meant.'),
        ("SliceThickness", "1,5", "Perhaps SliceThickness=1.5 is meant."),
        ("SliceThickness", "-1,5 ", "Perhaps SliceThickness=-1.5 is meant."),
        ("SliceThickness", "1, 5", "Perhaps SliceThickness=[1.0, 5.0] is meant."),
        ("SliceThickness", "<=1,5", 'Perhaps tag("SliceThickness") <= 1.5 is meant.'),
        ("SliceThickness", "1,5..3", "Perhaps SliceThickness=(1.5, 3.0) is meant."),
        ("EchoNumbers", "1,5", "Perhaps EchoNumbers=[1, 5] is meant."),
        ("SliceThickness", "1:2", "Perhaps SliceThickness=(1.0, 2.0) is meant."),
        ("SliceThickness", "1..", "Perhaps SliceThickness=(1.0, None) is meant."),
        ("SliceThickness", "[1, 2.5]", "Perhaps SliceThickness=[1.0, 2.5] is meant."),
        ("StudyDate", "20200101:20201231", "Perhaps StudyDate=('20200101', '20201231') is meant."),
        ("StudyDate", "2020/1/31", "Perhaps StudyDate='20200131' is meant."),
        ("StudyDate", "2020-01", "StudyDate='2020-01': a date"),
        ("StudyDate", "2020-01", "Perhaps StudyDate='202001*' is meant."),
        ("SliceThickness", "(2)", "Perhaps SliceThickness=[2.0] is meant."),
        ("StudyTime", "10:00:00..11:30:00", "Perhaps StudyTime=('10:00:00', '11:30:00') is meant."),
        ("SeriesDescription", ("a", "b"), "For any of these give a list: ['a', 'b']"),
        ("PatientName", ("a", "b"), "a tuple is a range, and strings have none"),
        (
            "SeriesDescription",
            1.5,
            "SeriesDescription holds strings (LO), and 1.5 is of type float: give a string or a list of strings",
        ),
        ("SeriesDescription", True, "is of type bool"),
        ("SeriesDescription", np.bool_(True), "give a string or a list of strings"),
        ("SeriesDescription", date(2020, 1, 1), "is of type date"),
        ("SeriesDescription", b"ct", "is of type bytes"),
        ("SeriesDescription", Decimal("Infinity"), "SeriesDescription holds strings (LO)"),
        ("PatientID", Decimal("sNaN"), "PatientID holds strings (LO)"),
        ("SliceThickness", Decimal("sNaN"), "a number is written"),
        ("SliceThickness", Fraction(10**400), "a number is written"),
        ("AcquisitionDateTime", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "in UTC it is outside"),
        ("AcquisitionDateTime", (datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), None), "in UTC it is"),
        ("SeriesDescription", {"a": 1}, "is of type dict"),
        ("SeriesDescription", 1j, "is of type complex"),
        ("SeriesDescription", float("inf"), "is of type float"),
        ("SeriesDescription", re.compile(b"x"), "for bytes; give one for strings"),
        ("RedPaletteColorLookupTableData", "x", "holds binary data (OW)"),
    ],
)
def test_values_that_are_not_possible_are_refused(name: str, value: Any, says: str) -> None:
    with pytest.raises(SelectionError, match=re.escape(says)):
        predicate_for(parse_tag(name), value)


@given(st.text(max_size=5), st.sampled_from(["LO", "PN"]))
def test_any_string_of_the_archive_can_be_given(string: str, vr: str) -> None:
    """Whatever the archive holds is found by itself, wildcards and all."""
    name = {"LO": "SeriesDescription", "PN": "PatientName"}[vr]
    value = from_text(string, vr)
    if value is None:
        return
    predicate = predicate_for(parse_tag(name), "\\".join(map(str, value)))
    assert decide(predicate, [str(part) for part in value], ()).holds(value, vr)


@pytest.mark.parametrize(
    ("name", "value", "unreadable"),
    [
        ("StudyDate", "20200131", []),
        ("StudyDate", " 00000000 ", ["00000000"]),
        ("StudyDate", ["00000000", "20200131", None, "never"], ["00000000", "never"]),
        ("StudyDate", {"00000000"}, ["00000000"]),
        ("StudyDate", np.array(["00000000"]), ["00000000"]),
        ("StudyDate", ("00000000", "20200131"), []),
        ("StudyDate", "2020*", []),
        ("StudyDate", date(2020, 1, 31), []),
        ("StudyTime", "106015", ["106015"]),
        ("AcquisitionDateTime", "unknown", ["unknown"]),
        ("SliceThickness", "thin", ["thin"]),
        ("SliceThickness", "", []),
        ("PixelSpacing", ("1", "x"), ["x"]),
        ("PixelSpacing", MultiValue(str, ["1", "x"]), ["x"]),
        ("SeriesDescription", "anything", []),
    ],
)
def test_which_strings_cannot_be_read_as_what_the_tag_holds(name: str, value: Any, unreadable: list[str]) -> None:
    assert unreadable_strings(parse_tag(name), value) == unreadable


@pytest.mark.parametrize(
    ("name", "value", "marked"),
    [
        ("StudyDate", " 00000000 ", exact("00000000")),
        ("PatientAge", ["060Y", ">60"], ["060Y", exact(">60")]),
        ("StudyDate", "20200131", "20200131"),
        ("StudyDate", ["00000000", "20200131"], [exact("00000000"), "20200131"]),
        ("StudyDate", np.array(["00000000"]), [exact("00000000")]),
        ("StudyDate", ("20200131", None), ("20200131", None)),
        ("PixelSpacing", ("1", "00000000"), ("1", exact("00000000"))),
        ("StudyDate", 20200131, 20200131),
    ],
)
def test_strings_are_marked_as_exact_wherever_they_are_given(name: str, value: Any, marked: Any) -> None:
    assert with_exact(parse_tag(name), value, {"00000000", ">60"}) == marked
