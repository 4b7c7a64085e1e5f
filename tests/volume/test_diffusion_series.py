"""Whole diffusion series become 4D volumes in the order of acquisition, with gradient tables that FSL reads."""

from __future__ import annotations

import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import InconsistentSlicesError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.session.folder import Folder
from tests.volume.helpers import read, read_all

OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)
NONE = (0.0, 0.0, 0.0)
Step = tuple[float | None, tuple[float, float, float] | None]


def series(steps: list[Step], **keywords: object) -> list[Dataset]:
    """Make one volume for each b-value and direction; every voxel holds the number of its volume."""
    first: Dataset | None = None
    result = []
    for number, (b, direction) in enumerate(steps):
        own = {"DiffusionBValue": b, "DiffusionGradientOrientation": direction, **keywords}
        own = {name: value[number] if isinstance(value, list) else value for name, value in own.items()}
        own.setdefault("InstanceNumber", [3 * number + index for index in (1, 2, 3)])
        array = np.full((3, 4, 4), number, np.int16)
        images = make_series(array=array, modality="MR", like=first, orientation=OBLIQUE, **own)
        first = first or images[0]
        result += images
    return result


def directions_in_file(path: Path) -> np.ndarray:
    """Turn FSL's directions back into those of the patient (LPS)."""
    affine = nibabel.load(path).affine[:3, :3]
    rows = np.loadtxt(path.with_name(path.name.replace(".nii.gz", ".bvec")), ndmin=2)
    if np.linalg.det(affine) > 0:
        rows[0] *= -1
    return (affine / np.linalg.norm(affine, axis=0) @ rows).T * (-1, -1, 1)


