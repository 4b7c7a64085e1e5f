"""Images and files hold the same voxels at the same millimetres."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from pydicom.dataset import Dataset

from simple_orthanc.errors import UnsupportedError, VolumeError
from simple_orthanc.phantom import make_series
from simple_orthanc.volume.export import fsl_gradients
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.volume import Volume
from tests.volume.helpers import (
    SAGITTAL,
    random_series,
    read,
    segmentation,
)


class TestHandOver:
    def test_sitk_has_the_same_voxels_at_the_same_millimetres(self) -> None:
        array, series = random_series(
            spacing=(2.5, 0.7, 1.3), origin=(1, -2, 3), orientation=(0.8, 0.6, 0, -0.6, 0.8, 0)
        )
        found = read(series)
        image = found.to_sitk()
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), array)
        for index in ((0, 0, 0), (6, 5, 4), (6, 0, 4)):
            assert found.geometry is not None
            expected = found.geometry.to_patient(index, "xyz")
            assert np.allclose(image.TransformIndexToPhysicalPoint(index), expected, atol=1e-6)
        back = Volume.from_sitk(image, like=found)
        assert back.geometry is not None
        assert back.geometry.isclose(found.geometry, 1e-6)
        assert np.array_equal(back.array, found.array)
        assert back.units == "HU"
        assert Volume.from_sitk(image, like=found, units="mask").units == "mask"

    def test_colour_and_types(self) -> None:
        array = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3), dtype=np.uint8)
        found = read(make_series(array=array, modality="US"))
        image = found.to_sitk()
        assert image.GetNumberOfComponentsPerPixel() == 3
        assert image.GetSize() == (5, 4, 3)
        assert np.array_equal(Volume.from_sitk(image).array, array)

    @pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
    @pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), SAGITTAL, (0.8, 0.36, 0.48, -0.6, 0.48, 0.64)])
    def test_saved_files_come_back(self, suffix: str, orientation: tuple[float, ...], tmp_path: Path) -> None:
        array, series = random_series(spacing=(2.5, 0.7, 1.3), origin=(-10, 20, 30.5), orientation=orientation)
        found = read(series)
        path = found.save(tmp_path / f"volume{suffix}")
        image = SimpleITK.ReadImage(str(path))
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), array)
        assert found.geometry is not None
        assert np.allclose(image.GetSpacing(), found.geometry.spacing, atol=1e-5)
        assert np.allclose(image.GetOrigin(), found.geometry.origin, atol=1e-4)
        assert np.allclose(image.GetDirection(), found.geometry.direction, atol=1e-5)
        assert [file.name for file in tmp_path.iterdir()] == [f"volume{suffix}"]

    def test_a_file_that_cannot_be_written_leaves_nothing(self, tmp_path: Path) -> None:
        found = read(make_series())
        with pytest.raises(VolumeError, match=r"\.nii\.gz, \.nrrd, \.mha"):
            found.save(tmp_path / "volume.png")
        assert list(tmp_path.iterdir()) == []

    def test_no_geometry_is_refused_unless_assumed(self) -> None:
        series = make_series((3, 4, 5), ImagePositionPatient=None, ImageOrientationPatient=None, modality="US")
        found = read(series)
        assert found.spacing is found.origin is found.direction is found.affine is found.affine_ras is None
        with pytest.raises(VolumeError, match="assume_geometry=True"):
            found.to_sitk()
        assert found.to_sitk(assume_geometry=True).GetSpacing() == (1, 1, 1)
        with pytest.raises(VolumeError, match="no position"):
            found.to_nibabel()

    def test_nibabel_has_the_ras_affine(self, tmp_path: Path) -> None:
        array, series = random_series(spacing=(2.5, 0.7, 1.3), origin=(-10, 20, 30.5), orientation=SAGITTAL)
        found = read(series)
        image = found.to_nibabel()
        assert np.array_equal(np.asanyarray(image.dataobj).T, array)
        assert np.allclose(image.affine, found.affine_ras)
        found.save(tmp_path / "volume.nii.gz")
        assert np.allclose(nibabel.load(tmp_path / "volume.nii.gz").affine, found.affine_ras, atol=1e-4)

    def test_without_nibabel_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "nibabel", None)
        with pytest.raises(UnsupportedError, match=r'pip install "simple-orthanc\[nibabel\]"'):
            read(make_series()).to_nibabel()

    def test_two_dimensional_images_are_no_volume(self) -> None:
        with pytest.raises(VolumeError, match="2 dimensions"):
            Volume.from_sitk(SimpleITK.Image(4, 4, SimpleITK.sitkUInt8))


class TestShear:
    def tilted(self, sign: int = 1) -> tuple[np.ndarray, Volume]:
        # A bright column that stands upright in the patient: in the slices it moves against the tilt.
        array = np.full((4, 9, 9), -1000, np.int16)
        for number in range(4):
            array[number, (5 - number) if sign > 0 else (2 + number), 4] = 1000
        positions = [(0.0, float(sign * number), 2.0 * number) for number in range(4)]
        return array, read(make_series(array=array, ImagePositionPatient=positions, GantryDetectorTilt=26.6))

    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_resampled_column_is_upright(self, sign: int) -> None:
        array, found = self.tilted(sign)
        assert found.is_sheared
        with pytest.raises(VolumeError, match="resample=True"):
            found.to_sitk()
        with pytest.raises(VolumeError, match="resample=True"):
            found.save("volume.mha")
        straight = Volume.from_sitk(found.to_sitk(resample=True))
        assert not straight.is_sheared
        assert straight.spacing == pytest.approx((1, 1, 2))
        assert straight.geometry is not None
        assert found.geometry is not None
        bright = np.argwhere(straight.array == 1000)
        places = straight.geometry.to_patient(bright, "zyx")
        assert len(bright) == 4
        assert np.ptp(places[:, 1]) == pytest.approx(0)
        expected = found.geometry.to_patient(np.argwhere(array == 1000), "zyx")
        assert np.allclose(places, expected)

    @pytest.mark.parametrize(
        ("kind", "numbers", "background"),
        [("LABELMAP", (1, 9), 0), ("LABELMAP", (1, 9), 255), ("BINARY", (1, 2), 0), ("BINARY", (1, 1), 0)],
    )
    @pytest.mark.parametrize("units", ["modality", "stored"])
    def test_resampling_invents_no_segment(
        self, kind: str, numbers: tuple[int, int], background: int, units: str
    ) -> None:
        halves = np.zeros((3, 4, 4), np.uint8)
        halves[:, :, :2], halves[:, :, 2:] = numbers
        if kind == "BINARY":
            frames = [(n, 2 * z, halves[z] == n) for n in sorted(set(numbers)) for z in range(3)]
        else:
            frames = [(1, 2 * z, halves[z]) for z in range(3)]
        image = segmentation(frames, kind=kind, PixelPaddingValue=background)
        for frame in image.PerFrameFunctionalGroupsSequence:
            position = frame.PlanePositionSequence[0].ImagePositionPatient
            position[0] = position[2] * 0.2
        found = read([image], units=units)
        straight = SimpleITK.GetArrayFromImage(found.to_sitk(resample=True))
        # The slices lie 0, 0.4 and 0.8 mm to the side: the nearest voxel is their own, then their own, then the next.
        first, second = numbers
        assert straight[0, 0].tolist() == [first, first, second, second, background]
        assert straight[1, 0].tolist() == [first, first, second, second, background]
        assert straight[2, 0].tolist() == [background, first, first, second, second]
        assert straight.dtype == found.array.dtype

    def test_resampling_leaves_an_unsheared_volume_alone(self) -> None:
        array, series = random_series()
        assert np.array_equal(SimpleITK.GetArrayFromImage(read(series).to_sitk(resample=True)), array)

    def test_nibabel_keeps_the_shear(self) -> None:
        _, found = self.tilted()
        assert np.allclose(found.to_nibabel().affine, found.affine_ras)


def four_d(values: Sequence[float], unit: str, axis: str = "time") -> Volume:
    count = len(values)
    array = np.random.default_rng(1).integers(0, 999, (count, 3, 4, 5)).astype(np.int16)
    grid = Geometry((5, 4, 3), (1.0, 1.5, 2.0), (5.0, 6.0, 7.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    return Volume(
        array,
        grid,
        Dataset(),
        dims=(axis, "slice", "row", "column"),
        coordinates={axis: tuple(values)},
        coordinate_units={axis: unit},
    )


class TestFourthAxis:
    @pytest.mark.parametrize(
        ("values", "unit", "step"),
        [
            ((0, 30, 60), "s", 30),
            ((0, 0.04, 0.08, 0.12), "s", 0.04),
            ((0, 2, 4), "s", 2),
            ((0, 1.9975, 4.0025), "s", 2.00125),
            ((0, 2, 5), "s", None),
            ((0, 2, 1), "s", None),
            ((0, 0, 0), "s", None),
            ((0, 1000, 2000), "s/mm2", None),
            ((10, 20, 30), "ms", None),
            ((0, 10, 20), "%", None),
            ((0, 1, 2), "", None),
        ],
    )
    def test_only_even_times_are_a_step(
        self, values: Sequence[float], unit: str, step: float | None, tmp_path: Path
    ) -> None:
        found = four_d(values, unit)
        path = found.save(tmp_path / "volume.nii.gz")
        for image in (nibabel.load(path), found.to_nibabel()):
            assert np.array_equal(np.asanyarray(image.dataobj).T, found.array)
            assert image.header["pixdim"][4] == pytest.approx(step or 0)
            assert image.header.get_xyzt_units() == ("mm", "sec" if step else "unknown")
            assert np.allclose(image.affine, found.affine_ras)
        for read_back in (SimpleITK.ReadImage(str(path)), found.to_sitk()):
            assert read_back.GetSpacing() == pytest.approx((1, 1.5, 2, step or 1))
            assert read_back.GetOrigin() == pytest.approx((5, 6, 7, 0))
            assert np.array_equal(SimpleITK.GetArrayFromImage(read_back), found.array)
        assert [file.name for file in tmp_path.iterdir()] == ["volume.nii.gz"]

    @pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
    def test_other_formats_agree(self, suffix: str, tmp_path: Path) -> None:
        found = four_d((0, 30, 60), "s")
        image = SimpleITK.ReadImage(str(found.save(tmp_path / f"volume{suffix}")))
        assert image.GetSpacing() == pytest.approx((1, 1.5, 2, 30))
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), found.array)


AXES = (np.eye(3), np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]), np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, -1]]))


class TestFsl:
    @pytest.mark.parametrize("axes", AXES)
    def test_the_gradient_turns_back_into_that_of_the_patient(self, axes: np.ndarray) -> None:
        affine = np.eye(4)
        affine[:3, :3] = axes * (2.0, 3.0, 4.0)
        directions = np.array([(0.36, 0.48, 0.8), (-0.6, 0, 0.8), (0, 0, 0)])
        bval, bvec = fsl_gradients([1000, 700.5, 0], directions, affine)
        assert bval == "1000 700.5 0\n"
        rows = np.array([[float(value) for value in line.split()] for line in bvec.splitlines()])
        if np.linalg.det(axes) > 0:
            rows[0] *= -1
        ras = axes @ rows
        assert np.allclose(ras.T * (-1, -1, 1), directions, atol=1e-6)

    def test_no_negative_zeros(self) -> None:
        _, bvec = fsl_gradients([0, 1000], [(0, 0, 0), (-1e-9, 1, -1e-9)], np.eye(4))
        assert "-0 " not in bvec
        assert bvec.splitlines()[1] == "0 -1"

    def test_directions_that_are_unknown_are_not_written(self, tmp_path: Path) -> None:
        nan = float("nan")
        found = replace(
            four_d((0, 1000), "s/mm2", "b"),
            coordinates={"b": (0.0, 1000.0), "direction": ((0.0, 0.0, 0.0), (nan, nan, nan))},
        )
        with pytest.warns(UserWarning, match=r"directions are unknown, so that no \.bvec"):
            found.save(tmp_path / "dwi.nii.gz")
        assert sorted(file.name for file in tmp_path.iterdir()) == ["dwi.bval", "dwi.nii.gz"]
        assert (tmp_path / "dwi.bval").read_text() == "0 1000\n"
