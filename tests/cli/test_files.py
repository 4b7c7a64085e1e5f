"""The commands between the archive and the disk."""

from __future__ import annotations

import io
import os
import resource
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from PIL import Image

import simple_orthanc
from simple_orthanc import Folder, OrthancError, TransportError
from simple_orthanc.cli import files, main
from simple_orthanc.phantom import as_bytes, make_series
from tests import stand_ins


class Uploading(stand_ins.DicomWeb):
    """A session that says of each file what it is told to say."""

    statuses: ClassVar[list[str]] = []
    error: ClassVar[TransportError | None] = None

    def upload_file(self, file: Any, test_dicom: bool = True, *, allow_foreign_uids: bool = False) -> pd.DataFrame:
        return self._table([str(file)])

    def upload_folder(
        self, folder: Any, test_dicom: bool = True, recursive: bool = False, *, allow_foreign_uids: bool = False
    ) -> pd.DataFrame:
        return self._table([f"{folder}/{number}" for number in range(len(self.statuses))])

    def _table(self, paths: list[str]) -> pd.DataFrame:
        columns = {"path": paths, "member": None, "status": self.statuses, "SOPInstanceUID": "1.2", "message": "=why"}
        table = pd.DataFrame(columns).astype("string")
        if self.error is not None:
            raise TransportError("The server went away.", table=table)
        return table


@pytest.fixture(autouse=True)
def _sessions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(simple_orthanc, "Folder", stand_ins.Folder, raising=False)
    monkeypatch.setattr(simple_orthanc, "DicomWeb", Uploading, raising=False)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("STAND_IN_FOLDER", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)


def write(folder: Path, *series: list[Any]) -> None:
    folder.mkdir(exist_ok=True)
    for number, dataset in enumerate(dataset for each in series for dataset in each):
        (folder / f"{number}.dcm").write_bytes(as_bytes(dataset))


@pytest.mark.parametrize(
    ("statuses", "is_folder", "status"),
    [
        (["stored", "already stored"], True, 0),
        (["stored", "not DICOM", "skipped"], True, 0),
        (["stored", "failed"], True, 1),
        (["conflict"], True, 1),
        (["filtered"], True, 1),
        ([], True, 0),
        (["stored"], False, 0),
        (["not DICOM"], False, 1),
        (["skipped"], False, 1),
    ],
)
def test_uploading_ends_as_the_files_did(
    statuses: list[str],
    is_folder: bool,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Uploading, "statuses", statuses)
    Path("some.dcm").write_bytes(b"")
    path = "empty" if is_folder else "some.dcm"
    assert main(["--dicomweb", "http://a", "upload", path, "--format", "csv", "--exact"]) == status
    written = capsys.readouterr()
    assert [line.split(",")[2] for line in written.out.splitlines()[1:]] == statuses
    assert (statuses[0] if statuses else "nothing") in written.err


def test_the_outcome_for_each_file_is_printed_when_the_server_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Uploading, "statuses", ["stored", "failed"])
    monkeypatch.setattr(Uploading, "error", TransportError())
    assert main(["--dicomweb", "http://a", "upload", "empty"]) == 1
    written = capsys.readouterr()
    assert len(written.out.splitlines()) == 3
    assert written.err == "simple-orthanc: error: The server went away.\n"


def test_volumes_of_a_split_never_leave_their_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = {"PatientID": "P", "modality": "MR"}
    write(
        tmp_path / "files",
        make_series((2, 4, 4), seed=1, SeriesDescription="../../x", **same),
        make_series((2, 4, 4), seed=2, SeriesDescription="../../X", SeriesNumber=2, **same),
        make_series((2, 4, 4), seed=3, SeriesDescription="\x1b[2J", SeriesNumber=3, **same),
    )
    (tmp_path / "out").mkdir()
    assert main(["--quiet", "--folder", "files", "volume", "out/all.NRRD", "--split"]) == 0
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(made) == len({name.lower() for name in made}) == 3
    assert all(name.startswith("all-") and name.endswith(".NRRD") for name in made)
    assert "\x1b" not in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "files", "out"]


def test_a_series_that_is_not_a_volume_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holes = make_series((5, 4, 4), seed=2, PatientID="P", SeriesNumber=2, SeriesDescription="holes")
    good = make_series((2, 4, 4), seed=1, PatientID="P", SeriesDescription="good")
    write(tmp_path / "files", good, holes[:2], holes[3:])
    assert main(["--folder", "files", "volume", "all.mha", "--split"]) == 1
    written = capsys.readouterr()
    assert len(written.out.splitlines()) == 1
    assert "holes" in written.err
    assert len(list(tmp_path.glob("all-*.mha"))) == 1
    assert main(["--folder", "files", "volume", "all.mha", "--split", "--gaps", "nan"]) == 0


