"""A file is read once as long as it does not change, whoever asks, and what changes is seen."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import Folder
from simple_orthanc.errors import (
    SelectionError,
)
from simple_orthanc.sources.folder import files as folder_files
from simple_orthanc.sources.folder import processes as looking
from tests.memory_source import as_file, instance
from tests.sources.folder.folders import (
    ALL,
    Reads,
    answers,
    counts,
    write,
)


def test_a_file_is_read_once(top: Path, tmp_path: Path, reads: Reads) -> None:
    folder = Folder(top, cache=tmp_path)
    assert reads.take() == ALL
    expected = repr(answers(folder))
    folder.refresh()
    again = Folder(top, cache=tmp_path)
    assert reads.take() == []
    assert repr(answers(again)) == expected
    (top / "c").write_bytes(as_file(instance(1, study="2", PatientName="new")))
    (top / "f").write_bytes(as_file(instance(1, study="3")))
    (top / "a" / "3").unlink()
    assert counts(Folder(top, cache=tmp_path)) == [2, 4, 5, 7]
    assert reads.take() == ["c", "f"]
    assert counts(Folder(top, recursive=False, cache=tmp_path)) == [2, 3, 3, 4]
    reads.take()
    Folder(top, cache=tmp_path)
    Folder(top, recursive=False, cache=tmp_path)
    assert reads.take() == []
    Folder(top, cache=False)
    assert reads.take() == ["a/1", "a/2.dcm", "a/b/4", "c", "d", "e", "f"]


def test_a_file_that_changed_a_moment_ago_is_read_again(
    top: Path, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_files, "SLOWEST_CLOCK", 10**18)
    Folder(top, cache=tmp_path)
    reads.take()
    Folder(top, cache=tmp_path).refresh()
    assert reads.take() == sorted(ALL * 2)


def test_a_file_with_its_old_size_and_time_is_seen_to_be_another(top: Path, tmp_path: Path, reads: Reads) -> None:
    folder = Folder(top, cache=tmp_path)
    reads.take()
    before = (top / "c").stat()
    (top / "c").write_bytes((top / "c").read_bytes().replace(b"P1", b"P9"))
    os.utime(top / "c", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert folder.refresh().PatientIDs == ["P1", "P2", "P9"]
    assert Folder(top, cache=tmp_path).PatientIDs == ["P1", "P2", "P9"]
    assert reads.take() == ["c"]


def test_refreshing(top: Path) -> None:
    folder = Folder(top).select(PatientID="P1")
    assert counts(folder) == [1, 2, 3, 5]
    write(top, {"g": as_file(instance(7)), "h": as_file(instance(7, patient="P3"))})
    assert counts(folder) == [1, 2, 3, 5]
    assert counts(folder.refresh()) == [1, 2, 3, 6]
    assert counts(folder.copy().reset()) == [3, 4, 5, 9]
    (top / "c").unlink()
    assert counts(folder.refresh()) == [1, 1, 2, 5]
    (top / "a" / "1").write_bytes(as_file(instance(1, PatientName="renamed")))
    assert folder.refresh().PatientNames == ["renamed"]
    # A file that comes first by path speaks for its study from now on.
    write(top, {"a/0": as_file(instance(8, PatientName="first"))})
    assert folder.refresh().PatientNames == ["first"]
    assert counts(folder) == [1, 1, 2, 6]
    shutil.rmtree(top / "a")
    folder.refresh()
    assert counts(folder) == [1, 1, 1, 1]
    (top / "g").unlink()
    with pytest.warns(UserWarning, match="Nothing is selected any more"):
        folder.refresh()
    assert counts(folder) == [0, 0, 0, 0]


def test_refreshing_before_anything_was_asked(top: Path) -> None:
    folder = Folder(top)
    (top / "c").unlink()
    assert counts(folder.refresh()) == [2, 2, 3, 6]


def test_two_sessions_of_one_folder(top: Path) -> None:
    folder = Folder(top)
    other = folder.copy()
    assert len(other.table(level="instance")) == 7
    (top / "c").unlink()
    folder.refresh()
    with pytest.raises(SelectionError, match="is no longer in"):
        other.select(StudyInstanceUID="1.2.2").get_header()
    assert counts(other.reset().refresh()) == [2, 2, 3, 6]


def test_ctrl_c_keeps_what_was_read(top: Path, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    look = looking.look

    def interrupted(full: str, path: str, stamp: tuple[int, int, int]) -> Any:
        if path == "c":
            raise KeyboardInterrupt
        return look(full, path, stamp)

    with monkeypatch.context() as patch:
        patch.setattr(looking, "look", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Folder(top, cache=tmp_path)
    assert reads.take() == ["a/1", "a/2.dcm", "a/3", "a/b/4"]
    assert counts(Folder(top, cache=tmp_path)) == [2, 3, 4, 7]
    assert reads.take() == ["c", "d", "e"]
