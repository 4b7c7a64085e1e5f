"""Volumes of floats written as parametric maps, and read by this library, highdicom and pydicom."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simple_orthanc import Volume, VolumeError
from simple_orthanc.phantom import as_bytes
from simple_orthanc.volume.writing.parametric_maps import parametric_map_of
from tests.examples import examples
from tests.volume.writing.helpers import PLANES, SHAPE, archive, as_read_here, ct_in, images


def values(dtype: Any) -> Any:
    found = np.random.default_rng(1).normal(0, 1e-3, SHAPE).astype(dtype)
    found[0, 0, :3] = np.nan, -np.inf, np.finfo(dtype).smallest_subnormal
    return found


def read_back(volume: Volume, folder: Path) -> Volume:
    return archive(folder, parametric_map_of(volume)).get_volume()


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_come_back_to_the_bit(tmp_path: Path, plane: str, dtype: Any) -> None:
    ct = ct_in(tmp_path, images(**PLANES[plane]))
    volume = ct.with_array(values(dtype), units="mm2/s")
    found = read_back(volume, tmp_path / "map")
    assert found.dtype == dtype
    assert found.array.tobytes() == volume.array.tobytes()
    assert found.units == "mm2/s"
    assert found.padding_mask is not None
    assert np.array_equal(found.padding_mask, np.isnan(volume.array))
    assert found.geometry is not None
    assert ct.geometry is not None
    assert found.geometry.isclose(ct.geometry, tolerance=1e-9)
    assert found.header.StudyInstanceUID == ct.header.StudyInstanceUID


@settings(max_examples=examples(10), deadline=None)
@given(st.data())
def test_any_floats(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("maps")
    dtype, shape = data.draw(st.sampled_from((np.float32, np.float64))), (2, 3, 3)
    array = data.draw(arrays(dtype, shape, elements=st.floats(width=32)))
    ct = ct_in(folder, images(shape))
    found = read_back(ct.with_array(array, units="HU"), folder / "map")
    assert np.array_equal(found.array, array, equal_nan=True)
    assert np.array_equal(np.signbit(found.array), np.signbit(array))
    assert found.units == "HU"


def test_other_readers_have_the_same(tmp_path: Path) -> None:
    ct = ct_in(tmp_path, images())
    volume = ct.with_array(values(np.float32), units="HU")
    content = as_bytes(parametric_map_of(volume))
    pixels = pydicom.dcmread(BytesIO(content)).pixel_array
    assert sorted(frame.tobytes() for frame in pixels) == sorted(frame.tobytes() for frame in volume.array)
    found = highdicom.pm.ParametricMap.from_dataset(pydicom.dcmread(BytesIO(content)))
    theirs = as_read_here(found.get_volume(apply_real_world_transform=False), ct)
    assert np.array_equal(theirs, volume.array, equal_nan=True)
    (mapping,) = found.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "[hnsf'U]"


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.full(SHAPE, 2**24), np.float32),
        (np.full(SHAPE, 2**24 + 1), np.float64),
        (np.full(SHAPE, -3, np.int8), np.float32),
        (np.ones(SHAPE, np.float16), np.float32),
    ],
)
def test_other_numbers_become_floats_that_hold_them(tmp_path: Path, array: Any, dtype: Any) -> None:
    ct = ct_in(tmp_path, images())
    found = read_back(ct.with_array(array, units=""), tmp_path / "map")
    assert np.array_equal(found.array, array)
    assert (found.dtype, found.units) == (dtype, "US")


def test_what_is_no_parametric_map(tmp_path: Path) -> None:
    ct = ct_in(tmp_path, images())
    cases: list[tuple[Volume, str]] = [
        (ct.with_array(ct.array > 1), r"written as a segmentation: use upload_masks"),
        (ct.with_array(ct.array, units="label"), "segmentation"),
        (replace(ct, array=np.zeros((*SHAPE, 3), np.uint8)), r"single numbers.*volume\[0\]"),
        (ct.with_array(np.zeros(SHAPE, complex)), "single numbers"),
        (ct.with_array(np.zeros(SHAPE, np.longdouble)), "at most float64"),
        (ct.with_array(np.full(SHAPE, 2**62 + 1)), r"beyond 2\*\*53"),
        (ct.with_array(ct.array, units="milli metres"), r"no code of UCUM.*units=\"mm2/s\""),
        (ct.with_array(ct.array, units="x" * 17), "no code of UCUM"),
    ]
    for volume, message in cases:
        with pytest.raises(VolumeError, match=message):
            parametric_map_of(volume)
    with pytest.raises(VolumeError, match="without position"):
        parametric_map_of(replace(ct, geometry=None), ct)
