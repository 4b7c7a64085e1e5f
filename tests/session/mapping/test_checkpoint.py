"""Finished rows in a file: whole after a kill, of one thing only, closed to other users."""

from __future__ import annotations

import datetime
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc import SelectionError, UnsupportedError
from simple_orthanc.session.mapping import checkpoint
from simple_orthanc.session.mapping.calls import Row
from simple_orthanc.session.mapping.checkpoint import Checkpoint, ObjectKey, Origin, checked_path, contents_of
from tests.session.mapping.test_results import ROWS

ORIGIN = Origin("module.measure", "abc", "series", "http://here:8042")
KEYS = [ObjectKey(("P1", "1.2", f"1.2.{number}"), "3 instances, abc") for number in range(5)]
FIRST = Row({"mean": 1.5, "count": 3, "kernel": None}, None, 0.5)
FAILED = Row(None, "ValueError: no", 0.25)
SUFFIXES = pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])


def opened(path: Path, origin: Origin = ORIGIN) -> Checkpoint:
    return Checkpoint(checked_path(path), origin)


def filled(path: Path, *rows: Row) -> Path:
    there = opened(path)
    for key, row in zip(KEYS, rows, strict=False):
        there.add(key, row)
    there.close()
    return path


def rows_of(path: Path) -> dict[ObjectKey, Row]:
    there = opened(path)
    there.close()
    return there.rows


@SUFFIXES
def test_rows_are_there_again(suffix: str, tmp_path: Path) -> None:
    path = filled(tmp_path / f"a{suffix}", FIRST, FAILED)
    assert rows_of(path) == {KEYS[0]: FIRST, KEYS[1]: FAILED}
    assert os.listdir(tmp_path) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@SUFFIXES
def test_the_last_row_of_an_object_counts(suffix: str, tmp_path: Path) -> None:
    path = filled(tmp_path / f"a{suffix}", FAILED)
    assert rows_of(filled(path, FIRST)) == {KEYS[0]: FIRST}


@given(st.lists(ROWS, max_size=4))
def test_every_value_keeps_its_type(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        line = checkpoint._as_line(checkpoint._entry(KEYS[0], Row(row, None, 0.5)))
        assert line.count(b"\n") == 1
        values = {name: checkpoint._decoded(value) for name, value in json.loads(line)["values"].items()}
        assert values == row
        assert list(map(kinds, values.values())) == list(map(kinds, row.values()))


def kinds(value: Any) -> Any:
    return list(map(type, value)) if isinstance(value, tuple) else type(value)


@SUFFIXES
def test_a_table_of_every_type_is_read_again(suffix: str, tmp_path: Path) -> None:
    values = {
        **{"int": 2**62 + 1, "float": 0.1, "bool": True, "string": "Ä\n", "none": None, "infinite": float("-inf")},
        **{"date": datetime.datetime(1600, 1, 2, 3, 4, 5, 6), "duration": datetime.timedelta(microseconds=-1)},
        **{"tuple": (1, 2.5), "of all": (1, "a", None), "of dates": (datetime.datetime(2020, 1, 1),)},
    }
    rows = [Row(values, None, 1.0), Row({**values, "int": "a", "tuple": ()}, None, 1.0), FAILED]
    assert list(rows_of(filled(tmp_path / f"a{suffix}", *rows)).values()) == rows


def test_parquet_is_a_table_for_other_programs(tmp_path: Path) -> None:
    import pandas as pd

    table = pd.read_parquet(filled(tmp_path / "a.parquet", FIRST, FAILED))
    assert table["SeriesInstanceUID"].tolist() == ["1.2.0", "1.2.1"]
    assert table["mean"].isna().tolist() == [False, True]
    assert (table["count"].dtype, table["count"][0], table["error"][1]) == ("Int64", 3, "ValueError: no")


def test_a_result_may_have_the_name_of_the_column_of_rows(tmp_path: Path) -> None:
    import pandas as pd

    row = Row({"checkpoint": "a.pt", "checkpoint_": 2}, None, 0.5)
    path = filled(tmp_path / "a.parquet", row)
    assert pd.read_parquet(path)[["checkpoint", "checkpoint_"]].values.tolist() == [["a.pt", 2]]
    assert rows_of(path) == {KEYS[0]: row}


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ([1.5, True], ["1.5", "True"]),
        ([2, False], ["2", "False"]),
        ([datetime.datetime(2020, 1, 1), 5], ["2020-01-01 00:00:00", "5"]),
        ([datetime.timedelta(1), 5], ["1 day, 0:00:00", "5"]),
        ([(1,), "a"], ["(1,)", "a"]),
        ([(1, 2), (), None], [[1, 2], [], None]),
        ([(1, None), (0.5,)], [[1.0, None], [0.5]]),
        ([(2**53 + 1,), (0.5,)], ["(9007199254740993,)", "(0.5,)"]),
        ([(True,), (1,)], ["(True,)", "(1,)"]),
        ([(datetime.timedelta(1),), (3,)], ["(datetime.timedelta(days=1),)", "(3,)"]),
    ],
)
def test_parquet_has_values_of_several_types_as_strings(values: list[Any], stored: list[Any], tmp_path: Path) -> None:
    from pyarrow import parquet

    path = filled(tmp_path / "a.parquet", *(Row({"a": value}, None, 0.5) for value in values))
    assert parquet.read_table(path)["a"].to_pylist() == stored
    assert [row.values for row in rows_of(path).values()] == [{"a": value} for value in values]


