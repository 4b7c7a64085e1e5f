"""Content items of structured reports (DICOM PS3.3, section C.17.3), as far as they are treated by what they mean.

Table E.3.4-1 of PS3.15 lists the concepts by which the Clean Structured Content Option tells content items apart. Here
they are told apart by their kind, which is stricter: codes, numbers, coordinates and references stay, all text is
replaced, or cleaned with the Clean Descriptors Option, and names, dates and UIDs are treated as Table E.1-1 has them.
What describes the patient is removed, unless patient characteristics are retained.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

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
    try:
        concepts = item.get("ConceptNameCodeSequence") or ()
        return any(
            (str(concept.get("CodeValue", "")), str(concept.get("CodingSchemeDesignator", ""))) in _CHARACTERISTICS
            for concept in concepts
        )
    except Exception:  # pydicom raises whatever the bytes lead it to; the engine removes such a sequence
        return False
