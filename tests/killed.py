"""Programs that are killed while they write files: at the moment in which one is to get its name."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import os, signal, sys
from simple_orthanc import Folder, Orthanc

count, rename = 0, os.replace

def replace(source, target):
    global count
    count += 1
    if count == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)

os.replace = replace
{body}
"""


def run_killed(body: str, at: int) -> None:
    """Run the lines of a program, and kill it before it renames a file for the `at`-th time."""
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(at=at, body=body)], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def contents(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what shows that a file was written again, for each below a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }
