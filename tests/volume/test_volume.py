"""Planned stacks become arrays with the right values at the right millimetres, and leave the library unharmed."""

from __future__ import annotations

import doctest
import pickle
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset

from simple_orthanc.errors import (
    DuplicateSlicesError,
    InconsistentSlicesError,
    MissingSlicesError,
    PixelDecodeError,
    UnsupportedError,
    VolumeError,
)
from simple_orthanc.phantom import CT_RODS, as_bytes, ct_phantom, make_enhanced, make_series, put
from simple_orthanc.pixels import stored as pixels
from simple_orthanc.pixels import suv
from simple_orthanc.volume import export as handover
from simple_orthanc.volume import plotting as picture
from simple_orthanc.volume import volume
from simple_orthanc.volume.assembly import assemble
from simple_orthanc.volume.choosing import one, plan, several
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.volume import Volume

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def stored_of(datasets: list[Dataset]) -> Callable[[int], np.ndarray]:
    return lambda index: pixels.stored(datasets[index])


def read(datasets: list[Dataset], units: str = "modality", gaps: str = "raise", dims: str | None = None) -> Volume:
    return assemble(one(plan(datasets), dims=dims, gaps=gaps), datasets, stored_of(datasets), units=units, gaps=gaps)


def read_all(datasets: list[Dataset], gaps: str = "raise") -> dict[str, Volume]:
    return {
        stack.label: assemble(stack, datasets, stored_of(datasets), gaps=gaps)
        for stack in several(plan(datasets), gaps)
    }


def first_values(found: Volume) -> list[float]:
    return found.array[..., 0, 0].tolist()


def random_series(shape: tuple[int, int, int] = (5, 6, 7), **keywords: Any) -> tuple[np.ndarray, list[Dataset]]:
    array = np.random.default_rng(1).integers(-1000, 1000, shape).astype(np.int16)
    return array, make_series(array=array, **keywords)


