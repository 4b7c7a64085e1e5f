"""Headers of PET images, for the tests of standardized uptake values."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from simple_orthanc.pixels.suv import suv_scale

F18, GA68, ZR89 = 6586.2, 4062.6, 282276.0
DOSE = 368_080_000.0


def pet(**changes: Any) -> Dataset:
    """Make the header of a PET image: 70 kg, F-18, injected at 10:00, series and acquisition at 11:00."""
    header = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128",
        "SOPInstanceUID": "1.2.3",
        "Modality": "PT",
        "Manufacturer": "Synthetic",
        "SeriesDate": "20250101",
        "SeriesTime": "110000",
        "AcquisitionDate": "20250101",
        "AcquisitionTime": "110000.000",
        "PatientSex": "F",
        "PatientWeight": "70",
        "PatientSize": "1.75",
        "CorrectedImage": ["DECY", "ATTN", "SCAT"],
        "Units": "BQML",
        "DecayCorrection": "START",
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "ActualFrameDuration": "300000",
        "FrameReferenceTime": "150000",
    }
    item = {
        "RadiopharmaceuticalStartDateTime": "20250101100000.00",
        "RadionuclideTotalDose": str(DOSE),
        "RadionuclideHalfLife": str(F18),
    }
    nested = Dataset()
    for name in [*changes]:
        if name in item or name == "RadiopharmaceuticalStartTime":
            item[name] = changes.pop(name)
    values.update(changes)
    for target, source in ((header, values), (nested, item)):
        for name, value in source.items():
            if value is not None:
                setattr(target, name, value)
    header.RadiopharmaceuticalInformationSequence = [nested]
    return header


def one(header: Dataset, kind: str = "SUVbw") -> float:
    """Return the factor of one image."""
    (factor,), _ = suv_scale([header], kind)
    return factor


def left(seconds: float, half_life: float = F18, dose: float = DOSE) -> float:
    """Return the dose that is left after some seconds."""
    return dose * 2 ** (-seconds / half_life)
