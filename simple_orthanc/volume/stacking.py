"""From headers to stacks: every frame at its slice of a grid, or the reason why there is no such grid.

What callers use of this is gathered in ``choosing``.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc import limits
from simple_orthanc.errors import VolumeError
from simple_orthanc.showing.text import agreeing, counted
from simple_orthanc.volume import geometry, problems
from simple_orthanc.volume.announced import find_contradictions
from simple_orthanc.volume.arrangement import Arrangement, spacing_changes
from simple_orthanc.volume.discriminators import BY_NAME, REPETITION, Discriminator, DiscriminatorValue
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.grouping import arrange_planes, describe_groups, direction_of, group_by_grid
from simple_orthanc.volume.mosaic import can_be_slice
from simple_orthanc.volume.placement import MISSING
from simple_orthanc.volume.planes import Plane, describe, has_image_type, read_planes, varying_names
from simple_orthanc.volume.splitting import Group, split_by_discriminator


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames that lie at different indices of one grid, in the order of the slices.

    Attributes
    ----------
    label : str
        Readable, the same for the same images whatever their order, and unique in a plan: "axial 22x288x288",
        "echo 2", "b 1000".
    planes : tuple of Plane
        The frames, along the normal of the slices (row cosines x column cosines, PS3.3 C.7.6.2.1.1); without positions
        by InstanceNumber, and the frames of one object in their own order.
    slice_indices : tuple of int
        The slice that each frame fills. Several frames fill one slice only in a label map of several segments.
    slices : int
        Number of slices, filled or not.
    geometry : Geometry or None
        None if there is a problem, or if the objects have no position.
    problem : VolumeError or None
        Why the frames are no regular volume, ready to be raised.
    log : tuple of str
        What was found and assumed.
    discriminators : mapping
        What set the stack apart from others of the same grid: name to value.
    reason : str
        The attributes in which its grid differs from that of other stacks, with their values.
    breaks : tuple of int
        Where the stack can be cut into regular runs: indices into the frames, after a hole or a change of spacing.
    contradiction : str
        Where the headers announce more images than there are.
    assumed : bool
        The spacing of a single slice could not be measured.
    step : tuple or None
        The axis and the coordinate of this stack in a 4D volume, as its tag has it; set by :func:`choose_volume`.
    step_tag : Discriminator or None
        What that coordinate is from.
    is_label_map : bool
        The frames are segments, to be drawn into one array by their numbers.
    """

    label: str
    planes: tuple[Plane, ...]
    slice_indices: tuple[int, ...]
    slices: int
    geometry: Geometry | None = None
    problem: VolumeError | None = None
    log: tuple[str, ...] = ()
    discriminators: Mapping[str, DiscriminatorValue | None] = field(default_factory=dict)
    reason: str = ""
    breaks: tuple[int, ...] = ()
    contradiction: str = ""
    assumed: bool = False
    step: tuple[str, float] | None = None
    step_tag: Discriminator | None = None
    is_label_map: bool = False

    @property
    def is_segment(self) -> bool:
        """Whether these are the frames of segments, to be drawn by the number of each."""
        return self.planes[0].segment is not None

    @property
    def is_sparse(self) -> bool:
        """Whether missing frames are empty, as in segmentations, and not lost."""
        return self.planes[0].is_sparse

    @property
    def shape(self) -> tuple[int, ...]:
        """Slices, rows, columns, and 3 for colour."""
        first = self.planes[0]
        return (self.slices, *first.size, *((first.samples,) if first.samples > 1 else ()))


