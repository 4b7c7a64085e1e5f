"""What the standard asks of an image of each modality, beyond what every image has."""

from __future__ import annotations

from typing import Any

from simple_orthanc.phantom.images import dataset_of

_ORIGINAL = ("ORIGINAL", "PRIMARY")
# Both must be present for these modalities (type 2C); an empty Laterality is one that is not known.
_PLACED = {"PatientPosition": "HFS", "Laterality": ""}
_CT = {**_PLACED, "ImageType": (*_ORIGINAL, "AXIAL"), "AcquisitionNumber": 1, "KVP": 120, "RescaleType": "HU"}
_MR = {
    **_PLACED,
    "ImageType": (*_ORIGINAL, "M"),
    "ScanningSequence": "SE",
    "SequenceVariant": "NONE",
    "ScanOptions": "",
    "MRAcquisitionType": "2D",
    "RepetitionTime": 500,
    "EchoTime": 10,
    "EchoTrainLength": 1,
}
_PT = {
    # PatientPosition must not be there beside PatientOrientationCodeSequence.
    "Laterality": "",
    "ImageType": _ORIGINAL,
    "SeriesDate": "20200101",
    "SeriesTime": "120000",
    "AcquisitionDate": "20200101",
    "AcquisitionTime": "120000",
    "PatientWeight": 70,
    "Units": "BQML",
    "CountsSource": "EMISSION",
    "SeriesType": ("STATIC", "IMAGE"),
    "CorrectedImage": ("NORM", "DTIM", "ATTN", "SCAT", "RAN", "DECY"),
    "DecayCorrection": "START",
    "CollimatorType": "NONE",
    "FrameReferenceTime": 0,
    "ActualFrameDuration": 300000,
    "DecayFactor": 1,
    "PatientOrientationCodeSequence": (),
    "PatientGantryRelationshipCodeSequence": (),
}
# Fluorine-18: a half-life of 6586.2 s, injected one hour before the scan.
FLUORINE: dict[str, Any] = {
    "RadionuclideHalfLife": 6586.2,
    "RadionuclideTotalDose": 350e6,
    "RadionuclidePositronFraction": 0.967,
    "RadiopharmaceuticalStartTime": "110000",
    "RadiopharmaceuticalStartDateTime": "20200101110000",
    "RadionuclideCodeSequence": (),
}
_SC = {"ConversionType": "WSD", "PatientOrientation": "", "Laterality": ""}
_US = {"PatientOrientation": "", "Laterality": "", "ImageType": _ORIGINAL, "LossyImageCompression": "00"}
_CR = {"BodyPartExamined": "CHEST", "ViewPosition": "AP", "PatientOrientation": ""}
_DOSE = {
    "DoseUnits": "GY",
    "DoseType": "PHYSICAL",
    "DoseSummationType": "PLAN",
    "FrameIncrementPointer": 0x3004000C,
    "OperatorsName": "",
    "PatientPosition": "HFS",
    "Laterality": "",
}
_REQUIRED: dict[str, dict[str, Any]] = {"CT": _CT, "MR": _MR, "PT": _PT, "US": _US, "CR": _CR, "RTDOSE": _DOSE}


def required_tags(modality: str, slices: int) -> dict[str, Any]:
    """Return tags that make an image of a modality valid.

    Parameters
    ----------
    modality : str
        A modality that is not listed here gets what a Secondary Capture needs.
    slices : int
        Number of slices of the series.

    Returns
    -------
    dict
        Keyword to value, in the form that `make_series` takes: a list has one value per slice.

    Examples
    --------
    >>> required_tags("PT", 3)["ImageIndex"], required_tags("CT", 3)["KVP"]
    ([1, 2, 3], 120)
    """
    tags: dict[str, Any] = {**_REQUIRED.get(modality, _SC)}
    if modality == "PT":
        tags["NumberOfSlices"] = slices
        tags["ImageIndex"] = list(range(1, slices + 1))
        tags["RadiopharmaceuticalInformationSequence"] = (dataset_of(FLUORINE),)
    return tags
