"""Split the frames of one grid into those that are one volume: by time, echo, b-value, kernel and the like.

Frames at the same position are told apart by the property that does it best: a value whose images cover all positions,
times that order the images at each position, a tag that nobody knows beforehand, the order of InstanceNumber. Frames at
different positions are one volume, unless they are of different kinds: a few values of the b-value or the kernel, each
on several slices, are several volumes, while a CT whose AcquisitionNumber changes along the table is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.volume.diffusion import SMALLEST_B
from simple_orthanc.volume.discriminators import (
    BY_NAME,
    DISCRIMINATORS,
    OBJECT,
    REPETITION,
    TRACE,
    Discriminator,
    DiscriminatorValue,
    discriminator_of,
    on_one_clock,
)
from simple_orthanc.volume.geometry import DEVIATION_TOLERANCE
from simple_orthanc.volume.grouping import arrange_planes, direction_of
from simple_orthanc.volume.planes import Plane, varying_names
from simple_orthanc.volume.varying import find_varying_tag

# Fewer slices with a value do not show that it is a kind and not a slip.
_SEVERAL = 2
# Numbers that differ by no more than this share of them are one setting.
_ALIKE = 0.01
# Times of acquisition that several slices share, as in multiband sequences, are shared by fewer than this on average.
_SLICES_AT_ONCE = 3


@dataclass(frozen=True)
class Mark:
    """One property that set a group apart from others: which, its value, its label."""

    discriminator: Discriminator
    value: DiscriminatorValue | None
    label: str


@dataclass(frozen=True)
class Group:
    """Frames that are to be stacked, and what set them apart."""

    planes: tuple[Plane, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Split:
    """Frames by the values of one property."""

    discriminator: Discriminator
    groups: tuple[tuple[DiscriminatorValue | None, tuple[Plane, ...]], ...]


def split_by_discriminator(planes: Sequence[Plane], headers: Sequence[Dataset] = ()) -> list[Group]:
    """Split frames of one grid into groups in which no position repeats, as far as their headers allow.

    Where positions repeat, the first of these that separates the frames is taken:

    1. a property whose every value covers all positions;
    2. times that order the frames at each position;
    3. any tag of the headers that tells them apart;
    4. the order of their numbers;
    5. the property that splits least.

    Frames that nothing tells apart stay together, and are duplicates. Where no position repeats, frames are split if
    they are of different kinds, or if they are regular only by themselves.

    Parameters
    ----------
    planes : sequence of Plane
        Frames of one grid, from ``group_by_grid``.
    headers : sequence of pydicom.Dataset
        Those that the frames were read from, by ``Plane.instance``.

    Returns
    -------
    list of Group

    Examples
    --------
    >>> from simple_orthanc.volume.planes import read_planes
    >>> from simple_orthanc.phantom import make_series
    >>> echoes = [header for echo in (1, 2) for header in make_series(EchoNumbers=echo, modality="MR")]
    >>> [(group.marks[0].label, len(group.planes)) for group in split_by_discriminator(read_planes(echoes))]
    [('echo 1', 3), ('echo 2', 3)]
    """
    indices = position_indices(planes)
    if indices is None:
        split = _split_by_kind(planes) or _named_stacks(planes) or _regular_parts(planes)
    else:
        split = _split_positions(planes, indices, headers)
    if split is None:
        return [Group(tuple(planes))]
    labels = label_values(split.discriminator, [value for value, _ in split.groups])
    return [
        Group(group.planes, (Mark(split.discriminator, value, label), *group.marks))
        for (value, members), label in zip(split.groups, labels, strict=True)
        for group in split_by_discriminator(members, headers)
    ]


def position_indices(planes: Sequence[Plane]) -> list[int] | None:
    """Return for each frame the number of its position; None if no position repeats or there are none."""
    if planes[0].position is None or len(planes) < 2:
        return None
    if planes[0].orientation is None and (planes[0].orientation_problem or direction_of(planes) is None):
        # Without a direction only frames at exactly one place share a position.
        places = sorted({plane.position for plane in planes if plane.position is not None})
        same = [places.index(plane.position) for plane in planes if plane.position is not None]
        return same if len(places) < len(planes) else None
    arrangement = arrange_planes(planes)
    if not arrangement.shared_positions:
        return None
    indices = [0] * len(planes)
    for index, position in zip(arrangement.order, arrangement.slice_indices, strict=True):
        indices[index] = position
    return indices


def _split_by_kind(planes: Sequence[Plane]) -> Split | None:
    """Split frames at different positions that are of different kinds."""
    if planes[0].is_sparse:
        return None
    varying = varying_names(planes)
    for discriminator in DISCRIMINATORS:
        if not discriminator.meaning or discriminator.name not in varying:
            continue
        split = _by_value(planes, discriminator)
        sizes = [len(members) for value, members in split.groups if value is not None]
        if len(sizes) < 2 or _are_alike([value for value, _ in split.groups if value is not None]):
            continue
        if discriminator.meaning == "view":
            if planes[0].position is None:
                return split
            continue
        several = sum(size >= _SEVERAL for size in sizes) >= 2 and _SEVERAL * len(sizes) <= sum(sizes)
        if discriminator.meaning == "timing":
            several = several and _SLICES_AT_ONCE * len(sizes) <= sum(sizes)
        if several:
            return split
    return None


def _are_alike(values: Sequence[DiscriminatorValue]) -> bool:
    """Check whether values are numbers that differ by no more than scanners let one setting vary."""
    numbers = [value for value in values if isinstance(value, float)]
    return len(numbers) == len(values) and max(numbers) - min(numbers) <= _ALIKE * max(map(abs, numbers))


def _named_stacks(planes: Sequence[Plane]) -> Split | None:
    """Split by StackID (PS3.3 C.7.6.16.2.2) the frames that are no regular stack together."""
    split = _by_value(planes, BY_NAME["stack"])
    if len(split.groups) < 2 or planes[0].position is None:
        return None
    together = arrange_planes(planes)
    return None if together.regular and not together.gaps else split


def _regular_parts(planes: Sequence[Plane]) -> Split | None:
    """Split uneven frames, or frames with holes, by the property whose values are each regular by themselves."""
    first = planes[0]
    if first.is_sparse or first.position is None or direction_of(planes) is None:
        return None
    together = arrange_planes(planes)
    if together.shared_positions or (together.regular and not together.gaps):
        return None
    for discriminator in _candidates(planes):
        split = _by_value(planes, discriminator)
        sizes = [len(members) for _, members in split.groups]
        if len(sizes) < 2 or min(sizes) < _SEVERAL:
            continue
        parts = [arrange_planes(members) for _, members in split.groups]
        if not all(part.regular and part.step and not part.gaps and not part.shared_positions for part in parts):
            continue
        spacings = [float(np.linalg.norm(part.step or 0)) for part in parts]
        # Parts of one spacing with a hole between them have lost slices.
        if not together.regular or max(spacings) - min(spacings) > DEVIATION_TOLERANCE * max(spacings):
            return split
    return None


def _by_value(planes: Sequence[Plane], discriminator: Discriminator) -> Split:
    by_value: dict[DiscriminatorValue | None, list[Plane]] = {}
    for plane in planes:
        by_value.setdefault(plane.discriminators.get(discriminator.name), []).append(plane)
    ordered = sorted(by_value.items(), key=lambda pair: _sortable(pair[0]))
    return Split(discriminator, tuple((value, tuple(members)) for value, members in ordered))


def _candidates(planes: Sequence[Plane]) -> list[Discriminator]:
    """Return the properties that frames may differ in, the dimensions of enhanced objects last.

    Of diffusion weighted images the b-value and the direction say more than the time at which they were acquired.
    """
    names = dict.fromkeys(name for plane in planes for name in plane.discriminators if name not in BY_NAME)
    known = list(DISCRIMINATORS)
    if any((plane.diffusion.b or 0) > SMALLEST_B for plane in planes):
        known.sort(key=lambda discriminator: discriminator.axis != "b")
    return [*known, *(discriminator_of(name) for name in names)]


def _split_positions(planes: Sequence[Plane], indices: Sequence[int], headers: Sequence[Dataset]) -> Split | None:
    """Split frames of which several are at one position."""
    complete: Split | None = None
    ranked: Split | None = None
    partial: Split | None = None
    for discriminator in _candidates(planes):
        values = on_one_clock(discriminator, [plane.discriminators.get(discriminator.name) for plane in planes])
        if len(set(zip(indices, values, strict=True))) == len(set(indices)):
            continue  # the same for all frames at each position
        by_value: dict[DiscriminatorValue | None, list[int]] = {}
        for index, value in enumerate(values):
            by_value.setdefault(value, []).append(index)
        members = [(value, by_value[value]) for value in sorted(by_value, key=_sortable)]
        split = Split(discriminator, tuple((value, tuple(planes[index] for index in own)) for value, own in members))
        if all({indices[index] for index in own} == set(indices) for _, own in members):
            complete = split
            break
        if ranked is None and discriminator.ranked:
            ranked = _rank(planes, discriminator, values, indices)
        if partial is None or len(split.groups) < len(partial.groups):
            partial = split
    return complete or ranked or _split_unknown(planes, indices, headers) or _split_objects(planes) or partial


def _split_unknown(planes: Sequence[Plane], indices: Sequence[int], headers: Sequence[Dataset]) -> Split | None:
    """Split by any tag that the headers hold, or by the order of numbers."""
    repetitions = _repetitions(planes, indices)
    ordered = None if repetitions is None else [number for _, number in sorted(repetitions.items())]
    varying = find_varying_tag(planes, indices, headers, ordered)
    if varying is not None:
        discriminator, values = varying
        groups: dict[DiscriminatorValue, list[Plane]] = {}
        for plane, value in zip(planes, values, strict=True):
            groups.setdefault(value, []).append(plane)
        ordered_values = sorted(groups, key=_sortable)
        return Split(discriminator, tuple((value, tuple(groups[value])) for value in ordered_values))
    if ordered is None:
        return None
    numbers = sorted(set(ordered))
    return Split(
        REPETITION,
        tuple(
            (float(number), tuple(plane for plane, own in zip(planes, ordered, strict=True) if own == number))
            for number in numbers
        ),
    )


def _repetitions(planes: Sequence[Plane], indices: Sequence[int]) -> dict[int, int] | None:
    """Count the repetitions of a set of positions by the order of ImageIndex or InstanceNumber.

    Returns
    -------
    dict or None
        The index of each frame to the number of its repetition, from 1. None if the images are not numbered volume by
        volume, or slice by slice, or if there is one position alone.
    """
    counts = Counter(indices)
    positions, times = len(counts), len(planes) // len(counts)
    if positions < 2 or set(counts.values()) != {times}:
        return None
    if all(plane.number_of_frames > 1 for plane in planes):
        return _numbered_objects(planes, indices)
    for numbers in ([plane.image_index for plane in planes], [plane.instance_number for plane in planes]):
        if None in numbers or len(set(numbers)) < len(numbers):
            continue
        order = sorted(range(len(planes)), key=lambda index: numbers[index] or 0)
        blocks = [order[start : start + positions] for start in range(0, len(order), positions)]
        if all(len({indices[index] for index in block}) == positions for block in blocks):
            return {index: number for number, block in enumerate(blocks, 1) for index in block}
        blocks = [order[start : start + times] for start in range(0, len(order), times)]
        if all(len({indices[index] for index in block}) == 1 for block in blocks):
            return {index: rank for block in blocks for rank, index in enumerate(block, 1)}
    return None


def _numbered_objects(planes: Sequence[Plane], indices: Sequence[int]) -> dict[int, int] | None:
    """Count objects that each hold every position once by their InstanceNumber."""
    objects: dict[int, list[int]] = {}
    for index, plane in enumerate(planes):
        objects.setdefault(plane.instance, []).append(index)
    if any(len({indices[index] for index in members}) < len(set(indices)) for members in objects.values()):
        return None
    numbers = [planes[members[0]].instance_number for members in objects.values()]
    if None in numbers or len(set(numbers)) < len(numbers) or len(planes) != len(objects) * len(set(indices)):
        return None
    ranks = {number: rank for rank, number in enumerate(sorted(number for number in numbers if number is not None), 1)}
    return {index: ranks[planes[index].instance_number or 0] for members in objects.values() for index in members}


def _split_objects(planes: Sequence[Plane]) -> Split | None:
    """Split multi-frame objects at one place by which object they are."""
    by_uid: dict[DiscriminatorValue | None, list[Plane]] = {}
    for plane in planes:
        by_uid.setdefault(plane.uid, []).append(plane)
    if len(by_uid) < 2 or any(plane.number_of_frames == 1 for plane in planes):
        return None
    ordered = sorted(by_uid.items(), key=lambda pair: _sortable(pair[0]))
    return Split(OBJECT, tuple((uid, tuple(members)) for uid, members in ordered))


def _rank(
    planes: Sequence[Plane],
    discriminator: Discriminator,
    values: Sequence[DiscriminatorValue | None],
    indices: Sequence[int],
) -> Split | None:
    """Split into the first, second, ... of each position, if each has as many and their numbers order them."""
    by_position: dict[int, list[int]] = {}
    for index, position in enumerate(indices):
        if not isinstance(values[index], float):
            return None
        by_position.setdefault(position, []).append(index)
    if len({len(members) for members in by_position.values()}) > 1:
        return None
    rows = []
    for members in by_position.values():
        if len({values[index] for index in members}) < len(members):
            return None
        rows.append(sorted(members, key=lambda index: _sortable(values[index])))
    return Split(
        discriminator,
        tuple(
            (
                float(np.median([value for index in column if isinstance(value := values[index], float)])),
                tuple(planes[index] for index in column),
            )
            for column in zip(*rows, strict=True)
        ),
    )


def _sortable(value: DiscriminatorValue | None) -> tuple[Any, ...]:
    if value is None:
        return (0,)
    if isinstance(value, tuple):
        return (3, *[_sortable(item) for item in value])
    return (1, value) if isinstance(value, float) else (4, value)


def label_values(discriminator: Discriminator, values: Sequence[DiscriminatorValue | None]) -> list[str]:
    """Label the values of a discriminator, with their numbers where they are no names.

    Examples
    --------
    >>> label_values(BY_NAME["image type"], [("ORIGINAL", "PRIMARY", "M"), ("ORIGINAL", "PRIMARY", "P"), None])
    ['image type ORIGINAL PRIMARY M', 'image type ORIGINAL PRIMARY P', 'no image type']
    >>> label_values(BY_NAME["image type"], [("ORIGINAL", "PRIMARY", "M"), ("ORIGINAL", "PRIMARY", "P")])
    ['image type M', 'image type P']
    """
    name = discriminator.name
    if not discriminator.by_value:
        numbers = count(1)
        return [TRACE if value == TRACE else f"{name} {next(numbers)}" for value in values]
    tuples = [value for value in values if isinstance(value, tuple)]
    if len(tuples) < len(values) or len({len(value) for value in tuples}) > 1:
        texts = [_text(value) for value in values]
    else:
        # Only the items that differ are worth reading.
        differing = [index for index in range(len(tuples[0])) if len({value[index] for value in tuples}) > 1]
        texts = [" ".join(_text(value[index]) for index in differing) for value in tuples]
    return [f"{name} {text}" if text else f"no {name}" for text in texts]


def _text(value: DiscriminatorValue | None) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " ".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
