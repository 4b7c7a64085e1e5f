"""What is opened is a regular file, whatever is at its path by then, and nothing is waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simple_orthanc import Folder
from simple_orthanc.errors import SelectionError
from simple_orthanc.files.opening import NotRegularError, open_regular
from simple_orthanc.files.streaming import read_file
from simple_orthanc.files.zips import open_zip
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.session.uploads.files import jobs_in_folder
from simple_orthanc.sources.folder.cache import FolderCache
from tests.session.uploads.test_files import Server, zipped

REPLACEMENTS = {
    "a pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
    "a link to a pipe": lambda path: (os.mkfifo(path.with_name("pipe")), path.symlink_to(path.with_name("pipe"))),
}


@pytest.fixture(params=REPLACEMENTS)
def replace(request: pytest.FixtureRequest) -> object:
    def replace_file(path: Path) -> None:
        path.unlink(missing_ok=True)
        REPLACEMENTS[request.param](path)

    return replace_file


def test_regular_files_and_links_to_them_are_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as stream:
            assert stream.read() == b"content"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "missing")


def test_nothing_else_is_opened(replace: object, tmp_path: Path) -> None:
    replace(tmp_path / "file")  # type: ignore[operator]
    with pytest.raises(NotRegularError, match="not a regular file"):
        open_regular(tmp_path / "file")
    with pytest.raises(NotRegularError):
        read_file(tmp_path / "file")
    with pytest.raises(NotRegularError):
        open_zip(tmp_path / "file")


@pytest.mark.parametrize("name", ["image.dcm", "images.zip"])
def test_a_file_of_a_folder_that_became_something_else(name: str, replace: object, tmp_path: Path) -> None:
    content = as_bytes(make_series((1, 4, 4))[0])
    (tmp_path / name).write_bytes(zipped(a=content) if name.endswith("zip") else content)
    folder = Folder(tmp_path, cache=False)
    assert len(folder.table()) == 1
    replace(tmp_path / name)  # type: ignore[operator]
    for verb in (folder.get_headers, folder.get_instances, folder.get_volume, lambda: folder.download(tmp_path / "d")):
        with pytest.raises(SelectionError, match=r"is gone, or has changed since the folder was looked at"):
            verb()


def test_a_file_to_upload_that_became_something_else(replace: object, tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(as_bytes(make_series((1, 4, 4))[0]))
    jobs = list(jobs_in_folder(tmp_path, recursive=False))
    replace(tmp_path / "a.dcm")  # type: ignore[operator]
    (report,) = Server().run(jobs)
    assert (report.status, "not a regular file" in report.message) == ("failed", True)


def test_a_cache_that_became_something_else(replace: object, tmp_path: Path) -> None:
    cache = FolderCache(tmp_path / "caches", "name")
    cache.save({})
    assert cache.path is not None
    assert cache.path.is_file()
    replace(cache.path)  # type: ignore[operator]
    assert cache.load() == {}
