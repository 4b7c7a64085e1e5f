"""Volumes through real servers, against SimpleITK reading the same files."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc import (
    AmbiguousSelectionError,
    DuplicateSlicesError,
    EmptySelectionError,
    InconsistentSlicesError,
    LocalOrthanc,
    MissingSlicesError,
    NoPixelDataError,
    Orthanc,
    Volume,
    VolumeError,
)
from simple_orthanc.phantom import as_bytes, make_series
from tests.conftest import empty
from tests.examples import examples

pytestmark = [pytest.mark.one_version, pytest.mark.unmeasured]


def reference(folder: Path) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def assert_same_image(image: SimpleITK.Image, expected: SimpleITK.Image) -> None:
    assert image.GetSize() == expected.GetSize()
    assert np.allclose(image.GetSpacing(), expected.GetSpacing(), rtol=0, atol=1e-6)
    assert np.allclose(image.GetOrigin(), expected.GetOrigin(), rtol=0, atol=1e-6)
    assert np.allclose(image.GetDirection(), expected.GetDirection(), rtol=0, atol=1e-6)
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), SimpleITK.GetArrayFromImage(expected))


def test_a_real_series_equals_simpleitk(orthanc: Orthanc, shared_data: Path) -> None:
    folder = shared_data / "brainix-flair"
    files = sorted(folder.iterdir())
    random.Random(0).shuffle(files)
    assert set(orthanc.upload_file(files).status) == {"stored"}
    orthanc.select(SeriesDescription="*FLAIR")
    assert_same_image(orthanc.get_image(), reference(folder))
    array = orthanc.get_array()
    assert array.shape == (22, 288, 288)
    assert np.array_equal(array, SimpleITK.GetArrayFromImage(reference(folder)))


@pytest.mark.parametrize(
    "orientation",
    [(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0), (0, 1, 0, 0, 0, -1), (0, 1, 0, 0, 0, 1), (1, 0, 0, 0, 0, -1)],
    ids=["axial", "descending", "sagittal", "sagittal mirrored", "coronal"],
)
def test_orientations_equal_simpleitk(orthanc: Orthanc, tmp_path: Path, orientation: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(-900, 900, (5, 7, 6)).astype("int16")
    series = make_series(
        (5, 7, 6), array=array, spacing=(2.5, 0.7, 1.3), origin=(-10, 20, 30), orientation=orientation, seed=1
    )
    numbers = list(range(5))
    random.Random(2).shuffle(numbers)
    for place, number in enumerate(numbers):
        series[number].InstanceNumber = place + 1
    for place in numbers:
        (tmp_path / f"{place}.dcm").write_bytes(as_bytes(series[place]))
    orthanc.upload_folder(tmp_path)
    image = orthanc.get_image()
    assert_same_image(image, reference(tmp_path))
    assert image.GetSpacing() == pytest.approx((1.3, 0.7, 2.5))


@given(data=st.data())
@settings(
    max_examples=examples(40, thorough=2000),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_random_geometries_come_back(
    server: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    shape = tuple(int(n) for n in rng.integers(2, 7, 3))
    spacing = tuple(float(s) for s in np.round(rng.uniform(0.3, 5, 3), 4))
    origin = tuple(float(x) for x in np.round(rng.uniform(-300, 300, 3), 3))
    cosines = (*rotation[:, 0], *rotation[:, 1])
    values = rng.integers(-1000, 1000, shape).astype("int16")
    series = make_series(
        shape, array=values, spacing=spacing, origin=origin, orientation=cosines, seed=seed, PatientID=f"G{seed}"
    )
    expected = {h.SOPInstanceUID: h for h in series}
    rng.shuffle(series)  # type: ignore[arg-type]
    empty(server)
    session = server.connect()
    try:
        session.upload_dataset(series)
        volume = session.select(PatientID=f"G{seed}").get_volume()
        check_corners(volume, expected)
        folder = tmp_path_factory.mktemp("series")
        for place, header in enumerate(series):
            (folder / f"{place}.dcm").write_bytes(as_bytes(header))
        image, known = volume.to_sitk(), reference(folder)
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), SimpleITK.GetArrayFromImage(known))
        for index in [(0, 0, 0), tuple(n - 1 for n in image.GetSize())]:
            place = image.TransformIndexToPhysicalPoint(index)
            assert np.allclose(place, known.TransformIndexToPhysicalPoint(index), atol=1e-3)
    finally:
        session.reset().select(PatientID=f"G{seed}").delete_selected_patient()


def check_corners(volume: Volume, expected: dict[str, Dataset]) -> None:
    """The corner voxels of each slice lie where its own header puts them (PS3.3 C.7.6.2.1.1), with its own values."""
    for number, uid in enumerate(volume.slices.SOPInstanceUID):
        header = expected[uid]
        pixels = header.pixel_array
        position = np.array(header.ImagePositionPatient, float)
        row, column = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
        between_rows, between_columns = (float(v) for v in header.PixelSpacing)
        for r in (0, header.Rows - 1):
            for c in (0, header.Columns - 1):
                place = position + row * between_columns * c + column * between_rows * r
                assert volume.geometry is not None
                found = volume.geometry.to_patient([[c, r, number]], "xyz")[0]
                assert np.allclose(found, place, atol=1e-4)
                assert volume.array[number, r, c] == pixels[r, c]


def test_images_that_form_no_volume_are_refused(orthanc: Orthanc) -> None:
    with pytest.raises(EmptySelectionError):
        orthanc.get_array()
    one = make_series((4, 4, 4), seed=1, PatientID="holes", SeriesDescription="a")
    orthanc.upload_dataset(one[:1] + one[2:])
    with pytest.raises(MissingSlicesError) as missing:
        orthanc.get_array()
    assert len(missing.value.gaps) == 1
    other = make_series((3, 4, 4), seed=2, PatientID="other", SeriesDescription="b")
    orthanc.upload_dataset(other)
    with pytest.raises(AmbiguousSelectionError, match=r"2 series.*select\(SeriesDescription='") as ambiguous:
        orthanc.get_array()
    assert len(ambiguous.value.candidates) == 2
    again = make_series((1, 4, 4), seed=3, like=other[0], PatientID="other")
    orthanc.upload_dataset(again)
    with pytest.raises((DuplicateSlicesError, InconsistentSlicesError)):
        orthanc.select(PatientID="other").get_array()


def test_several_volumes_are_read_one_by_one(orthanc: Orthanc) -> None:
    first = make_series(
        (3, 4, 4), seed=1, SeriesDescription="t1", PatientID="p", StudyInstanceUID="1.2", SeriesNumber=1
    )
    second = make_series(
        (2, 4, 4), seed=2, SeriesDescription="t2", PatientID="p", StudyInstanceUID="1.2", SeriesNumber=2
    )
    orthanc.upload_dataset(first + second)
    volumes = orthanc.get_volumes()
    assert list(volumes) == ["t1 - axial 3x4x4", "t2 - axial 2x4x4"]
    assert volumes["t2 - axial 2x4x4"].array.shape == (2, 4, 4)
    table = orthanc.volume_table()
    assert table.slices.tolist() == [3, 2]
    assert table.regular.tolist() == [True, True]
    assert table.SeriesInstanceUID.tolist() == [first[0].SeriesInstanceUID, second[0].SeriesInstanceUID]


def test_a_series_without_images_does_not_block_the_others(orthanc: Orthanc) -> None:
    images = make_series((3, 4, 4), seed=1, SeriesNumber=1)
    report = Dataset()
    for keyword in ("PatientID", "StudyInstanceUID"):
        setattr(report, keyword, images[0][keyword].value)
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.SOPInstanceUID, report.SeriesInstanceUID = "1.2.3.4.5", "1.2.3.4"
    report.Modality, report.SeriesNumber = "SR", 2
    orthanc.upload_dataset([*images, report])
    with pytest.warns(UserWarning, match="1 of 2 series has no images"):
        volumes = orthanc.get_volumes()
    assert [volume.array.shape for volume in volumes.values()] == [(3, 4, 4)]
    table = orthanc.volume_table()
    assert table.slices.tolist() == [3, 0]
    assert "Basic Text SR" in table.reason[1]
    orthanc.select(Modality="SR")
    with pytest.raises(NoPixelDataError, match="Basic Text SR"):
        orthanc.get_volumes()
    with pytest.raises(NoPixelDataError, match="Basic Text SR"):
        orthanc.get_array()


def test_arguments_are_checked_before_anything_is_read(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(make_series((3, 4, 4), seed=1))
    orthanc.instance_count  # noqa: B018 - lists the archive
    with pytest.raises(VolumeError, match=r"units='suvbw' .* Did you mean 'SUVbw'"):
        orthanc.get_array(units="suvbw")
    with pytest.raises(VolumeError, match='"modality" gives'):
        orthanc.get_array(units="raw")
    with pytest.raises(VolumeError, match="dims='x'"):
        orthanc.get_array(dims="x")
    with pytest.raises(VolumeError, match=r"get_volumes\(gaps=\"split\"\)"):
        orthanc.get_array(gaps="split")


def test_missing_slices_do_not_become_values(orthanc: Orthanc, tmp_path: Path) -> None:
    series = make_series((8, 6, 6), seed=1, intercept=-1000, dtype="uint16", bits_stored=16)
    orthanc.upload_dataset(series[:3] + series[4:])
    volume = orthanc.get_volume(gaps="nan")
    assert volume.array.dtype == np.float32
    with pytest.raises(VolumeError, match="as 0"):
        volume.save(tmp_path / "holes.nii.gz")
    volume.save(tmp_path / "holes.nrrd")
    read = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(tmp_path / "holes.nrrd"))
    assert np.isnan(read[3]).all()
    assert not np.isnan(np.delete(read, 3, axis=0)).any()


def test_colour_with_a_rescale_is_refused(orthanc: Orthanc) -> None:
    colour = np.full((1, 4, 4, 3), 5, "uint8")
    orthanc.upload_dataset(make_series((1, 4, 4), array=colour, dtype="uint8", intercept=-10, seed=1))
    with pytest.raises(VolumeError, match="colour"):
        orthanc.get_array()
    assert (orthanc.get_array(units="stored") == 5).all()
