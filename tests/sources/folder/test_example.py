"""The example archive is written once by each process, and is gone with it, however that ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simple_orthanc.sources.folder import example as module
from simple_orthanc.sources.folder.example import example_folder

BEGINNING = """
import os, sys
from simple_orthanc.sources.folder import example

def write(folder):
    folder.mkdir()
    return folder

example.write_archive = write
folder = example.example_folder()
"""
FORKING = """
if os.fork() == 0:
    # As in the parent, and ended as the parent does.
    sys.exit(0 if example.example_folder() == folder else 1)
status = os.waitstatus_to_exitcode(os.wait()[1])
print(folder, status, folder.is_dir())
"""
KILLED = """
print(folder, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for temporary files, of this process and of those that it starts, where nothing is written at length."""

    def write(folder: Path) -> Path:
        folder.mkdir()
        return folder

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(module, "_folder", None)
    monkeypatch.setattr(module, "write_archive", write)
    return tmp_path


def printed_by(program: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", BEGINNING + program], capture_output=True, text=True, timeout=60)
    assert ended.stderr == ""
    return ended.stdout.split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_folder_outlives_a_forked_process_and_not_its_own(temporary: Path) -> None:
    folder, status, is_there = printed_by(FORKING)
    assert (status, is_there) == ("0", "True")
    assert temporary in Path(folder).parents
    assert list(temporary.iterdir()) == []


def test_a_folder_that_was_removed_is_written_again(temporary: Path) -> None:
    first = example_folder()
    assert example_folder() == first
    assert first.parent.parent == temporary
    assert os.name != "posix" or first.parent.stat().st_mode & 0o077 == 0
    shutil.rmtree(first)
    second = example_folder()
    assert second != first
    assert second.is_dir()


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_what_a_killed_process_left_is_removed_and_what_a_running_one_uses_is_not(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_use = example_folder()
    being_made = temporary / "simple-orthanc-example-young"
    being_made.mkdir()
    (killed,) = printed_by(KILLED)
    assert Path(killed).is_dir()
    monkeypatch.setattr(module, "_folder", None)
    example_folder()
    assert not Path(killed).parent.exists()
    assert in_use.is_dir()
    assert being_made.is_dir()
