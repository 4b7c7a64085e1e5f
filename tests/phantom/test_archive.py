"""The example archive holds what its documentation lists, with the values that it names, and is always the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from simple_orthanc import Folder, InconsistentSlicesError, MissingSlicesError, NoPixelDataError, Orthanc, Volume, tag
from simple_orthanc.phantom import write_archive
from simple_orthanc.sources.folder.example import example_folder
from simple_orthanc.volume.statistics import voxel_ml

SERIES = {
    ("EX-001", "2022-03-01"): {"T1 MPRAGE": 64, "T2 TSE": 24},
    ("EX-001", "2022-09-06"): {"T1 MPRAGE": 64, "T2 TSE": 24},
    ("EX-002", "2023-01-16"): {"CT abdomen portal venous": 40, "Liver segmentation": 1, "Liver contours": 1},
    ("EX-003", "2023-03-09"): {"CT low dose": 40, "PET FDG": 40},
    ("EX-004", "2023-04-20"): {"T1 SE": 24, "DWI 6 directions": 7 * 14},
    ("EX-005", "2023-06-02"): {"T1 MPRAGE": 40, "DCE dynamic": 20 * 8},
    ("EX-006", "2023-07-14"): {"CT chest with scout": 21, "CT chest": 19, "Report": 1},
}


@pytest.fixture(scope="module")
def folder() -> Path:
    return example_folder()


@pytest.fixture
def archive(folder: Path) -> Folder:
    return Folder(folder, cache=False)


def volume_of(archive: Folder, description: str) -> Volume:
    return archive.select(SeriesDescription=description).get_volume()


def test_it_holds_each_series(archive: Folder) -> None:
    table = archive.table("PatientID", "StudyDate", "SeriesDescription", "instance_count")
    found: dict[tuple[str, str], dict[str, int]] = {}
    for _, row in table.iterrows():
        study = found.setdefault((row["PatientID"], str(row["StudyDate"].date())), {})
        study[row["SeriesDescription"]] = row["instance_count"]
    assert found == SERIES


@pytest.mark.unmeasured
def test_files_are_small_and_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    def digests(top: Path) -> dict[Path, str]:
        files = [path for path in top.rglob("*") if path.is_file()]
        return {path.relative_to(top): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    first = digests(folder)
    assert digests(write_archive(str(tmp_path / "inside" / "another"))) == first
    assert sum(path.stat().st_size for path in folder.rglob("*.dcm")) < 16e6


def test_every_file_is_indexed(archive: Folder) -> None:
    assert set(archive.files["status"]) == {"indexed"}


def test_ages_are_stated_follow_from_dates_or_are_unknown(archive: Folder) -> None:
    table = archive.table("PatientID", "PatientAge", "PatientBirthDate", level="study").drop_duplicates("PatientID")
    assert table["PatientAge"].fillna("").tolist() == ["067Y", "", "059Y", "072Y", "045Y", ""]
    assert table["PatientBirthDate"].isna().tolist() == [False] * 5 + [True]


def test_the_lesion_of_two_time_points_grows_on_the_left_side(archive: Folder) -> None:
    measured = []
    for study in archive.select(PatientID="EX-001", SeriesDescription="T2 TSE").studies:
        volume = study.get_volume()
        z, y, x = volume.geometry.to_index([(27.0, 18.0, 22.0)], "zyx")[0].round().astype(int)
        box = volume.array[z - 3 : z + 4, y - 8 : y + 9, x - 8 : x + 9]
        # Half way between white matter, 380, and the lesion, 820.
        measured.append(float((box > 600).sum() * voxel_ml(volume.geometry)))
    assert measured == pytest.approx([4 / 3 * np.pi * radius**3 for radius in (0.8, 1.1)], rel=0.3)


def test_thin_slices_are_sagittal(archive: Folder) -> None:
    volume = archive.select(tag("SliceThickness") < 2, PatientID="EX-001", StudyDate="20220301").get_volume()
    assert volume.spacing == pytest.approx((1.8, 1.8, 1.9))
    assert volume.affine[:3, 2].round(6).tolist() == [-1.9, 0, 0]


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_masks_lie_on_the_liver_and_its_lesion(archive: Folder, kind: str) -> None:
    volume = volume_of(archive, "CT abdomen portal venous")
    masks = archive.reset().select(Modality=kind).get_masks(like=volume)
    measured = volume.statistics(masks)
    assert sorted(measured.index) == ["lesion", "liver"]
    # Half of the lesion's voxels are near its border, which is smoothed.
    assert measured.loc["lesion", "p25"] == pytest.approx(40, abs=8)
    assert measured.loc["liver", "p50"] == pytest.approx(105, abs=2)
    assert measured.loc["lesion", "ml"] == pytest.approx(4 / 3 * np.pi * 1.4 * 1.4 * 1.5, rel=0.05)


def test_the_uptake_is_as_stated(archive: Folder) -> None:
    volume = archive.select(Modality="PT").get_volume(units="SUVbw")
    assert volume.array.max() == pytest.approx(8.0, rel=1e-4)
    # In the middle of the lesion, and of the other half of the liver.
    indices = volume.geometry.to_index([(-58.0, -14.0, 10.0), (-46.0, 10.0, -20.0)], "zyx").round().astype(int)
    assert [volume.array[tuple(index)] for index in indices] == pytest.approx([8.0, 2.2], rel=1e-3)
    other = archive.reset().select(SeriesDescription="CT low dose").get_volume()
    assert other.header.FrameOfReferenceUID == volume.header.FrameOfReferenceUID


def test_the_diffusivity_is_as_stated(archive: Folder) -> None:
    volume = archive.select(SeriesDescription="DWI*").get_volume(dims="b")
    assert volume.array.shape == (7, 14, 64, 64)
    assert list(volume.coordinates["b"]) == [0.0] + [1000.0] * 6
    z, y, x = volume.geometry.to_index([(27.0, 18.0, 22.0)], "zyx")[0].round().astype(int)
    around = volume.array[:, z, y - 1 : y + 2, x - 1 : x + 2].mean(axis=(1, 2))
    assert np.log(around[0] / around[1:]) == pytest.approx([0.4] * 6, abs=0.03)
    # Along x in the corpus callosum: what is seen of x and y, and of y and z.
    z, y, x = volume.geometry.to_index([(0.0, 2.0, 21.0)], "zyx")[0].round().astype(int)
    around = volume.array[:, z, y - 1 : y + 2, x - 1 : x + 2].mean(axis=(1, 2))
    assert np.log(around[0] / around[1:]) == pytest.approx([1.0] * 4 + [0.3] * 2, abs=0.1)


def test_the_curves_are_as_stated(archive: Folder) -> None:
    volume = archive.select(SeriesDescription="DCE*").get_volume(dims="time")
    seconds = np.array(volume.coordinates["time"])
    assert seconds.tolist() == [3.0 * step for step in range(20)]
    (z, y, x), vessel = volume.geometry.to_index([(27.0, 18.0, 22.0), (0.0, 62.0, 20.0)], "zyx").round().astype(int)
    curve = volume.array[:, z, y - 1 : y + 2, x - 1 : x + 2].mean(axis=(1, 2))
    assert curve == pytest.approx(300 * (1 + 1.2 * (1 - np.exp(-np.clip(seconds - 12, 0, None) / 10))), abs=12)
    bolus = volume.array[:, vessel[0], vessel[1], vessel[2]]
    assert seconds[bolus.argmax()] == 18
    assert bolus.max() == pytest.approx(750, abs=30)


def test_what_is_not_simple_is_refused(archive: Folder) -> None:
    with pytest.raises(InconsistentSlicesError):
        volume_of(archive, "CT chest with scout")
    with pytest.raises(MissingSlicesError):
        archive.reset().select(SeriesDescription="CT chest").get_volume()
    with pytest.raises(NoPixelDataError):
        archive.reset().select(Modality="SR").get_volume()


def test_a_server_holds_the_same(archive: Folder, orthanc: Orthanc, folder: Path) -> None:
    orthanc.upload_folder(folder, recursive=True)
    columns = ("PatientID", "StudyDate", "Modality", "SeriesDescription", "SeriesInstanceUID", "instance_count")
    assert orthanc.table(*columns).equals(archive.table(*columns))
    levels = ("patient_count", "study_count", "series_count", "instance_count")
    assert [getattr(orthanc, name) for name in levels] == [getattr(archive, name) for name in levels]
