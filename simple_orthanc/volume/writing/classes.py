"""Which SOP class a derived series has: that of its source, if the source holds what the class demands.

The demands are those of the CT Image (PS3.3 C.8.2.1), MR Image (C.8.3.1) and PET Series, Isotope and Image Modules
(C.8.9). A value that is not known may be empty where the standard allows that (type 2), and is never made up.
Everything else becomes a Secondary Capture (A.8.1), whose optional modules hold position and rescaling too.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.pixels.rescale import PET_UNITS

_DERIVED = ("DERIVED", "SECONDARY")
# Of the modalities of objects that are no images, or images of another kind.
_NO_IMAGES = ("SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "RTIMAGE", "PR", "SR", "KO", "REG", "DOC", "AU", "ECG", "FID")
# Units (0054,1001), PS3.3 section C.8.9.1.1.3.
_PET_TERMS = (
    "CNTS NONE CM2 CM2ML PCNT CPS BQML MGMINML UMOLMINML MLMING MLG 1CM UMOLML PROPCNTS PROPCPS MLMINML MLML GML STDDEV"
)


@dataclass(frozen=True)
class ImageClass:
    """A SOP class of single-frame images, and what its objects hold.

    Attributes
    ----------
    uid : str
        SOPClassUID.
    image_type : tuple of str
        ImageType.
    narrow : bool
        Whether pixels may have 8 bits.
    through_zero : bool
        Whether RescaleIntercept must be 0.
    required : tuple of str
        Keywords that must have a value (type 1), which only the source can give.
    known_or_empty : tuple of str
        Keywords that may be empty (type 2).
    optional : tuple of str
        Other keywords that are taken from the source.
    """

    uid: str
    image_type: tuple[str, ...]
    narrow: bool = False
    through_zero: bool = False
    required: tuple[str, ...] = ()
    known_or_empty: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


def _words(*lines: str) -> tuple[str, ...]:
    return tuple(" ".join(lines).split())


CT = ImageClass(
    "1.2.840.10008.5.1.4.1.1.2",
    # Axial is any cross-section, coronal, sagittal and oblique ones too (C.8.2.1.1.1).
    (*_DERIVED, "AXIAL"),
    known_or_empty=_words("KVP AcquisitionNumber PatientPosition"),
    optional=_words(
        "AcquisitionDate ContrastBolusAgent ConvolutionKernel FilterType FocalSpots ScanOptions ExposureModulationType",
        "WindowCenter WindowWidth WindowCenterWidthExplanation",
    ),
)
MR = ImageClass(
    "1.2.840.10008.5.1.4.1.1.4",
    (*_DERIVED, "OTHER"),
    required=_words("ScanningSequence SequenceVariant"),
    known_or_empty=_words(
        "ScanOptions MRAcquisitionType RepetitionTime EchoTime EchoTrainLength PatientPosition AcquisitionNumber"
    ),
    optional=_words(
        "InversionTime AcquisitionDate ContrastBolusAgent SequenceName AngioFlag NumberOfAverages ImagingFrequency",
        "ImagedNucleus EchoNumbers MagneticFieldStrength FlipAngle ReceiveCoilName TransmitCoilName",
    ),
)
PET = ImageClass(
    "1.2.840.10008.5.1.4.1.1.128",
    _DERIVED,
    through_zero=True,
    required=_words("SeriesDate SeriesTime SeriesType CountsSource DecayCorrection FrameReferenceTime"),
    known_or_empty=_words(
        "CollimatorType CorrectedImage RadiopharmaceuticalInformationSequence PatientOrientationCodeSequence",
        "PatientGantryRelationshipCodeSequence AcquisitionDate AcquisitionTime ActualFrameDuration",
    ),
    optional=_words(
        "PatientPosition DecayFactor SUVType AttenuationCorrectionMethod ScatterCorrectionMethod ReconstructionMethod",
        "RandomsCorrectionMethod ReprojectionMethod",
    ),
)
SECONDARY_CAPTURE = ImageClass(
    "1.2.840.10008.5.1.4.1.1.7",
    _DERIVED,
    narrow=True,
    known_or_empty=("PatientOrientation",),
    optional=("PatientPosition",),
)


def choose_class(header: Dataset, units: str, *, is_grey: bool, has_position: bool) -> ImageClass:
    """Choose the SOP class of a derived series.

    Parameters
    ----------
    header : pydicom.Dataset
        Of the source, with the tags of the user.
    units : str
        Of the values.
    is_grey : bool
        Whether values are measured ones: no colours, masks or labels.
    has_position : bool
        Whether the slices have a position in the patient.

    Returns
    -------
    ImageClass
        CT Image Storage for Hounsfield units of a CT, PET Image Storage for values in the units of PET, MR Image
        Storage for those of an MR; Secondary Capture otherwise, and where an attribute that the class demands is
        missing.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Modality = "CT"
    >>> choose_class(header, "HU", is_grey=True, has_position=True) is CT
    True
    >>> choose_class(header, "mm", is_grey=True, has_position=True) is SECONDARY_CAPTURE
    True
    """
    modality = elements.text(header, "Modality")
    candidate = {"CT": CT, "MR": MR, "PT": PET}.get(modality)
    if candidate is None or not is_grey or not has_position:
        return SECONDARY_CAPTURE
    if not all(elements.texts(header, keyword) for keyword in candidate.required):
        return SECONDARY_CAPTURE
    if candidate is CT and units != "HU":
        return SECONDARY_CAPTURE
    if candidate is PET and (not pet_units(units) or _is_gated(header)):
        return SECONDARY_CAPTURE
    return candidate


def _is_gated(header: Dataset) -> bool:
    """Check for a PET series whose images need times in the heart cycle, which a volume does not hold."""
    return elements.text(header, "SeriesType") not in ("STATIC", "DYNAMIC", "WHOLE BODY")


def pet_units(units: str) -> str:
    """Return the term of Units (0054,1001) for units of a volume, "" if there is none.

    Examples
    --------
    >>> pet_units("BQML"), pet_units("g/ml"), pet_units("HU")
    ('BQML', 'GML', '')
    """
    named = {name: term for term, name in PET_UNITS.items()}
    term = named.get(units, units)
    return term if term in _PET_TERMS.split() else ""


def modality_of(header: Dataset) -> str:
    """Return the Modality of a derived series of images: that of its source, or OT where that is no image.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Modality = "SEG"
    >>> modality_of(header)
    'OT'
    """
    modality = elements.text(header, "Modality")
    return "OT" if not modality or modality in _NO_IMAGES else modality