@pytest.mark.parametrize(
    ("option", "kept"),
    [("--slices=2:4", [2, 3]), ("--slices=-1", [4]), ("--slices=::-2", [4, 2, 0]), ("--slices=3:", [3, 4])],
)
def test_some_slices_of_a_volume_are_written(tmp_path: Path, option: str, kept: list[int]) -> None:
    write(tmp_path / "files", make_series((5, 4, 4), seed=1))
    assert main(["--folder", "files", "volume", "part.mha", option]) == 0
    part = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "part.mha")))
    assert np.array_equal(part, Folder(tmp_path / "files").get_array()[kept])


def test_the_spacing_of_what_has_none_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (single,) = make_series((1, 4, 4), seed=1)
    for keyword in ("SliceThickness", "SpacingBetweenSlices"):
        single.pop(keyword, None)
    write(tmp_path / "files", [single])
    assert main(["--folder", "files", "volume", "one.mha", "--spacing", "2.5"]) == 0
    assert "voxels of 2.5 x 1 x 1 mm" in capsys.readouterr().out
    assert main(["--folder", "files", "volume", "all.mha", "--spacing", "4", "--split"]) == 0
    assert "voxels of 4 x 1 x 1 mm" in capsys.readouterr().out


def test_series_of_a_slice_each_are_one_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slices = make_series((4, 4, 4), seed=1)
    for number, dataset in enumerate(slices):
        dataset.SeriesInstanceUID = f"1.2.{number}"
    write(tmp_path / "files", slices)
    assert main(["--folder", "files", "volume", "one.mha"]) == 1
    assert "--across-series reads them as one" in capsys.readouterr().err
    assert main(["--folder", "files", "volume", "one.mha", "--across-series"]) == 0
    assert capsys.readouterr().out.startswith("one.mha: 4 x 4 x 4")


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--slices", "a:b"], 2, "'a:b' is neither the number of a slice nor FIRST:END"),
        (["--slices", ""], 2, "is neither the number of a slice"),
        (["--slices", "1:2:3:4"], 2, "is neither the number of a slice"),
        (["--slices", "::0"], 2, "is neither the number of a slice"),
        (["--slices", "9" * 5000], 2, "is neither the number of a slice"),
        (["--slices", "7"], 1, "slices=7 selects none of the slices of the volume: it has 5"),
        (["--slices", "9" * 30], 1, "selects none of the slices of the volume"),
        (["--slices", "1:3", "--split"], 2, "--split and --slices exclude each other"),
        (["--across-series", "--split"], 2, "--split and --across-series exclude each other"),
        (["--spacing", "thin"], 2, "invalid float value: 'thin'"),
        (["--spacing", "nan"], 1, "give a distance between slices in mm"),
        (["--spacing", "-1"], 1, "give a distance between slices in mm"),
        (["--spacing", "inf"], 1, "give a distance between slices in mm"),
    ],
)
def test_what_cannot_be_read_of_a_volume_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], status: int, says: str
) -> None:
    write(tmp_path / "files", make_series((5, 4, 4), seed=1))
    try:
        ended = main(["--folder", "files", "volume", "one.mha", *options])
    except SystemExit as exit_:
        ended = exit_.code
    written = capsys.readouterr()
    assert (ended, written.out, len(written.err.splitlines())) == (status, "", 1)
    assert says in written.err
    assert not (tmp_path / "one.mha").exists()


def test_a_sheared_volume_is_resampled_only_if_that_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import SimpleITK

    positions = [(0.0, 0.5 * number, float(number)) for number in range(4)]
    write(tmp_path / "files", make_series((4, 6, 6), seed=1, ImagePositionPatient=positions))
    assert main(["--quiet", "--folder", "files", "volume", "a.mha"]) == 1
    assert "--resample" in capsys.readouterr().err
    assert not Path("a.mha").exists()
    assert main(["--quiet", "--folder", "files", "volume", "a.mha", "--resample"]) == 0
    assert np.allclose(SimpleITK.ReadImage("a.mha").GetDirection(), np.eye(3).ravel())


def test_a_picture_is_that_of_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    write(tmp_path / "files", make_series(array=values, spacing=(3.0, 2.0, 1.0), seed=1))
    command = ["--quiet", "--folder", "files", "show"]
    for name, arguments, plot in (
        ("all.png", [], {}),
        ("one.png", ["--slice", "1", "--window", "30", "20"], {"slice": 1, "window": (30, 20)}),
        ("plane.png", ["--plane", "coronal", "--slice", "3"], {"plane": "coronal", "slice": 3}),
    ):
        assert main([*command, name, *arguments]) == 0
        wanted = io.BytesIO()
        simple_orthanc.Folder(tmp_path / "files").get_volume().plot(**plot).savefig(wanted, dpi=120)  # type: ignore[arg-type]
        assert np.array_equal(np.asarray(Image.open(name)), np.asarray(Image.open(wanted)))
    assert main([*command, "far.png", "--slice", "3"]) == 1
    assert "there are 3 planes along the slice axis, 0 to 2" in capsys.readouterr().err
    assert not Path("far.png").exists()
    assert main([*command, "a.jpg", "--slice", "0"]) == 0
    assert Path("a.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_without_matplotlib_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "files", make_series((2, 4, 4), seed=1))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["--folder", "files", "show", "a.png"]) == 1
    assert "simple-orthanc[plot]" in capsys.readouterr().err
    assert not Path("a.png").exists()


def test_a_file_that_cannot_be_finished_is_not_there(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"before")

    def half(stream: Any) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_whole(target, half)
    assert target.read_bytes() == b"before"
    files.write_whole(target, lambda stream: stream.write(b"whole"))
    assert target.read_bytes() == b"whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "empty"]


def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OrthancError, match="pipe cannot be written: not a regular file"):
        files.write_whole(tmp_path / "pipe", lambda stream: stream.write(b"whole"))
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "pipe"]