@pytest.mark.parametrize("module", [handover, picture, volume])
def test_examples_of_the_modules(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


class TestValues:
    def test_shuffled_series_comes_back_in_order(self) -> None:
        array, series = random_series(intercept=-24, spacing=(2, 0.7, 1.3))
        found = read([series[index] for index in (3, 0, 4, 1, 2)])
        assert np.array_equal(found.array, array - 24)
        assert found.array.dtype == np.int32  # 16 bits stored and an intercept do not fit int16
        assert found.units == "HU"
        assert found.header.SOPInstanceUID == series[0].SOPInstanceUID
        assert found.slices is not None
        assert found.slices.SOPInstanceUID.tolist() == [header.SOPInstanceUID for header in series]
        assert found.slices.position.tolist() == [(0, 0, 2.0 * number) for number in range(5)]
        assert found.slices.index.tolist() == list(range(5))
        assert found.slices.frame.tolist() == [1] * 5

    def test_phantom_rods_are_at_their_millimetres(self) -> None:
        slices = ct_phantom((10, 128, 128))
        found = read(slices[::-1])
        assert found.geometry is not None
        assert found.array.dtype == np.int16
        for rod in CT_RODS:
            z, y, x = np.rint(found.geometry.to_index((rod.x, rod.y, 10.0), "zyx")).astype(int)
            assert found.array[z, y, x] == rod.hounsfield
        z, y, x = np.rint(found.geometry.to_index((0, 40, -10.0), "zyx")).astype(int)
        assert found.array[z, y, x] == 0

    def test_rescale_is_per_slice(self) -> None:
        series = make_series(
            array=np.full((3, 4, 4), 100, np.int16), slope=[0.5, 1.0, 1.5], modality="PT", Units="BQML"
        )
        found = read(series)
        assert first_values(found) == [50, 100, 150]
        assert found.array.dtype == np.float32
        assert found.units == "BQML"
        assert found.slices is not None
        assert found.slices.slope.tolist() == [0.5, 1.0, 1.5]
        swapped = make_series(array=np.full((2, 4, 4), 101, np.int16), slope=[1.0, 0.5], modality="PT")
        assert first_values(read(swapped)) == [101, 50.5]

    def test_stored_values_on_request(self) -> None:
        array, series = random_series(intercept=-1024)
        found = read(series, units="stored")
        assert np.array_equal(found.array, array)
        assert found.array.dtype == np.int16
        assert found.units == "stored"

    def test_unsigned_with_intercept_does_not_wrap(self) -> None:
        found = read(make_series(array=np.zeros((2, 4, 4), np.uint16), intercept=-1024))
        assert found.array.min() == -1024

    def test_signed_and_unsigned_slices_are_promoted(self) -> None:
        signed = make_series(array=np.full((2, 4, 4), -5, np.int16))
        unsigned = make_series(array=np.full((2, 4, 4), 60000, np.uint16), origin=(0, 0, 2), like=signed[0])
        assert first_values(read(signed + unsigned)) == [-5, -5, 60000, 60000]

    def test_monochrome1_is_left_as_it_is(self) -> None:
        series = make_series(array=np.full((2, 4, 4), 100, np.int16), PhotometricInterpretation="MONOCHROME1")
        found = read(series)
        assert (found.array == 100).all()
        assert (found.window(100, 200) == 128).all()
        assert (found.window(0, 200) == 0).all()

    def test_padding_is_a_mask(self) -> None:
        array = np.zeros((2, 4, 4), np.int16)
        array[1, 0, 0] = -2000
        found = read(make_series(array=array, PixelPaddingValue=-2000, intercept=-24))
        assert found.padding_mask is not None
        assert np.argwhere(found.padding_mask).tolist() == [[1, 0, 0]]
        assert found.array[1, 0, 0] == -2024
        assert read(make_series()).padding_mask is None

    def test_colour_keeps_its_type_and_stands_last(self) -> None:
        array = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3), dtype=np.uint8)
        found = read(make_series(array=array, modality="US", ImagePositionPatient=None, ImageOrientationPatient=None))
        assert np.array_equal(found.array, array)
        assert found.array.dtype == np.uint8
        assert found.is_colour
        assert found.affine is None

    def test_frames_that_are_not_as_the_header_says(self) -> None:
        series = make_series((2, 4, 4))
        with pytest.raises(PixelDecodeError, match=r"1 frame\(s\) of 4 rows and 4 columns were expected"):
            assemble(plan(series)[0], series, lambda index: np.zeros((1, 3, 4), np.int16))

    def test_each_object_is_asked_for_once(self) -> None:
        image = make_enhanced((4, 4, 4), positions=[(0, 0, z) for z in (3, 1, 2, 0)])
        asked = []

        def stored(index: int) -> np.ndarray:
            asked.append(index)
            return pixels.stored(image)

        assert first_values(assemble(plan([image])[0], [image], stored)) == [3, 1, 2, 0]
        assert asked == [0]

    def test_problem_of_the_stack_is_raised(self) -> None:
        series = make_series((3, 4, 4), ImagePositionPatient=[(0, 0, 0), (0, 0, 2), (0, 0, 5)])
        with pytest.raises(InconsistentSlicesError, match="unevenly"):
            assemble(plan(series)[0], series, stored_of(series))

    def test_units_must_agree(self) -> None:
        series = make_series(modality="PT", Units=["BQML", "BQML", "CNTS"])
        with pytest.raises(InconsistentSlicesError, match=r"BQML \(2 slices\), CNTS \(1 slices\)"):
            read(series)


class TestHoles:
    def test_missing_slices_are_nan(self) -> None:
        series = make_series((3, 4, 4), ImagePositionPatient=[(0, 0, 0), (0, 0, 2), (0, 0, 6)])
        with pytest.raises(MissingSlicesError):
            read(series)
        found = read(series, gaps="nan")
        assert found.array.dtype == np.float32
        assert np.array_equal(found.array[:, 0, 0], [0, 1, np.nan, 2], equal_nan=True)
        assert found.geometry is not None
        assert found.geometry.size == (4, 4, 4)
        assert any("NaN" in note for note in found.log)
        assert found.slices is not None
        assert found.slices.index.tolist() == [0, 1, 3]

    def test_runs(self) -> None:
        series = make_series((3, 4, 4), ImagePositionPatient=[(0, 0, 0), (0, 0, 2), (0, 0, 6)])
        assert {label: first_values(found) for label, found in read_all(series, gaps="split").items()} == {
            "axial 3x4x4 run 1": [0, 1],
            "axial 3x4x4 run 2": [2],
        }


