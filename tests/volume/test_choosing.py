"""From headers to groups: order, geometry, discriminators, multi-frame objects, and the errors that name what to do."""

from __future__ import annotations

import doctest
import pickle
import random
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import (
    DuplicateSlicesError,
    InconsistentSlicesError,
    MissingSlicesError,
    NoPixelDataError,
    VolumeError,
)
from simple_orthanc.phantom import make_enhanced, make_series, put
from simple_orthanc.volume import choosing as stacks
from simple_orthanc.volume import discriminators, grouping, stacking
from simple_orthanc.volume import planes as frames
from simple_orthanc.volume.choosing import one, plan, several, summary

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def numbers(stack: stacks.Stack) -> list[int | None]:
    return [plane.number for plane in stack.planes]


def at(*values: float, **keywords: Any) -> list[Dataset]:
    positions = [(0.0, 0.0, float(value)) for value in values]
    return make_series((len(values), 4, 4), ImagePositionPatient=positions, **keywords)


def labels(headers: list[Dataset]) -> list[str]:
    return [stack.label for stack in plan(headers)]


@pytest.mark.parametrize("module", [discriminators, frames, grouping, stacking, stacks])
def test_examples_of_the_modules(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.failed == 0


class TestOrderAndGeometry:
    def test_order_is_by_position_not_by_number(self) -> None:
        series = at(0, 2, 4, InstanceNumber=[10, 9, 8])
        (stack,) = one(plan(series[::-1]))
        assert numbers(stack) == [10, 9, 8]
        assert stack.geometry is not None
        assert stack.geometry.spacing == (1.0, 1.0, 2.0)

    def test_reversed_normal_reverses_slices_and_affine(self) -> None:
        series = make_series((3, 4, 4), orientation=(1, 0, 0, 0, -1, 0), spacing=(2, 1, 1), origin=(0, 0, 10))
        (stack,) = one(plan(series))
        assert stack.geometry is not None
        assert stack.geometry.affine[:3].tolist() == [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -2, 10]]

    def test_pixel_spacing_is_rows_then_columns(self) -> None:
        (stack,) = one(plan(make_series((3, 4, 6), spacing=(2.0, 0.7, 1.3), orientation=SAGITTAL, origin=(1, 2, 3))))
        assert stack.geometry is not None
        assert stack.geometry.size == (6, 4, 3)
        assert stack.geometry.spacing == (1.3, 0.7, 2.0)
        # the last column, the last row, the last slice: y grows by 1.3, z falls by 0.7, x falls by 2.0 mm
        assert stack.geometry.to_patient((5, 3, 2), "xyz").tolist() == pytest.approx([-3, 2 + 6.5, 3 - 2.1])

    def test_gantry_tilt_is_sheared_with_the_true_affine(self) -> None:
        series = make_series((3, 4, 4), ImagePositionPatient=[(0, 0, 0), (0, 1, 2), (0, 2, 4)])
        (stack,) = one(plan(series))
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
            (stack,) = one(plan(make_series((1, 4, 4), **keywords)))
            assert stack.assumed
            assert stack.geometry is not None
            assert stack.geometry.spacing[2] == spacing
            assert any("assumed" in note and source in note for note in stack.log)

    def test_thickness_is_never_the_spacing(self) -> None:
        (stack,) = one(plan(make_series((3, 4, 4), spacing=(2, 1, 1), SliceThickness=5, SpacingBetweenSlices=7)))
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == 2.0
        assert not stack.assumed

    def test_positions_are_float64(self) -> None:
        (stack,) = one(plan(make_series((4, 4, 4), spacing=(0.01, 1, 1), origin=(0, 0, 123456.5))))
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == pytest.approx(0.01, rel=1e-6)

    def test_slices_far_apart_are_logged(self) -> None:
        (stack,) = one(plan(at(0, 300, SliceThickness=5)))
        assert "the slices are 300 mm apart, but SliceThickness is 5 mm" in stack.log

    def test_malformed_values_do_no_harm(self) -> None:
        series = make_series(modality="MR")
        for header in series:
            header.add_new(0x00180081, "LO", "not a time")
            header.add_new(0x00080032, "LO", "25h")
            header.add_new(0x00180050, "LO", "thick")
        assert one(plan(series))[0].slices == 3
        series[1].add_new(0x00200032, "LO", ["a", "b", "c"])
        with pytest.raises(VolumeError, match=r"ImagePositionPatient .*is 'a', which is not a number"):
            plan(series)

    def test_largest_deviation_is_logged(self) -> None:
        (stack,) = one(plan(at(0, 2.01, 4)))
        assert any("0.01 mm, 0.50%" in note for note in stack.log)

    def test_cosines_slightly_off_are_normalised_and_others_refused(self) -> None:
        (stack,) = one(plan(make_series(orientation=(1.0005, 0, 0, 0, 0.9995, 0))))
        assert stack.geometry is not None
        assert stack.geometry.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
        with pytest.raises(InconsistentSlicesError, match=r"ImageOrientationPatient.*length 1"):
            plan(make_series(ImageOrientationPatient=(1.1, 0, 0, 0, 1, 0)))

    def test_table_shifts_with_equal_frame_of_reference_are_one_volume(self) -> None:
        beds = make_series(
            (4, 4, 4), AcquisitionNumber=[1, 1, 2, 2], FrameReferenceTime=[0, 0, 9e4, 9e4], modality="PT"
        )
        (stack,) = one(plan(beds))
        assert stack.slices == 4
        assert any("AcquisitionNumber has 2 values" in note for note in stack.log)

    def test_plan_does_not_depend_on_the_order_given(self) -> None:
        series = make_series(EchoNumbers=1, modality="MR")
        series += make_series(EchoNumbers=2, modality="MR", like=series[0])
        series += make_series((1, 4, 4), orientation=SAGITTAL, modality="MR", like=series[0])
        expected = [(stack.label, [plane.uid for plane in stack.planes]) for stack in plan(series)]
        for seed in range(5):
            shuffled = random.Random(seed).sample(series, len(series))
            assert [(stack.label, [plane.uid for plane in stack.planes]) for stack in plan(shuffled)] == expected


