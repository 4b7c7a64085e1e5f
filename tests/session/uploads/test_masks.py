"""Masks, label maps and parametric maps stored in an Orthanc, and read again."""

from __future__ import annotations

import pickle
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Orthanc, VolumeError
from simple_orthanc.phantom import make_enhanced, make_series
from tests.examples import examples
from tests.volume.writing.helpers import as_read_here

SHAPE = (5, 12, 10)


def images() -> list[Dataset]:
    name = {"PatientName": "Müller^Jörg", "SpecificCharacterSet": "ISO_IR 100"}
    return make_series(
        SHAPE, spacing=(3.0, 1.1, 0.9), origin=(-20, -18, 5), seed=1, SeriesDescription="ct_scan", **name
    )


def test_masks_of_an_orthanc_come_back_by_name(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(images())
    ct = orthanc.select(SeriesDescription="ct_scan").get_volume()
    masks = {"low": ct.array < 2, "Überlapp": (ct.array > 0) & (ct.array < 3), "empty": ct.array > 99}
    table = orthanc.upload_masks(masks, like=orthanc, SeriesDescription="organs", algorithm="threshold 1.0")
    assert list(table["status"]) == ["stored"]
    assert table["PatientID"][0] == "PHANTOM"
    orthanc.reset().select(SeriesInstanceUID=table["SeriesInstanceUID"][0])
    assert orthanc.SeriesDescriptions == ["organs"]
    assert orthanc.StudyInstanceUIDs == [ct.header.StudyInstanceUID]
    found = orthanc.get_masks()
    assert list(found) == list(masks)
    for name, mask in masks.items():
        assert np.array_equal(found[name].array, mask)
        assert found[name].geometry == ct.geometry
    # What was read can be written again, for the same images.
    again = ct.masks_to_dicom(dict(found.items()), SeriesNumber=7)
    assert again.SeriesNumber == 7
    assert pickle.loads(pickle.dumps(again)) == again


def test_a_label_map_comes_back_by_number(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(make_enhanced(SHAPE, seed=1))
    ct = orthanc.get_volume()
    labels = ct.with_array((ct.array % 4).astype(np.uint8), units="label")
    table = orthanc.upload_masks(labels, names={1: "one", 2: "two", 3: "three"})
    found = orthanc.select(SeriesInstanceUID=table["SeriesInstanceUID"][0]).get_volume()
    assert np.array_equal(found.array, labels.array)
    assert (found.units, found.geometry) == ("label", ct.geometry)
    assert found.labels == {1: "one", 2: "two", 3: "three"}
    assert ct.labels == {}
    assert list(orthanc.get_masks()) == ["one", "two", "three"]


def test_a_parametric_map_comes_back_to_the_bit(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(images())
    ct = orthanc.get_volume()
    values = np.random.default_rng(1).normal(0, 1e-3, SHAPE)
    values[0, 0, 0] = np.nan
    adc = ct.with_array(values, units="mm2/s")
    table = orthanc.upload_parametric_map(adc, SeriesDescription="ADC")
    assert list(table["status"]) == ["stored"]
    found = orthanc.select(SeriesDescription="ADC").get_volume()
    assert found.array.tobytes() == values.tobytes()
    assert found.units == "mm2/s"
    assert found.geometry is not None
    assert ct.geometry is not None
    assert found.geometry.isclose(ct.geometry, tolerance=1e-9)


def test_random_masks_and_maps(orthanc: Orthanc, tmp_path: Path) -> None:
    for seed in range(examples(1, thorough=40)):
        random = np.random.default_rng(seed)
        shape = tuple(int(size) for size in random.integers(1, 9, 3))
        rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
        slices = make_series(
            shape,  # type: ignore[arg-type]
            spacing=tuple(random.uniform(0.3, 5, 3)),
            origin=random.uniform(-300, 300, 3).tolist(),
            orientation=[*rotation[0], *rotation[1]],
            modality=("CT", "MR", "PT")[seed % 3],
            seed=seed,
            PatientID=f"P{seed}",
        )
        orthanc.reset().upload_dataset(slices)
        images = orthanc.select(PatientID=f"P{seed}").get_volume()
        share = random.choice((0, 0.01, 0.5, 0.9, 1), size=3)
        masks = {f"mask {number}": random.random(images.shape) < share[number] for number in range(3)}
        table = orthanc.upload_masks(masks, like=images)
        assert list(table["status"]) == ["stored"], table["message"][0]
        orthanc.reset().select(SOPInstanceUID=table["SOPInstanceUID"][0])
        found = orthanc.get_masks()
        assert list(found) == list(masks)
        assert all(np.array_equal(found[name].array, mask) for name, mask in masks.items())
        assert {mask.geometry for mask in found.values()} == {images.geometry}
        path = orthanc.download(tmp_path / str(seed))[0]
        theirs = as_read_here(highdicom.seg.segread(path).get_volume(), images)
        assert np.array_equal(theirs, np.stack(list(masks.values()), axis=-1))

        values = random.normal(0, 10.0 ** random.integers(-6, 6), images.shape)
        values[random.random(images.shape) < 0.1] = np.nan
        dtype = (np.float32, np.float64)[seed % 2]
        volume = images.with_array(values.astype(dtype), units="mm2/s")
        table = orthanc.upload_parametric_map(volume)
        back = orthanc.reset().select(SOPInstanceUID=table["SOPInstanceUID"][0]).get_volume()
        assert np.array_equal(back.array, volume.array, equal_nan=True)
        assert (back.dtype, back.units) == (dtype, "mm2/s")
        assert images.geometry is not None
        assert back.geometry is not None
        assert back.geometry.isclose(images.geometry)


@pytest.mark.one_version
def test_nothing_is_sent_where_nothing_can_be_written(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(images())
    ct = orthanc.get_volume()
    with pytest.raises(VolumeError, match="like=FileDataset was given"):
        orthanc.upload_masks({"a": ct.array > 1}, like=ct.header)  # type: ignore[arg-type]
    with pytest.raises(VolumeError, match="other values than 0 and 1"):
        orthanc.upload_masks({"a": ct.array}, like=ct)
    with pytest.raises(VolumeError, match="written as a segmentation"):
        orthanc.upload_parametric_map(ct.with_array(ct.array > 1))
    with pytest.raises(VolumeError, match="upload_parametric_map takes a Volume"):
        orthanc.upload_parametric_map(ct.array)  # type: ignore[arg-type]
    with pytest.raises(VolumeError, match="of a int in the place of images"):
        ct.to_parametric_map(like=5)  # type: ignore[arg-type]
    assert orthanc.series_count == 1
