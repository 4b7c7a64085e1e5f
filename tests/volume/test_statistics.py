"""Numbers of the voxels inside a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Folder, Geometry, Volume, VolumeError
from simple_orthanc.volume.statistics import peak, summary, voxel_ml

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Geometry((21, 21, 21), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), AXIAL)


def ball(radius: float, grid: Geometry = GRID, centre: tuple[int, int, int] = (10, 10, 10)) -> np.ndarray[Any, Any]:
    indices = np.stack(np.meshgrid(*(np.arange(size) for size in grid.size[::-1]), indexing="ij"), axis=-1)
    points = grid.to_patient(indices, order="zyx")
    return np.linalg.norm(points - grid.to_patient(centre, order="zyx"), axis=-1) <= radius


def test_a_row_of_numbers() -> None:
    row = summary(np.array([4.0, 1.0, 3.0, 2.0, np.nan]), 0.008)
    assert row["voxels"] == 5
    assert row["ml"] == pytest.approx(0.04)
    assert (row["mean"], row["min"], row["p50"], row["max"]) == (2.5, 1, 2.5, 4)
    assert row["sd"] == pytest.approx(np.std([1, 2, 3, 4], ddof=1))


def test_nothing_inside() -> None:
    row = summary(np.array([]), 1.0)
    assert (row["voxels"], row["ml"]) == (0, 0)
    assert np.isnan([row["mean"], row["sd"], row["max"]]).all()


def test_the_volume_of_a_sheared_voxel() -> None:
    leaning = Geometry((4, 4, 4), (1.0, 1.0, np.sqrt(8.0)), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0.5**0.5, 0, 0, 0.5**0.5))
    assert voxel_ml(leaning) == pytest.approx(0.002)


class TestPeak:
    def test_inside_a_large_hot_ball_it_is_the_value(self) -> None:
        hot = ball(10)
        assert peak(np.where(hot, 5.0, 1.0), hot, GRID) == pytest.approx(5)

    def test_of_a_small_ball_it_is_the_share_of_the_sphere_that_the_ball_fills(self) -> None:
        one = np.zeros(GRID.size[::-1])
        one[10, 10, 10] = 1000
        # A voxel of 8 mm3 in a sphere of 1000 mm3.
        assert peak(one, one > 0, GRID) == pytest.approx(8, rel=0.02)

    def test_the_sphere_is_placed_where_its_mean_is_largest(self) -> None:
        values = np.where(ball(7, centre=(10, 10, 6)), 4.0, 0.0)
        values[10, 10, 16] = 9
        assert peak(values, values > 0, GRID) == pytest.approx(4, rel=0.01)

    def test_it_does_not_reach_beyond_the_image(self) -> None:
        corner = np.zeros(GRID.size[::-1], bool)
        corner[0, 0, 0] = True
        assert np.isnan(peak(np.ones(corner.shape), corner, GRID))

    def test_voxels_of_any_shape(self) -> None:
        flat = Geometry((41, 31, 15), (1.0, 1.5, 3.0), (0.0, 0.0, 0.0), AXIAL)
        values = np.full(flat.size[::-1], 2.0)
        assert peak(values, values > 0, flat) == pytest.approx(2)


class TestOfAVolume:
    def test_one_mask_and_several(self) -> None:
        volume = Volume(np.arange(9261).reshape(21, 21, 21), GRID, Dataset(), units="HU")
        inside = volume.with_array(ball(4))
        table = volume.statistics({"near": inside, "far": ball(6)})
        assert table.index.tolist() == ["near", "far"]
        assert table.loc["near", "voxels"] == ball(4).sum()
        assert table.loc["near", "mean"] == pytest.approx(volume.array[ball(4)].mean())
        assert "SUVmax" not in table
        assert any("linear" in line for line in table.attrs["log"])

    def test_a_mask_on_another_grid_is_refused_and_the_way_out_works(self) -> None:
        volume = Volume(np.zeros((21, 21, 21)), GRID, Dataset())
        coarse = volume.with_array(ball(6))[::2, ::2, ::2]
        with pytest.raises(VolumeError, match=r"mask.resample\(like=image\)"):
            volume.statistics(coarse)
        assert volume.statistics(coarse.resample(like=volume)).voxels.item() > 0
        moved = Geometry(GRID.size, GRID.spacing, (5.0, 0.0, 0.0), AXIAL)
        with pytest.raises(VolumeError, match="elsewhere"):
            volume.statistics(Volume(ball(4), moved, Dataset()))

    def test_a_label_map_is_no_mask(self) -> None:
        volume = Volume(np.zeros((21, 21, 21)), GRID, Dataset())
        with pytest.raises(VolumeError, match="other values than 0 and 1"):
            volume.statistics(np.full((21, 21, 21), 3))
        assert volume.statistics(np.ones((21, 21, 21), np.uint8)).voxels.item() == 9261

    def test_a_volume_of_steps_is_refused(self) -> None:
        volume = Volume(np.zeros((2, 3, 4, 5)), None, Dataset(), dims=("time", "slice", "row", "column"))
        mask = np.ones((3, 4, 5), bool)
        with pytest.raises(VolumeError, match=r"2 steps along 'time'.*volume\[0\]\.statistics.*array\[:, mask\]"):
            volume.statistics(mask)
        assert volume[0].statistics(mask)["mean"].tolist() == volume.array[:, mask].mean(axis=1)[:1].tolist()

    def test_colour_is_refused(self) -> None:
        volume = Volume(np.zeros((3, 4, 5, 3), np.uint8), None, Dataset())
        with pytest.raises(VolumeError, match="in colour"):
            volume.statistics(np.ones((3, 4, 5), bool))


@pytest.mark.parametrize("name", ["0_0", "1_0", "3_1", "4_0", "4_1"])
def test_standardized_uptake_values_of_the_reference_objects(shared_data: Path, name: str) -> None:
    folder = shared_data / "suv-dro" / name
    volume = Folder(folder, cache=False).select(Modality="PT").get_volume(units="SUVbw")
    (path,) = folder.rglob("*mask*.nii.gz")
    mask = np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0).astype(bool)
    table = volume.statistics(mask)
    assert table["min"].item() == pytest.approx(0.20, rel=0.005)
    assert table.p50.item() == pytest.approx(1.00, rel=0.005)
    assert table.SUVmax.item() == pytest.approx(4.00, rel=0.005)
    assert table.SUVpeak.item() == pytest.approx(4.00, rel=0.005)
    assert table.TLG.item() == pytest.approx(table["mean"].item() * table.MTV.item())
