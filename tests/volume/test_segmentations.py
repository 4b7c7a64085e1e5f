"""Segmentations become label maps or one volume per segment."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import (
    DuplicateSlicesError,
    InconsistentSlicesError,
    VolumeError,
)
from simple_orthanc.phantom import as_bytes, ct_phantom, put
from tests.volume.helpers import (
    SAGITTAL,
    read,
    read_all,
    segmentation,
)


class TestSegmentation:
    left = np.pad(np.ones((4, 2)), ((0, 0), (0, 2)))
    right = np.pad(np.ones((4, 2)), ((0, 0), (2, 0)))

    def test_label_map_on_its_own_grid(self) -> None:
        image = segmentation([(2, 4, self.right), (1, 0, self.left), (1, 4, self.left)])
        found = read([image])
        assert found.array.shape == (3, 4, 4)
        assert found.array.dtype == np.uint8
        assert found.units == "label"
        assert found.array[:, 0].tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 2, 2]]
        assert found.spacing == (1, 1, 2)

    @pytest.mark.parametrize("units", ["modality", "stored"])
    def test_a_single_segment_is_a_label_map_too(self, units: str) -> None:
        image = segmentation([(3, 0, self.left), (3, 4, self.right)])
        found = read([image], units=units)
        assert found.array[:, 0].tolist() == [[3, 3, 0, 0], [0] * 4, [0, 0, 3, 3]]
        assert (found.array.dtype, found.units) == (np.uint8, "label")
        assert found.log == ("label map: segment 3 Aorta", "1 slice has no frame of this segment and is empty")
        assert read_all([image])["segment 3 Aorta"].array.max() == 1

    @pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
    @pytest.mark.parametrize("units", ["SUVbw", "real world", "philips"])
    def test_segments_have_no_other_units(self, kind: str, units: str) -> None:
        with pytest.raises(VolumeError, match=r"get_volume\("):
            read([segmentation([(1, 0, self.left), (1, 4, self.right)], kind=kind)], units=units)

    def test_a_single_fractional_segment_has_its_fractions(self) -> None:
        image = segmentation([(1, 0, self.left * 127)], kind="FRACTIONAL", MaximumFractionalValue=254)
        assert read([image]).array[0, 0].tolist() == pytest.approx([0.5, 0.5, 0, 0])

    def test_each_segment_by_itself_on_the_same_grid(self) -> None:
        image = segmentation([(2, 4, self.right), (1, 0, self.left), (1, 4, self.left)])
        found = read_all([image])
        assert list(found) == ["segment 1 Liver", "segment 2 Spleen"]
        assert found["segment 2 Spleen"].array[:, 0].tolist() == [[0] * 4, [0] * 4, [0, 0, 1, 1]]
        assert {volume.array.shape for volume in found.values()} == {(3, 4, 4)}

    def test_overlap_names_the_call(self) -> None:
        image = segmentation([(1, 0, self.left), (2, 0, np.ones((4, 4)))])
        with pytest.raises(InconsistentSlicesError, match=r"segments 1, 2 overlap in slice 0.*get_volumes\(\)"):
            read([image])
        assert read_all([image])["segment 2 Spleen"].array.sum() == 16

    def test_fractional_segments(self) -> None:
        frames = [(1, 0, self.left * 127), (2, 0, self.right * 254)]
        image = segmentation(frames, kind="FRACTIONAL", MaximumFractionalValue=254)
        with pytest.raises(InconsistentSlicesError, match=r"fractional.*get_volumes\(\)"):
            read([image])
        assert read_all([image])["segment 1 Liver"].array[0, 0].tolist() == pytest.approx([0.5, 0.5, 0, 0])

    def test_labelmap_type_is_an_image_of_its_own(self) -> None:
        image = segmentation([(1, 0, self.left * 7), (1, 2, self.right * 3)], kind="LABELMAP")
        assert read([image]).array[:, 0].tolist() == [[7, 7, 0, 0], [0, 0, 3, 3]]

    def test_labelmap_type_has_the_grid_of_a_binary_one(self) -> None:
        frames = [(1, 8, self.left * 3), (1, 2, self.right * 7)]
        found = read([segmentation(frames, kind="LABELMAP", PixelPaddingValue=0)])
        assert found.geometry == read([segmentation(frames)]).geometry
        assert found.spacing == (1, 1, 2)
        assert found.origin == (0, 0, 2)
        assert found.array[:, 0].tolist() == [[0, 0, 7, 7], [0] * 4, [0] * 4, [3, 3, 0, 0]]
        assert (found.array.dtype, found.units) == (np.uint8, "label")
        assert found.padding_mask is None
        assert "2 slices have no frame and are empty" in found.log
        assert found.slices is not None
        assert found.slices.index.tolist() == [0, 3]

    @pytest.mark.parametrize("units", ["modality", "stored"])
    def test_frames_left_out_of_a_labelmap_hold_its_background(self, units: str) -> None:
        frames = [(1, 0, np.where(self.left, 0, 255)), (1, 4, self.right)]
        found = read([segmentation(frames, kind="LABELMAP", PixelPaddingValue=255)], units=units)
        assert found.array[:, 0].tolist() == [[0, 0, 255, 255], [255] * 4, [0, 0, 1, 1]]
        assert found.array.dtype == np.uint8
        assert found.padding_mask is None

    @pytest.mark.parametrize("units", ["modality", "stored"])
    def test_a_labelmap_with_a_palette_holds_numbers_of_segments(self, units: str) -> None:
        image = segmentation([(1, 0, self.left * 7), (1, 4, self.right * 3)], kind="LABELMAP")
        image.PhotometricInterpretation = "PALETTE COLOR"
        for name in ("Red", "Green", "Blue"):
            image.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [8, 0, 8])
            image.add_new(f"{name}PaletteColorLookupTableData", "OW", bytes(range(8)))
        found = read([image], units=units)
        assert found.array[:, 0].tolist() == [[7, 7, 0, 0], [0] * 4, [0, 0, 3, 3]]
        assert found.array.dtype == np.uint8

    def test_times_of_a_labelmap_have_one_grid(self) -> None:
        frames = [(1, 0, self.left), (1, 4, self.left), (1, 0, self.right), (1, 2, self.right)]
        image = segmentation(frames, kind="LABELMAP")
        for frame, time in zip(image.PerFrameFunctionalGroupsSequence, (1, 1, 2, 2), strict=True):
            frame.FrameContentSequence = [Dataset()]
            frame.FrameContentSequence[0].TemporalPositionIndex = time
        found = read([image], dims="time")
        assert found.coordinates == {"time": (1, 2)}
        assert found.array.any(axis=(2, 3)).tolist() == [[True, False, True], [True, True, False]]

    @pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
    def test_written_by_another_library(self, kind: str) -> None:
        seg = pytest.importorskip("highdicom.seg")
        from pydicom.sr.codedict import codes

        slices = ct_phantom((6, 16, 24))
        masks = np.zeros((6, 16, 24), np.uint8)
        masks[1:3, 2:7, 3:9] = 1
        masks[4, 9:12, 11:20] = 2
        described = [
            seg.SegmentDescription(
                segment_number=number,
                segment_label=f"part {number}",
                segmented_property_category=codes.SCT.Organ,
                segmented_property_type=codes.SCT.Liver,
                algorithm_type=seg.SegmentAlgorithmTypeValues.MANUAL,
            )
            for number in (1, 2)
        ]
        image = seg.Segmentation(
            slices,
            masks,
            seg.SegmentationTypeValues[kind],
            described,
            "1.2.3",
            1,
            "1.2.3.4",
            1,
            "maker",
            "model",
            "1",
            "1",
        )
        image = pydicom.dcmread(BytesIO(as_bytes(image)))
        found, source = read([image]), read(slices)
        assert found.geometry is not None
        assert source.geometry is not None
        # Empty slices are not stored, so the grid begins at the first with a segment.
        first = round(source.geometry.to_index(found.geometry.origin, "zyx")[0])
        assert first == 1
        assert np.array_equal(found.array, masks[1:5])
        assert found.geometry.spacing == pytest.approx(source.geometry.spacing)

    def test_two_segmentations_are_two_groups(self) -> None:
        first = segmentation([(1, 0, self.left)])
        second = segmentation([(1, 0, self.right)], like=first)
        with pytest.raises(InconsistentSlicesError, match=r"2 groups"):
            read([first, second])

    @pytest.mark.parametrize(
        ("sequence", "keyword", "value", "group"),
        [
            ("PlaneOrientationSequence", "ImageOrientationPatient", SAGITTAL, "sagittal 1x4x4"),
            ("PixelMeasuresSequence", "PixelSpacing", (3.0, 3.0), r"axial 1x4x4"),
        ],
    )
    @pytest.mark.parametrize("numbers", [(1, 1, 1), (1, 1, 2)])
    @pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
    def test_frames_that_lie_otherwise_are_a_group_of_their_own(
        self, kind: str, numbers: tuple[int, ...], sequence: str, keyword: str, value: tuple[float, ...], group: str
    ) -> None:
        image = segmentation([(number, z, self.left) for z, number in enumerate(numbers)], kind=kind)
        # A frame may have a functional group of its own, in place of the shared one (PS3.3 C.7.6.16.2).
        item = Dataset()
        put(item, keyword, value)
        setattr(image.PerFrameFunctionalGroupsSequence[2], sequence, [item])
        with pytest.raises(InconsistentSlicesError, match=r"2 groups.*get_volumes\(\)") as caught:
            read([image])
        assert [size for label, size in caught.value.groups.items() if label.startswith(group)] == [1]
        assert [found.array.shape for found in read_all([image]).values()] == [(2, 4, 4), (1, 4, 4)]

    @pytest.mark.parametrize("numbers", [(1, 1, 1), (1, 1, 2)])
    def test_a_frame_that_is_there_twice(self, numbers: tuple[int, ...]) -> None:
        image = segmentation([(number, z, self.left) for number, z in zip(numbers, (0, 0, 2), strict=True)])
        with pytest.raises(DuplicateSlicesError, match=r"1 position.*0 mm: .*frame 1.*frame 2"):
            read([image])

    def test_one_frame_hardly_beside_another_of_its_segment(self) -> None:
        # They share a place by the gaps between all frames, but not by the only one between those of the segment.
        image = segmentation([(1, z, self.left) for z in (0, 0.01)] + [(2, z, self.right) for z in (2, 4, 6)])
        with pytest.raises(DuplicateSlicesError, match=r"1 position"):
            read([image])

    @pytest.mark.parametrize("between", [0.0, 1e-300, None])
    def test_no_spacing_between_slices(self, between: float | None) -> None:
        image = segmentation([(1, 0, self.left), (2, 2, self.right), (1, 6, self.left)])
        put(image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0], "SpacingBetweenSlices", between)
        found = read([image])
        assert found.spacing == (1, 1, 2)
        assert found.array.any(axis=(1, 2)).tolist() == [True, True, False, True]

    def concatenated(self, kind: str, total: int | None = None) -> list[Dataset]:
        """Make three objects, of one segmentation with the labels 1, 0, 2, 2 at 0, 2, 4, 6 mm."""
        frames = [(2, 4, self.right), (1, 0, self.left), (2, 6, self.left)]
        if kind == "LABELMAP":
            frames = [(1, z, number * mask) for number, z, mask in frames]
        cut: dict[str, Any] = {"ConcatenationUID": "1.2.3", "InConcatenationTotalNumber": total}
        first = segmentation(frames[:1], kind=kind, InConcatenationNumber=1, **cut)
        others = [
            segmentation([frame], kind=kind, like=first, InConcatenationNumber=number, **cut)
            for number, frame in enumerate(frames[1:], 2)
        ]
        return [first, *others]

    @pytest.mark.parametrize("total", [3, None])
    @pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
    def test_a_segmentation_in_several_objects_is_one(self, kind: str, total: int | None) -> None:
        found = read(self.concatenated(kind, total)[::-1])
        assert found.array[:, 0].tolist() == [[1, 1, 0, 0], [0] * 4, [0, 0, 2, 2], [2, 2, 0, 0]]
        assert (found.spacing, found.origin, found.units) == ((1, 1, 2), (0, 0, 0), "label")

    @pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
    @pytest.mark.parametrize("lacking", [1, 2, 3])
    def test_a_segmentation_without_one_of_its_objects_is_refused(self, kind: str, lacking: int) -> None:
        parts = self.concatenated(kind, 3)
        del parts[lacking - 1]
        with pytest.raises(InconsistentSlicesError, match=rf"InConcatenationNumber {lacking} are not among them"):
            read(parts)

    def test_objects_of_a_segmentation_without_places_stay_apart(self) -> None:
        parts = self.concatenated("BINARY")
        for part in parts:
            del part.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
        with pytest.raises(InconsistentSlicesError, match=r"3 groups"):
            read(parts)

    def test_two_segmentations_in_several_objects_are_two_groups(self) -> None:
        first = self.concatenated("BINARY")
        second = segmentation([(1, 0, self.right)], like=first[0], ConcatenationUID="1.2.4", InConcatenationNumber=1)
        with pytest.raises(InconsistentSlicesError, match=r"3 groups"):
            read([*first, second])

    def test_two_labelmaps_are_two_groups(self) -> None:
        # Each numbers its segments by itself, so that they cannot be one volume even at different places.
        first = segmentation([(1, 0, self.left)], kind="LABELMAP")
        second = segmentation([(1, 2, self.right)], kind="LABELMAP", like=first)
        with pytest.raises(InconsistentSlicesError, match=r"2 groups"):
            read([first, second])
