"""Elements that are copied unread are written and converted as in the dataset that they come from."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.copying import without_elements


def read_again(dataset: Dataset, *, implicit: bool) -> Dataset:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=True)
    buffer.seek(0)
    syntax = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
    again = pydicom.dcmread(buffer, force=True)
    assert again.original_encoding == (implicit, True), syntax
    return again


def copied(dataset: Dataset) -> Dataset:
    empty = without_elements(dataset)
    for element in elements.stored_elements(dataset).values():
        elements.store(empty, element)
    assert isinstance(elements.stored_elements(empty)[elements.tag_of("PatientName")], RawDataElement)
    return empty


@pytest.mark.parametrize("implicit", [True, False])
def test_characters_and_ambiguous_values_survive(implicit: bool) -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Müller^Änne"
    dataset.PixelRepresentation = 1
    dataset.SmallestImagePixelValue = -5
    copy = copied(read_again(dataset, implicit=implicit))
    assert copy.PatientName == "Müller^Änne"
    again = read_again(copy, implicit=implicit)
    assert again.PatientName == "Müller^Änne"
    assert again.SmallestImagePixelValue == -5
