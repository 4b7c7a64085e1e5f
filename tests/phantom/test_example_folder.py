"""The example archive is written once by each process, and is gone with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simple_orthanc.phantom import example_folder as module
from simple_orthanc.phantom.example_folder import example_folder

PROGRAM = """
import os, sys
from pathlib import Path
from simple_orthanc.phantom import example_folder as module

def write(folder):
    (folder / "written").touch()
    return folder

module.write_archive = write
folder = module.example_folder()
if os.fork() == 0:
    # As in the parent, and ended as the parent does.
    sys.exit(0 if module.example_folder() == folder else 1)
status = os.waitstatus_to_exitcode(os.wait()[1])
print(folder, status, (folder / "written").exists())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_folder_outlives_a_forked_process_and_not_its_own() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    folder, status, is_there = ended.stdout.split()
    assert (status, is_there, ended.stderr) == ("0", "True", "")
    assert not Path(folder).exists()


def test_a_folder_that_was_removed_is_written_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_folder", None)
    monkeypatch.setattr(module, "write_archive", lambda folder: folder)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = example_folder()
    assert example_folder() == first
    assert first.parent == tmp_path
    assert os.name != "posix" or first.stat().st_mode & 0o077 == 0
    shutil.rmtree(first)
    second = example_folder()
    assert second != first
    assert second.is_dir()
