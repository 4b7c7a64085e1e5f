"""What a de-identified object states about itself (DICOM PS3.15, section E.1.1, and PS3.3, section C.12.1.1.3)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from simple_orthanc.deidentification.profile import Option, Profile
from simple_orthanc.deidentification.table import EDITION

# CID 7050 (PS3.16).
_BASIC = ("113100", "Basic Application Confidentiality Profile")
_CODES = {
    Option.CLEAN_GRAPHICS: ("113103", "Clean Graphics Option"),
    Option.CLEAN_STRUCTURED_CONTENT: ("113104", "Clean Structured Content Option"),
    Option.CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
    Option.RETAIN_FULL_DATES: ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    Option.RETAIN_MODIFIED_DATES: ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    Option.RETAIN_PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
    Option.RETAIN_DEVICE_IDENTITY: ("113109", "Retain Device Identity Option"),
    Option.RETAIN_UIDS: ("113110", "Retain UIDs Option"),
    Option.RETAIN_SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
    Option.RETAIN_INSTITUTION_IDENTITY: ("113112", "Retain Institution Identity Option"),
}
# What an earlier program did to the pixels is still done.
_PIXEL_OPTIONS = {
    "113101": "Clean Pixel Data Option",
    "113102": "Clean Recognizable Visual Features Option",
}


def mark(dataset: Dataset, profile: Profile) -> None:
    """State in a dataset that it is de-identified, and how; statements of earlier programs are replaced.

    Examples
    --------
    >>> dataset = Dataset()
    >>> mark(dataset, Profile.of(["retain_uids"]))
    >>> dataset.PatientIdentityRemoved, dataset.LongitudinalTemporalInformationModified
    ('YES', 'REMOVED')
    >>> [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence]
    ['113100', '113110']
    """
    stated = {str(item.get("CodeValue", "")) for item in dataset.get("DeidentificationMethodCodeSequence") or ()}
    # Not with the meaning in the file, which may be any text.
    earlier = [(value, meaning) for value, meaning in _PIXEL_OPTIONS.items() if value in stated]
    codes = [_BASIC, *(code for option, code in _CODES.items() if option in profile.options), *earlier]
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = f"simple_orthanc, DICOM PS3.15 {EDITION} Table E.1-1"
    dataset.DeidentificationMethodCodeSequence = [_coded(*code) for code in sorted(set(codes))]
    dataset.LongitudinalTemporalInformationModified = _temporal(profile)


def _temporal(profile: Profile) -> str:
    if profile.has(Option.RETAIN_FULL_DATES):
        return "UNMODIFIED"
    return "MODIFIED" if profile.has(Option.RETAIN_MODIFIED_DATES) else "REMOVED"


def _coded(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item
