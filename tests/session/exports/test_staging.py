"""The hidden folder of unfinished files: removed at the end, and after a kill by the next call."""

from __future__ import annotations

import errno
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from simple_orthanc.session.exports.staging import alone_in, remove_leftovers, staging_folder
from tests.killed import contents


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_hidden_and_removed_at_the_end(tmp_path: Path) -> None:
    with staging_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith(".")
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "part").write_text("half")
    assert names(tmp_path) == []
    with suppress(KeyboardInterrupt), staging_folder(tmp_path) as folder:
        (folder / "part").write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_what_another_call_is_writing_stays(tmp_path: Path) -> None:
    with staging_folder(tmp_path) as one:
        (one / "part").write_text("half")
        remove_leftovers(tmp_path)
        with staging_folder(tmp_path) as other:
            assert other != one
        assert (one / "part").read_text() == "half"
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = tmp_path / (".simple_orthanc-" + "0" * 16)
    left.mkdir()
    (left / "part").write_text("half")
    left.with_suffix(".lock").touch()
    mine = {".simple_orthanc-mine.lock": b"mine", ".hidden": b"mine", "file.dcm": b"mine"}
    for name, content in mine.items():
        (tmp_path / name).write_bytes(content)
    remove_leftovers(tmp_path)
    assert contents(tmp_path) == mine
    assert not left.exists()


def test_what_cannot_be_removed_is_left_to_the_next_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A thread of an interrupted call may write a file at the moment in which the folder is removed.
    monkeypatch.setattr("shutil.rmtree", lambda *arguments, **options: None)
    with staging_folder(tmp_path) as folder:
        pass
    assert names(tmp_path) == [folder.name, f"{folder.name}.lock"]
    monkeypatch.undo()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == []


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> int:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("simple_orthanc.session.exports.staging.lock_file", refuse)
    with staging_folder(tmp_path) as folder:
        assert folder.is_dir()
        # Nobody knows whether it is in use.
        folder.with_suffix(".lock").touch()
        remove_leftovers(tmp_path)
        assert folder.is_dir()
    assert names(tmp_path) == []


def test_one_at_a_time_is_alone_in_a_folder(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        with alone_in(tmp_path):
            number = int(counter.read_text())
            time.sleep(0.002)
            counter.write_text(str(number + 1))

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(count) for _ in range(16)]:
            done.result()
    assert contents(tmp_path) == {"counter": b"16"}


def test_a_process_that_hangs_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simple_orthanc.session.exports.staging._LONGEST_WAIT", 0.05)
    with alone_in(tmp_path), alone_in(tmp_path):
        assert len(names(tmp_path)) == 1
    assert names(tmp_path) == []


def test_nobody_is_waited_for_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock_file(path: Path) -> None:
        path.touch()
        raise OSError(number, "no locks")

    monkeypatch.setattr("simple_orthanc.session.exports.staging.lock_file", lock_file)
    number = errno.ENOLCK
    with alone_in(tmp_path):
        assert names(tmp_path) == []
    number = errno.ENOSPC
    with pytest.raises(OSError, match="no locks"), alone_in(tmp_path):
        pass
