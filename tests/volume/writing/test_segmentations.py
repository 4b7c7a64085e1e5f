"""Masks and label maps written as segmentations, and read by this library, highdicom and dcmqi."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dcmqi
import highdicom
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from simple_orthanc import Geometry, Volume, VolumeError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.volume.writing.segmentations import segmentation_of
from tests.examples import examples
from tests.volume.writing.helpers import PLANES, SHAPE, archive, as_read_here, boxes, ct_in, images


class TestMasks:
    @pytest.mark.parametrize("plane", PLANES)
    def test_masks_come_back_voxel_by_voxel(self, tmp_path: Path, plane: str) -> None:
        slices = images(**PLANES[plane])
        ct = ct_in(tmp_path, slices)
        dataset = segmentation_of(boxes(), ct)
        found = archive(tmp_path, dataset).select(Modality="SEG").get_masks()
        assert list(found) == list(boxes())
        for name, mask in boxes().items():
            assert np.array_equal(found[name].array, mask)
            assert found[name].geometry == ct.geometry
        # Without the images, the grid is that of the segmentation itself.
        alone = archive(tmp_path / "alone", dataset).get_masks()
        for name, mask in boxes().items():
            assert np.array_equal(alone[name].array, mask)
            assert alone[name].geometry is not None
            assert ct.geometry is not None
            assert alone[name].geometry.isclose(ct.geometry, tolerance=1e-9)

    def test_highdicom_reads_the_same(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images(**PLANES["oblique"]))
        path = tmp_path / "seg.dcm"
        path.write_bytes(as_bytes(segmentation_of(boxes(), ct)))
        found = highdicom.seg.segread(path)
        assert [found.get_segment_description(number).segment_label for number in (1, 2, 3)] == list(boxes())
        volume = found.get_volume()
        expected = np.stack(list(boxes().values()), axis=-1)
        assert np.array_equal(as_read_here(volume, ct), expected)
        source = [row.SOPInstanceUID for row in ct.slices.itertuples()]  # type: ignore[union-attr]
        pixels = found.get_pixels_by_source_instance(
            source, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
        )
        assert np.array_equal(pixels, expected)

    def test_dcmqi_reads_the_same(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images(**PLANES["oblique"]))
        (path, target) = tmp_path / "seg.dcm", tmp_path / "dcmqi"
        path.write_bytes(as_bytes(segmentation_of(boxes(), ct)))
        target.mkdir()
        program = Path(dcmqi._lookup("segimage2itkimage")) if hasattr(dcmqi, "_lookup") else Path("segimage2itkimage")
        command = [str(program), "--inputDICOM", str(path), "--outputDirectory", str(target), "-t", "nrrd"]
        subprocess.run(command, check=True, capture_output=True)
        for number, mask in enumerate(boxes().values(), 1):
            (written,) = target.glob(f"*{number}.nrrd")
            image = SimpleITK.ReadImage(str(written))
            inside = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)
            places = [image.TransformIndexToPhysicalPoint(tuple(map(int, index[::-1]))) for index in inside]
            own = np.rint(ct.geometry.to_index(np.reshape(places, (-1, 3)), order="zyx")).astype(int)  # type: ignore[union-attr]
            assert sorted(own.tolist()) == np.argwhere(mask).tolist()

    @settings(max_examples=examples(15), deadline=None)
    @given(st.data())
    def test_any_masks(self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
        folder = tmp_path_factory.mktemp("masks")
        shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)))
        random = np.random.default_rng(data.draw(st.integers(0, 1000)))
        count, share = data.draw(st.integers(1, 4)), data.draw(st.sampled_from((0, 0.05, 0.5, 1)))
        masks = {f"mask {number}": random.random(shape) < share for number in range(count)}
        slices = images(shape, **PLANES[data.draw(st.sampled_from(sorted(PLANES)))])
        ct = ct_in(folder, slices)
        found = archive(folder, segmentation_of(masks, ct)).select(Modality="SEG").get_masks()
        assert list(found) == list(masks)
        for name, mask in masks.items():
            assert np.array_equal(found[name].array, mask)

    def test_a_mask_knows_its_images_by_its_header(self, tmp_path: Path) -> None:
        slices = images()
        ct = ct_in(tmp_path, slices)
        mask = ct.with_array(ct.array > 2, units="mask")
        found = archive(tmp_path, segmentation_of(mask)).select(Modality="SEG").get_masks()
        assert np.array_equal(found["segment 1"].array, mask.array)

    def test_a_mask_on_another_grid_keeps_it(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images())
        assert ct.geometry is not None
        fine = Geometry((22, 18, 12), (0.45, 0.55, 1.5), ct.geometry.origin, ct.geometry.direction)
        array = np.zeros((12, 18, 22), bool)
        array[2:7, 3:11, 4:15] = True
        dataset = segmentation_of({"fine": Volume(array, fine, Dataset())}, ct)
        session = archive(tmp_path, dataset).select(Modality="SEG")
        assert session.get_volume().geometry == fine
        assert np.array_equal(session.get_volume().array, array)
        assert session.get_masks()["fine"].geometry == ct.geometry
        assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == ct.header.SeriesInstanceUID

    @pytest.mark.parametrize("slices", [1, 3, 12])
    def test_slices_of_another_thickness(self, tmp_path: Path, slices: int) -> None:
        ct = ct_in(tmp_path, images())
        assert ct.geometry is not None
        columns, rows, _ = ct.geometry.size
        grid = Geometry((columns, rows, slices), (0.9, 1.1, 1.5), ct.geometry.origin, ct.geometry.direction)
        mask = Volume(np.ones((slices, rows, columns), bool), grid, Dataset())
        session = archive(tmp_path, segmentation_of({"all": mask}, ct)).select(Modality="SEG")
        assert session.get_volume().geometry == grid
        path = next(path for path in tmp_path.glob("*.dcm") if b"SEGMENTATION" in path.read_bytes())
        assert highdicom.seg.segread(path).get_volume().spacing == (1.5, 1.1, 0.9)

    def test_a_turned_mask_keeps_its_grid(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images())
        mask = ct.with_array(boxes()["left"], units="mask")[::-1, ::-1]
        found = archive(tmp_path, segmentation_of(mask)).select(Modality="SEG").get_masks()["segment 1"]
        assert np.array_equal(found.array, boxes()["left"])

    def test_tilted_images(self, tmp_path: Path) -> None:
        slices = images()
        for index, image in enumerate(slices):
            image.ImagePositionPatient = [-20.0, -18.0 + 0.8 * index, 5.0 + 3.0 * index]
        ct = ct_in(tmp_path, slices)
        assert ct.is_sheared
        found = archive(tmp_path, segmentation_of(boxes(), ct)).select(Modality="SEG").get_masks()
        for name, mask in boxes().items():
            assert np.array_equal(found[name].array, mask)
            assert found[name].geometry == ct.geometry
        frames = segmentation_of(boxes(), ct).PerFrameFunctionalGroupsSequence
        assert all(len(frame.DerivationImageSequence[0].SourceImageSequence) == 1 for frame in frames)

    def test_images_of_several_times(self, tmp_path: Path) -> None:
        slices = [
            image
            for time in (1, 2)
            for image in make_series(
                SHAPE, seed=time, modality="MR", like=images()[0], TemporalPositionIdentifier=time, EchoTime="3"
            )
        ]
        for number, image in enumerate(slices):
            image.SeriesInstanceUID, image.SOPInstanceUID, image.InstanceNumber = "1.2.3", f"1.2.3.{number}", number
        images_4d = archive(tmp_path, *slices).get_volume(dims="time")
        assert images_4d.ndim == 4
        found = archive(tmp_path, segmentation_of(boxes(), images_4d)).select(Modality="SEG").get_masks(like=images_4d)
        for name, mask in boxes().items():
            assert np.array_equal(found[name].array, mask)

    def test_images_without_a_frame_of_reference(self, tmp_path: Path) -> None:
        slices = images(FrameOfReferenceUID=None)
        ct = ct_in(tmp_path, slices)
        dataset = segmentation_of(boxes(), ct)
        assert dataset.FrameOfReferenceUID
        found = archive(tmp_path, dataset).select(Modality="SEG").get_masks()
        assert np.array_equal(found["left"].array, boxes()["left"])

    def test_each_mask_of_a_mapping_is_looked_up_once(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images())
        first = archive(tmp_path, segmentation_of(boxes(), ct)).select(Modality="SEG").get_masks()
        looked_up = []

        class Counting(Mapping[str, Volume]):
            def __getitem__(self, name: str) -> Volume:
                looked_up.append(name)
                return first[name]

            def __iter__(self) -> Iterator[str]:
                return iter(first)

            def __len__(self) -> int:
                return len(first)

        again = archive(tmp_path / "again", *images(), segmentation_of(Counting(), ct))
        assert looked_up == list(boxes())
        assert np.array_equal(again.select(Modality="SEG").get_masks()["left"].array, boxes()["left"])

    def test_codes_and_algorithm(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images())
        codes = {"left": (("123037004", "SCT", "Anatomical Structure"), ("10200004", "SCT", "Liver"))}
        first, *rest = segmentation_of(boxes(), ct, codes=codes, algorithm="threshold 1.0").SegmentSequence
        assert first.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Liver"
        assert first.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
        assert (first.SegmentAlgorithmType, first.SegmentAlgorithmName) == ("AUTOMATIC", "threshold 1.0")
        assert {segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for segment in rest} == {"Tissue"}


class TestLabelMaps:
    def labels(self, *values: int) -> NDArray[np.uint16]:
        array = np.zeros(SHAPE, np.uint16)
        for index, value in enumerate(values):
            array[2 + index % 3, 2 * index // 3 : 4 + index, 1:5] = value
        return array

    @pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
    def test_labels_come_back_by_number_and_name(self, tmp_path: Path, kind: Any) -> None:
        ct = ct_in(tmp_path, images())
        volume = ct.with_array(self.labels(1, 2, 5), units="label")
        dataset = segmentation_of(volume, names={1: "liver", 2: "spleen", 4: "not there"}, kind=kind)
        session = archive(tmp_path, dataset).select(Modality="SEG")
        found = session.get_volume()
        assert np.array_equal(found.array, volume.array)
        assert (found.units, found.geometry) == ("label", ct.geometry)
        masks = session.get_masks()
        assert list(masks) == ["liver", "spleen", "not there", "segment 5"]
        assert np.array_equal(masks["segment 5"].array, volume.array == 5)
        assert not masks["not there"].array.any()
        # Read and written again, the names stay.
        again = segmentation_of(found, ct, kind=kind)
        assert [item.SegmentLabel for item in again.SegmentSequence] == [
            item.SegmentLabel for item in dataset.SegmentSequence
        ]

    def test_large_labels_need_a_label_map(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images())
        volume = ct.with_array(self.labels(17, 2035), units="label")
        with pytest.raises(VolumeError, match=r"label 2035.*kind=\"LABELMAP\""):
            segmentation_of(volume)
        found = archive(tmp_path, segmentation_of(volume, kind="LABELMAP")).select(Modality="SEG").get_volume()
        assert np.array_equal(found.array, volume.array)

    def test_a_slice_full_of_labels_leaves_no_room_for_anchors(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images())
        array = np.ones(SHAPE, np.uint8)
        array[0] = 2
        found = archive(tmp_path, segmentation_of(ct.with_array(array), names={1: "a", 2: "b", 3: "empty"}))
        masks = found.select(Modality="SEG").get_masks()
        assert list(masks) == ["a", "b", "empty"]
        assert np.array_equal(masks["b"].array, array == 2)
        assert not masks["empty"].array.any()


class TestFractions:
    def test_fractions_come_back_to_half_a_step(self, tmp_path: Path) -> None:
        ct = ct_in(tmp_path, images())
        fractions = np.random.default_rng(1).random(SHAPE, np.float32)
        fractions[0] = fractions[-1] = 0
        masks = {"probable": fractions, "nothing": np.zeros(SHAPE, np.float32), "tiny": np.full(SHAPE, 1e-3)}
        session = archive(tmp_path, segmentation_of(masks, ct, kind="FRACTIONAL")).select(Modality="SEG")
        found = session.get_volumes()
        assert [name.partition("segment ")[2] for name in found] == ["1 probable", "2 nothing", "3 tiny"]
        for volume, mask in zip(found.values(), masks.values(), strict=True):
            assert np.abs(volume.array - mask).max() <= 0.5 / 255 + 1e-7
            assert volume.geometry == ct.geometry
        assert np.array_equal(session.get_masks()["probable"].array, fractions >= 0.5)
