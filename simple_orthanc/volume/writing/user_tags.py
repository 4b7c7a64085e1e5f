"""The tags that a user gives for a derived series, checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import SelectionError
from simple_orthanc.volume.writing.decimals import decimal_string
from simple_orthanc.volume.writing.source import is_of_study

# What follows from the volume itself.
_FROM_VOLUME = (
    "SOPClassUID SOPInstanceUID InstanceNumber SpecificCharacterSet NumberOfFrames Rows Columns SamplesPerPixel "
    "PhotometricInterpretation PlanarConfiguration BitsAllocated BitsStored HighBit PixelRepresentation PixelData "
    "FloatPixelData DoubleFloatPixelData PixelPaddingValue PixelPaddingRangeLimit ImagePositionPatient "
    "ImageOrientationPatient PixelSpacing NominalScannedPixelSpacing SpacingBetweenSlices NumberOfSlices ImageIndex "
    "SourceImageSequence RealWorldValueMappingSequence ModalityLUTSequence RescaleSlope RescaleIntercept "
    "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence SegmentSequence SegmentationType "
    "SegmentationFractionalType MaximumFractionalValue SegmentsOverlap EncapsulatedDocument "
    "EncapsulatedDocumentLength MIMETypeOfEncapsulatedDocument"
)
# Groups of messages (PS3.7) and of the file meta information (PS3.10 section 7.1).
_NOT_OF_OBJECTS = (0x0000, 0x0002)
_UNITS = ("RescaleType", "Units", "SUVType")


def check_tags(tags: Mapping[str, Any], source: Dataset) -> Dataset:
    """Return the tags of a user as elements.

    Parameters
    ----------
    tags : mapping
        Keyword to value; None is an empty value.
    source : pydicom.Dataset
        Header of the source; empty if none is known.

    Raises
    ------
    UnknownTagError
        There is no such keyword; the message lists close ones.
    SelectionError
        A value is none of its tag; a tag follows from the volume itself; or it belongs to the patient or the study, and
        the source has another value.

    Examples
    --------
    >>> int(check_tags({"SeriesNumber": 7}, Dataset()).SeriesNumber)
    7
    """
    result = Dataset()
    for keyword, value in tags.items():
        tag = parse_tag(keyword)
        if tag.keyword != keyword:
            raise SelectionError(f"{keyword!r} was given as a tag, where keywords such as SeriesDescription are known.")
        _check_is_free(keyword)
        element = _element(keyword, value)
        _check_is_derived(element, source)
        if is_of_study(keyword) or keyword == "FrameOfReferenceUID":
            _check_agrees(element, source)
        result.add(element)
    return result


def _check_is_free(keyword: str) -> None:
    if keyword in _UNITS:
        raise SelectionError(
            f"{keyword} was given, but it follows from the units of the volume: set them with "
            'volume.with_array(volume.array, units="...").'
        )
    if elements.tag_of(keyword) >> 16 in _NOT_OF_OBJECTS:
        raise SelectionError(
            f"{keyword} was given, which belongs to a message or a file and not to an object: leave it out."
        )
    if keyword in _FROM_VOLUME.split():
        raise SelectionError(
            f"{keyword} was given, but it follows from the voxels, the geometry or the source of the volume. Leave it "
            "out, or set it in the datasets that to_dicom() returns."
        )


def _check_is_derived(element: DataElement, source: Dataset) -> None:
    given = elements.text(_with(element), element.keyword)
    if element.keyword == "ImageType" and given != "DERIVED":
        raise SelectionError(f"ImageType={element.value!r} was given, but what was computed begins with DERIVED.")
    if element.keyword == "SeriesInstanceUID" and given == elements.text(source, element.keyword) != "":
        raise SelectionError(
            "SeriesInstanceUID was given, but it is that of the source, whose images a derived series does not join: "
            "leave it out for a new one."
        )


def _element(keyword: str, value: Any) -> DataElement:
    vr = dictionary_VR(keyword)
    if vr == "DS" and not isinstance(value, str) and value is not None:
        several = isinstance(value, Sequence)
        value = [_decimal(one) for one in value] if several else _decimal(value)
    if isinstance(value, tuple):
        value = list(value)
    try:
        if vr == "SQ":
            value = Items(value or [])
        elif value is None:
            value = ""
        return DataElement(elements.tag_of(keyword), vr, value, validation_mode=config.RAISE)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise SelectionError(f"{keyword}={value!r} was given, which VR {vr} cannot hold: {error}") from error


def _decimal(value: Any) -> Any:
    return decimal_string(value) if isinstance(value, int | float) else value


def _check_agrees(element: DataElement, source: Dataset) -> None:
    """Refuse a value that the source contradicts; a source without a study contradicts only what it has."""
    keyword = element.keyword
    mine, theirs = (elements.read_value(dataset, parse_tag(keyword)) for dataset in (_with(element), source))
    if mine == theirs or (theirs is None and not elements.texts(source, "StudyInstanceUID")):
        return
    held = "another value" if theirs else "no value"
    raise SelectionError(
        f"{keyword} was given, but the source of the volume has {held} of it, and a "
        f"derived series belongs to the patient and the study of its source. Leave {keyword} out, or change the study."
    )


def _with(element: DataElement) -> Dataset:
    dataset = Dataset()
    dataset.add(element)
    return dataset