def written(series: list[Dataset], folder: Path, order: list[int] | None = None) -> SimpleITK.Image:
    """Read by SimpleITK what is written to a folder."""
    for number, dataset in enumerate(series):
        dataset.save_as(folder / f"{order[number] if order else number}.dcm", enforce_file_format=True)
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(names)
    return reader.Execute()


def assert_same_place(series: list[Dataset], image: SimpleITK.Image) -> None:
    (stack,) = one(plan(series))
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

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


class TestHolesDuplicatesAndUnevenSpacing:
    def test_hole_names_its_place(self) -> None:
        with pytest.raises(MissingSlicesError, match=r"1 between 2 and 6.*gaps=\"nan\"") as caught:
            one(plan(at(0, 2, 6)))
        assert caught.value.gaps == ((2.0, 6.0, 1),)
        assert pickle.loads(pickle.dumps(caught.value)).gaps == caught.value.gaps

    def test_hole_filled_keeps_places(self) -> None:
        (stack,) = one(plan(at(0, 2, 6)), gaps="nan")
        assert stack.places == (0, 1, 3)
        assert stack.slices == 4
        assert stack.geometry is not None
        assert stack.geometry.size[2] == 4
        assert stack.geometry.spacing[2] == 2.0
        assert any("NaN" in note and "2" in note for note in stack.log)

    def test_hole_split_into_runs(self) -> None:
        runs = several(plan(at(0, 2, 4, 8, 12, 14)), gaps="split")
        assert [run.slices for run in runs] == [3, 1, 2]
        assert [run.geometry.origin[2] for run in runs if run.geometry] == [0, 8, 12]
        assert [run.geometry.spacing[2] for run in runs if run.geometry] == [2, 2, 2]
        with pytest.raises(VolumeError, match="get_volumes"):
            one(plan(at(0, 2, 6)), gaps="split")
        with pytest.raises(VolumeError, match='"raise", "nan" or "split"'):
            several(plan(at(0, 2)), gaps="zero")

    @pytest.mark.parametrize("values", [(0, 2, 4.1, 6.3), (0, 2, 5)])
    def test_uneven_spacing_is_refused(self, values: tuple[float, ...]) -> None:
        with pytest.raises(InconsistentSlicesError, match="unevenly spaced: gaps from 2"):
            one(plan(at(*values)), gaps="nan")

    def test_uneven_spacing_names_the_tag_that_parts_it(self) -> None:
        series = at(0, 2, 4, 7.5, 10.5, 13.5, AcquisitionNumber=[1, 1, 1, 2, 2, 2])
        with pytest.raises(InconsistentSlicesError, match=r"select\(AcquisitionNumber=1\)"):
            one(plan(series))

    @pytest.mark.parametrize(
        "values", [(0, 2, 4), (0, 2.0001, 4), tuple(round(0.625 * number, 2) for number in range(40))]
    )
    def test_regular_passes(self, values: tuple[float, ...]) -> None:
        assert one(plan(at(*values)))[0].slices == len(values)

    def test_duplicates_are_named(self) -> None:
        series = at(0, 2, 4, 2)
        with pytest.raises(
            DuplicateSlicesError, match=r"1 position.*2 mm: InstanceNumber 2.*InstanceNumber 4"
        ) as caught:
            one(plan(series), gaps="nan")
        assert caught.value.positions == ((2.0, (series[1].SOPInstanceUID, series[3].SOPInstanceUID)),)
        assert plan(series)[0].geometry is None

    def test_tiles_of_one_plane_are_not_duplicates(self) -> None:
        series = make_series((2, 4, 4), ImagePositionPatient=[(0, 0, 0), (4, 0, 0)])
        with pytest.raises(InconsistentSlicesError, match="side by side"):
            one(plan(series))


