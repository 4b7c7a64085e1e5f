"""Each attribute of the geometry is found at any level of a header, and one position for many frames is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import InconsistentSlicesError, VolumeError
from simple_orthanc.phantom import make_enhanced, make_series, put
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from simple_orthanc.volume.stacking import Stack


def item(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        put(dataset, keyword, value)
    return dataset


def multi_frame(count: int = 4, modality: str = "CT", **tags: Any) -> Dataset:
    """Make one object with several frames and one position, without functional groups."""
    (image,) = make_series((1, 4, 4), modality=modality, origin=(0, 0, 100), spacing=(2, 0.3, 0.3))
    image.NumberOfFrames = count
    image.PixelData = image.PixelData * count
    for keyword, value in {"SliceThickness": None, **tags}.items():
        put(image, keyword, value)
    return image


def regular(headers: list[Dataset], **options: Any) -> Stack:
    (stack,) = choose_volume(plan_stacks(headers, **options))
    return stack


GEOMETRY = (
    ("PlanePositionSequence", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "PixelSpacing"),
)


class TestLevels:
    def test_an_empty_group_hides_nothing(self) -> None:
        series = make_series((3, 4, 4), modality="MR", spacing=(2, 1, 1), InstanceNumber=[3, 1, 2])
        for empty in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
            for image in series:
                setattr(image, empty, [Dataset()])
            stack = regular(series)
            assert [plane.instance_number for plane in stack.planes] == [3, 1, 2]
            assert stack.geometry is not None
            assert stack.geometry.spacing == (1, 1, 2)

    @pytest.mark.parametrize(("sequence", "keyword"), GEOMETRY)
    @pytest.mark.parametrize("empty", ["missing", "without the attribute", "with an empty attribute"])
    def test_an_attribute_of_a_frame_is_looked_for_in_the_shared_group(
        self, sequence: str, keyword: str, empty: str
    ) -> None:
        image = make_enhanced((3, 4, 4), spacing=(2, 0.7, 1.3))
        shared = image.SharedFunctionalGroupsSequence[0]
        for frame in image.PerFrameFunctionalGroupsSequence:
            if sequence not in frame and empty != "missing":
                group = item(**({keyword: ""} if empty == "with an empty attribute" else {}))
                setattr(frame, sequence, [group])
        assert sequence in shared or sequence == "PlanePositionSequence"
        stack = regular([image])
        assert stack.geometry is not None
        assert stack.geometry.spacing == (1.3, 0.7, 2)

    @pytest.mark.parametrize(("sequence", "keyword"), GEOMETRY[1:])
    def test_an_attribute_of_a_frame_is_looked_for_at_the_top(self, sequence: str, keyword: str) -> None:
        image = make_enhanced((3, 4, 4), spacing=(2, 0.7, 1.3))
        put(image, keyword, image.SharedFunctionalGroupsSequence[0][sequence][0][keyword].value)
        delattr(image.SharedFunctionalGroupsSequence[0][sequence][0], keyword)
        stack = regular([image])
        assert stack.geometry is not None
        assert stack.geometry.spacing == (1.3, 0.7, 2)

    def test_the_value_of_the_frame_counts_before_that_of_the_object(self) -> None:
        image = make_enhanced((3, 4, 4), spacing=(2, 0.7, 1.3), PixelSpacing=(9, 9))
        stack = regular([image])
        assert stack.geometry is not None
        assert stack.geometry.spacing == (1.3, 0.7, 2)

    def test_a_detector_without_position_does_not_hide_that_of_the_object(self) -> None:
        (image,) = make_series((1, 4, 4), modality="NM", origin=(1, 2, 30))
        image.DetectorInformationSequence = [item(ImagePositionPatient="", ImageOrientationPatient="")]
        image.NumberOfFrames, image.SliceVector, image.SpacingBetweenSlices = 3, [1, 2, 3], 3
        stack = regular([image])
        assert stack.geometry is not None
        assert (stack.geometry.origin, stack.geometry.spacing) == ((1, 2, 30), (1, 1, 3))


class TestOnePositionForManyFrames:
    def test_spacing_between_slices_places_the_frames(self) -> None:
        stack = regular([multi_frame(SpacingBetweenSlices=0.4, SliceThickness=0.5)])
        assert stack.geometry is not None
        assert stack.geometry.spacing == pytest.approx((0.3, 0.3, 0.4))
        assert stack.geometry.origin == (0, 0, 100)
        assert not stack.assumed
        assert "one position for 4 frames: their spacing is from SpacingBetweenSlices" in stack.log

    def test_slice_thickness_is_assumed(self) -> None:
        stack = regular([multi_frame(SliceThickness=0.5)])
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == pytest.approx(0.5)
        assert stack.assumed

    @pytest.mark.parametrize("modality", ["CT", "MR", "OPT", "PT"])
    def test_without_a_spacing_the_argument_is_used(self, modality: str) -> None:
        image = multi_frame(modality=modality)
        with pytest.raises(InconsistentSlicesError, match=r"SpacingBetweenSlices .*get_volume\(spacing=\.\.\.\)"):
            choose_volume(plan_stacks([image]))
        stack = regular([image], spacing=0.25)
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == pytest.approx(0.25)

    @pytest.mark.parametrize("level", ["top", "shared", "PlanePositionSequence of the first frame alone"])
    def test_functional_groups_with_one_position(self, level: str) -> None:
        image = make_enhanced((3, 4, 4), origin=(0, 0, 7))
        for number, frame in enumerate(image.PerFrameFunctionalGroupsSequence):
            position = frame.PlanePositionSequence
            if level != "PlanePositionSequence of the first frame alone" or number:
                del frame.PlanePositionSequence
        if level == "top":
            image.ImagePositionPatient = [0, 0, 7]
        elif level == "shared":
            image.SharedFunctionalGroupsSequence[0].PlanePositionSequence = position
            position[0].ImagePositionPatient = [0, 0, 7]
        else:
            del image.PerFrameFunctionalGroupsSequence
            image.ImagePositionPatient = [0, 0, 7]
        image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 2.5
        stack = regular([image])
        assert stack.geometry is not None
        assert (stack.geometry.origin, stack.geometry.spacing[2]) == ((0, 0, 7), 2.5)

    def test_frames_that_differ_in_time_share_their_position(self) -> None:
        groups = {"FrameContentSequence": {"TemporalPositionIndex": [1, 2, 3]}}
        image = make_enhanced((3, 4, 4), positions=[(0, 0, 7)] * 3, groups=groups)
        for frame in image.PerFrameFunctionalGroupsSequence:
            del frame.PlanePositionSequence
        image.SharedFunctionalGroupsSequence[0].PlanePositionSequence = [item(ImagePositionPatient=(0, 0, 7))]
        assert len(choose_volume(plan_stacks([image]), dims="time")) == 3

    @pytest.mark.parametrize(
        "tags", [{"modality": "XA"}, {"modality": "US"}, {"FrameTime": 40}, {"FrameTimeVector": (0, 40)}]
    )
    def test_frames_in_time_are_no_slices(self, tags: dict[str, Any]) -> None:
        stack = regular([multi_frame(SpacingBetweenSlices=2, **tags)])
        assert stack.geometry is None
        assert any("frames that follow each other in time" in note for note in stack.log)
        assert not any("no ImagePositionPatient" in note for note in stack.log)

    def test_nuclear_medicine(self) -> None:
        image = multi_frame(3, modality="NM", SliceVector=(1, 2, 3), SliceThickness=4)
        image.DetectorInformationSequence = [Dataset()]
        stack = regular([image])
        assert stack.geometry is not None
        assert (stack.geometry.spacing[2], stack.assumed) == (4, True)
        del image.SliceThickness
        with pytest.raises(InconsistentSlicesError, match="SpacingBetweenSlices"):
            choose_volume(plan_stacks([image]))
        stack = regular([image], spacing=5)
        assert stack.geometry is not None
        assert stack.geometry.spacing[2] == 5


class TestGivenSpacing:
    def test_of_a_single_slice(self) -> None:
        stack = regular(make_series((1, 4, 4), SliceThickness=5), spacing=2.5)
        assert stack.geometry is not None
        assert (stack.geometry.spacing[2], stack.assumed) == (2.5, False)

    def test_never_replaces_what_the_header_knows(self) -> None:
        single = regular(make_series((1, 4, 4), SpacingBetweenSlices=3), spacing=2.5)
        measured = regular(make_series((3, 4, 4), spacing=(2, 1, 1)), spacing=2.5)
        assert single.geometry is not None
        assert measured.geometry is not None
        assert (single.geometry.spacing[2], measured.geometry.spacing[2]) == (3, 2)
        assert "spacing=2.5 was given, but not used: the positions are 2 mm apart" in measured.log

    @pytest.mark.parametrize("spacing", [0, -1, np.nan, np.inf])
    def test_is_a_positive_distance(self, spacing: float) -> None:
        with pytest.raises(VolumeError, match=r"spacing=2\.5"):
            plan_stacks(make_series(), spacing=spacing)


class TestRoundedCosines:
    @pytest.mark.parametrize(("decimals", "angle"), [(2, 40.0), (2, 7.0), (1, 40.0), (3, 13.0)])
    @pytest.mark.parametrize("level", ["top", "shared"])
    def test_are_put_right_where_all_agree(self, decimals: int, angle: float, level: str) -> None:
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        written = tuple(np.round((cosine, sine, 0, -sine, cosine, 0), decimals) + 0.0)
        if level == "top":
            series = make_series((4, 4, 4), spacing=(2, 1, 1), ImageOrientationPatient=written)
        else:
            series = [make_enhanced((4, 4, 4), spacing=(2, 1, 1))]
            group = series[0].SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
            put(group, "ImageOrientationPatient", written)
        stack = regular(series)
        assert stack.geometry is not None
        matrix = np.reshape(stack.geometry.direction, (3, 3))
        assert np.allclose(matrix.T @ matrix, np.eye(3), atol=1e-6)
        assert np.abs(matrix.T[:2].ravel() - written).max() <= 0.55 * 10**-decimals
        assert not stack.geometry.is_sheared

    def test_a_line_in_the_log(self) -> None:
        stack = regular(make_series((4, 4, 4), ImageOrientationPatient=(0.76, 0.64, 0, -0.64, 0.76, 0)))
        assert any("cosines of ImageOrientationPatient are rounded" in note and "0.005" in note for note in stack.log)

    def test_that_pass_by_luck_are_no_tilt(self) -> None:
        true = np.array([0.97, 0.2431, 0, -0.2431, 0.97, 0])
        true[:3] /= np.linalg.norm(true[:3])
        normal = np.array([0.0, 0.005, 1.0])
        positions = [tuple(2.0 * number * normal) for number in range(4)]
        written = (0.97, 0.24, 0, -0.24, 0.97, 0)
        stack = regular(make_series((4, 4, 4), ImagePositionPatient=positions, ImageOrientationPatient=written))
        assert stack.geometry is not None
        assert not stack.geometry.is_sheared
        assert not any("gantry tilt" in note for note in stack.log)
        # More than rounding explains it: the gantry is tilted.
        positions = [(0.0, 0.1 * number, 2.0 * number) for number in range(4)]
        stack = regular(make_series((4, 4, 4), ImagePositionPatient=positions, ImageOrientationPatient=written))
        assert stack.geometry is not None
        assert stack.geometry.is_sheared

    def test_others_are_refused_for_all_at_once(self) -> None:
        for written in ((0.9, 0.1, 0, 0, 1, 0), (1, 0, 0, 0.9, 0.1, 0), (0, 0, 0, 0, 0, 0), (1, 0, 0)):
            series = make_series((4, 4, 4), ImageOrientationPatient=written)
            with pytest.raises(InconsistentSlicesError, match=r"4 images.*all of them alike.*get_instances\(\)"):
                choose_volume(plan_stacks(series))


class TestPositionsWithoutOrientation:
    def test_order_the_slices(self) -> None:
        series = make_series((3, 4, 4), spacing=(2, 1, 1), InstanceNumber=[3, 1, 2], ImageOrientationPatient=None)
        stack = regular(series)
        assert [plane.instance_number for plane in stack.planes] == [3, 1, 2]
        assert stack.geometry is None
        assert any("no ImageOrientationPatient" in note for note in stack.log)
        assert not any("no ImagePositionPatient" in note for note in stack.log)

    @pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0.6, 0, 0.8)])
    def test_along_any_line(self, axis: tuple[float, ...]) -> None:
        positions = [tuple(3.0 * number * np.asarray(axis)) for number in (2, 0, 1)]
        stack = regular(make_series((3, 4, 4), ImagePositionPatient=positions, ImageOrientationPatient=None))
        assert [plane.instance_number for plane in stack.planes] == [2, 3, 1]

    def test_of_frames(self) -> None:
        image = make_enhanced((3, 4, 4), positions=[(0, 0, 4), (0, 0, 0), (0, 0, 2)])
        del image.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
        stack = regular([image])
        assert [plane.frame_index for plane in stack.planes] == [1, 2, 0]
        assert stack.geometry is None

    def test_that_are_on_no_line_are_refused(self) -> None:
        positions = [(0, 0, 0), (5, 0, 2), (0, 0, 4)]
        series = make_series((3, 4, 4), ImagePositionPatient=positions, ImageOrientationPatient=None)
        with pytest.raises(InconsistentSlicesError, match=r"without ImageOrientationPatient.*not.*get_instances\(\)"):
            choose_volume(plan_stacks(series))

    def test_holes_and_repeated_positions_are_found_all_the_same(self) -> None:
        holey = make_series((5, 4, 4), ImageOrientationPatient=None)
        del holey[2]
        with pytest.raises(VolumeError, match="1 slice is missing"):
            choose_volume(plan_stacks(holey))
        echoes = make_series(modality="MR", EchoNumbers=1, ImageOrientationPatient=None)
        echoes += make_series(modality="MR", EchoNumbers=2, ImageOrientationPatient=None, like=echoes[0])
        assert [stack.label for stack in plan_stacks(echoes)] == ["echo 1", "echo 2"]
