"""File Meta Information is written anew."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from simple_orthanc.deidentification.file_meta import PREAMBLE, new_file_meta


def test_it_names_the_object_and_the_transfer_syntax() -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "2.25.7"
    meta = new_file_meta(dataset, ExplicitVRLittleEndian)
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (dataset.SOPClassUID, "2.25.7")
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert meta.ImplementationVersionName == "SIMPLE_ORTHANC"
    assert not any(PREAMBLE)


def test_an_object_without_identifiers_has_empty_ones() -> None:
    meta = new_file_meta(Dataset(), ExplicitVRLittleEndian)
    assert meta.MediaStorageSOPInstanceUID == ""
