"""The tags that people filter on: in the order in which they look for them, and those that only files hold."""

from __future__ import annotations

from collections.abc import Collection

from simple_orthanc.dicom.levels import INDEXED, LEVELS

_SOUGHT_FIRST = """
    Modality SeriesDescription StudyDescription StudyDate PatientID PatientName PatientSex PatientBirthDate
    BodyPartExamined ProtocolName SeriesNumber Manufacturer InstitutionName StationName AccessionNumber StudyID
    SeriesDate StudyTime SeriesTime
"""
_SOUGHT_LAST = """
    StudyInstanceUID SeriesInstanceUID SOPInstanceUID ImagePositionPatient ImageOrientationPatient InstanceCreationDate
    InstanceCreationTime
"""

_IN_FILES = """
    SliceThickness SpacingBetweenSlices PixelSpacing Rows Columns ImageType SOPClassUID ManufacturerModelName PatientAge
    PatientWeight PatientSize PatientPosition AcquisitionDate AcquisitionTime ContrastBolusAgent FrameOfReferenceUID
    PhotometricInterpretation BitsStored
"""
_IN_FILES_OF: dict[str, str] = {
    "CT": "KVP ConvolutionKernel XRayTubeCurrent Exposure ReconstructionDiameter SpiralPitchFactor GantryDetectorTilt",
    "MR": """
        EchoTime RepetitionTime InversionTime FlipAngle MagneticFieldStrength MRAcquisitionType ScanningSequence
        SequenceVariant SequenceName EchoTrainLength PixelBandwidth DiffusionBValue ReceiveCoilName
    """,
    "PT": "Units CorrectedImage AttenuationCorrectionMethod ReconstructionMethod ActualFrameDuration",
    "NM": "NumberOfFrames ActualFrameDuration",
    "MG": "ViewPosition ImageLaterality PresentationIntentType KVP BodyPartThickness",
    "DX": "ViewPosition ImageLaterality PresentationIntentType KVP",
    "CR": "ViewPosition KVP",
    "US": "NumberOfFrames FrameTime TransducerData",
    "XA": "NumberOfFrames FrameTime PositionerPrimaryAngle PositionerSecondaryAngle",
    "SEG": "SegmentationType SegmentSequence.SegmentLabel",
    "RTSTRUCT": "StructureSetLabel StructureSetROISequence.ROIName",
    "RTDOSE": "DoseSummationType DoseUnits",
    "SR": "CompletionFlag VerificationFlag",
}
USUAL_VALUES: dict[str, tuple[str, ...]] = {
    "Modality": ("CT", "MR", "PT", "CR", "DX", "MG", "NM", "US", "XA", "SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR"),
    "PatientSex": ("F", "M", "O"),
}
"""Values of tags that every archive has some of (PS3.3, sections C.7.3.1.1.1 and C.7.1.1)."""

# Of an archive whose modalities are not known yet.
_MOST_COMMON = ("CT", "MR", "PT")


def in_order(names: Collection[str]) -> list[str]:
    """Sort tags of the index by how often people filter on them; other tags follow in the order given.

    Examples
    --------
    >>> in_order(["StudyInstanceUID", "KVP", "StudyDate", "Modality"])
    ['Modality', 'StudyDate', 'KVP', 'StudyInstanceUID']
    """
    first = {name: rank for rank, name in enumerate(_SOUGHT_FIRST.split())}
    last = {name: len(first) + 1 + rank for rank, name in enumerate(_SOUGHT_LAST.split())}
    return sorted(names, key=lambda name: {**first, **last}.get(name, len(first)))


def usual_in_files(modalities: Collection[str] = ()) -> list[str]:
    """List the tags that headers of some modalities usually hold, and the index does not.

    Parameters
    ----------
    modalities : collection of str
        Values of Modality; empty: CT, MR and PT.

    Returns
    -------
    list of str
        Keywords and paths, each once; their order does not depend on that of the modalities.

    Examples
    --------
    >>> [name for name in usual_in_files(["MR"]) if name in ("SliceThickness", "EchoTime", "KVP")]
    ['SliceThickness', 'EchoTime']
    """
    indexed = {name for level in LEVELS for name in INDEXED[level]}
    names = _IN_FILES.split()
    for modality, own in _IN_FILES_OF.items():
        names += own.split() if modality in (modalities or _MOST_COMMON) else []
    return [name for name in dict.fromkeys(names) if name not in indexed]