def plan_stacks(headers: Sequence[Dataset], spacing: float | None = None, across_series: bool = False) -> list[Stack]:
    """Group every frame of every object and find the grid of each group.

    Parameters
    ----------
    headers : sequence of pydicom.Dataset
        Pixels are not looked at. ``Plane.instance`` counts in this sequence.
    spacing : float, optional
        Distance between slices in mm, used where the headers do not tell it: for a single slice, for the frames of an
        object with one position, and for segmentations, which leave out slices. A spacing that the positions determine
        is never replaced.
    across_series : bool
        Whether images of several series may be one volume.

    Returns
    -------
    list of Stack
        In an order, and with labels, that do not depend on the order of the headers. The largest group is first.

    Raises
    ------
    NoPixelDataError
        If no object holds an image.
    InconsistentSlicesError
        If an object's geometry contradicts itself. What is wrong between objects is the ``problem`` of a stack.
    VolumeError
        If `spacing` is not a positive number.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> [(stack.label, stack.geometry.spacing) for stack in plan_stacks(make_series((3, 4, 5), spacing=(2, 1, 1)))]
    [('axial 3x4x5', (1.0, 1.0, 2.0))]
    """
    check_spacing(spacing)
    frames = read_planes(headers, spacing)
    images = {plane.instance for plane in frames}
    skipped = [describe(header) for index, header in enumerate(headers) if index not in images]
    stacks: list[Stack] = []
    groups = sorted(group_by_grid(frames, across_series), key=len, reverse=True)
    for group, reason in zip(groups, describe_groups(groups), strict=True):
        prefix = f"{_name(group)} " if len(groups) > 1 else ""
        planned = _stack_group(group, prefix, headers)
        contradiction = find_contradictions(group, headers, frames)
        for stack in planned:
            log = (*stack.log, *((f"a group of its own: {reason}",) if reason else ()), *contradiction)
            stacks.append(replace(stack, reason=reason, log=log, contradiction="; ".join(contradiction)))
    stacks = [_with_all_objects(stack, frames) for stack in stacks]
    if skipped:
        note = f"{len(skipped)} object(s) without pixels left out: {', '.join(sorted(set(skipped)))}"
        stacks = [replace(stack, log=(*stack.log, note)) for stack in stacks]
    return unique_labels(stacks)


def check_spacing(spacing: Any) -> None:
    """Refuse a spacing that is not a positive number of mm.

    Raises
    ------
    VolumeError
        With what can be asked for.
    """
    is_number = isinstance(spacing, numbers.Real) and not isinstance(spacing, bool)
    if spacing is not None and not (is_number and np.isfinite(spacing) and spacing > 0):
        raise VolumeError(
            f"spacing={spacing!r} is not valid; give a distance between slices in mm, such as spacing=2.5."
        )


def _stack_group(group: Sequence[Plane], prefix: str, headers: Sequence[Dataset]) -> list[Stack]:
    """Return the stacks of the frames of one grid."""
    grid = _sparse_grid(group) if group[0].is_sparse else None
    if grid is not None and group[0].segment is not None:
        return [_on_sparse_grid(prefix + label, part, grid) for label, part in _segments(group)]
    stacks = []
    for part in split_by_discriminator(group, headers):
        label = prefix + " ".join(mark.label for mark in part.marks) if part.marks else _name(part.planes)
        if grid is None:
            stacks.append(_stack(label, part))
            continue
        # Parts that are no regular grid together may each be one.
        own = grid if grid[0].problem is None else _sparse_grid(part.planes)
        stacks.append(_on_sparse_grid(label, part, own))
    return stacks


def unique_labels(stacks: Sequence[Stack]) -> list[Stack]:
    """Add a number to labels that occur more than once."""
    seen: dict[str, int] = {}
    result = []
    for stack in stacks:
        seen[stack.label] = number = seen.get(stack.label, 0) + 1
        result.append(stack if number == 1 else replace(stack, label=f"{stack.label} ({number})"))
    return result


def _name(group: Sequence[Plane]) -> str:
    first = group[0]
    kind = "".join(f"{word.lower()} " for word in ("LOCALIZER", "DERIVED") if has_image_type(first, word))
    size = "x".join(str(number) for number in (len(group), *first.size))
    if first.orientation is None:
        return f"{first.modality or 'image'} {size}"
    along = np.abs(geometry.slice_normal(first.orientation))
    name = ("sagittal", "coronal", "axial")[int(along.argmax())]
    oblique = "" if along.max() > np.cos(np.radians(5)) else "oblique "
    return f"{kind}{oblique}{name} {size}"


