"""Every frame of every object as one :class:`Plane`: where it lies and what tells it from others at the same position.

Where frames lie is read by ``placement``, what tells them apart by ``discriminators``; no other module looks into
headers for either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, VLWholeSlideMicroscopyImageStorage

from simple_orthanc import limits
from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.fingerprint import differing
from simple_orthanc.errors import NoPixelDataError, VolumeError
from simple_orthanc.pixels.colour import has_palette, stored_samples
from simple_orthanc.volume.diffusion import Diffusion, read_diffusion
from simple_orthanc.volume.discriminators import DiscriminatorValue, read_discriminators, selectable_names
from simple_orthanc.volume.moments import TAGS_IN_TIME, with_times
from simple_orthanc.volume.mosaic import read_mosaic
from simple_orthanc.volume.placement import Placement, check_groups, place_frames, place_tiles, read_position


@dataclass(frozen=True)
class Concatenation:
    """Which part this object is of an image that is stored in several objects (PS3.3 C.7.6.16).

    Attributes
    ----------
    uid : str
        ConcatenationUID, the same for all of them.
    number : int or None
        InConcatenationNumber, from 1.
    total : int or None
        InConcatenationTotalNumber, which may be missing.
    """

    uid: str
    number: int | None
    total: int | None


@dataclass(frozen=True, kw_only=True)
class Plane(Placement):
    """One frame of one object, with its geometry as :class:`Placement` has it.

    Attributes
    ----------
    instance : int
        Index of the object among the headers given.
    frame_index : int
        Number of the frame in the object, from 0.
    uid, series, frame_of_reference : str
        SOPInstanceUID, SeriesInstanceUID and FrameOfReferenceUID of the object.
    instance_number : int or None
        InstanceNumber of the object.
    modality : str
        Modality of the object.
    size : tuple of int
        Rows, columns.
    samples : int
        1, or 3 for colour.
    bits : int
        BitsAllocated.
    slice_location : float or None
        SliceLocation of a single-frame object, mm.
    image_index : int or None
        ImageIndex, the number of a PET image (PS3.3 C.8.9.4).
    given_spacing : float or None
        The spacing in mm that the user gave, for where the headers lack it.
    discriminators : mapping
        Name of each discriminator that is present to its value.
    diffusion : Diffusion
        The diffusion weighting of an MR image.
    selectable : frozenset of str
        Names of the discriminators whose keyword is at the top level of the header, where select finds it.
    segmentation : str
        SegmentationType: "BINARY", "FRACTIONAL" or "LABELMAP"; "" for what is no segmentation.
    segment : int or None
        ReferencedSegmentNumber of a binary or fractional segmentation.
    segment_name : str
        SegmentLabel of this segment.
    number_of_frames : int
        Of the object.
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
    frame_of_reference: str = ""
    slice_location: float | None = None
    image_index: int | None = None
    given_spacing: float | None = None
    discriminators: Mapping[str, DiscriminatorValue] = field(default_factory=dict, hash=False)
    diffusion: Diffusion = field(default_factory=Diffusion)
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


def read_planes(headers: Sequence[Dataset], spacing: float | None = None) -> list[Plane]:
    """Read every frame of every object that holds an image, in the order of the headers.

    Parameters
    ----------
    headers : sequence of pydicom.Dataset
        Pixels are not looked at.
    spacing : float, optional
        Distance between slices in mm, where the headers lack it.

    Returns
    -------
    list of Plane

    Raises
    ------
    NoPixelDataError
        If no object holds an image.
    InconsistentSlicesError
        If an object's geometry contradicts itself.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> [plane.position for plane in read_planes(make_series((2, 4, 4), spacing=(2.5, 1, 1)))]
    [(0.0, 0.0, 0.0), (0.0, 0.0, 2.5)]
    """
    reader = _PlaneReader(spacing)
    result = [plane for index, header in enumerate(headers) for plane in reader.read(index, header)]
    if not result:
        kinds = sorted({describe(header) for header in headers})
        raise NoPixelDataError(
            f"An image was requested from {len(headers)} object(s) without pixels: "
            f"{', '.join(kinds) or 'nothing given'}. Read them with get_headers(), or select a series of images."
        )
    return result


