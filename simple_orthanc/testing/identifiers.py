"""Orthanc's identifiers, computed from DICOM identifiers without a server.

Orthanc makes them of PatientID and of the UIDs down to the object, as it reads them. A PatientID beyond ASCII is read
otherwise where its file names a character set that Orthanc does not know, or none and the server has a DefaultEncoding
other than Latin1: its identifier is then another one than is computed here.
"""

from __future__ import annotations

from typing import Any

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import SelectionError
from simple_orthanc.sources.identity import KEYWORDS, orthanc_id

_PADDING = " \0"


def orthanc_patient_id(patient_id: str) -> str:
    """Return the identifier of a patient in Orthanc.

    Parameters
    ----------
    patient_id : str
        PatientID; "" for images without one.

    Examples
    --------
    >>> orthanc_patient_id("CT-PHANTOM")
    '651040f8-60fc1fe8-9d02ef44-f418294f-cea7bbe5'
    """
    return _hashed(patient_id)


def orthanc_study_id(patient_id: str, study: str) -> str:
    """Return the identifier of a study in Orthanc, from PatientID and StudyInstanceUID.

    Examples
    --------
    >>> orthanc_study_id("EX-003", "1.2.840.1")
    'a842cd70-b6529258-44635b2d-d9ce0920-bac69292'
    """
    return _hashed(patient_id, study)


def orthanc_series_id(patient_id: str, study: str, series: str) -> str:
    """Return the identifier of a series in Orthanc, from PatientID, StudyInstanceUID and SeriesInstanceUID.

    Examples
    --------
    >>> orthanc_series_id("EX-003", "1.2.840.1", "1.2.840.1.2")
    'e4db3a32-a83d5de2-b4625384-e5b5d8f2-909fe8b5'
    """
    return _hashed(patient_id, study, series)


def orthanc_instance_id(patient_id: str, study: str, series: str, instance: str) -> str:
    """Return the identifier of an instance in Orthanc, from PatientID and the three UIDs down to SOPInstanceUID.

    Examples
    --------
    >>> orthanc_instance_id("P1", "1.2", "1.2.3", "1.2.3.4")
    'f2113294-223ca5eb-ca95fa8d-c8d89617-124017e7'
    """
    return _hashed(patient_id, study, series, instance)


def orthanc_id_of(dataset: Dataset, level: Level = "instance") -> str:
    """Return the identifier in Orthanc of the patient, study, series or instance that a dataset belongs to.

    Parameters
    ----------
    dataset : pydicom.Dataset
        A header. PatientID may be missing, which is the same to Orthanc as an empty one; a UID may not.
    level : {"patient", "study", "series", "instance"}
        The level of the object.

    Raises
    ------
    SelectionError
        A UID that the identifier is made of is missing, or there is no such level.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> image = make_series((1, 4, 4), PatientID="CT-PHANTOM")[0]
    >>> orthanc_id_of(image, "patient")
    '651040f8-60fc1fe8-9d02ef44-f418294f-cea7bbe5'
    """
    if level not in LEVELS:
        raise SelectionError(f"There is no level {level!r}; the levels are {', '.join(LEVELS)}.")
    keywords = KEYWORDS[: depth(level) + 1]
    values = [_stored_value(dataset, keyword) for keyword in keywords]
    missing = [keyword for keyword, value in zip(keywords, values, strict=True) if not value and keyword != "PatientID"]
    if missing:
        raise SelectionError(
            f"The dataset has no {missing[0]}, and the identifier of its {level} is made of it: Orthanc refuses to "
            f"store such an object."
        )
    return orthanc_id(values)


def _hashed(*values: str) -> str:
    return orthanc_id([value.rstrip(_PADDING) for value in values])


def _stored_value(dataset: Dataset, keyword: str) -> str:
    """Return the value of an element as Orthanc keeps it: what precedes a NUL, without trailing spaces."""
    element: Any = dataset.get_item(keyword)
    value = None if element is None else element.value
    if isinstance(value, bytes):
        value = _decoded(value, dataset)
    elif isinstance(value, MultiValue | list):
        value = "\\".join(map(str, value))
    return str(value or "").partition("\0")[0].rstrip(_PADDING)


def _decoded(value: bytes, dataset: Dataset) -> str:
    if value.isascii():
        return value.decode("ascii")
    named = dataset.get("SpecificCharacterSet")
    if not named:
        # Orthanc's default, unless its option DefaultEncoding names another.
        return value.decode("latin-1")
    with quiet():
        return decode_bytes(value, convert_encodings(named), set())
