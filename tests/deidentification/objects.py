"""Objects with a value in every attribute that Table E.1-1 lists, or that pydicom knows."""

from __future__ import annotations

import io
from typing import Any

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from simple_orthanc.deidentification.table import Row, rows

# In no table, so that what is in its items is judged by itself.
KEPT_SEQUENCE = "ReferencedSeriesSequence"
SECRET = "Quidditch"
TIMEZONE = 0x00080201
# Frame Origin Timestamp and Certified Timestamp, which can be kept, and cannot be moved.
BINARY_TIMES = (0x00340007, 0x04000310)

_VALUES: dict[str, Any] = {
    "AE": "QUIDDITCH",
    "AS": "037Y",
    "AT": 0x00100010,
    "CS": "QUIDDITCH",
    "DA": "19630517",
    "DS": "37.25",
    "DT": "19630517101112",
    "FD": 37.25,
    "FL": 37.25,
    "IS": "4711",
    "OB": b"Quidditch!",
    "OD": b"Quidditch!012345",
    "OF": b"Quidditch!12",
    "OL": b"Quidditch!12",
    "OV": b"Quidditch!123456",
    "OW": b"Quidditch!",
    "PN": "Quidditch^Harry",
    "TM": "101112.5",
    "UI": "1.2.3.4711",
    "UN": b"Quidditch!",
    "UR": "http://quidditch.example",
}


def number_of(row: Row) -> int:
    """Return a tag that a row stands for."""
    if row.pattern == "(gggg,eeee)":
        return 0x00091001
    digits = row.pattern.strip("()").replace(",xxxx", "3000").replace(",", "").replace("xx", "02")
    return int(digits, 16)


def vr_of(tag: int) -> str:
    if tag >> 16 & 1:
        return "LO"
    return "OW" if tag >> 24 in (0x50, 0x60) and tag & 0xFFFF == 0x3000 else dictionary_VR(tag).partition(" ")[0]


def item() -> Dataset:
    """Return an item with something to protect of each kind."""
    made = Dataset()
    made.PatientComments = SECRET
    made.PatientName = f"{SECRET}^Harry"
    made.ReferencedSOPClassUID = CTImageStorage
    made.ReferencedSOPInstanceUID = "1.2.3.4711"
    return made


def put(dataset: Dataset, tag: int) -> None:
    """Put a value into an attribute."""
    vr = vr_of(tag)
    if tag == 0x00091001:
        dataset.add_new(0x00090010, "LO", "QUIDDITCH MAKER")
    if vr == "SQ":
        dataset.add_new(tag, "SQ", [item()])
    elif tag == TIMEZONE:
        dataset.add_new(tag, "SH", "+0100")
    elif tag in BINARY_TIMES:
        dataset.add_new(tag, "OB", b"0123456789")
    else:
        dataset.add_new(
            tag, vr, _VALUES.get(vr, 4711 if vr[0] in "US" and vr not in ("UT", "UC", "ST", "SH") else SECRET)
        )


def every_attribute() -> Dataset:
    """Return a dataset with all attributes of the table, and all of them again in an item of a sequence."""
    dataset, nested = Dataset(), Dataset()
    for row in rows():
        put(dataset, number_of(row))
        put(nested, number_of(row))
    dataset.SOPClassUID = CTImageStorage
    dataset.Modality = "CT"
    setattr(dataset, KEPT_SEQUENCE, [nested])
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.SourceApplicationEntityTitle = "QUIDDITCH"
    dataset.file_meta.ImplementationVersionName = "QUIDDITCH"
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.3.4711"
    dataset.file_meta.PrivateInformation = b"Quidditch!"
    dataset.preamble = b"Quidditch".ljust(128, b"\0")
    return dataset


def written(dataset: Dataset) -> bytes:
    """Return a dataset as a DICOM file."""
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def read(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content))
