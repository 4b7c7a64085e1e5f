"""Masks by name: segmentations and structure sets on the grid of the images that they were drawn on."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dcmqi
import highdicom
import numpy as np
import pytest
import SimpleITK
from matplotlib.path import Path as MatplotlibPath
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from skimage.draw import polygon2mask

from simple_orthanc import Folder, Geometry, SelectionError, Volume, VolumeError
from simple_orthanc.phantom import as_bytes, ct_phantom, make_series, make_structure_set

SHAPE = (6, 44, 44)


def images(**keywords: Any) -> list[Dataset]:
    """A CT with voxels of 3 x 1.1 x 0.9 mm."""
    settings: dict[str, Any] = {"spacing": (3.0, 1.1, 0.9), "origin": (-20.0, -18.0, 5.0), "seed": 1}
    return make_series(SHAPE, **{**settings, "modality": "CT", **keywords})


def session(folder: Path, *datasets: Dataset) -> Folder:
    folder.mkdir(exist_ok=True)
    for number, dataset in enumerate(datasets):
        (folder / f"{number}.dcm").write_bytes(as_bytes(dataset))
    return Folder(folder, cache=False)


def geometry_of(slices: Sequence[Dataset], folder: Path) -> Geometry:
    geometry = session(folder / "alone", *slices).get_volume().geometry
    assert geometry is not None
    return geometry


def circle(geometry: Geometry, plane: float, radius: float, centre: tuple[float, float] = (22.0, 22.0)) -> NDArray[Any]:
    """The points of a circle in a slice; centre and radius in mm from the first voxel, within the slice."""
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    columns = (centre[0] + radius * np.cos(angles)) / geometry.spacing[0]
    rows = (centre[1] + radius * np.sin(angles)) / geometry.spacing[1]
    return geometry.to_patient(np.stack([columns, rows, np.full(180, plane)], axis=-1), order="xyz")


def away(geometry: Geometry, centre: tuple[float, float] = (22.0, 22.0)) -> NDArray[np.float64]:
    columns, rows = np.meshgrid(
        np.arange(geometry.size[0]) * geometry.spacing[0], np.arange(geometry.size[1]) * geometry.spacing[1]
    )
    return np.hypot(columns - centre[0], rows - centre[1])


COSINE, SINE = np.cos(0.35), np.sin(0.35)
PLANES = {
    "axial": {},
    "oblique": {"orientation": (COSINE, SINE, 0, -SINE * COSINE, COSINE * COSINE, SINE)},
    "sagittal": {"orientation": (0, 1, 0, 0, 0, -1)},
}


class TestStructureSets:
    @pytest.mark.parametrize("plane", PLANES)
    def test_shapes_are_those_of_the_truth_and_of_scikit_image(self, tmp_path: Path, plane: str) -> None:
        slices = images(**PLANES[plane])
        geometry = geometry_of(slices, tmp_path)
        outer, inner = circle(geometry, 3, 15), circle(geometry, 3, 6)
        regions = {
            "circle": [circle(geometry, index, 10.0 + index) for index in (1, 2, 3)],
            "reversed": [circle(geometry, index, 10.0 + index)[::-1] for index in (3, 1, 2)],
            "ring": [outer, inner],
            "keyhole": [np.concatenate([outer, outer[:1], inner[:1], inner[::-1], inner[:1], outer[:1]])],
            "skips": [circle(geometry, index, 9.0) for index in (0, 2, 5)],
        }
        structures = make_structure_set(slices, regions, seed=2)
        found = session(tmp_path / "all", *slices, structures).select(Modality="RTSTRUCT").get_masks()
        assert list(found) == list(regions)
        pixel = geometry.spacing[0] * geometry.spacing[1]

        truth = {index: away(geometry) < 10.0 + index for index in (1, 2, 3)}
        for name in ("circle", "reversed"):
            mask = found[name].array
            for index in range(6):
                difference = np.count_nonzero(mask[index] != truth.get(index, False))
                assert difference <= 2
            area = np.array([mask[index].sum() * pixel for index in (1, 2, 3)])
            assert np.abs(area / (np.pi * np.array([11.0, 12.0, 13.0]) ** 2) - 1).max() < 0.02
        ring = (away(geometry) < 15) & (away(geometry) > 6)
        for name in ("ring", "keyhole"):
            assert np.count_nonzero(found[name].array[3] != ring) <= 4
        assert found["skips"].array.any(axis=(1, 2)).tolist() == [True, False, True, False, False, True]
        assert any("left empty: 1, 3, 4" in line for line in found["skips"].log)
        for mask in found.values():
            assert mask.geometry is not None
            assert mask.geometry.isclose(geometry)
            assert mask.dtype == bool

        # scikit-image fills polygons by itself.
        for index in (1, 2, 3):
            points = geometry.to_index(circle(geometry, index, 10.0 + index), order="xyz")[:, 1::-1]
            theirs = polygon2mask(SHAPE[1:], points)
            assert np.count_nonzero(theirs != found["circle"].array[index]) <= 2

    @pytest.mark.parametrize("plane", PLANES)
    def test_shapes_are_those_of_matplotlib(self, tmp_path: Path, plane: str) -> None:
        slices = images(**PLANES[plane])
        geometry = geometry_of(slices, tmp_path)
        outer, inner = circle(geometry, 3, 15), circle(geometry, 3, 6)
        structures = make_structure_set(slices, {"disc": [outer], "ring": [outer, inner]}, seed=2)
        found = session(tmp_path / "all", *slices, structures).select(Modality="RTSTRUCT").get_masks()
        rows, columns = np.indices(found["disc"].shape[1:])
        centres = np.stack([columns.ravel(), rows.ravel()], axis=-1)

        def filled(points: NDArray[Any]) -> NDArray[np.bool_]:
            corners = geometry.to_index(points, order="xyz")[:, :2]
            inside: NDArray[np.bool_] = MatplotlibPath(corners).contains_points(centres).reshape(rows.shape)
            return inside

        assert np.count_nonzero(filled(outer) != found["disc"].array[3]) <= 2
        assert np.count_nonzero((filled(outer) & ~filled(inner)) != found["ring"].array[3]) <= 4

    def test_points_and_what_lies_outside(self, tmp_path: Path) -> None:
        slices = images()
        geometry = geometry_of(slices, tmp_path)
        points = geometry.to_patient([[3, 4, 1], [200, 4, 1]], order="xyz")
        markers = make_structure_set(slices, {"marker": [points]}, kind="POINT", seed=2)
        (mask,) = session(tmp_path / "all", *slices, markers).select(Modality="RTSTRUCT").get_masks().values()
        assert np.argwhere(mask.array).tolist() == [[1, 4, 3]]
        assert any("outside of the images" in line for line in mask.log)

    def test_on_the_grid_of_another_image(self, tmp_path: Path) -> None:
        slices = images()
        geometry = geometry_of(slices, tmp_path)
        pet = make_series(
            (9, 20, 22), spacing=(2.0, 2.2, 2.0), origin=(-20, -18, 5), modality="PT", seed=4, like=slices[0]
        )
        for dataset in pet:
            dataset.SeriesInstanceUID = "1.2.3.4.5"
        structures = make_structure_set(slices, {"GTV": [circle(geometry, index, 12.0) for index in range(6)]}, seed=2)
        archive = session(tmp_path / "all", *slices, *pet, structures)
        image = archive.copy().select(Modality="PT").get_volume()
        mask = archive.select(Modality="RTSTRUCT").get_masks(like=image)["GTV"]
        assert mask.geometry is not None
        assert image.geometry is not None
        assert mask.geometry.isclose(image.geometry)
        ml = mask.array.sum() * np.prod(image.geometry.spacing) / 1000
        assert ml == pytest.approx(np.pi * 12**2 * 18 / 1000, rel=0.06)
        assert any("nearest neighbour" in line for line in mask.log)
        assert image.statistics({"GTV": mask}).voxels.item() == mask.array.sum()

    @pytest.mark.parametrize("kind", ["OPEN_PLANAR", "OPEN_NONPLANAR"])
    def test_contours_that_enclose_nothing_are_refused_by_name(self, tmp_path: Path, kind: str) -> None:
        slices = images()
        geometry = geometry_of(slices, tmp_path)
        structures = make_structure_set(slices, {"vessel": [circle(geometry, 1, 5)]}, kind=kind, seed=2)
        found = session(tmp_path / "all", *slices, structures).select(Modality="RTSTRUCT").get_masks()
        with pytest.raises(VolumeError, match=f"'vessel'.*{kind}"):
            found["vessel"]

    def test_contours_between_the_slices(self, tmp_path: Path) -> None:
        slices = images()
        geometry = geometry_of(slices, tmp_path)
        structures = make_structure_set(slices, {"liver": [circle(geometry, 1.5, 5)]}, seed=2)
        found = session(tmp_path / "all", *slices, structures).select(Modality="RTSTRUCT").get_masks()
        with pytest.raises(VolumeError, match=r"'liver' lies 1.5 mm off"):
            found["liver"]

    def test_images_that_are_not_in_the_archive(self, tmp_path: Path) -> None:
        slices = images()
        geometry = geometry_of(slices, tmp_path)
        structures = make_structure_set(slices, {"GTV": [circle(geometry, 1, 5)]}, seed=2)
        found = session(tmp_path / "all", structures).get_masks()
        with pytest.raises(VolumeError, match=r"not in the archive.*get_masks\(like=volume\)"):
            found["GTV"]
        volume = Folder(tmp_path / "alone", cache=False).get_volume()
        assert session(tmp_path / "all", structures).get_masks(like=volume)["GTV"].array.any()

    def test_another_frame_of_reference(self, tmp_path: Path) -> None:
        slices = images()
        geometry = geometry_of(slices, tmp_path)
        structures = make_structure_set(slices, {"GTV": [circle(geometry, 1, 5)]}, seed=2)
        elsewhere = images(FrameOfReferenceUID="1.2.3")
        volume = session(tmp_path / "elsewhere", *elsewhere).get_volume()
        found = session(tmp_path / "all", *slices, structures).select(Modality="RTSTRUCT")
        with pytest.raises(VolumeError, match=r"frame of reference .* is in 1\.2\.3"):
            found.get_masks(like=volume)["GTV"]
        with pytest.raises(VolumeError, match="frame of reference"):
            session(tmp_path / "moved", *elsewhere, structures).select(Modality="RTSTRUCT").get_masks()["GTV"]

    @pytest.mark.parametrize("other", [{"FrameOfReferenceUID": "1.2.3"}, {"PatientID": "0012"}])
    def test_what_was_registered_elsewhere_is_read_on_request(self, tmp_path: Path, other: dict[str, str]) -> None:
        slices = images(PatientID="12")
        geometry = geometry_of(slices, tmp_path)
        structures = make_structure_set(slices, {"GTV": [circle(geometry, 1, 5)]}, seed=2)
        volume = session(tmp_path / "elsewhere", *images(**{"PatientID": "12", **other})).get_volume()
        found = session(tmp_path / "all", *slices, structures).select(Modality="RTSTRUCT")
        with pytest.raises(VolumeError, match=r"get_masks\(allow_other_frame=True\)") as refused:
            found.get_masks(like=volume)["GTV"]
        assert ("one identifier in two spellings" in str(refused.value)) == ("PatientID" in other)
        mask = found.get_masks(like=volume, allow_other_frame=True)["GTV"]
        assert np.array_equal(mask.array, found.get_masks()["GTV"].array)
        assert mask.header.FrameOfReferenceUID == volume.header.FrameOfReferenceUID
        assert any("without a transform" in line for line in mask.log) == ("FrameOfReferenceUID" in other)

    def test_images_that_moved_after_they_were_drawn_on(self, tmp_path: Path) -> None:
        slices = images()
        geometry = geometry_of(slices, tmp_path)
        structures = make_structure_set(slices, {"GTV": [circle(geometry, 1, 5)]}, seed=2)
        archive = session(tmp_path / "moved", *images(FrameOfReferenceUID="1.2.3"), structures)
        mask = archive.copy().select(Modality="RTSTRUCT").get_masks(allow_other_frame=True)["GTV"]
        ct = archive.copy().select(Modality="CT").get_volume()
        assert mask.header.FrameOfReferenceUID == "1.2.3"
        assert ct.statistics(mask).voxels.tolist() == [mask.array.sum()]

    def test_names_that_are_empty_repeated_or_not_safe(self, tmp_path: Path) -> None:
        slices = images()
        geometry = geometry_of(slices, tmp_path)
        structures = make_structure_set(slices, {str(number): [circle(geometry, 1, 5)] for number in range(5)}, seed=2)
        names = ["GTV", "", "GTV", "a\x1b[31m\nb", "../../x"]
        for item, name in zip(structures.StructureSetROISequence, names, strict=True):
            item.ROIName = name
        found = session(tmp_path / "all", *slices, structures).select(Modality="RTSTRUCT").get_masks()
        assert list(found) == ["GTV", "ROI 2", "GTV (2)", "a[31mb", "../../x"]
        assert found.table.number.tolist() == [1, 2, 3, 4, 5]
        assert set(found.table.SeriesInstanceUID) == {slices[0].SeriesInstanceUID}

    def test_a_region_without_contours_is_empty(self, tmp_path: Path) -> None:
        slices = images()
        structures = make_structure_set(slices, {"nothing": []}, seed=2)
        mask = session(tmp_path / "all", *slices, structures).select(Modality="RTSTRUCT").get_masks()["nothing"]
        assert not mask.array.any()
        assert any("no contours" in line for line in mask.log)

    def test_images_with_a_hole(self, tmp_path: Path) -> None:
        slices = images()
        geometry = geometry_of(slices, tmp_path)
        structures = make_structure_set(slices, {"GTV": [circle(geometry, 1, 5)]}, seed=2)
        archive = session(tmp_path / "all", *slices[:2], *slices[3:], structures)
        with pytest.raises(VolumeError, match="make no regular volume"):
            archive.copy().select(Modality="RTSTRUCT").get_masks()["GTV"]
        volume = archive.copy().select(Modality="CT").get_volume(gaps="nan")
        assert archive.select(Modality="RTSTRUCT").get_masks(like=volume)["GTV"].array[1].any()


def segmentation(slices: Sequence[Dataset], pixels: NDArray[Any], kind: str, **keywords: Any) -> Dataset:
    for dataset in slices:
        dataset.PatientName = "Phantom^"
    count = pixels.shape[-1] if pixels.ndim == 4 else int(pixels.max())
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"part {number}",
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in range(1, count + 1)
    ]
    kinds = highdicom.seg.SegmentationTypeValues
    return highdicom.seg.Segmentation(
        slices,
        pixels,
        kinds[kind],
        described,
        highdicom.UID(),
        1,
        highdicom.UID(),
        1,
        "maker",
        "model",
        "1",
        "1",
        **keywords,
    )


def lesions(*drawn: int, count: int = 9) -> NDArray[np.uint8]:
    """Pixels of a segment that is on some slices alone."""
    pixels = np.zeros((count, 8, 10), np.uint8)
    pixels[list(drawn), 2:5, 3:8] = 1
    return pixels


def parts() -> NDArray[np.uint8]:
    pixels = np.zeros((6, 24, 20), np.uint8)
    pixels[1:3, 2:7, 3:9] = 1
    pixels[4, 9:12, 11:20] = 2
    return pixels


class TestSegmentations:
    @pytest.mark.parametrize("drawn", [(1, 3), (2, 5), (0, 3, 6), (0, 2, 5), (4,), (1, 2, 6), (0, 8)])
    @pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
    @pytest.mark.parametrize("thickness", [2.5, 1.25, 5.0])
    def test_slices_without_a_frame_are_empty(
        self, tmp_path: Path, kind: str, drawn: tuple[int, ...], thickness: float
    ) -> None:
        """Many writers do not state the spacing, and the frames may lie several slices apart."""
        slices = make_series((9, 8, 10), spacing=(2.5, 1, 1), seed=1, SliceThickness=thickness)
        pixels = lesions(*drawn)
        options = {"fractional_type": "PROBABILITY"} if kind == "FRACTIONAL" else {}
        image = segmentation(slices, pixels if kind != "FRACTIONAL" else pixels.astype(float), kind, **options)
        del image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
        archive = session(tmp_path / "all", *slices, image)
        ct = archive.copy().select(Modality="CT").get_volume()
        for like in (None, ct, ct[::-1]):
            found = archive.copy().select(Modality="SEG").get_masks(like=like)["part 1"]
            expected = pixels[::-1] if like is not None and like is not ct else pixels
            assert np.array_equal(found.array, expected > 0)
        finer = ct.resample(spacing=(1, 1, 1.25))
        found = archive.copy().select(Modality="SEG").get_masks(like=finer)["part 1"]
        # Each slice is 2.5 mm thick, whatever thickness overlaps or leaves out.
        assert found.array.sum() == 2 * (pixels > 0).sum()

    @pytest.mark.parametrize("thickness", [2.5, None])
    def test_without_the_images_the_thickness_of_the_slices_counts(
        self, tmp_path: Path, thickness: float | None
    ) -> None:
        slices = make_series((9, 8, 10), spacing=(2.5, 1, 1), seed=1, SliceThickness=2.5)
        pixels = lesions(1, 3)
        image = segmentation(slices, pixels, "BINARY")
        measures = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        del measures.SpacingBetweenSlices
        measures.SliceThickness = thickness
        ct = session(tmp_path / "CT", *slices).get_volume()
        found = session(tmp_path / "SEG", image).get_masks(like=ct)["part 1"].array
        if thickness:
            assert np.array_equal(found, pixels > 0)
        else:
            # All that is known is that the frames are 5 mm apart.
            assert found[1].any()
            assert found[3].any()

    def test_thicker_slices_than_those_of_the_images_fill_several(self, tmp_path: Path) -> None:
        slices = make_series((9, 8, 10), spacing=(2.5, 1, 1), seed=1, SliceThickness=2.5)
        thick = make_series((3, 8, 10), spacing=(7.5, 1, 1), origin=(0, 0, 2.5), like=slices[0], SliceThickness=7.5)
        image = segmentation(thick, lesions(0, 2, count=3), "BINARY")
        del image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
        referenced = image.ReferencedSeriesSequence[0]
        referenced.SeriesInstanceUID = slices[0].SeriesInstanceUID
        found = session(tmp_path, *slices, image).select(Modality="SEG").get_masks()["part 1"].array
        assert found.any(axis=(1, 2)).tolist() == [True] * 3 + [False] * 3 + [True] * 3

    def test_a_spacing_that_is_given_places_frames_that_are_unevenly_spaced(self, tmp_path: Path) -> None:
        slices = make_series((9, 8, 10), spacing=(2.5, 1, 1), seed=1)
        image = segmentation(slices, lesions(0, 2, 5), "BINARY")
        del image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
        alone = session(tmp_path, image)
        with pytest.raises(VolumeError, match=r"unevenly spaced.* get_volume\(spacing=\.\.\.\)"):
            alone.get_volume()
        assert alone.get_volume(spacing=2.5).array.any(axis=(1, 2)).tolist() == [True, False, True, False, False, True]

    @pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
    def test_segments_are_those_of_the_truth_and_of_two_other_tools(self, tmp_path: Path, kind: str) -> None:
        slices, pixels = ct_phantom((6, 24, 20)), parts()
        image = segmentation(slices, pixels, kind)
        archive = session(tmp_path / "all", *slices, image)
        found = archive.copy().select(Modality="SEG").get_masks()
        assert list(found) == ["part 1", "part 2"]
        reference = archive.select(Modality="CT").get_volume()
        for number, mask in enumerate(found.values(), 1):
            assert mask.geometry is not None
            assert mask.geometry.isclose(reference.geometry)  # type: ignore[arg-type]
            assert np.array_equal(mask.array, pixels == number)

        theirs = highdicom.seg.segread(self.path_of(tmp_path / "all", image)).get_volume(combine_segments=True)
        for number, mask in enumerate(found.values(), 1):
            corners = np.argwhere(theirs.array == number)
            places = (np.c_[corners, np.ones(len(corners))] @ theirs.affine.T)[:, :3]
            own = np.rint(mask.geometry.to_index(places, order="zyx")).astype(int)  # type: ignore[union-attr]
            assert {tuple(index) for index in own.tolist()} == {
                tuple(index) for index in np.argwhere(mask.array).tolist()
            }

        if kind == "BINARY":
            self.as_dcmqi_has_them(tmp_path, self.path_of(tmp_path / "all", image), list(found.values()))

    @staticmethod
    def path_of(folder: Path, image: Dataset) -> Path:
        return next(path for path in folder.glob("*.dcm") if image.SOPInstanceUID.encode() in path.read_bytes()[:1000])

    @staticmethod
    def as_dcmqi_has_them(folder: Path, path: Path, found: Sequence[Volume]) -> None:
        target = folder / "dcmqi"
        target.mkdir()
        program = Path(dcmqi._lookup("segimage2itkimage")) if hasattr(dcmqi, "_lookup") else Path("segimage2itkimage")
        command = [str(program), "--inputDICOM", str(path), "--outputDirectory", str(target), "-t", "nrrd"]
        subprocess.run(command, check=True, capture_output=True)
        for number, mask in enumerate(found, 1):
            (written,) = target.glob(f"*{number}.nrrd")
            image = SimpleITK.ReadImage(str(written))
            inside = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)
            places = [image.TransformIndexToPhysicalPoint(tuple(map(int, index[::-1]))) for index in inside]
            own = np.rint(mask.geometry.to_index(places, order="zyx")).astype(int)  # type: ignore[union-attr]
            assert {tuple(index) for index in own.tolist()} == {
                tuple(index) for index in np.argwhere(mask.array).tolist()
            }

    def test_segments_that_overlap_stay_apart(self, tmp_path: Path) -> None:
        slices = ct_phantom((6, 24, 20))
        pixels = np.zeros((6, 24, 20, 2), np.uint8)
        pixels[1:4, 2:12, 3:9, 0] = 1
        pixels[2:5, 8:20, 5:15, 1] = 1
        archive = session(tmp_path / "all", *slices, segmentation(slices, pixels, "BINARY"))
        found = archive.select(Modality="SEG").get_masks()
        for number in (0, 1):
            assert np.array_equal(found[f"part {number + 1}"].array, pixels[..., number] > 0)

    def test_fractions_from_one_half_on(self, tmp_path: Path) -> None:
        slices = ct_phantom((6, 24, 20))
        fractions = np.zeros((6, 24, 20), np.float32)
        fractions[2, 3, :] = np.linspace(0, 1, 20)
        image = segmentation(slices, fractions, "FRACTIONAL", max_fractional_value=250)
        mask = session(tmp_path / "all", *slices, image).select(Modality="SEG").get_masks()["part 1"]
        assert np.array_equal(mask.array[2, 3], np.round(fractions[2, 3] * 250) / 250 >= 0.5)
        assert mask.array.sum() == 10
        assert any("fractional" in line for line in mask.log)

    def test_a_segmentation_on_a_finer_grid(self, tmp_path: Path) -> None:
        coarse = ct_phantom((6, 24, 20))
        spacing = [float(value) / 2 for value in coarse[0].PixelSpacing]
        origin = np.asarray(coarse[0].ImagePositionPatient, float) - [spacing[1] / 2, spacing[0] / 2, 0]
        thickness = float(coarse[1].ImagePositionPatient[2]) - float(coarse[0].ImagePositionPatient[2])
        fine = make_series((6, 48, 40), spacing=(thickness, *spacing), origin=origin, seed=5, like=coarse[0])
        image = segmentation(fine, parts().repeat(2, axis=1).repeat(2, axis=2), "BINARY")
        for item in image.ReferencedSeriesSequence:
            item.SeriesInstanceUID = coarse[0].SeriesInstanceUID
            del item.ReferencedInstanceSequence
        found = session(tmp_path / "all", *coarse, image).select(Modality="SEG").get_masks()
        for number in (1, 2):
            assert np.array_equal(found[f"part {number}"].array, parts() == number)
            assert any("nearest neighbour" in line for line in found[f"part {number}"].log)

    def test_without_its_images_it_keeps_its_own_grid(self, tmp_path: Path) -> None:
        slices = ct_phantom((6, 24, 20))
        mask = session(tmp_path / "all", segmentation(slices, parts(), "BINARY")).get_masks()["part 1"]
        assert mask.array.sum() == (parts() == 1).sum()
        assert any("not in the archive" in line for line in mask.log)

    def test_drawn_over_the_image(self, tmp_path: Path) -> None:
        slices = ct_phantom((6, 24, 20))
        archive = session(tmp_path / "all", *slices, segmentation(slices, parts(), "BINARY"))
        masks = archive.copy().select(Modality="SEG").get_masks()
        volume = archive.select(Modality="CT").get_volume()
        figure = volume.plot(overlay=masks)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["part 1", "part 2"]
        assert volume.statistics(masks).voxels.tolist() == [60, 27]


def test_images_alone_have_no_masks(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match=r"select\(Modality=\['SEG', 'RTSTRUCT'\]\)"):
        session(tmp_path / "all", *images()).get_masks()


def test_a_volume_without_geometry_is_no_grid(tmp_path: Path) -> None:
    slices = images()
    archive = session(tmp_path / "all", *slices, make_structure_set(slices, {"a": []}, seed=2))
    with pytest.raises(VolumeError, match="without geometry"):
        archive.select(Modality="RTSTRUCT").get_masks(like=Volume(np.zeros((2, 3, 4)), None, Dataset()))


def test_both_kinds_at_once_and_an_unknown_name(tmp_path: Path) -> None:
    slices = ct_phantom((6, 24, 20))
    geometry = geometry_of(slices, tmp_path)
    structures = make_structure_set(slices, {"part 1": [circle(geometry, 1, 5)]}, seed=2)
    archive = session(tmp_path / "all", *slices, structures, segmentation(slices, parts(), "BINARY"))
    found = archive.get_masks()
    assert sorted(found) == ["part 1 (RTSTRUCT)", "part 1 (SEG)", "part 2"]
    assert sorted(found.table.kind) == ["RTSTRUCT", "SEG", "SEG"]
    with pytest.raises(KeyError, match=r"no mask 'PART 2'. Did you mean 'part 2'"):
        found["PART 2"]
    with pytest.raises(KeyError, match=r"no mask 'part 1'.*'part 1 \(SEG\)'"):
        found["part 1"]
    assert "part 2" in found
    assert found.get("PART 2") is None


def test_a_mask_keeps_the_name_under_which_it_is_looked_up(tmp_path: Path) -> None:
    slices = images()
    structures = [make_structure_set(slices, {"tumour": []}, seed=seed) for seed in (2, 3)]
    archive = session(tmp_path / "all", *slices, *structures)
    found = archive.get_masks()
    mask = found["tumour (2)"]
    assert [mask.name, mask[1:].name, mask.resample(spacing=2).name] == ["tumour (2)"] * 3
    volume = archive.select(Modality="CT").get_volume()
    assert volume.name == ""
    assert volume.statistics(mask).index.tolist() == ["tumour (2)"]
    figure = volume.plot(overlay=mask)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["tumour (2) (empty)"]
    assert "tumour (2)" in str(mask)


def test_a_mask_is_looked_for_without_reading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slices = images()
    found = session(tmp_path / "all", *slices, make_structure_set(slices, {"a": []}, seed=2)).get_masks()
    monkeypatch.setattr(type(found), "_read", None)
    assert "a" in found
    assert "b" not in found


def test_a_region_without_a_frame_of_reference_lies_in_that_of_its_images(tmp_path: Path) -> None:
    slices = ct_phantom((4, 32, 32))
    z = slices[1].ImagePositionPatient[2]
    structures = make_structure_set(slices, {"GTV": [[(-12, -12, z), (12, -12, z), (12, 12, z), (-12, 12, z)]]})
    structures.FrameOfReferenceUID = "1.2.3"
    for item in structures.StructureSetROISequence:
        del item.ReferencedFrameOfReferenceUID
    for item in structures.ReferencedFrameOfReferenceSequence:
        del item.FrameOfReferenceUID
    for contour in structures.ROIContourSequence[0].ContourSequence:
        assert contour.ContourImageSequence
    archive = session(tmp_path / "archive", *slices, structures)
    ct = archive.select(Modality="CT").get_volume()
    masks = archive.reset().select(Modality="RTSTRUCT").get_masks()
    assert ct.statistics(masks)["voxels"].tolist() == [256]


def test_one_segment_in_two_orientations_is_two_masks(tmp_path: Path) -> None:
    slices = images()
    ct = session(tmp_path / "ct", *slices).get_volume()
    inside = np.zeros(ct.shape, bool)
    inside[1:5, 8:20, 8:20] = True
    segmentation = ct.masks_to_dicom({"GTV": inside})
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    del shared.PlaneOrientationSequence
    for number, frame in enumerate(segmentation.PerFrameFunctionalGroupsSequence):
        orientation = Dataset()
        orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if number < 2 else [1, 0, 0, 0, 0.8, 0.6]
        frame.PlaneOrientationSequence = [orientation]
    masks = session(tmp_path / "segmentation", segmentation).get_masks()
    assert list(masks) == ["GTV", "GTV (2)"]
    first, second = masks.values()
    assert first.direction != second.direction
