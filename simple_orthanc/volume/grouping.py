"""Decide which frames can belong to one volume, before anything is stacked.

Frames that differ in orientation, size, pixel spacing or frame of reference never do (:func:`group_by_grid`). Frames
that agree in all of these are told apart by time, echo, b-value and the like only if they lie at the same position
(:func:`split_by_discriminator`): a CT whose AcquisitionNumber changes half-way along the table is one volume.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simple_orthanc.volume import geometry
from simple_orthanc.volume.discriminators import (
    BY_NAME,
    DISCRIMINATORS,
    Discriminator,
    DiscriminatorValue,
    on_one_clock,
)
from simple_orthanc.volume.planes import Plane, has_image_type

# Pixel spacings are taken as equal within this share of them.
SPACING_TOLERANCE = 1e-4
# The last resort: several multi-frame objects are told apart by what object they are.
OBJECT = Discriminator("object", "", (("", "SOPInstanceUID"),))


@dataclass(frozen=True)
class Mark:
    """One property that set a group apart from others at the same place: which, its value, its number, its label."""

    discriminator: Discriminator
    value: DiscriminatorValue | None
    number: int
    label: str


@dataclass(frozen=True)
class Group:
    """Frames that are to be stacked, and what set them apart."""

    planes: tuple[Plane, ...]
    marks: tuple[Mark, ...] = ()


def group_by_grid(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Group frames by what no volume mixes: orientation, size, pixel spacing, frame of reference, kind of image.

    The groups and the frames in them come in an order that does not depend on the order given: InstanceNumber, then
    SOPInstanceUID, then frame.

    Examples
    --------
    >>> from simple_orthanc.volume.planes import read_planes
    >>> from simple_orthanc.phantom import make_series
    >>> block = make_series()
    >>> scout = make_series((1, 4, 4), orientation=(0, 1, 0, 0, 0, -1), like=block[0])
    >>> sorted(len(group) for group in group_by_grid(read_planes(scout + block)))
    [1, 3]
    """
    ordered = sorted(planes, key=_canonical)
    groups = [ordered]
    for same in (_same_kind, _same_orientation, _same_spacing):
        groups = [part for group in groups for part in _cluster(group, same)]
    return groups


def _canonical(plane: Plane) -> tuple[Any, ...]:
    number = plane.instance_number if plane.instance_number is not None else np.inf
    return plane.series, number, plane.uid, plane.frame_index, plane.instance


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


def _same_kind(one: Plane, other: Plane) -> bool:
    return _kind(one) == _kind(other)


def _kind(plane: Plane) -> Hashable:
    # Without positions nothing relates the frames of one multi-frame object to those of another, and a segmentation is
    # a thing of its own; both keep to their object, or to the objects that the segmentation was cut into.
    own: Hashable = -1
    if plane.is_sparse and plane.concatenation and plane.position is not None:
        own = plane.concatenation.uid
    elif plane.is_sparse or (plane.position is None and plane.number_of_frames > 1):
        own = plane.instance
    return plane.series, plane.size, plane.samples, plane.frame_of_reference, own, has_image_type(plane, "LOCALIZER")


def _same_orientation(one: Plane, other: Plane) -> bool:
    if one.orientation is None or other.orientation is None:
        return one.orientation is other.orientation
    return bool(np.abs(np.subtract(one.orientation, other.orientation)).max() <= geometry.COSINE_TOLERANCE)


def _same_spacing(one: Plane, other: Plane) -> bool:
    if one.pixel_spacing is None or other.pixel_spacing is None:
        return one.pixel_spacing is other.pixel_spacing
    return bool(np.allclose(one.pixel_spacing, other.pixel_spacing, rtol=SPACING_TOLERANCE, atol=0))


def split_by_discriminator(planes: Sequence[Plane]) -> list[Group]:
    """Split frames of one grid into parts in which no position repeats, as far as their headers allow.

    Nothing is split where no position repeats, but for irregular frames that say of themselves that they are several
    stacks. Where positions repeat, a property is preferred whose every value
    covers all positions, then times that order the frames at each position, then the property that splits least. If no
    property tells the frames at a position apart they stay together, and are duplicates.

    Examples
    --------
    >>> from simple_orthanc.volume.planes import read_planes
    >>> from simple_orthanc.phantom import make_series
    >>> echoes = [header for echo in (1, 2) for header in make_series(EchoNumbers=echo, modality="MR")]
    >>> [(part.marks[0].label, len(part.planes)) for part in split_by_discriminator(read_planes(echoes))]
    [('echo 1', 3), ('echo 2', 3)]
    """
    slots = repeated_positions(planes)
    split = _named_stacks(planes) if slots is None else _best_split(planes, slots)
    if split is None:
        return [Group(tuple(planes))]
    discriminator, groups = split
    labels = _labels(discriminator, [value for value, _ in groups])
    return [
        Group(part.planes, (Mark(discriminator, value, number, label), *part.marks))
        for number, ((value, group), label) in enumerate(zip(groups, labels, strict=True), 1)
        for part in split_by_discriminator(group)
    ]


