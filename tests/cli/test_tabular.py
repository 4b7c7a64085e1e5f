"""Rows as tables, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simple_orthanc.cli import tabular
from simple_orthanc.cli.tabular import Rows
from simple_orthanc.showing.text import safe, width

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.one_of(
    st.none(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.tuples(TEXTS, TEXTS),
    st.lists(st.integers(), max_size=3),
)
TABLES = st.integers(1, 4).flatmap(lambda size: st.lists(st.lists(VALUES, min_size=size, max_size=size), max_size=5))


def printed(rows: Rows, form: str, capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    capsys.readouterr()
    tabular.write(rows, form, **options)
    return capsys.readouterr().out


def named(rows: list[list[Any]]) -> Rows:
    return Rows([f"column {number}" for number in range(len(rows[0]) if rows else 2)], rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES)
def test_json_round_trips_every_value(capsys: pytest.CaptureFixture[str], rows: list[list[Any]]) -> None:
    table = named(rows)
    text = printed(table, "json", capsys)
    assert safe(text.replace("\n", "")) == text.replace("\n", "")
    wanted = [dict(zip(table.columns, row, strict=True)) for row in rows]
    assert json.loads(text) == json.loads(json.dumps(wanted))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES)
def test_csv_returns_every_string(capsys: pytest.CaptureFixture[str], rows: list[list[Any]]) -> None:
    table = named(rows)
    text = printed(table, "csv", capsys, exact=True)
    header, *found = csv.reader(io.StringIO(text, newline=""))
    assert header == table.columns
    assert [row or [""] for row in found] == [[tabular.text_of(value) for value in row] for row in rows]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES)
def test_no_cell_of_csv_begins_like_a_formula(capsys: pytest.CaptureFixture[str], rows: list[list[Any]]) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = printed(named(rows), "csv", capsys)
    _, *found = csv.reader(io.StringIO(text, newline=""))
    for row in found:
        assert not any(map(tabular.is_formula, row))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES, st.integers(10, 120))
def test_a_table_is_one_line_a_row_and_fits_a_terminal(
    capsys: pytest.CaptureFixture[str], rows: list[list[Any]], room: int
) -> None:
    table = named(rows)
    whole = printed(table, "table", capsys)
    assert len(whole.splitlines()) == 1 + len(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabular, "terminal_width", lambda: room)
        cut = printed(table, "table", capsys, quiet=True)
    assert len(cut.splitlines()) == 1 + len(rows)
    assert all(width(line) <= room for line in cut.splitlines())


def test_columns_without_room_are_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "terminal_width", lambda: 20)
    tabular.write(Rows(["first", "second", "third"], [["a" * 30, "b" * 30, "c" * 30]]), "table")
    assert capsys.readouterr().err == "not shown, the terminal is too narrow: third (--format csv has all of them)\n"


def test_the_end_of_a_uid_is_kept(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "terminal_width", lambda: 10)
    tabular.write(Rows(["SeriesInstanceUID"], [["1.2.840.113619.2"]], {"SeriesInstanceUID"}), "table")
    assert capsys.readouterr().out == "SeriesIns…\n….113619.2\n"


def test_a_table_of_the_library_becomes_plain_values() -> None:
    frame = pd.DataFrame(
        {
            "StudyDate": pd.Series(pd.to_datetime(["2020-01-31", None]), dtype="datetime64[us]"),
            "StudyTime": pd.Series(pd.to_timedelta(["10:30:00", "10:30:00.25"])).astype("timedelta64[us]"),
            "AcquisitionDateTime": pd.Series(pd.to_datetime(["2020-01-31 10:30", None]), dtype="datetime64[us]"),
            "KVP": pd.Series([120.5, None], dtype="Float64"),
            "SeriesNumber": pd.Series([3, None], dtype="Int64"),
            "Modality": pd.Series(["CT", None], dtype="string"),
            "PixelSpacing": pd.Series([(1.0, None), pd.NA], dtype=object),
            "instance_count": pd.Series([4, 5], dtype="Int64"),
            "SeriesInstanceUID": pd.Series(["1.2", "1.3"], dtype="string"),
        }
    )
    rows = tabular.from_frame(frame)
    assert rows.rows == [
        ["2020-01-31", "10:30:00", "2020-01-31T10:30:00", 120.5, 3, "CT", (1.0, None), 4, "1.2"],
        [None, "10:30:00.250000", None, None, None, None, None, 5, "1.3"],
    ]
    assert rows.ends == {"SeriesInstanceUID"}
    json.loads(tabular.json_text(rows.rows))


def test_numbers_that_json_has_not() -> None:
    assert tabular.plain(math.inf) == "inf"
    assert tabular.plain(math.nan) is None
    assert tabular.plain(b"a\xe9") == "aé"


def test_numbers_are_aligned_right(capsys: pytest.CaptureFixture[str]) -> None:
    tabular.write(Rows(["a", "text"], [[5, "x"], [None, None], [100, "y"]]), "table")
    assert capsys.readouterr().out == "  a  text\n  5  x\n\n100  y\n"
