"""Which tags an index of an archive holds, and at which level: the same for every source, so that answers agree.

They are what the database of every Orthanc since 1.4.2 keeps at the level where DICOM puts it. One value speaks for a
whole study or series there, so nothing that DICOM puts into the image is held above the instance.
"""

from __future__ import annotations

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import TEXT_VRS, Tag, parse_tag

_PATIENT = ("0010,0010", "0010,0020", "0010,0030", "0010,0040")

# As Orthanc writes them. A study's row holds what it says of its patient.
NUMBERS: dict[Level, tuple[str, ...]] = {
    "patient": _PATIENT,
    "study": (
        *_PATIENT,
        *("0008,0020", "0008,0030", "0008,0050", "0008,0080", "0008,0090", "0008,1030", "0020,000d", "0020,0010"),
        *("0032,1032", "0032,1060"),
    ),
    "series": (
        *("0008,0021", "0008,0031", "0008,0060", "0008,0070", "0008,1010", "0008,103e", "0008,1070", "0018,0015"),
        *("0018,1030", "0020,000e", "0020,0011", "0040,0254", "0054,1000"),
    ),
    "instance": (
        *("0008,0012", "0008,0013", "0008,0018", "0020,0012", "0020,0013", "0020,0032", "0020,0037", "0020,0100"),
        *("0028,0008", "0054,1330"),
    ),
}

# The tags of the rows of each level, by number; patients have no rows of their own.
BY_NUMBER: dict[Level, dict[str, Tag]] = {
    level: {number: parse_tag(number) for number in numbers} for level, numbers in NUMBERS.items() if level != "patient"
}
LEVEL_OF: dict[str, Level] = {tag.name: level for level, tags in BY_NUMBER.items() for tag in tags.values()}


def can_be_searched(tag: Tag) -> bool:
    """Say whether rows are searched for by a tag: what a text means for it is decided by the whole archive.

    Orthanc refuses wildcards on UI, and would compare dates and numbers as texts.

    Examples
    --------
    >>> [can_be_searched(parse_tag(name)) for name in ("PatientName", "StudyDate", "SOPInstanceUID", "KVP")]
    [True, False, True, False]
    """
    if tag.name == "SOPInstanceUID":
        return True
    return LEVEL_OF.get(tag.name) in ("study", "series") and tag.vr in TEXT_VRS | {"CS", "UI"}
