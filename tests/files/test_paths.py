"""What is a path, and what is said of anything else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simple_orthanc.errors import SelectionError
from simple_orthanc.files.paths import path_text


class InBytes(os.PathLike[bytes]):
    def __fspath__(self) -> bytes:
        return b"scans"


@pytest.mark.parametrize("given", ["scans", Path("scans")])
def test_a_path_is_a_text(given: object) -> None:
    assert path_text(given, "") == "scans"


def test_the_current_folder_is_a_path() -> None:
    assert path_text(Path(), "") == "."


@pytest.mark.parametrize("given", [None, 5, b"scans", ["scans"], InBytes(), ""])
def test_anything_else_is_refused_with_the_right_form(given: object) -> None:
    with pytest.raises(SelectionError, match=r'Pass a string or a Path: Folder\("scans"\)\.'):
        path_text(given, 'Folder("scans")')
