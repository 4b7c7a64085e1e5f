"""The patient and the study of a header, for objects that are added to them."""

from __future__ import annotations

from copy import deepcopy

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.levels import level_of_keyword
from simple_orthanc.dicom.silence import quiet

UTF_8 = "ISO_IR 192"

# Of type 2: present in every object, if only without a value (PS3.3 C.7.1.1 and C.7.2.1).
_ALWAYS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_STRINGS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")


def patient_and_study(header: Dataset) -> Dataset:
    """Return what a header says of its patient and its study, in UTF-8.

    Parameters
    ----------
    header : pydicom.Dataset
        In any character set; it is not changed.

    Returns
    -------
    pydicom.Dataset
        The attributes that DICOM defines for patient and study as they are, those of type 2 also where they are
        missing, and SpecificCharacterSet.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> header = make_series((1, 4, 4), PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100")[0]
    >>> copied = patient_and_study(header)
    >>> str(copied.PatientName), copied.SpecificCharacterSet, "SeriesInstanceUID" in copied
    ('Müller^Jörg', 'ISO_IR 192', False)
    """
    copied = Dataset()
    with quiet():
        copied.SpecificCharacterSet = UTF_8
        for keyword in _ALWAYS:
            setattr(copied, keyword, "")
        for tag in sorted(header.keys()):
            keyword = keyword_for_tag(tag)
            if level_of_keyword(keyword) not in ("patient", "study"):
                continue
            if dictionary_VR(keyword) in _STRINGS:
                setattr(copied, keyword, elements.texts(header, tag))
            else:
                element = deepcopy(header[tag])
                _decode(element)
                copied.add(element)
    return copied


def _decode(element: DataElement) -> None:
    """Turn the bytes inside of a sequence into strings, while their character set is known."""
    if element.VR == "SQ":
        for item in element.value:
            for _ in item.iterall():
                pass
