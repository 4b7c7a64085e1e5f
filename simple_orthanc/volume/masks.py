"""Regions of segmentations and structure sets: their names, what they were drawn on, and their masks. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import VolumeError
from simple_orthanc.showing.text import counted
from simple_orthanc.volume import regrid
from simple_orthanc.volume.common_space import Space, check_common_space, in_frame
from simple_orthanc.volume.contours import Contour, contour_points, rasterize
from simple_orthanc.volume.geometry import COSINE_TOLERANCE, slice_normal
from simple_orthanc.volume.grouping import SPACING_TOLERANCE
from simple_orthanc.volume.volume import Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simple_orthanc.volume.geometry import Geometry
    from simple_orthanc.volume.planes import Plane

# A voxel of a fractional segment belongs to it from this share or probability on.
FRACTION = 0.5
SAME_GRID_MM = 1e-3


@dataclass(frozen=True)
class Region:
    """A segment of a segmentation, or a region of interest of a structure set.

    Attributes
    ----------
    name : str
        SegmentLabel or ROIName; where it is empty "segment 3" or "ROI 3".
    number : int
        SegmentNumber or ROINumber.
    kind : {"SEG", "RTSTRUCT"}
    uid : str
        SOPInstanceUID of the object.
    frame_of_reference : str
        In which it is drawn; "" if the object does not say.
    series : tuple of str
        SeriesInstanceUID of the images that it refers to.
    images : frozenset of str
        SOPInstanceUID of these images, as far as the object names them.
    """

    name: str
    number: int
    kind: Literal["SEG", "RTSTRUCT"]
    uid: str
    frame_of_reference: str
    series: tuple[str, ...]
    images: frozenset[str]

    def __str__(self) -> str:
        """Name the region and where it comes from."""
        return f"{self.name!r} ({self.kind}, number {self.number})"


def segments(header: Dataset) -> list[Region]:
    """List the segments of a segmentation (PS3.3 C.8.20.2)."""
    referenced = elements.items(header, "ReferencedSeriesSequence")
    series = tuple(filter(None, (_uid(item, "SeriesInstanceUID") for item in referenced)))
    images = {
        _uid(item, "ReferencedSOPInstanceUID")
        for one in referenced
        for item in elements.items(one, "ReferencedInstanceSequence")
    }
    images |= {_uid(item, "ReferencedSOPInstanceUID") for item in elements.items(header, "SourceImageSequence")}
    return [
        Region(
            _name(item, "SegmentLabel", f"segment {number}"),
            number,
            "SEG",
            _uid(header, "SOPInstanceUID"),
            _uid(header, "FrameOfReferenceUID"),
            series,
            frozenset(images - {""}),
        )
        for item in elements.items(header, "SegmentSequence")
        if (number := _number(item, "SegmentNumber")) is not None
    ]


def structures(header: Dataset) -> list[Region]:
    """List the regions of interest of a structure set (PS3.3 C.8.8.5)."""
    frames: dict[str, list[str]] = {}
    for frame in elements.items(header, "ReferencedFrameOfReferenceSequence"):
        for study in elements.items(frame, "RTReferencedStudySequence"):
            for series in elements.items(study, "RTReferencedSeriesSequence"):
                named = frames.setdefault(_uid(frame, "FrameOfReferenceUID"), [])
                named.append(_uid(series, "SeriesInstanceUID"))
    regions = []
    for item in elements.items(header, "StructureSetROISequence"):
        number = _number(item, "ROINumber")
        if number is None:
            continue
        frame_of_reference = _uid(item, "ReferencedFrameOfReferenceUID")
        images = {
            _uid(image, "ReferencedSOPInstanceUID")
            for contour in _contour_items(header, number)
            for image in elements.items(contour, "ContourImageSequence")
        }
        regions.append(
            Region(
                _name(item, "ROIName", f"ROI {number}"),
                number,
                "RTSTRUCT",
                _uid(header, "SOPInstanceUID"),
                frame_of_reference,
                tuple(filter(None, frames.get(frame_of_reference, ()))),
                frozenset(images - {""}),
            )
        )
    return regions


def _uid(dataset: Dataset, keyword: str) -> str:
    return elements.text(dataset, keyword)


def _number(dataset: Dataset, keyword: str) -> int | None:
    value = elements.number(dataset, keyword)
    return None if value is None else int(value)


def _name(dataset: Dataset, keyword: str, otherwise: str) -> str:
    """Return a name without control characters, which a terminal would obey."""
    name = "".join(character for character in elements.text(dataset, keyword) if character.isprintable())
    return name.strip() or otherwise


def _contour_items(header: Dataset, number: int) -> Iterator[Dataset]:
    for item in elements.items(header, "ROIContourSequence"):
        if _number(item, "ReferencedROINumber") == number:
            yield from elements.items(item, "ContourSequence")


def contours(header: Dataset, region: Region) -> list[Contour]:
    """Return the contours of a region of interest.

    Raises
    ------
    VolumeError
        ContourData holds no points.
    """
    return [
        Contour(
            elements.text(item, "ContourGeometricType").upper(),
            contour_points(elements.numbers(item, "ContourData", finite=False), region.name),
        )
        for item in _contour_items(header, region.number)
    ]


def unique_names(regions: Iterable[Region]) -> dict[str, Region]:
    """Return regions by name.

    A name that one segmentation and one structure set have is followed by the kind. Where a name occurs again in any
    other way, its later ones are numbered.

    Examples
    --------
    >>> one = Region("GTV", 1, "SEG", "1.2", "", (), frozenset())
    >>> list(unique_names([one, replace(one, number=2), replace(one, number=3)]))
    ['GTV', 'GTV (2)', 'GTV (3)']
    >>> list(unique_names([one, replace(one, kind="RTSTRUCT")]))
    ['GTV (SEG)', 'GTV (RTSTRUCT)']
    """
    regions = list(regions)
    kinds: dict[str, list[str]] = {}
    for region in regions:
        kinds.setdefault(region.name, []).append(region.kind)
    named: dict[str, Region] = {}
    for region in regions:
        is_told_apart = 1 < len(kinds[region.name]) == len(set(kinds[region.name]))
        title = f"{region.name} ({region.kind})" if is_told_apart else region.name
        name, count = title, 1
        while name in named:
            count += 1
            name = f"{title} ({count})"
        named[name] = region
    return named


def segment_mask(volume: Volume, region: Region, is_label_map: bool) -> Volume:
    """Return one segment as a mask on the grid of its segmentation.

    Parameters
    ----------
    volume : Volume
        The label map, or the frames of this segment alone.
    region : Region
    is_label_map : bool
        Whether the values are numbers of segments.
    """
    kind = elements.text(volume.header, "SegmentationType")
    if is_label_map:
        inside, how = volume.array == region.number, f"label {region.number} of a label map"
    elif kind == "FRACTIONAL":
        inside, how = volume.array >= FRACTION, f"fractional segment {region.number}, from {FRACTION:g} on"
    else:
        inside, how = volume.array > 0, f"binary segment {region.number}"
    return replace(
        volume,
        array=inside,
        units="mask",
        log=(*volume.log, f"{region}: {how} of SOPInstanceUID {region.uid}"),
    )


def contour_mask(header: Dataset, region: Region, geometry: Geometry) -> Volume:
    """Return one region of interest as a mask on the grid of images.

    Raises
    ------
    VolumeError
        A contour encloses nothing, or does not lie in the slices of the images.
    """
    found = contours(header, region)
    drawn = rasterize(found, geometry, region.name)
    log = [f"{region}: {counted(len(found), 'contour')} of SOPInstanceUID {region.uid}"]
    if not found:
        log.append("the region has no contours: its mask is empty")
    if drawn.outside:
        log.append(f"{drawn.outside} contours or points lie outside of the images: they were left out")
    if drawn.repeated:
        log.append(f"{drawn.repeated} contours equal another one of the region: each was drawn once")
    if drawn.skipped:
        numbers = ", ".join(map(str, drawn.skipped))
        log.append(f"slices without a contour between the first and the last one, left empty: {numbers}")
    placed = in_frame(header, region.frame_of_reference)
    return Volume(drawn.mask, geometry, placed, units="mask", log=tuple(log))


def drawn_spacing(frame: Plane, images: tuple[Geometry, Dataset] | None) -> float | None:
    """Return the distance in mm of the slices that a segmentation was drawn on, where its header does not state it.

    Its frames do not tell it: slices without any segment have none. It is that of the images that it refers to, unless
    their slices are of another thickness than its own; else the thickness of its slices.

    Parameters
    ----------
    frame : Plane
        Of the segmentation.
    images : (Geometry, Dataset) or None
        The grid of the images and the header of one of them, if they are known.

    Returns
    -------
    float or None
        None where the header states it, or nothing tells it.
    """
    if frame.spacing_between_slices or frame.orientation is None:
        return None
    thickness = frame.slice_thickness
    if images is not None:
        grid, header = images
        across = abs(float(slice_normal(frame.orientation) @ np.asarray(grid.direction)[2::3]))
        theirs = elements.number_or_none(header, "SliceThickness")
        is_equal = not thickness or (theirs is not None and abs(theirs - thickness) <= SPACING_TOLERANCE * theirs)
        if is_equal and across > 1 - COSINE_TOLERANCE:
            return grid.spacing[2]
    return thickness if thickness and thickness > 0 else None


def onto(mask: Volume, geometry: Geometry) -> Volume:
    """Return a mask on another grid: as it is where the grids are the same, else by its nearest neighbours."""
    if mask.geometry is None:
        raise VolumeError(
            "A mask was asked for on the grid of images, but the segmentation has no position in the patient. Read it "
            "with get_volumes()."
        )
    if mask.geometry.isclose(geometry, tolerance=SAME_GRID_MM):
        return replace(mask, geometry=geometry)
    values = regrid.resampled(mask.array, mask.geometry, geometry, "nearest", 0)
    lost = _share_lost(mask.array, mask.geometry, geometry)
    spacing = " x ".join(f"{each:.4g}" for each in mask.geometry.spacing)
    note = f"resampled by nearest neighbour from voxels of {spacing} mm"
    if lost:
        note += f"; {lost:.3g} of the region lies outside of the images"
    return replace(mask, array=values, geometry=geometry, padding_mask=None, slices=None, log=(*mask.log, note))


def _share_lost(mask: NDArray[np.bool_], source: Geometry, target: Geometry) -> float:
    """Return the share of the voxels of a mask whose centres lie outside of another grid."""
    inside = np.argwhere(mask)
    if not len(inside):
        return 0.0
    indices = target.to_index(source.to_patient(inside, order="zyx"), order="xyz")
    within = ((indices >= -0.5) & (indices <= np.array(target.size) - 0.5)).all(axis=1)
    return float((~within).mean())


def check_images(region: Region, header: Dataset, images: str, patient: str = "") -> None:
    """Refuse a mask on images of another frame of reference, or of another patient than the one that is named.

    Raises
    ------
    VolumeError
        Both say which it is, and it is not the same.
    """
    check_common_space(
        Space(patient, region.frame_of_reference),
        header,
        f"The mask {region}",
        images,
        "Register them first, or ask for the mask on the images it was drawn on, with get_masks(). If they were "
        "registered elsewhere, say so with get_masks(allow_other_frame=True).",
    )