def test_paths_of_downloads_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "files", make_series((2, 4, 4), seed=1, PatientID="../up"))
    assert main(["--folder", "files", "download", "out", "--list"]) == 0
    listed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(listed) == sorted(path for path in Path("out").rglob("*.dcm"))
    assert len(listed) == 2
    assert io.BytesIO(listed[0].read_bytes()).read()[128:132] == b"DICM"


@pytest.mark.parametrize("room", [0, 10, 5000])
def test_a_full_disk_keeps_the_older_file(room: int, tmp_path: Path) -> None:
    target = tmp_path / "picture.png"
    target.write_bytes(b"older")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(OrthancError, match=r"picture.png cannot be written: File too large. Nothing was left"):
            files.write_whole(target, lambda stream: stream.write(bytes(6000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "picture.png"]
    assert target.read_bytes() == b"older"


def test_files_are_named_by_a_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "files", make_series((2, 4, 4), seed=1, PatientID="P 1"))
    command = ["--folder", "files", "download", "out", "--layout", "{PatientID}/{InstanceNumber:02d}.dcm"]
    assert main(command) == 0
    assert capsys.readouterr().out == "2 files in out\n"
    paths = sorted(Path("out").rglob("*.dcm"))
    assert [path.as_posix() for path in paths] == ["out/P_1/01.dcm", "out/P_1/02.dcm"]
    paths[0].write_bytes(b"mine")
    assert main(command) == 1
    assert "under 1 of 2 names there is something other" in capsys.readouterr().err
    assert main([*command, "--replace"]) == 0
    assert paths[0].read_bytes() != b"mine"


def test_every_volume_of_a_cohort_is_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        tmp_path / "files",
        make_series((2, 4, 4), seed=1, SeriesDescription="=one", SeriesNumber=1),
        make_series((2, 4, 4), seed=2, SeriesDescription="two", SeriesNumber=2),
    )
    command = ["--folder", "files", "save", "out", "--layout", "{SeriesNumber}_{SeriesDescription}", "--as", ".nrrd"]
    assert main([*command, "--format", "csv"]) == 0
    printed = capsys.readouterr()
    rows = pd.read_csv(io.StringIO(printed.out))
    assert list(rows["status"]) == ["saved"] * 2
    assert printed.err == "2 saved\n"
    names = sorted(path.name for path in Path("out").iterdir())
    assert names == ["1__one.json", "1__one.nrrd", "2_two.json", "2_two.nrrd"]
    Path("out/2_two.nrrd").write_bytes(b"mine")
    assert main(command) == 1
    printed = capsys.readouterr()
    assert "has been changed since it was saved" in printed.out
    assert set(printed.err.strip().split(", ")) == {"1 already there", "1 refused"}
    assert main([*command, "--replace", "--units", "stored", "--no-sidecar"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["1__one.nrrd", "2_two.nrrd"]


def test_a_cohort_as_bids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tags = {"modality": "MR", "PatientID": "P1", "StudyDate": "20200131", "SeriesDescription": "t1_mprage"}
    write(tmp_path / "files", make_series((2, 4, 4), seed=1, **tags))
    assert main(["--folder", "files", "save", "out", "--layout", "BIDS", "--format", "json"]) == 0
    assert "sub-P1_ses-20200131_acq-t1mprage_T1w.nii.gz" in capsys.readouterr().out
    assert main(["--folder", "files", "save", "out", "--layout", "{PatientNme}"]) == 1
    assert "Did you mean PatientName" in capsys.readouterr().err


def test_what_was_saved_before_a_server_went_away_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({"path": ["a", None], "status": ["saved", "not tried"]}).astype("string")

    def lose(*arguments: Any, **options: Any) -> None:
        raise TransportError("The server went away.", table=table)

    monkeypatch.setattr(stand_ins.Folder, "save_volumes", lose, raising=False)
    write(tmp_path / "files", make_series((2, 4, 4), seed=1))
    assert main(["--folder", "files", "save", "out"]) == 1
    printed = capsys.readouterr()
    assert "not tried" in printed.out
    assert "went away" in printed.err
