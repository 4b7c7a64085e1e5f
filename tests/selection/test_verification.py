"""Where the values of an index are not those of all files, `verify_index` lists them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from simple_orthanc import Session
from simple_orthanc.selection.verification import COLUMNS
from tests.memory_source import MemorySource, instance

STUDY = {"PatientName": "Doe^Jane", "StudyDate": "20200101", "StudyDescription": "head"}


def verified(*datasets: Any) -> pd.DataFrame:
    return Session(MemorySource(datasets)).verify_index()


def test_an_index_that_agrees_with_all_files_has_no_row() -> None:
    table = verified(*(instance(number, **STUDY, SliceThickness=number) for number in (1, 2, 3)))
    assert table.empty
    assert list(table.columns) == ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", *COLUMNS]


@pytest.mark.parametrize(
    ("keyword", "level", "other"),
    [("StudyDescription", "study", {"series": "2"}), ("SeriesDescription", "series", {})],
)
def test_a_value_that_differs_inside_its_object_is_listed_with_all_values(
    keyword: str, level: str, other: dict[str, str]
) -> None:
    table = verified(instance(1, **{keyword: "a"}), instance(2, **other, **{keyword: "b"}))
    (row,) = table.to_dict("records")
    assert (row["tag"], row["level"], row["problem"]) == (keyword, level, f"differs inside the {level}")
    assert (row["indexed"], row["found"], row["files"]) == ("a", ("a", "b"), 2)
    assert (row["PatientID"], row["StudyInstanceUID"]) == ("P1", "1.2.1")
    assert pd.isna(row["SeriesInstanceUID"]) == (level == "study")


def test_a_value_that_is_missing_in_one_file_is_listed() -> None:
    (row,) = verified(instance(1, SeriesDescription="a"), instance(2)).to_dict("records")
    assert row["found"] == ("a", None)


def test_a_value_of_no_file_is_not_what_the_files_say(monkeypatch: pytest.MonkeyPatch) -> None:
    source = MemorySource([instance(1, SeriesDescription="a")])
    session = Session(source)
    assert session.SeriesDescriptions == ["a"]
    source.datasets = [instance(1, SeriesDescription="replaced")]
    (row,) = session.verify_index().to_dict("records")
    assert (row["problem"], row["indexed"], row["found"]) == ("not what the files say", "a", ("replaced",))


@pytest.mark.parametrize(("indexed", "found"), [("01", "1"), ("5", "+5")])
def test_a_number_in_another_spelling_is_the_same_number(indexed: str, found: str) -> None:
    source = MemorySource([instance(1, SeriesNumber=indexed)])
    session = Session(source)
    assert session.series_count == 1
    source.datasets = [instance(1, SeriesNumber=found)]
    assert session.verify_index().empty


def test_only_what_is_selected_is_read() -> None:
    source = MemorySource(
        [
            instance(1, study="1", SeriesDescription="a"),
            instance(2, study="1", SeriesDescription="b"),
            instance(1, study="2", SeriesDescription="c"),
        ]
    )
    session = Session(source).select(StudyInstanceUID="1.2.2")
    source.asked.clear()
    assert session.verify_index().empty
    assert source.asked.count("header") == 1
