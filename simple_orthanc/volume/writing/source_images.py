"""The images that a segmentation or a parametric map was computed from, as highdicom needs them, and as they are.

highdicom reads identifiers and positions from one dataset per source image. A volume has the header of one of them, and
a table of all: so each image is described by a small dataset of its own under a UID that stands for its row, and the
references of the finished object are then written from the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import SelectionError, VolumeError
from simple_orthanc.extras import import_extra
from simple_orthanc.version import __version__
from simple_orthanc.volume.geometry import DEVIATION_TOLERANCE
from simple_orthanc.volume.writing.decimals import decimal_string, decimal_strings
from simple_orthanc.volume.writing.source import acquisition_equipment, derived_series_number, patient_and_study
from simple_orthanc.volume.writing.user_tags import check_tags

if TYPE_CHECKING:
    from simple_orthanc.volume.geometry import Geometry, Vector
    from simple_orthanc.volume.volume import Volume

UTF_8 = "ISO_IR 192"
# Of the modules Patient and General Study: always present, if only without a value (PS3.3 C.7.1.1, C.7.2.1).
TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_SAME_PLACE_MM = 1e-3
# Of a SeriesDescription (VR LO).
_LONGEST_STRING = 64
# Modalities of objects that are not images themselves, but were drawn on some.
_DRAWN = ("SEG", "RTSTRUCT")
_ROW = "2.25.1."


@dataclass(frozen=True)
class Frame:
    """A frame of a source image."""

    uid: str
    number: int
    position: Vector


class SourceImages:
    """The images that a volume was read from.

    Parameters
    ----------
    volume : Volume
        With the header of its first slice, and the table of its slices.
    what : str
        What is made of it, for messages.

    Raises
    ------
    VolumeError
        The volume has no position in the patient, or its header does not say which study it belongs to.
    """

    def __init__(self, volume: Volume, what: str) -> None:
        header = getattr(volume, "header", None)
        if not isinstance(header, Dataset):
            raise VolumeError(
                f"{what} was asked for of a {type(volume).__name__} in the place of images: these are a Volume, as "
                "get_volume() reads it."
            )
        modality = elements.text(header, "Modality")
        if modality in _DRAWN:
            raise VolumeError(
                f"{what} was asked for, but the header of the volume is that of a {modality} object, not of the images "
                "that it was drawn on. Name these with like=images, where images is what get_volume() read."
            )
        missing = [name for name in ("StudyInstanceUID", "SeriesInstanceUID") if not elements.text(header, name)]
        if missing:
            raise VolumeError(
                f"{what} was asked for, but the header of the volume has no {' and no '.join(missing)}, so the study "
                "that it belongs to is not known. Name the images with like=images, where images is what get_volume() "
                "read."
            )
        if volume.geometry is None:
            raise VolumeError(
                f"{what} was asked for, but the images have no position in the patient, without which it has none."
            )
        self.header, self.geometry = header, volume.geometry
        self._table = volume.slices

    @cached_property
    def frames(self) -> dict[int, Frame]:
        """The frames by the number of their slice; of a 4D volume those of its first step."""
        found: dict[int, Frame] = {}
        if self._table is None:
            return found
        rows = zip(
            self._table.index, self._table["SOPInstanceUID"], self._table["frame"], self._table["position"], strict=True
        )
        for index, uid, number, position in rows:
            if position is not None and uid:
                x, y, z = map(float, position)
                found.setdefault(int(index), Frame(str(uid), int(number), (x, y, z)))
        return found

    @property
    def frame_of_reference(self) -> str:
        """FrameOfReferenceUID of the images; "" if they do not say."""
        return elements.text(self.header, "FrameOfReferenceUID")

    def is_on_grid(self, geometry: Geometry) -> bool:
        """Check whether a grid is that of the images."""
        return self.geometry.isclose(geometry)

    def positions(self, geometry: Geometry) -> list[Vector]:
        """Return the position of each slice of a grid: where it is that of the images, as these state it."""
        centres = geometry.to_patient([(0, 0, index) for index in range(geometry.size[2])], order="xyz")
        places: list[Vector] = [(float(x), float(y), float(z)) for x, y, z in centres]
        if not self.is_on_grid(geometry):
            return places
        tolerance = DEVIATION_TOLERANCE * geometry.spacing[2] + _SAME_PLACE_MM
        return [
            frame.position if frame is not None and math.dist(frame.position, place) <= tolerance else place
            for place, frame in ((place, self.frames.get(index)) for index, place in enumerate(places))
        ]

    @cached_property
    def described(self) -> list[Dataset]:
        """One dataset for each image, as highdicom needs them."""
        frames = self.frames or {0: Frame("", 1, self.geometry.origin)}
        directions = np.reshape(np.asarray(self.geometry.direction), (3, 3)).T
        shared = Dataset()
        shared.SOPClassUID = CTImageStorage
        shared.StudyInstanceUID = elements.text(self.header, "StudyInstanceUID")
        shared.SeriesInstanceUID = elements.text(self.header, "SeriesInstanceUID")
        shared.FrameOfReferenceUID = self.frame_of_reference or generate_uid()
        shared.Modality = "OT"
        shared.PositionReferenceIndicator = elements.text(self.header, "PositionReferenceIndicator")
        # What the header says of them may be too odd for highdicom; it is written as it is afterwards.
        shared.SpecificCharacterSet = UTF_8
        for keyword in TYPE_2:
            setattr(shared, keyword, "")
        shared.Columns, shared.Rows = (int(size) for size in self.geometry.size[:2])
        shared.ImageOrientationPatient = decimal_strings([*directions[0], *directions[1]])
        shared.PixelSpacing = decimal_strings(self.geometry.spacing[1::-1])
        shared.SliceThickness = decimal_string(self.geometry.spacing[2])
        images = []
        for index, frame in frames.items():
            image = Dataset()
            image.update(shared)
            image.SOPInstanceUID = f"{_ROW}{index}"
            image.ImagePositionPatient = decimal_strings(frame.position)
            images.append(image)
        return images

    def write_references(self, dataset: Dataset) -> None:
        """Write the real references to the source images into an object that was made from `described`."""
        for holder in _holders(dataset):
            items = elements.items(holder, "SourceImageSequence")
            holder.SourceImageSequence = [self._reference(item) for item in items if self._is_known(item)]
        for keyword in ("SourceImageSequence", "StudiesContainingOtherReferencedInstancesSequence"):
            if keyword in dataset:
                del dataset[keyword]
        uids = dict.fromkeys(frame.uid for frame in self.frames.values())
        if uids:
            series = Dataset()
            series.SeriesInstanceUID = elements.text(self.header, "SeriesInstanceUID")
            series.ReferencedInstanceSequence = [self._image(uid) for uid in uids]
            dataset.ReferencedSeriesSequence = [series]
        elif "ReferencedSeriesSequence" in dataset:
            del dataset.ReferencedSeriesSequence

    def _is_known(self, item: Dataset) -> bool:
        return bool(self.frames) or not item.ReferencedSOPInstanceUID.startswith(_ROW)

    def _image(self, uid: str) -> Dataset:
        image = Dataset()
        image.ReferencedSOPClassUID = elements.text(self.header, "SOPClassUID") or CTImageStorage
        image.ReferencedSOPInstanceUID = uid
        return image

    def _reference(self, item: Dataset) -> Dataset:
        uid = str(item.ReferencedSOPInstanceUID)
        # Frames in one plane share their items, so that some were written already.
        if uid.startswith(_ROW):
            frame = self.frames[int(uid.removeprefix(_ROW))]
            item.update(self._image(frame.uid))
            if elements.frame_count(self.header) > 1:
                item.ReferencedFrameNumber = frame.number
        return item


def _holders(dataset: Dataset) -> Iterator[Dataset]:
    groups: Sequence[Any] = [
        *elements.items(dataset, "SharedFunctionalGroupsSequence"),
        *elements.items(dataset, "PerFrameFunctionalGroupsSequence"),
    ]
    for group in groups:
        yield from elements.items(group, "DerivationImageSequence")


def written(
    make: Callable[..., Dataset],
    source: SourceImages,
    geometry: Geometry,
    what: str,
    tags: Mapping[str, Any],
    **arguments: Any,
) -> Dataset:
    """Write an object of many frames with highdicom, in the study of its source images.

    Parameters
    ----------
    make : callable
        The class of highdicom.
    source : SourceImages
        What it was computed from.
    geometry : Geometry
        The grid of the pixels.
    what : str
        What is written, for messages.
    tags : mapping
        DICOM keywords that the user gives.
    **arguments
        What else the class takes.

    Raises
    ------
    VolumeError
        highdicom refuses it.
    UnknownTagError, SelectionError
        As for `check_tags`.
    """
    given = check_tags(tags, source.header)
    highdicom = import_extra("highdicom", "seg", what)
    columns = np.reshape(np.asarray(geometry.direction), (3, 3)).T
    # Along the normal, as SpacingBetweenSlices is defined (PS3.3 C.7.6.16.2.1).
    step = abs(float(geometry.spacing[2] * columns[2] @ np.cross(columns[0], columns[1])))
    measures = highdicom.PixelMeasuresSequence(
        pixel_spacing=geometry.spacing[1::-1], slice_thickness=step, spacing_between_slices=step
    )
    try:
        made = make(
            source_images=source.described,
            series_instance_uid=generate_uid(),
            # They must have one, also where the images have none.
            series_number=derived_series_number(source.header) or 1,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="simple_orthanc",
            manufacturer_model_name="simple_orthanc",
            software_versions=__version__,
            device_serial_number="1",
            pixel_measures=measures,
            plane_orientation=highdicom.PlaneOrientationSequence("PATIENT", [*columns[0], *columns[1]]),
            plane_positions=[
                highdicom.PlanePositionSequence("PATIENT", position) for position in source.positions(geometry)
            ],
            **arguments,
        )
    except (ValueError, TypeError) as error:
        raise VolumeError(f"{what} was asked for, and highdicom cannot write it: {error}") from error
    # highdicom takes those of the images where pixels are equally large, and 1 mm between slices where there is one.
    made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = measures
    source.write_references(made)
    # A plain dataset can be pickled.
    dataset = Dataset(made)
    dataset.file_meta = made.file_meta
    dataset.update(patient_and_study(source.header))
    dataset.ContributingEquipmentSequence = [
        *elements.items(made, "ContributingEquipmentSequence"),
        *acquisition_equipment(source.header),
    ]
    dataset.SeriesDescription = _description(source.header, what)
    _add(dataset, given)
    return dataset


def _description(header: Dataset, what: str) -> str:
    name = what.lower().removeprefix("a ")
    text = elements.text(header, "SeriesDescription")
    kept = "".join(character for character in text if character.isprintable())[: _LONGEST_STRING - len(name) - 3]
    return f"{kept} ({name})" if kept else name


def _add(dataset: Dataset, given: Dataset) -> None:
    for element in given:
        if element.VR == "SQ" and element.tag in dataset:
            raise SelectionError(
                f"{element.keyword} was given, but it follows from the voxels and the images. Leave it out, or set it "
                "in the dataset that is returned."
            )
        dataset.add(element)