# What the plane of a single-frame image takes from elements that differ between the slices of a series. Beside them
# are the times that tell images apart, and elements that no plane depends on.
_INSTANCE_NUMBER, _IMAGE_INDEX = elements.tag_of("InstanceNumber"), elements.tag_of("ImageIndex")
_UID, _LOCATION = elements.tag_of("SOPInstanceUID"), elements.tag_of("SliceLocation")
_POSITION = elements.tag_of("ImagePositionPatient")
_OF_SLICES = frozenset(
    {
        *(_INSTANCE_NUMBER, _IMAGE_INDEX, _UID, _LOCATION, _POSITION, *TAGS_IN_TIME),
        *(elements.tag_of(f"{name}{kind}") for name in ("InstanceCreation", "Series") for kind in ("Date", "Time")),
        *(elements.tag_of(keyword) for keyword in ("TableHeight", "XRayTubeCurrent", "ExposureTime", "Exposure")),
        *(elements.tag_of(keyword) for keyword in ("WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope")),
        *(elements.tag_of(f"{which}ImagePixelValue") for which in ("Smallest", "Largest")),
    }
)


class _PlaneReader:
    """Reads the planes of objects in turn. Of a slice similar to the last one, only the differences are read."""

    def __init__(self, spacing: float | None) -> None:
        self._spacing = spacing
        self._last: tuple[Dataset, Plane] | None = None

    def read(self, index: int, header: Dataset) -> list[Plane]:
        """Read the frames of an object; return none if it is not an image."""
        plane = self._like_last(index, header)
        if plane is not None:
            self._last = header, plane
            return [plane]
        planes = list(_read_object(index, header, self._spacing)) if has_image(header) else []
        self._last = (header, planes[0]) if planes and _is_single(header, planes[0]) else None
        return planes

    def _like_last(self, index: int, header: Dataset) -> Plane | None:
        if self._last is None:
            return None
        last, plane = self._last
        different = differing(last, header)
        if not different <= _OF_SLICES:
            return None
        changes: dict[str, Any] = {"instance": index}
        if _UID in different:
            changes["uid"] = elements.text(header, _UID)
        if _INSTANCE_NUMBER in different:
            changes["instance_number"] = _integer(header, _INSTANCE_NUMBER)
        if _IMAGE_INDEX in different:
            changes["image_index"] = _integer(header, _IMAGE_INDEX)
        if _LOCATION in different:
            changes["slice_location"] = elements.number_or_none(header, _LOCATION)
        if _POSITION in different:
            position, unit = read_position(header)
            if position is None:
                return None
            changes |= {"position": position, "position_unit": unit}
        in_time = different & TAGS_IN_TIME
        if in_time:
            changes["discriminators"] = with_times(plane.discriminators, header, in_time)
            changes["selectable"] = selectable_names(header)
        return _changed(plane, changes)


def _is_single(header: Dataset, plane: Plane) -> bool:
    """Check whether an object is a single frame whose geometry is at the top level of its header."""
    return (
        plane.number_of_frames == 1
        and plane.tiles is None
        and plane.position is not None
        and not any(elements.has(header, sequence) for sequence in _ELSEWHERE)
    )


# Where else the geometry of a frame may be.
_ELSEWHERE = (
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "DetectorInformationSequence",
    "SegmentSequence",
)


def _changed(plane: Plane, changes: Mapping[str, Any]) -> Plane:
    # `replace` of dataclasses sets each of the many attributes by itself, which takes ten times as long.
    result = object.__new__(Plane)
    vars(result).update(vars(plane), **changes)
    return result


def has_image(header: Dataset) -> bool:
    """Check whether an object is an image, without its pixels: it has numbers of rows and columns."""
    return bool(elements.number(header, "Rows")) and bool(elements.number(header, "Columns"))


def describe(header: Dataset) -> str:
    """Name the kind of an object: its SOP class, or else its modality."""
    uid = UID(elements.text(header, "SOPClassUID"))
    if not uid or uid.name == uid:
        return f"Modality {elements.text(header, 'Modality') or 'unknown'}"
    return uid.name.removesuffix(" Storage")


def has_image_type(plane: Plane, value: str) -> bool:
    """Check for one of the values of ImageType or FrameType: LOCALIZER (PS3.3 C.8.2.1.1.1), DERIVED, MOSAIC."""
    image_type = plane.discriminators.get("image type", ())
    return value in (image_type if isinstance(image_type, tuple) else (image_type,))


def varying_names(planes: Sequence[Plane]) -> set[str]:
    """Return the names of the discriminators in which frames differ.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> echoes = [header for echo in (1, 2) for header in make_series(EchoNumbers=echo, modality="MR")]
    >>> varying_names(read_planes(echoes)), varying_names(read_planes(echoes[:3]))
    ({'echo'}, set())
    """
    first = planes[0].discriminators
    # Slices of a series may share theirs.
    others = {id(plane.discriminators): plane.discriminators for plane in planes}
    return {name for other in others.values() if other is not first for name, _ in first.items() ^ other.items()}


