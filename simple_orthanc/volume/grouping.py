"""Decide which frames can belong to one volume, before anything is stacked.

Frames that differ in orientation, size, pixel spacing or frame of reference never do, and neither do original and
derived images. What such frames of one grid may still differ in, time, echo, b-value and the like, is the business of
``splitting``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from simple_orthanc.volume import geometry
from simple_orthanc.volume.arrangement import Arrangement, arrange_positions
from simple_orthanc.volume.planes import Plane, has_image_type

# Pixel spacings are taken as equal within this share of them.
SPACING_TOLERANCE = 1e-4


def group_by_grid(planes: Sequence[Plane], across_series: bool = False) -> list[list[Plane]]:
    """Group frames by what no volume mixes: orientation, size, pixel spacing, frame of reference, kind of image.

    The groups and the frames in them come in an order that does not depend on the order given: InstanceNumber, then
    SOPInstanceUID, then frame.

    Parameters
    ----------
    planes : sequence of Plane
    across_series : bool
        Whether frames of several series may be one volume.

    Returns
    -------
    list of list of Plane

    Examples
    --------
    >>> from simple_orthanc.volume.planes import read_planes
    >>> from simple_orthanc.phantom import make_series
    >>> block = make_series()
    >>> scout = make_series((1, 4, 4), orientation=(0, 1, 0, 0, 0, -1), like=block[0])
    >>> sorted(len(group) for group in group_by_grid(read_planes(scout + block)))
    [1, 3]
    """
    by_kind: dict[Hashable, list[Plane]] = {}
    for plane in sorted(planes, key=lambda plane: _canonical(plane, across_series)):
        by_kind.setdefault(_kind(plane, across_series), []).append(plane)
    groups = [part for group in by_kind.values() for part in _by_frame_of_reference(group)]
    for same in (_same_orientation, _same_spacing):
        groups = [part for group in groups for part in _cluster(group, same)]
    return groups


def describe_groups(groups: Sequence[Sequence[Plane]]) -> list[str]:
    r"""Name for each group the attributes, with their values, in which it differs from another one.

    Examples
    --------
    >>> from simple_orthanc.volume.planes import read_planes
    >>> from simple_orthanc.phantom import make_series
    >>> wide = make_series(spacing=(1, 2, 2))
    >>> groups = group_by_grid(read_planes(wide + make_series(spacing=(1, 1, 1), like=wide[0])))
    >>> sorted(describe_groups(groups))
    ['PixelSpacing 1\\1', 'PixelSpacing 2\\2']
    """
    described = [[describe(group[0]) for describe in _DESCRIPTIONS] for group in groups]
    differing = [index for index in range(len(_DESCRIPTIONS)) if len({row[index] for row in described}) > 1]
    return [", ".join(row[index] for index in differing) for row in described]


def arrange_planes(planes: Sequence[Plane], spacing: float | None = None) -> Arrangement:
    """Arrange frames that all have a position, along their normal, or without orientation along their line."""
    first = planes[0]
    positions = [plane.position for plane in planes if plane.position is not None]
    along = direction_of(planes)
    # The frames of one object always run on in number.
    numbered = all(plane.number_of_frames == 1 for plane in planes)
    return _arranged(
        tuple(positions),
        (0.0, 0.0, 1.0) if along is None else tuple(along.tolist()),
        min(first.pixel_spacing) if first.pixel_spacing else 0.0,
        spacing,
        tuple(plane.instance_number for plane in planes) if numbered else (),
    )


# Each step of a plan asks for that of the same slices.
@lru_cache(maxsize=16)
def _arranged(
    positions: tuple[geometry.Vector, ...],
    along: tuple[float, ...],
    in_plane: float,
    spacing: float | None,
    numbers: tuple[int | None, ...],
) -> Arrangement:
    return arrange_positions(positions, along, in_plane=in_plane, spacing=spacing, numbers=numbers)


def direction_of(planes: Sequence[Plane]) -> geometry.Floats | None:
    """Return the unit vector along which frames follow each other; None if neither orientation nor line tells it."""
    if planes[0].orientation is not None:
        return geometry.slice_normal(planes[0].orientation)
    return geometry.line_direction([plane.position for plane in planes if plane.position is not None])


def _canonical(plane: Plane, across_series: bool) -> tuple[Any, ...]:
    number = plane.instance_number if plane.instance_number is not None else np.inf
    return "" if across_series else plane.series, number, plane.uid, plane.frame_index, plane.instance


def _kind(plane: Plane, across_series: bool) -> Hashable:
    return (
        "" if across_series else plane.series,
        plane.size,
        plane.samples,
        _own_object(plane),
        has_image_type(plane, "LOCALIZER"),
        has_image_type(plane, "DERIVED"),
        plane.position is None,
        plane.orientation_problem,
    )


def _own_object(plane: Plane) -> Hashable:
    # Without positions nothing relates the frames of one multi-frame object to those of another, and a segmentation is
    # a thing of its own; both keep to their object, or to the objects that the segmentation was cut into.
    if plane.is_sparse and plane.concatenation and plane.position is not None:
        return plane.concatenation.uid
    if plane.is_sparse or (plane.position is None and plane.number_of_frames > 1):
        return plane.instance
    return -1


def _by_frame_of_reference(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Split frames by FrameOfReferenceUID; frames that lack it join the others if these have one alone."""
    by_uid: dict[str, list[Plane]] = {}
    for plane in planes:
        by_uid.setdefault(plane.frame_of_reference, []).append(plane)
    return [list(planes)] if len(set(by_uid) - {""}) < 2 else list(by_uid.values())


