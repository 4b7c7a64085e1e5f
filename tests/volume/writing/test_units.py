"""Units are where a reader looks for them."""

from __future__ import annotations

import numpy as np
import pytest

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.writing.classes import CT, MR, PET, SECONDARY_CAPTURE, ImageClass
from simple_orthanc.volume.writing.pixels import stored_pixels
from simple_orthanc.volume.writing.units import units_and_rescale
from tests.volume.helpers import read
from tests.volume.writing.volumes import volume_of

WHOLE, FLOATS = stored_pixels(np.array([[[1, 2]]])), stored_pixels(np.array([[[0.5, 2.25]]]))


@pytest.mark.parametrize(
    ("kind", "units", "expected"),
    [
        (CT, "HU", {"RescaleSlope": "1", "RescaleIntercept": "0", "RescaleType": "HU"}),
        (PET, "g/ml", {"RescaleSlope": "1", "RescaleIntercept": "0", "Units": "GML"}),
        (SECONDARY_CAPTURE, "", {}),
        (SECONDARY_CAPTURE, "stored", {}),
        (MR, "stored", {}),
        (SECONDARY_CAPTURE, "US", {"RescaleSlope": "1", "RescaleIntercept": "0", "RescaleType": "US"}),
        (SECONDARY_CAPTURE, "1/s", {"RescaleSlope": "1", "RescaleIntercept": "0", "RescaleType": "1/s"}),
    ],
)
def test_whole_numbers(kind: ImageClass, units: str, expected: dict[str, str]) -> None:
    assert units_and_rescale(WHOLE, units, kind) == expected


@pytest.mark.parametrize(
    ("units", "code", "explanation"),
    [("ms", "ms", "millisecond"), ("stored", "1", "no units"), ("um2/ms", "1", "um2/ms")],
)
def test_an_mr_image_maps_to_real_world_values(units: str, code: str, explanation: str) -> None:
    (item,) = units_and_rescale(FLOATS, units, MR)["RealWorldValueMappingSequence"]
    assert (item.MeasurementUnitsCodeSequence[0].CodeValue, item.LUTExplanation) == (code, explanation)
    assert (item.RealWorldValueFirstValueMapped, item.RealWorldValueLastValueMapped) == FLOATS.used
    assert item.RealWorldValueSlope == float(FLOATS.slope)


def test_real_world_values_are_those_of_the_volume_and_padding_is_none() -> None:
    array = np.linspace(-1, 7, 60).reshape(3, 4, 5)
    array[0, 0, 0] = np.nan
    datasets = volume_of(array, "MR", "ms").to_dicom()
    mapped, plain = read(datasets, units="real world"), read(datasets)
    assert (mapped.units, plain.units) == ("ms", "ms")
    assert plain.padding_mask is not None
    assert np.isnan(mapped.array[0, 0, 0])
    assert plain.padding_mask.sum() == np.isnan(mapped.array).sum() == 1
    assert np.allclose(mapped.array[~plain.padding_mask], plain.array[~plain.padding_mask])


@pytest.mark.parametrize("units", ["x" * 65, "a\\b", " ms", "m\ns"])
def test_units_that_a_header_cannot_hold(units: str) -> None:
    with pytest.raises(VolumeError, match="RescaleType"):
        units_and_rescale(WHOLE, units, SECONDARY_CAPTURE)
