"""From headers to stacks: order and geometry."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.errors import (
    InconsistentSlicesError,
    NoPixelDataError,
    VolumeError,
)
from simple_orthanc.phantom import make_series
from simple_orthanc.volume.choosing import choose_volume, plan_stacks, summarize
from simple_orthanc.volume.stacking import check_spacing
from tests.examples import examples
from tests.volume.helpers import (
    SAGITTAL,
    at,
    instance_numbers,
)


class TestOrderAndGeometry:
    def test_order_is_by_position_not_by_number(self) -> None:
        series = at(0, 2, 4, InstanceNumber=[10, 9, 8])
        (stack,) = choose_volume(plan_stacks(series[::-1]))
        assert instance_numbers(stack) == [10, 9, 8]
        assert stack.geometry is not None
        assert stack.geometry.spacing == (1.0, 1.0, 2.0)

    def test_reversed_normal_reverses_slices_and_affine(self) -> None:
        series = make_series((3, 4, 4), orientation=(1, 0, 0, 0, -1, 0), spacing=(2, 1, 1), origin=(0, 0, 10))
        (stack,) = choose_volume(plan_stacks(series))
        assert stack.geometry is not None
        assert stack.geometry.affine[:3].tolist() == [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -2, 10]]

    def test_pixel_spacing_is_rows_then_columns(self) -> None:
        (stack,) = choose_volume(
            plan_stacks(make_series((3, 4, 6), spacing=(2.0, 0.7, 1.3), orientation=SAGITTAL, origin=(1, 2, 3)))
        )
        assert stack.geometry is not None
        assert stack.geometry.size == (6, 4, 3)
        assert stack.geometry.spacing == (1.3, 0.7, 2.0)
        # the last column, the last row, the last slice: y grows by 1.3, z falls by 0.7, x falls by 2.0 mm
        assert stack.geometry.to_patient((5, 3, 2), "xyz").tolist() == pytest.approx([-3, 2 + 6.5, 3 - 2.1])

    def test_gantry_tilt_is_sheared_with_the_true_affine(self) -> None:
        series = make_series((3, 4, 4), ImagePositionPatient=[(0, 0, 0), (0, 1, 2), (0, 2, 4)])
        (stack,) = choose_volume(plan_stacks(series))
        assert stack.geometry is not None
        assert stack.geometry.is_sheared
        assert np.allclose(stack.geometry.affine[:3, 2], (0, 1, 2))
        assert any("sheared" in note and "26.57 degrees" in note for note in stack.log)

    def test_single_slice_has_an_assumed_spacing(self) -> None:
        for keywords, spacing, source in (
            ({"SpacingBetweenSlices": 3.0, "SliceThickness": 5.0}, 3.0, "SpacingBetweenSlices"),
            ({"SliceThickness": 5.0}, 5.0, "SliceThickness"),
            ({"SliceThickness": None}, 1.0, "nothing"),
        ):
            (stack,) = choose_volume(plan_stacks(make_series((1, 4, 4), **keywords)))
            assert stack.assumed
            assert stack.geometry is not None
            assert stack.geometry.spacing[2] == spacing
            assert any("assumed" in note and source in note for note in stack.log)

    def test_thickness_is_never_the_spacing(self) -> None:
        (stack,) = choose_volume(
            plan_stacks(make_series((3, 4, 4), spacing=(2, 1, 1), SliceThickness=5, SpacingBetweenSlices=7))
        )
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == 2.0
        assert not stack.assumed

    def test_positions_are_float64(self) -> None:
        (stack,) = choose_volume(plan_stacks(make_series((4, 4, 4), spacing=(0.01, 1, 1), origin=(0, 0, 123456.5))))
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == pytest.approx(0.01, rel=1e-6)

    def test_slices_far_apart_are_logged(self) -> None:
        (stack,) = choose_volume(plan_stacks(at(0, 300, SliceThickness=5)))
        assert "the slices are 300 mm apart, but SliceThickness is 5 mm" in stack.log

    def test_malformed_values_do_no_harm(self) -> None:
        series = make_series(modality="MR")
        for header in series:
            header.add_new(0x00180081, "LO", "not a time")
            header.add_new(0x00080032, "LO", "25h")
            header.add_new(0x00180050, "LO", "thick")
        assert choose_volume(plan_stacks(series))[0].slices == 3
        series[1].add_new(0x00200032, "LO", ["a", "b", "c"])
        with pytest.raises(VolumeError, match=r"ImagePositionPatient .*is 'a', which is not a number"):
            plan_stacks(series)

    def test_largest_deviation_is_logged(self) -> None:
        (stack,) = choose_volume(plan_stacks(at(0, 2.01, 4)))
        assert any("0.01 mm, 0.50%" in note for note in stack.log)

    def test_cosines_slightly_off_are_normalised_and_others_refused(self) -> None:
        (stack,) = choose_volume(plan_stacks(make_series(orientation=(1.0005, 0, 0, 0, 0.9995, 0))))
        assert stack.geometry is not None
        assert stack.geometry.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
        with pytest.raises(InconsistentSlicesError, match=r"ImageOrientationPatient.*length 1"):
            choose_volume(plan_stacks(make_series(ImageOrientationPatient=(1.1, 0, 0, 0, 1, 0))))

    def test_table_shifts_with_equal_frame_of_reference_are_one_volume(self) -> None:
        beds = make_series(
            (4, 4, 4), AcquisitionNumber=[1, 1, 2, 2], FrameReferenceTime=[0, 0, 9e4, 9e4], modality="PT"
        )
        (stack,) = choose_volume(plan_stacks(beds))
        assert stack.slices == 4
        assert any("AcquisitionNumber has 2 values" in note for note in stack.log)

    def test_plan_does_not_depend_on_the_order_given(self) -> None:
        series = make_series(EchoNumbers=1, modality="MR")
        series += make_series(EchoNumbers=2, modality="MR", like=series[0])
        series += make_series((1, 4, 4), orientation=SAGITTAL, modality="MR", like=series[0])
        expected = [(stack.label, [plane.uid for plane in stack.planes]) for stack in plan_stacks(series)]
        for seed in range(5):
            shuffled = random.Random(seed).sample(series, len(series))
            assert [(stack.label, [plane.uid for plane in stack.planes]) for stack in plan_stacks(shuffled)] == expected


class TestRegular:
    @pytest.mark.parametrize(
        "values", [(0, 2, 4), (0, 2.0001, 4), tuple(round(0.625 * number, 2) for number in range(40))]
    )
    def test_regular_passes(self, values: tuple[float, ...]) -> None:
        assert choose_volume(plan_stacks(at(*values)))[0].slices == len(values)


class TestWithoutPosition:
    keywords: ClassVar[dict[str, Any]] = {
        "ImagePositionPatient": None,
        "ImageOrientationPatient": None,
        "modality": "US",
    }

    def test_order_of_instance_number_and_no_geometry(self) -> None:
        (stack,) = choose_volume(plan_stacks(make_series((3, 4, 4), InstanceNumber=[3, 1, 2], **self.keywords)))
        assert instance_numbers(stack) == [1, 2, 3]
        assert stack.geometry is None
        assert stack.problem is None
        assert any("without geometry" in note for note in stack.log)
        assert summarize(stack)["reason"].startswith("no ImagePositionPatient")

    @pytest.mark.parametrize("number", [1, None])
    def test_numbers_that_do_not_order_are_refused(self, number: int | None) -> None:
        with pytest.raises(InconsistentSlicesError, match="InstanceNumbers do not order them"):
            choose_volume(plan_stacks(make_series((3, 4, 4), InstanceNumber=number, **self.keywords)))

    def test_a_single_image_needs_no_number(self) -> None:
        assert choose_volume(plan_stacks(make_series((1, 4, 4), InstanceNumber=None, **self.keywords)))[0].slices == 1

    def test_frames_of_one_object_keep_their_order(self) -> None:
        cine = make_series((1, 4, 4), **self.keywords)[0]
        cine.NumberOfFrames = 5
        (stack,) = choose_volume(plan_stacks([cine]))
        assert [plane.frame_index for plane in stack.planes] == [0, 1, 2, 3, 4]
        assert stack.geometry is None
        other = make_series((1, 4, 4), like=cine, **self.keywords)[0]
        other.NumberOfFrames = 5
        assert len(plan_stacks([cine, other])) == 2

    def test_one_position_is_not_that_of_many_frames(self) -> None:
        cine = make_series((1, 4, 4), modality="XA")[0]
        cine.NumberOfFrames = 3
        (stack,) = choose_volume(plan_stacks([cine]))
        assert stack.geometry is None

    @pytest.mark.parametrize("spacing", [["0", "1"], ["-1", "1"], None])
    def test_a_spacing_of_pixels_that_cannot_be_is_none(self, spacing: list[str] | None) -> None:
        series = make_series((3, 4, 4))
        for dataset in series:
            dataset.PixelSpacing = spacing
        (stack,) = choose_volume(plan_stacks(series))
        assert stack.geometry is None
        assert stack.log == ("no PixelSpacing above 0: an array without geometry, in the order of the positions",)

    def test_no_pixels(self) -> None:
        report = Dataset()
        report.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.33", "SR"
        with pytest.raises(NoPixelDataError, match="Comprehensive SR"):
            plan_stacks([report])
        with pytest.raises(NoPixelDataError, match="nothing given"):
            plan_stacks([])
        (stack,) = plan_stacks([*make_series(), report])
        assert any("1 object(s) without pixels left out: Comprehensive SR" in note for note in stack.log)


def written(series: list[Dataset], folder: Path, order: list[int] | None = None) -> SimpleITK.Image:
    """Read by SimpleITK what is written to a folder."""
    for number, dataset in enumerate(series):
        dataset.save_as(folder / f"{order[number] if order else number}.dcm", enforce_file_format=True)
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(names)
    return reader.Execute()


def assert_same_place(series: list[Dataset], image: SimpleITK.Image) -> None:
    (stack,) = choose_volume(plan_stacks(series))
    assert stack.geometry is not None
    values = np.stack([series[plane.instance].pixel_array for plane in stack.planes])
    assert np.array_equal(values, SimpleITK.GetArrayFromImage(image))
    assert np.allclose(stack.geometry.spacing, image.GetSpacing(), atol=1e-6)
    assert np.allclose(stack.geometry.origin, image.GetOrigin(), atol=1e-6)
    assert np.allclose(stack.geometry.direction, image.GetDirection(), atol=1e-6)


class TestAgainstSimpleITK:
    @pytest.mark.parametrize(
        "orientation",
        [
            (1, 0, 0, 0, 1, 0),
            (1, 0, 0, 0, -1, 0),
            (-1, 0, 0, 0, 1, 0),
            SAGITTAL,
            (1, 0, 0, 0, 0, -1),
            (0.8, 0.6, 0, -0.6, 0.8, 0),
            (0.8, 0.36, 0.48, -0.6, 0.48, 0.64),
        ],
    )
    def test_orientations(self, orientation: tuple[float, ...], tmp_path: Path) -> None:
        array = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
        series = make_series(array=array, orientation=orientation, spacing=(2.5, 0.7, 1.3), origin=(-10, 20, 30.5))
        assert_same_place(series, written(series, tmp_path, order=[3, 1, 4, 0, 2]))

    def test_descending_positions(self, tmp_path: Path) -> None:
        positions = [(0, 0, -2.5 * number) for number in range(5)]
        series = make_series((5, 4, 4), ImagePositionPatient=positions)
        assert_same_place(series, written(series, tmp_path))

    @settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        quaternion=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.2),
        spacing=st.tuples(*[st.floats(0.1, 8)] * 3),
        origin=st.tuples(*[st.floats(-300, 300)] * 3),
        order=st.permutations(range(4)),
    )
    def test_any_orientation(
        self,
        quaternion: tuple[float, ...],
        spacing: tuple[float, float, float],
        origin: tuple[float, float, float],
        order: list[int],
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        w, x, y, z = np.asarray(quaternion) / np.linalg.norm(quaternion)
        row = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
        column = (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x))
        series = make_series((4, 3, 5), spacing=spacing, origin=origin, orientation=(*row, *column))
        assert_same_place(series, written(series, tmp_path_factory.mktemp("series"), order))


@pytest.mark.parametrize("spacing", ["2.5", (1, 1, 2.5), True, float("nan"), float("inf"), 0, -1.0, 2j])
def test_a_spacing_is_a_positive_number(spacing: Any) -> None:
    with pytest.raises(VolumeError, match=r"such as spacing=2\.5"):
        check_spacing(spacing)


@pytest.mark.parametrize("spacing", [None, 2, 2.5, np.float32(2.5), np.int64(3)])
def test_numbers_of_all_kinds_are_spacings(spacing: Any) -> None:
    check_spacing(spacing)