def _check_frame_count(header: Dataset, frames: int) -> None:
    """Refuse a number of frames that no object has, before so many are planned; `check_groups` counts groups."""
    if frames > limits.frames and not elements.items(header, "PerFrameFunctionalGroupsSequence"):
        raise VolumeError(
            f"{elements.name_of('NumberOfFrames')} of {elements.instance_of(header)} is {frames}; a volume can be made "
            f"of at most {limits.frames} frames of one object. Leave it out with "
            f"exclude(SOPInstanceUID={elements.text(header, 'SOPInstanceUID')!r}). {limits.advice('frames')}"
        )


def check_no_tiles(header: Dataset) -> None:
    """Refuse an image whose frames are tiles beside each other (PS3.3 C.7.6.17.3), and no slices.

    Raises
    ------
    VolumeError
        It is a whole-slide image, or a segmentation or parametric map of one.
    """
    frames = elements.frame_count(header)
    whole, tile = (
        tuple(elements.number_or_none(header, f"{prefix}{name}") or 0 for name in ("Rows", "Columns"))
        for prefix in ("TotalPixelMatrix", "")
    )
    is_slide = elements.text(header, "SOPClassUID") == VLWholeSlideMicroscopyImageStorage and frames > 1
    if not is_slide and not any(large > small > 0 for large, small in zip(whole, tile, strict=True)):
        return
    uid = elements.text(header, "SOPInstanceUID")
    raise VolumeError(
        "A volume was requested from a whole-slide image, whose frames are tiles of one plane and no slices: "
        f"SOPInstanceUID {uid} has {frames} of {tile[0]:g} x {tile[1]:g} pixels. Leave it out with "
        f'exclude(SOPInstanceUID="{uid}"), or store its file with download() and read it with a program for whole '
        "slides."
    )


def _read_object(index: int, header: Dataset, spacing: float | None) -> Iterator[Plane]:
    frames = elements.frame_count(header)
    check_no_tiles(header)
    _check_frame_count(header, frames)
    groups = elements.functional_groups(header, frames)
    check_groups(header, frames, groups)
    segmentation = elements.text(header, "SegmentationType")
    segments = elements.items(header, "SegmentSequence")
    names = {_integer(item, "SegmentNumber"): str(item.get("SegmentLabel") or "") for item in segments}
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
        "slice_location": elements.number_or_none(header, "SliceLocation") if frames == 1 else None,
        "image_index": _integer(header, "ImageIndex"),
        "segmentation": segmentation,
        "given_spacing": spacing,
    }
    mosaic = read_mosaic(header)
    if mosaic is not None and not mosaic.missing:
        rows, columns = common["size"]
        down, across = mosaic.tiles
        common |= {"size": (rows // down, columns // across), "tiles": mosaic.tiles}
        common["number_of_frames"] = len(mosaic.positions)
        placements = place_tiles(header, mosaic.positions)
        groups = [()] * len(placements)
        diffusions = _read_diffusions(header, groups)
        values = read_discriminators(header, (), len(placements), diffusions)
    else:
        common["mosaic_lacks"] = () if mosaic is None else mosaic.missing
        diffusions = _read_diffusions(header, groups)
        values = read_discriminators(header, groups, frames, diffusions)
        frames_differ = any(value != values[0] for value in values)
        placements = place_frames(header, frames, groups, frames_differ=frames_differ, spacing=spacing)
    for frame, (placement, discriminators) in enumerate(zip(placements, values, strict=True)):
        segment = None
        if segmentation != "LABELMAP":
            keyword = "ReferencedSegmentNumber"
            item = elements.holder(elements.NO_ELEMENTS, groups[frame], "SegmentIdentificationSequence", keyword)
            segment = _integer(item, keyword)
        yield Plane(
            **vars(placement),
            **common,
            frame_index=frame,
            discriminators=discriminators,
            diffusion=diffusions[frame] if diffusions else Diffusion(),
            segment=segment,
            segment_name=names.get(segment, ""),
        )


def _read_diffusions(header: Dataset, groups: Sequence[tuple[Dataset, ...]]) -> list[Diffusion]:
    """Read the diffusion weighting of each frame of an MR image; empty for other images."""
    if elements.text(header, "Modality") != "MR":
        return []
    if not any(groups):
        return [read_diffusion(header)] * len(groups)
    return [read_diffusion(header, own) for own in groups]


def _concatenation(header: Dataset) -> Concatenation | None:
    uid = elements.text(header, "ConcatenationUID")
    number, total = (_integer(header, f"InConcatenation{name}") for name in ("Number", "TotalNumber"))
    return Concatenation(uid, number, total) if uid else None


def _integer(header: Dataset, tag: int | str) -> int | None:
    number = elements.number_or_none(header, tag)
    return None if number is None else int(number)


def _count(header: Dataset, keyword: str, default: int) -> int:
    return int(elements.number(header, keyword) or default)