def _stack(label: str, part: Group) -> Stack:
    first = part.planes[0]
    stack = Stack(
        label=label,
        planes=part.planes,
        slice_indices=tuple(range(len(part.planes))),
        slices=len(part.planes),
        log=tuple(_differences(part)),
        discriminators={mark.discriminator.name: mark.value for mark in part.marks},
    )
    if any(plane.mosaic_lacks for plane in part.planes):
        if not _are_unpacked(part.planes):
            return replace(stack, problem=problems.mosaic(label, part.planes))
        stack = replace(stack, log=(*stack.log, "named mosaics, but positioned as slices are: unpacked before"))
    if first.orientation_problem:
        return replace(stack, problem=problems.unusable_orientation(label, part.planes))
    if first.frame_spacing == MISSING:
        return replace(stack, problem=problems.no_frame_spacing(label, part.planes))
    if first.position is None:
        return _without_positions(stack)
    if direction_of(part.planes) is None:
        return _without_direction(stack)
    return _with_positions(stack)


def _are_unpacked(planes: Sequence[Plane]) -> bool:
    """Check whether images that are named mosaics lie as slices do, so that each is a slice unpacked from one.

    The mosaics of a series share their position, or are moved a little to follow the head.
    """
    first = planes[0]
    if len(planes) < 2 or None in (first.position, first.orientation, first.slice_thickness):
        return False
    distances = np.diff(arrange_planes(planes).distances)
    return can_be_slice(first.size, first.pixel_spacing) and bool(distances.min() >= 0.5 * (first.slice_thickness or 0))


def _differences(part: Group) -> list[str]:
    """Name what differs between slices although no position repeats, so that a mixed volume is seen to be one."""
    marked = {mark.discriminator.name for mark in part.marks}
    notes = []
    varying = varying_names(part.planes) - marked
    for name, discriminator in BY_NAME.items():
        if name in varying and (discriminator.by_value or discriminator.meaning):
            values = {plane.discriminators.get(name) for plane in part.planes}
            notes.append(f"{discriminator.keyword} has {len(values)} values in this volume, at different positions")
    if REPETITION.name in marked:
        notes.append(f"repetitions are told apart by the order of {REPETITION.keyword} alone")
    return notes


def _without_positions(stack: Stack) -> Stack:
    planes = stack.planes
    log = (*stack.log, planes[0].note or "no ImagePositionPatient: an array without geometry")
    if len({plane.instance for plane in planes}) > 1:
        numbers = [plane.instance_number for plane in planes]
        if None in numbers or len(set(numbers)) < len(numbers):
            return replace(stack, problem=problems.unordered(stack.label, planes), log=log)
        log = (*log, "slices in the order of InstanceNumber")
    elif len(planes) > 1 and not planes[0].note:
        log = (*log, "frames in their stored order")
    ordered = sorted(planes, key=lambda plane: (plane.instance_number or 0, plane.frame_index))
    return replace(stack, planes=tuple(ordered), log=log)


def _without_direction(stack: Stack) -> Stack:
    """Keep a single image without orientation; refuse several whose positions give no order."""
    if len(stack.planes) > 1:
        return replace(stack, problem=problems.no_line(stack.label, stack.planes))
    note = "no ImageOrientationPatient: an array without geometry"
    return replace(stack, log=(*stack.log, note))


def _with_positions(stack: Stack) -> Stack:
    arrangement = arrange_planes(stack.planes)
    ordered = tuple(stack.planes[index] for index in arrangement.order)
    indices = arrangement.slice_indices
    if indices[-1] >= limits.frames:
        return replace(stack, problem=problems.too_many_slices(stack.label, ordered, arrangement))
    stack = replace(stack, planes=ordered, slice_indices=indices, slices=indices[-1] + 1)
    if arrangement.shared_positions:
        problem = problems.shared(stack.label, ordered, arrangement)
        return replace(stack, problem=problem, slices=len(ordered))
    changes = spacing_changes(arrangement.distances)
    # A part in which every gap is a hole has another spacing, unless InstanceNumber skips numbers in the holes too.
    if not arrangement.regular or (changes and arrangement.gaps and not _numbers_jump(ordered, arrangement)):
        problem = problems.uneven(stack.label, ordered, arrangement, changes)
        slices = tuple(range(len(ordered)))
        return replace(stack, problem=problem, breaks=changes, slice_indices=slices, slices=len(ordered))
    if arrangement.gaps:
        breaks = tuple(index for index in range(1, len(indices)) if indices[index] - indices[index - 1] > 1)
        return replace(stack, problem=problems.missing(stack.label, ordered, arrangement), breaks=breaks)
    return on_grid(stack, arrangement)


