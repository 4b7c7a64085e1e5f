"""Where downloaded files go: never outside the folder, never two in one place, complete or not at all."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc import Folder
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.session import Session
from simple_orthanc.session.exports.downloading import file_paths
from tests.memory_source import MemorySource, as_file, instance
from tests.session.exports.test_names import HOSTILE, NAMES


def local_folder(folder: Path) -> Folder:
    """Open a folder with one image."""
    folder.mkdir()
    (folder / "a.dcm").write_bytes(as_bytes(make_series((1, 32, 32))[0]))
    return Folder(folder, cache=False)


CHAINS = st.lists(st.tuples(NAMES | st.none(), NAMES, NAMES, NAMES | st.none()), max_size=6)


@given(CHAINS)
def test_no_two_files_meet_and_none_leaves_the_folder(chains: list[tuple[str | None, ...]]) -> None:
    keys = [f"key{place}" for place in range(len(chains))]
    paths = file_paths(Path("/base/folder"), chains, keys)
    # Not even where upper and lower case are the same.
    assert len({str(path).lower() for path in paths}) == len(chains)
    for path in paths:
        assert path.parts[:3] == ("/", "base", "folder")
        assert len(path.parts) == 7
        assert Path(os.path.normpath(path)) == path
        assert path.suffix == ".dcm"


def test_a_name_made_to_meet_another_does_not() -> None:
    chains = [("P", "1", "1", "uid-key2"), ("P", "1", "1", "uid"), ("P", "1", "1", "uid"), ("P", "1", "1", "uid-key2")]
    paths = file_paths(Path("folder"), chains, ["key0", "key1", "key2", "key2"])
    assert len({path.name for path in paths}) == 4


def hostile_archive() -> list[Dataset]:
    datasets = [instance(number, patient=patient) for number, patient in enumerate(HOSTILE)]
    datasets += [instance(50, patient="a"), instance(50, patient="A"), instance(51, patient="a")]
    return datasets


def test_a_hostile_archive_is_downloaded_below_the_folder(tmp_path: Path) -> None:
    datasets = hostile_archive()
    target = tmp_path / "target"
    paths = Session(MemorySource(datasets)).download(target)
    assert len(set(paths)) == len(datasets)
    assert sorted(paths) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert all(target in path.parents for path in paths)
    assert {path.read_bytes() for path in paths} == {as_file(dataset) for dataset in datasets}


def test_files_are_named_by_their_identifiers_in_the_order_of_the_selection(tmp_path: Path) -> None:
    session = Session(MemorySource([instance(2), instance(1), instance(1, series="2", patient="P1")]))
    paths = session.download(str(tmp_path / "new" / "folder"))
    assert [str(path.relative_to(tmp_path / "new" / "folder")) for path in paths] == [
        "P1/1.2.1/1.2.1.1/1.2.1.1.1.dcm",
        "P1/1.2.1/1.2.1.1/1.2.1.1.2.dcm",
        "P1/1.2.1/1.2.1.2/1.2.1.2.1.dcm",
    ]
    first, *_ = session.sort_by("InstanceNumber", "descending").download(tmp_path)
    assert pydicom.dcmread(first).InstanceNumber == 2


def test_without_a_folder_a_new_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    session = Session(MemorySource([instance(1)]))
    (one,), (other,) = session.download(), session.download()
    assert one != other
    assert tmp_path in one.parents
    assert tmp_path in other.parents


def test_an_error_is_raised(tmp_path: Path) -> None:
    source = MemorySource([instance(number) for number in range(5)])
    session = Session(source)
    assert session.instance_count == 5
    session.table(level="instance")
    source.break_at(3, TransportError("gone"))
    with pytest.raises(TransportError, match="gone"):
        session.download(tmp_path)
    assert len(list(tmp_path.rglob("*.dcm"))) < 5


@pytest.mark.parametrize("folder", [5, b"there", ["there"]])
def test_the_target_is_a_path(folder: object) -> None:
    session = Session(MemorySource([instance(1)]))
    with pytest.raises(SelectionError, match=r"the target is the path of one folder, as in download\(\"images\"\)"):
        session.download(folder)  # type: ignore[arg-type]


@pytest.mark.parametrize("inside", ["", "more", "more/and more"])
def test_a_file_is_no_target(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SelectionError, match=r"file is a file, so there can be no folder of that name"):
        Session(MemorySource([instance(1)])).download(tmp_path / "file" / inside)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["out.zip", "out.tar.gz", "out.ZIP", "out.dcm"])
def test_the_name_of_a_file_is_no_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(MemorySource([instance(1)]))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SelectionError, match=r"is the name of one file.*download\('out'\).*shutil\.make_archive"):
        session.download(name)
    assert not list(tmp_path.iterdir())
    # What the message proposes.
    session.download("out")
    assert shutil.make_archive("out", "zip", "out")
    with pytest.raises(SelectionError, match="there can be no folder of that name"):
        session.download("out.zip")


@pytest.mark.parametrize("name", ["2020.01.31", "1.2.840", "existing.zip", "archive"])
def test_folders_with_dots_are_folders(name: str, tmp_path: Path) -> None:
    (tmp_path / "existing.zip").mkdir()
    (path,) = Session(MemorySource([instance(1)])).download(tmp_path / name)
    assert path.is_relative_to(tmp_path / name)


@pytest.mark.parametrize(
    "name",
    ["a\0b", "x" * 300, "/".join(["y" * 200] * 30), "/proc/no folder", "/dev/null/inside"],
    ids=lambda name: name[:5],
)
def test_targets_that_cannot_be(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = local_folder(tmp_path / "images")
    with pytest.raises(SelectionError, match=r"^download\("):
        session.download(name)


@pytest.mark.parametrize("room", [0, 100, 1000])
def test_a_full_disk(room: int, tmp_path: Path) -> None:
    session = local_folder(tmp_path / "images")
    target = tmp_path / "target"
    (older,) = session.download(target)
    content = older.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(TransportError, match=r"cannot be written: File too large"):
            session.download(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in target.rglob("*") if path.is_file()] == [older.name]
    assert older.read_bytes() == content
