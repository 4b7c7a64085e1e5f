"""Tables: columns as asked for, their types, values that differ or cannot be read, and the order of rows."""

from __future__ import annotations

import datetime
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import NUMBER_VRS, parse_tag
from simple_orthanc.dicom.values import Value, comparable, shown
from simple_orthanc.errors import SelectionError, UnknownTagError
from simple_orthanc.selection.tables import default_columns, parse_column, typed_column
from simple_orthanc.session import Session
from tests.memory_source import LEVEL_OF_NAME, MemorySource, archives, instance, put_raw


def column(name: str, *texts: str | None) -> pd.Series[Any]:
    values: list[Value] = [None if text is None else tuple(text.split("\\")) for text in texts]
    return typed_column(values, parse_tag(name))


def listed(series: pd.Series[Any]) -> list[Any]:
    return [None if value is pd.NA or value is pd.NaT or value is None else value for value in series.tolist()]


@pytest.mark.parametrize(
    ("name", "dtype", "texts", "values"),
    [
        ("StudyDate", "datetime64[us]", ["20200131"], [pd.Timestamp(2020, 1, 31)]),
        ("StudyDate", "datetime64[us]", ["1999.12.31"], [pd.Timestamp(1999, 12, 31)]),
        ("PatientBirthDate", "datetime64[us]", ["00010101"], [datetime.datetime(1, 1, 1)]),
        ("StudyTime", "timedelta64[us]", ["1030", "103000.5"], [pd.Timedelta("10:30:00"), pd.Timedelta("10:30:00.5")]),
        (
            "AcquisitionDateTime",
            "datetime64[us]",
            ["2020", "20200131103000.25+0100"],
            [pd.Timestamp(2020, 1, 1), pd.Timestamp(2020, 1, 31, 9, 30, 0, 250000)],
        ),
        ("SliceThickness", "Float64", ["1.50", "2"], [1.5, 2.0]),
        ("EventTimeOffset", "Float64", ["0.5"], [0.5]),
        ("DiffusionBValue", "Float64", ["-1e300"], [-1e300]),
        ("TableTopVerticalPosition", "Float64", ["0.1"], [0.1]),
        ("SeriesNumber", "Int64", ["007", "-1"], [7, -1]),
        ("Rows", "Int64", ["512"], [512]),
        ("ReferencePixelX0", "Int64", ["-5"], [-5]),
        ("SimpleFrameList", "object", ["1\\2"], [(1, 2)]),
        ("SmallestImagePixelValue", "Int64", ["-3"], [-3]),
        ("SeriesNumber", "Int64", ["9223372036854775807"], [2**63 - 1]),
        ("SeriesDescription", "string", ["ct", "T2*_GRE"], ["ct", "T2*_GRE"]),
        ("SeriesDescription", "string", ["a\\b"], ["a\\b"]),
        ("PatientName", "string", ["Yamada^Tarou=山田^太郎"], ["Yamada^Tarou=山田^太郎"]),
        ("PatientAge", "string", ["045Y"], ["045Y"]),
        ("SOPInstanceUID", "string", ["1.2"], ["1.2"]),
        ("Modality", "string", ["CT"], ["CT"]),
        ("0009,1001", "string", ["1.5"], ["1.5"]),
        ("ImageType", "object", ["ORIGINAL\\PRIMARY", "X"], [("ORIGINAL", "PRIMARY"), ("X",)]),
        ("PixelSpacing", "object", ["0.5\\0.50"], [(0.5, 0.5)]),
        ("WindowCenter", "object", ["40"], [(40.0,)]),
        ("DateOfLastCalibration", "object", ["20200131"], [("20200131",)]),
        ("RequestAttributesSequence.ScheduledProcedureStepID", "object", ["A\\B"], [("A", "B")]),
    ],
)
def test_each_kind_of_value_has_its_type(name: str, dtype: str, texts: list[str], values: list[Any]) -> None:
    found = column(name, *texts, None)
    assert found.dtype == dtype
    assert listed(found) == [*values, None]
    assert found.isna().tolist() == [False] * len(texts) + [True]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("StudyDate", "datetime64[us]"),
        ("StudyTime", "timedelta64[us]"),
        ("SliceThickness", "Float64"),
        ("SeriesNumber", "Int64"),
        ("Modality", "string"),
        ("ImageType", "object"),
    ],
)
@pytest.mark.parametrize("rows", [0, 2])
def test_the_type_does_not_depend_on_the_values(name: str, dtype: str, rows: int) -> None:
    found = column(name, *[None] * rows)
    assert found.dtype == dtype
    assert len(found) == found.isna().sum() == rows