class TestFourDimensions:
    def test_times_are_the_first_axis(self) -> None:
        base = make_series(array=np.arange(3, dtype=np.int16)[:, None, None] + np.zeros((3, 4, 5), np.int16))
        series = list(base)
        for time in (1, 2):
            series += make_series(array=base[0].pixel_array + np.full((3, 4, 5), 10 * time, np.int16), like=base[0])
        for number, header in enumerate(series):
            header.TemporalPositionIdentifier = 3 - number // 3
        found = read(series, dims="time")
        assert found.dims == ("time", "slice", "row", "column")
        assert found.coordinates == {"time": (1.0, 2.0, 3.0)}
        assert found.array.shape == (3, 3, 4, 5)
        assert found.array[:, :, 0, 0].tolist() == [[20, 20, 20], [10, 10, 10], [0, 1, 2]]
        assert found.slices is not None
        assert found.slices.time.tolist() == [1] * 3 + [2] * 3 + [3] * 3
        image = found.to_sitk()
        assert image.GetSize() == (5, 4, 3, 3)
        assert image.GetSpacing() == (1, 1, 1, 1)
        assert image.GetOrigin() == (0, 0, 0, 1)
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), found.array)
        assert found.plot() is not None
        assert "3 x 3 x 4 x 5 (time, slice, row, column)" in repr(found)

    def test_a_time_point_with_a_hole_is_refused(self) -> None:
        base = make_series((4, 4, 4), TemporalPositionIdentifier=1)
        later = make_series((4, 4, 4), TemporalPositionIdentifier=2, like=base[0])
        with pytest.raises(MissingSlicesError, match="time 2"):
            read(base + later[:1] + later[2:], dims="time")
        found = read(base + later[:1] + later[2:], dims="time", gaps="nan")
        assert np.array_equal(found.array[1, :, 0, 0], [0, np.nan, 2, 3], equal_nan=True)
        assert not np.isnan(found.array[0]).any()


class TestMultiFrame:
    def test_shared_rescale_and_frame_order(self) -> None:
        array = np.array([5, 6, 7], np.int16)[:, None, None] + np.zeros((3, 4, 5), np.int16)
        positions = [(0, 0, 4), (0, 0, 0), (0, 0, 2)]
        image = make_enhanced(array=array, positions=positions, slope=2.0, intercept=-1000, modality="CT")
        found = read([image])
        assert first_values(found) == [-988, -986, -990]
        assert found.units == "HU"
        assert found.slices is not None
        assert found.slices.frame.tolist() == [2, 3, 1]

    def test_rescale_of_each_frame(self) -> None:
        image = make_enhanced(array=np.full((2, 4, 4), 100, np.int16), slope=[1.0, 0.5], modality="PT")
        assert first_values(read([image])) == [100, 50]

    def test_dose_in_gray(self) -> None:
        dose = make_series(
            array=np.full((1, 4, 4), 1_000_000, np.uint32), modality="RTDOSE", slope=None, intercept=None
        )[0]
        dose.DoseGridScaling, dose.DoseUnits, dose.NumberOfFrames = "1e-6", "GY", 2
        dose.GridFrameOffsetVector = [0, 3]
        dose.PixelData = dose.PixelData * 2
        found = read([dose])
        assert first_values(found) == [1.0, 1.0]
        assert found.units == "GY"
        assert found.spacing == (1, 1, 3)


def segmentation(frames: list[tuple[int, float, np.ndarray]], kind: str = "BINARY", **keywords: Any) -> Dataset:
    """Make a segmentation of (segment, z, pixels), one byte per pixel."""
    groups = {"SegmentIdentificationSequence": {"ReferencedSegmentNumber": [number for number, _, _ in frames]}}
    image = make_enhanced(
        array=np.stack([values for _, _, values in frames]).astype(np.uint8),
        positions=[(0, 0, z) for _, z, _ in frames],
        groups={**groups, "PixelMeasuresSequence": {"PixelSpacing": (1, 1), "SpacingBetweenSlices": 2.0}},
        modality="SEG",
        SegmentationType=kind,
        **keywords,
    )
    del image.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    image.SegmentSequence = []
    for number in sorted({number for number, _, _ in frames}):
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel = number, ("Liver", "Spleen", "Aorta")[number - 1]
        image.SegmentSequence.append(item)
    return image


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
        assert found.log == ("label map: segment 3 Aorta", "1 slices have no frame of this segment: they are empty")
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
        assert "2 slices have no frame: they are empty" in found.log
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
        (tmp_path / "taken.mha").mkdir()
        with pytest.raises(OSError, match="taken"):
            found.save(tmp_path / "taken.mha")
        assert [file.name for file in tmp_path.iterdir()] == ["taken.mha"]

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
        import nibabel

        assert np.allclose(nibabel.load(tmp_path / "volume.nii.gz").affine, found.affine_ras, atol=1e-4)

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
    def test_resampled_column_stands_upright(self, sign: int) -> None:
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