class TestGroups:
    def test_localizer_splits_off_by_orientation(self) -> None:
        block = make_series((3, 4, 4))
        scout = make_series(
            (1, 4, 4), orientation=SAGITTAL, like=block[0], ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER")
        )
        found = plan(scout + block)
        assert [stack.label for stack in found] == ["axial 3x4x4", "localizer sagittal 1x4x4"]
        assert all(stack.problem is None for stack in found)
        with pytest.raises(
            InconsistentSlicesError, match=r'exclude\(ImageType="LOCALIZER"\).*get_volumes\(\)'
        ) as caught:
            one(found)
        assert caught.value.groups == {"axial 3x4x4": 3, "localizer sagittal 1x4x4": 1}

    def test_sizes_pixel_spacings_and_frames_of_reference_split(self) -> None:
        first = make_series((3, 4, 4))
        for other in (
            make_series((2, 8, 8), origin=(0, 0, 3), like=first[0]),
            make_series((2, 4, 4), spacing=(1, 2, 2), origin=(0, 0, 3), like=first[0]),
            make_series((2, 4, 4), origin=(0, 0, 3), like=first[0], FrameOfReferenceUID="1.2.3"),
        ):
            assert sorted(stack.slices for stack in plan(first + other)) == [2, 3]
        with pytest.raises(InconsistentSlicesError, match=r"select\(Rows=4, Columns=4\)"):
            one(plan(first + make_series((2, 8, 8), like=first[0])))

    def test_pixel_type_does_not_split(self) -> None:
        signed = make_series((2, 4, 4))
        unsigned = make_series((2, 4, 4), origin=(0, 0, 2), dtype="uint16", like=signed[0])
        assert one(plan(signed + unsigned))[0].slices == 4

    @pytest.mark.parametrize(
        "keywords",
        [
            {"AcquisitionNumber": [1, 1, 2, 2]},
            {"ImageType": [("ORIGINAL", "PRIMARY"), ("DERIVED", "PRIMARY")] * 2},
            {"ConvolutionKernel": ["B30f", "B30f", "B60f", "B60f"]},
            {"TriggerTime": [1, 2, 3, 4]},
            {"AcquisitionTime": ["120000", "120001", "120002", "120003"]},
        ],
    )
    def test_nothing_splits_where_no_position_repeats(self, keywords: dict[str, Any]) -> None:
        assert len(plan(make_series((4, 4, 4), **keywords))) == 1

    @pytest.mark.parametrize(
        ("keyword", "values", "expected"),
        [
            ("TemporalPositionIdentifier", (1, 2), ["time 1", "time 2"]),
            ("EchoNumbers", (1, 2), ["echo 1", "echo 2"]),
            ("EchoTime", (4.6, 9.2), ["echo time 4.6", "echo time 9.2"]),
            ("DiffusionBValue", (0, 1000), ["b 0", "b 1000"]),
            ("TriggerTime", (10, 60.5), ["phase 1", "phase 2"]),
            ("FrameReferenceTime", (1000, 9000), ["frame time 1", "frame time 2"]),
            ("AcquisitionNumber", (3, 7), ["acquisition 3", "acquisition 7"]),
            (
                "ImageType",
                (("ORIGINAL", "PRIMARY", "M"), ("ORIGINAL", "PRIMARY", "P")),
                ["image type M", "image type P"],
            ),
            ("ConvolutionKernel", ("B30f", "B60f"), ["kernel B30f", "kernel B60f"]),
            ("InversionTime", (100, 2000), ["inversion time 100", "inversion time 2000"]),
            ("AcquisitionTime", ("115959", "120000.5"), ["acquisition time 1", "acquisition time 2"]),
        ],
    )
    def test_discriminators_split_repeated_positions(
        self, keyword: str, values: tuple[Any, Any], expected: list[str]
    ) -> None:
        second = make_series(modality="MR", **{keyword: values[1]})
        first = make_series(modality="MR", like=second[0], **{keyword: values[0]})
        found = plan(second + first)
        assert [stack.label for stack in found] == expected
        assert [stack.slices for stack in found] == [3, 3]
        assert all(stack.geometry for stack in found)
        with pytest.raises(InconsistentSlicesError, match=r"get_volumes\(\)") as caught:
            one(found)
        assert caught.value.groups == dict.fromkeys(expected, 3)

    def test_two_discriminators_cross(self) -> None:
        base = make_series(modality="MR", EchoNumbers=1, ImageType=("ORIGINAL", "PRIMARY", "M"))
        series = list(base)
        for echo, kind in ((1, "P"), (2, "M"), (2, "P")):
            image_type = ("ORIGINAL", "PRIMARY", kind)
            series += make_series(modality="MR", EchoNumbers=echo, ImageType=image_type, like=base[0])
        assert labels(series) == [f"echo {echo} image type {kind}" for echo in (1, 2) for kind in "MP"]
        with pytest.raises(InconsistentSlicesError, match=r"select\(EchoNumbers=1, ImageType="):
            one(plan(series), dims="echo")

    def test_one_derived_slice_leaves_the_rest_regular(self) -> None:
        block = make_series((3, 4, 4), ImageType=("ORIGINAL", "PRIMARY"))
        extra = make_series((1, 4, 4), origin=(0, 0, 1), like=block[0], ImageType=("DERIVED", "SECONDARY"))
        assert {stack.label: stack.slices for stack in plan(block + extra)} == {
            "image type DERIVED SECONDARY": 1,
            "image type ORIGINAL PRIMARY": 3,
        }

    def test_trigger_times_that_differ_between_slices_order_each_position(self) -> None:
        base = make_series(modality="MR", TriggerTime=[10.0, 12.0, 11.0])
        later = make_series(modality="MR", TriggerTime=[55.0, 51.0, 53.0], like=base[0])
        steps = one(plan(later + base), dims="phase")
        assert [stack.step for stack in steps] == [("phase", 11.0), ("phase", 53.0)]
        assert {plane.uid for plane in steps[0].planes} == {header.SOPInstanceUID for header in base}

    @pytest.mark.parametrize("kind", ["Acquisition", "Content"])
    def test_times_on_both_sides_of_midnight(self, kind: str) -> None:
        times = [["235930", "235945", "000000"], ["000015", "000030", "000045"]]
        dates = [["20200101", "20200101", "20200102"], ["20200102"] * 3]
        base = make_series(modality="MR", **{f"{kind}Time": times[0], f"{kind}Date": dates[0]})
        later = make_series(modality="MR", **{f"{kind}Time": times[1], f"{kind}Date": dates[1]}, like=base[0])
        steps = one(plan(later + base), dims="time")
        assert [[plane.uid for plane in stack.planes] for stack in steps] == [
            [header.SOPInstanceUID for header in series] for series in (base, later)
        ]
        assert [stack.step for stack in steps] == [("time", 86385.0), ("time", 86430.0)]

    @pytest.mark.parametrize("moment", ["AcquisitionDateTime", "AcquisitionTime"])
    def test_coordinates_count_from_midnight(self, moment: str) -> None:
        day = "20200101" if moment == "AcquisitionDateTime" else ""
        base = make_series(modality="MR", AcquisitionDate="20200101", **{moment: f"{day}115959.123456"})
        later = make_series(modality="MR", AcquisitionDate="20200101", **{moment: f"{day}120000"}, like=base[0])
        assert [stack.step for stack in one(plan(later + base), dims="time")] == [
            ("time", 43199.123456),
            ("time", 43200.0),
        ]

    @pytest.mark.parametrize("day", [b"", b"never", b"20201301"])
    def test_a_date_that_some_images_lack_does_not_order_them(self, day: bytes) -> None:
        base = make_series(modality="MR", AcquisitionDate="20200101", AcquisitionTime="115959")
        later = make_series(modality="MR", AcquisitionTime="120000", like=base[0])
        tag = elements.tag_of("AcquisitionDate")
        for header in later:
            header._dict[tag] = RawDataElement(tag, "DA", len(day), day, 0, False, True)
        steps = one(plan(later + base), dims="time")
        assert [stack.step for stack in steps] == [("time", 43199.0), ("time", 43200.0)]
        assert steps[0].planes[0].uid == base[0].SOPInstanceUID

    def test_b_values_of_the_vendors(self) -> None:
        for group, element, creator, vr, values in (
            (0x0019, 0x0C, "SIEMENS MR HEADER", "IS", ("0", "1000")),
            (0x2001, 0x03, "Philips Imaging DD 001", "FL", (0.0, 1000.0)),
            (0x0043, 0x39, "GEMS_PARM_01", "IS", (["0", "1", "0", "0"], ["1000001000", "1", "0", "0"])),
        ):
            base = make_series(modality="MR")
            series = [*base, *make_series(modality="MR", like=base[0])]
            for number, header in enumerate(series):
                header.private_block(group, creator, create=True).add_new(element, vr, values[number // 3])
            assert labels(series) == ["b 0", "b 1000"], creator

    def test_gradients_of_one_b_value(self) -> None:
        base = make_series(modality="MR", DiffusionBValue=0.0)
        series = list(base)
        for gradient in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)):
            series += make_series(
                modality="MR", DiffusionBValue=800.0, DiffusionGradientOrientation=gradient, like=base[0]
            )
        assert labels(series) == ["b 0", "b 800 gradient 1", "b 800 gradient 2"]
        assert [stack.step for stack in one(plan(series), dims="b")] == [("b", 0.0), ("b", 800.0), ("b", 800.0)]

    def test_incomplete_time_point_is_named(self) -> None:
        base = make_series((4, 4, 4), TemporalPositionIdentifier=1)
        other = make_series((4, 4, 4), TemporalPositionIdentifier=2, like=base[0])
        found = plan(base + other[:1] + other[2:])
        assert [type(stack.problem) for stack in found] == [type(None), MissingSlicesError]
        with pytest.raises(MissingSlicesError, match="time 2"):
            one(found, dims="time")
        with pytest.raises(InconsistentSlicesError, match="not all of the 2 volumes have the grid of time 1"):
            one(plan(base + other[:-1]), dims="time")

    def test_axes_are_ordered_by_coordinate(self) -> None:
        base = make_series(modality="MR", EchoNumbers=2, EchoTime=9.2)
        series = [*base, *make_series(modality="MR", EchoNumbers=1, EchoTime=4.6, like=base[0])]
        steps = one(plan(series), dims="echo")
        assert [stack.step for stack in steps] == [("echo", 4.6), ("echo", 9.2)]
        assert any("EchoTime in ms" in note for note in steps[0].log)
        with pytest.raises(InconsistentSlicesError, match=r'get_volume\(dims="echo"\)'):
            one(plan(series))
        with pytest.raises(InconsistentSlicesError, match=r'get_volume\(dims="echo"\)'):
            one(plan(series), dims="time")
        with pytest.raises(VolumeError, match="'time', 'echo', 'b', 'phase'"):
            one(plan(series), dims="z")
        with pytest.raises(InconsistentSlicesError, match="no position repeats"):
            one(plan(base), dims="echo")

    def test_two_series_do_not_mix(self) -> None:
        first, second = make_series((3, 4, 4)), make_series((3, 4, 4), origin=(0, 0, 3))
        for header in second:
            header.FrameOfReferenceUID = first[0].FrameOfReferenceUID
        assert labels(first + second) == ["axial 3x4x4", "axial 3x4x4 (2)"]

    def test_mosaic_is_refused_by_name(self) -> None:
        with pytest.raises(InconsistentSlicesError, match="Siemens mosaic"):
            one(plan(make_series((2, 64, 64), modality="MR", ImageType=("ORIGINAL", "PRIMARY", "M", "MOSAIC"))))


