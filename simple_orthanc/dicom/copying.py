"""Copies of datasets whose elements are not converted yet, and that read and write them as the original does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

Kind = TypeVar("Kind", bound=Dataset)


def without_elements(dataset: Dataset) -> Dataset:
    """Return an empty dataset with the encoding of another, for elements that were not converted yet.

    Elements that are copied into it are written as the bytes that they were, in the character set in which they were
    read, and those of an ambiguous VR are converted as they would be in the other dataset.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.set_original_encoding(True, True)
    >>> without_elements(dataset).original_encoding
    (True, True)
    """
    empty = Dataset(parent_encoding=dataset._parent_encoding)
    is_implicit, is_little = dataset.original_encoding
    empty.set_original_encoding(is_implicit, is_little, dataset.original_character_set)
    if hasattr(dataset, "_pixel_rep"):
        empty._pixel_rep = dataset._pixel_rep
    empty.is_undefined_length_sequence_item = dataset.is_undefined_length_sequence_item
    return empty


def shallow_copy(dataset: Dataset) -> Dataset:
    """Return a dataset with the same elements, in which they can be converted while the other one stays as it is.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.PatientID = "4711"
    >>> copy = shallow_copy(dataset)
    >>> del copy.PatientID
    >>> dataset.PatientID
    '4711'
    """
    copy = without_elements(dataset)
    copy._dict.update(dataset._dict)
    for tag, element in dataset._dict.items():
        # Where its value is in the file still, only the dataset itself can read it.
        if isinstance(element, RawDataElement) and element.value is None and element.length:
            copy._dict[tag] = dataset[tag]
    return copy


class Prototype(Generic[Kind]):
    """Makes datasets with the attributes of one that was just read.

    Constructing a dataset takes longer than reading its elements.

    Parameters
    ----------
    dataset : Dataset
        A dataset that was read, and not used yet.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.set_original_encoding(True, True)
    >>> prototype = Prototype(dataset)
    >>> dataset.PatientID = "4711"
    >>> other = prototype.with_elements({})
    >>> len(other), other.original_encoding
    (0, (True, True))
    """

    def __init__(self, dataset: Kind) -> None:
        self._kind = type(dataset)
        attributes = {name: value for name, value in vars(dataset).items() if name != "_dict"}
        # Dictionaries are copied, since using a dataset fills them, such as that of its private blocks.
        self._fillable = {name: value.copy() for name, value in attributes.items() if isinstance(value, dict)}
        self._attributes = {name: value for name, value in attributes.items() if name not in self._fillable}

    def with_elements(self, elements: Mapping[BaseTag, DataElement | RawDataElement], **attributes: Any) -> Kind:
        """Return a dataset with these elements and attributes."""
        dataset = self._kind.__new__(self._kind)
        # Setting single attributes would look up each among the keywords of DICOM.
        vars(dataset).update(self._attributes)
        vars(dataset).update({name: value.copy() for name, value in self._fillable.items()})
        vars(dataset).update(attributes, _dict=elements)
        return dataset
