"""The File Meta Information of a de-identified file, which is written anew (DICOM PS3.15, section E.1.1, item 7)."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID

from simple_orthanc.dicom import header as elements

IMPLEMENTATION = "SIMPLE_ORTHANC"
PREAMBLE = bytes(128)


def new_file_meta(dataset: Dataset, transfer_syntax: str) -> FileMetaDataset:
    """Return the File Meta Information of a de-identified dataset, with nothing of the old but the transfer syntax.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "2.25.1"
    >>> new_file_meta(dataset, "1.2.840.10008.1.2.1").MediaStorageSOPInstanceUID
    '2.25.1'
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(elements.text(dataset, "SOPClassUID"))
    meta.MediaStorageSOPInstanceUID = UID(elements.text(dataset, "SOPInstanceUID"))
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = IMPLEMENTATION
    return meta
