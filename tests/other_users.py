"""What other users of this machine can read."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def public_folder() -> Iterator[Path]:
    """Make a folder that every user can enter and read, as those for temporary files are."""
    folder = Path(tempfile.mkdtemp(prefix="simple-orthanc-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def readable_by_others(top: Path) -> set[str]:
    """List what other users can read or enter below a folder, by the permissions, and by trying as one of them."""
    found = _by_permissions(top)
    if os.geteuid() == 0:
        tried = subprocess.run(
            ["find", str(top), "(", "-readable", "-o", "-executable", ")", "-print"],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        found |= {os.path.relpath(path, top) for path in tried.stdout.splitlines()}
    return found - {"."}


def _by_permissions(top: Path) -> set[str]:
    found: set[str] = set()
    waiting = [top]
    while waiting:
        path = waiting.pop()
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            continue
        if mode & 0o055:
            found.add(os.path.relpath(path, top))
        # Who cannot enter a folder reads nothing in it.
        if stat.S_ISDIR(mode) and mode & 0o011:
            waiting += path.iterdir()
    return found