@pytest.mark.parametrize(
    ("name", "texts", "count", "example"),
    [
        ("SliceThickness", ["1.5", "1,5", None, "thin"], 2, "1,5"),
        ("SliceThickness", ["1\\2"], 1, "1\\2"),
        ("SeriesNumber", ["1", "1.5"], 1, "1.5"),
        ("SeriesNumber", ["9223372036854775808"], 1, "9223372036854775808"),
        ("StudyDate", ["20201301", "20200131", "", "00000000"], 2, "20201301"),
        ("StudyTime", ["2500"], 1, "2500"),
        ("AcquisitionDateTime", ["never"], 1, "never"),
    ],
)
def test_what_cannot_be_read_is_na_with_one_warning_that_counts(
    name: str, texts: list[str | None], count: int, example: str
) -> None:
    vr = parse_tag(name).vr
    given_texts = [text or None for text in texts]
    with pytest.warns(UserWarning, match="cannot be read") as caught:
        found = column(name, *given_texts)
    are = "is" if count == 1 else "are"
    says = f"{name}: {count} of {len(texts)} values cannot be read as {vr} and {are} NA, {example!r} for one."
    assert [str(warning.message) for warning in caught] == [says]
    assert caught[0].filename == __file__
    assert found.isna().sum() == count + given_texts.count(None)


def test_bytes_are_shown_as_strings() -> None:
    assert listed(typed_column([(b"\x41\xff",), None], parse_tag("0009,1001"))) == ["A\xff", None]


@given(archives(), st.sampled_from([*LEVEL_OF_NAME, "PatientID", "InstanceNumber"]))
def test_a_table_of_instances_holds_what_the_files_hold(datasets: list[Dataset], name: str) -> None:
    session = Session(MemorySource(datasets))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*cannot be read as")
        frame = session.table("SOPInstanceUID", name, level="instance")
    assert list(frame.columns) == ["SOPInstanceUID", name]
    assert frame.index.equals(pd.RangeIndex(len(datasets)))
    by_uid = {str(dataset.SOPInstanceUID): read_value(dataset, parse_tag(name)) for dataset in datasets}
    tag = parse_tag(name)
    for uid, cell in zip(frame["SOPInstanceUID"], listed(frame[name]), strict=True):
        value = by_uid[uid]
        if value is None:
            assert cell is None
        elif tag.is_multiple:
            assert cell == (tuple(comparable(part, tag.vr) for part in value) if tag.vr == "DS" else value)
        elif tag.vr in ("DS", "IS", "DA", "TM", "DT"):
            expected = comparable(value[0], tag.vr)
            assert cell == (pd.Timestamp(expected) if isinstance(expected, datetime.date) else expected)
        else:
            assert cell == "\\".join(str(part) for part in value)


@given(archives(1), st.sampled_from(LEVELS))
def test_rows_have_one_order_at_every_level(datasets: list[Dataset], level: Level) -> None:
    session = Session(MemorySource(datasets))
    whole = session.table("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", level="instance")
    names = list(whole.columns)[: depth(level) + 1]
    frame = session.table(*names, level=level)
    # The rows of a level are those of the instances, each once, in the same order.
    pd.testing.assert_frame_equal(frame, whole[names].drop_duplicates(ignore_index=True))
    lists = [session.get_dicom_tag(name, unique=False, level=level) for name in names]
    assert [list(frame[name]) for name in names] == lists
    assert len(frame) == getattr(session, f"{level}_count")


@given(archives(1), st.sampled_from(LEVELS))
def test_counts_are_those_of_what_is_selected(datasets: list[Dataset], level: Level) -> None:
    session = Session(MemorySource(datasets))
    session.select(InstanceNumber=0)
    names = [f"{each}_count" for each in LEVELS[max(depth(level), 1) :]]
    frame = session.table(*names, level=level)
    assert {str(kind) for kind in frame.dtypes} == {"Int64"}
    for name in names:
        assert frame[name].sum() == getattr(session, name)
        assert (frame[name] >= 1).all()


def test_counts_of_higher_levels_are_refused() -> None:
    session = Session(MemorySource([instance(1)]))
    with pytest.raises(
        SelectionError, match="study_count counts what a row contains: use level 'patient', not 'series'"
    ):
        session.table("study_count")


@pytest.mark.parametrize(
    ("level", "counts"),
    [
        ("patient", ["study_count", "series_count", "instance_count"]),
        ("study", ["series_count", "instance_count"]),
        ("series", ["instance_count"]),
        ("instance", []),
    ],
)
def test_the_default_columns(level: Level, counts: list[str]) -> None:
    names = default_columns(level)
    assert names[:2] == ["PatientID", "PatientName"]
    assert [name for name in names if name.endswith("_count")] == counts
    assert all(parse_column(name) for name in names)
    uids = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"][: depth(level)]
    assert names[len(names) - len(uids) :] == uids
    assert len(names) == len(set(names))
    full = {name: parse_tag(name) for name in names if name not in counts}
    values = {
        name: _VALUES.get(tag.vr, "1") for name, tag in full.items() if name != "PatientID" and not name.endswith("UID")
    }
    assert list(Session(MemorySource([instance(1, **values)])).table(level=level).columns) == names


