"""Identifiers computed without a server are those that each Orthanc gives."""

from __future__ import annotations

import io
from typing import get_args

import pydicom
from pydicom.dataset import Dataset

from simple_orthanc import Orthanc
from simple_orthanc.dicom.levels import Level
from simple_orthanc.testing import as_bytes, make_series, orthanc_id_of

# PatientID as it is in the file, and SpecificCharacterSet.
ODD_VALUES = (
    ("P1", None),
    ("  P1", None),
    ("P1  ", None),
    ("P 1", None),
    ("\tP1\t", None),
    ("P1\n", None),
    ("P1\0", None),
    ("P\x001", None),
    ("   ", None),
    ("A\\B", None),
    (" A \\ B ", None),
    ("A\\", None),
    ("a|b", None),
    ("", None),
    (None, None),
    ("Müller", "ISO_IR 100"),
    ("Müller", None),
    ("Müller 王", "ISO_IR 192"),
    ("Mu\u0308ller", "ISO_IR 192"),
    ("Люк", "ISO_IR 144"),
    ("ﾔﾏﾀﾞ", "ISO_IR 13"),
)
ENCODINGS = {
    None: "latin-1",
    "ISO_IR 100": "latin-1",
    "ISO_IR 192": "utf-8",
    "ISO_IR 144": "iso8859-5",
    "ISO_IR 13": "shift_jis",
}


def image(number: int, patient: str | None, character_set: str | None) -> Dataset:
    (made,) = make_series((1, 2, 2), seed=number, SpecificCharacterSet=character_set)
    del made.PatientID
    if patient is not None:
        # As bytes, which pydicom writes as they are.
        made.add_new("PatientID", "UN", patient.encode(ENCODINGS[character_set]))
        made["PatientID"].VR = "LO"
    return made


def test_odd_patients(orthanc: Orthanc) -> None:
    with pydicom.config.disable_value_validation():
        for number, (patient, character_set) in enumerate(ODD_VALUES):
            content = as_bytes(image(number, patient, character_set))
            answer = orthanc.rest.post("/instances", content)
            stored = [answer["ParentPatient"], answer["ParentStudy"], answer["ParentSeries"], answer["ID"]]
            header = pydicom.dcmread(io.BytesIO(content))
            assert [orthanc_id_of(header, level) for level in get_args(Level)] == stored, (patient, character_set)
