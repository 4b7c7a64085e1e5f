"""What a user may give for a tag, what it means, and what is refused, with the right form shown."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
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
from simple_orthanc.errors import SelectionError, UnknownTagError
from simple_orthanc.selection.conditions import Comparison, Condition, Not, settle
from simple_orthanc.selection.criteria import TagField, condition_for, exact, label, like, metadata, tag


def given_for(name: str, value: Any) -> Condition:
    return condition_for(parse_tag(name), value)


def holds(condition: Condition, text: str | None) -> bool:
    """Say whether a condition on one tag holds for an element written so; None: it is missing."""
    leaf = next(iter(condition.comparisons()))
    value: Value = None if text is None else from_text(text, leaf.field.vr)
    return condition.mask(lambda each: [each.holds(value)])[0]


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
        ("PatientAge", ("018Y", "030Y"), ["018Y", "300M"], ["017Y", "45", None]),
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
        ("RequestAttributesSequence", None, [None], []),
    ],
)
def test_what_a_value_means(name: str, value: Any, yes: list[str | None], no: list[str | None]) -> None:
    condition = given_for(name, value)
    assert {text: holds(condition, text) for text in [*yes, *no]} == {
        **dict.fromkeys(yes, True),
        **dict.fromkeys(no, False),
    }


def test_spaces_that_are_no_padding_are_text() -> None:
    assert holds(given_for("SeriesDescription", "\u3000"), "\u3000")
    assert not holds(given_for("SeriesDescription", "\u3000"), None)


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
        ("AcquisitionDateTime", "2020-13-01", 'a moment is written "20200131103000"'),
        ("AcquisitionDateTime", time(10), "a moment is written"),
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
        ("PatientAge", 45, 'an age is written "045Y", "003M", "002W" or "010D"'),
        ("PatientAge", [45], "an age is written"),
        ("PatientAge", 45.0, "an age is written"),
        ("PatientAge", True, "an age is written"),
        ("PatientAge", (18, 30), 'an age is written "045Y", "003M", "002W" or "010D"'),
        ("PatientAge", ("18", "30"), "an age is written"),
        ("SeriesDescription", ("a", "b"), "For any of these give a list: ['a', 'b']"),
        ("PatientName", ("a", "b"), "a tuple is a range, and text has none"),
        (
            "SeriesDescription",
            1.5,
            "SeriesDescription is text (LO), and 1.5 is a float: give a text or a list of texts",
        ),
        ("SeriesDescription", True, "is a bool"),
        ("SeriesDescription", np.bool_(True), "give a text or a list of texts"),
        ("SeriesDescription", date(2020, 1, 1), "is a date"),
        ("SeriesDescription", b"ct", "is a bytes"),
        ("SeriesDescription", Decimal("Infinity"), "SeriesDescription is text (LO)"),
        ("PatientID", Decimal("sNaN"), "PatientID is text (LO)"),
        ("SliceThickness", Decimal("sNaN"), "a number is written"),
        ("SliceThickness", Fraction(10**400), "a number is written"),
        ("AcquisitionDateTime", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "in UTC it is outside"),
        ("AcquisitionDateTime", (datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), None), "in UTC it is"),
        ("SeriesDescription", {"a": 1}, "is a dict"),
        ("SeriesDescription", 1j, "is a complex"),
        ("SeriesDescription", float("inf"), "is a float"),
        ("SeriesDescription", re.compile(b"x"), "for bytes; give one for text"),
        ("RedPaletteColorLookupTableData", "x", "holds binary data (OW)"),
        ("PixelData", "x", "holds pixels, which are not searched"),
        ("RequestAttributesSequence", "x", 'tag("RequestAttributesSequence[0].CodeMeaning") == ...'),
        ("RequestAttributesSequence", ["x"], "is a sequence and has no value of its own"),
        ("RequestAttributesSequence", re.compile("x"), "is a sequence and has no value of its own"),
        ("RequestAttributesSequence", lambda value: True, "is a sequence and has no value of its own"),
        ("PatientID", pd.DataFrame({"PatientID": ["P1"]}), 'name the column that is meant, as in frame["PatientID"]'),
        ("Modality", tag("Modality"), "A condition stands by itself"),
        ("Modality", tag("Modality") == "CT", "not select(Modality=tag(\"Modality\") == 'CT')"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, value: Any, says: str) -> None:
    with pytest.raises(SelectionError, match=re.escape(says)):
        given_for(name, value)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: tag("PatientName") > "A", "PatientName is text (PN) and has no order"),
        (lambda: tag("SeriesDescription") <= "A", "use == with wildcards, isin([...]) or matches(...)"),
        (lambda: tag("PatientName").between("A", "B"), "has no order"),
        (lambda: tag("SeriesDescription") < 3, "has no order"),
        (lambda: tag("RequestAttributesSequence") < 3, "has no order"),
        (lambda: tag("SliceThickness") < "thin", "a number is written"),
        (lambda: tag("SliceThickness") < None, "a number is written"),
        (lambda: tag("StudyDate") >= "20200231", "a date is written"),
        (lambda: tag("StudyDate") >= 2020, "a date is written"),
        (lambda: tag("PatientAge") >= 18, "an age is written"),
        (lambda: tag("SliceThickness").between(3, 1), "the range is empty"),
        (lambda: tag("SliceThickness").between(None, None), "a range needs at least one end"),
        (lambda: tag("Modality").isin("CT"), "isin takes a list: tag(\"Modality\").isin(['CT'])"),
        (lambda: tag("Modality").isin(pd.DataFrame({"Modality": ["CT"]})), 'as in frame["Modality"]'),
        (lambda: tag("Modality").isin(5), 'isin takes a list: tag("Modality").isin([5])'),  # type: ignore[arg-type]
        (lambda: tag("Modality").isin(None), "isin takes a list"),  # type: ignore[arg-type]
        (lambda: tag("Modality").isin(b"CT"), "isin takes a list"),
        (lambda: tag("Modality").isin(exact("CT")), "isin([Exact(text='CT')])"),  # type: ignore[arg-type]
        (lambda: tag("Modality").matches("("), "'(' is no regular expression"),
        (lambda: tag("Modality").matches(5), "5 is no regular expression"),  # type: ignore[arg-type]
        (lambda: tag("Modality").where("CT"), "where takes a function"),  # type: ignore[arg-type]
        (lambda: tag("RequestAttributesSequence") == "x", "is a sequence and has no value of its own"),
        (lambda: tag("KVP") == (tag("Modality") == "CT"), "A condition stands by itself"),
        (lambda: exact(5), "exact(...) takes a text, and 5 is a int"),  # type: ignore[arg-type]
        (lambda: like(None), "like(...) takes a text"),  # type: ignore[arg-type]
        (lambda: label(5), "label(...) takes a text"),  # type: ignore[arg-type]
        (lambda: metadata(5), "metadata(...) takes a text"),  # type: ignore[arg-type]
    ],
)
def test_comparisons_that_mean_nothing_are_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(SelectionError, match=re.escape(says)):
        make()


@pytest.mark.parametrize("use", [bool, lambda field: field and 1, lambda field: not field, lambda field: field or 1])
@pytest.mark.parametrize("field", [tag("KVP"), metadata("RemoteAET")])
def test_a_tag_is_no_condition(use: Callable[[TagField], object], field: TagField) -> None:
    with pytest.raises(SelectionError, match=r"is a tag, not a condition: compare it, as in .* == "):
        use(field)


def test_a_chained_comparison_is_refused() -> None:
    with pytest.raises(SelectionError, match=r"for a range use tag\(\"KVP\"\)\.between\(80, 120\)"):
        _ = 80 < tag("KVP") < 120


def test_a_tag_is_no_key() -> None:
    with pytest.raises(TypeError):
        hash(tag("KVP"))


def test_an_unknown_tag_is_refused_at_once() -> None:
    with pytest.raises(UnknownTagError, match="Did you mean PatientName"):
        tag("PatientNme")


@pytest.mark.parametrize(
    ("make", "text", "held"),
    [
        (lambda field: field == 2, "2.0", True),
        (lambda field: field != 2, "2.0", False),
        (lambda field: field != 2, "3", True),
        (lambda field: field != 2, None, True),
        (lambda field: field < 2, "1.9", True),
        (lambda field: field < 2, "2", False),
        (lambda field: field <= 2, "2", True),
        (lambda field: field > 2, "2", False),
        (lambda field: field > 2, "2.1", True),
        (lambda field: field >= 2, "2", True),
        (lambda field: field < 2, None, False),
        (lambda field: field < "2", "1", True),
        # Turned round, as Python turns it.
        (lambda field: field < 2, "1", True),
        (lambda field: field.between(1, 2), "2", True),
        (lambda field: field.between(None, 2), None, False),
        (lambda field: field.isin([1, 2]), "1.0", True),
        (lambda field: field.isin(iter([1, None])), None, True),
        (lambda field: field.isin([]), "1", False),
        (lambda field: field.matches("^1"), "1.5", True),
        (lambda field: field.matches(re.compile("5$")), "1.5", True),
        (lambda field: field.is_missing(), None, True),
        (lambda field: field.is_missing(), "0", False),
        (lambda field: ~field.is_missing(), "0", True),
        (lambda field: field.where(lambda number: number == 1.5), "1.50", True),
        (lambda field: field == None, None, True),  # noqa: E711 - how a missing value is asked for
        (lambda field: field != None, None, False),  # noqa: E711
    ],
)
def test_what_a_comparison_means(make: Callable[[TagField], Condition], text: str | None, held: bool) -> None:
    assert holds(make(tag("SliceThickness")), text) is held


def test_order_of_dates_times_moments_and_ages() -> None:
    assert holds(tag("StudyDate") > date(2020, 1, 31), "20200201")
    assert holds(tag("StudyTime") < "10:30", "102959.9")
    assert holds(tag("AcquisitionDateTime") <= datetime(2020, 1, 1), "20200101010000+0100")
    assert holds(tag("PatientAge") < "002Y", "023M")
    assert not holds(tag("PatientAge") < "002Y", "024M")


@given(st.text(max_size=5), st.sampled_from(["LO", "PN"]))
def test_any_text_of_the_archive_can_be_given(text: str, vr: str) -> None:
    """Whatever stands in the archive is found by itself, wildcards and all."""
    name = {"LO": "SeriesDescription", "PN": "PatientName"}[vr]
    value = from_text(text, vr)
    if value is None:
        return
    condition = given_for(name, "\\".join(map(str, value)))
    settled = condition.map(lambda leaf: Comparison(leaf.field, settle(leaf.predicate, value.__contains__)))
    assert settled.mask(lambda leaf: [leaf.holds(value)]) == [True]


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_comparisons_of_numbers_are_those_of_numbers(one: float, other: float) -> None:
    field, text = tag("SelectorFDValue"), repr(one)
    assert holds(field < other, text) == (one < other)
    assert holds(field <= other, text) == (one <= other)
    assert holds(field > other, text) == (one > other)
    assert holds(field >= other, text) == (one >= other)
    assert holds(field == other, text) == (one == other)
    assert holds(field != other, text) == (one != other)
    assert holds(field.between(min(one, other), max(one, other)), text)


@pytest.mark.parametrize("name", ["KVP", "SeriesDescription", "ImageType", "StudyDate"])
@pytest.mark.parametrize("value", [None, "20200131", ["20200131", None], re.compile("x")])
def test_unequal_is_the_complement_of_equal(name: str, value: Any) -> None:
    condition = tag(name) != value
    assert condition == Not(given_for(name, value))


def test_labels_and_metadata() -> None:
    assert repr(label("reviewed")) == "label('reviewed') is set"
    assert holds(label("reviewed"), "reviewed")
    assert not holds(label("reviewed"), None)
    assert holds(metadata("RemoteAET") == "scanner*", "SCANNER1")
    assert holds(metadata("RemoteAET") != "scanner", None)
    assert holds(metadata("Count") > 5, "7")
    assert not holds(metadata("Count") > 5, "5")
    assert holds(metadata("Count").between(1, "7"), "7.0")
    assert holds(metadata("Count") == 7, "7")
    assert holds(metadata("Count").where(str.isdigit), "7")
    assert holds(metadata("RemoteAET").is_missing(), None)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (tag("KVP"), 'tag("KVP")'),
        (tag("0018,0050"), 'tag("SliceThickness")'),
        (metadata("RemoteAET"), "metadata('RemoteAET')"),
    ],
)
def test_how_a_field_reads(field: TagField, text: str) -> None:
    assert repr(field) == text


def test_conditions_survive_pickle() -> None:
    condition = (tag("KVP") > 100) & ~(tag("Modality") == ["CT", exact("PT")]) | tag("PatientName").matches("x")
    again = pickle.loads(pickle.dumps(condition))
    assert again == condition
    assert all(isinstance(leaf, Comparison) for leaf in again.comparisons())
