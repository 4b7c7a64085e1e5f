"""Mosaics of Siemens and UIH come apart into slices at their true positions, or the error names what is missing."""

from __future__ import annotations

import doctest
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import InconsistentSlicesError
from simple_orthanc.phantom import as_bytes, make_enhanced, make_series
from simple_orthanc.session.folder import Folder
from simple_orthanc.sources.folder.source import FolderSource
from simple_orthanc.volume import mosaic
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from simple_orthanc.volume.mosaic import read_mosaic, split_tiles
from simple_orthanc.volume.volume import Volume
from tests.dicom.csa_writer import add_csa
from tests.volume.helpers import read, read_all
from tests.volume.mosaics import AXIAL, SIEMENS_TYPE, siemens_mosaic, tiled, uih_grid

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)
LACKS_NORMAL = r"lack SliceNormalVector of the CSA header \(0029,xx10\)"


def slices(count: int, rows: int = 4, columns: int = 6, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 2000, (count, rows, columns)).astype(np.int16)


def by_position(found: Volume) -> dict[tuple[float, ...], np.ndarray]:
    """Index the slices of a volume by the patient position of their first voxel."""
    assert found.geometry is not None
    places = [(0, 0, index) for index in range(len(found.array))]
    positions = found.geometry.to_patient(places, order="xyz").round(6)
    return {tuple(position): array for position, array in zip(positions.tolist(), found.array, strict=True)}


def without_private(image: Dataset, *groups: int) -> Dataset:
    for element in list(image):
        if element.tag.group in groups:
            del image[element.tag]
    return image


def test_examples() -> None:
    assert doctest.testmod(mosaic).failed == 0


class TestSiemens:
    @pytest.mark.parametrize("count", [2, 3, 4, 5, 9, 10, 35])
    @pytest.mark.parametrize("side", [1, -1])
    @pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL, OBLIQUE])
    def test_every_slice_lies_at_its_position(self, count: int, side: int, orientation: tuple[float, ...]) -> None:
        array, first = slices(count), (-10.0, 20.0, 30.0)
        found = by_position(read([siemens_mosaic(array, first=first, orientation=orientation, side=side)]))
        step = 3.0 * side * np.cross(orientation[:3], orientation[3:])
        assert len(found) == count
        for index in range(count):
            position = tuple((np.asarray(first) + index * step).round(6).tolist())
            assert np.array_equal(found[position], array[index])

    def test_geometry_is_that_of_a_tile(self) -> None:
        found = read([siemens_mosaic(slices(5), spacing=(3.0, 2.0, 1.5))])
        assert found.geometry is not None
        assert found.geometry.size == (6, 4, 5)
        assert found.spacing == pytest.approx((1.5, 2.0, 3.0))
        assert not found.is_sheared
        assert found.slices is not None
        assert found.slices.frame.tolist() == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize("version", [1, 2])
    def test_both_versions_of_the_csa_header(self, version: int) -> None:
        array = slices(5)
        assert np.array_equal(read([siemens_mosaic(array, version=version)]).array, array)

    def test_rescaled_values_and_padding(self) -> None:
        array = slices(3)
        image = siemens_mosaic(array, slope=2.0, intercept=-1.0, PixelPaddingValue=int(array[1, 2, 3]))
        found = read([image])
        assert np.array_equal(found.array, array.astype(np.int32) * 2 - 1)
        assert found.padding_mask is not None
        assert np.array_equal(found.padding_mask, array == array[1, 2, 3])

    @pytest.mark.parametrize("place", ["(0019,xx0A)", "CSA", "both"])
    def test_the_number_of_tiles_is_found_in_either_place(self, place: str) -> None:
        array = slices(5)
        image = siemens_mosaic(array, ImageType=("ORIGINAL", "PRIMARY", "M", "ND"))
        if place == "(0019,xx0A)":
            add_csa(image, {"SliceNormalVector": [0, 0, 1]})
        if place == "CSA":
            without_private(image, 0x0019)
        assert np.array_equal(read([image]).array, array)

    def test_private_creators_may_be_missing(self) -> None:
        array = slices(5)
        image = siemens_mosaic(array)
        del image[0x0019, 0x0010], image[0x0029, 0x0010]
        assert np.array_equal(read([image]).array, array)

    def test_unknown_vr(self) -> None:
        array = slices(5)
        image = siemens_mosaic(array)
        content = image[0x0029, 0x1010].value
        del image[0x0019, 0x100A], image[0x0029, 0x1010]
        image.add_new((0x0019, 0x100A), "UN", b"\x05\x00")
        image.add_new((0x0029, 0x1010), "UN", content)
        implicit = pydicom.dcmread(BytesIO(as_bytes(image)))
        assert np.array_equal(read([implicit]).array, array)

    def test_mosaics_are_time_points(self) -> None:
        arrays = [slices(5, seed=seed) for seed in range(3)]
        first = siemens_mosaic(arrays[0], AcquisitionNumber=1, InstanceNumber=1)
        others = [
            siemens_mosaic(array, like=first, AcquisitionNumber=number, InstanceNumber=number)
            for number, array in enumerate(arrays[1:], 2)
        ]
        series = [others[1], first, others[0]]
        with pytest.raises(
            InconsistentSlicesError, match=r'get_volume\(dims="time"\), or select\(AcquisitionNumber=1\)'
        ):
            choose_volume(plan_stacks(series))
        assert np.array_equal(read(series, dims="time").array, np.stack(arrays))
        assert [found.shape for found in read_all(series).values()] == [(5, 4, 6)] * 3

    def test_a_folder_of_mosaics_is_read_with_each_file_fetched_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arrays = [slices(5, seed=seed) for seed in range(4)]
        first = siemens_mosaic(arrays[0], AcquisitionNumber=1, InstanceNumber=1)
        for number, array in enumerate(arrays, 1):
            image = first if number == 1 else siemens_mosaic(array, like=first, AcquisitionNumber=number)
            (tmp_path / f"{number}.dcm").write_bytes(as_bytes(image))
        folder = Folder(tmp_path, cache=False)
        fetched: list[object] = []
        read_file = FolderSource.read
        monkeypatch.setattr(
            FolderSource, "read", lambda self, key, *rest: fetched.append(key) or read_file(self, key, *rest)
        )
        assert np.array_equal(folder.get_volume(dims="time").array, np.stack(arrays))
        assert len(fetched) == len(set(fetched)) == 4
        volumes = folder.get_volumes()
        assert list(volumes) == [f"acquisition {number}" for number in (1, 2, 3, 4)]
        assert all(np.array_equal(volumes[label].array, array) for label, array in zip(volumes, arrays, strict=True))
        table = folder.volume_table()
        assert table[["slices", "rows", "columns", "regular"]].to_numpy().tolist() == [[5, 4, 6, True]] * 4
        assert np.array_equal(folder.select(AcquisitionNumber=3).get_volume().array, arrays[2])