def _cluster(planes: Sequence[Plane], same: Callable[[Plane, Plane], bool]) -> list[list[Plane]]:
    groups: list[list[Plane]] = []
    for plane in planes:
        for group in groups:
            if same(group[0], plane):
                group.append(plane)
                break
        else:
            groups.append([plane])
    return groups


def _same_orientation(one: Plane, other: Plane) -> bool:
    if one.orientation is None or other.orientation is None or one.orientation == other.orientation:
        return one.orientation == other.orientation
    return bool(np.abs(np.subtract(one.orientation, other.orientation)).max() <= geometry.COSINE_TOLERANCE)


def _same_spacing(one: Plane, other: Plane) -> bool:
    if one.pixel_spacing is None or other.pixel_spacing is None or one.pixel_spacing == other.pixel_spacing:
        return one.pixel_spacing == other.pixel_spacing
    return bool(np.allclose(one.pixel_spacing, other.pixel_spacing, rtol=SPACING_TOLERANCE, atol=0))


def _describe_image_type(plane: Plane) -> str:
    values = plane.discriminators.get("image type")
    if not any(has_image_type(plane, value) for value in ("LOCALIZER", "DERIVED", "ORIGINAL")):
        return "no ImageType"
    first = next(value for value in ("LOCALIZER", "DERIVED", "ORIGINAL") if has_image_type(plane, value))
    return f"ImageType {first}" if not isinstance(values, tuple) else f"ImageType {joined(values)}"


def _describe_orientation(plane: Plane) -> str:
    if plane.orientation is None:
        problem = plane.orientation_problem
        return f"ImageOrientationPatient is {f'unusable, as {problem}' if problem else 'missing'}"
    # Orientations that differ by less are one.
    return f"ImageOrientationPatient {joined([round(value, 3) + 0.0 for value in plane.orientation])}"


def joined(values: Sequence[Any]) -> str:
    """Join the values of an element as DICOM does, numbers in their shortest form."""
    return "\\".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


_DESCRIPTIONS: tuple[Callable[[Plane], str], ...] = (
    lambda plane: f"SeriesInstanceUID {plane.series}",
    lambda plane: f"{plane.size[0]} rows and {plane.size[1]} columns",
    lambda plane: f"SamplesPerPixel {plane.samples}",
    lambda plane: "" if _own_object(plane) == -1 else f"SOPInstanceUID {plane.uid}",
    _describe_image_type,
    lambda plane: f"ImagePositionPatient is {'missing' if plane.position is None else 'present'}",
    lambda plane: f"FrameOfReferenceUID {plane.frame_of_reference or 'is missing'}",
    _describe_orientation,
    lambda plane: "PixelSpacing " + ("is missing" if plane.pixel_spacing is None else joined(plane.pixel_spacing)),
)
