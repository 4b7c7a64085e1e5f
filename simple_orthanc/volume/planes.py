"""Every frame of every object as one :class:`Plane`: where it lies and what tells it from others at the same place.

Single-frame images have their geometry at the top level (PS3.3 C.7.6.2), enhanced multi-frame images in the shared or
per-frame functional groups (C.7.6.16.2), nuclear medicine in its detectors and the spacing between slices (C.8.4.15),
dose grids in their frame offsets (C.8.8.3.2). This module knows these differences so that no other needs to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import InconsistentSlicesError, NoPixelDataError, VolumeError
from simple_orthanc.pixels.colour import has_palette, stored_samples
from simple_orthanc.volume import geometry
from simple_orthanc.volume.discriminators import (
    DISCRIMINATORS,
    DiscriminatorValue,
    group_item,
    read_frame_discriminators,
    read_header_discriminators,
    selectable_names,
)
from simple_orthanc.volume.mosaic import Mosaic, read_mosaic


@dataclass(frozen=True)
class Concatenation:
    """The objects that a multi-frame image was too large for one of, and which of them this is (PS3.3 C.7.6.16).

    Attributes
    ----------
    uid : str
        ConcatenationUID, the same for all of them.
    number : int or None
        InConcatenationNumber, from 1.
    total : int or None
        InConcatenationTotalNumber, which need not be there.
    """

    uid: str
    number: int | None
    total: int | None


@dataclass(frozen=True)
class Plane:
    """One frame of one object.

    Attributes
    ----------
    instance : int
        Index of the object among the headers given.
    frame_index : int
        Number of the frame in the object, from 0.
    size : tuple of int
        Rows, columns.
    samples : int
        1, or 3 for colour.
    bits : int
        BitsAllocated.
    position, orientation, pixel_spacing
        ImagePositionPatient (mm, LPS), unit cosines, PixelSpacing (between rows, between columns, mm); None if absent.
    spacing_between_slices : float or None
        SpacingBetweenSlices in mm, only for a single slice and for segmentations.
    slice_thickness : float or None
        SliceThickness in mm, only for a single slice.
    discriminators : mapping
        Name of each discriminator that is present to its value.
    selectable : frozenset of str
        Names of the discriminators whose keyword stands at the top level of the header, where select finds it.
    segmentation : str
        SegmentationType: "BINARY", "FRACTIONAL" or "LABELMAP"; "" for what is no segmentation.
    segment : int or None
        ReferencedSegmentNumber of a binary or fractional segmentation.
    concatenation : Concatenation or None
        If the object is one of several that are one image.
    tiles : tuple of int or None
        How many tiles lie below each other and beside each other if the frame is a tile of a mosaic; it is the one with
        the number `frame_index`.
    mosaic_lacks : tuple of str
        What is missing in the header of a mosaic, so that its tiles cannot be told apart; the frame is all of it then.
    """

    instance: int
    frame_index: int
    uid: str
    instance_number: int | None
    series: str
    modality: str
    size: tuple[int, int]
    samples: int
    bits: int
    position: geometry.Vector | None = None
    orientation: tuple[float, ...] | None = None
    pixel_spacing: tuple[float, float] | None = None
    spacing_between_slices: float | None = None
    slice_thickness: float | None = None
    frame_of_reference: str = ""
    discriminators: Mapping[str, DiscriminatorValue] = field(default_factory=dict, hash=False)
    selectable: frozenset[str] = frozenset()
    segmentation: str = ""
    segment: int | None = None
    segment_name: str = ""
    number_of_frames: int = 1
    concatenation: Concatenation | None = None
    tiles: tuple[int, int] | None = None
    mosaic_lacks: tuple[str, ...] = ()

    @property
    def is_sparse(self) -> bool:
        """Whether this is a frame of a segmentation, which leaves out frames without any segment."""
        return self.segment is not None or self.segmentation == "LABELMAP"

    def __str__(self) -> str:
        """Name the frame in a message: its InstanceNumber, its SOPInstanceUID and its number in the object."""
        number = "" if self.instance_number is None else f"InstanceNumber {self.instance_number}, "
        frame = f", frame {self.frame_index + 1}" if self.number_of_frames > 1 else ""
        return f"{number}SOPInstanceUID {self.uid}{frame}"


def read_planes(headers: Sequence[Dataset]) -> list[Plane]:
    """Return every frame of every object that holds an image, in the order of the headers.

    Parameters
    ----------
    headers : sequence of pydicom.Dataset
        Pixels are not looked at.

    Returns
    -------
    list of Plane

    Raises
    ------
    NoPixelDataError
        If no object holds an image.
    InconsistentSlicesError
        If the orientation of an image is none, or an object's geometry contradicts itself.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> [plane.position for plane in read_planes(make_series((2, 4, 4), spacing=(2.5, 1, 1)))]
    [(0.0, 0.0, 0.0), (0.0, 0.0, 2.5)]
    """
    result = [plane for index, header in enumerate(headers) if has_image(header) for plane in _planes(index, header)]
    if not result:
        kinds = sorted({describe(header) for header in headers})
        raise NoPixelDataError(
            f"An image was asked of {len(headers)} object(s) without pixels: {', '.join(kinds) or 'nothing given'}. "
            "Read them with get_headers(), or select a series of images."
        )
    return result


def has_image(header: Dataset) -> bool:
    """Whether an object is an image, judged without its pixels: it says how many rows and columns it has."""
    return bool(elements.number(header, "Rows")) and bool(elements.number(header, "Columns"))


def describe(header: Dataset) -> str:
    """Name the kind of an object: its SOP class, or else its modality."""
    uid = UID(elements.text(header, "SOPClassUID"))
    if not uid or uid.name == uid:
        return f"Modality {elements.text(header, 'Modality') or 'unknown'}"
    return uid.name.removesuffix(" Storage")


def has_image_type(plane: Plane, value: str) -> bool:
    """Whether `value` is one of the values of ImageType: LOCALIZER (PS3.3 C.8.2.1.1.1), Siemens' MOSAIC."""
    found = plane.discriminators.get("image type", ())
    return value in (found if isinstance(found, tuple) else (found,))


