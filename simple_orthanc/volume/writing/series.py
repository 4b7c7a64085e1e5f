"""A volume as a derived series of single-frame images, in the patient, study and frame of reference of its source."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.writing import geometry as places
from simple_orthanc.volume.writing.classes import (
    MR,
    PET,
    SECONDARY_CAPTURE,
    ImageClass,
    choose_class,
    modality_of,
)
from simple_orthanc.volume.writing.decimals import decimal_string
from simple_orthanc.volume.writing.pixels import StoredPixels, stored_pixels
from simple_orthanc.volume.writing.source import (
    Source,
    SourceImage,
    acquisition_equipment,
    copied,
    derived_series_number,
    find_source,
    patient_and_study,
)
from simple_orthanc.volume.writing.units import units_and_rescale
from simple_orthanc.volume.writing.user_tags import check_tags

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simple_orthanc.volume.volume import Volume

_OF_SERIES = (
    "Modality BodyPartExamined Laterality ProtocolName AnatomicalOrientationType FrameOfReferenceUID "
    "PositionReferenceIndicator"
)
_OF_IMAGE = (
    "BurnedInAnnotation RecognizableVisualFeatures LossyImageCompression LossyImageCompressionRatio "
    "LossyImageCompressionMethod AnatomicRegionSequence"
)
# May be empty, but must be there (type 2).
_NEVER_MISSING = (
    "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber ReferringPhysicianName "
    "StudyID SeriesNumber PositionReferenceIndicator"
)
# Rows and Columns are unsigned short.
_MOST_PIXELS = 65535
# So that a selection by the description of the source does not find both.
_SUFFIX = " (derived)"
# The longest values of a short text (ST) and of a long string (LO).
_LONGEST_TEXT, _LONGEST_STRING = 1024, 64


def series_datasets(volume: Volume, like: Any, tags: Mapping[str, Any]) -> list[Dataset]:
    """Return the objects of a derived series, one for each slice; ``Volume.to_dicom`` documents them."""
    _check_shape(volume)
    source = find_source(volume, like)
    given = check_tags(tags, source.header)
    # Values of the source are taken as they are, odd ones too.
    with quiet():
        template = _study_and_series(volume, source, given)
        kind = _kind(volume, template, given, source.header)
        pixels = _pixels(volume, kind)
        _add_class(template, kind, source.header)
        _add_image(template, volume, pixels, kind, source)
        template.update(copy.deepcopy(given))
        _complete(template, kind)
        return _slices(template, volume, pixels, kind, source, given)


def _check_shape(volume: Volume) -> None:
    if len(volume.dims) != 3:
        raise VolumeError(
            f"A series was requested from a 4D volume with {volume.shape[0]} steps along {volume.dims[0]!r}: write "
            "each step by itself, such as volume[0].to_dicom(SeriesDescription=...)."
        )
    shape, dtype = volume.shape, volume.array.dtype
    if volume.is_colour and (shape[3:] != (3,) or dtype not in (np.uint8, np.uint16)):
        raise VolumeError(
            f"A series was requested from a volume of shape {shape} and type {dtype}: colour is (slice, row, column, "
            "3) of uint8 or uint16."
        )
    if 0 in shape or max(shape[1:3]) > _MOST_PIXELS or volume.array.ndim > 4:
        raise VolumeError(
            f"A series was requested from a volume of shape {shape}: a slice has 1 to {_MOST_PIXELS} rows and columns."
        )
    grid = volume.geometry
    if grid is not None:
        if tuple(grid.size) != shape[2::-1]:
            raise VolumeError(
                f"A series was requested from a volume of shape {shape} whose geometry is of size {tuple(grid.size)} "
                "(columns, rows, slices): make it with Volume(array, geometry, header) of one size."
            )
        places.check_grid(grid)


def _study_and_series(volume: Volume, source: Source, given: Dataset) -> Dataset:
    """Return patient, study and series as far as they are known before the class of the objects is."""
    template = patient_and_study(source.header)
    template.update(copied(source.header, _OF_SERIES.split()))
    number = derived_series_number(source.header)
    if number is not None:
        template.SeriesNumber = number
    template.update(copy.deepcopy(given))
    if not source.is_known:
        missing = [keyword for keyword in ("PatientID", "Modality") if not elements.texts(template, keyword)]
        if missing:
            given_so = ", ".join(f'{keyword}="..."' for keyword in missing)
            raise VolumeError(
                "A series was requested from a volume that came without a study, so nothing is known of its patient. "
                f"Name its source with like=, a volume or a session; or give {given_so}, and PatientName, "
                "StudyInstanceUID and other tags as you know them."
            )
    template.Modality = modality_of(template)
    if volume.geometry is None and "FrameOfReferenceUID" in template:
        del template.FrameOfReferenceUID
    return template


def _kind(volume: Volume, template: Dataset, given: Dataset, header: Dataset) -> ImageClass:
    known = copied(header, (*MR.required, *PET.required))
    known.update(given)
    known.Modality = template.Modality
    is_grey = not (volume.is_colour or _is_mask(volume))
    return choose_class(known, volume.units, is_grey=is_grey, has_position=volume.geometry is not None)


def _is_mask(volume: Volume) -> bool:
    return volume.array.dtype == bool or volume.units in ("label", "mask")


def _is_inverted(volume: Volume) -> bool:
    return elements.text(volume.header, "PhotometricInterpretation") == "MONOCHROME1" and not _is_mask(volume)


def _pixels(volume: Volume, kind: ImageClass) -> StoredPixels:
    array = volume.array
    if volume.is_colour:
        return StoredPixels(array)
    # The background of a mask is no padding, but the value 0.
    mask = None if _is_mask(volume) else volume.padding_mask
    return stored_pixels(array, mask, narrow=kind.narrow, through_zero=kind.through_zero)


def _add_class(template: Dataset, kind: ImageClass, header: Dataset) -> None:
    """Add what the class of the objects holds of the acquisition."""
    template.SOPClassUID = kind.uid
    template.ImageType = list(kind.image_type)
    template.update(copied(header, (*kind.required, *kind.known_or_empty, *kind.optional)))
    if kind is SECONDARY_CAPTURE:
        template.ConversionType = "WSD"
    elif kind is PET and elements.text(header, "SeriesType") == "DYNAMIC":
        template.NumberOfTimeSlices = 1


def _add_image(template: Dataset, volume: Volume, pixels: StoredPixels, kind: ImageClass, source: Source) -> None:
    """Add what all slices have in common: equipment, geometry, pixels, units, and how they were made."""
    header = source.header
    template.SpecificCharacterSet = "ISO_IR 192"
    template.update(copied(header, _OF_IMAGE.split()))
    template.Manufacturer, template.ManufacturerModelName = "simple_orthanc", "simple_orthanc"
    equipment = acquisition_equipment(header)
    if equipment:
        template.ContributingEquipmentSequence = equipment
    description = elements.text(header, "SeriesDescription")
    kept = _plain(description)[: _LONGEST_STRING - len(_SUFFIX)]
    template.SeriesDescription = kept + _SUFFIX if kept else "derived"
    template.DerivationDescription = _derivation(volume)
    _add_pixel_format(template, volume, pixels, kind)
    for keyword, value in _plane(volume, kind, source).items():
        setattr(template, keyword, value)
    if not volume.is_colour:
        for keyword, value in units_and_rescale(pixels, volume.units, kind, volume.suv).items():
            setattr(template, keyword, value)


def _plain(text: str) -> str:
    """Replace what a string of a header cannot hold."""
    return "".join(character if character.isprintable() and character != "\\" else " " for character in text)


def _derivation(volume: Volume) -> str:
    text = _plain("; ".join(volume.log)) or "derived by simple_orthanc"
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 3] + "..."


def _add_pixel_format(template: Dataset, volume: Volume, pixels: StoredPixels, kind: ImageClass) -> None:
    stored = pixels.array
    template.Rows, template.Columns = stored.shape[1:3]
    template.SamplesPerPixel = 3 if volume.is_colour else 1
    template.PhotometricInterpretation = "RGB" if volume.is_colour else "MONOCHROME2"
    if volume.is_colour:
        template.PlanarConfiguration = 0
    elif _is_inverted(volume) and kind is not PET:
        template.PhotometricInterpretation = "MONOCHROME1"
    template.BitsAllocated = template.BitsStored = 8 * stored.dtype.itemsize
    template.HighBit = template.BitsStored - 1
    template.PixelRepresentation = int(stored.dtype.kind == "i")
    if pixels.padding is not None:
        vr = "SS" if template.PixelRepresentation else "US"
        template.add_new("PixelPaddingValue", vr, pixels.padding[0])
        if pixels.padding[1] != pixels.padding[0]:
            template.add_new("PixelPaddingRangeLimit", vr, pixels.padding[1])


def _plane(volume: Volume, kind: ImageClass, source: Source) -> dict[str, Any]:
    if volume.geometry is None:
        return {}
    plane = places.common_plane(volume.geometry)
    # Not as it reads: a string may be longer than a header allows, or have a comma.
    thickness = elements.number_or_none(source.header, "SliceThickness")
    if source.grid_is_same and thickness:
        plane["SliceThickness"] = decimal_string(thickness)
    if kind is SECONDARY_CAPTURE:
        # Where GDCM, and so SimpleITK, looks for the spacing of a Secondary Capture.
        plane["NominalScannedPixelSpacing"] = plane["PixelSpacing"]
    return plane


def _complete(template: Dataset, kind: ImageClass) -> None:
    """Add the attributes that must be there without a value."""
    for keyword in (*_NEVER_MISSING.split(), *kind.known_or_empty):
        if keyword not in template:
            setattr(template, keyword, [] if keyword.endswith("Sequence") else "")


def _slices(
    template: Dataset, volume: Volume, pixels: StoredPixels, kind: ImageClass, source: Source, given: Dataset
) -> list[Dataset]:
    """Return the object of each slice, with UIDs that follow from all that is in them."""
    grid, count = volume.geometry, len(pixels.array)
    references = [source.references(volume, index) for index in range(count)]
    positions = [None if grid is None else places.slice_position(grid, index) for index in range(count)]
    entropy = _entropy(template, pixels.array, [references, positions])
    generated = ("StudyInstanceUID", "SeriesInstanceUID", *(() if grid is None else ("FrameOfReferenceUID",)))
    for keyword in generated:
        if not elements.texts(template, keyword) or (keyword == "SeriesInstanceUID" and keyword not in given):
            setattr(template, keyword, _uid(entropy, keyword))
    result = []
    for index in range(count):
        dataset = copy.deepcopy(template)
        dataset.SOPInstanceUID = _uid(entropy, str(index))
        dataset.InstanceNumber = index + 1
        if positions[index] is not None:
            dataset.ImagePositionPatient = positions[index]
        if kind is PET:
            dataset.ImageIndex, dataset.NumberOfSlices = index + 1, count
        if references[index]:
            dataset.SourceImageSequence = [_reference(image) for image in references[index]]
        _set_pixels(dataset, pixels.array[index])
        result.append(_with_file_meta(dataset))
    return result


def _entropy(template: Dataset, array: NDArray[Any], rest: Any) -> str:
    """Return a digest of all that makes a series, so that the same series has the same UIDs.

    An upload that was interrupted can so be run again: what is stored already is not stored twice.
    """
    digest = hashlib.sha256(repr((array.shape, array.dtype.str, rest)).encode())
    for element in template.iterall():
        value = "" if element.VR == "SQ" else repr(element.value)
        digest.update(f"{element.tag} {element.VR} {value};".encode(errors="surrogateescape"))
    for part in array:
        digest.update(part.tobytes())
    return digest.hexdigest()


def _uid(*entropy: str) -> str:
    return str(generate_uid(entropy_srcs=["simple_orthanc", *entropy]))


def _reference(image: SourceImage) -> Dataset:
    """Return an item of Source Image Sequence (PS3.3 C.7.6.1, table 10-3)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.sop_class, image.uid
    if image.frame is not None:
        item.ReferencedFrameNumber = image.frame
    return item


def _set_pixels(dataset: Dataset, stored: NDArray[Any]) -> None:
    content = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).tobytes()
    vr = "OB" if stored.dtype.itemsize == 1 else "OW"
    dataset.add(DataElement(0x7FE00010, vr, content + b"\0" * (len(content) % 2)))


def _with_file_meta(dataset: Dataset) -> Dataset:
    """Add the file meta information (PS3.10 section 7.1), so that ``dataset.save_as(path)`` writes a DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    return dataset
