"""What a derived series takes from its source: the patient, the study, and references to the images themselves."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.levels import level_of_keyword
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import AmbiguousSelectionError, VolumeError
from simple_orthanc.volume.common_space import check_common_space, space_of
from simple_orthanc.volume.writing.geometry import crossed_slices

if TYPE_CHECKING:
    from simple_orthanc.volume.volume import Volume

# Computed by archives; no object holds them.
_COMPUTED = ("ModalitiesInStudy", "SOPClassesInStudy")
_ACQUISITION_EQUIPMENT = ("109101", "DCM", "Acquisition Equipment")
# SeriesNumber of what is derived is that of the images and this, where the user gives none.
_SERIES_NUMBER = 1000
# Of the value representation IS (PS3.5 6.2).
_LARGEST_NUMBER = 2**31 - 1
REGISTERED = "If it was registered to the source, say so with dataclasses.replace(volume, header=like.header)."
_EQUIPMENT = "Manufacturer InstitutionName StationName ManufacturerModelName DeviceSerialNumber SoftwareVersions"


@dataclass(frozen=True)
class SourceImage:
    """One frame that a volume was derived from.

    Attributes
    ----------
    sop_class, uid : str
        SOPClassUID and SOPInstanceUID.
    frame : int or None
        Its number in an object of several frames, from 1.
    position : tuple of three floats or None
        ImagePositionPatient, mm.
    """

    sop_class: str
    uid: str
    frame: int | None = None
    position: Sequence[float] | None = None


@dataclass(frozen=True)
class Source:
    """The images that a volume was derived from.

    Attributes
    ----------
    header : pydicom.Dataset
        Of the first of them; empty if none is known.
    images : mapping of int to list of SourceImage
        By the number of the slice; of a 4D volume those of all steps.
    grid_is_same : bool
        Whether the slices of the volume are these slices.
    """

    header: Dataset
    images: dict[int, list[SourceImage]]
    grid_is_same: bool

    @property
    def is_known(self) -> bool:
        """Whether there is a study that the volume belongs to."""
        return bool(elements.text(self.header, "StudyInstanceUID"))

    def references(self, volume: Volume, index: int) -> list[SourceImage]:
        """List the images that a slice of a volume was derived from."""
        if self.grid_is_same:
            return self.images.get(index, [])
        slices = [self.images[number] for number in sorted(self.images)]
        positions = [images[0].position for images in slices]
        known = [position for position in positions if position is not None]
        if volume.geometry is not None and len(known) == len(slices) and len({tuple(each) for each in known}) > 1:
            slices = [slices[number] for number in crossed_slices(volume.geometry, index, known)]
        return [image for images in slices for image in images]


def find_source(volume: Volume, like: Any) -> Source:
    """Find what a volume was derived from.

    Parameters
    ----------
    volume : Volume
    like : Volume, pydicom.Dataset, session or None
        None: what the volume itself was read from.

    Raises
    ------
    VolumeError
        `like` is something else, of another patient, or in another frame of reference.
    AmbiguousSelectionError
        The session has images of several series selected.
    """
    if like is None:
        return _of_volume(volume, grid_is_same=True)
    source = _named(volume, like)
    own = space_of(volume)
    # What has no position is in no frame of reference.
    own = own if volume.geometry is not None else replace(own, frame="")
    check_common_space(own, source.header, "The volume", "the source that like= names", REGISTERED)
    return source


def _named(volume: Volume, like: Any) -> Source:
    if isinstance(like, Dataset):
        return Source(like, _of_header(like), grid_is_same=False)
    if isinstance(getattr(like, "header", None), Dataset):
        same = volume.geometry is not None and like.geometry is not None and volume.geometry.isclose(like.geometry)
        return _of_volume(like, grid_is_same=same)
    if callable(getattr(like, "get_headers", None)):
        return _of_headers(like.get_headers())
    raise VolumeError(
        f"like={type(like).__name__} was given: it can be a Volume, a pydicom Dataset, or a session on one series."
    )


def _of_volume(volume: Volume, *, grid_is_same: bool) -> Source:
    header, table = volume.header, volume.slices
    if table is None:
        table, grid_is_same = volume.sources, False
    if table is None:
        return Source(header, _of_header(header), grid_is_same)
    sop_class = elements.text(header, "SOPClassUID")
    images: dict[int, list[SourceImage]] = {}
    several = elements.frame_count(header) > 1
    frames = table["frame"] if several and "frame" in table else [None] * len(table)
    positions = table["position"] if "position" in table else [None] * len(table)
    for number, uid, frame, position in zip(table.index, table["SOPInstanceUID"], frames, positions, strict=True):
        known = position if isinstance(position, tuple) else None
        image = SourceImage(sop_class, str(uid), None if frame is None else int(frame), known)
        images.setdefault(int(number), []).append(image)
    return Source(header, images, grid_is_same)


def _of_header(header: Dataset) -> dict[int, list[SourceImage]]:
    uid = elements.text(header, "SOPInstanceUID")
    return {0: [SourceImage(elements.text(header, "SOPClassUID"), uid)]} if uid else {}


def _of_headers(headers: Sequence[Dataset]) -> Source:
    series = {elements.text(header, "SeriesInstanceUID") for header in headers}
    if len(series) > 1:
        raise AmbiguousSelectionError(
            f"like= is a session with {len(series)} series selected: narrow it to the one that the values were derived "
            "from, with select(SeriesInstanceUID=...).",
            candidates=tuple(sorted(series)),
        )
    images = {}
    for number, header in enumerate(headers):
        position = elements.numbers_or_empty(header, "ImagePositionPatient")
        known = tuple(position) if len(position) == 3 and elements.frame_count(header) == 1 else None
        kind, uid = (elements.text(header, keyword) for keyword in ("SOPClassUID", "SOPInstanceUID"))
        images[number] = [SourceImage(kind, uid, position=known)]
    return Source(headers[0], images, grid_is_same=False)


def derived_series_number(header: Dataset) -> int | None:
    """Return the SeriesNumber of what is derived from a series, behind the originals; None if that has no number.

    Parameters
    ----------
    header : pydicom.Dataset
        A header of the source.

    Examples
    --------
    >>> source = Dataset()
    >>> source.SeriesNumber = 4
    >>> derived_series_number(source)
    1004
    """
    number = elements.number_or_none(header, "SeriesNumber")
    return None if number is None else min(_SERIES_NUMBER + max(0, int(number)), _LARGEST_NUMBER)


def patient_and_study(header: Dataset) -> Dataset:
    """Return the attributes of the patient and the study of a header, as this library assigns them to levels.

    Examples
    --------
    >>> header = Dataset()
    >>> header.PatientID, header.StudyID, header.Modality = "P1", "7", "CT"
    >>> [element.keyword for element in patient_and_study(header)]
    ['PatientID', 'StudyID']
    """
    keywords = [keyword_for_tag(tag) for tag in header.keys()]  # noqa: SIM118
    return copied(header, [keyword for keyword in keywords if is_of_study(keyword)])


def is_of_study(keyword: str) -> bool:
    """Check whether an attribute is one of the patient or the study, so that it is the same in all their objects.

    Examples
    --------
    >>> is_of_study("PatientName"), is_of_study("ClinicalTrialSubjectID"), is_of_study("SeriesNumber")
    (True, True, False)
    """
    if keyword in _COMPUTED or keyword.startswith("NumberOf"):
        return False
    if keyword.startswith("ClinicalTrial"):
        return not keyword.startswith("ClinicalTrialSeries")
    return level_of_keyword(keyword) in ("patient", "study")


def copied(header: Dataset, keywords: Iterable[str]) -> Dataset:
    """Copy elements, decoded, so that they can be written in another character set; missing ones are left out.

    Examples
    --------
    >>> header = Dataset()
    >>> header.KVP = "120"
    >>> [element.keyword for element in copied(header, ["KVP", "Exposure"])]
    ['KVP']
    """
    result = Dataset()
    with quiet():
        for keyword in keywords:
            if keyword in header:
                result.add(_decoded(header[keyword]))
    return result


def _decoded(element: DataElement) -> DataElement:
    if element.VR == "PN" and element.value is not None:
        # pydicom keeps the bytes that a name was written with once, whatever the character set is next time.
        names = [str(name) for name in (element.value if element.VM > 1 else [element.value])]
        return DataElement(element.tag, "PN", names if len(names) > 1 else names[0])
    if element.VR != "SQ":
        return copy.deepcopy(element)
    items = []
    for item in element.value or ():
        new = Dataset()
        for one in item:
            if one.keyword != "SpecificCharacterSet":
                new.add(_decoded(one))
        items.append(new)
    return DataElement(element.tag, "SQ", Items(items))


def acquisition_equipment(header: Dataset) -> list[Dataset]:
    """Return the items of Contributing Equipment Sequence (PS3.3 C.12.1.1.5): those of the source, and its scanner."""
    found = elements.items(copied(header, ["ContributingEquipmentSequence"]), "ContributingEquipmentSequence")
    if elements.text(header, "Manufacturer"):
        equipment = copied(header, _EQUIPMENT.split())
        equipment.PurposeOfReferenceCodeSequence = [coded(*_ACQUISITION_EQUIPMENT)]
        found.append(equipment)
    return found


def coded(value: str, scheme: str, meaning: str) -> Dataset:
    """Return an item of a code sequence (PS3.3 section 8.8).

    Examples
    --------
    >>> coded("ms", "UCUM", "millisecond").CodeMeaning
    'millisecond'
    """
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