def _planes(index: int, header: Dataset) -> Iterator[Plane]:
    frames = elements.frame_count(header)
    common: dict[str, Any] = {
        "instance": index,
        "uid": elements.text(header, "SOPInstanceUID"),
        "instance_number": _integer(header, "InstanceNumber"),
        "series": elements.text(header, "SeriesInstanceUID"),
        "modality": elements.text(header, "Modality"),
        "size": (_count(header, "Rows", 1), _count(header, "Columns", 1)),
        # A palette becomes red, green and blue when it is applied (PS3.3 C.7.6.3.1.2).
        "samples": 3 if has_palette(header) else stored_samples(header),
        "bits": _count(header, "BitsAllocated", 8),
        "frame_of_reference": elements.text(header, "FrameOfReferenceUID"),
        "number_of_frames": frames,
        "selectable": selectable_names(header),
        "concatenation": _concatenation(header),
    }
    if "PerFrameFunctionalGroupsSequence" in header or "SharedFunctionalGroupsSequence" in header:
        return _from_groups(header, frames, common)
    if common["modality"] == "NM" and "DetectorInformationSequence" in header:
        return _from_detectors(header, frames, common)
    if "GridFrameOffsetVector" in header and frames > 1:
        return _from_offsets(header, frames, common)
    mosaic = read_mosaic(header)
    if mosaic is not None and not mosaic.missing:
        return _from_mosaic(header, mosaic, common)
    common["mosaic_lacks"] = () if mosaic is None else mosaic.missing
    return _plain(header, frames, common)


def _concatenation(header: Dataset) -> Concatenation | None:
    uid = elements.text(header, "ConcatenationUID")
    number, total = (_integer(header, f"InConcatenation{name}") for name in ("Number", "TotalNumber"))
    return Concatenation(uid, number, total) if uid else None


def _plain(header: Dataset, frames: int, common: dict[str, Any]) -> Iterator[Plane]:
    # Outside of functional groups one position cannot be the position of many frames.
    place = _read_position(header, header, header, common["uid"]) if frames == 1 else {}
    discriminators = read_header_discriminators(header)
    for frame in range(frames):
        yield Plane(frame_index=frame, **common, **place, discriminators=discriminators)


