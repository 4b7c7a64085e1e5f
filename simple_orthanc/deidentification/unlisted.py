"""What becomes of attributes that Table E.1-1 of PS3.15 does not list.

The standard leaves them to the application (section E.1.1, notes 1 and 5). The rule here keeps what cannot identify
anyone, numbers, code strings and pixels, and cleans or removes the rest by its VR:

========================  ==============================================================================================
PN                        a dummy value
DA, TM, DT                a dummy value; kept or moved with the options for dates
UI                        replaced, unless it names a class, a transfer syntax or a coding scheme, or DICOM defined it
AE                        removed; cleaned with ``retain_device_identity``
UR                        removed, except for codes
names, numbers and birth  a dummy value, or removed; so are the issuers of identifiers, without
dates in other VRs        ``retain_institution_identity``
SH, LO, UC, ST, LT, UT    cleaned of the identifiers found in the object, if people type them; comments become dummies
CS, and what machines     a dummy value if it holds a full name, or an identifier or date with digits
write, as Manufacturer
OB                        removed, except for pixels, waveforms, colour profiles and calibrations
retired                   text and binary values are removed
unknown to pydicom        removed
========================  ==============================================================================================

An element whose VR contradicts the dictionary, such as a string where a number belongs, is removed.
"""

from __future__ import annotations

import re

from pydicom.datadict import dictionary_has_tag, dictionary_is_retired, dictionary_VR, keyword_for_tag

from simple_orthanc.deidentification.profile import DATE_OPTIONS, Action, Option, Profile
from simple_orthanc.dicom.tags import BINARY_VRS, DATE_VRS, NUMBER_VRS

# Encrypted copies of what is removed, and what belongs to signatures that no longer hold.
_REMOVED = frozenset({0x04000500, 0x04000510, 0x04000520, 0x04000120, 0x4FFE0001})
# The private elements that this sequence describes are removed, or kept by another list.
_PRIVATE_CHARACTERISTICS = 0x00080300
# Of a whole group: commands, file meta information, directory records.
_FOREIGN_GROUPS = frozenset({0x0000, 0x0002, 0x0004})
# These identify people although neither Table E.1-1 nor their VR shows it.
_OTHER_CALENDARS = frozenset({"PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar"})
_PEOPLE = frozenset(
    {
        "BoardingPassID",
        "BreedRegistrationNumber",
        "CarrierID",
        "ComponentWelderIDs",
        "ContactDisplayName",
        "ItineraryID",
        "OwnerID",
    }
)
_ISSUERS = frozenset({"ItineraryIDAssigningAuthority", "LocalNamespaceEntityID", "UniversalEntityID"})
_NARRATIVE = re.compile(
    "Comment|Notes$|Narrative|TextValue$|HPGL|HL7InstanceIdentifier|DocumentTitle|OverrideReason|Reason(For|$)"
)
_CODES = frozenset({"URNCodeValue", "CodingSchemeURL"})
_CLASSES = re.compile("SOPClass|TransferSyntax|CodingSchemeUID$|ContextUID$|ContextGroupExtension|MappingResource")
_SAFE_OB = frozenset(
    {
        "AirCounts",
        "BadPixelImage",
        "ChannelMaximumValue",
        "ChannelMinimumValue",
        "CoordinateSystemAxisValues",
        "DarkCurrentCounts",
        "DetectorCalibrationData",
        "ICCProfile",
        "PixelData",
        "WaveformData",
        "WaveformPaddingValue",
    }
)
_TYPED = re.compile(
    "Description|Label|Comment|Explanation|Meaning|Text|Note|Title|Reason|Purpose|Location|Identifi|Alias"
    "|^(Beam|RTImage|AcquisitionProtocol|Template|ApplicationSetup)Name$"
)
_KINDS = {
    **dict.fromkeys([*NUMBER_VRS, "AT"], "number"),
    **dict.fromkeys(BINARY_VRS, "binary"),
    **dict.fromkeys(DATE_VRS, "date"),
    "SQ": "sequence",
    "UI": "uid",
}
_FREE_TEXT = frozenset({"SH", "LO", "UC", "ST", "LT", "UT"})
_BY_VR = {"PN": Action.DUMMY, "AS": Action.DUMMY, "SQ": Action.KEEP, "AT": Action.KEEP, "CS": Action.CLEAN}


def kind_of(vr: str) -> frozenset[str]:
    """Return what values of a VR are: "text", "date", "uid", "number", "binary", "sequence".

    Examples
    --------
    >>> sorted(kind_of("US or OW")), sorted(kind_of("LO"))
    (['binary', 'number'], ['text'])
    """
    return frozenset(_KINDS.get(name, "text") for name in vr.split(" or "))


