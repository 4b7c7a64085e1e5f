"""What can be filtered on, and single values."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from simple_orthanc import Folder
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import SelectionError, UnknownTagError
from tests.memory_source import instance
from tests.session.sessions import session_of, source_of, three_series

pytestmark = pytest.mark.usefixtures("empty_selections")


def row(frame: pd.DataFrame, tag: str) -> tuple[Any, ...]:
    """Return level, distinct, missing and examples of a tag."""
    ((_, *values),) = frame[frame.tag == tag].itertuples(index=False)
    return tuple(values)


def test_the_columns_are_typed() -> None:
    frame = three_series().describe()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "tag": "string",
        "level": "string",
        "distinct": "Int64",
        "missing": "Int64",
        "examples": "object",
    }
    assert list(frame.index) == list(range(len(frame)))


def test_what_the_index_holds_is_described_without_files() -> None:
    session = three_series()
    frame = session.describe()
    assert not any("files" in request or "header" in request for request in source_of(session).asked)
    assert source_of(session).requests <= 3
    assert frame.tag[:2].tolist() == ["Modality", "SeriesDescription"]
    assert row(frame, "Modality") == ("series", 2, 0, {"CT": 2, "PT": 1})
    assert row(frame, "PatientName") == ("patient", 2, 0, {"Doe^Jane": 1, "Roe^Rick": 1})
    assert "StudyDate" not in frame.tag.tolist()


def test_tags_of_files_are_named_without_values_until_they_were_read() -> None:
    session = three_series()
    frame = session.describe()
    level, distinct, missing, examples = row(frame, "SliceThickness")
    assert (level, distinct, missing, examples) == ("instance", pd.NA, pd.NA, {})
    assert "KVP" in frame.tag.tolist()
    assert "EchoTime" not in frame.tag.tolist()
    unread = frame.distinct.isna().tolist()
    assert unread == sorted(unread)
    session.describe("KVP", "SliceThickness")
    requests = source_of(session).requests
    frame = session.describe()
    assert source_of(session).requests == requests
    assert row(frame, "KVP") == ("instance", 2, 2, {100.0: 1, 120.0: 1})
    assert "SliceThickness" not in frame.tag.tolist()


def test_tags_that_were_read_from_a_part_of_the_files_are_not_counted() -> None:
    session = three_series()
    session.copy().select(SeriesDescription="scout").value_counts("KVP")
    assert row(session.describe(), "KVP") == ("instance", pd.NA, pd.NA, {})
    assert row(session.select(SeriesDescription="scout").describe(), "KVP") == ("instance", 1, 0, {120.0: 1})


def test_what_is_asked_for_is_described_in_its_order() -> None:
    block_of = instance(1, KVP="120")
    block_of.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "fast")
    session = session_of(block_of, instance(2, KVP="120.0"), instance(3, ImageType=["A", "B"]))
    private = '(0009,"ACME",01)'
    frame = session.describe("0018,0060", ["ImageType", private], "StudyDate")
    assert frame.tag.tolist() == ["KVP", "ImageType", private, "StudyDate"]
    assert row(frame, "KVP") == ("instance", 1, 1, {120.0: 2})
    assert row(frame, "ImageType") == ("instance", 1, 2, {("A", "B"): 1})
    assert row(frame, private) == ("instance", 1, 2, {"fast": 1})
    assert row(frame, "StudyDate") == ("study", 0, 1, {})


def test_five_values_the_most_frequent_first() -> None:
    numbers = [1, 1, 2, 2, 2, 3, 4, 10, 9]
    session = session_of(*(instance(rank, AcquisitionNumber=number) for rank, number in enumerate(numbers)))
    assert row(session.describe("AcquisitionNumber"), "AcquisitionNumber") == (
        *("instance", 6, 0),
        {2: 3, 1: 2, 3: 1, 4: 1, 9: 1},
    )
    assert list(row(session.describe("AcquisitionNumber"), "AcquisitionNumber")[-1]) == [2, 1, 3, 4, 9]


def test_constants_come_after_what_differs() -> None:
    session = three_series().select(Modality="CT")
    tags = session.describe().dropna().tag.tolist()
    assert tags.index("SeriesDescription") < tags.index("Modality") < tags.index("PatientName")


def test_with_files_every_tag_of_a_header_is_described() -> None:
    dataset = instance(1, KVP="120", SequenceName="x", series="1", PixelData=b"12")
    dataset.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "fast")
    dataset.ReferencedSeriesSequence = []
    session = session_of(dataset, instance(2, series="1", KVP="100"), instance(1, series="2"))
    frame = session.describe(files=True)
    tags = frame.tag.tolist()
    assert row(frame, "KVP") == ("instance", 1, 1, {120.0: 1})
    assert row(frame, '(0009,"ACME",01)') == ("instance", 1, 1, {"fast": 1})
    assert {"SequenceName", "SOPClassUID"} < set(tags)
    assert not {"PixelData", "ReferencedSeriesSequence"} & set(tags)
    assert sorted(tags) == sorted(set(tags))
    assert not frame.distinct.isna().any()
    assert set(session.describe("KVP", files=True).tag) == set(tags)


def test_in_headers_too_what_a_study_or_patient_has_is_counted_once_for_it() -> None:
    ages = {"PatientAge": "060Y", "PatientSize": "1.7"}
    datasets = [instance(1, series=series, study=study, **ages) for study in "12" for series in "123"]
    frame = session_of(*datasets, instance(1, series="4", study="2")).describe(files=True)
    assert row(frame, "PatientAge") == ("study", 1, 0, {"060Y": 2})
    assert row(frame, "SOPClassUID")[3] == {datasets[0].SOPClassUID: 7}


@pytest.mark.parametrize("select", [{"Modality": "XX"}, {"PatientName": "x"}])
def test_of_nothing_there_is_nothing_to_describe(select: dict[str, str]) -> None:
    assert three_series().select(**select).describe().empty
    assert session_of().describe(files=True).empty


@pytest.mark.parametrize("tags", [("PatientNme",), ("KVP", ["PatientNme"]), ("PixelData",), (3.5,)])
def test_what_cannot_be_described_is_refused_before_a_request(tags: Any) -> None:
    session = three_series()
    with pytest.raises((UnknownTagError, SelectionError)):
        session.describe(*tags)
    assert source_of(session).requests == 0


def test_examples_can_be_selected() -> None:
    frame = three_series().describe("KVP", "SeriesDescription", "PatientName", "Modality")
    for tag, _, _, _, examples in frame.itertuples(index=False):
        for value in examples:
            assert three_series().select(**{tag: value}).describe(tag).distinct.tolist() == [1]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("SeriesDescription", "scout"), ("KVP", 120.0), ("StudyDate", None), ("SliceThickness", None), ("Rows", None)],
)
def test_the_first_value(tag: str, expected: object) -> None:
    assert three_series().first(tag) == expected
    assert three_series().first(tag, "none") == ("none" if expected is None else expected)


def test_the_first_value_is_that_of_the_first_object_that_has_one() -> None:
    session = session_of(
        instance(1, series="1"), instance(2, series="1", KVP="120"), instance(3, series="1", KVP="100")
    )
    assert session.first("KVP") == 120.0
    assert session.sort_by("InstanceNumber", "descending").first("KVP") == 100.0
    assert session_of().first("KVP", 0) == 0


def test_no_more_series_are_read_than_needed() -> None:
    session = three_series()
    session.first("KVP")
    assert session._index.seen(parse_tag("KVP")) == [("120",)]


def test_each_child_has_a_first_value() -> None:
    session = three_series()
    assert [child.first("SeriesDescription") for child in session.series] == ["scout", "head", "wb"]
    assert [child.first("KVP", 0.0) for child in session.series] == [120.0, 100.0, 0.0]


def test_the_age_is_described_and_counted_as_a_column_of_a_table_is() -> None:
    folder = Folder.example()
    described = folder.describe("Modality", "age")
    assert described[["tag", "level", "distinct", "missing"]].values.tolist()[1] == ["age", "study", 5, 1]
    assert described.examples[1] == {67.0: 2, 45.0: 1, 59.0: 1, 61.0: 1, 72.0: 1}
    counts = folder.value_counts("age")
    assert counts.sum() == folder.study_count
    assert (counts[67.0], int(counts[counts.index.isna()].iloc[0])) == (2, 1)
    assert folder.value_counts("age", level="series")[61.0] == 3
    with pytest.raises(UnknownTagError, match="no DICOM keyword"):
        folder.describe("ages")