def _numbers_jump(ordered: Sequence[Plane], arrangement: Arrangement) -> bool:
    """Check whether InstanceNumber skips as many numbers in a hole as slices are missing there."""
    jumps = [
        abs(after - before) == index_after - index_before
        for one, other, index_before, index_after in zip(
            ordered, ordered[1:], arrangement.slice_indices, arrangement.slice_indices[1:], strict=False
        )
        if (before := one.instance_number) is not None and (after := other.instance_number) is not None
    ]
    return len(jumps) == len(ordered) - 1 and all(jumps)


def on_grid(stack: Stack, arrangement: Arrangement) -> Stack:
    """Return the stack with its geometry."""
    first = stack.planes[0]
    log, step, assumed, orientation = list(stack.log), arrangement.step, False, first.orientation
    if step is not None:
        log += _spacing_notes(first, arrangement)
        if first.frame_spacing:
            log.append(f"one position for {first.number_of_frames} frames: their spacing is from {first.frame_spacing}")
            assumed = first.frame_spacing == "SliceThickness"
    if orientation is None:
        log.append("no ImageOrientationPatient: an array without geometry, in the order of the positions along a line")
        return replace(stack, log=tuple(log), assumed=assumed)
    if first.cosines_were_off:
        log.append(
            "the cosines of ImageOrientationPatient are rounded: they were made perpendicular unit vectors, exact to "
            f"{first.cosine_rounding:g}"
        )
    if step is None:
        length, source = _assumed_spacing(first)
        along = length * geometry.slice_normal(orientation)
        step, assumed = (float(along[0]), float(along[1]), float(along[2])), source != "the argument spacing"
        log.append(f"a single slice: its spacing of {length:g} mm is {'assumed, ' * assumed}from {source}")
    else:
        turned = geometry.perpendicular_to_step(orientation, step, first.cosine_rounding)
        if turned is not orientation and turned != orientation:
            log.append("the slices are perpendicular to the line of their positions within the rounding of the cosines")
        orientation = turned
    if first.pixel_spacing is None:
        log.append("no PixelSpacing above 0: an array without geometry, in the order of the positions")
        return replace(stack, log=tuple(log), assumed=assumed)
    shape = (stack.slices, *first.size)
    grid = geometry.stack_geometry(shape, orientation, first.pixel_spacing, first.position or (), step)
    if grid.is_sheared:
        along = np.asarray(grid.direction)[2::3]
        lean = np.degrees(np.arccos(min(1.0, abs(float(along @ geometry.slice_normal(orientation))))))
        log.append(f"sheared: the third axis leans by {lean:.2f} degrees from the normal of the slices (gantry tilt)")
    return replace(stack, geometry=grid, log=tuple(log), assumed=assumed)


def _spacing_notes(first: Plane, arrangement: Arrangement) -> list[str]:
    """Compare the measured spacing with what the headers and the user say."""
    notes = []
    measured = float(np.linalg.norm(arrangement.step or 0))
    if arrangement.deviation > 1e-9:
        share = arrangement.deviation / measured
        notes.append(
            f"largest deviation of a slice from an even spacing: {arrangement.deviation:.3g} mm, {share:.2%} of it"
        )
    if first.slice_thickness and measured > 2 * first.slice_thickness:
        notes.append(f"the slices are {measured:g} mm apart, but SliceThickness is {first.slice_thickness:g} mm")
    given = first.given_spacing
    if given and not first.frame_spacing and abs(given - measured) > geometry.DEVIATION_TOLERANCE * measured:
        notes.append(f"spacing={given:g} was given, but not used: the positions are {measured:g} mm apart")
    return notes


def _assumed_spacing(plane: Plane) -> tuple[float, str]:
    if plane.spacing_between_slices:
        return abs(plane.spacing_between_slices), "SpacingBetweenSlices"
    if plane.given_spacing:
        return plane.given_spacing, "the argument spacing"
    if plane.slice_thickness and plane.slice_thickness > 0:
        return plane.slice_thickness, "SliceThickness"
    return 1.0, "nothing, as neither SpacingBetweenSlices nor SliceThickness is there"