class TestWithoutPosition:
    keywords: ClassVar[dict[str, Any]] = {
        "ImagePositionPatient": None,
        "ImageOrientationPatient": None,
        "modality": "US",
    }

    def test_order_of_instance_number_and_no_geometry(self) -> None:
        (stack,) = one(plan(make_series((3, 4, 4), InstanceNumber=[3, 1, 2], **self.keywords)))
        assert numbers(stack) == [1, 2, 3]
        assert stack.geometry is None
        assert stack.problem is None
        assert any("without geometry" in note for note in stack.log)
        assert summary(stack)["reason"].startswith("no ImagePositionPatient")

    @pytest.mark.parametrize("number", [1, None])
    def test_numbers_that_do_not_order_are_refused(self, number: int | None) -> None:
        with pytest.raises(InconsistentSlicesError, match="InstanceNumbers do not order them"):
            one(plan(make_series((3, 4, 4), InstanceNumber=number, **self.keywords)))

    def test_a_single_image_needs_no_number(self) -> None:
        assert one(plan(make_series((1, 4, 4), InstanceNumber=None, **self.keywords)))[0].slices == 1

    def test_frames_of_one_object_keep_their_order(self) -> None:
        cine = make_series((1, 4, 4), **self.keywords)[0]
        cine.NumberOfFrames = 5
        (stack,) = one(plan([cine]))
        assert [plane.frame for plane in stack.planes] == [0, 1, 2, 3, 4]
        assert stack.geometry is None
        other = make_series((1, 4, 4), like=cine, **self.keywords)[0]
        other.NumberOfFrames = 5
        assert len(plan([cine, other])) == 2

    def test_one_position_is_not_that_of_many_frames(self) -> None:
        cine = make_series((1, 4, 4), modality="XA")[0]
        cine.NumberOfFrames = 3
        (stack,) = one(plan([cine]))
        assert stack.geometry is None

    def test_no_pixels(self) -> None:
        report = Dataset()
        report.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.33", "SR"
        with pytest.raises(NoPixelDataError, match="Comprehensive SR"):
            plan([report])
        with pytest.raises(NoPixelDataError, match="nothing given"):
            plan([])
        (stack,) = plan([*make_series(), report])
        assert any("1 object(s) without pixels left out: Comprehensive SR" in note for note in stack.log)


