"""The file of a cohort: what was written is read, and nothing else is."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc import Cohort, CohortError, SelectionError, limits, tag
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.selection.cohort import (
    Chain,
    FrozenCriterion,
    FrozenInstance,
    FrozenQuery,
    grouped,
    without_patients,
)
from simple_orthanc.session.cohorts import cohort_file
from simple_orthanc.session.cohorts.cohort_file import CohortData, lines, read, write
from tests.killed import contents, run_killed

NOW = datetime(2026, 11, 29, 16, 40, tzinfo=timezone.utc)
MD5, SHA256 = "0cc175b9c0f1b6a831c399e269772661", "ab" * 32
CONDITION = tag("Modality") == "CT"
QUERY = FrozenQuery(
    (FrozenCriterion("Modality == 'CT'", "Modality == 'CT'", CONDITION), FrozenCriterion("where f", "where f", None)),
    (parse_tag("InstanceNumber"), True),
)
NAMES = st.text(min_size=1, max_size=6)
PATIENTS = st.text(max_size=4) | st.integers(1, 5)


def cohort_of(*chains: tuple[Any, ...], query: FrozenQuery | None = QUERY, **options: Any) -> CohortData:
    instances = ((Chain(*chain), FrozenInstance(chain[-1], 8, MD5)) for chain in chains)
    values: dict[str, Any] = {"frozen": NOW, "source": "http://here", "versions": {"pydicom": "3"}, **options}
    return CohortData(query=query, checksums="files", series=grouped(instances), **values)


SMALL = cohort_of(("P1", "1", "1.1", "1.1.1"), ("P1", "1", "1.1", "1.1.2"), ("P2", "1", "1.1", "1.1.1"))


@given(
    instances=st.dictionaries(st.tuples(PATIENTS, NAMES, NAMES, NAMES), st.integers(0, 1 << 60), max_size=12),
    checksums=st.sampled_from(["files", "datasets", None]),
    query=st.sampled_from([QUERY, FrozenQuery(), None]),
    suffix=st.sampled_from([".cohort", ".jsonl.gz"]),
)
def test_what_is_written_is_read(
    instances: dict[Any, int], checksums: Any, query: Any, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sums = {
        "files": (MD5, None),
        "datasets": (MD5, SHA256),
        None: (None, None),
    }
    series = grouped(
        (Chain(*chain), FrozenInstance(chain[-1], size if checksums else None, *sums[checksums]))
        for chain, size in instances.items()
    )
    data = CohortData(NOW, "Müller \udcff", {"pydicom": "3"}, query, checksums, series)
    path = tmp_path_factory.mktemp("cohorts") / f"train{suffix}"
    assert write(data, path, overwrite=True) == path
    assert read(path) == data
    before = path.read_bytes()
    write(replace(data, frozen=NOW), path, overwrite=True)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_only_the_line_with_the_date_differs_between_two_freezes(tmp_path: Path) -> None:
    first, second = write(SMALL, tmp_path / "1"), write(replace(SMALL, frozen=NOW.replace(hour=3)), tmp_path / "2")
    pairs = zip(first.read_bytes().splitlines(), second.read_bytes().splitlines(), strict=True)
    assert [number for number, (one, other) in enumerate(pairs) if one != other] == [1]


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "cohort")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CohortError):
            read(path)


def test_a_file_with_any_character_changed_is_refused_unless_it_is_the_date(tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "cohort")
    whole = path.read_bytes()
    dates = range(whole.index(b'"20') + 1, whole.index(b'"20') + 26)
    for position in range(len(whole)):
        changed = whole[:position] + (b"7" if position % 2 else b"x") + whole[position + 1 :]
        if changed == whole or position in dates:
            continue
        path.write_bytes(changed)
        with pytest.raises(CohortError):
            read(path)


def rewritten(change: Callable[[list[Any]], object], tmp_path: Path) -> Path:
    """Write a file whose lines were changed as a hostile writer would, with the checksum that they then have."""
    values = [json.loads(line) for line in lines(SMALL)]
    change(values)
    encoded = [json.dumps(value).encode() + b"\n" for value in values]
    digest = hashlib.sha256(b"".join(encoded[:1] + encoded[2:])).hexdigest()
    path = tmp_path / "hostile"
    path.write_bytes(b"".join(encoded) + json.dumps({"sha256": digest}).encode() + b"\n")
    return path


def put(line: int, value: Any) -> Callable[[list[Any]], None]:
    def change(values: list[Any]) -> None:
        values[line] = value

    return change


COUNTS = {"patients": 2, "studies": 2, "series": 2, "instances": 3, "checksums": "files"}


@pytest.mark.parametrize(
    "change",
    [
        put(0, []),
        put(0, {"format": "simple_orthanc cohort", "schema": "1"}),
        put(0, {"format": "simple_orthanc cohort", "schema": True}),
        put(0, {"format": "simple_orthanc cohort", "schema": 0}),
        put(1, {"frozen": "yesterday"}),
        put(1, {"frozen": 1}),
        put(1, {"frozen": "2026-11-29T16:40:00"}),
        put(2, {"source": 1, "versions": {}}),
        put(2, {"source": "", "versions": []}),
        put(2, {"source": "", "versions": {"a": 1}}),
        put(3, {"criterion": 1, "meaning": "", "condition": None}),
        put(3, {"criterion": "a", "meaning": "a", "condition": {"Where": {"function": "os.system"}}}),
        put(3, {"combined": True}),
        put(5, {"order": "NoSuchTag", "descending": True}),
        put(5, {"order": "InstanceNumber", "descending": 1}),
        put(6, {**COUNTS, "instances": 2}),
        put(6, {**COUNTS, "instances": 4}),
        put(6, {**COUNTS, "instances": True}),
        put(6, {**COUNTS, "instances": -1}),
        put(6, {**COUNTS, "checksums": "none"}),
        put(6, {**COUNTS, "checksums": ["files"]}),
        put(6, {**COUNTS, "checksums": None}),
        put(6, {**COUNTS, "checksums": "datasets"}),
        put(7, {"patient": None}),
        put(7, {"patient": True}),
        put(7, {"patient": [1]}),
        put(8, {"study": ""}),
        put(8, {"series": "1"}),
        put(9, ["1.1.1", 8, MD5]),
        put(9, {"series": 1}),
        put(10, ["1.1.1", -8, MD5]),
        put(10, ["1.1.1", 8.0, MD5]),
        put(10, ["1.1.1", 1 << 63, MD5]),
        put(10, ["1.1.1", 8, "x"]),
        put(10, ["1.1.1", 8, MD5 + "0"]),
        put(10, [8, 8, MD5]),
        put(10, ["1.1.2", 8, MD5]),
        put(10, "1.1.1"),
        put(10, {}),
        put(10, {"sha256": "x"}),
        put(12, {"patient": "P1"}),
        lambda values: values.append({"series": "1.2"}),
        lambda values: values.append(["1.1.9", 8, MD5]),
    ],
)
def test_a_hostile_file_is_refused(change: Callable[[list[Any]], object], tmp_path: Path) -> None:
    path = rewritten(change, tmp_path)
    with pytest.raises(CohortError):
        read(path)


def test_the_rewriting_itself_is_not_what_is_refused(tmp_path: Path) -> None:
    assert read(rewritten(lambda values: None, tmp_path)) == SMALL


def test_a_newer_schema_asks_for_an_update(tmp_path: Path) -> None:
    path = rewritten(put(0, {"format": "simple_orthanc cohort", "schema": 2, "new": 1}), tmp_path)
    with pytest.raises(CohortError, match=r"newer simple_orthanc: its schema is 2.*Update simple_orthanc"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 100, b"[" * 100_000 + b"\n", b"{}\n", b"{", b"\xff\xfe\n", b"1" * 10_000 + b"\n", b"\x1f\x8b\x08"],
)
def test_what_is_no_cohort_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(CohortError):
        Cohort.load(path)


def test_a_deeply_nested_condition_is_refused(tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "cohort")
    deep = b'{"Not": {"inner": ' * 50_000 + b"null" + b"}}" * 50_000
    path.write_bytes(path.read_bytes().replace(b'"condition": null', b'"condition": ' + deep))
    with pytest.raises(CohortError, match="damaged"):
        read(path)


def test_a_file_that_inflates_to_far_more_than_its_size_is_refused(tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "cohort.gz")
    plain = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(plain.replace(b"http://here", b"a" * 4_000_000)))
    with limits.changed(expanded_bytes=1_000_000), pytest.raises(CohortError, match="decompress"):
        read(path)


def test_a_compressed_file_with_a_wrong_bit_is_refused(tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "cohort.gz")
    whole = path.read_bytes()
    for position in range(10, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :])
        with pytest.raises(CohortError):
            read(path)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_lines_that_end_as_on_windows_are_read(suffix: str, tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / f"cohort{suffix}")
    unpack, pack = (gzip.decompress, gzip.compress) if suffix else (bytes, bytes)
    path.write_bytes(pack(unpack(path.read_bytes()).replace(b"\n", b"\r\n")))
    assert read(path) == SMALL
    path.write_bytes(pack(unpack(path.read_bytes()).replace(b"\r\n", b"\r\r\n")))
    with pytest.raises(CohortError, match="damaged"):
        read(path)


def test_the_date_is_in_utc_and_one_before_all_calendars_is_refused(tmp_path: Path) -> None:
    read_back = read(rewritten(put(1, {"frozen": "2026-11-29T01:00:00+02:00"}), tmp_path))
    assert read_back.frozen.isoformat() == "2026-11-28T23:00:00+00:00"
    assert read_back.frozen.tzname() == "UTC"
    with pytest.raises(CohortError, match="no date"):
        read(rewritten(put(1, {"frozen": "0001-01-01T00:00:00+02:00"}), tmp_path))


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "cohort")
    before, other = path.read_bytes(), replace(SMALL, source="http://there")
    with pytest.raises(SelectionError, match="overwrite=True"):
        write(other, path)
    assert path.read_bytes() == before
    write(other, path, overwrite=True)
    assert read(path) == other
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(SelectionError, match="overwrite=True"):
        write(SMALL, tmp_path / "link")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cohort", "link"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cohort"
    encoded = cohort_file._write_lines

    def write_late(*arguments: Any) -> None:
        encoded(*arguments)
        path.write_bytes(b"another")

    monkeypatch.setattr(cohort_file, "_write_lines", write_late)
    with pytest.raises(SelectionError, match="overwrite=True"):
        write(SMALL, path)
    assert path.read_bytes() == b"another"
    assert [entry.name for entry in tmp_path.iterdir()] == ["cohort"]


def test_the_next_save_removes_what_a_killed_one_has_left(tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "first.cohort")
    before = path.read_bytes()
    run_killed(
        f"from simple_orthanc import Cohort; c = Cohort.load({str(path)!r}); c.save({str(path)!r}, overwrite=True)", 1
    )
    assert path.read_bytes() == before
    assert len(contents(tmp_path)) > 1
    second = write(SMALL, tmp_path / "second.cohort")
    assert sorted(tmp_path.iterdir()) == [path, second]


def test_a_folder_is_no_cohort_and_a_path_is_none(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"is a folder: name the file"):
        Cohort.load(tmp_path)
    with pytest.raises(SelectionError, match=r"Cohort\('train.cohort'\): Cohort.load\(path\) reads"):
        Cohort("train.cohort")  # type: ignore[arg-type]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CohortError, match="not a regular file"):
        read(tmp_path / "pipe")


def test_a_missing_file_and_no_path_are_clear(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"There is no file .*nothing"):
        read(tmp_path / "nothing")
    with pytest.raises(CohortError, match=r"There is no file 'a\\x00b'"):
        Cohort.load("a\0b")
    for wrong in ("", None, 3, b"train"):
        with pytest.raises(SelectionError, match="path was expected"):
            Cohort.load(wrong)  # type: ignore[arg-type]


def test_a_file_that_cannot_be_written_leaves_the_older_one(tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "cohort")
    before = path.read_bytes()
    with pytest.raises(CohortError, match="cannot be written"):
        write(SMALL, tmp_path / "none" / "cohort")
    with pytest.raises(CohortError, match="cannot be written"):
        write(SMALL, tmp_path)
    with pytest.raises(CohortError, match="cannot be written"):
        write(SMALL, tmp_path / "a\0b")

    broken = replace(SMALL, versions={"a": float("nan")})  # type: ignore[dict-item]
    with pytest.raises(CohortError):
        write(broken, path, overwrite=True)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["cohort"]


def test_a_file_without_patients_has_the_permissions_that_the_user_gives_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        public = write(replace(SMALL, series=without_patients(SMALL.series)), tmp_path / "public")
        own = write(SMALL, tmp_path / "own")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (public, own)] == [0o640, 0o600]
