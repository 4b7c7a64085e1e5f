"""Images that cannot be one volume are groups, and nothing else splits."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.errors import (
    InconsistentSlicesError,
)
from simple_orthanc.phantom import make_series, put
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from tests.volume.helpers import (
    SAGITTAL,
    labels,
)


class TestGroups:
    def test_localizer_splits_off_by_orientation(self) -> None:
        block = make_series((3, 4, 4))
        scout = make_series(
            (1, 4, 4), orientation=SAGITTAL, like=block[0], ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER")
        )
        found = plan_stacks(scout + block)
        assert [stack.label for stack in found] == ["axial 3x4x4", "localizer sagittal 1x4x4"]
        assert all(stack.problem is None for stack in found)
        with pytest.raises(
            InconsistentSlicesError, match=r'exclude\(ImageType="LOCALIZER"\).*get_volumes\(\)'
        ) as caught:
            choose_volume(found)
        assert caught.value.groups == {"axial 3x4x4": 3, "localizer sagittal 1x4x4": 1}

    def test_sizes_pixel_spacings_and_frames_of_reference_split(self) -> None:
        first = make_series((3, 4, 4))
        for other in (
            make_series((2, 8, 8), origin=(0, 0, 3), like=first[0]),
            make_series((2, 4, 4), spacing=(1, 2, 2), origin=(0, 0, 3), like=first[0]),
            make_series((2, 4, 4), origin=(0, 0, 3), like=first[0], FrameOfReferenceUID="1.2.3"),
        ):
            assert sorted(stack.slices for stack in plan_stacks(first + other)) == [2, 3]
        with pytest.raises(InconsistentSlicesError, match=r"select\(Rows=4, Columns=4\)"):
            choose_volume(plan_stacks(first + make_series((2, 8, 8), like=first[0])))

    def test_pixel_type_does_not_split(self) -> None:
        signed = make_series((2, 4, 4))
        unsigned = make_series((2, 4, 4), origin=(0, 0, 2), dtype="uint16", like=signed[0])
        assert choose_volume(plan_stacks(signed + unsigned))[0].slices == 4

    @pytest.mark.parametrize(
        "keywords",
        [
            {"AcquisitionNumber": [1, 1, 2, 2]},
            {"ImageType": [("ORIGINAL", "PRIMARY")] * 3 + [("ORIGINAL", "SECONDARY")]},
            {"ConvolutionKernel": ["B30f", "B30f", "B30f", "B60f"]},
            {"TriggerTime": [1, 2, 3, 4]},
            {"AcquisitionTime": ["120000", "120001", "120002", "120003"]},
        ],
    )
    def test_nothing_splits_where_no_position_repeats(self, keywords: dict[str, Any]) -> None:
        assert len(plan_stacks(make_series((4, 4, 4), **keywords))) == 1

    def test_one_derived_slice_leaves_the_rest_regular(self) -> None:
        block = make_series((3, 4, 4), ImageType=("ORIGINAL", "PRIMARY"))
        extra = make_series((1, 4, 4), origin=(0, 0, 1), like=block[0], ImageType=("DERIVED", "SECONDARY"))
        assert {stack.label: stack.slices for stack in plan_stacks(block + extra)} == {
            "derived axial 1x4x4": 1,
            "axial 3x4x4": 3,
        }

    def test_two_series_do_not_mix(self) -> None:
        first, second = make_series((3, 4, 4)), make_series((3, 4, 4), origin=(0, 0, 3))
        for header in second:
            header.FrameOfReferenceUID = first[0].FrameOfReferenceUID
        assert labels(first + second) == ["axial 3x4x4", "axial 3x4x4 (2)"]


class TestReasons:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"PixelSpacing": (1.01, 1.01)}, r"PixelSpacing 1.01\1.01"),
            ({"PixelSpacing": None}, "PixelSpacing is missing"),
            ({"ImageOrientationPatient": (0, 1, 0, 0, 0, -1)}, r"ImageOrientationPatient 0\1\0\0\0\-1"),
            ({"ImageOrientationPatient": None}, "ImageOrientationPatient is missing"),
            ({"ImagePositionPatient": None}, "ImagePositionPatient is missing"),
            ({"FrameOfReferenceUID": "1.2.3"}, "FrameOfReferenceUID 1.2.3"),
            ({"ImageType": ("DERIVED", "SECONDARY")}, r"ImageType DERIVED\SECONDARY"),
        ],
    )
    def test_every_group_names_its_images_and_what_sets_it_apart(self, change: dict[str, Any], reason: str) -> None:
        series = make_series((4, 4, 4), ImageType=("ORIGINAL", "PRIMARY"))
        for keyword, value in change.items():
            put(series[1], keyword, value)
        with pytest.raises(InconsistentSlicesError) as caught:
            choose_volume(plan_stacks(series))
        message = str(caught.value)
        assert f"(1 image, InstanceNumber 2; {reason}" in message
        assert "(3 images, InstanceNumber 1, 3 to 4; " in message
        assert all(any(note.startswith("a group of its own: ") for note in stack.log) for stack in plan_stacks(series))

    @pytest.mark.parametrize("missing", [1, 3])
    def test_a_missing_frame_of_reference_in_some_slices_splits_nothing(self, missing: int) -> None:
        series = make_series((4, 4, 4))
        for image in series[:missing]:
            del image.FrameOfReferenceUID
        assert len(plan_stacks(series)) == 1

    def test_a_missing_frame_of_reference_joins_neither_of_two(self) -> None:
        series = make_series((6, 4, 4), FrameOfReferenceUID=["1.2"] * 2 + ["1.3"] * 2 + [None] * 2)
        assert [len(stack.planes) for stack in plan_stacks(series)] == [2, 2, 2]

    def test_across_series(self) -> None:
        first, second = make_series((2, 4, 4)), make_series((2, 4, 4), origin=(0, 0, 2))
        for image in second:
            image.FrameOfReferenceUID = first[0].FrameOfReferenceUID
        assert len(plan_stacks(first + second)) == 2
        (stack,) = plan_stacks(first + second, across_series=True)
        assert stack.geometry is not None
        assert stack.slices == 4
