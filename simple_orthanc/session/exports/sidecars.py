"""Sidecars: what a header states of a volume, as the JSON file beside its image.

The keys are those of BIDS (the Brain Imaging Data Structure 1.10, "Modality specific files"), with its units: seconds,
tesla, degrees, megabecquerel. Attributes that BIDS does not name keep their DICOM keyword and their DICOM unit.
Nothing here identifies the patient unless that is asked for; UIDs name the images that the volume was made of.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.version import __version__
from simple_orthanc.volume.volume import Volume

SOFTWARE = "simple_orthanc"
SOURCE_DIGEST = "SourceDigest"
SOURCE_FILES_DIGEST = "SourceFilesDigest"
FILE_DIGESTS = "FileDigests"

# BIDS key to DICOM keyword, of strings.
_STRINGS = {
    "Modality": "Modality",
    "Manufacturer": "Manufacturer",
    "ManufacturersModelName": "ManufacturerModelName",
    "BodyPart": "BodyPartExamined",
    "SeriesDescription": "SeriesDescription",
    "ProtocolName": "ProtocolName",
    "MRAcquisitionType": "MRAcquisitionType",
    "SequenceName": "SequenceName",
    "PulseSequenceType": "PulseSequenceName",
    "InPlanePhaseEncodingDirectionDICOM": "InPlanePhaseEncodingDirection",
    "ReceiveCoilName": "ReceiveCoilName",
    "ContrastBolusIngredient": "ContrastBolusIngredient",
    "ContrastBolusAgent": "ContrastBolusAgent",
    "PatientPosition": "PatientPosition",
    "ConvolutionKernel": "ConvolutionKernel",
    "AttenuationCorrection": "AttenuationCorrectionMethod",
    "ReconMethodName": "ReconstructionMethod",
    "DecayCorrection": "DecayCorrection",
    "StudyInstanceUID": "StudyInstanceUID",
    "SeriesInstanceUID": "SeriesInstanceUID",
    "FrameOfReferenceUID": "FrameOfReferenceUID",
}
# Those that may have several values, joined as BIDS has them.
_LISTS = {
    "ScanningSequence": "ScanningSequence",
    "SequenceVariant": "SequenceVariant",
    "ScanOptions": "ScanOptions",
    "SoftwareVersions": "SoftwareVersions",
}
# BIDS key to DICOM keyword and the factor between their units.
_NUMBERS = {
    "MagneticFieldStrength": ("MagneticFieldStrength", 1.0),
    "RepetitionTime": ("RepetitionTime", 1e-3),
    "EchoTime": ("EchoTime", 1e-3),
    "InversionTime": ("InversionTime", 1e-3),
    "FlipAngle": ("FlipAngle", 1.0),
    "EchoTrainLength": ("EchoTrainLength", 1.0),
    "NumberOfAverages": ("NumberOfAverages", 1.0),
    "PixelBandwidth": ("PixelBandwidth", 1.0),
    "ImagingFrequency": ("ImagingFrequency", 1.0),
    "SliceThickness": ("SliceThickness", 1.0),
    "SpacingBetweenSlices": ("SpacingBetweenSlices", 1.0),
    "SeriesNumber": ("SeriesNumber", 1.0),
    "KVP": ("KVP", 1.0),
    "XRayTubeCurrent": ("XRayTubeCurrent", 1.0),
    "ExposureTime": ("ExposureTime", 1.0),
    "Exposure": ("Exposure", 1.0),
    "GantryDetectorTilt": ("GantryDetectorTilt", 1.0),
}
# What enhanced objects have in place of an attribute (PS3.3 C.8.13.5.4, C.8.13.5.5).
_ENHANCED = {"EchoTime": "EffectiveEchoTime", "InversionTime": "InversionTimes"}
_IDENTIFIERS = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime"),
    *("InstitutionName", "StationName", "DeviceSerialNumber"),
)
# PS3.3 C.8.9.1.1.3 in the words of BIDS.
_BIDS_UNITS = {"BQML": "Bq/mL"}


def read_text(header: Dataset, keyword: str) -> str:
    """Read a string of an image, wherever a header of its kind holds it; "" if it is missing.

    Examples
    --------
    >>> header, timing, group = Dataset(), Dataset(), Dataset()
    >>> timing.FlipAngle = 12
    >>> group.MRTimingAndRelatedParametersSequence = [timing]
    >>> header.SharedFunctionalGroupsSequence = [group]
    >>> read_text(header, "FlipAngle"), read_text(header, "EchoTime")
    ('12.0', '')
    """
    return elements.text(_holder(header, keyword), keyword)


def read_number(header: Dataset, keyword: str) -> float | None:
    """Read a number of an image, wherever a header of its kind holds it; None if it is missing or not a number."""
    value = elements.number_or_none(_holder(header, keyword), keyword)
    if value is None and keyword in _ENHANCED:
        value = elements.number_or_none(_holder(header, _ENHANCED[keyword]), _ENHANCED[keyword])
    return value


def _holder(header: Dataset, keyword: str) -> Dataset:
    """Return the header, or the item of the functional groups of its first frame, that holds an attribute."""
    if elements.texts(header, keyword):
        return header
    for group in elements.groups_of_frame(header, 0):
        for tag in list(group.keys()):
            for item in elements.items(group, int(tag))[:1]:
                if elements.texts(item, keyword):
                    return item
    return header


def describe_volume(volume: Volume, *, identifiers: bool = False) -> dict[str, Any]:
    """Return the contents of the sidecar of a volume.

    Parameters
    ----------
    volume : Volume
    identifiers : bool
        Whether what identifies the patient, the visit or the device is among them.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Modality, header.RepetitionTime, header.PatientName = "MR", 2300, "Doe^Jane"
    >>> describe_volume(Volume(np.zeros((2, 2, 2)), None, header, units="stored"))["RepetitionTime"]
    2.3
    """
    header = volume.header
    entries: dict[str, Any] = {}
    for key, keyword in _STRINGS.items():
        entries[key] = read_text(header, keyword)
    for key, keyword in _LISTS.items():
        entries[key] = "_".join(elements.texts(_holder(header, keyword), keyword))
    entries["ImageType"] = elements.texts(header, "ImageType")
    for key, (keyword, factor) in _NUMBERS.items():
        entries[key] = _scaled(read_number(header, keyword), factor)
    entries |= _tracer(header)
    if identifiers:
        entries |= {keyword: elements.text(header, keyword) for keyword in _IDENTIFIERS}
    entries |= _of_volume(volume)
    entries |= {"ConversionSoftware": SOFTWARE, "ConversionSoftwareVersion": __version__}
    return {key: value for key, value in entries.items() if value not in (None, "", [], {})}


def _tracer(header: Dataset) -> dict[str, Any]:
    """Return what is known of a tracer (PS3.3 C.8.9.2)."""
    for item in elements.items(header, "RadiopharmaceuticalInformationSequence")[:1]:
        nuclide = elements.items(item, "RadionuclideCodeSequence")[:1]
        dose = _scaled(elements.number_or_none(item, "RadionuclideTotalDose"), 1e-6)
        return {
            "TracerName": elements.text(item, "Radiopharmaceutical"),
            "TracerRadionuclide": elements.text(nuclide[0], "CodeMeaning") if nuclide else "",
            "InjectedRadioactivity": dose,
            "InjectedRadioactivityUnits": None if dose is None else "MBq",
        }
    return {}


def _of_volume(volume: Volume) -> dict[str, Any]:
    entries: dict[str, Any] = {
        "Units": _BIDS_UNITS.get(volume.units, volume.units),
        "VoxelSpacing": None if volume.spacing is None else [_plain(value) for value in volume.spacing],
        "Notes": list(volume.log),
    }
    if len(volume.dims) == 4:
        axis = volume.dims[0]
        entries["Dimension"] = axis
        entries["DimensionUnits"] = volume.coordinate_units.get(axis, "")
        coordinates = [_plain(value) for value in volume.coordinates.get(axis, ())]
        entries["DimensionCoordinates"] = coordinates
        if (step := volume.time_step) is not None and elements.text(volume.header, "Modality") == "MR":
            # The time from one volume to the next (BIDS, "func"); that of DICOM is from one excitation to the next.
            excitation = _scaled(read_number(volume.header, "RepetitionTime"), 1e-3)
            entries["RepetitionTime"] = _scaled(step, 1.0)
            entries["RepetitionTimeExcitation"] = None if excitation == entries["RepetitionTime"] else excitation
        if axis == "echo" and entries["DimensionUnits"] == "ms":
            entries["EchoTime"] = [_scaled(value, 1e-3) for value in coordinates]
    return entries


def _scaled(value: float | None, factor: float) -> float | int | None:
    """Convert a number between units, without the digits that floats add."""
    if value is None:
        return None
    scaled = float(f"{value * factor:.12g}")
    return int(scaled) if scaled.is_integer() else scaled


def _plain(value: Any) -> Any:
    """Return a coordinate as JSON has it: NaN and infinities are null."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(part) for part in value]
    if isinstance(value, (int, float, np.number)):
        return _scaled(float(value), 1.0) if math.isfinite(value) else None
    return str(value)


def write_json(entries: Mapping[str, Any]) -> str:
    """Write a sidecar, the same for the same contents.

    Examples
    --------
    >>> print(write_json({"EchoTime": 0.03, "SeriesDescription": "T1 é"}), end="")
    {
      "EchoTime": 0.03,
      "SeriesDescription": "T1 é"
    }
    """
    text = json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False)
    # Half a character, which a damaged string may hold, cannot be written.
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def read_json(content: bytes) -> dict[str, Any]:
    """Read a sidecar; an empty dictionary for what is none."""
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return entries if isinstance(entries, dict) else {}


def unequal_digests(entries: Mapping[str, Any], found: Mapping[str, str]) -> Sequence[str]:
    """List the endings of the files that a sidecar names, and that are missing or have other contents.

    Examples
    --------
    >>> unequal_digests({"FileDigests": {".nii.gz": "ab", ".bval": "cd"}}, {".nii.gz": "ab"})
    ['.bval']
    """
    listed = entries.get(FILE_DIGESTS)
    if not isinstance(listed, dict) or not listed:
        return list(found)
    return [ending for ending, digest in listed.items() if found.get(ending) != digest]