_VALUES = {"DA": "20240102", "TM": "120000", "PN": "Doe^J"}


def test_default_columns_without_any_value_are_left_out_except_the_first() -> None:
    one, two = instance(1, StudyTime="120000"), instance(1, series="2", StationName="A", Manufacturer="")
    session = Session(MemorySource([one, two, instance(2, series="2", StationName="B")]))
    shown = list(session.table().columns)
    assert shown == [
        *("PatientID", "PatientName", "StudyDate", "Modality", "SeriesNumber", "SeriesDescription", "instance_count"),
        *("StudyTime", "StationName", "StudyInstanceUID", "SeriesInstanceUID"),
    ]
    assert session.table("Manufacturer").columns.tolist() == ["Manufacturer"]


def test_a_default_column_that_differs_in_all_rows_is_kept() -> None:
    births = ("19500101", "19600101")
    datasets = [instance(1, study=birth, series=birth, PatientBirthDate=birth) for birth in births]
    with pytest.warns(UserWarning, match="PatientBirthDate differs within 1 of 1"):
        frame = Session(MemorySource(datasets)).table(level="patient")
    assert frame.PatientBirthDate.isna().tolist() == [True]
    assert "PatientSex" not in frame


def test_the_table_of_series_begins_with_what_people_look_at() -> None:
    first = ["PatientID", "PatientName", "StudyDate", "Modality", "SeriesNumber", "SeriesDescription", "instance_count"]
    assert default_columns("series")[:7] == first


def test_columns_are_named_as_they_were_asked() -> None:
    session = Session(MemorySource([instance(1, SliceThickness="1.5", KVP="100")]))
    frame = session.table("0018,0050", 0x00180060, (0x0018, 0x0050), parse_tag("KVP"), "instance_count", "KVP")
    assert list(frame.columns) == ["0018,0050", "KVP", "SliceThickness", "KVP", "instance_count", "KVP"]
    assert frame.iloc[0].tolist() == [1.5, 100.0, 1.5, 100.0, 1, 100.0]


@pytest.mark.parametrize("name", ["PatientNme", "file_count", "_count", 5.0, None, [["KVP"]], ["PatientNme"]])
def test_what_is_not_a_column_is_refused(name: Any) -> None:
    with pytest.raises(UnknownTagError):
        Session(MemorySource([instance(1)])).table(name)


def test_an_empty_archive_has_an_empty_table_with_its_types() -> None:
    frame = Session(MemorySource([])).table("StudyDate", "SeriesNumber", "ImageType", "instance_count")
    assert [str(kind) for kind in frame.dtypes] == ["datetime64[us]", "Int64", "object", "Int64"]
    assert frame.index.equals(pd.RangeIndex(0))
    assert list(Session(MemorySource([])).table().columns) == default_columns("series")


# What differs below a row


def varying_session() -> Session:
    return Session(
        MemorySource(
            [
                instance(1, series="1", KVP="120", ImageType=["A", "B"], SliceThickness="2"),
                instance(2, series="1", KVP="80", ImageType=["A", "A"], SliceThickness="2.0"),
                instance(3, series="1", KVP="80", ImageType=["A", "B"]),
                instance(1, series="2", KVP="100", ImageType=["A"], SliceThickness="10"),
                instance(2, series="2", KVP="100", SliceThickness="9"),
            ]
        )
    )


def test_what_differs_is_na_with_one_warning_that_counts() -> None:
    session = varying_session()
    with pytest.warns(UserWarning, match="KVP differs") as caught:
        frame = session.table("SeriesInstanceUID", "KVP")
    says = (
        "KVP differs within 1 of 2 rows of level 'series', which show NA: read it at a deeper level, "
        'or with varying="list".'
    )
    assert [str(warning.message) for warning in caught] == [says]
    assert caught[0].filename == __file__
    assert listed(frame["KVP"]) == [None, 100.0]
    assert frame["KVP"].dtype == "Float64"


def test_lists_hold_the_sorted_distinct_values() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = varying_session().table("KVP", "ImageType", "SliceThickness", "Modality", "PatientID", varying="list")
    assert frame["KVP"].tolist() == [[80.0, 120.0], [100.0]]
    assert frame["ImageType"].tolist() == [[("A", "A"), ("A", "B")], [("A",)]]
    assert frame["SliceThickness"].tolist() == [[2.0], [9.0, 10.0]]
    # What belongs to the row's own level, or above, is no list.
    assert frame["PatientID"].tolist() == ["P1", "P1"]
    assert frame["Modality"].isna().all()


