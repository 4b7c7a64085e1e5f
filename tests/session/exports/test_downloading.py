"""Where downloaded files go: never outside the folder, never two in one place, complete or not at all."""

from __future__ import annotations

import os
import re
import resource
import shutil
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc import Folder
from simple_orthanc.errors import NotFoundError, SelectionError, TransportError, UnknownTagError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.session import Session
from simple_orthanc.session.exports.downloading import file_paths
from tests.killed import contents, run_killed, stamps
from tests.memory_source import MemorySource, as_file, instance
from tests.session.exports.series import fifty_series, written
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


@pytest.mark.parametrize("folder", [5, b"there", ["there"], ""])
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
            session.download(target, resume=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in target.rglob("*") if path.is_file()] == [older.name]
    assert older.read_bytes() == content


# Layouts


def test_files_are_named_by_a_layout(tmp_path: Path) -> None:
    datasets = [instance(number, SeriesDescription="T1 sag", StudyDate="20200131") for number in (2, 1)]
    paths = Session(MemorySource(datasets)).download(
        tmp_path, layout="{PatientID}/{StudyDate:%Y}/{SeriesDescription}/{InstanceNumber:03d}_{AcquisitionNumber|x}.dcm"
    )
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "P1/2020/T1_sag/001_x.dcm",
        "P1/2020/T1_sag/002_x.dcm",
    ]
    assert sorted(contents(tmp_path)) == sorted(path.relative_to(tmp_path).as_posix() for path in paths)


@pytest.mark.parametrize(
    ("layout", "error"),
    [("{PatientNme}", UnknownTagError), ("{PatientID}.dcm", SelectionError), ("../{SOPInstanceUID}", SelectionError)],
)
def test_a_layout_that_cannot_be_is_refused_before_anything_is_fetched(
    layout: str, error: type[SelectionError], tmp_path: Path
) -> None:
    source = MemorySource([instance(1), instance(2)])
    session = Session(source)
    with pytest.raises(error) as caught:
        session.download(tmp_path / "new", layout=layout)
    assert "save" not in source.asked
    assert not (tmp_path / "new").exists()
    if layout == "{PatientID}.dcm":
        assert "SOPInstanceUID 1.2.1.1.1 and SOPInstanceUID 1.2.1.1.2 into one file" in caught.value.message
        (proposal,) = re.findall(r"download\(layout='([^']*)'\)\. Nothing", caught.value.message)
        assert proposal == "{PatientID}-{InstanceNumber}.dcm"
        assert len(session.download(tmp_path / "new", layout=proposal)) == 2


def test_hostile_values_in_a_layout_stay_below_the_folder(tmp_path: Path) -> None:
    hostile = [text for text in HOSTILE if text]
    datasets = [instance(number, patient=text, SeriesDescription=text) for number, text in enumerate(hostile)]
    target = tmp_path / "target"
    paths = Session(MemorySource(datasets)).download(target, layout="{index}/{PatientID}/{SeriesDescription}")
    assert sorted(paths) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert all(target in path.parents for path in paths)


# Files that are there already


def test_what_is_there_and_whole_is_not_fetched_again(tmp_path: Path) -> None:
    source = MemorySource([instance(number) for number in range(1, 5)])
    session = Session(source)
    paths = session.download(tmp_path)
    before = stamps(tmp_path)
    paths[2].unlink()
    source.asked.clear()
    assert session.download(tmp_path) == paths
    assert source.asked.count("save") == 1
    after = stamps(tmp_path)
    missing = str(paths[2].relative_to(tmp_path))
    assert {name for name in after if after[name] != before[name]} <= {missing}
    source.asked.clear()
    assert session.download(tmp_path, resume=False) == paths
    assert source.asked.count("save") == 4
    assert "is_copy" not in source.asked


@pytest.mark.parametrize("content", [b"", b"mine", None])
def test_what_is_there_and_different_is_an_error_before_anything_is_written(
    content: bytes | None, tmp_path: Path
) -> None:
    source = MemorySource([instance(number) for number in range(1, 5)])
    session = Session(source)
    paths = session.download(tmp_path / "other")
    (other,) = (path for path in paths if path.name.endswith(".1.dcm"))
    mine = tmp_path / "target" / other.relative_to(tmp_path / "other")
    mine.parent.mkdir(parents=True)
    if content is None:
        mine.mkdir()
    else:
        mine.write_bytes(content)
    source.asked.clear()
    with pytest.raises(SelectionError, match=r"under 1 of 4 names there is something other .*Nothing was written"):
        session.download(tmp_path / "target")
    assert "save" not in source.asked
    assert list((tmp_path / "target").rglob("*.dcm")) == [mine]
    if content is not None:
        assert mine.read_bytes() == content
        assert session.download(tmp_path / "target", resume=False)
        assert mine.read_bytes() == other.read_bytes()


def test_a_download_into_the_folder_itself_writes_nothing(tmp_path: Path) -> None:
    session = local_folder(tmp_path / "images")
    before = stamps(tmp_path)
    assert session.download(tmp_path / "images", layout="a.dcm") == [tmp_path / "images" / "a.dcm"]
    assert stamps(tmp_path) == before


def test_an_instance_that_cannot_be_compared_is_reported(tmp_path: Path) -> None:
    class Gone(MemorySource):
        def is_copy(self, key: str, path: Path) -> bool:
            self._dataset(key)
            return super().is_copy(key, path)

    source = Gone([instance(1), instance(2)])
    session = Session(source)
    one, _ = session.download(tmp_path)
    del source.datasets[1]
    with pytest.raises(NotFoundError):
        session.download(tmp_path)
    with pytest.warns(UserWarning, match="1 of 2 instances cannot be read and is left out"):
        assert session.download(tmp_path, errors="report") == [one]


def test_free_space_is_checked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = MemorySource([instance(number) for number in range(1, 5)])
    session = Session(source)
    session.download(tmp_path / "some", layout="{InstanceNumber}.dcm")
    size = sum(map(len, contents(tmp_path / "some").values()))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=size - 1))
    with pytest.raises(SelectionError, match=r"MB are to be written, and .* MB are free\. Nothing was written"):
        session.download(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    # What is there needs no room.
    (tmp_path / "some" / "2.dcm").unlink()
    assert len(session.download(tmp_path / "some", layout="{InstanceNumber}.dcm")) == 4


# Killed in the middle


@pytest.mark.parametrize(("at", "count"), [(2, 3), (77, 50)])
def test_a_download_of_series_that_was_killed_is_finished_by_the_same_call(at: int, count: int, tmp_path: Path) -> None:
    images = written(tmp_path / "images", *fifty_series()[:count])
    session = Folder(images, cache=False)
    layout = "{PatientID}/{SeriesDescription}/{InstanceNumber:02d}.dcm"
    session.download(tmp_path / "whole", layout=layout)
    whole = contents(tmp_path / "whole")
    assert len(whole) == 2 * count
    target = tmp_path / "target"
    run_killed(f"Folder({str(images)!r}, cache=False).download({str(target)!r}, layout={layout!r})", at)
    # What has its name is whole; what was not is in a hidden folder.
    found = {name: content for name, content in contents(target).items() if not name.startswith(".")}
    assert found.items() <= whole.items()
    assert any(name.startswith(".") for name in contents(target))
    before = stamps(target)
    session.download(target, layout=layout)
    assert contents(target) == whole
    assert {name: stamp for name, stamp in stamps(target).items() if name in found} == {
        name: stamp for name, stamp in before.items() if name in found
    }
    assert not [path for path in target.iterdir() if path.name.startswith(".")]
