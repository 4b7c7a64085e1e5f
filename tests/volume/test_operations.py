"""A volume behaves as an array where people expect one, and its geometry follows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Geometry, Volume, VolumeError
from simple_orthanc.phantom import make_series
from tests.volume.helpers import read

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Geometry((6, 5, 4), (0.5, 1.5, 2.0), (10.0, 20.0, 30.0), AXIAL)


def plain(dtype: Any = np.int16, **attributes: Any) -> Volume:
    return Volume(np.arange(120).reshape(4, 5, 6).astype(dtype), GRID, Dataset(), **attributes)


def of_steps() -> Volume:
    """Three time steps of four slices."""
    slices = pd.DataFrame(
        {
            "SOPInstanceUID": [f"{step}.{index}" for step in range(3) for index in range(4)],
            "time": np.repeat([0, 2, 5], 4),
        },
        index=pd.Index(list(range(4)) * 3, name="slice"),
    )
    return Volume(
        np.arange(360).reshape(3, 4, 5, 6),
        GRID,
        Dataset(),
        dims=("time", "slice", "row", "column"),
        coordinates={"time": (0.0, 2.0, 5.0)},
        slices=slices,
    )


class TestAsAnArray:
    def test_numpy_takes_it_without_a_copy(self) -> None:
        # PyTorch, JAX and CuPy read DLPack.
        volume = plain()
        assert (volume.dtype, volume.ndim, len(volume), volume.shape) == (np.int16, 3, 4, (4, 5, 6))
        assert np.shares_memory(np.asarray(volume), volume.array)
        assert np.shares_memory(np.from_dlpack(volume), volume.array)
        assert volume.__array_interface__["shape"] == (4, 5, 6)
        assert np.array(volume, dtype=float).dtype == float
        assert not np.shares_memory(np.array(volume), volume.array)
        assert np.mean(volume) == pytest.approx(59.5)

    def test_a_turned_axis_is_copied_for_dlpack(self) -> None:
        turned = plain()[::-1]
        found = np.from_dlpack(turned)
        assert np.array_equal(found, turned.array)
        assert all(stride > 0 for stride in found.strides)
        with pytest.raises(BufferError, match="have to be copied"):
            turned.__dlpack__(copy=False)

    def test_a_type_that_needs_a_copy_is_refused_where_none_is_allowed(self) -> None:
        with pytest.raises(ValueError, match="copied"):
            plain().__array__(np.float32, copy=False)

    def test_filters_of_scikit_image(self) -> None:
        from skimage import filters

        blurred = filters.gaussian(plain(np.float32), sigma=1)
        assert blurred.shape == (4, 5, 6)
        assert plain().with_array(blurred).geometry == GRID


class TestParts:
    def test_a_part_has_the_geometry_of_the_part(self) -> None:
        volume = read(make_series((6, 5, 4), spacing=(1.0, 2.0, 3.0)))
        part = volume[1:4, :, ::-2]
        assert np.array_equal(part.array, volume.array[1:4, :, ::-2])
        assert volume.geometry is not None
        assert part.geometry is not None
        assert part.geometry.to_patient((0, 0, 0), "zyx") == pytest.approx(volume.geometry.to_patient((1, 0, 3), "zyx"))
        assert part.geometry.to_patient((2, 4, 1), "zyx") == pytest.approx(volume.geometry.to_patient((3, 4, 1), "zyx"))
        assert part.slices is not None
        assert volume.slices is not None
        assert part.slices.SOPInstanceUID.tolist() == volume.slices.SOPInstanceUID.tolist()[1:4]
        assert part.slices.index.tolist() == [0, 1, 2]
        assert "a part: slice 1 to 3, column 3 to 1 by -2" in part.log

    def test_turned_round_twice_it_is_the_same(self) -> None:
        volume = read(make_series((6, 5, 4)))
        again = volume[::-1, ::-1][::-1, ::-1]
        assert again.geometry is not None
        assert volume.geometry is not None
        assert again.geometry.isclose(volume.geometry)
        assert np.array_equal(again, volume)
        pd.testing.assert_frame_equal(again.slices.sort_index(), volume.slices)

    def test_the_padding_mask_and_the_slices_that_are_missing(self) -> None:
        mask = np.arange(120).reshape(4, 5, 6) % 7 == 0
        slices = pd.DataFrame({"SOPInstanceUID": ["a", "b", "d"]}, index=pd.Index([0, 1, 3], name="slice"))
        part = plain(padding_mask=mask, slices=slices)[1:, 2:]
        assert np.array_equal(part.padding_mask, mask[1:, 2:])
        assert part.slices.SOPInstanceUID.to_dict() == {0: "b", 2: "d"}

    def test_other_keys_return_values(self) -> None:
        volume = plain()
        assert volume[1, 2, 3] == 45
        assert isinstance(volume[2], np.ndarray)
        assert volume[volume.array > 110].tolist() == list(range(111, 120))
        assert [plane.shape for plane in volume] == [(5, 6)] * 4

    def test_steps_of_a_4d_volume(self) -> None:
        volume = of_steps()
        later = volume[1:, :2]
        assert later.coordinates == {"time": (2.0, 5.0)}
        assert later.slices.SOPInstanceUID.tolist() == ["1.0", "1.1", "2.0", "2.1"]
        assert later.shape == (2, 2, 5, 6)
        one = volume[-1]
        assert (one.dims, one.shape, dict(one.coordinates)) == (("slice", "row", "column"), (4, 5, 6), {})
        assert np.array_equal(one.array, volume.array[2])
        assert one.slices.SOPInstanceUID.tolist() == ["2.0", "2.1", "2.2", "2.3"]
        assert one.geometry == GRID
        assert volume[1, 2:].shape == (2, 5, 6)
        assert volume[1, 2, 3, 4] == volume.array[1, 2, 3, 4]
        with pytest.raises(IndexError, match="3 steps"):
            volume[3]

    def test_colour_stays_whole(self) -> None:
        colour = Volume(np.zeros((2, 3, 4, 3), np.uint8), None, Dataset())
        assert colour[1:, ..., 1:, :].shape == (1, 3, 3, 3)
        for key in (slice(2), slice(None, None, -1)):
            with pytest.raises(VolumeError, match=r"volume.array\[...\]"):
                colour[..., key]

    def test_nothing_left(self) -> None:
        with pytest.raises(VolumeError, match="Nothing is left of axis 0"):
            plain()[3:3]


class TestOtherValues:
    def test_the_place_is_kept(self) -> None:
        volume = plain(units="HU")
        half = volume.with_array(volume.array / 2)
        assert (half.geometry, half.units, half.dtype) == (GRID, "HU", np.float64)
        assert volume.with_array(volume.array > 3, units="mask").units == "mask"
        assert volume.array.dtype == np.int16

    def test_of_one_step(self) -> None:
        mean = of_steps().with_array(of_steps().array.mean(axis=0))
        assert (mean.dims, mean.shape, mean.slices) == (("slice", "row", "column"), (4, 5, 6), None)

    def test_another_shape_is_refused(self) -> None:
        with pytest.raises(VolumeError, match="place of its voxels"):
            plain().with_array(np.zeros((4, 5, 5)))


class TestResampling:
    def test_onto_the_grid_of_another(self) -> None:
        volume, other = plain(np.float32), Volume(np.zeros((2, 2, 2)), GRID, Dataset())[:1]
        assert np.array_equal(volume.resample(like=volume).array, volume.array)
        same = volume.resample(like=other)
        assert (same.geometry, same.dtype) == (other.geometry, np.float32)

    def test_integers_become_floats_and_masks_stay(self) -> None:
        assert plain().resample(spacing=1).dtype == np.float32
        assert plain(np.int32).resample(spacing=1).dtype == np.float64
        assert plain(bool).resample(spacing=1).dtype == bool
        labels = plain(np.uint8, units="label").resample(spacing=(0.3, 0.3, 0.7))
        assert labels.dtype == np.uint8
        assert set(np.unique(labels.array)) <= set(range(120))

    @pytest.mark.parametrize("interpolation", ["linear", "bspline"])
    def test_labels_are_not_mixed(self, interpolation: Any) -> None:
        labels = plain(np.uint8, units="label")
        with pytest.raises(ValueError, match="mix labels"):
            labels.resample(spacing=1, interpolation=interpolation)
        mask = labels.with_array(labels.array == 1, units="mask")
        assert mask.resample(spacing=1, interpolation=interpolation).dtype == bool
        assert labels.resample(spacing=1, interpolation="nearest").units == "label"

    def test_outside_nothing_is_known(self) -> None:
        larger = Geometry((12, 5, 4), GRID.spacing, GRID.origin, AXIAL)
        far = plain().resample(like=larger)
        assert np.isnan(far.array[..., 7:]).all()
        assert not plain(bool).resample(like=larger).array[..., 7:].any()
        assert any("NaN" in line for line in far.log)

    @pytest.mark.parametrize(
        "wrong", [{}, {"like": GRID, "spacing": 1}, {"spacing": 1, "interpolation": "cubic"}, {"spacing": 0}]
    )
    def test_wrong_arguments(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"like=|interpolation=|spacing="):
            plain().resample(**wrong)

    def test_without_a_place_there_is_nothing_to_resample(self) -> None:
        nowhere = Volume(np.zeros((2, 3, 4)), None, Dataset())
        with pytest.raises(VolumeError, match="no position"):
            nowhere.resample(spacing=1)
        with pytest.raises(VolumeError, match="without geometry"):
            plain().resample(like=nowhere)
        with pytest.raises(VolumeError, match=r"volume\[0\]"):
            of_steps().resample(spacing=1)
        assert of_steps()[0].resample(spacing=1).ndim == 3


class TestProjection:
    @pytest.mark.parametrize("axis", ["slice", "row", "column"])
    def test_the_maximum_along_an_axis(self, axis: str) -> None:
        volume = plain()
        projected = volume.mip(axis)
        number = ("slice", "row", "column").index(axis)
        assert np.array_equal(projected.array, volume.array.max(axis=number, keepdims=True))
        assert any(axis in line for line in projected.log)

    def test_values_that_are_missing(self) -> None:
        values = np.full((2, 1, 2), np.nan)
        values[1, 0, 0] = 3
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            projected = Volume(values, None, Dataset()).mip()
        assert projected.array[0, 0, 0] == 3
        assert np.isnan(projected.array[0, 0, 1])

    def test_of_each_step(self) -> None:
        assert of_steps().mip("row").shape == (3, 4, 1, 6)

    def test_colour_has_no_intensity(self) -> None:
        with pytest.raises(VolumeError, match="colour"):
            Volume(np.zeros((2, 3, 4, 3), np.uint8), None, Dataset()).mip()


class TestMasksOfIntegers:
    """SimpleITK and NIfTI have no bool."""

    INSIDE = plain().array > 60

    def test_they_index_as_masks(self) -> None:
        image = plain()
        mask = Volume(self.INSIDE.astype(np.uint8), GRID, Dataset())
        assert np.array_equal(image[mask], image.array[self.INSIDE])

    def test_other_values_do_not_index(self) -> None:
        with pytest.raises(VolumeError, match=r"other values than 0 and 1.*labels\.array == 3"):
            plain()[Volume(self.INSIDE.astype(np.uint8) * 3, GRID, Dataset())]

    def test_their_values_are_not_mixed(self) -> None:
        mask = plain().with_array(self.INSIDE.astype(np.uint8), units="mask")
        finer = mask.resample(spacing=0.8)
        assert finer.dtype == np.uint8
        assert np.unique(finer.array).tolist() == [0, 1]

    def test_probabilities_are_interpolated(self) -> None:
        share = plain().with_array(self.INSIDE.astype(np.float32), units="mask")
        assert np.unique(share.resample(spacing=0.8).array).size > 3


class TestShearedMasks:
    SHEARED = Geometry((16, 16, 8), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, -0.26, 0, 0, 0.966))

    @pytest.mark.parametrize("dtype", [bool, np.uint8])
    @pytest.mark.parametrize("kind", [None, "LABELMAP"])
    def test_they_keep_their_size(self, dtype: Any, kind: str | None) -> None:
        inside = np.zeros((8, 16, 16), dtype)
        inside[2:6, 4:12, 4:12] = 1
        header = Dataset()
        if kind is not None:
            header.SegmentationType, header.BitsStored, header.PixelPaddingValue = kind, 8, 255
        mask = Volume(inside, self.SHEARED, header, units="mask")
        upright = Volume.from_sitk(mask.to_sitk(resample=True), like=mask)
        assert np.unique(upright.array).tolist() == [0, 1]
        assert upright.array.sum() == inside.sum()