def test_lists_of_values_that_cannot_all_be_read_are_sorted_too() -> None:
    datasets = [instance(number) for number in range(4)]
    for dataset, text in zip(datasets, ["2\\x", "2\\1", "x\\1"], strict=False):
        put_raw(dataset, "PixelSpacing", text)
    frame = Session(MemorySource(datasets)).table("PixelSpacing", varying="list")
    assert frame["PixelSpacing"].tolist() == [[(2.0, 1.0), (2.0, None), (None, 1.0)]]


def test_lists_warn_once_of_values_that_cannot_be_read() -> None:
    datasets = [instance(number, study=str(number)) for number in range(3)]
    for dataset, text in zip(datasets, ["x", "80", "y"], strict=True):
        put_raw(dataset, "KVP", text)
    with pytest.warns(UserWarning, match="cannot be read") as caught:
        frame = Session(MemorySource(datasets)).table("StudyInstanceUID", "KVP", level="study", varying="list")
    assert frame["KVP"].tolist() == [[], [80.0], []]
    (warning,) = caught
    assert str(warning.message) == "KVP: 2 of 3 values cannot be read as DS and are NA, 'x' for one."


def test_one_number_in_two_spellings_does_not_differ() -> None:
    spelt = [("80", ["1", "2"]), ("80.0", ["1.0", "2.00"])]
    datasets = [instance(place, KVP=kvp, PixelSpacing=spacing) for place, (kvp, spacing) in enumerate(spelt)]
    session = Session(MemorySource(datasets))
    assert session.table("KVP")["KVP"].tolist() == [80.0]
    assert session.get_dicom_tag("KVP", unique=False, level="series") == [80.0]
    assert session.table("PixelSpacing")["PixelSpacing"].tolist() == [(1.0, 2.0)]


def test_one_patient_with_two_spellings_differs_within_the_patient() -> None:
    session = Session(MemorySource([instance(1, study="1", PatientName="B"), instance(1, study="2", PatientName="A")]))
    with pytest.warns(UserWarning, match="PatientName differs within 1 of 1 rows of level 'patient'"):
        assert session.table("PatientName", level="patient")["PatientName"].isna().all()
    assert session.table("PatientName", level="patient", varying="list")["PatientName"].tolist() == [["A", "B"]]
    assert session.table("PatientName", level="study")["PatientName"].tolist() == ["B", "A"]
    with pytest.warns(UserWarning, match="PatientName differs within 1 of 1 rows of level 'patient', which are None"):
        assert session.get_dicom_tag("PatientName", unique=False) == [None]
    assert session.PatientNames == ["B", "A"]


def test_varying_takes_two_values() -> None:
    with pytest.raises(SelectionError, match=re.escape('varying=\'first\' is neither "na" nor "list"')):
        varying_session().table("KVP", varying="first")  # type: ignore[arg-type]


@given(archives(1), st.sampled_from(list(LEVEL_OF_NAME)), st.sampled_from(LEVELS))
def test_a_row_shows_what_its_instances_share(datasets: list[Dataset], name: str, level: Level) -> None:
    session = Session(MemorySource(datasets))
    tag = parse_tag(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = session.table(name, level=level)
        groups = [child.table(name, level="instance")[name] for child in session._children(level)]
    found: dict[str, set[Any]] = {key: set() for key in session._children(level)._keys}
    for dataset in datasets:
        value = read_value(dataset, tag)
        # Numbers are the same however they are spelt; what is none is what it says, also as one of several.
        number = shown(value, tag) if tag.vr in NUMBER_VRS else None
        is_read = number is not None and not (isinstance(number, tuple) and None in number)
        found[MemorySource.key(dataset, level)].add(number if is_read else value)
    for cell, group, values in zip(listed(frame[name]), groups, found.values(), strict=True):
        if len(values) == 1:
            assert [cell] == list({str(each): each for each in listed(group)}.values())
        else:
            assert cell is None


def test_several_file_tags_are_read_in_one_pass() -> None:
    session = varying_session()
    source = session._source
    assert isinstance(source, MemorySource)
    session.table("KVP", "ImageType", "PatientID", "SliceThickness", varying="list")
    assert [what for what in source.asked if what.startswith("columns")] == ["columns KVP ImageType SliceThickness"]


def test_numpy_takes_the_columns() -> None:
    frame = varying_session().table("SliceThickness", level="instance")
    assert np.nanmax(frame["SliceThickness"].to_numpy(dtype=float, na_value=np.nan)) == 10.0
