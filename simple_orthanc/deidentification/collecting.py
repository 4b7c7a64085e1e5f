"""The identifiers that an object holds in the attributes which its profile removes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from simple_orthanc.deidentification.cleaning import Identifiers, date_forms, name_parts
from simple_orthanc.deidentification.profile import Action, Option, Profile
from simple_orthanc.deidentification.table import row_of
from simple_orthanc.dicom import header as elements

# Attributes of these VRs hold identifiers whole.
_WHOLE = frozenset({"AE", "LO", "SH", "UC", "UR"})
_SEARCHED = _WHOLE | {"PN", "DA", "DT"}
_KEPT = (Action.KEEP, Action.CLEAN)
# What describes rather than identifies has an action for this option.
_DESCRIPTIVE = Option.CLEAN_DESCRIPTORS.value


def identifiers_of(dataset: Dataset, profile: Profile) -> Identifiers:
    """Collect names, identifiers and dates of a dataset and the items in it, as far as the profile protects them.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.PatientName, dataset.StudyDescription = "Doe^Jane", "CT of Jane"
    >>> sorted(identifiers_of(dataset, Profile.of()).words)
    ['doe', 'doejane', 'jane', 'janedoe']
    """
    return Identifiers.of(_texts(dataset, profile))


def _texts(dataset: Dataset, profile: Profile) -> Iterator[str]:
    for tag in list(dataset.keys()):
        if tag.is_private:
            continue
        vr = elements.raw(dataset, tag)[1]
        if vr == "SQ":
            for item in _items(dataset, tag):
                yield from _texts(item, profile)
        elif vr in _SEARCHED:
            yield from _of_element(int(tag), vr, elements.texts(dataset, tag), profile)


def _items(dataset: Dataset, tag: BaseTag) -> Iterable[Dataset]:
    try:
        value = dataset[tag].value
    except Exception:  # pydicom raises whatever the bytes lead it to; the engine removes such an element
        return ()
    return value if isinstance(value, Sequence) else ()


def _of_element(tag: int, vr: str, values: Iterable[str], profile: Profile) -> Iterator[str]:
    if vr == "PN":
        for name in values:
            yield from name_parts(name)
    elif vr in ("DA", "DT"):
        if tag == 0x00100030 or not profile.has(Option.RETAIN_FULL_DATES):
            for date in values:
                yield from date_forms(date)
    elif vr in _WHOLE:
        row = row_of(tag)
        if row is not None and _DESCRIPTIVE not in row.options and profile.action(tag) not in _KEPT:
            yield from values
