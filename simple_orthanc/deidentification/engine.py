"""De-identify a dataset by a profile: each element is kept, changed or removed, at every level, and recorded.

What is not read cannot be judged: an element that pydicom cannot convert is removed. Elements that stay are copied as
the bytes that they were, so that pixels, numbers and text without identifiers are written again unchanged.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from simple_orthanc import limits
from simple_orthanc.deidentification import content
from simple_orthanc.deidentification.collecting import identifiers_of
from simple_orthanc.deidentification.dummies import dummy_content_item
from simple_orthanc.deidentification.file_meta import PREAMBLE, new_file_meta
from simple_orthanc.deidentification.identity import Identity
from simple_orthanc.deidentification.jpeg_comments import without_comments
from simple_orthanc.deidentification.marking import mark
from simple_orthanc.deidentification.overlays import without_bytes_after_pixels, without_embedded_overlays
from simple_orthanc.deidentification.profile import Action, Option, Profile
from simple_orthanc.deidentification.replacing import replaced_value
from simple_orthanc.deidentification.safe_private import safe_elements
from simple_orthanc.deidentification.table import row_of
from simple_orthanc.deidentification.unlisted import contradicts, kind_of, unlisted_action
from simple_orthanc.deidentification.values import Values
from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.copying import shallow_copy, without_elements
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.dicom.tags import PADDING
from simple_orthanc.errors import UnsupportedError

_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# Bytes of one value. These can hold nothing but numbers, unlike DS and IS, which are strings.
_NUMBERS = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
_COUNTS = frozenset({"AT", "SL", "SS", "SV", "UL", "US", "UV"})


@dataclass(frozen=True)
class Change:
    """What became of one element. It holds no value.

    Attributes
    ----------
    path : str
        The keywords and item numbers that lead to the element, such as ``RequestAttributesSequence[0].StudyDate``; an
        element without a keyword by its tag.
    tag : int
        Its number.
    action : Action
        What was done, by the profile or else by the rule for attributes that Table E.1-1 does not list.
    outcome : str
        "kept", "changed" or "removed". Emptied is changed.
    """

    path: str
    tag: int
    action: Action
    outcome: str


@dataclass(frozen=True)
class _Place:
    """Where in an object a dataset is: the sequences around it, and what holds for all that is in it."""

    keywords: tuple[str, ...] = ()
    shown: str = ""
    # Whether a sequence around it is replaced by a dummy, and so is all its content.
    is_dummy: bool = False

    def item(self, keyword: str, name: str, number: int, *, is_dummy: bool) -> _Place:
        return _Place((*self.keywords, keyword), f"{self.shown}{name}[{number}].", self.is_dummy or is_dummy)


def deidentify_dataset(dataset: Dataset, profile: Profile, identity: Identity) -> tuple[Dataset, list[Change]]:
    """Return a de-identified copy of a dataset, and what became of each of its elements.

    Parameters
    ----------
    dataset : Dataset
        Whole, with its pixels. Its values do not change.
    profile : Profile
        What is to be done with each attribute.
    identity : Identity
        The pseudonyms of its patient.

    Returns
    -------
    Dataset
        With File Meta Information that holds nothing of the old but the transfer syntax, and an empty preamble. The
        pixels are the same bytes, unless overlays were hidden in them, bytes behind them, or comments in the headers of
        JPEG.
    list of Change
        In the order of the elements, those of items after their sequence.

    Raises
    ------
    UnsupportedError
        Sequences are nested deeper than `limits.nesting`.

    Notes
    -----
    DICOM PS3.15, section E.1.1. What the pixels show is not looked at; ``risks`` tells which objects that matters for.
    """
    with quiet():
        return _Engine(dataset, profile, identity).run()


class _Engine:
    def __init__(self, dataset: Dataset, profile: Profile, identity: Identity) -> None:
        self._dataset = shallow_copy(dataset)
        self._transfer_syntax = _transfer_syntax(dataset)
        self._profile = profile
        self._sop_class = elements.text(dataset, "SOPClassUID")
        patient_id = elements.text(dataset, "PatientID")
        self._identifiers = identifiers_of(self._dataset, profile)
        self._values = Values(profile, identity, self._identifiers, patient_id)
        self._changes: list[Change] = []

    def run(self) -> tuple[Dataset, list[Change]]:
        new = self._copied(self._dataset, _Place())
        if without_embedded_overlays(self._dataset, new, self._transfer_syntax):
            self._record(_Place(), BaseTag(0x7FE00010), Action.CLEAN, "changed")
        if without_comments(new, self._transfer_syntax, self._identifiers):
            self._record(_Place(), BaseTag(0x7FE00010), Action.CLEAN, "changed")
        if without_bytes_after_pixels(new, self._transfer_syntax):
            self._record(_Place(), BaseTag(0x7FE00010), Action.CLEAN, "changed")
        mark(new, self._profile)
        new.file_meta = new_file_meta(new, self._transfer_syntax)
        new.preamble = PREAMBLE
        return new, self._changes

    def _copied(self, source: Dataset, place: _Place) -> Dataset:
        if len(place.keywords) > limits.nesting:
            raise UnsupportedError(
                f"Sequences are nested deeper than {limits.nesting} levels, so the object was not de-identified. "
                + limits.advice("nesting")
            )
        new, reader = without_elements(source), shallow_copy(source)
        safe = safe_elements(source) if self._profile.has(Option.RETAIN_SAFE_PRIVATE) else {}
        for tag, stored in sorted(elements.stored_elements(source).items()):
            # Lengths of groups are retired, and would no longer be true.
            if tag.element:
                self._copy_element(reader, new, stored, place, safe)
        return new

    def _copy_element(
        self,
        source: Dataset,
        new: Dataset,
        stored: DataElement | RawDataElement,
        place: _Place,
        safe: Mapping[int, str],
    ) -> None:
        tag = stored.tag
        vr = _vr_of(stored, safe.get(tag, ""))
        action = self._action(tag, vr, place, safe)
        if action is Action.REMOVE or self._hides_text(stored, vr):
            outcome = "removed"
        elif vr == "SQ":
            outcome = self._copy_sequence(source, new, tag, place, action)
            if outcome != "removed":
                return
        elif self._stays_unread(source, stored, tag, vr, action):
            elements.store(new, _apart(stored))
            outcome = "kept"
        else:
            outcome = self._copy_value(source, new, stored, tag, action)
        self._record(place, tag, action if outcome != "removed" else Action.REMOVE, outcome)

    def _record(self, place: _Place, tag: BaseTag, action: Action, outcome: str) -> None:
        self._changes.append(Change(place.shown + _name_of(tag), int(tag), action, outcome))

    def _action(self, tag: BaseTag, vr: str, place: _Place, safe: Mapping[int, str]) -> Action:
        profile = self._profile
        if tag in profile.keep:
            return Action.KEEP
        if tag in profile.remove:
            return Action.REMOVE
        if _is_creator_of_any(tag, profile.keep) or _is_creator_of_any(tag, profile.replace):
            return Action.KEEP
        if tag in profile.replace:
            return Action.DUMMY
        if tag.is_private:
            return _private_action(tag, vr, safe) if not place.is_dummy else Action.REMOVE
        if contradicts(tag, vr) or _is_out_of_place(tag, place):
            return Action.REMOVE
        path = (*place.keywords, keyword_for_tag(tag))
        action = profile.action(tag, sop_class=self._sop_class, path=path)
        if action is None:
            action = unlisted_action(tag, vr, profile)
        return _dummy_action(tag, vr, action) if place.is_dummy else action

    def _hides_text(self, stored: DataElement | RawDataElement, vr: str) -> bool:
        """Check whether the bytes of a number spell an identifier; its VR may be one of several, as "US or SS"."""
        value = stored.value
        is_number = not _NUMBERS.keys().isdisjoint(vr.split(" or "))
        return is_number and isinstance(value, bytes) and self._identifiers.are_in(value)

    def _stays_unread(
        self, source: Dataset, stored: DataElement | RawDataElement, tag: BaseTag, vr: str, action: Action
    ) -> bool:
        """Check whether an element is copied without a look at its value."""
        if action is not Action.KEEP or stored.VR == "UN" or tag in self._profile.replace:
            return False
        value = stored.value
        if not _can_be_copied(stored, source):
            return False
        if vr in _NUMBERS:
            return not isinstance(value, bytes) or len(value) % _NUMBERS[vr] == 0
        return tag in _PIXELS or tag in self._profile.keep

    def _copy_value(
        self, source: Dataset, new: Dataset, stored: DataElement | RawDataElement, tag: BaseTag, action: Action
    ) -> str:
        try:
            element = source[tag]
        except Exception:  # pydicom raises whatever the bytes lead it to
            return "removed"
        if isinstance(element.value, Sequence):
            return "removed"
        if tag in self._profile.replace:
            value: Any = replaced_value(tag, str(element.VR), self._profile.replace[tag])
        elif tag in self._profile.keep:
            value = element.value
        else:
            value = self._values.new_value(element, action, elements.text(source, "CodingSchemeDesignator"))
        if value is None and element.value is not None:
            return "removed"
        if value is element.value or _shown(value) == _shown(element.value):
            elements.store(new, _apart(stored) if _can_be_copied(stored, source) else element)
            return "kept"
        new.add(DataElement(tag, str(element.VR), value))
        return "changed"

    def _copy_sequence(self, source: Dataset, new: Dataset, tag: BaseTag, place: _Place, action: Action) -> str:
        try:
            items = source[tag].value
        except Exception:  # pydicom raises whatever the bytes lead it to
            return "removed"
        if not isinstance(items, Sequence):
            return "removed"
        is_content = tag == content.CONTENT_SEQUENCE
        copies: list[Dataset] = []
        if action is Action.EMPTY:
            self._record(place, tag, action, "changed" if items else "kept")
        elif action is Action.DUMMY and is_content and items:
            copies = [dummy_content_item()]
            self._record(place, tag, action, "changed")
        else:
            self._record(place, tag, action, "changed" if action is Action.DUMMY and items else "kept")
            is_dummy = action is Action.DUMMY
            for number, item in enumerate(items):
                if self._leaves_out(item):
                    continue
                inner = place.item(keyword_for_tag(tag), _name_of(tag), number, is_dummy=is_dummy)
                copies.append(self._copied(item, inner))
        new.add(DataElement(tag, "SQ", Sequence(copies)))
        return "kept"

    def _leaves_out(self, item: Dataset) -> bool:
        retains = self._profile.has(Option.RETAIN_PATIENT_CHARACTERISTICS)
        if content.names_the_subject(item) or content.is_high_age(item):
            return True
        return content.is_characteristic(item) and not retains


def _is_out_of_place(tag: BaseTag, place: _Place) -> bool:
    """Check whether an element is removed wherever it is: graphics that cannot be cleaned, and what is no attribute.

    Commands and File Meta Information do not belong into a dataset; Table E.1-1 has them for items of sequences. Pixels
    belong only there: in an item they are another image, of which no attribute of the object tells what it shows.
    """
    if tag in _PIXELS and place.keywords and place.keywords[-1] != "IconImageSequence":
        return True
    return tag.group >> 8 in (0x50, 0x60) or (tag.group in (0x0000, 0x0002) and not place.keywords)


def _can_be_copied(stored: DataElement | RawDataElement, source: Dataset) -> bool:
    """Check whether an element can be written as it is: its value is read, and its VR known where it is written."""
    if not isinstance(stored, RawDataElement):
        return True
    is_deferred = stored.value is None and stored.length != 0
    return not is_deferred and (stored.VR is not None or source.original_encoding[0] is True)


def _apart(stored: DataElement | RawDataElement) -> DataElement | RawDataElement:
    """Return an element for another dataset, that may be changed there; bytes are not copied."""
    return stored if isinstance(stored, RawDataElement) or stored.is_buffered else copy.deepcopy(stored)


def _vr_of(stored: DataElement | RawDataElement, private_vr: str) -> str:
    """Return the VR of an element; of one of an unknown VR that of the dictionary, or of the list of safe ones."""
    vr = str(stored.VR or "UN")
    if vr != "UN":
        return vr
    if dictionary_has_tag(stored.tag) and not stored.tag.is_private:
        return dictionary_VR(stored.tag)
    return "UN" if private_vr == "SQ" else private_vr or "UN"


def _is_creator_of_any(tag: BaseTag, others: Collection[int]) -> bool:
    """Check whether an element names the creator of the block of some private elements, which mean nothing without."""
    is_creator = tag.is_private and 0x10 <= tag.element <= 0xFF
    return is_creator and any(other >> 8 == int(tag.group) << 8 | tag.element and other & 0xFF00 for other in others)


def _private_action(tag: BaseTag, vr: str, safe: Mapping[int, str]) -> Action:
    if tag not in safe:
        return Action.REMOVE
    if tag.element < 0x100:
        return Action.KEEP
    # What the list has as a number may be a letter if the file says so.
    if safe[tag] and kind_of(vr).isdisjoint(kind_of(safe[tag])):
        return Action.REMOVE
    if vr == "UI":
        return Action.REPLACE_UID
    return Action.CLEAN if kind_of(vr) <= {"text", "date"} else Action.KEEP


def _dummy_action(tag: BaseTag, vr: str, action: Action) -> Action:
    """Return what is done with an element inside a sequence that is replaced by a dummy."""
    row = row_of(tag)
    if action is Action.REMOVE or (row is not None and row.basic == "X"):
        return Action.REMOVE
    if vr == "CS":
        return Action.CLEAN
    if vr == "UI":
        return Action.REPLACE_UID
    return Action.KEEP if vr in _COUNTS else Action.DUMMY


def _name_of(tag: BaseTag) -> str:
    return keyword_for_tag(tag) or f"({tag.group:04X},{tag.element:04X})"


def _shown(value: Any) -> Any:
    """Return a value as it is compared, whatever pydicom made of its strings."""
    if value is None or isinstance(value, (bytes, bytearray)):
        return value or b""
    if isinstance(value, str) or not hasattr(value, "__iter__") or hasattr(value, "family_name"):
        return str(value).strip(PADDING).encode()
    return [str(part).strip(PADDING) for part in value]


def _transfer_syntax(dataset: Dataset) -> UID:
    meta = getattr(dataset, "file_meta", None)
    declared = meta.get("TransferSyntaxUID") if meta is not None else None
    if declared:
        return UID(str(declared))
    is_implicit, is_little = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRBigEndian if is_little is False else ExplicitVRLittleEndian
