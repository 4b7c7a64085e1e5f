"""Images that mean different things are several volumes, and what only tells when a slice was acquired is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import DuplicateSlicesError, InconsistentSlicesError, MissingSlicesError
from simple_orthanc.phantom import make_enhanced, make_series, put
from simple_orthanc.volume.choosing import apply_gaps, choose_volume, plan_stacks
from tests.volume.helpers import at, labels

# Keyword, two values of different meaning, the modality.
KINDS = [
    ("DiffusionBValue", (0.0, 1000.0), "MR"),
    ("DiffusionGradientOrientation", ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), "MR"),
    ("EchoTime", (4.6, 9.2), "MR"),
    ("EchoNumbers", (1, 2), "MR"),
    ("InversionTime", (100.0, 2500.0), "MR"),
    ("TriggerTime", (0.0, 500.0), "MR"),
    ("ConvolutionKernel", ("B30f", "B70f"), "CT"),
    ("KVP", (80.0, 140.0), "CT"),
    ("ComplexImageComponent", ("MAGNITUDE", "PHASE"), "MR"),
    ("ImageType", (("ORIGINAL", "PRIMARY", "M"), ("ORIGINAL", "PRIMARY", "P")), "MR"),
    ("ContrastBolusAgent", ("none", "Iohexol"), "CT"),
    ("TemporalPositionIdentifier", (1, 2), "MR"),
    ("SeriesDescription", ("arterial", "venous"), "CT"),
    ("SeriesNumber", (1, 2), "CT"),
]


def mixed(keyword: str, values: list[Any], modality: str) -> list[Dataset]:
    tags: dict[str, Any] = {keyword: values}
    if keyword == "DiffusionGradientOrientation":
        tags["DiffusionBValue"] = 1000.0
    return make_series((len(values), 4, 4), spacing=(2, 1, 1), modality=modality, **tags)


def vendors(*elements: tuple[int, str, int, str, Any], maker: str = "") -> Callable[[Dataset], None]:
    """Write private elements: group, creator, element, VR and value."""

    def write(header: Dataset) -> None:
        header.Manufacturer = maker
        for group, creator, element, vr, value in elements:
            header.private_block(group, creator, create=True).add_new(element, vr, value)

    return write


class TestDifferentPositions:
    @pytest.mark.parametrize(("keyword", "values", "modality"), KINDS)
    @pytest.mark.parametrize("pattern", ["alternating", "one after the other", "three of one, five of the other"])
    def test_a_few_values_are_groups(self, keyword: str, values: tuple[Any, Any], modality: str, pattern: str) -> None:
        first, second = values
        order = {
            "alternating": [first, second] * 4,
            "one after the other": [first] * 4 + [second] * 4,
            "three of one, five of the other": [first, second, first, second, first, second, second, second],
        }[pattern]
        series = mixed(keyword, order, modality)
        stacks = plan_stacks(series)
        assert sorted(len(stack.planes) for stack in stacks) == sorted((order.count(first), order.count(second)))
        with pytest.raises(InconsistentSlicesError, match="2 groups"):
            choose_volume(stacks)
        assert len(plan_stacks(mixed(keyword, [first] * 8, modality))) == 1

    @pytest.mark.parametrize(
        ("sequence", "keyword", "values"),
        [
            ("MREchoSequence", "EffectiveEchoTime", (4.6, 9.2)),
            ("MRDiffusionSequence", "DiffusionBValue", (0.0, 700.0)),
            ("MRModifierSequence", "InversionTimes", (100.0, 900.0)),
            ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", (0.0, 500.0)),
            ("MRImageFrameTypeSequence", "ComplexImageComponent", ("MAGNITUDE", "PHASE")),
            ("MRArterialSpinLabelingSequence", "ASLContext", ("LABEL", "CONTROL")),
        ],
    )
    def test_of_frames_too(self, sequence: str, keyword: str, values: tuple[Any, Any]) -> None:
        image = make_enhanced((8, 4, 4), groups={sequence: {keyword: [*values] * 4}})
        assert [len(stack.planes) for stack in plan_stacks([image])] == [4, 4]

    @pytest.mark.parametrize(
        "write",
        [
            [vendors((0x0019, "SIEMENS MR HEADER", 0x0C, "IS", b), maker="SIEMENS") for b in ("0", "900")],
            [vendors((0x0043, "GEMS_PARM_01", 0x30, "SS", kind), maker="GE MEDICAL SYSTEMS") for kind in (0, 2)],
            [vendors((0x0065, "Image Private Header", 0x09, "FD", b), maker="UIH") for b in (0.0, 800.0)],
            [vendors((0x2005, "Philips MR Imaging DD 001", 0x11, "CS", kind), maker="Philips") for kind in "MP"],
        ],
    )
    def test_of_private_elements_too(self, write: list[Callable[[Dataset], None]]) -> None:
        series = make_series((8, 4, 4), modality="MR")
        for number, image in enumerate(series):
            write[number % 2](image)
        assert [len(stack.planes) for stack in plan_stacks(series)] == [4, 4]

    @pytest.mark.parametrize(
        "tags",
        [
            {"TriggerTime": [float(31 * number % 97) for number in range(12)]},
            {"TriggerTime": [float(10 * (number // 2)) for number in range(12)]},
            {"InversionTime": [100.0 + 7 * number for number in range(12)]},
            {"InversionTime": [100.0 + 7 * (number % 6) for number in range(12)]},
            {"AcquisitionNumber": [1] * 5 + [2] * 7},
            {"AcquisitionNumber": [1, 2] * 6},
            {"AcquisitionTime": ["120000", "120001"] * 6},
            {"ContentTime": [f"1200{number:02d}" for number in range(12)]},
            {"TablePosition": [0.0, 5.0] * 6},
            {"XRayTubeCurrent": [100 + number % 5 for number in range(12)], "Exposure": [10, 12, 14] * 4},
            {"FrameReferenceTime": [0.0] * 6 + [90000.0] * 6},
            {"ConvolutionKernel": ["B30f"] * 11 + ["B70f"]},
            {"KVP": [120.0] * 11 + [None]},
            {"EchoTime": [4.6] * 9 + [None] * 3},
            {"EchoTime": [102.1, 102.3] * 6},
            {"DiffusionBValue": [998.0, 1002.0, 1000.0] * 4},
        ],
    )
    def test_timing_slips_and_missing_values_are_one_volume(self, tags: dict[str, list[Any]]) -> None:
        series = make_series((12, 4, 4), modality="MR")
        for keyword, values in tags.items():
            for image, value in zip(series, values, strict=True):
                put(image, keyword, value)
        (stack,) = plan_stacks(series)
        assert stack.problem is None
        assert stack.geometry is not None

    @pytest.mark.parametrize("keyword", ["TriggerTime", "InversionTime", "ConvolutionKernel", "AcquisitionNumber"])
    def test_what_differs_is_in_the_log(self, keyword: str) -> None:
        values = {"ConvolutionKernel": ["B30f", "B30f", "B30f", "B70f"]}.get(keyword, [1, 2, 3, 4])
        (stack,) = plan_stacks(make_series((4, 4, 4), modality="MR", **{keyword: values}))
        assert any(note.startswith(f"{keyword} has ") for note in stack.log)

    def test_a_third_value_on_a_single_slice_hides_no_other_two(self) -> None:
        series = mixed("ConvolutionKernel", ["B30f", "B70f"] * 4 + ["B31f"], "CT")
        assert sorted(len(stack.planes) for stack in plan_stacks(series)) == [1, 4, 4]


class TestRegularParts:
    def test_of_two_thicknesses_are_groups(self) -> None:
        series = at(0, 4, 8, 12, 13.5, 20.5, 27.5, 34.5, SliceThickness=[4] * 4 + [7] * 4)
        stacks = plan_stacks(series)
        assert [stack.label for stack in stacks] == ["thickness 4", "thickness 7"]
        assert [stack.geometry.spacing[2] for stack in stacks if stack.geometry] == [4, 7]
        with pytest.raises(
            InconsistentSlicesError, match=r"select\(SliceThickness=4\) first, or select\(SliceThickness=7"
        ):
            choose_volume(stacks)

    @pytest.mark.parametrize("numbers", [None, [*range(1, 21)]])
    def test_come_before_missing_slices(self, numbers: list[int] | None) -> None:
        positions = [2.5 * number for number in range(10)] + [27.5 + 5 * number for number in range(10)]
        series = at(*positions, SliceThickness=[2.5] * 10 + [5] * 10, InstanceNumber=numbers)
        assert [stack.label for stack in plan_stacks(series)] == ["thickness 2.5", "thickness 5"]

    def test_without_a_tag_are_runs(self) -> None:
        positions = [2.5 * number for number in range(10)] + [27.5 + 5 * number for number in range(10)]
        stacks = plan_stacks(at(*positions))
        with pytest.raises(
            InconsistentSlicesError, match=r'10 slices 2\.5 mm apart, 10 slices 5 mm apart.*gaps="split"'
        ):
            choose_volume(stacks)
        with pytest.raises(InconsistentSlicesError, match="regular parts"):
            choose_volume(stacks, gaps="nan")
        runs = apply_gaps(stacks, "split")
        assert [(run.slices, run.geometry.spacing[2]) for run in runs if run.geometry] == [(10, 2.5), (10, 5)]

    def test_every_second_slice_of_a_part_may_be_missing(self) -> None:
        series = make_series((20, 4, 4))
        del series[11::2]
        with pytest.raises(MissingSlicesError, match="4 slices are missing"):
            choose_volume(plan_stacks(series))

    def test_a_hole_between_acquisitions_of_one_spacing_stays_a_hole(self) -> None:
        series = make_series((9, 4, 4), AcquisitionNumber=[1] * 4 + [2] * 5)
        del series[4]
        with pytest.raises(MissingSlicesError, match="1 slice is missing"):
            choose_volume(plan_stacks(series))


def two(change: Callable[[list[Dataset], int], Any], modality: str = "MR", **tags: Any) -> list[Dataset]:
    """Make two series of three slices at the same positions, numbered alike."""
    first = make_series(modality=modality, **tags)
    second = make_series(modality=modality, like=first[0], **tags)
    change(first, 0)
    change(second, 1)
    return first + second


def each(write: Callable[[Dataset, int], Any]) -> Callable[[list[Dataset], int], None]:
    def change(series: list[Dataset], number: int) -> None:
        for image in series:
            write(image, number)

    return change


def private(group: int, creator: str, element: int, vr: str, *values: Any) -> Callable[[Dataset, int], None]:
    def write(header: Dataset, number: int) -> None:
        header.private_block(group, creator, create=True).add_new(element, vr, values[number])

    return write


class TestOnePosition:
    @pytest.mark.parametrize(
        ("write", "expected"),
        [
            (private(0x0043, "GEMS_PARM_01", 0x2F, "SS", 0, 1), ["GE component 0", "GE component 1"]),
            (private(0x0043, "GEMS_PARM_01", 0x30, "SS", 0, 2), ["GE type 0", "GE type 2"]),
            (private(0x2005, "Philips MR Imaging DD 001", 0x11, "CS", "M", "P"), ["Philips type M", "Philips type P"]),
            (
                private(0x2005, "Philips MR Imaging DD 005", 0x29, "CS", "CONTROL", "LABEL"),
                ["label CONTROL", "label LABEL"],
            ),
            (private(0x2001, "Philips Imaging DD 001", 0x08, "IS", "1", "2"), ["phase number 1", "phase number 2"]),
            (private(0x0065, "Image Private Header", 0x09, "FD", 0.0, 800.0), ["b 0", "b 800"]),
            (
                lambda header, number: put(header, "ContrastBolusAgent", ("A", "B")[number]),
                ["contrast A", "contrast B"],
            ),
            (lambda header, number: put(header, "SeriesNumber", number + 1), ["series number 1", "series number 2"]),
            (lambda header, number: put(header, "SeriesDescription", "ab"[number]), ["series a", "series b"]),
        ],
    )
    def test_vendors_and_series(self, write: Callable[[Dataset, int], None], expected: list[str]) -> None:
        assert labels(two(each(write))) == expected

    def test_doses(self) -> None:
        doses = make_series((2, 4, 4), modality="RTDOSE", ImagePositionPatient=[(0, 0, 0)] * 2)
        for dose, kind in zip(doses, ("PLAN", "BEAM"), strict=True):
            dose.NumberOfFrames, dose.GridFrameOffsetVector, dose.DoseSummationType = 2, [0, 3], kind
        assert labels(doses) == ["dose BEAM", "dose PLAN"]

    @pytest.mark.parametrize(
        ("keyword", "name"),
        [
            ("RRIntervalVector", "R-R interval"),
            ("TimeSlotVector", "time slot"),
            ("PhaseVector", "dynamic phase"),
            ("RotationVector", "rotation"),
            ("EnergyWindowVector", "energy window"),
            ("DetectorVector", "detector"),
            ("AngularViewVector", "angular view"),
            ("TimeSliceVector", "time slice"),
        ],
    )
    def test_vectors_of_nuclear_medicine(self, keyword: str, name: str) -> None:
        (image,) = make_series((1, 4, 4), modality="NM", SpacingBetweenSlices=2)
        image.NumberOfFrames, image.SliceVector = 6, [1, 2, 3] * 2
        setattr(image, keyword, [1] * 3 + [2] * 3)
        image.DetectorInformationSequence = [Dataset()]
        assert labels([image]) == [f"{name} 1", f"{name} 2"]

    def test_offsets_in_time(self) -> None:
        groups = {"TemporalPositionSequence": {"TemporalPositionTimeOffset": [0.0, 1.5]}}
        image = make_enhanced((2, 4, 4), positions=[(0, 0, 0)] * 2, groups=groups)
        assert labels([image]) == ["time offset 1", "time offset 2"]

    def test_private_dimensions_by_themselves(self) -> None:
        indices = [(1, position, 1, label) for label in (0, 1) for position in (1, 2, 3)]
        positions = [(0, 0, 2.0 * position) for _, position, _, _ in indices]
        groups = {"FrameContentSequence": {"DimensionIndexValues": indices, "StackID": ["1"] * 6}}
        image = make_enhanced((6, 4, 4), positions=positions, groups=groups)
        assert labels([image]) == ["dimension 4 = 0", "dimension 4 = 1"]
        image.DimensionIndexSequence = [Dataset() for _ in range(4)]
        for item, pointer in zip(
            image.DimensionIndexSequence, (0x00209056, 0x00209057, 0x00209128, 0x20051429), strict=True
        ):
            item.DimensionIndexPointer = pointer
        assert labels([image]) == ["dimension (2005,1429) = 0", "dimension (2005,1429) = 1"]

    def test_a_temporal_dimension_is_a_time(self) -> None:
        groups = {"FrameContentSequence": {"DimensionIndexValues": [(1, 1), (2, 1), (1, 2), (2, 2)]}}
        image = make_enhanced((4, 4, 4), positions=[(0, 0, 0), (0, 0, 0), (0, 0, 2), (0, 0, 2)], groups=groups)
        image.DimensionIndexSequence = [Dataset(), Dataset()]
        for item, pointer in zip(image.DimensionIndexSequence, (0x00209128, 0x00209057), strict=True):
            item.DimensionIndexPointer = pointer
        assert labels([image]) == ["time 1", "time 2"]


class TestRepetitions:
    @pytest.mark.parametrize(
        "numbers",
        [
            [[1, 2, 3], [4, 5, 6]],
            [[3, 2, 1], [13, 12, 11]],
            [[1, 3, 5], [2, 4, 6]],
            [[5, 3, 1], [6, 4, 2]],
        ],
    )
    @pytest.mark.parametrize("keyword", ["InstanceNumber", "ImageIndex"])
    def test_numbered_volume_by_volume_or_slice_by_slice(self, numbers: list[list[int]], keyword: str) -> None:
        first = make_series(modality="PT", **{"InstanceNumber": 1, keyword: numbers[0]})
        series = first + make_series(modality="PT", like=first[0], **{"InstanceNumber": 1, keyword: numbers[1]})
        assert labels(series[::-1]) == ["repetition 1", "repetition 2"]
        uids = [{plane.uid for plane in stack.planes} for stack in plan_stacks(series)]
        assert uids[0] == {image.SOPInstanceUID for image in first}

    @pytest.mark.parametrize("numbers", [[1, 2, 6, 3, 4, 5], [1, 1, 1, 2, 2, 2], [None] * 6])
    def test_other_numbers_are_none(self, numbers: list[int | None]) -> None:
        first = make_series(InstanceNumber=numbers[:3])
        with pytest.raises(DuplicateSlicesError):
            choose_volume(plan_stacks(first + make_series(like=first[0], InstanceNumber=numbers[3:])))

    def test_one_position_alone_is_no_volume_that_repeats(self) -> None:
        with pytest.raises(DuplicateSlicesError):
            choose_volume(plan_stacks(make_series((3, 4, 4), ImagePositionPatient=(0, 0, 0))))

    def test_of_multi_frame_objects(self) -> None:
        first = make_enhanced((3, 4, 4), InstanceNumber=7)
        assert labels([make_enhanced((3, 4, 4), InstanceNumber=9, like=first), first]) == [
            "repetition 1",
            "repetition 2",
        ]


class TestViews:
    @pytest.mark.parametrize(
        ("modality", "keyword", "values"),
        [
            ("MG", "ImageLaterality", ("L", "R")),
            ("CR", "Laterality", ("L", "R")),
            ("DX", "ViewPosition", ("PA", "LL")),
            ("DX", "PatientOrientation", (("L", "F"), ("A", "F"))),
        ],
    )
    def test_are_groups_of_their_own(self, modality: str, keyword: str, values: tuple[Any, Any]) -> None:
        plain: dict[str, Any] = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
        images = make_series((2, 4, 4), modality=modality, **plain, **{keyword: [*values]})
        assert [len(stack.planes) for stack in plan_stacks(images)] == [1, 1]
        same = make_series((2, 4, 4), modality=modality, **plain, **{keyword: [values[0]] * 2})
        assert [len(stack.planes) for stack in plan_stacks(same)] == [2]

    def test_by_code(self) -> None:
        images = make_series((2, 4, 4), modality="MG", ImagePositionPatient=None, ImageOrientationPatient=None)
        for image, meaning in zip(images, ("cranio-caudal", "medio-lateral oblique"), strict=True):
            image.ViewCodeSequence = [Dataset()]
            image.ViewCodeSequence[0].CodeMeaning = meaning
        assert labels(images) == ["view cranio-caudal", "view medio-lateral oblique"]

    def test_detectors_of_a_planar_image(self) -> None:
        (image,) = make_series((1, 4, 4), modality="NM", ImagePositionPatient=None, ImageOrientationPatient=None)
        image.NumberOfFrames, image.DetectorVector = 2, [1, 2]
        image.DetectorInformationSequence = [Dataset(), Dataset()]
        assert labels([image]) == ["detector 1", "detector 2"]

    def test_slices_of_a_volume_may_differ_in_them(self) -> None:
        series = make_series((4, 4, 4), ImageLaterality=["L", "R", "L", "R"])
        assert len(plan_stacks(series)) == 1