class TestUih:
    @pytest.mark.parametrize("count", [2, 5, 6, 7, 12, 20])
    def test_every_slice_lies_at_its_position(self, count: int) -> None:
        array = slices(count)
        positions = [(1.0, 2.0, 50.0 - 2.5 * index) for index in range(count)]
        found = by_position(read([uih_grid(array, positions, spacing=(2.5, 2, 1.5))]))
        assert len(found) == count
        for position, tile in zip(positions, array, strict=True):
            assert np.array_equal(found[position], tile)

    def test_the_sequence_may_have_an_unknown_vr(self) -> None:
        array = slices(4)
        image = uih_grid(array, [(0, 0, 2.0 * index) for index in range(4)])
        image.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        implicit = pydicom.dcmread(BytesIO(as_bytes(image)))
        assert np.array_equal(read([implicit]).array, array)

    def test_creator_and_number_may_be_missing(self) -> None:
        array = slices(4)
        image = uih_grid(array, [(0, 0, 2.0 * index) for index in range(4)])
        del image[0x0065, 0x0010], image[0x0065, 0x1050]
        assert np.array_equal(read([image]).array, array)

    @pytest.mark.parametrize("given", [0, 3, 5])
    def test_another_number_of_positions_is_refused(self, given: int) -> None:
        image = uih_grid(slices(4), [(0, 0, 2.0 * index) for index in range(given)])
        with pytest.raises(InconsistentSlicesError, match=r"lack the positions of 4 slices in \(0065,xx51\)"):
            choose_volume(plan_stacks([image]))

    def test_an_item_without_a_position_is_refused(self) -> None:
        image = uih_grid(slices(4), [(0, 0, 2.0 * index) for index in range(4)])
        del image[0x0065, 0x1051].value[2].ImagePositionPatient
        with pytest.raises(InconsistentSlicesError, match="positions of 4 slices"):
            choose_volume(plan_stacks([image]))

    def test_a_grid_of_one_slice_is_that_slice(self) -> None:
        array = slices(1)
        image = uih_grid(array, [(0, 0, 0)], AcquisitionMatrix=(4, 0, 0, 6))
        assert read_mosaic(image) is None


