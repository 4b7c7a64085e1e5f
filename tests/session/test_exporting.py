"""The verbs that write to disk: their arguments, and the whole of what they leave."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from simple_orthanc import Folder
from simple_orthanc.errors import EmptySelectionError, SelectionError, UnknownTagError, VolumeError
from tests.examples import THOROUGH
from tests.killed import contents, run_killed, stamps
from tests.memory_source import instance
from tests.session.exports.series import dwi, fifty_series, in_memory, one_series, written


def test_every_volume_becomes_a_file_of_its_own(tmp_path: Path) -> None:
    session = in_memory(one_series(1), one_series(2, EchoTime=4), one_series(2, EchoTime=9, SOPInstanceUID=list("123")))
    table = session.save_volumes(tmp_path)
    volumes = session.get_volumes()
    assert len(table) == len(volumes) == 3
    assert list(table.status) == ["saved"] * 3
    assert list(table.columns) == [
        *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "label", "path", "shape", "dtype", "units"),
        *("spacing", "instance_count", "status", "message"),
    ]
    assert list(table.label) == [label.partition(" - ")[2] for label in volumes]
    for path, shape, volume in zip(table.path, table["shape"], volumes.values(), strict=True):
        image = SimpleITK.ReadImage(path)
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), volume.array)
        assert image.GetSpacing() == pytest.approx(volume.spacing)
        assert shape == volume.shape
    names = sorted(path for path in contents(tmp_path) if path.endswith(".nii.gz"))
    assert names == [
        "P1/20200131/001_series_1_axial_3x4x5.nii.gz",
        "P1/20200131/002_series_2_echo_time_4.nii.gz",
        "P1/20200131/002_series_2_echo_time_9.nii.gz",
    ]
    assert len(contents(tmp_path)) == 6


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_formats_and_layouts(suffix: str, tmp_path: Path) -> None:
    table = in_memory(one_series(1)).save_volumes(tmp_path, "{PatientID}/{SeriesNumber:02d}" + suffix, suffix)
    assert list(table.path) == [str(tmp_path / "P1" / f"01{suffix}")]
    assert sorted(contents(tmp_path)) == sorted([f"P1/01{suffix}", "P1/01.json"])
    assert SimpleITK.ReadImage(table.path[0]).GetSize() == (5, 4, 3)


def test_a_second_call_reads_nothing_again_and_returns_the_same_table(tmp_path: Path) -> None:
    session = in_memory(one_series(1), dwi())
    first = session.save_volumes(tmp_path, dims="b")
    assert [Path(name).suffix for name in contents(tmp_path)].count(".bvec") == 1
    before = stamps(tmp_path)
    second = session.save_volumes(tmp_path, dims="b")
    assert list(second.status) == ["already there"] * 2
    assert second.drop(columns="status").equals(first.drop(columns="status"))
    assert stamps(tmp_path) == before
    third = session.save_volumes(tmp_path, dims="b", resume=False)
    assert list(third.status) == ["saved"] * 2


def test_the_sidecar_has_no_identifiers_unless_they_are_asked_for(tmp_path: Path) -> None:
    session = in_memory(one_series(1, PatientName="Doe^Jane", RepetitionTime=2300, InstitutionName="St. Mary"))
    session.save_volumes(tmp_path / "a", "x")
    text = (tmp_path / "a" / "x.json").read_text()
    assert "Doe" not in text
    assert "Mary" not in text
    assert "20200131" not in text
    entries = json.loads(text)
    assert entries["RepetitionTime"] == 2.3
    assert entries["SeriesInstanceUID"] == "1.2.3.1"
    session.save_volumes(tmp_path / "b", "x", identifiers=True)
    entries = json.loads((tmp_path / "b" / "x.json").read_text())
    assert (entries["PatientName"], entries["StudyDate"]) == ("Doe^Jane", "20200131")


def test_arguments_without_meaning_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    session = in_memory(one_series(1), one_series(2))
    target = tmp_path / "new"
    for error, message, arguments in [
        (VolumeError, r"format='.img' is not valid; choose '.nii.gz'", {"format": ".img"}),
        (VolumeError, r"dims='phases' is not valid", {"dims": "phases"}),
        (VolumeError, r"units='raw' is not valid", {"units": "raw"}),
        (VolumeError, r"gaps='fill' is not valid", {"gaps": "fill"}),
        (SelectionError, r"errors='ignore' is not valid", {"errors": "ignore"}),
        (SelectionError, r"ends with .nrrd, and format='.nii.gz'", {"layout": "{PatientID}.nrrd"}),
        (SelectionError, r"format='.mha': BIDS has NIfTI", {"layout": "BIDS", "format": ".mha"}),
        (SelectionError, r"sidecar=False: BIDS has NIfTI", {"layout": "BIDS", "sidecar": False}),
        (SelectionError, r"format='.mha': BIDS has NIfTI", {"layout": "bids", "format": ".mha"}),
        (UnknownTagError, r"Did you mean PatientName", {"layout": "{PatientNme}"}),
        (SelectionError, r"into one file, 'P1'.*layout='\{PatientID\}-\{SeriesNumber\}'", {"layout": "{PatientID}"}),
    ]:
        with pytest.raises(error, match=message):
            session.save_volumes(target, **arguments)  # type: ignore[arg-type]
        assert not target.exists()
    with pytest.raises(SelectionError, match=r"save_volumes\(5\): the target is the path of one folder"):
        session.save_volumes(5)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="Nothing is selected"):
        session.select(PatientID="nobody")
    with pytest.raises(EmptySelectionError):
        session.save_volumes(target)


# Each volume is renamed three times: when its image is whole, and then its sidecar and its image get their names.
KILLS = [(3, 2), (80, 50), *((at, 8) for at in range(1, 24) if THOROUGH)]


@pytest.mark.parametrize(("at", "count"), KILLS)
def test_series_that_were_killed_are_finished_by_the_same_call(at: int, count: int, tmp_path: Path) -> None:
    images = written(tmp_path / "images", *fifty_series()[:count])
    session = Folder(images, cache=False)
    table = session.save_volumes(tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    assert len(whole) == 2 * count
    target = tmp_path / "target"
    run_killed(f"Folder({str(images)!r}, cache=False).save_volumes({str(target)!r})", at)
    found = {name: content for name, content in contents(target).items() if not name.startswith(".")}
    assert found.items() <= whole.items()
    before = stamps(target)
    again = session.save_volumes(target)
    assert contents(target) == whole
    done = [name for name in found if name.endswith(".nii.gz")]
    assert len(done) == (at - 1) // 3
    assert {name: stamps(target)[name] for name in done} == {name: before[name] for name in done}
    assert list(again.status).count("already there") == len(done)
    assert list(again["shape"]) == list(table["shape"])


def test_hostile_values_stay_below_the_folder(tmp_path: Path) -> None:
    names = ["../up", "/etc/passwd", "NUL", "a\nb", "x" * 64, "\u202egpj", "C:\\x"]
    session = in_memory(*[one_series(number, SeriesDescription=name) for number, name in enumerate(names, 1)])
    table = session.save_volumes(tmp_path / "target", "{SeriesDescription}/{SeriesDescription}")
    assert list(table.status) == ["saved"] * len(names)
    assert all(name.startswith("target/") for name in contents(tmp_path))
    assert not list((tmp_path / "target").glob(".*"))


def test_what_is_no_image_is_a_row(tmp_path: Path) -> None:
    table = in_memory(one_series(1), [instance(1, Modality="SR")]).save_volumes(tmp_path)
    assert sorted(table.status) == ["no images", "saved"]
