"""The comparison of real series with dcm2niix: each verdict, on series whose truth is known."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.phantom import as_bytes, make_series

PROGRAM = Path(__file__).parents[1] / "tools" / "realdata.py"


@pytest.fixture(scope="module")
def realdata() -> ModuleType:
    """The program, as a module."""
    specification = importlib.util.spec_from_file_location("realdata", PROGRAM)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["realdata"] = module
    specification.loader.exec_module(module)
    return module


def write(folder: Path, datasets: Sequence[Dataset]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in datasets:
        Path(folder, f"{dataset.SOPInstanceUID}.dcm").write_bytes(as_bytes(dataset))


def mr(**keywords: object) -> list[Dataset]:
    """An oblique MR series of three slices, each voxel with a value of its own."""
    values = np.arange(3 * 6 * 5, dtype=np.int16).reshape(3, 6, 5)
    cosine, sine = np.cos(0.3), np.sin(0.3)
    orientation = (cosine, sine, 0.0, -sine, cosine, 0.0)
    settings = {"modality": "MR", "array": values, "spacing": (0.7, 1.3, 2.5), "orientation": orientation}
    return make_series(**{**settings, "seed": 1, **keywords})  # type: ignore[arg-type]


def test_a_plain_series_is_equal_in_all_three(realdata: ModuleType, tmp_path: Path) -> None:
    write(tmp_path, mr())
    (row,) = realdata.rows([tmp_path])
    assert (row.verdict, row.sitk, row.here, row.dcm2niix) == ("right", "equal", "5x6x3", "5x6x3")
    assert row.largest_corner_mm < 1e-3


def test_two_echoes_are_split_in_the_same_way(realdata: ModuleType, tmp_path: Path) -> None:
    first = mr(EchoTime=10, EchoNumbers=1)
    second = mr(EchoTime=20, EchoNumbers=2, seed=2, like=first[0])
    for dataset in second:
        dataset.SeriesInstanceUID = first[0].SeriesInstanceUID
    write(tmp_path, [*first, *second])
    (row,) = realdata.rows([tmp_path])
    assert (row.verdict, row.here) == ("split", "2 of 5x6x3")


def test_a_hole_is_refused(realdata: ModuleType, tmp_path: Path) -> None:
    datasets = make_series((5, 4, 4), modality="MR", spacing=(1, 1, 2), seed=1)
    write(tmp_path, [dataset for number, dataset in enumerate(datasets) if number != 2])
    (row,) = realdata.rows([tmp_path])
    assert row.verdict in ("refused", "split", "differs")
    assert "missing" in row.reason


def test_an_object_without_pixels_is_no_image(realdata: ModuleType, tmp_path: Path) -> None:
    (dataset, *_) = mr()
    del dataset.PixelData
    write(tmp_path, [dataset])
    (row,) = realdata.rows([tmp_path])
    assert row.verdict == "no image"


def test_other_voxels_differ(realdata: ModuleType) -> None:
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    one, same = realdata.canonical(values, affine), realdata.canonical(values, affine)
    mirrored = realdata.canonical(values[::-1], affine)
    turned = realdata.canonical(values[::-1], affine @ [[-1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert realdata.distance(one, same) == 0
    assert realdata.distance(one, mirrored) is None
    assert realdata.distance(one, turned) == pytest.approx(0)


def test_a_difference_is_told_and_ends_with_a_status(
    realdata: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, mr())
    there = realdata.grids_there

    def shifted(path: Path) -> object:
        for grid in there(path):
            yield realdata.Grid(grid.values, grid.affine + np.outer([1, 0, 0, 0], [0, 0, 0, 1]))

    monkeypatch.setattr(realdata, "grids_there", shifted)
    monkeypatch.setattr(sys, "argv", ["realdata.py", str(tmp_path)])
    assert realdata.main() == 1
    assert "corners 1 mm apart" in capsys.readouterr().out


def test_zips_are_unpacked(realdata: ModuleType, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "series.zip", "w") as archive:
        for number, dataset in enumerate(mr()):
            archive.writestr(f"{number}.dcm", as_bytes(dataset))
    (row,) = realdata.rows([tmp_path])
    assert row.verdict == "right"


def test_pydicoms_example_of_a_real_series(realdata: ModuleType, tmp_path: Path) -> None:
    path = pydicom.data.get_testdata_file("MR_small.dcm", download=False)
    (tmp_path / "one.dcm").write_bytes(Path(str(path)).read_bytes())
    (row,) = realdata.rows([tmp_path])
    assert row.verdict == "right"