class TestStripped:
    def test_private_elements_gone(self) -> None:
        image = without_private(siemens_mosaic(slices(5)), 0x0019, 0x0029)
        with pytest.raises(InconsistentSlicesError, match=r"lack NumberOfImagesInMosaic \(0019,xx0A\), SliceNormalV"):
            choose_volume(plan_stacks([image]))

    def test_csa_header_gone(self) -> None:
        with pytest.raises(InconsistentSlicesError, match=LACKS_NORMAL):
            choose_volume(plan_stacks([without_private(siemens_mosaic(slices(5)), 0x0029)]))

    @pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
    def test_standard_attributes_gone(self, keyword: str) -> None:
        image = siemens_mosaic(slices(5))
        del image[keyword]
        with pytest.raises(InconsistentSlicesError, match=f"lack {keyword}"):
            choose_volume(plan_stacks([image]))

    def test_spacing_between_slices_gone(self) -> None:
        image = siemens_mosaic(slices(5))
        del image.SpacingBetweenSlices
        with pytest.raises(InconsistentSlicesError, match=r"lack SpacingBetweenSlices \(0018,0088\)"):
            choose_volume(plan_stacks([image]))

    def test_numbers_that_contradict_each_other(self) -> None:
        image = siemens_mosaic(slices(5), csa={"NumberOfImagesInMosaic": [6]})
        with pytest.raises(InconsistentSlicesError, match="lack one NumberOfImagesInMosaic"):
            choose_volume(plan_stacks([image]))

    def test_a_normal_within_the_slices(self) -> None:
        image = siemens_mosaic(slices(5), csa={"SliceNormalVector": [1.0, 0.0, 0.0]})
        with pytest.raises(InconsistentSlicesError, match="SliceNormalVector at right angles"):
            choose_volume(plan_stacks([image]))

    def test_a_size_that_the_tiles_do_not_fill(self) -> None:
        image = siemens_mosaic(slices(5), csa={"NumberOfImagesInMosaic": [17]})
        without_private(image, 0x0019)
        with pytest.raises(InconsistentSlicesError, match="a size that 5 x 5 tiles fill"):
            choose_volume(plan_stacks([image]))

    def test_only_the_private_image_type_says_mosaic(self) -> None:
        (image,) = make_series((1, 8, 8), modality="MR", Manufacturer="Siemens Healthineers")
        block = image.private_block(0x0021, "SIEMENS MR SDS 01", create=True)
        block.add_new(0x75, "CS", ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
        with pytest.raises(InconsistentSlicesError, match="NumberOfImagesInMosaic"):
            choose_volume(plan_stacks([image]))

    def test_two_mosaics_moved_to_follow_the_head_are_not_two_slices(self) -> None:
        series = make_series(
            (2, 64, 64), spacing=(3, 4, 4), modality="MR", ImageType=SIEMENS_TYPE,
            ImagePositionPatient=[(0, 0, 0), (0, 0, 0.4)],
        )  # fmt: skip
        with pytest.raises(InconsistentSlicesError, match="mosaic"):
            choose_volume(plan_stacks(series))

    def test_mosaics_wider_than_any_patient_are_not_slices(self) -> None:
        series = make_series((2, 384, 384), spacing=(3, 3.5, 3.5), modality="MR", ImageType=SIEMENS_TYPE)
        with pytest.raises(InconsistentSlicesError, match="mosaic"):
            choose_volume(plan_stacks(series))


class TestUnpackedBefore:
    def test_slices_at_several_positions_are_read(self) -> None:
        series = make_series(
            (3, 4, 4), modality="MR", spacing=(2, 1, 1), ImageType=("ORIGINAL", "PRIMARY", "FMRI", "NONE", "MOSAIC")
        )
        found = read(series)
        assert found.shape == (3, 4, 4)
        assert "named mosaics, but positioned as slices are: unpacked before" in found.log

    @pytest.mark.parametrize("count", [4, 16, 36, None])
    def test_slices_of_the_measured_matrix_are_read_whatever_the_number_of_tiles(self, count: int | None) -> None:
        series = make_series(
            (3, 64, 64), modality="MR", spacing=(2, 3, 3), ImageType=SIEMENS_TYPE, Manufacturer="SIEMENS",
            AcquisitionMatrix=(64, 0, 0, 64),
        )  # fmt: skip
        for image in series if count else []:
            image.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", count)
        assert read(series).shape == (3, 64, 64)
        assert read(series[:1]).shape == (1, 64, 64)

    def test_the_matrix_in_the_csa_header_counts_as_well(self) -> None:
        (image,) = make_series((1, 64, 64), modality="MR", ImageType=SIEMENS_TYPE, Manufacturer="SIEMENS")
        add_csa(image, {"AcquisitionMatrixText": ["64p*64"], "NumberOfImagesInMosaic": [16]})
        assert read_mosaic(image) is None

    def test_repeated_slices_are_volumes(self) -> None:
        first = make_series(modality="MR", ImageType=SIEMENS_TYPE, AcquisitionNumber=1)
        second = make_series(modality="MR", ImageType=SIEMENS_TYPE, AcquisitionNumber=2, like=first[0])
        assert read(first + second, dims="time").shape == (2, 3, 4, 4)

    def test_frames_of_one_object_are_slices(self) -> None:
        image = make_enhanced((3, 4, 4), modality="MR", ImageType=SIEMENS_TYPE, Manufacturer="SIEMENS")
        image.add_new((0x0019, 0x100A), "US", 4)
        assert read([image]).shape == (3, 4, 4)


class TestOthers:
    @pytest.mark.parametrize("keywords", [{"Manufacturer": "GE MEDICAL SYSTEMS"}, {"modality": "CT"}])
    def test_the_elements_of_another_vendor_mean_something_else(self, keywords: dict[str, str]) -> None:
        (image,) = make_series((1, 8, 8), **{"modality": "MR", **keywords})
        image.add_new((0x0019, 0x100A), "US", 4)
        assert read_mosaic(image) is None

    def test_tiles_are_cut_row_by_row(self) -> None:
        array = slices(5)
        assert np.array_equal(split_tiles(tiled(array, 2, 3)[np.newaxis], (2, 3), 5), array)


# By dcm2niix 1.0.20260724: shape i, j, k; sum of all voxels; affine in RAS, with its flip of the rows.
DCM2NIIX = {
    "siemens_mosaic_5_slices": (
        (72, 72, 5), 5091258, [[-3, 0, 0, 108], [0, 3, 0, -105], [0, 0, 12, 16]],
    ),
    "siemens_mosaic_35_sagittal_slices": (
        (64, 64, 35), 40881506, [[0, 0, -3.6, 61.2], [-3.25, 0, 0, 140.3196], [0, 3.25, 0, -126.1737]],
    ),
    "uih_grid_20_slices": (
        (64, 64, 20), 8629204,
        [[-3.4969, -0.107, 0.1216, 121.1834], [-0.107, 3.4984, 0, -108.0726], [0.1013, 0.0031, 4.1982, -6.5897]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DCM2NIIX)
def test_real_series_equal_dcm2niix(shared_data: Path, name: str) -> None:
    shape, total, affine = DCM2NIIX[name]
    with zipfile.ZipFile(shared_data / "vendor" / f"{name}.zip") as archive:
        members = [member for member in archive.namelist() if member.endswith(".dcm")]
        images = [pydicom.dcmread(BytesIO(archive.read(member))) for member in members]
    found = read(images)
    assert found.affine_ras is not None
    assert found.shape == shape[::-1]
    assert found.array.sum(dtype=np.int64) == total
    # The corners of the two grids are the same points, in whatever order.
    last = np.asarray(shape) - 1
    corners = np.stack(np.meshgrid(*[(0, end) for end in last], indexing="ij"), -1).reshape(-1, 3)
    ours = corners @ found.affine_ras[:3, :3].T + found.affine_ras[:3, 3]
    theirs = corners @ np.asarray(affine)[:, :3].T + np.asarray(affine)[:, 3]
    assert np.allclose(sorted(ours.round(1).tolist()), sorted(theirs.round(1).tolist()), atol=0.15)