class TestMultiFrame:
    @pytest.mark.parametrize("count", [-1, 0])
    def test_an_impossible_number_of_frames_is_one(self, count: int) -> None:
        series = make_series((5, 4, 4))
        series[4].NumberOfFrames = count
        (stack,) = one(plan(series))
        assert stack.slices == 5

    def test_frames_are_sorted_by_position(self) -> None:
        image = make_enhanced((3, 4, 5), positions=[(0, 0, 4), (0, 0, 0), (0, 0, 2)], spacing=(2, 0.7, 1.3))
        (stack,) = one(plan([image]))
        assert [plane.frame for plane in stack.planes] == [1, 2, 0]
        assert stack.geometry is not None
        assert stack.geometry.spacing == (1.3, 0.7, 2.0)

    def test_times_in_the_frame_content(self) -> None:
        content = {"FrameContentSequence": {"TemporalPositionIndex": [1, 2, 1, 2], "StackID": ["1"] * 4}}
        positions = [(0, 0, 0), (0, 0, 0), (0, 0, 3), (0, 0, 3)]
        image = make_enhanced((4, 4, 4), positions=positions, groups=content)
        steps = one(plan([image]), dims="time")
        assert [[plane.frame for plane in stack.planes] for stack in steps] == [[0, 2], [1, 3]]
        assert [stack.label for stack in steps] == ["time 1", "time 2"]

    def test_echo_and_diffusion_groups(self) -> None:
        positions = [(0, 0, 0), (0, 0, 0)]
        for groups, expected in (
            ({"MREchoSequence": {"EffectiveEchoTime": [5.0, 2.5]}}, ["echo time 2.5", "echo time 5"]),
            ({"MRDiffusionSequence": {"DiffusionBValue": [500.0, 0.0]}}, ["b 0", "b 500"]),
        ):
            assert labels([make_enhanced((2, 4, 4), positions=positions, groups=groups)]) == expected

    def test_dimension_index_values_are_the_last_resort(self) -> None:
        groups = {"FrameContentSequence": {"DimensionIndexValues": [(1, 1), (2, 1)]}}
        assert labels([make_enhanced((2, 4, 4), positions=[(0, 0, 0)] * 2, groups=groups)]) == [
            "dimension 1",
            "dimension 2",
        ]

    def test_stack_ids_split_only_what_is_not_regular(self) -> None:
        groups = {"FrameContentSequence": {"StackID": ["1", "1", "2", "2"]}}
        apart = make_enhanced((4, 4, 4), positions=[(0, 0, z) for z in (0, 2, 7, 10)], groups=groups)
        assert [(stack.label, stack.slices) for stack in plan([apart])] == [("stack 1", 2), ("stack 2", 2)]
        assert [stack.slices for stack in plan([make_enhanced((4, 4, 4), groups=groups)])] == [4]

    def test_parts_of_a_label_map_that_are_only_regular_by_themselves(self) -> None:
        groups = {"FrameContentSequence": {"StackID": ["1", "1", "2", "2"]}}
        positions = [(0, 0, z) for z in (0, 2, 7, 10)]
        image = make_enhanced((4, 4, 4), positions=positions, groups=groups, SegmentationType="LABELMAP")
        found = plan([image])
        assert [(stack.label, stack.slices) for stack in found] == [("stack 1", 2), ("stack 2", 2)]
        assert [stack.geometry.spacing[2] for stack in found if stack.geometry] == [2, 3]

    def test_frames_of_a_label_map_side_by_side_or_without_a_place(self) -> None:
        tiles = make_enhanced((2, 4, 4), positions=[(0, 0, 0), (4, 0, 0)], SegmentationType="LABELMAP")
        with pytest.raises(InconsistentSlicesError, match="side by side"):
            one(plan([tiles]))
        for frame in tiles.PerFrameFunctionalGroupsSequence:
            del frame.PlanePositionSequence
        (stack,) = one(plan([tiles]))
        assert (stack.slices, stack.geometry) == (2, None)

    def test_functional_groups_must_fit_the_frames(self) -> None:
        image = make_enhanced((3, 4, 4))
        del image.PerFrameFunctionalGroupsSequence[2]
        with pytest.raises(InconsistentSlicesError, match="NumberOfFrames is 3, but there are 2"):
            plan([image])

    def test_places_in_a_volume_of_ultrasound_are_not_those_in_the_patient(self) -> None:
        image = make_enhanced(
            (3, 4, 4),
            modality="US",
            groups={
                "PlanePositionVolumeSequence": {"ImagePositionVolume": [(0, 0, 4), (0, 0, 0), (0, 0, 2)]},
                "PlaneOrientationVolumeSequence": {"ImageOrientationVolume": (1, 0, 0, 0, 1, 0)},
            },
        )
        assert one(plan([image]))[0].geometry is not None
        for group in image.PerFrameFunctionalGroupsSequence:
            del group.PlanePositionSequence
        with pytest.raises(InconsistentSlicesError, match="ImagePositionVolume"):
            plan([image])

    def test_several_objects_at_one_place_are_told_apart(self) -> None:
        first = make_enhanced((3, 4, 4))
        assert labels([first, make_enhanced((3, 4, 4), like=first)]) == ["object 1", "object 2"]

    @pytest.mark.parametrize(("between", "expected"), [(3.0, [0, 1, 2]), (-3.0, [2, 1, 0])])
    def test_nuclear_medicine_stacks_along_a_signed_spacing(self, between: float, expected: list[int]) -> None:
        image = make_series((1, 4, 4), modality="NM", ImagePositionPatient=None, ImageOrientationPatient=None)[0]
        detector = Dataset()
        put(detector, "ImagePositionPatient", (1, 2, 30))
        put(detector, "ImageOrientationPatient", (1, 0, 0, 0, 1, 0))
        image.DetectorInformationSequence = [detector]
        image.NumberOfFrames, image.SliceVector, image.SpacingBetweenSlices = 3, [1, 2, 3], between
        (stack,) = one(plan([image]))
        assert [plane.frame for plane in stack.planes] == expected
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == 3.0
        assert stack.geometry.origin == (1.0, 2.0, 30.0 if between > 0 else 24.0)

    def test_nuclear_medicine_without_slices_has_no_geometry(self) -> None:
        image = make_series((1, 4, 4), modality="NM")[0]
        image.DetectorInformationSequence, image.NumberOfFrames = [Dataset()], 3
        assert one(plan([image]))[0].geometry is None

    @pytest.mark.parametrize("offsets", [(0, 3, 6), (-100, -97, -94)])
    def test_dose_grid_offsets(self, offsets: tuple[float, ...]) -> None:
        dose = make_series((1, 4, 4), modality="RTDOSE", origin=(5, 6, -100))[0]
        dose.NumberOfFrames, dose.GridFrameOffsetVector = 3, list(offsets)
        (stack,) = one(plan([dose]))
        assert stack.geometry is not None
        assert stack.geometry.origin == (5.0, 6.0, -100.0)
        assert stack.geometry.affine[:3, 2].tolist() == [0, 0, 3]

    @pytest.mark.parametrize(
        ("height", "offsets"),
        [(10.0, (5, 8, 11)), (0.0, (3, 6, 9)), (-100.0, (2.5, 5, 7.5)), (-100.0, (100, 103, 106))],
    )
    def test_dose_grid_offsets_that_contradict_the_position(self, height: float, offsets: tuple[float, ...]) -> None:
        dose = make_series((1, 4, 4), modality="RTDOSE", origin=(5, 6, height))[0]
        dose.NumberOfFrames, dose.GridFrameOffsetVector = 3, list(offsets)
        with pytest.raises(
            InconsistentSlicesError,
            match=f"GridFrameOffsetVector .*{offsets[0]:g} mm.*ImagePositionPatient, {height:g} mm",
        ):
            plan([dose])

    def test_dose_grid_offsets_that_were_rounded(self) -> None:
        dose = make_series((1, 4, 4), modality="RTDOSE", origin=(5, 6, -100.004))[0]
        dose.NumberOfFrames, dose.GridFrameOffsetVector = 3, [-100, -97, -94]
        (stack,) = one(plan([dose]))
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == pytest.approx(3)

    def test_dose_grid_offsets_downwards_turned_and_wrong(self) -> None:
        dose = make_series((1, 4, 4), modality="RTDOSE")[0]
        dose.NumberOfFrames, dose.GridFrameOffsetVector = 3, [0, -3, -6]
        (stack,) = one(plan([dose]))
        assert [plane.frame for plane in stack.planes] == [2, 1, 0]
        turned = make_series((1, 4, 4), modality="RTDOSE", orientation=SAGITTAL, origin=(0, 0, -100))[0]
        turned.NumberOfFrames, turned.GridFrameOffsetVector = 2, [-100, -97]
        with pytest.raises(InconsistentSlicesError, match="not axial"):
            plan([turned])
        dose.GridFrameOffsetVector = [0, 3]
        with pytest.raises(InconsistentSlicesError, match="has 2 values"):
            plan([dose])


class TestSummary:
    def test_row_of_a_regular_and_of_a_broken_stack(self) -> None:
        row = summary(plan(make_series((3, 4, 5), spacing=(2, 0.7, 1.3)))[0])
        assert row == {
            "label": "axial 3x4x5",
            "slices": 3,
            "rows": 4,
            "columns": 5,
            "spacing": (2.0, 0.7, 1.3),
            "regular": True,
            "reason": "",
            "bytes": 120,
        }
        broken = summary(plan(at(0, 2, 6))[0])
        assert not broken["regular"]
        assert "1 are missing" in broken["reason"]
        assert broken["spacing"] is None

    def test_bytes_of_the_array_that_will_be_made(self) -> None:
        series = make_series((3, 4, 5), modality="PT", slope=[0.5, 1.0, 1.5])
        assert summary(plan(series)[0], series)["bytes"] == 3 * 4 * 5 * 4
        assert summary(plan(series)[0], series, units="stored")["bytes"] == 3 * 4 * 5 * 2
