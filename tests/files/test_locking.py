"""Locks on files: held by one at a time, until its descriptor is closed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simple_orthanc.files.locking import lock_file


def test_one_holds_a_lock_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = lock_file(path)
    assert first is not None
    assert lock_file(path) is None
    os.close(first)
    second = lock_file(path)
    assert second is not None
    os.close(second)


def test_a_file_that_was_removed_meanwhile_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    is_same = os.path.samestat

    def remove_first(one: os.stat_result, other: os.stat_result) -> bool:
        path.unlink()
        path.touch()
        return is_same(one, os.stat(path))

    monkeypatch.setattr("os.path.samestat", remove_first)
    assert lock_file(path) is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        lock_file(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()