def _segments(group: Sequence[Plane]) -> list[tuple[str, Group]]:
    """Return the frames of each segment of a binary or fractional segmentation, with its number and name."""
    segments: dict[int, list[Plane]] = {}
    for plane in group:
        segments.setdefault(plane.segment or 0, []).append(plane)
    return [
        (f"segment {number} {members[0].segment_name}".rstrip(), Group(tuple(members)))
        for number, members in sorted(segments.items())
    ]


def _sparse_grid(group: Sequence[Plane]) -> tuple[Stack, Arrangement | None]:
    """Return a stack of all frames of a segmentation (PS3.3 C.8.20), several to a slice: the grid of its parts."""
    first = group[0]
    everything = Stack("segmentation", tuple(group), tuple(range(len(group))), len(group))
    if first.position is None or first.orientation is None:
        # Frames without a position belong together if each segment has one, and stay in their order.
        segments: dict[int | None, int] = {}
        indices = []
        for plane in group:
            indices.append(segments.get(plane.segment, 0))
            segments[plane.segment] = indices[-1] + 1
        log = ("no PlanePositionSequence: an array without geometry, frames in their stored order",)
        return replace(everything, slice_indices=tuple(indices), slices=max(indices) + 1, log=log), None
    # Frames are left out where no segment is, so that neighbours may be far apart: the header knows how far, or else
    # the user.
    arrangement = arrange_planes(group, spacing=first.spacing_between_slices or first.given_spacing)
    ordered = tuple(group[index] for index in arrangement.order)
    if arrangement.slice_indices[-1] >= limits.frames:
        problem = problems.too_many_slices(everything.label, ordered, arrangement)
        return replace(everything, problem=problem), None
    stack = replace(
        everything, planes=ordered, slice_indices=arrangement.slice_indices, slices=arrangement.slice_indices[-1] + 1
    )
    if not arrangement.regular:
        return replace(stack, problem=problems.uneven(stack.label, ordered, arrangement, ())), arrangement
    return on_grid(stack, arrangement), arrangement


def _on_sparse_grid(label: str, part: Group, grid: tuple[Stack, Arrangement | None]) -> Stack:
    """Return the stack of one part of a segmentation, on the grid that the frames of all parts span."""
    everything, arrangement = grid
    own = {id(plane) for plane in part.planes}
    chosen = [index for index, plane in enumerate(everything.planes) if id(plane) in own]
    members = tuple(everything.planes[index] for index in chosen)
    stack = replace(
        everything,
        label=label,
        planes=members,
        slice_indices=tuple(everything.slice_indices[index] for index in chosen),
        discriminators={mark.discriminator.name: mark.value for mark in part.marks},
    )
    filled = len(set(stack.slice_indices))
    if arrangement is not None and filled < len(members):
        distances = tuple(arrangement.distances[index] for index in chosen)
        here = replace(
            arrangement, order=tuple(range(len(chosen))), distances=distances, slice_indices=stack.slice_indices
        )
        stack = replace(stack, problem=problems.shared(label, members, here), geometry=None)
    if filled < stack.slices:
        whose = "" if members[0].segment is None else " of this segment"
        empty = stack.slices - filled
        note = f"{counted(empty, 'slice')} {agreeing(empty, 'have')} no frame{whose} and {agreeing(empty, 'are')} empty"
        stack = replace(stack, log=(*stack.log, note))
    return stack


def _with_all_objects(stack: Stack, frames: Sequence[Plane]) -> Stack:
    """Refuse an image of which a whole object is missing: a part would seem to be the whole, or slices to be empty."""
    cut = stack.planes[0].concatenation
    if cut is None:
        return stack
    parts = {plane.concatenation for plane in frames if plane.concatenation and plane.concatenation.uid == cut.uid}
    numbers = {part.number for part in parts}
    last = max(number for part in parts for number in (part.number, part.total, 1) if number is not None)
    lacking = [number for number in range(1, min(last, limits.frames) + 1) if number not in numbers]
    if not lacking:
        return stack
    return replace(stack, problem=problems.incomplete(stack.label, stack.planes, lacking, last), geometry=None)
