"""Synthetic images are complete DICOM files with the values and positions that they promise."""

from __future__ import annotations

import doctest
from io import BytesIO

import numpy as np
import pydicom
import pytest

from simple_orthanc import phantom


def test_examples_of_the_module() -> None:
    assert doctest.testmod(phantom.images).failed == 0


def test_series_survives_a_file() -> None:
    series = phantom.make_series((3, 4, 5), spacing=(2.0, 0.7, 1.3), origin=(1, 2, 3), slope=[1, 2, 3], seed=1)
    for number, dataset in enumerate(series):
        read = pydicom.dcmread(BytesIO(phantom.as_bytes(dataset)))
        assert read.pixel_array.shape == (4, 5)
        assert (read.pixel_array == number).all()
        assert [float(x) for x in read.ImagePositionPatient] == [1, 2, 3 + 2 * number]
        assert [float(x) for x in read.PixelSpacing] == [0.7, 1.3]
        assert float(read.RescaleSlope) == number + 1
        assert read.file_meta.MediaStorageSOPInstanceUID == read.SOPInstanceUID


def test_seed_repeats_the_identifiers_and_no_seed_does_not() -> None:
    def uids(seed: int | None) -> list[str]:
        return [d.SOPInstanceUID for d in phantom.make_series(seed=seed)]

    assert uids(4) == uids(4)
    assert len(set(uids(None) + uids(None) + uids(4) + uids(5))) == 12


def test_keywords_per_slice_for_all_and_left_out() -> None:
    series = phantom.make_series(
        ImageType=("ORIGINAL", "PRIMARY"), EchoTime=[1.5, 2.5, 1 / 3], FrameOfReferenceUID=None, PixelPaddingValue=-7
    )
    assert [list(d.ImageType) for d in series] == [["ORIGINAL", "PRIMARY"]] * 3
    assert [round(float(d.EchoTime), 10) for d in series] == [1.5, 2.5, 0.3333333333]
    assert "FrameOfReferenceUID" not in series[0]
    assert series[0]["PixelPaddingValue"].VR == "SS"
    with pytest.raises(ValueError, match="EchoTime: a list needs one value per slice, 3"):
        phantom.make_series(EchoTime=[1.0])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "float32", "float64"])
def test_stored_types_are_read_back(dtype: str) -> None:
    dataset = phantom.make_series(array=np.arange(15).reshape(1, 3, 5).astype(dtype))[0]
    read = pydicom.dcmread(BytesIO(phantom.as_bytes(dataset)))
    assert read.pixel_array.tolist() == np.arange(15).reshape(3, 5).tolist()


def test_colour() -> None:
    array = np.random.default_rng(1).integers(0, 255, (2, 3, 5, 3), dtype=np.uint8)
    series = phantom.make_series(array=array, modality="US")
    read = [pydicom.dcmread(BytesIO(phantom.as_bytes(d))).pixel_array for d in series]
    assert np.array_equal(read, array)


def test_enhanced_keeps_shared_and_per_frame_apart() -> None:
    image = phantom.make_enhanced((3, 4, 5), slope=2.0, intercept=[1, 2, 3], modality="CT")
    read = pydicom.dcmread(BytesIO(phantom.as_bytes(image)))
    assert read.pixel_array.shape == (3, 4, 5)
    assert "PixelMeasuresSequence" in read.SharedFunctionalGroupsSequence[0]
    transformations = [f.PixelValueTransformationSequence[0] for f in read.PerFrameFunctionalGroupsSequence]
    assert [float(t.RescaleIntercept) for t in transformations] == [1, 2, 3]
    assert read.SOPClassUID.name == "Enhanced CT Image Storage"


def test_ct_phantom_has_its_rods_at_their_millimetres() -> None:
    slices = phantom.ct_phantom()
    assert len(slices) == 40
    for dataset in (slices[0], slices[-1]):
        origin = [float(x) for x in dataset.ImagePositionPatient]
        hounsfield = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)

        def at(x: float, y: float, values=hounsfield, origin=origin) -> float:
            return float(values[round((y - origin[1]) / 1.5), round((x - origin[0]) / 1.5)])

        assert at(0, 0) == 0
        assert at(-94, -94) == -1000
        for rod in phantom.CT_RODS:
            assert at(rod.x, rod.y) == (rod.hounsfield if origin[2] >= rod.z_from else 0)
    assert sum(float(d.ImagePositionPatient[2]) for d in slices) == pytest.approx(0)
