"""What is a path, and what is said of anything else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simple_orthanc.errors import SelectionError
from simple_orthanc.files.paths import make_folders, path_text


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


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_folders_that_are_made_are_closed_to_others_and_existing_ones_are_left(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_folders(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / path) for path in ("", "a", "a/b", "a/b/c")] == [0o755, 0o700, 0o700, 0o700]
    (tmp_path / "a").chmod(0o750)
    make_folders(tmp_path / "a" / "d")
    make_folders(tmp_path / "a" / "b")
    assert mode(tmp_path / "a") == 0o750
    assert mode(tmp_path / "a" / "d") == 0o700


def test_another_thread_makes_the_folder_above_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def fails_once_while_another_makes_it(path: Path, mode: int = 0o777) -> None:
        monkeypatch.setattr(Path, "mkdir", make)
        with pytest.raises(FileNotFoundError) as error:
            make(path, mode)
        make(path.parent, mode)
        raise error.value

    monkeypatch.setattr(Path, "mkdir", fails_once_while_another_makes_it)
    make_folders(tmp_path / "above" / "folder")
    assert (tmp_path / "above" / "folder").is_dir()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder in which none can be made")
def test_where_no_folder_can_be_made() -> None:
    with pytest.raises(FileNotFoundError):
        make_folders(Path("/proc/nowhere/inside"))


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("file", "file/inside", "file/inside/that"):
        with pytest.raises(OSError, match="file"):
            make_folders(tmp_path / path)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(FileExistsError):
        make_folders(tmp_path / "link")
