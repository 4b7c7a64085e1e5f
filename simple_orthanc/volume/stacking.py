"""From headers to stacks: every frame in its place on a grid, or the reason why there is no such place.

What callers use of this is gathered in ``stacks``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume import geometry, problems
from simple_orthanc.volume.discriminators import BY_NAME, DiscriminatorValue
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.grouping import Group, arrange_planes, group_by_grid, split_by_discriminator
from simple_orthanc.volume.mosaic import can_be_slice
from simple_orthanc.volume.planes import Plane, describe, has_image, has_image_type, read_planes


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames that lie at different places of one grid, in the order of the slices.

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
        What set the stack apart from others at the same place: name to value.
    assumed : bool
        The spacing of a single slice could not be measured.
    step : tuple or None
        The axis and the coordinate of this stack in a 4D volume; set by :func:`choose_volume`.
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
    assumed: bool = False
    step: tuple[str, float] | None = None
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


def plan_stacks(headers: Sequence[Dataset]) -> list[Stack]:
    """Group every frame of every object and find the grid of each group.

    Parameters
    ----------
    headers : sequence of pydicom.Dataset
        Pixels are not looked at. ``Plane.instance`` counts in this sequence.

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

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> [(stack.label, stack.geometry.spacing) for stack in plan_stacks(make_series((3, 4, 5), spacing=(2, 1, 1)))]
    [('axial 3x4x5', (1.0, 1.0, 2.0))]
    """
    frames = read_planes(headers)
    skipped = [describe(header) for header in headers if not has_image(header)]
    stacks: list[Stack] = []
    groups = sorted(group_by_grid(frames), key=len, reverse=True)
    for group in groups:
        base = _name(group)
        prefix = f"{base} " if len(groups) > 1 else ""
        grid = _sparse_grid(group) if group[0].is_sparse else None
        if grid is not None and group[0].segment is not None:
            stacks.extend(_on_sparse_grid(prefix + label, part, grid) for label, part in _segments(group))
            continue
        for part in split_by_discriminator(group):
            label = prefix + " ".join(mark.label for mark in part.marks) if part.marks else _name(part.planes)
            if grid is None:
                stacks.append(_stack(label, part))
                continue
            # Parts that are no regular grid together may each be one.
            own = grid if grid[0].problem is None else _sparse_grid(part.planes)
            stacks.append(_on_sparse_grid(label, part, own))
    stacks = [_with_all_objects(stack, frames) for stack in stacks]
    if skipped:
        note = f"{len(skipped)} object(s) without pixels left out: {', '.join(sorted(set(skipped)))}"
        stacks = [replace(stack, log=(*stack.log, note)) for stack in stacks]
    return unique_labels(stacks)


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
    size = "x".join(str(number) for number in (len(group), *first.size))
    if first.orientation is None:
        return f"{first.modality or 'image'} {size}"
    along = np.abs(geometry.slice_normal(first.orientation))
    name = ("sagittal", "coronal", "axial")[int(along.argmax())]
    oblique = "" if along.max() > np.cos(np.radians(5)) else "oblique "
    return f"{'localizer ' if has_image_type(first, 'LOCALIZER') else ''}{oblique}{name} {size}"


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
    if first.position is None or first.orientation is None:
        return _without_positions(stack)
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
    for name, discriminator in BY_NAME.items():
        values = {plane.discriminators.get(name) for plane in part.planes}
        if len(values) > 1 and name not in marked and discriminator.by_value:
            notes.append(f"{discriminator.keyword} has {len(values)} values in this volume, at different positions")
    return notes


def _without_positions(stack: Stack) -> Stack:
    found = stack.planes
    log = (*stack.log, "no ImagePositionPatient: an array without geometry")
    if len({plane.instance for plane in found}) > 1:
        numbers = [plane.instance_number for plane in found]
        if None in numbers or len(set(numbers)) < len(numbers):
            return replace(stack, problem=problems.unordered(stack.label, found), log=log)
        log = (*log, "slices in the order of InstanceNumber")
    else:
        log = (*log, "frames in their stored order") if len(found) > 1 else log
    return replace(stack, planes=tuple(sorted(found, key=lambda p: (p.instance_number or 0, p.frame_index))), log=log)


def _with_positions(stack: Stack) -> Stack:
    found = arrange_planes(stack.planes)
    ordered = tuple(stack.planes[index] for index in found.order)
    stack = replace(stack, planes=ordered, slice_indices=found.slice_indices, slices=found.slice_indices[-1] + 1)
    if found.shared_positions:
        return replace(stack, problem=problems.shared(stack.label, ordered, found), slices=len(ordered))
    if not found.regular:
        return replace(stack, problem=problems.uneven(stack.label, ordered, found))
    if found.gaps:
        return replace(stack, problem=problems.missing(stack.label, ordered, found))
    return on_grid(stack, found)


def on_grid(stack: Stack, found: geometry.Arrangement) -> Stack:
    """Return the stack its geometry."""
    first = stack.planes[0]
    log, step, assumed = list(stack.log), found.step, False
    if step is None:
        length, source = _assumed_spacing(first)
        along = length * geometry.slice_normal(first.orientation or ())
        step, assumed = (float(along[0]), float(along[1]), float(along[2])), True
        log.append(f"a single slice: its spacing of {length:g} mm is assumed, from {source}")
    elif found.deviation > 1e-9:
        share = found.deviation / float(np.linalg.norm(step))
        log.append(f"largest deviation of a slice from its place: {found.deviation:.3g} mm, {share:.2%} of the spacing")
    if found.step is not None and first.slice_thickness and np.linalg.norm(found.step) > 2 * first.slice_thickness:
        apart = float(np.linalg.norm(found.step))
        log.append(f"the slices are {apart:g} mm apart, but SliceThickness is {first.slice_thickness:g} mm")
    if first.pixel_spacing is None:
        log.append("no PixelSpacing: an array without geometry, in the order of the positions")
        return replace(stack, log=tuple(log), assumed=assumed)
    shape = (stack.slices, *first.size)
    grid = geometry.stack_geometry(shape, first.orientation or (), first.pixel_spacing, first.position or (), step)
    if grid.is_sheared:
        along = np.asarray(grid.direction)[2::3]
        lean = np.degrees(np.arccos(min(1.0, abs(float(along @ geometry.slice_normal(first.orientation or ()))))))
        log.append(f"sheared: the third axis leans by {lean:.2f} degrees from the normal of the slices (gantry tilt)")
    return replace(stack, geometry=grid, log=tuple(log), assumed=assumed)


def _assumed_spacing(plane: Plane) -> tuple[float, str]:
    if plane.spacing_between_slices:
        return abs(plane.spacing_between_slices), "SpacingBetweenSlices"
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


def _sparse_grid(group: Sequence[Plane]) -> tuple[Stack, geometry.Arrangement | None]:
    """Return a stack of all frames of a segmentation (PS3.3 C.8.20), several to a slice: the grid of its parts."""
    first = group[0]
    everything = Stack("segmentation", tuple(group), tuple(range(len(group))), len(group))
    if first.position is None or first.orientation is None:
        # Frames without a place belong together if each segment has one, and stay in their order.
        segments: dict[int | None, int] = {}
        places = []
        for plane in group:
            places.append(segments.get(plane.segment, 0))
            segments[plane.segment] = places[-1] + 1
        log = ("no PlanePositionSequence: an array without geometry, frames in their stored order",)
        return replace(everything, slice_indices=tuple(places), slices=max(places) + 1, log=log), None
    # Frames are left out where no segment is, so that neighbours may be far apart: the header knows how far.
    found = arrange_planes(group, spacing=first.spacing_between_slices)
    ordered = tuple(group[index] for index in found.order)
    stack = replace(everything, planes=ordered, slice_indices=found.slice_indices, slices=found.slice_indices[-1] + 1)
    if not found.regular:
        return replace(stack, problem=problems.uneven(stack.label, ordered, found)), found
    return on_grid(stack, found), found


def _on_sparse_grid(label: str, part: Group, grid: tuple[Stack, geometry.Arrangement | None]) -> Stack:
    """Return the stack of one part of a segmentation, on the grid that the frames of all parts span."""
    everything, found = grid
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
    if found is not None and filled < len(members):
        distances = tuple(found.distances[index] for index in chosen)
        here = replace(found, order=tuple(range(len(chosen))), distances=distances, slice_indices=stack.slice_indices)
        stack = replace(stack, problem=problems.shared(label, members, here), geometry=None)
    if filled < stack.slices:
        whose = "" if members[0].segment is None else " of this segment"
        stack = replace(stack, log=(*stack.log, f"{stack.slices - filled} slices have no frame{whose}: they are empty"))
    return stack


def _with_all_objects(stack: Stack, frames: Sequence[Plane]) -> Stack:
    """Refuse a segmentation of which a whole object is missing: its slices would seem to be empty."""
    cut = stack.planes[0].concatenation
    if cut is None or not stack.is_sparse:
        return stack
    parts = {plane.concatenation for plane in frames if plane.concatenation and plane.concatenation.uid == cut.uid}
    numbers = {part.number for part in parts}
    last = max(number for part in parts for number in (part.number, part.total, 1) if number is not None)
    lacking = [number for number in range(1, last + 1) if number not in numbers]
    if not lacking:
        return stack
    return replace(stack, problem=problems.incomplete(stack.label, stack.planes, lacking), geometry=None)
