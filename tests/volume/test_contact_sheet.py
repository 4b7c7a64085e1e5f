"""Many small pictures on one sheet: what stands below each of them."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.volume.contact_sheet import picture_of
from simple_orthanc.volume.volume import Volume


@pytest.mark.parametrize(
    ("modality", "units", "caption"),
    [
        ("PT", "BQML", "0 to 12.5 kBq/ml"),
        ("PT", "g/ml", "0 to 1.25e+04 g/ml"),
        ("RTDOSE", "US", "0 to 1.25e+04"),
        ("RTDOSE", "stored", "0 to 1.25e+04"),
    ],
)
def test_the_window_is_written_in_units_that_are_read_at_a_glance(modality: str, units: str, caption: str) -> None:
    header = Dataset()
    header.Modality = modality
    array = np.linspace(0, 12_500, 60, dtype=np.float32).reshape(3, 4, 5)
    array[1, 0, 0], array[1, 3, 4] = 0, 12_500
    assert picture_of(Volume(array, None, header, units=units)).caption == caption
