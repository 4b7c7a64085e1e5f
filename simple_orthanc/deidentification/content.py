"""Content items of structured reports (DICOM PS3.3, section C.17.3), as far as they are treated by what they mean.

Table E.3.4-1 of PS3.15 lists the concepts by which the Clean Structured Content Option tells content items apart. Here
they are told apart by their kind, which is stricter: codes, numbers, coordinates and references stay, all text is
replaced, or cleaned with the Clean Descriptors Option, and names, dates and UIDs are treated as Table E.1-1 has them.
Who the subject is, is removed, with the date of birth, which no option retains; so is what describes the patient,
unless patient characteristics are retained.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from simple_orthanc.deidentification.dates import OLDEST
from simple_orthanc.dicom import header as elements

CONTENT_SEQUENCE = 0x0040A730

# Subject Sex and Age, and Patient Height, Weight, Body Mass Index and Body Surface Area (PS3.16, TID 1007 and others).
_CHARACTERISTICS = frozenset(
    {
        ("121032", "DCM"),
        ("121033", "DCM"),
        ("8302-2", "LN"),
        ("29463-7", "LN"),
        ("3141-9", "LN"),
        ("39156-5", "LN"),
        ("8277-6", "LN"),
        ("50373000", "SCT"),
        ("27113001", "SCT"),
        ("60621009", "SCT"),
        ("301898006", "SCT"),
    }
)
_AGE = ("121033", "DCM")
# Of UCUM; of any other, and without one, an age counts as years.
_SHORT_UNITS = frozenset({"d", "h", "min", "mo", "mo_g", "mo_j", "mo_s", "wk"})
# Subject Name, ID and Birth Date (PS3.16, TID 1007), and Birth Date.
_IDENTITY = frozenset({("121029", "DCM"), ("121030", "DCM"), ("121031", "DCM"), ("21112-8", "LN")})


def is_characteristic(item: Dataset) -> bool:
    """Check whether an item of a sequence is a content item that describes the patient.

    Examples
    --------
    >>> concept = Dataset()
    >>> concept.CodeValue, concept.CodingSchemeDesignator = "121033", "DCM"
    >>> item = Dataset()
    >>> item.ConceptNameCodeSequence = [concept]
    >>> is_characteristic(item), is_characteristic(concept)
    (True, False)
    """
    return not _CHARACTERISTICS.isdisjoint(_concepts(item))


def names_the_subject(item: Dataset) -> bool:
    """Check whether an item of a sequence is a content item that says who the patient is, or was born when.

    Examples
    --------
    >>> concept = Dataset()
    >>> concept.CodeValue, concept.CodingSchemeDesignator = "121031", "DCM"
    >>> item = Dataset()
    >>> item.ConceptNameCodeSequence = [concept]
    >>> names_the_subject(item)
    True
    """
    return not _IDENTITY.isdisjoint(_concepts(item))


def is_high_age(item: Dataset) -> bool:
    """Check whether an item of a sequence is a content item with an age of the patient over 89 years.

    Examples
    --------
    >>> concept, measured, item = Dataset(), Dataset(), Dataset()
    >>> concept.CodeValue, concept.CodingSchemeDesignator = "121033", "DCM"
    >>> measured.NumericValue = "94"
    >>> item.ConceptNameCodeSequence, item.MeasuredValueSequence = [concept], [measured]
    >>> is_high_age(item)
    True
    """
    if _AGE not in _concepts(item):
        return False
    return any(
        (elements.number_or_none(measured, "NumericValue") or 0) > OLDEST
        and not any(
            elements.text(unit, "CodeValue") in _SHORT_UNITS
            for unit in elements.items(measured, "MeasurementUnitsCodeSequence")
        )
        for measured in elements.items(item, "MeasuredValueSequence")
    )


def _concepts(item: Dataset) -> list[tuple[str, str]]:
    try:
        return [
            (str(concept.get("CodeValue", "")), str(concept.get("CodingSchemeDesignator", "")))
            for concept in item.get("ConceptNameCodeSequence") or ()
        ]
    except Exception:  # pydicom raises whatever the bytes lead it to; the engine removes such a sequence
        return []
