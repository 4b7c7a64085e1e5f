"""A derived series: what is written is read again, here, by SimpleITK and by dcm2niix, and is valid."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import warnings
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dcm2niix
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.tag import Tag

from simple_orthanc import Geometry, Volume, VolumeError
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.phantom import as_bytes, make_enhanced
from simple_orthanc.testing import make_series
from tests.examples import examples
from tests.volume.helpers import read
from tests.volume.writing.volumes import assert_same, grid, padding_of, random_volume, slope_of, source, volume_of

SIMPLEITK = tuple(int(part) for part in re.findall(r"\d+", SimpleITK.Version.VersionString())[:3])


def written(volume: Volume, **tags: Any) -> list[Dataset]:
    """Return the objects of a series as they are read from their files."""
    return [pydicom.dcmread(DicomBytesIO(as_bytes(one))) for one in volume.to_dicom(**tags)]


@settings(max_examples=examples(30, thorough=500))
@given(st.integers(0, 2**32 - 1))
def test_what_is_written_is_read_again(seed: int) -> None:
    volume = random_volume(np.random.default_rng(seed))
    datasets = written(volume)
    assert_same(volume, read(datasets), *slope_of(datasets[0]))


@settings(max_examples=examples(15, thorough=300))
@given(st.integers(0, 2**32 - 1))
def test_every_object_has_what_its_class_demands(seed: int) -> None:
    assert_valid(written(random_volume(np.random.default_rng(seed)))[-1])


def assert_valid(dataset: Dataset) -> None:
    """Check an object against the modules of its class as highdicom has them, and its values against their VR."""
    for element in dataset.iterall():
        if element.VR != "SQ":
            pydicom.DataElement(element.tag, element.VR, element.value, validation_mode=pydicom.config.RAISE)
    for keyword, kind in mandatory_attributes(dataset.SOPClassUID):
        assert keyword in dataset, keyword
        assert kind == "2" or not dataset[keyword].is_empty, keyword
    if "ImagePositionPatient" in dataset:
        assert dataset.FrameOfReferenceUID
    assert dataset.ImageType[:2] == ["DERIVED", "SECONDARY"]


@lru_cache
def standard() -> list[Any]:
    """Return what highdicom knows of classes, their modules, and the attributes of these."""
    specification = find_spec("highdicom")
    assert specification is not None
    assert specification.origin is not None
    folder = Path(specification.origin).parent / "_standard"
    names = ("sop_class_iod_map", "iod_module_map", "module_attribute_map")
    return [json.loads((folder / f"{name}.json").read_text()) for name in names]


@lru_cache
def mandatory_attributes(sop_class: str) -> list[tuple[str, str]]:
    """Return keyword and type of the attributes at the top level of the mandatory modules of a class."""
    classes, iods, modules = standard()
    keys = [module["key"] for module in iods[classes[sop_class]] if module["usage"] == "M"]
    every = [each for key in keys for each in modules[key] if not each["path"]]
    return [(each["keyword"], each["type"]) for each in every if each["type"] in ("1", "2")]


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "US"])
@pytest.mark.parametrize("kind", ["whole", "float", "nan", "mask"])
def test_other_programs_read_the_same(modality: str, kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    array = rng.normal(size=(4, 6, 8)) * 100
    values = {"whole": array.astype(np.int16), "mask": array > 0}.get(kind, array.astype(np.float32))
    if kind == "nan":
        values[1, 2, 3] = np.nan
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned[:, 2] = np.cross(turned[:, 0], turned[:, 1])
    a, b, c, d, e, f, g, h, i = turned.ravel().tolist()
    place = Geometry((8, 6, 4), (1.3, 0.7, 2.5), (1 / 3, -20.123456789, 100.0), (a, b, c, d, e, f, g, h, i))
    volume = replace(volume_of(values, modality, "mask" if kind == "mask" else None), geometry=place, slices=None)
    datasets = volume.to_dicom()
    files = [str(tmp_path / f"{number}.dcm") for number in range(4)]
    for dataset, file in zip(datasets, files, strict=True):
        dataset.save_as(file, enforce_file_format=True)
    half = slope_of(datasets[0])[0] / 2 * (1 + 1e-4) if kind in ("float", "nan") else 0

    image = SimpleITK.ReadImage(files)
    seen = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    assert seen.isclose(place, 1e-6)
    assert np.nanmax(np.abs(SimpleITK.GetArrayFromImage(image) - values.astype(float))) <= half

    converted = by_dcm2niix(tmp_path)
    corners = np.array([(column, row, index) for column in (0, 7) for row in (0, 5) for index in (0, 3)])
    there = np.c_[place.to_patient(corners, "xyz") * (-1, -1, 1), np.ones(8)]
    indices = (there @ np.linalg.inv(converted.affine).T)[:, :3]
    nearest = np.rint(indices).astype(int)
    assert np.abs(indices - nearest).max() < 1e-4
    theirs = converted.get_fdata()[tuple(nearest.T)]
    assert np.abs(theirs - values[tuple(corners.T[::-1])].astype(float)).max() <= half * 1.1


@settings(max_examples=examples(15, thorough=300))
@given(st.integers(0, 2**32 - 1))
def test_simpleitk_reads_the_same_of_any_volume(seed: int) -> None:
    volume = random_volume(np.random.default_rng(seed))
    # Of images of one row or column SimpleITK makes a slice of another direction.
    assume(min(volume.array.shape[1:3]) > 1)
    place = volume.geometry
    assert place is not None
    # Before 2.5.7 it knows right-handed axes only.
    assume(SIMPLEITK >= (2, 5, 7) or np.linalg.det(np.reshape(place.direction, (3, 3))) > 0)
    datasets = volume.to_dicom()
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{number}.dcm" for number in range(len(datasets))]
        for dataset, file in zip(datasets, files, strict=True):
            dataset.save_as(file, enforce_file_format=True)
        image = SimpleITK.ReadImage(files)
    if len(files) > 1:
        seen = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
        assert seen.isclose(place, 1e-5)
    array = SimpleITK.GetArrayFromImage(image)
    nothing = padding_of(volume)
    values = volume.array[~nothing].astype(np.float64)
    slope, is_rescaled = slope_of(datasets[0])
    rounding = np.abs(values) * (2.0**-22 if array.dtype == np.float32 else 2.0**-50)
    error = np.abs(array[~nothing].astype(np.float64) - values)
    assert (error <= rounding + (slope / 2 if is_rescaled else 0)).all()


def by_dcm2niix(folder: Path) -> Any:
    target = folder / "nifti"
    target.mkdir()
    subprocess.run(
        [dcm2niix.bin, "-z", "n", "-b", "n", "-o", str(target), str(folder)], check=True, capture_output=True
    )
    (file,) = target.glob("*.nii")
    return nibabel.load(file)


class TestWhatIsWritten:
    def test_it_belongs_to_the_study_of_its_source(self) -> None:
        volume = source("CT", PatientName="Doe^Jané", PatientID="P1", SpecificCharacterSet="ISO_IR 100")
        first, *_ = series = written(volume, SeriesNumber=7)
        header = volume.header
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID", "KVP"):
            assert first[keyword].value == header[keyword].value
        assert first.SeriesInstanceUID != header.SeriesInstanceUID
        assert (first.SeriesDescription, first.SeriesNumber, first.Modality) == ("scan (derived)", 7, "CT")
        assert [one.InstanceNumber for one in series] == [1, 2, 3]
        assert len({one.SOPInstanceUID for one in series}) == 3
        assert first.ImageType == ["DERIVED", "SECONDARY", "AXIAL"]

    @pytest.mark.parametrize(("number", "expected"), [(4, 1004), (0, 1000), (None, ""), (2**31 - 1, 2**31 - 1)])
    def test_it_is_numbered_behind_the_originals(self, number: int | None, expected: object) -> None:
        first = source("CT", SeriesNumber=number).to_dicom()[0]
        assert first.SeriesNumber == expected

    def test_each_slice_refers_to_its_source(self) -> None:
        volume = source("CT")
        assert volume.slices is not None
        references = [
            [item.ReferencedSOPInstanceUID for item in one.SourceImageSequence] for one in volume[1:].to_dicom()
        ]
        assert references == [[uid] for uid in volume.slices["SOPInstanceUID"][1:]]

    def test_the_scanner_is_kept_as_contributing_equipment(self) -> None:
        (equipment,) = source("CT", Manufacturer="ACME").to_dicom()[0].ContributingEquipmentSequence
        assert (equipment.Manufacturer, equipment.PurposeOfReferenceCodeSequence[0].CodeValue) == ("ACME", "109101")

    def test_the_same_series_has_the_same_uids(self) -> None:
        volume = source("MR")
        first, again = volume.to_dicom(), volume.to_dicom()
        assert [as_bytes(one) for one in first] == [as_bytes(one) for one in again]
        for other in (
            volume.to_dicom(SeriesDescription="another"),
            volume.with_array(volume.array + 1).to_dicom(),
            replace(volume, slices=None).to_dicom(),
            replace(volume, geometry=grid(origin=(0, 0, 1))).to_dicom(),
        ):
            uids = {one.SOPInstanceUID for one in other} | {other[0].SeriesInstanceUID}
            assert not uids & ({one.SOPInstanceUID for one in first} | {first[0].SeriesInstanceUID})

    def test_the_datasets_are_independent_of_each_other_and_of_the_source(self) -> None:
        volume = source("PT")
        first, second, _ = volume.to_dicom()
        first.PatientName, first.ImageType[2:] = "other", ["X"]
        first.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = 1
        assert second.PatientName == volume.header.PatientName != "other"
        assert len(second.ImageType) == 2
        dose = second.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose
        assert dose == volume.header.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose != 1

    def test_the_log_is_the_derivation(self) -> None:
        volume = replace(source("CT"), log=("denoised\nwith a filter", "x" * 2000))
        text = volume.to_dicom()[0].DerivationDescription
        assert text.startswith("denoised with a filter; xxx")
        assert len(text) == 1024
        assert volume.to_dicom(DerivationDescription="mine")[0].DerivationDescription == "mine"

    def test_standardized_uptake_values(self) -> None:
        series = source("PT")
        volume = read(source_datasets("PT"), units="SUVbw")
        first, *_ = datasets = volume.to_dicom()
        assert (first.SOPClassUID, first.Units, first.SUVType) == (series.header.SOPClassUID, "GML", "BW")
        back = read(datasets)
        assert back.units == "g/ml"
        assert np.allclose(back.array, read(datasets, units="SUVbw").array)

    def test_the_activity_of_a_pet_still_makes_an_suv(self) -> None:
        datasets = source_datasets("PT")
        volume, expected = read(datasets), read(datasets, units="SUVbw")
        back = read(volume.with_array(volume.array * 0.7).to_dicom(), units="SUVbw")
        assert np.allclose(back.array, expected.array * 0.7, rtol=1e-4)

    def test_an_enhanced_image_needs_what_an_mr_image_demands(self) -> None:
        volume = read([make_enhanced((3, 4, 5), seed=1)])
        assert volume.to_dicom()[0].SOPClassUID.name == "Secondary Capture Image Storage"
        first, *_ = volume.to_dicom(ScanningSequence="SE", SequenceVariant="NONE")
        assert first.SOPClassUID.name == "MR Image Storage"
        assert_valid(first)

    def test_slice_thickness_is_kept_where_the_slices_are(self) -> None:
        volume = source("CT", SliceThickness=5)
        assert volume.to_dicom()[0].SliceThickness == 5
        assert volume.resample(spacing=(1, 1, 1)).to_dicom()[0].SliceThickness == 1
        assert volume.to_dicom(SliceThickness=4.5)[0].SliceThickness == 4.5

    @pytest.mark.parametrize(("written", "number"), [(b"0.123456789012345e1", 1.23456789012345), (b"1,5", 1.5)])
    def test_a_thickness_that_no_header_can_hold(self, written: bytes, number: float) -> None:
        volume = source("CT")
        volume.header[0x00180050] = RawDataElement(Tag(0x00180050), "DS", len(written), written, 0, False, True)
        assert volume.to_dicom()[0].SliceThickness == pytest.approx(number, abs=1e-14)

    def test_without_a_position_slices_are_in_the_order_of_instance_number(self) -> None:
        volume = replace(source("US"), geometry=None)
        datasets = written(volume)
        assert "ImagePositionPatient" not in datasets[0]
        assert_valid(datasets[0])
        back = read(datasets)
        assert back.geometry is None
        assert np.array_equal(back.array, volume.array)

    def test_a_volume_without_a_source(self) -> None:
        image = SimpleITK.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
        volume = Volume.from_sitk(image)
        first, *_ = written(volume, PatientID="P1", Modality="OT", PatientName="Doe^Jane")
        assert (first.PatientID, first.PatientName, first.PatientSex, first.StudyID) == ("P1", "Doe^Jane", "", "")
        assert first.StudyInstanceUID
        assert first.FrameOfReferenceUID
        assert "SourceImageSequence" not in first
        assert_valid(first)

    def test_black_and_white_stay_as_they_are_shown(self) -> None:
        volume = source("CR", PhotometricInterpretation="MONOCHROME1")
        assert volume.to_dicom()[0].PhotometricInterpretation == "MONOCHROME1"
        mask = volume.with_array(volume.array > 1, units="mask")
        assert mask.to_dicom()[0].PhotometricInterpretation == "MONOCHROME2"

    def test_a_file_that_pydicom_writes(self, tmp_path: Path) -> None:
        dataset = source("CT").to_dicom()[0]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pydicom.dcmwrite(tmp_path / "one.dcm", dataset, enforce_file_format=True)
        assert pydicom.dcmread(tmp_path / "one.dcm").SOPInstanceUID == dataset.SOPInstanceUID


@pytest.mark.parametrize(
    ("keyword", "vr", "content"),
    [
        ("PatientWeight", "DS", b"70kg"),
        ("StudyDate", "DA", b"2020-01-01"),
        ("PatientID", "LO", b"x" * 80),
        ("PatientName", "PN", b"A\xe4\x00^B^C^D^E^F=b=c=d"),
        ("StudyInstanceUID", "UI", b"1.02.3.abc"),
        ("AccessionNumber", "SH", b"\x1b$B@"),
        ("SeriesDescription", "LO", b"a\\b\x07" + b"z" * 70),
        ("KVP", "DS", b"120,5"),
        ("SliceThickness", "DS", b"thick"),
        ("SpecificCharacterSet", "CS", b"NONSENSE"),
        ("AcquisitionNumber", "IS", b"1.5"),
        ("Modality", "CS", b"ct"),
    ],
)
def test_odd_values_of_the_source_are_written_without_warnings(keyword: str, vr: str, content: bytes) -> None:
    volume = source("CT")
    header = pydicom.dcmread(DicomBytesIO(as_bytes(source_datasets("CT")[0])), stop_before_pixels=True)
    header[keyword] = RawDataElement(Tag(keyword), vr, len(content), content, 0, False, True)
    first, *_ = replace(volume, header=header).to_dicom()
    assert pydicom.dcmread(DicomBytesIO(dataset_bytes(first))).SOPInstanceUID == first.SOPInstanceUID


def source_datasets(modality: str) -> list[Dataset]:
    return make_series((3, 4, 5), modality=modality, seed=1)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("volume", "problem"),
        [
            (
                Volume(np.zeros((2, 3, 4, 5)), grid(), Dataset(), dims=("time", "slice", "row", "column")),
                r"volume\[0\]",
            ),
            (replace(source("CT"), geometry=replace(grid(), direction=(1, 0, 0.3, 0, 1, 0, 0, 0, 0.954))), "sheared"),
            (replace(source("CT"), geometry=grid((4, 4, 3))), "size"),
            (replace(source("CT"), geometry=grid(spacing=(1, 0, 1))), "above 0 mm"),
            (replace(source("CT"), geometry=grid(origin=(np.nan, 0, 0))), "finite"),
            (replace(source("CT"), geometry=replace(grid(), direction=(1, 0.1, 0, 0, 0.995, 0, 0, 0, 1))), "perpendic"),
            (volume_of(np.full((3, 4, 5), np.inf)), "infinite"),
            (volume_of(np.zeros((3, 4, 5, 3))), "uint8 or uint16"),
            (volume_of(np.zeros((3, 4, 5, 4), np.uint8)), "uint8 or uint16"),
            (volume_of(np.ones((3, 4, 5)), "MR", "a\\b"), "backslashes"),
            (Volume(np.zeros((3, 4, 5)), grid(), Dataset()), r'PatientID="\.\.\.", Modality="\.\.\."'),
            (Volume(np.zeros((0, 4, 5)), None, Dataset()), "1 to 65535"),
        ],
    )
    def test_with_what_to_do(self, volume: Volume, problem: str) -> None:
        with pytest.raises(VolumeError, match=problem):
            volume.to_dicom()

    def test_each_step_of_a_4d_volume_is_written_by_itself(self) -> None:
        like = source("MR")
        steps = replace(like, array=np.stack([like.array, like.array + 5]), dims=("time", *like.dims), slices=None)
        steps = replace(steps, coordinates={"time": (0.0, 2.0)}, coordinate_units={"time": "s"})
        assert np.array_equal(read(steps[1].to_dicom()).array, like.array + 5)

    def test_a_sheared_volume_is_written_as_the_message_says(self) -> None:
        tilted = replace(source("CT"), geometry=replace(grid(), direction=(1, 0, 0.3, 0, 1, 0, 0, 0, 0.954)))
        straight = Volume.from_sitk(tilted.to_sitk(resample=True), like=tilted)
        assert straight.geometry is not None
        assert read(straight.to_dicom()).geometry == straight.geometry