def contradicts(tag: int, vr: str) -> bool:
    """Check whether a VR is of another kind than the dictionary has for a public attribute.

    Examples
    --------
    >>> contradicts(0x00180050, "LO"), contradicts(0x00180050, "DS")
    (True, False)
    """
    return dictionary_has_tag(tag) and kind_of(vr).isdisjoint(kind_of(dictionary_VR(tag)))


def intended_vr(tag: int, vr: str) -> str:
    """Return the VR by which an element is treated: that of the dictionary, if the one in the file is text as well.

    A name stays a name, whatever the attribute should be.

    Examples
    --------
    >>> intended_vr(0x00104000, "CS"), intended_vr(0x00080070, "PN"), intended_vr(0x00091001, "LO")
    ('LT', 'PN', 'LO')
    """
    if tag >> 16 & 1 or vr == "PN" or not dictionary_has_tag(tag):
        return vr
    expected = dictionary_VR(tag)
    return expected if kind_of(vr) == kind_of(expected) == {"text"} else vr


def names_a_class(keyword: str) -> bool:
    """Check whether an attribute of VR UI holds what is not the identifier of an instance (PS3.15, section E.3.9).

    Examples
    --------
    >>> names_a_class("ReferencedSOPClassUID"), names_a_class("ReferencedSOPInstanceUID")
    (True, False)
    """
    return bool(_CLASSES.search(keyword))


def is_typed_by_people(keyword: str, vr: str) -> bool:
    """Check whether text of an attribute without a row in Table E.1-1 is typed by people, rather than by machines.

    A name alone is believed to be that of a person only there: patients are called Philips and Head, too.

    Examples
    --------
    >>> is_typed_by_people("SegmentLabel", "LO"), is_typed_by_people("ManufacturerModelName", "LO")
    (True, False)
    """
    return vr in ("LT", "ST", "UT") or keyword == "ContentLabel" or (vr != "CS" and bool(_TYPED.search(keyword)))


def unlisted_action(tag: int, vr: str, profile: Profile) -> Action:
    """Return what becomes of a public attribute without a row in Table E.1-1.

    Examples
    --------
    >>> profile = Profile.of()
    >>> unlisted_action(0x00180050, "DS", profile), unlisted_action(0x00081190, "UR", profile)
    (<Action.KEEP: 'K'>, <Action.REMOVE: 'X'>)
    """
    if tag in _REMOVED or tag >> 16 in _FOREIGN_GROUPS or tag >> 24 in (0x50, 0x60):
        return Action.REMOVE
    if tag == _PRIVATE_CHARACTERISTICS and not profile.has(Option.RETAIN_SAFE_PRIVATE):
        return Action.REMOVE
    if not dictionary_has_tag(tag) or contradicts(tag, vr):
        return Action.REMOVE
    if dictionary_is_retired(tag) and not kind_of(vr) <= {"number", "sequence"} and vr != "CS":
        return Action.REMOVE
    keyword = keyword_for_tag(tag)
    # A file may have another binary VR for it.
    intended = "OB" if dictionary_VR(tag) == "OB" else intended_vr(tag, vr)
    return _by_keyword(keyword, profile) or _by_vr(keyword, intended, profile)


def _by_keyword(keyword: str, profile: Profile) -> Action | None:
    """Return what becomes of an attribute that says more than its VR; None for others."""
    if keyword in _OTHER_CALENDARS:
        return Action.REMOVE
    if keyword in _PEOPLE:
        return Action.DUMMY
    if keyword in _ISSUERS and not profile.has(Option.RETAIN_INSTITUTION_IDENTITY):
        return Action.DUMMY
    if keyword == "NTPSourceAddress" and not profile.has(Option.RETAIN_DEVICE_IDENTITY):
        return Action.REMOVE
    if keyword == "PatientBodyMassIndex" and not profile.has(Option.RETAIN_PATIENT_CHARACTERISTICS):
        return Action.REMOVE
    return None


def _by_vr(keyword: str, vr: str, profile: Profile) -> Action:
    if vr in DATE_VRS:
        if not profile.has(*DATE_OPTIONS):
            return Action.DUMMY
        return Action.KEEP if profile.has(Option.RETAIN_FULL_DATES) else Action.CLEAN
    if vr == "UI":
        return Action.KEEP if names_a_class(keyword) or profile.has(Option.RETAIN_UIDS) else Action.REPLACE_UID
    if vr == "AE":
        return Action.CLEAN if profile.has(Option.RETAIN_DEVICE_IDENTITY) else Action.REMOVE
    if vr == "UR":
        return Action.CLEAN if keyword in _CODES else Action.REMOVE
    if vr in _FREE_TEXT:
        narrative = _NARRATIVE.search(keyword) and not profile.has(Option.CLEAN_DESCRIPTORS)
        return Action.DUMMY if narrative else Action.CLEAN
    if vr == "OB" or vr == "UN":
        return Action.KEEP if keyword in _SAFE_OB else Action.REMOVE
    return _BY_VR.get(vr, Action.KEEP)
