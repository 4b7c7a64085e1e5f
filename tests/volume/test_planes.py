"""Every frame of multi-frame objects has its position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from simple_orthanc.dicom.header import interned, store, stored_elements
from simple_orthanc.errors import (
    InconsistentSlicesError,
    VolumeError,
)
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.phantom import as_bytes, make_enhanced, make_series, put
from simple_orthanc.volume import planes
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from simple_orthanc.volume.planes import read_planes
from tests.volume.helpers import (
    SAGITTAL,
    labels,
)


class TestMultiFrame:
    @pytest.mark.parametrize("count", [-1, 0])
    def test_an_impossible_number_of_frames_is_one(self, count: int) -> None:
        series = make_series((5, 4, 4))
        series[4].NumberOfFrames = count
        (stack,) = choose_volume(plan_stacks(series))
        assert stack.slices == 5

    def test_frames_are_sorted_by_position(self) -> None:
        image = make_enhanced((3, 4, 5), positions=[(0, 0, 4), (0, 0, 0), (0, 0, 2)], spacing=(2, 0.7, 1.3))
        (stack,) = choose_volume(plan_stacks([image]))
        assert [plane.frame_index for plane in stack.planes] == [1, 2, 0]
        assert stack.geometry is not None
        assert stack.geometry.spacing == (1.3, 0.7, 2.0)

    def test_times_in_the_frame_content(self) -> None:
        content = {"FrameContentSequence": {"TemporalPositionIndex": [1, 2, 1, 2], "StackID": ["1"] * 4}}
        positions = [(0, 0, 0), (0, 0, 0), (0, 0, 3), (0, 0, 3)]
        image = make_enhanced((4, 4, 4), positions=positions, groups=content)
        steps = choose_volume(plan_stacks([image]), dims="time")
        assert [[plane.frame_index for plane in stack.planes] for stack in steps] == [[0, 2], [1, 3]]
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
            "dimension 1 = 1",
            "dimension 1 = 2",
        ]

    def test_stack_ids_split_only_what_is_not_regular(self) -> None:
        groups = {"FrameContentSequence": {"StackID": ["1", "1", "2", "2"]}}
        apart = make_enhanced((4, 4, 4), positions=[(0, 0, z) for z in (0, 2, 7, 10)], groups=groups)
        assert [(stack.label, stack.slices) for stack in plan_stacks([apart])] == [("stack 1", 2), ("stack 2", 2)]
        assert [stack.slices for stack in plan_stacks([make_enhanced((4, 4, 4), groups=groups)])] == [4]

    def test_parts_of_a_label_map_that_are_only_regular_by_themselves(self) -> None:
        groups = {"FrameContentSequence": {"StackID": ["1", "1", "2", "2"]}}
        positions = [(0, 0, z) for z in (0, 2, 7, 10)]
        image = make_enhanced((4, 4, 4), positions=positions, groups=groups, SegmentationType="LABELMAP")
        found = plan_stacks([image])
        assert [(stack.label, stack.slices) for stack in found] == [("stack 1", 2), ("stack 2", 2)]
        assert [stack.geometry.spacing[2] for stack in found if stack.geometry] == [2, 3]

    def test_frames_of_a_label_map_side_by_side_or_without_a_place(self) -> None:
        tiles = make_enhanced((2, 4, 4), positions=[(0, 0, 0), (4, 0, 0)], SegmentationType="LABELMAP")
        with pytest.raises(InconsistentSlicesError, match="side by side"):
            choose_volume(plan_stacks([tiles]))
        for frame in tiles.PerFrameFunctionalGroupsSequence:
            del frame.PlanePositionSequence
        (stack,) = choose_volume(plan_stacks([tiles]))
        assert (stack.slices, stack.geometry) == (2, None)

    def test_functional_groups_must_fit_the_frames(self) -> None:
        image = make_enhanced((3, 4, 4))
        del image.PerFrameFunctionalGroupsSequence[2]
        with pytest.raises(InconsistentSlicesError, match="NumberOfFrames is 3, but there are 2"):
            plan_stacks([image])

    def test_places_in_a_volume_of_ultrasound_are_not_those_in_the_patient(self) -> None:
        image = make_enhanced(
            (3, 4, 4),
            modality="US",
            groups={
                "PlanePositionVolumeSequence": {"ImagePositionVolume": [(0, 0, 4), (0, 0, 0), (0, 0, 2)]},
                "PlaneOrientationVolumeSequence": {"ImageOrientationVolume": (1, 0, 0, 0, 1, 0)},
            },
        )
        assert choose_volume(plan_stacks([image]))[0].geometry is not None
        for group in image.PerFrameFunctionalGroupsSequence:
            del group.PlanePositionSequence
        with pytest.raises(InconsistentSlicesError, match="ImagePositionVolume"):
            plan_stacks([image])

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
        (stack,) = choose_volume(plan_stacks([image]))
        assert [plane.frame_index for plane in stack.planes] == expected
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == 3.0
        assert stack.geometry.origin == (1.0, 2.0, 30.0 if between > 0 else 24.0)

    def test_nuclear_medicine_without_slices_has_no_geometry(self) -> None:
        image = make_series((1, 4, 4), modality="NM")[0]
        image.DetectorInformationSequence, image.NumberOfFrames = [Dataset()], 3
        assert choose_volume(plan_stacks([image]))[0].geometry is None

    @pytest.mark.parametrize("offsets", [(0, 3, 6), (-100, -97, -94)])
    def test_dose_grid_offsets(self, offsets: tuple[float, ...]) -> None:
        dose = make_series((1, 4, 4), modality="RTDOSE", origin=(5, 6, -100))[0]
        dose.NumberOfFrames, dose.GridFrameOffsetVector = 3, list(offsets)
        (stack,) = choose_volume(plan_stacks([dose]))
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
            plan_stacks([dose])

    def test_dose_grid_offsets_that_were_rounded(self) -> None:
        dose = make_series((1, 4, 4), modality="RTDOSE", origin=(5, 6, -100.004))[0]
        dose.NumberOfFrames, dose.GridFrameOffsetVector = 3, [-100, -97, -94]
        (stack,) = choose_volume(plan_stacks([dose]))
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == pytest.approx(3)

    def test_dose_grid_offsets_downwards_turned_and_wrong(self) -> None:
        dose = make_series((1, 4, 4), modality="RTDOSE")[0]
        dose.NumberOfFrames, dose.GridFrameOffsetVector = 3, [0, -3, -6]
        (stack,) = choose_volume(plan_stacks([dose]))
        assert [plane.frame_index for plane in stack.planes] == [2, 1, 0]
        turned = make_series((1, 4, 4), modality="RTDOSE", orientation=SAGITTAL, origin=(0, 0, -100))[0]
        turned.NumberOfFrames, turned.GridFrameOffsetVector = 2, [-100, -97]
        with pytest.raises(InconsistentSlicesError, match="not axial"):
            plan_stacks([turned])
        dose.GridFrameOffsetVector = [0, 3]
        with pytest.raises(InconsistentSlicesError, match="has 2 values"):
            plan_stacks([dose])


@pytest.mark.parametrize("frames", [100_001, 2**31 - 1, 10**9])
@pytest.mark.parametrize("enhanced", [False, True])
def test_a_number_of_frames_that_cannot_be_there_is_refused_at_once(frames: int, enhanced: bool) -> None:
    (image,) = make_series((1, 8, 8), NumberOfFrames=frames)
    if enhanced:
        image.SharedFunctionalGroupsSequence = [Dataset()]
    with pytest.raises(VolumeError, match=rf"NumberOfFrames \(0028,0008\) of .* is {frames}.*exclude\("):
        read_planes([image])


@pytest.mark.parametrize(
    ("tags", "is_refused"),
    [
        ({"TotalPixelMatrixRows": 8, "TotalPixelMatrixColumns": 8}, True),
        ({"TotalPixelMatrixRows": 4, "TotalPixelMatrixColumns": 16, "Modality": "SEG"}, True),
        ({"SOPClassUID": VLWholeSlideMicroscopyImageStorage}, True),
        ({"TotalPixelMatrixRows": 4, "TotalPixelMatrixColumns": 4}, False),
        ({"TotalPixelMatrixRows": 0, "TotalPixelMatrixColumns": None}, False),
    ],
)
def test_tiles_are_no_slices(tags: dict[str, Any], is_refused: bool) -> None:
    image = make_enhanced((4, 4, 4))
    for keyword, value in tags.items():
        setattr(image, keyword, value)
    if is_refused:
        with pytest.raises(
            VolumeError, match=r"frames are tiles of one plane and no slices: .* has 4 of 4 x 4 pixels\."
        ):
            read_planes([image])
    else:
        assert len(read_planes([image])) == 4


def test_more_frames_than_groups_are_refused() -> None:
    image = make_enhanced((3, 4, 4))
    image.NumberOfFrames = 2**31 - 1
    with pytest.raises(VolumeError, match="there are 3 per-frame functional groups"):
        read_planes([image])


_VALUES = (
    b"",
    b" ",
    b"1 ",
    b"-2.5",
    b"20240102",
    b"101112.5",
    b"1.2.3\0",
    b"abc",
    b"7\\8\\9 ",
    b"nan ",
    b"1e9 ",
    b"\xff\xfe",
)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
@pytest.mark.parametrize("tag", sorted(planes._OF_SLICES))
def test_a_slice_read_by_what_it_differs_in_is_the_one_that_is_read_alone(tag: int, modality: str) -> None:
    def planes_or_error(headers: Sequence[Dataset]) -> Any:
        try:
            return read_planes(headers)
        except VolumeError as error:
            return str(error)

    first, second = (Dataset(header) for header in _raw_headers(modality))
    for before in (None, *_VALUES):
        for value in (None, *_VALUES):
            pair = []
            for header, own in ((first, before), (second, value)):
                changed = Dataset(dict(stored_elements(header)))
                if own is None:
                    stored_elements(changed).pop(tag, None)  # type: ignore[attr-defined]
                else:
                    store(
                        changed,
                        RawDataElement(interned(tag), dictionary_VR(tag), len(own), own or None, 0, False, True),
                    )
                pair.append(changed)
            alone = [planes_or_error([header]) for header in pair]
            together = planes_or_error(pair)
            errors = [each for each in alone if isinstance(each, str)]
            if errors:
                assert together == errors[0]
            else:
                assert together == [alone[0][0], replace(alone[1][0], instance=1)]


def _raw_headers(modality: str) -> list[Dataset]:
    tags: dict[str, Any] = {f"{name}Time": "101010" for name in ("Acquisition", "Content")}
    tags |= {f"{name}Date": "20240101" for name in ("Acquisition", "Content")}
    series = make_series((2, 4, 4), modality=modality, AcquisitionNumber=3, EchoTime="4.5", **tags)
    return [(Scanner().scan(as_bytes(dataset)) or pytest.fail("not plain"))[0] for dataset in series]


def test_slices_that_differ_in_what_is_not_of_single_slices_are_read_by_themselves() -> None:
    first, second = _raw_headers("CT")
    for keyword, value in (("EchoTime", "5"), ("PixelSpacing", ["2", "2"]), ("NumberOfFrames", "2"), ("Rows", 8)):
        changed = Dataset(dict(stored_elements(second)))
        setattr(changed, keyword, value)
        alone = read_planes([changed])
        assert read_planes([first, changed])[1:] == [replace(plane, instance=1) for plane in alone]