def test_json_lines_are_written_at_once_and_at_every_moment_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    there = opened(path)
    there.add(KEYS[0], FIRST)
    assert len(path.read_bytes().splitlines()) == 2
    there.add(KEYS[1], FAILED)
    there.close()
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        lines = whole[:length].count(b"\n")
        assert len(rows_of(path)) == max(0, lines - 1)
        # The next row does not join what was cut off.
        assert rows_of(filled(path, FIRST))[KEYS[0]] == FIRST


def test_a_table_that_was_killed_before_its_end_goes_on_from_lines_beside_it(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.parquet", FIRST)
    there = opened(path)
    there.add(KEYS[1], FIRST)
    there._release()
    assert sorted(os.listdir(tmp_path)) == [".a.parquet.jsonl", "a.parquet"]
    assert rows_of(path) == {KEYS[0]: FIRST, KEYS[1]: FIRST}
    assert os.listdir(tmp_path) == ["a.parquet"]


@SUFFIXES
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"function": "module.other"},
            "is the checkpoint of module.measure at level='series' on http://here:8042,",
        ),
        ({"level": "study"}, "and this is module.measure at level='study' on http://here:8042: choose another file"),
        ({"archive": "http://there:8042"}, "and this is module.measure at level='series' on http://there:8042"),
        ({"digest": "abd"}, "was written with another version of module.measure, or with other values in it"),
    ],
)
def test_that_of_something_else_is_refused_and_kept(
    suffix: str, change: dict[str, str], message: str, tmp_path: Path
) -> None:
    path = filled(tmp_path / f"a{suffix}", FIRST)
    before = path.read_bytes()
    with pytest.raises(SelectionError) as raised:
        opened(path, Origin(**{**vars(ORIGIN), **change}))
    assert message in raised.value.message
    assert path.read_bytes() == before
    assert rows_of(path) == {KEYS[0]: FIRST}


@SUFFIXES
@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"no end", b"{}\n", b'["a"]\n', b"\0\1\n", b"PAR1"])
def test_a_file_of_another_kind_is_refused_and_kept(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(SelectionError, match="is not a checkpoint of map"):
        opened(path)
    assert path.read_bytes() == content


def test_a_damaged_line_costs_one_row(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.jsonl", FIRST)
    whole = path.read_bytes()
    for line in (b"{}", b"[]", b"no", b"\0\0", b'{"identifiers": [], "contents": "", "values": {"a": {}}}'):
        path.write_bytes(whole + line + b"\n")
        with pytest.warns(UserWarning, match=r"1 of 3 lines of .*a.jsonl is damaged"):
            assert rows_of(path) == {KEYS[0]: FIRST}


def test_a_table_that_cannot_be_written_leaves_its_rows_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    there = opened(path)
    there.add(KEYS[0], FIRST)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(SelectionError, match=r"No space left .* are in .*\.a\.parquet\.jsonl"):
            there.close()
    assert os.listdir(tmp_path) == [".a.parquet.jsonl"]
    assert rows_of(path) == {KEYS[0]: FIRST}


def test_one_that_another_call_writes_is_refused(tmp_path: Path) -> None:
    there = opened(tmp_path / "a.jsonl")
    with pytest.raises(SelectionError, match="is in use by another call of map"):
        opened(tmp_path / "a.jsonl")
    there.close()
    opened(tmp_path / "a.jsonl").close()


def test_what_comes_after_the_end_is_not_written(tmp_path: Path) -> None:
    there = opened(tmp_path / "a.jsonl")
    there.close()
    there.add(KEYS[0], FIRST)
    there.close()
    assert rows_of(tmp_path / "a.jsonl") == {}


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.parent / "missing")])
def test_what_is_no_file_is_refused(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    make(path)
    with pytest.raises(SelectionError, match="hoose another"):
        opened(path)


def test_a_folder_is_made_and_closed_to_other_users(tmp_path: Path) -> None:
    path = filled(tmp_path / "new" / "a.jsonl", FIRST)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(SelectionError, match="cannot be used: File exists"):
        opened(path / "a.jsonl")


@pytest.mark.parametrize(
    ("path", "message"), [(3, "is not a path"), (b"a.jsonl", "is not a path"), ("a.csv", "ends in .jsonl")]
)
def test_other_paths_are_refused(path: Any, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        checked_path(path)


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UnsupportedError, match=r"simple-orthanc\[parquet\].*ends in \.jsonl"):
        checked_path("a.parquet")


def test_a_full_disk_ends_the_run_and_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = opened(tmp_path / "a.jsonl")

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with pytest.raises(SelectionError, match="cannot be written: No space left on device"):
            there.add(KEYS[0], FIRST)
    there.close()


def test_contents_depend_on_what_is_selected() -> None:
    assert contents_of(["1.1", "1.2"]) == contents_of(["1.2", "1.1"])
    assert len({contents_of(["1.1"]), contents_of(["1.1", "1.2"]), contents_of(["1.2"])}) == 3


def test_a_relative_path_stays_the_same_file_wherever_the_function_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = checked_path("a.parquet")
    monkeypatch.chdir("/")
    assert path == tmp_path / "a.parquet"


@SUFFIXES
def test_rows_of_another_version_are_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "__version__", "0.9")
        path = filled(tmp_path / f"a{suffix}", FIRST)
    # It is still true of the first rows when others were added.
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"computed with simple_orthanc 0\.9"):
            assert rows_of(path) == {KEYS[0]: FIRST}