def _from_mosaic(header: Dataset, mosaic: Mosaic, common: dict[str, Any]) -> Iterator[Plane]:
    """Read the tiles of a mosaic, each a slice at its own position."""
    rows, columns = common["size"]
    down, across = mosaic.tiles
    common |= {"size": (rows // down, columns // across), "number_of_frames": len(mosaic.positions)}
    place = _read_position(header, header, header, common["uid"])
    orientation = geometry.unit_cosines(elements.numbers(header, "ImageOrientationPatient"))
    discriminators = read_header_discriminators(header)
    for index, position in enumerate(mosaic.positions):
        own = {**place, "position": position, "orientation": orientation}
        yield Plane(frame_index=index, **common, **own, discriminators=discriminators, tiles=mosaic.tiles)


def _from_groups(header: Dataset, frames: int, common: dict[str, Any]) -> Iterator[Plane]:
    """Read the functional groups: what is shared by all frames, then what each frame has for itself."""
    shared = (elements.items(header, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    each = elements.items(header, "PerFrameFunctionalGroupsSequence") or [Dataset()] * frames
    if len(each) != frames:
        raise InconsistentSlicesError(
            f"NumberOfFrames is {frames}, but there are {len(each)} per-frame functional groups in SOPInstanceUID "
            f"{common['uid']}, so the places of its frames are unknown. Read it with get_instances()."
        )
    segments = elements.items(header, "SegmentSequence")
    names = {_integer(item, "SegmentNumber"): str(item.get("SegmentLabel") or "") for item in segments}
    segmentation = elements.text(header, "SegmentationType")
    top = read_header_discriminators(header)
    for frame, own in enumerate(each):
        groups = (own, shared)
        place = _read_position(
            group_item(groups, "PlanePositionSequence"),
            group_item(groups, "PlaneOrientationSequence"),
            group_item(groups, "PixelMeasuresSequence"),
            common["uid"],
        )
        if place["position"] is None and group_item(groups, "PlanePositionVolumeSequence"):
            # Ultrasound may know the places of its frames in the volume alone, which is nowhere in the patient; stacked
            # without them, the frames would be in the order in which they are stored.
            raise InconsistentSlicesError(
                f"The frames of SOPInstanceUID {common['uid']} lie where ImagePositionVolume says, in coordinates of "
                "an ultrasound volume and not in those of the patient, so their places are unknown. Read it with "
                "get_instances()."
            )
        segment = group_item(groups, "SegmentIdentificationSequence")
        number = None if segmentation == "LABELMAP" else _integer(segment, "ReferencedSegmentNumber")
        yield Plane(
            frame_index=frame,
            **common,
            **place,
            discriminators={**top, **read_frame_discriminators(groups)},
            segmentation=segmentation,
            segment=number,
            segment_name=names.get(number, ""),
        )


def _from_detectors(header: Dataset, frames: int, common: dict[str, Any]) -> Iterator[Plane]:
    """Read the geometry of nuclear medicine (PS3.3 C.8.4.15): the first slice, and a signed spacing."""
    detector = (elements.items(header, "DetectorInformationSequence") or [Dataset()])[0]
    place_of_first = _read_position(
        detector if "ImagePositionPatient" in detector else header,
        detector if "ImageOrientationPatient" in detector else header,
        header,
        common["uid"],
    )
    between = _number(header, "SpacingBetweenSlices")
    numbers = _vector(header, "SliceVector", frames)
    position, orientation = place_of_first.get("position"), place_of_first.get("orientation")
    tomographic = frames == 1 or (numbers is not None and between)
    top = read_header_discriminators(header)
    for frame in range(frames):
        own = {
            discriminator.name: float(vector[frame])
            for discriminator in DISCRIMINATORS
            if discriminator.keyword.endswith("Vector")
            and (vector := _vector(header, discriminator.keyword, frames)) is not None
        }
        place = dict(place_of_first) if tomographic else {}
        if tomographic and position and orientation and numbers is not None and between:
            shifted = np.asarray(position) + (numbers[frame] - 1) * between * geometry.slice_normal(orientation)
            place["position"] = tuple(float(value) for value in shifted)
        yield Plane(frame_index=frame, **common, **place, discriminators={**top, **own})


def _from_offsets(header: Dataset, frames: int, common: dict[str, Any]) -> Iterator[Plane]:
    """Read the places of the planes of a dose grid (PS3.3 C.8.8.3.2), in either of the two ways they are written."""
    offsets = np.asarray(elements.numbers(header, "GridFrameOffsetVector"))
    place = _read_position(header, header, header, common["uid"])
    position, orientation = place.get("position"), place.get("orientation")
    if len(offsets) != frames:
        raise InconsistentSlicesError(
            f"NumberOfFrames is {frames}, but GridFrameOffsetVector has {len(offsets)} values in SOPInstanceUID "
            f"{common['uid']}, so the places of its planes are unknown. Read it with get_instances()."
        )
    if position is None or orientation is None:
        for frame in range(frames):
            yield Plane(frame_index=frame, **common)
        return
    along = geometry.slice_normal(orientation)
    near = geometry.DEVIATION_TOLERANCE * float(np.median(np.abs(np.diff(offsets))))
    if abs(offsets[0]) > near:
        if np.abs(np.abs(along) - (0, 0, 1)).max() > geometry.COSINE_TOLERANCE:
            raise InconsistentSlicesError(
                f"GridFrameOffsetVector begins with {offsets[0]:g} mm, so its values are patient z coordinates, but "
                f"the planes of SOPInstanceUID {common['uid']} are not axial. Read it with get_instances()."
            )
        if abs(offsets[0] - position[2]) > near:
            raise InconsistentSlicesError(
                f"GridFrameOffsetVector begins with {offsets[0]:g} mm, which is neither 0 nor the z coordinate of "
                f"ImagePositionPatient, {position[2]:g} mm, so the places of the planes of SOPInstanceUID "
                f"{common['uid']} are unknown. Read it with get_instances()."
            )
        # Absolute values are z coordinates; along the normal they count upwards only where it points to the head.
        offsets = (offsets - position[2]) * np.sign(along[2])
    for frame in range(frames):
        shifted = np.asarray(position) + offsets[frame] * along
        place["position"] = tuple(float(value) for value in shifted)
        yield Plane(frame_index=frame, **common, **place)


def _read_position(at: Dataset, turned: Dataset, measures: Dataset, uid: str) -> dict[str, Any]:
    position = _numbers(at, "ImagePositionPatient", 3)
    orientation = _numbers(turned, "ImageOrientationPatient", 6)
    spacing = _numbers(measures, "PixelSpacing", 2)
    if spacing is not None and min(spacing) <= 0:
        spacing = None
    if orientation is not None:
        try:
            orientation = geometry.unit_cosines(orientation)
        except ValueError as error:
            raise InconsistentSlicesError(
                f"The ImageOrientationPatient of SOPInstanceUID {uid} is not usable: {error}. "
                f"Leave the image out with exclude(SOPInstanceUID={uid!r}), or read it with get_instances()."
            ) from error
    return {
        "position": position,
        "orientation": orientation if position is not None else None,
        "pixel_spacing": spacing,
        "spacing_between_slices": _number(measures, "SpacingBetweenSlices"),
        "slice_thickness": _number(measures, "SliceThickness"),
    }


def _vector(header: Dataset, keyword: str, frames: int) -> list[int] | None:
    values = [int(value) for value in elements.numbers(header, keyword)]
    return values if len(values) == frames else None


def _numbers(header: Dataset, keyword: str, count: int) -> tuple[Any, ...] | None:
    values = elements.numbers(header, keyword)
    return tuple(values) if len(values) == count else None


def _number(header: Dataset, keyword: str) -> float | None:
    """Return a number that is good to know, or None, also where it is none."""
    try:
        return elements.number(header, keyword)
    except VolumeError:
        return None


def _integer(header: Dataset, keyword: str) -> int | None:
    number = _number(header, keyword)
    return None if number is None else int(number)


def _count(header: Dataset, keyword: str, default: int) -> int:
    return int(elements.number(header, keyword) or default)
