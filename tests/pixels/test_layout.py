"""What a header must say of its pixels, and what cannot be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import NoPixelDataError, PixelDecodeError
from simple_orthanc.pixels.stored import stored_values
from tests.pixels.objects import image


class TestRefusals:
    def test_an_object_without_pixels_is_named(self) -> None:
        report = Dataset()
        report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.3"
        with pytest.raises(NoPixelDataError, match=r"1\.2\.3.*Enhanced SR Storage"):
            stored_values(report)
        with pytest.raises(NoPixelDataError, match="no stated SOP class"):
            stored_values(Dataset())

    @pytest.mark.parametrize("missing", ["Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation"])
    def test_incomplete_header(self, missing: str) -> None:
        dataset = image(np.zeros((1, 2, 2), np.uint8))
        delattr(dataset, missing)
        with pytest.raises(PixelDecodeError, match=missing):
            stored_values(dataset)

    def test_no_transfer_syntax(self) -> None:
        dataset = image(np.zeros((1, 2, 2), np.uint8))
        del dataset.file_meta.TransferSyntaxUID
        with pytest.raises(PixelDecodeError, match="0002,0010"):
            stored_values(dataset)
        del dataset.file_meta
        with pytest.raises(PixelDecodeError, match="0002,0010"):
            stored_values(dataset)

    @pytest.mark.parametrize(
        "changes",
        [
            {"BitsAllocated": 12},
            {"BitsStored": 17},
            {"PhotometricInterpretation": "CMYK"},
            {"SamplesPerPixel": 2},
            {"Rows": 0},
        ],
    )
    def test_values_that_contradict_each_other(self, changes: dict[str, Any]) -> None:
        with pytest.raises(PixelDecodeError):
            stored_values(image(np.zeros((1, 2, 2), np.uint16), **changes))
