"""New values of single elements: emptied, replaced, cleaned, moved in time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pydicom.dataelem import DataElement

from simple_orthanc.deidentification.cleaning import Identifiers, clean_descriptor
from simple_orthanc.deidentification.dummies import TEXT, dummy_value
from simple_orthanc.deidentification.identity import Identity
from simple_orthanc.deidentification.profile import Action, Option, Profile
from simple_orthanc.deidentification.table import row_of
from simple_orthanc.deidentification.uids import is_registered, is_uid, without_uids
from simple_orthanc.deidentification.unlisted import intended_vr, is_typed_by_people, names_a_class
from simple_orthanc.dicom.tags import DATE_VRS, PADDING
from simple_orthanc.dicom.times import parse_offset

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
# Whatever a date or a time is written like, it has no words.
_TIMES = re.compile(r"[\dTZ.:+\- ]*\Z", re.ASCII)
# A description or a name of something is emptied; an identifier may get a pseudonym.
_DIGITS = re.compile(r"[\d.\-]*\Z", re.ASCII)
_IDENTIFIERS = re.compile("(ID|Number)(ImagingServiceRequest)?$")
# What codes of these schemes mean is public, so their values are no identifiers (PS3.15, section E.1.1, note 10).
_PUBLIC_SCHEMES = frozenset(
    {"DCM", "SCT", "SRT", "SNM3", "LN", "UCUM", "RADLEX", "UMLS", "FMA", "NCIT", "MDC", "ICD10", "I10", "BARI", "NCDR"}
)
# Names of character sets, also those that DICOM does not define: a file must be read as it was.
_CHARACTER_SETS = re.compile(r"(?:ISO|IR|UTF|GBK?|US|ASCII|LATIN|CP|WINDOWS|BIG|[\d _\-])*\Z", re.ASCII | re.IGNORECASE)
_CODES = frozenset({"CodeValue", "LongCodeValue", "URNCodeValue", "CodingSchemeDesignator"})


# Not read by SpecificCharacterSet, so that names in other characters would not be recognized (PS3.5, 6.2).
_DEFAULT_CHARACTERS = frozenset({"AE", "CS", "UR"})


class Values:
    """New values of elements that are not sequences, for one object.

    Parameters
    ----------
    profile : Profile
    identity : Identity
        Of the patient.
    identifiers : Identifiers
        Those of the object, which free text is cleaned of.
    patient_id : str
        The PatientID of the object as it was.
    """

    def __init__(self, profile: Profile, identity: Identity, identifiers: Identifiers, patient_id: str) -> None:
        self._profile = profile
        self._identity = identity
        self._identifiers = identifiers
        self._patient_id = patient_id

    def new_value(self, element: DataElement, action: Action, scheme: str = "") -> Any:
        """Return the new value of an element, the same object if it does not change, or None if it is removed.

        Parameters
        ----------
        element : DataElement
            Not a sequence.
        action : Action
        scheme : str
            CodingSchemeDesignator of the dataset that the element is in.
        """
        value, vr = element.value, str(element.VR)
        if action is Action.REMOVE:
            return None
        if _is_empty(value):
            return value
        if action is Action.EMPTY:
            return self._emptied(element)
        if action is Action.DUMMY:
            return self._dummy(element)
        if element.keyword == "TimezoneOffsetFromUTC":
            return None if parse_offset(str(value)) is None else value
        if vr in ("DS", "IS"):
            return value if all(self._is_harmless_number(part) for part in _parts(value)) else ""
        if vr == "UI":
            return self._uids(element, action)
        if isinstance(value, (bytes, bytearray)):
            return None if action is Action.CLEAN or self._identifiers.are_in(bytes(value[:_SEARCHED])) else value
        return self._kept(element) if action is Action.KEEP else self._cleaned(element, scheme)

    def _is_harmless_number(self, part: Any) -> bool:
        text = str(getattr(part, "original_string", part)).strip(PADDING)
        return not text or (bool(_NUMBER.match(text)) and not self._identifiers.are_number(text))

    def _emptied(self, element: DataElement) -> Any:
        if element.keyword == "PatientName":
            return self._identity.patient_name
        if element.keyword == "PatientID":
            return self._dummy(element)
        if element.VR in ("SH", "LO") and isinstance(element.value, str) and _IDENTIFIERS.search(element.keyword):
            return self._identity.identifier(element.keyword, element.value.strip(PADDING))
        return b"" if isinstance(element.value, bytes) else ""

    def _dummy(self, element: DataElement) -> Any:
        if element.keyword == "PatientID":
            is_own = str(element.value).strip(PADDING) == self._patient_id
            return self._identity.patient_id if is_own else TEXT
        if element.VR == "UI":
            return self._uids(element, Action.REPLACE_UID)
        if element.VR == "AT":
            return element.value
        dummy = dummy_value(str(element.VR))
        count = len(_parts(element.value))
        return [dummy] * count if count > 1 else dummy

    def _uids(self, element: DataElement, action: Action) -> Any:
        def new(uid: str) -> str:
            stripped = uid.strip(PADDING)
            if not stripped or (keeps and is_uid(stripped)) or is_registered(stripped):
                return uid
            return self._identity.uid(stripped)

        keeps = action is Action.KEEP or names_a_class(element.keyword)
        return _each(element.value, new)

    def _kept(self, element: DataElement) -> Any:
        if element.VR == "AS":
            return self._ages(element.value)
        if element.VR in DATE_VRS and not all(_TIMES.match(str(part)) for part in _parts(element.value)):
            return None
        return element.value

    def _ages(self, value: Any) -> Any:
        ages = [self._identity.age(str(age)) for age in _parts(value)]
        if any(age is None for age in ages):
            return None
        if ages == list(_parts(value)):
            return value
        return ages if len(ages) > 1 else ages[0]

    def _cleaned(self, element: DataElement, scheme: str) -> Any:
        vr, keyword = str(element.VR), element.keyword
        if vr in DATE_VRS:
            return self._moved(element.value, vr)
        if vr == "AS":
            return self._ages(element.value)
        if keyword == "SpecificCharacterSet":
            return element.value if all(self._is_character_set(str(part)) for part in _parts(element.value)) else None
        # Digits alone are the code, even if they are those of an identifier too.
        if scheme in _PUBLIC_SCHEMES and keyword in _CODES and _DIGITS.match(str(element.value)):
            return element.value
        value = element.value
        if vr in _DEFAULT_CHARACTERS:
            value = _each(value, lambda text: text if text.isascii() else dummy_value(vr))
        is_listed = row_of(int(element.tag)) is not None
        is_typed = is_typed_by_people(keyword, intended_vr(int(element.tag), vr))
        if not is_listed and (scheme in _PUBLIC_SCHEMES or not is_typed):
            return _each(value, lambda text: dummy_value(vr) if self._are_surely_in(text) else text)
        return _each(value, self._text_cleaner(int(element.tag), vr))

    def _is_character_set(self, text: str) -> bool:
        return bool(_CHARACTER_SETS.match(text)) and not self._identifiers.are_surely_in(text)

    def _are_surely_in(self, text: str) -> bool:
        return self._identifiers.are_surely_in(text) or self._without_uids(text) != text

    def _without_uids(self, text: str) -> str:
        return text if self._profile.has(Option.RETAIN_UIDS) else without_uids(text)

    def _text_cleaner(self, tag: int, vr: str) -> Callable[[str], str]:
        keeps_dates = self._profile.has(Option.RETAIN_FULL_DATES)
        keeps_ages = self._profile.has(Option.RETAIN_PATIENT_CHARACTERISTICS)
        is_public = not tag >> 16 & 1
        is_narrative = intended_vr(tag, vr) in ("LT", "ST", "UT")
        is_descriptor = is_public and vr != "AE" and (row_of(tag) is not None or is_narrative)

        def clean(text: str) -> str:
            # First, since of a UID that is cleaned of a long number a part is left.
            rest = self._without_uids(text)
            if is_descriptor:
                cleaned = clean_descriptor(rest, self._identifiers, keep_dates=keeps_dates, keep_ages=keeps_ages)
            else:
                cleaned = self._identifiers.removed_from(rest)
            return text if cleaned == text else cleaned.strip() or dummy_value(vr)

        return clean

    def _moved(self, value: Any, vr: str) -> Any:
        moved = [self._identity.date(str(part), vr) if str(part).strip(PADDING) else "" for part in _parts(value)]
        if any(part is None for part in moved):
            return None
        return moved if len(moved) > 1 else moved[0]


# Of a binary value only the beginning is searched, since headers that name people are there.
_SEARCHED = 1 << 20


def _is_empty(value: Any) -> bool:
    return value is None or (hasattr(value, "__len__") and not len(value))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, Iterable):
        return [value]
    # A PersonName can be iterated over, character by character.
    return [value] if hasattr(value, "family_name") else list(value)


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """Return the value with each of its parts changed; the value itself if none of them changes."""
    before = _parts(value)
    after = [change(str(part)) for part in before]
    if after == [str(part) for part in before]:
        return value
    return after if len(after) > 1 else after[0]