def arrange_planes(frames: Sequence[Plane], spacing: float | None = None) -> geometry.Arrangement:
    """Arrange frames that all have a position and an orientation."""
    first = frames[0]
    return geometry.arrange_positions(
        [plane.position for plane in frames if plane.position is not None],
        geometry.slice_normal(first.orientation or ()),
        in_plane=min(first.pixel_spacing) if first.pixel_spacing else 0.0,
        spacing=spacing,
    )


def repeated_positions(planes: Sequence[Plane]) -> list[int] | None:
    """Return for each frame the number of its position, or None if no position repeats or there are none."""
    first = planes[0]
    if first.position is None or first.orientation is None or len(planes) < 2:
        return None
    found = arrange_planes(planes)
    if not found.shared_positions:
        return None
    slots = [0] * len(planes)
    for index, place in zip(found.order, found.slice_indices, strict=True):
        slots[index] = place
    return slots


Split = tuple[Discriminator, list[tuple[DiscriminatorValue | None, list[Plane]]]]


def _named_stacks(planes: Sequence[Plane]) -> Split | None:
    """Split by StackID (PS3.3 C.7.6.16.2.2) the frames that are no regular stack together."""
    discriminator = BY_NAME["stack"]
    stacks: dict[DiscriminatorValue | None, list[Plane]] = {}
    for plane in planes:
        stacks.setdefault(_value(plane, discriminator), []).append(plane)
    if len(stacks) < 2 or planes[0].position is None:
        return None
    together = arrange_planes(planes)
    if together.regular and not together.gaps:
        return None
    return discriminator, sorted(stacks.items(), key=lambda pair: _sortable(pair[0]))


def _best_split(planes: Sequence[Plane], slots: Sequence[int]) -> Split | None:
    best: tuple[tuple[int, int, int], Split] | None = None
    candidates = list(DISCRIMINATORS)
    if all(plane.number_of_frames > 1 for plane in planes):
        candidates.append(OBJECT)
    for priority, discriminator in enumerate(candidates):
        values = on_one_clock(discriminator, [_value(plane, discriminator) for plane in planes])
        if len(set(zip(slots, values, strict=True))) == len(set(slots)):
            continue  # the same for all frames at each position
        by_value: dict[DiscriminatorValue | None, list[int]] = {}
        for index, value in enumerate(values):
            by_value.setdefault(value, []).append(index)
        members = [by_value[value] for value in sorted(by_value, key=_sortable)]
        complete = all({slots[index] for index in member} == set(slots) for member in members)
        ranked = _ranked(values, slots) if discriminator.ranked and not complete else None
        rank = 0 if complete else 1 if ranked is not None else 2
        groups = [(values[member[0]], member) for member in members]
        if ranked is not None:
            groups = [(_middle([values[index] for index in member]), member) for member in ranked]
        score = (rank, len(members) if rank == 2 else 0, priority)
        if best is None or score < best[0]:
            best = score, (discriminator, [(value, [planes[index] for index in member]) for value, member in groups])
    return None if best is None else best[1]


def _value(plane: Plane, discriminator: Discriminator) -> DiscriminatorValue | None:
    return plane.uid if discriminator is OBJECT else plane.discriminators.get(discriminator.name)


def _ranked(values: Sequence[DiscriminatorValue | None], slots: Sequence[int]) -> list[list[int]] | None:
    """Return the first, second, ... of each position, if each has as many and their numbers order them."""
    by_slot: dict[int, list[int]] = {}
    for index, slot in enumerate(slots):
        if not isinstance(values[index], float):
            return None
        by_slot.setdefault(slot, []).append(index)
    if len({len(members) for members in by_slot.values()}) > 1:
        return None
    rows = []
    for members in by_slot.values():
        if len({values[index] for index in members}) < len(members):
            return None
        rows.append(sorted(members, key=lambda index: _sortable(values[index])))
    return [list(column) for column in zip(*rows, strict=True)]


def _middle(values: Sequence[DiscriminatorValue | None]) -> float:
    return float(np.median([value for value in values if isinstance(value, float)]))


def _sortable(value: DiscriminatorValue | None) -> tuple[Any, ...]:
    if value is None:
        return (0,)
    if isinstance(value, tuple):
        return (3, *[_sortable(item) for item in value])
    return (1, value) if isinstance(value, float) else (2, value)


def _labels(discriminator: Discriminator, values: Sequence[DiscriminatorValue | None]) -> list[str]:
    name = discriminator.name
    if not discriminator.by_value:
        return [f"{name} {number}" for number in range(1, len(values) + 1)]
    texts = [_text(value) for value in values]
    if all(isinstance(value, tuple) for value in values):
        tuples = [value for value in values if isinstance(value, tuple)]
        if len({len(value) for value in tuples}) == 1:
            differing = [at for at in range(len(tuples[0])) if len({value[at] for value in tuples}) > 1]
            texts = [" ".join(_text(value[at]) for at in differing) for value in tuples]
    return [f"{name} {text}" if text else f"no {name}" for text in texts]


def _text(value: DiscriminatorValue | None) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " ".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
