"""What may still identify a patient in an object whose attributes are de-identified.

No attribute tells for certain what is seen or heard in an object. These are the signs that somebody has to look:
DICOM PS3.15, sections E.3.1 (Clean Pixel Data), E.3.2 (Clean Recognizable Visual Features), E.3.3 (Clean Graphics)
and E.3.4 (Clean Structured Content).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pydicom.dataset import Dataset
from pydicom.uid import UID

from simple_orthanc.deidentification.overlays import has_embedded_overlays
from simple_orthanc.deidentification.profile import Option, Profile
from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.silence import quiet

_CLASS = "1.2.840.10008.5.1.4.1.1."
_SECONDARY_CAPTURE = f"{_CLASS}7"
_ULTRASOUND = (f"{_CLASS}3", f"{_CLASS}6")
_VISIBLE_LIGHT = f"{_CLASS}77.1."
_ENDOSCOPY = f"{_VISIBLE_LIGHT}1"
_STRUCTURED_REPORTS = f"{_CLASS}88."
_ENCAPSULATED = f"{_CLASS}104."
_PRESENTATION_STATES = f"{_CLASS}11."
_AUDIO = (f"{_CLASS}9.4.1", f"{_CLASS}9.4.2")
# Instruments, tissue and vessels, where visible light shows no face: microscopes and the inside of the eye.
_FACELESS = tuple(f"{_VISIBLE_LIGHT}{number}" for number in ("2", "3", "5.", "6"))
_VOLUMES = frozenset({"CT", "MR", "PT"})
_HEAD = re.compile("HEAD|BRAIN|SKULL|FACE|FACIAL|ORBIT|SINUS|JAW|MAXILL|MANDIB|NECK|NEURO|CEREBR|PITUIT|WHOLE ?BODY")
_HEAD_WORDS = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")
_SCREENS = re.compile("SCREEN|SAVE|DOSE|REPORT|CAPTURE|MPR SAVE")


class RiskKind(Enum):
    """What there is to look at."""

    BURNED_IN = "burned-in annotation"
    FACE = "recognizable face"
    REPORT = "structured report"
    DOCUMENT = "encapsulated document"
    GRAPHICS = "graphics"
    VOICE = "voice"
    OVERLAY = "overlay in the pixels"
    DESCRIPTION = "free text"


@dataclass(frozen=True)
class Risk:
    """A reason to look at an object before it is handed on.

    Attributes
    ----------
    kind : RiskKind
    message : str
        What was found, without any value of the object.
    is_certain : bool
        Whether the object says so itself, as BurnedInAnnotation YES does, or its kind is made of what cannot be cleaned
        here; otherwise it is a possibility.
    """

    kind: RiskKind
    message: str
    is_certain: bool


def risks_of(dataset: Dataset, profile: Profile) -> list[Risk]:
    """List what may still identify the patient after an object was de-identified.

    Parameters
    ----------
    dataset : Dataset
        The object as it was.
    profile : Profile
        By which it is, or will be, de-identified.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.SOPClassUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.7", "OT"
    >>> dataset.Rows = 1
    >>> [risk.message for risk in risks_of(dataset, Profile.of())]
    ['BurnedInAnnotation is missing in a secondary capture: the pixels may show names']
    """
    with quiet():
        sop_class = elements.text(dataset, "SOPClassUID")
        found = [
            _burned_in(dataset, sop_class),
            _face(dataset, sop_class),
            _content(dataset, sop_class, profile),
            _document(sop_class),
            _graphics(sop_class, profile),
            _voice(sop_class),
            _overlay(dataset),
            _free_text(dataset, profile),
        ]
    return [risk for risk in found if risk is not None]


def _burned_in(dataset: Dataset, sop_class: str) -> Risk | None:
    stated = "".join(elements.texts(dataset, "BurnedInAnnotation")).upper()
    if stated == "NO" or not elements.has(dataset, "Rows"):
        return None
    if "YES" in stated:
        return Risk(RiskKind.BURNED_IN, "BurnedInAnnotation is YES: the pixels show what identifies the patient", True)
    kind = _kind_with_text(dataset, sop_class)
    if not kind:
        return None
    return Risk(RiskKind.BURNED_IN, f"BurnedInAnnotation is missing in {kind}: the pixels may show names", False)


def _kind_with_text(dataset: Dataset, sop_class: str) -> str:
    """Return the kind of an object whose pixels often show text; "" for others."""
    if _is_or_below(sop_class, _SECONDARY_CAPTURE):
        return "a secondary capture"
    if any(_is_or_below(sop_class, parent) for parent in _ULTRASOUND) or elements.text(dataset, "Modality") == "US":
        return "an ultrasound image"
    if _is_or_below(sop_class, _ENDOSCOPY) or elements.text(dataset, "Modality") == "ES":
        return "an endoscopic image"
    if any(_SCREENS.search(value.upper()) for value in elements.texts(dataset, "ImageType")):
        return "a saved screen"
    if elements.text(dataset, "ConversionType") in ("DF", "DI", "DRW", "SD", "SI", "SYN", "WSD"):
        return "a converted image"
    # Frame grabbers write colour where the modality measures none.
    is_colour = elements.number_or_none(dataset, "SamplesPerPixel") == 3
    return "a colour image" if is_colour and elements.text(dataset, "Modality") in _VOLUMES else ""


def _face(dataset: Dataset, sop_class: str) -> Risk | None:
    stated = elements.text(dataset, "RecognizableVisualFeatures").upper()
    if stated == "NO":
        return None
    if stated == "YES":
        return Risk(RiskKind.FACE, "RecognizableVisualFeatures is YES: a face can be recognized", True)
    if sop_class.startswith(_VISIBLE_LIGHT) and not sop_class.startswith(_FACELESS):
        return Risk(RiskKind.FACE, "a photograph or video may show the patient", False)
    if elements.text(dataset, "Modality") not in _VOLUMES:
        return None
    words = " ".join(value for keyword in _HEAD_WORDS for value in elements.texts(dataset, keyword)).upper()
    if _HEAD.search(words):
        return Risk(RiskKind.FACE, "a face can be recognized in a rendering of the head", False)
    return None


def _content(dataset: Dataset, sop_class: str, profile: Profile) -> Risk | None:
    if not sop_class.startswith(_STRUCTURED_REPORTS) and not elements.has(dataset, "ContentSequence"):
        return None
    if profile.has(Option.CLEAN_STRUCTURED_CONTENT):
        return Risk(RiskKind.REPORT, "codes and numbers of a structured report are kept", False)
    return Risk(RiskKind.REPORT, "the content of a structured report is replaced by one empty comment", True)


def _document(sop_class: str) -> Risk | None:
    if not sop_class.startswith(_ENCAPSULATED):
        return None
    kind = UID(sop_class).name.removesuffix(" Storage")
    return Risk(RiskKind.DOCUMENT, f"{kind}: the document is replaced by a dummy, since it cannot be cleaned", True)


def _graphics(sop_class: str, profile: Profile) -> Risk | None:
    if not sop_class.startswith(_PRESENTATION_STATES):
        return None
    kept = "cleaned" if profile.has(Option.CLEAN_GRAPHICS) else "replaced"
    return Risk(
        RiskKind.GRAPHICS, f"a presentation state: its annotations are {kept}, its shapes may be letters", False
    )


def _voice(sop_class: str) -> Risk | None:
    if sop_class not in _AUDIO:
        return None
    return Risk(RiskKind.VOICE, "a recorded voice can be recognized, and may speak names", True)


def _overlay(dataset: Dataset) -> Risk | None:
    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID", "")
    if not has_embedded_overlays(dataset) or not syntax or not UID(str(syntax)).is_compressed:
        return None
    return Risk(RiskKind.OVERLAY, "compressed pixels may hold an overlay in their unused bits", False)


def _free_text(dataset: Dataset, profile: Profile) -> Risk | None:
    if not profile.has(Option.CLEAN_DESCRIPTORS):
        return None
    kept = _descriptors(dataset)
    if not any(kept):
        return None
    return Risk(
        RiskKind.DESCRIPTION, "descriptions are kept without the names that are known; others may be left", False
    )


def _descriptors(dataset: Dataset) -> Iterator[str]:
    for keyword in (
        "StudyDescription",
        "ImageComments",
        "PatientComments",
        "StudyComments",
        "AdditionalPatientHistory",
    ):
        yield elements.text(dataset, keyword)


def _is_or_below(sop_class: str, parent: str) -> bool:
    return sop_class == parent or sop_class.startswith(parent + ".")
