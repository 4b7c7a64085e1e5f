"""The identifiers that an object holds in the attributes which its profile removes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from simple_orthanc.deidentification.cleaning import Identifiers, date_forms
from simple_orthanc.deidentification.profile import Action, Option, Profile
from simple_orthanc.deidentification.table import row_of
from simple_orthanc.deidentification.unlisted import intended_vr
from simple_orthanc.dicom import header as elements

# Attributes of these VRs hold identifiers whole.
_WHOLE = frozenset({"AE", "LO", "SH", "UC", "UR"})
_SEARCHED = _WHOLE | {"PN", "DA", "DT"}
_KEPT = (Action.KEEP, Action.CLEAN)
# What describes rather than identifies has an action for this option.
_DESCRIPTIVE = Option.CLEAN_DESCRIPTORS.value
_PLACES = frozenset({Option.RETAIN_DEVICE_IDENTITY.value, Option.RETAIN_INSTITUTION_IDENTITY.value})
_PATIENT_GROUP, _BIRTH_DATE = 0x0010, 0x00100030
_IDENTIFIERS = re.compile("(IDs?|Numbers?|Identifier)(ImagingServiceRequest)?$")


class _Kind(Enum):
    NAME = "name of a person"
    PERSONAL = "identifier of a person or an order, or a date"
    PLACE = "identifier of a device or an institution"


def identifiers_of(dataset: Dataset, profile: Profile) -> Identifiers:
    """Collect names, identifiers and dates of a dataset and the items in it, as far as the profile protects them.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.PatientName, dataset.StudyDescription = "Doe^Jane", "CT of Jane"
    >>> sorted(identifiers_of(dataset, Profile.of()).words)
    ['doe', 'doejane', 'jane', 'janedoe']
    """
    found: dict[_Kind, set[str]] = {kind: set() for kind in _Kind}
    for kind, text in _texts(dataset, profile):
        found[kind].add(text)
    return Identifiers.of(found[_Kind.PERSONAL], names=found[_Kind.NAME], places=found[_Kind.PLACE])


def _texts(dataset: Dataset, profile: Profile) -> Iterator[tuple[_Kind, str]]:
    for tag in list(dataset.keys()):
        if tag.is_private:
            continue
        # A file may have a name as plain text.
        vr = intended_vr(int(tag), elements.raw(dataset, tag)[1])
        if vr == "SQ":
            for item in _items(dataset, tag):
                yield from _texts(item, profile)
        elif vr in _SEARCHED and (kind := _kind(int(tag), vr, profile)) is not None:
            for text in elements.texts(dataset, tag):
                if vr in ("DA", "DT"):
                    yield from ((kind, form) for form in date_forms(text))
                else:
                    yield kind, text


def _items(dataset: Dataset, tag: BaseTag) -> Iterable[Dataset]:
    try:
        value = dataset[tag].value
    except Exception:  # pydicom raises whatever the bytes lead it to; the engine removes such an element
        return ()
    return value if isinstance(value, Sequence) else ()


def _kind(tag: int, vr: str, profile: Profile) -> _Kind | None:
    """Return whom an attribute identifies; None if its values are not searched for."""
    if vr == "PN":
        return _Kind.NAME
    if vr in ("DA", "DT"):
        return _Kind.PERSONAL if tag == _BIRTH_DATE or not profile.has(Option.RETAIN_FULL_DATES) else None
    row = row_of(tag)
    if row is None or _DESCRIPTIVE in row.options or profile.action(tag) in _KEPT:
        return None
    is_place = vr == "AE" or not _PLACES.isdisjoint(row.options)
    if not is_place and (tag >> 16 == _PATIENT_GROUP or _IDENTIFIERS.search(keyword_for_tag(tag))):
        return _Kind.PERSONAL
    return _Kind.PLACE