class TestOrder:
    def test_steps_follow_each_other_as_they_were_acquired(self, tmp_path: Path) -> None:
        steps: list[Step] = [(1000, (0, 0, 1)), (0, NONE), (1000, (0.6, 0.8, 0)), (500, (1, 0, 0))]
        found = read(series(steps)[::-1], dims="b")
        assert found.array[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
        assert found.coordinates["b"] == (1000, 0, 1000, 500)
        assert found.coordinates["direction"] == pytest.approx(np.array([direction for _, direction in steps]))
        assert found.coordinate_units == {"b": "s/mm2", "direction": ""}
        path = found.save(tmp_path / "dwi.nii.gz")
        assert (tmp_path / "dwi.bval").read_text() == "1000 0 1000 500\n"
        assert directions_in_file(path) == pytest.approx(np.array([direction for _, direction in steps]), abs=1e-5)

    def test_repeated_images_without_weighting_are_steps(self) -> None:
        steps: list[Step] = [(0, NONE), (1000, (0, 0, 1)), (0, NONE), (1000, (1, 0, 0))]
        found = read(series(steps, AcquisitionNumber=[1, 2, 3, 4]), dims="b")
        assert found.coordinates["b"] == (0, 1000, 0, 1000)
        assert found.array[:, 0, 0, 0].tolist() == [0, 1, 2, 3]

    def test_images_numbered_slice_by_slice(self) -> None:
        numbers = [[3, 6, 9], [1, 4, 7], [2, 5, 8]]
        steps: list[Step] = [(0, NONE), (1000, (0, 0, 1)), (1000, (1, 0, 0))]
        found = read(series(steps, InstanceNumber=numbers), dims="b")
        assert found.array[:, 0, 0, 0].tolist() == [1, 2, 0]
        assert found.coordinates["b"] == (1000, 1000, 0)


class TestTraces:
    STEPS: tuple[Step, ...] = ((0, NONE), (1000, (0, 0, 1)), (1000, (1, 0, 0)), (1000, NONE))

    def test_a_trace_image_is_a_group_apart_from_directions(self) -> None:
        images = series(list(self.STEPS))
        with pytest.raises(InconsistentSlicesError, match=r"b 1000 trace .* weighted in all directions alike"):
            read(images, dims="b")
        assert "b 1000 trace" in read_all(images)
        assert read(images[:9], dims="b").coordinates["b"] == (0, 1000, 1000)

    def test_traces_without_directions_are_a_series_of_b_values(self, tmp_path: Path) -> None:
        found = read(series([(0, NONE), (500, NONE), (1000, NONE)]), dims="b")
        assert found.coordinates["b"] == (0, 500, 1000)
        assert found.coordinates["direction"] == (NONE, NONE, NONE)
        found.save(tmp_path / "trace.nii.gz")
        assert (tmp_path / "trace.bvec").read_text() == "0 0 0\n" * 3

    @pytest.mark.parametrize("kind", ["ADC", "FA"])
    def test_a_derived_map_is_excluded_from_directions_by_its_image_type(self, kind: str) -> None:
        types = [("ORIGINAL", "PRIMARY", "DIFFUSION", "NONE")] * 3 + [("DERIVED", "PRIMARY", "DIFFUSION", kind)]
        with pytest.raises(InconsistentSlicesError, match=r'exclude\(ImageType="DERIVED"\)'):
            read(series(list(self.STEPS), ImageType=types), dims="b")


class TestMissing:
    STEPS: tuple[Step, ...] = ((None, None), (1000, (0, 0, 1)), (1000, (1, 0, 0)))

    def test_a_volume_without_b_value_is_no_step(self) -> None:
        with pytest.raises(InconsistentSlicesError, match=r"no b .* has no DiffusionBValue"):
            read(series(list(self.STEPS), ScanningSequence="EP", Manufacturer="SIEMENS"), dims="b")

    def test_toshiba_leaves_it_out_where_it_is_0(self) -> None:
        found = read(series(list(self.STEPS), ScanningSequence="EP", Manufacturer="TOSHIBA_MEC"), dims="b")
        assert found.coordinates["b"] == (0, 1000, 1000)
        assert found.coordinates["direction"][0] == NONE
        assert "Toshiba states no b-value for images without diffusion weighting: taken as 0" in found.log

    def test_the_groups_of_toshiba_can_be_read_one_by_one(self, tmp_path: Path) -> None:
        images = series(list(self.STEPS), ScanningSequence="EP", Manufacturer="TOSHIBA_MEC")
        for number, image in enumerate(images):
            (tmp_path / f"{number}.dcm").write_bytes(as_bytes(image))
        folder = Folder(tmp_path, cache=False)
        assert [found.shape for found in folder.get_volumes().values()] == [(3, 4, 4)] * 3
        assert folder.get_volume(dims="b").coordinates["b"] == (0, 1000, 1000)

    def test_toshiba_without_weighted_images_has_none(self) -> None:
        images = series([(None, None), (None, None)], Manufacturer="TOSHIBA_MEC", ScanningSequence="EP")
        assert all("b" not in label for label in read_all(images))

    def test_a_missing_direction_is_unknown(self) -> None:
        found = read(series([(0, None), (500, None), (1000, (1, 0, 0))]), dims="b")
        zero, unknown, known = found.coordinates["direction"]
        assert (zero, known) == (NONE, (1, 0, 0))
        assert np.isnan(unknown).all()


# What dcm2niix writes with other signs than the patient's axes have: it turns the comment of V6.0 wrongly.
REAL = (
    "canon_v61_classic",
    "canon_v61_enhanced",
    "ge_mr29",
    "philips_classic_trace",
    "siemens_e11_mosaic",
    "siemens_e11_slices",
    "siemens_xa30_classic",
    "siemens_xa30_enhanced",
    "toshiba_v50",
    "uih_grid",
)


@pytest.mark.parametrize("name", REAL)
def test_real_series_have_the_gradients_of_dcm2niix(shared_data: Path, name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "diffusion" / f"{name}.zip") as archive:
        members = [member for member in archive.namelist() if member.endswith(".dcm")]
        images = [pydicom.dcmread(BytesIO(archive.read(member))) for member in members]
        archive.extractall(tmp_path / "dicom", members)
    # The fourth volume of this series is its trace.
    chosen = [
        image for image in images if name != "philips_classic_trace" or image.InstanceNumber not in (640, 672, 704)
    ]
    found = read(chosen, dims="b")
    path = found.save(tmp_path / "ours.nii.gz")
    theirs = dcm2niix(tmp_path / "dicom", tmp_path)
    b_values = [np.loadtxt(file.with_name(file.name.replace(".nii.gz", ".bval"))) for file in (path, theirs)]
    assert b_values[0] == pytest.approx(b_values[1], abs=1e-3)
    ours, expected = directions_in_file(path), directions_in_file(theirs)
    # A direction and its opposite are the same to diffusion; GE and Canon print three to six digits.
    signs = np.sign((ours * expected).sum(axis=1, keepdims=True))
    assert ours * signs == pytest.approx(expected * signs**2, abs=1e-3)
    assert ours == pytest.approx(np.array(found.coordinates["direction"]), abs=1e-5)


def dcm2niix(source: Path, target: Path) -> Path:
    package = pytest.importorskip("dcm2niix")
    command = [package.bin, "-z", "i", "-f", "theirs", "-o", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return target / "theirs.nii.gz"