class TestManners:
    grid: ClassVar[Geometry] = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), IDENTITY)

    def test_numpy_takes_it(self) -> None:
        found = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), self.grid, Dataset())
        assert np.asarray(found) is found.array
        assert np.mean(found) == 29.5  # type: ignore[call-overload]
        assert np.asarray(found, dtype=np.float32).dtype == np.float32
        copied = np.array(found, copy=True)
        copied[:] = 0
        assert found.array.max() == 59
        with pytest.raises(ValueError, match="copied"):
            np.asarray(found, dtype=np.float32, copy=False)

    def test_window_does_not_wrap(self) -> None:
        found = Volume(np.array([[[-1000, 0, 40, 240, 3000]]], np.int16), None, Dataset())
        assert found.window(40, 400)[0, 0].tolist() == [0, 102, 128, 255, 255]
        nothing = Volume(np.full((1, 1, 1), np.nan, np.float32), None, Dataset())
        assert nothing.window(40, 400).tolist() == [[[0]]]
        with pytest.raises(ValueError, match="positive"):
            found.window(40, 0)

    def test_repr_and_html_are_short_and_escaped(self) -> None:
        header = Dataset()
        header.SeriesDescription = "<script>alert(1)</script>"
        found = Volume(np.zeros((3, 4, 5), np.int16), self.grid, header, units="HU", log=("a < b",))
        assert repr(found) == "<Volume 3 x 4 x 5 (slice, row, column) int16 HU, voxels of 2 x 1 x 1 mm>"
        html = found._repr_html_()
        assert "<script>" not in html
        assert "a &lt; b" in html
        assert "no geometry" in repr(Volume(np.zeros((3, 4, 5)), None, Dataset()))

    def test_plot_has_the_right_aspect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MPLBACKEND", "agg")
        import matplotlib.pyplot as plt

        slices = ct_phantom((12, 32, 32))
        figure = read(slices).plot()
        assert [axes.get_aspect() for axes in figure.axes] == pytest.approx([1, 2.5 / 1.5, 2.5 / 1.5])
        assert plt.get_fignums() == []
        figure.canvas.draw()
        array = np.random.default_rng(0).integers(0, 65535, (3, 4, 5, 3)).astype(np.uint16)
        read(make_series(array=array, modality="US")).plot().canvas.draw()

    def test_without_matplotlib_it_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("matplotlib", "matplotlib.pyplot"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UnsupportedError, match="pip install matplotlib"):
            read(ct_phantom((2, 8, 8))).plot()

    def test_plot_shows_monochrome1_inverted(self) -> None:
        array = np.zeros((2, 4, 4), np.int16)
        array[:, 0, 0] = 100
        drawn = {
            kind: np.asarray(
                read(make_series(array=array, PhotometricInterpretation=kind)).plot().axes[0].images[0].get_array()
            )
            for kind in ("MONOCHROME1", "MONOCHROME2")
        }
        assert drawn["MONOCHROME2"][0, 0] > drawn["MONOCHROME2"][3, 3]
        assert drawn["MONOCHROME1"][0, 0] < drawn["MONOCHROME1"][3, 3]

    def test_pickle(self) -> None:
        found = read(make_series((3, 4, 5)))
        again = pickle.loads(pickle.dumps(found))
        assert np.array_equal(again.array, found.array)
        assert again.geometry == found.geometry
        assert np.allclose(again.affine, found.affine)

    def test_suv_keeps_its_record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Any] = []

        record = suv.SuvRecord("SUVbw", "by hand", "BQML", warnings=("weight taken for grams",))

        def scale(headers: list[Dataset], kind: str) -> tuple[list[float], suv.SuvRecord]:
            asked.append((len(headers), kind))
            return [2.0, 3.0, 4.0], record

        monkeypatch.setattr(suv, "suv_scale", scale)
        series = make_series(array=np.full((3, 4, 4), 10, np.int16), slope=[1, 2, 3], modality="PT", Units="BQML")
        put(series[0], "PatientWeight", 70)
        found = read(series, units="SUVbw")
        assert asked == [(3, "SUVbw")]
        assert first_values(found) == [20, 60, 120]
        assert found.units == "g/ml"
        assert found.suv == record
        assert "weight taken for grams" in found.log
        assert found.array.dtype == np.float32
        assert found.slices is not None
        assert found.slices.slope.tolist() == [2, 6, 12]
