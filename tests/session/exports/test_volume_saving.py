"""What becomes of each volume: saved, there already, refused, failed, not tried; and nothing is written over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from simple_orthanc.errors import NotFoundError, TransportError, VolumeError
from simple_orthanc.session import Session
from simple_orthanc.session.exports.volume_saving import SavingOptions
from tests.killed import contents
from tests.memory_source import MemorySource
from tests.session.exports.series import dwi, in_memory, one_series, written

SHEARED = {"ImagePositionPatient": [(0.0, 0.0, 0.0), (0.0, 0.5, 1.0), (0.0, 1.0, 2.0)]}


def statuses(session: Session, target: Path, *arguments: Any, **options: Any) -> list[str]:
    return list(session.save_volumes(target, *arguments, **options).status)


def test_an_image_that_was_changed_is_not_touched(tmp_path: Path) -> None:
    session = in_memory(one_series(1))
    session.save_volumes(tmp_path, "x")
    (tmp_path / "x.nii.gz").write_bytes(b"mine")
    table = session.save_volumes(tmp_path, "x")
    assert list(table.status) == ["refused"]
    assert "x.nii.gz: .nii.gz has been changed since it was saved. Nothing was written over it" in table.message[0]
    assert (tmp_path / "x.nii.gz").read_bytes() == b"mine"
    assert statuses(session, tmp_path, "x", resume=False) == ["saved"]
    assert SimpleITK.ReadImage(str(tmp_path / "x.nii.gz")).GetSize() == (5, 4, 3)


@pytest.mark.parametrize("name", ["x.nii.gz", "x.json", "x.bval", "x.bvec"])
def test_what_is_not_ours_is_not_touched(name: str, tmp_path: Path) -> None:
    session = in_memory(one_series(1))
    (tmp_path / name).write_bytes(b"mine")
    assert statuses(session, tmp_path, "x") == ["refused"]
    assert contents(tmp_path) == {name: b"mine"}
    assert statuses(session, tmp_path, "x", resume=False) == ["saved"]
    assert sorted(contents(tmp_path)) == ["x.json", "x.nii.gz"]


def test_another_volume_or_request_is_not_taken_for_this_one(tmp_path: Path) -> None:
    session = in_memory(one_series(1))
    session.save_volumes(tmp_path, "x")
    before = contents(tmp_path)
    assert statuses(in_memory(one_series(2)), tmp_path, "x") == ["refused"]
    assert statuses(session, tmp_path, "x", units="stored") == ["refused"]
    assert statuses(session, tmp_path, "x", ".nrrd") == ["refused"]
    moved = one_series(1, origin=(1.0, 0.0, 0.0))
    assert statuses(in_memory(moved), tmp_path, "x") == ["refused"]
    assert contents(tmp_path) == before
    assert statuses(session, tmp_path, "x") == ["already there"]


def test_without_a_sidecar_the_json_of_others_stays(tmp_path: Path) -> None:
    session = in_memory(one_series(1))
    (tmp_path / "x.json").write_bytes(b"mine")
    assert statuses(session, tmp_path, "x", sidecar=False) == ["refused"]
    assert contents(tmp_path) == {"x.json": b"mine"}
    assert statuses(session, tmp_path, "x", sidecar=False, resume=False) == ["saved"]


def test_without_a_sidecar_what_a_killed_call_left_goes(tmp_path: Path) -> None:
    session = in_memory(one_series(1))
    session.save_volumes(tmp_path, "x")
    (tmp_path / "x.nii.gz").unlink()
    assert statuses(session, tmp_path, "x", sidecar=False) == ["saved"]
    assert sorted(contents(tmp_path)) == ["x.nii.gz"]


@pytest.mark.parametrize("identifiers", [True, False])
def test_what_identifies_the_patient_is_part_of_what_was_asked(identifiers: bool, tmp_path: Path) -> None:
    session = in_memory(one_series(1))
    session.save_volumes(tmp_path, "x", identifiers=identifiers)
    assert statuses(session, tmp_path, "x", identifiers=not identifiers) == ["refused"]
    assert statuses(session, tmp_path, "x", identifiers=identifiers) == ["already there"]
    session.save_volumes(tmp_path, "x", identifiers=not identifiers, resume=False)
    assert ("PatientID" in json.loads((tmp_path / "x.json").read_text())) is not identifiers


@pytest.mark.parametrize("left", [[".json"], [".json", ".bval"], [".json", ".bval", ".bvec"]])
def test_what_a_killed_call_left_is_completed(left: list[str], tmp_path: Path) -> None:
    session = in_memory(dwi())
    session.save_volumes(tmp_path / "whole", "x", dims="b")
    whole = contents(tmp_path / "whole")
    assert sorted(whole) == ["x.bval", "x.bvec", "x.json", "x.nii.gz"]
    (tmp_path / "target").mkdir()
    for ending in left:
        (tmp_path / "target" / f"x{ending}").write_bytes(whole[f"x{ending}"])
    assert statuses(session, tmp_path / "target", "x", dims="b") == ["saved"]
    assert contents(tmp_path / "target") == whole
    (tmp_path / "target" / "x.bval").unlink()
    table = session.save_volumes(tmp_path / "target", "x", dims="b")
    assert ".bval has been changed" in table.message[0]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_without_a_sidecar_volumes_are_compared_byte_by_byte(suffix: str, tmp_path: Path) -> None:
    session = in_memory(dwi())
    options = {"format": suffix, "dims": "b", "sidecar": False}
    assert statuses(session, tmp_path, "x", **options) == ["saved"]
    whole = contents(tmp_path)
    assert "x.json" not in whole
    assert statuses(session, tmp_path, "x", **options) == ["already there"]
    if suffix == ".nii.gz":
        (tmp_path / "x.bvec").unlink()
        assert statuses(session, tmp_path, "x", **options) == ["saved"]
    (tmp_path / f"x{suffix}").write_bytes(b"mine")
    assert statuses(session, tmp_path, "x", **options) == ["refused"]
    assert (tmp_path / f"x{suffix}").read_bytes() == b"mine"
    assert statuses(session, tmp_path, "x", resume=False, **options) == ["saved"]
    assert contents(tmp_path) == whole


def test_volumes_that_a_format_cannot_hold_are_refused(tmp_path: Path) -> None:
    sheared = in_memory(one_series(1, **SHEARED))
    table = sheared.save_volumes(tmp_path, "x")
    assert list(table.status) == ["refused"]
    assert "save_volumes(..., resample=True) puts it onto right angles" in table.message[0]
    assert statuses(sheared, tmp_path, "x", resample=True) == ["saved"]
    holey = one_series(2)
    beyond = one_series(2, SOPInstanceUID=["7", "8", "9"], origin=(0.0, 0.0, 3.0))
    table = in_memory([holey[0], holey[2], *beyond]).save_volumes(tmp_path, "y", gaps="nan")
    assert list(table.status) == ["refused"]
    assert table.message[0].startswith("y.nii.gz was asked for a volume with NaN")
    table = in_memory([holey[0], holey[2]]).save_volumes(tmp_path, "z")
    assert list(table.status) == ["saved"]
    assert sorted(contents(tmp_path)) == ["x.json", "x.nii.gz", "z.json", "z.nii.gz"]


def test_a_volume_that_cannot_be_planned_is_refused(tmp_path: Path) -> None:
    holey = one_series(1, shape=(6, 4, 5))
    session = in_memory([*holey[:2], *holey[3:]], one_series(2))
    table = session.save_volumes(tmp_path)
    assert sorted(table.status) == ["refused", "saved"]
    assert "missing" in " ".join(table.message)
    with pytest.raises(VolumeError) as caught:
        session.save_volumes(tmp_path / "other", errors="raise")
    assert "refused" in list(caught.value.table.status)  # type: ignore[attr-defined]


class Failing(MemorySource):
    """Fails to read the files of series 2."""

    def __init__(self, error: BaseException, *series: Any) -> None:
        super().__init__([dataset for datasets in series for dataset in datasets])
        self.error = error

    def content(self, key: str) -> bytes:
        if "|1.2.3.2|" in key:
            raise self.error
        return super().content(key)


def test_an_object_that_cannot_be_read_is_a_row(tmp_path: Path) -> None:
    source = Failing(NotFoundError("It is gone.", status=404), one_series(1), one_series(2), one_series(3))
    table = Session(source).save_volumes(tmp_path, "{SeriesNumber}")
    assert list(table.status) == ["saved", "failed", "saved"]
    assert table.message[1].startswith("It is gone.")
    with pytest.raises(NotFoundError) as caught:
        Session(source).save_volumes(tmp_path / "new", "{SeriesNumber}", errors="raise")
    assert list(caught.value.table.status) == ["saved", "failed", "not tried"]  # type: ignore[attr-defined]
    source.error = KeyError("not used any more")
    source.datasets = [dataset for dataset in source.datasets if dataset.SeriesNumber != 2]
    assert statuses(Session(source), tmp_path, "{SeriesNumber}") == ["already there"] * 2


@pytest.mark.parametrize("error", [TransportError("refused"), KeyboardInterrupt()])
def test_the_table_is_on_the_error_that_ends_the_call(error: BaseException, tmp_path: Path) -> None:
    session = Session(Failing(error, one_series(1), one_series(2), one_series(3)))
    with pytest.raises(type(error)) as caught:
        session.save_volumes(tmp_path, "{SeriesNumber}")
    table = caught.value.table  # type: ignore[attr-defined]
    assert list(table.status) == ["saved", "not tried", "not tried"]
    assert sorted(contents(tmp_path)) == ["1.json", "1.nii.gz"]


@pytest.mark.parametrize("room", [0, 100, 400])
def test_a_full_disk(room: int, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    array = np.random.default_rng(1).integers(0, 1000, (3, 20, 20)).astype(np.int16)
    session = in_memory(one_series(1, array=array))
    session.volume_table()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        table = session.save_volumes(tmp_path, "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(table.status) == ["failed"]
    assert str(tmp_path / "x.nii.gz") in table.message[0]
    assert contents(tmp_path) == {}
    assert statuses(session, tmp_path, "x") == ["saved"]


def test_no_room_is_told_before_a_volume_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = in_memory(one_series(1), one_series(2, shape=(3, 400, 400)))
    session.volume_table()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
    table = session.save_volumes(tmp_path, "{SeriesNumber}")
    assert list(table.status) == ["saved", "not tried"]
    assert "It may need 1.0 MB, and 0.0 MB are free" in table.message[1]
    monkeypatch.undo()
    assert statuses(session, tmp_path, "{SeriesNumber}") == ["already there", "saved"]


def test_a_file_in_the_place_of_a_folder_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "P1").write_bytes(b"mine")
    table = in_memory(one_series(1)).save_volumes(tmp_path, "{PatientID}/x")
    assert list(table.status) == ["failed"]
    assert "save_volumes(): " in table.message[0]
    assert contents(tmp_path) == {"P1": b"mine"}


def test_one_volume_always_makes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = in_memory(one_series(1), dwi())
    session.save_volumes(tmp_path / "one", "{SeriesNumber}", dims="b")
    monkeypatch.setattr("time.time", lambda: 2e9)
    session.save_volumes(tmp_path / "other", "{SeriesNumber}", dims="b")
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    assert json.loads((tmp_path / "one" / "7.json").read_text())["Dimension"] == "b"


def test_pipes_and_folders_in_the_place_of_files_are_not_waited_for(tmp_path: Path) -> None:
    session = in_memory(one_series(1), one_series(2))
    os.mkfifo(tmp_path / "1.json")
    (tmp_path / "2.nii.gz").mkdir()
    table = session.save_volumes(tmp_path, "{SeriesNumber}")
    assert list(table.status) == ["failed", "refused"]
    assert "not a regular file" in table.message[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.json", "2.nii.gz"]


def test_one_volume_is_in_memory_at_a_time(tmp_path: Path) -> None:
    count, shape = 6, (8, 512, 512)
    images = written(tmp_path / "images", *[one_series(number, shape=shape) for number in range(1, count + 1)])
    program = (
        # Else it is imported with the first table, when the first volume is not in memory any more.
        "import pandas; from simple_orthanc import Folder; from tests.peak_memory import peak_memory\n"
        f"session = Folder({str(images)!r}, cache=False)\n"
        "session.select(SeriesNumber=1).save_volumes('one'); before = peak_memory()\n"
        "session.reset(); print(len(session.save_volumes('all', sidecar=False)), peak_memory() - before)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    saved, grown = ended.stdout.split()
    volume = 2 * shape[0] * shape[1] * shape[2] / 2**20
    assert int(saved) == count
    assert float(grown) < 2.5 * volume, ended.stderr


def test_options() -> None:
    assert SavingOptions().suffix == ".nii.gz"
    with pytest.raises(VolumeError, match=r"format='\.dcm'"):
        SavingOptions(".dcm")
