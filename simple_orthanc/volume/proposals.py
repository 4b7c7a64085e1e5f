"""Write the calls that an error proposes: what to select or to leave out so that one volume remains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simple_orthanc.dicom.levels import level_of_keyword
from simple_orthanc.volume.discriminators import DiscriminatorValue, discriminator_of
from simple_orthanc.volume.planes import Plane, has_image_type
from simple_orthanc.volume.stacking import Stack

# Messages list the numbers of so many images.
_LISTED = 40


@dataclass(frozen=True)
class Condition:
    """An argument of select or exclude, and which frames meet it."""

    text: str
    holds: Callable[[Plane], bool]


def selection_of(stack: Stack, stacks: Sequence[Stack]) -> str | None:
    """Write the arguments of select that leave the images of one stack alone.

    Parameters
    ----------
    stack : Stack
    stacks : sequence of Stack
        All that were planned together.

    Returns
    -------
    str or None
        None if the images cannot be selected apart: frames of one object, or nothing that select knows differs.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> from simple_orthanc.volume.stacking import plan_stacks
    >>> second = make_series(modality="MR", EchoNumbers=2)
    >>> stacks = plan_stacks(second + make_series(modality="MR", EchoNumbers=1, like=second[0]))
    >>> [selection_of(stack, stacks) for stack in stacks]
    ['EchoNumbers=1', 'EchoNumbers=2']
    """
    others = _others(stack.planes, stacks)
    if others is None:
        return None
    marks = [condition for name in stack.discriminators if (condition := _by_name(name, stack.planes)) is not None]
    candidates = [*_by_grid(stack, stacks), *_by_any_value(stack.planes), *_by_number(stack.planes)]
    for conditions in (marks, [*_by_grid(stack, stacks)], *([condition] for condition in candidates)):
        if conditions and not any(all(condition.holds(plane) for condition in conditions) for plane in others):
            return ", ".join(condition.text for condition in conditions)
    return None


def exclusion_of(planes: Sequence[Plane], stacks: Sequence[Stack], missing: str = "") -> str | None:
    """Write the argument of exclude that leaves these images out, and no other.

    Parameters
    ----------
    planes : sequence of Plane
        All that are to go.
    stacks : sequence of Stack
        All that were planned together.
    missing : str
        A keyword that these images may lack.

    Returns
    -------
    str or None
        None if the images cannot be left out by what they have in common.
    """
    others = _others(planes, stacks)
    if others is None:
        return None
    candidates = []
    if all(has_image_type(plane, "DERIVED") for plane in planes):
        candidates.append(Condition('ImageType="DERIVED"', lambda plane: has_image_type(plane, "DERIVED")))
    if missing:
        candidates.append(Condition(f"{missing}=None", lambda plane: not _has_at_top(plane, missing)))
    candidates += _by_any_value(planes)
    candidates += _by_number(planes)
    for condition in candidates:
        if all(condition.holds(plane) for plane in planes) and not any(condition.holds(plane) for plane in others):
            return condition.text
    return None


def _has_at_top(plane: Plane, keyword: str) -> bool:
    return any(discriminator_of(name).keyword == keyword for name in plane.selectable)


def _others(planes: Sequence[Plane], stacks: Sequence[Stack]) -> list[Plane] | None:
    """Return the frames of the other objects; None if an object has frames on both sides."""
    own = {(plane.instance, plane.frame_index) for plane in planes}
    others = [plane for stack in stacks for plane in stack.planes if (plane.instance, plane.frame_index) not in own]
    objects = {plane.instance for plane in planes}
    return None if any(plane.instance in objects for plane in others) else others


def _by_name(name: str, planes: Sequence[Plane]) -> Condition | None:
    """Make the condition that a property has the value of these frames, if select finds it in each image."""
    discriminator = discriminator_of(name)
    keyword = discriminator.keyword
    value = planes[0].discriminators.get(name)
    if value is None or discriminator.unit == "s" or name == "gradient" or level_of_keyword(keyword) != "instance":
        return None
    if any(name not in plane.selectable or plane.discriminators.get(name) != value for plane in planes):
        return None
    return Condition(argument(keyword, value), lambda plane: plane.discriminators.get(name) == value)


def _by_any_value(planes: Sequence[Plane]) -> list[Condition]:
    names = planes[0].discriminators
    return [condition for name in names if (condition := _by_name(name, planes)) is not None]


def _by_grid(stack: Stack, stacks: Sequence[Stack]) -> list[Condition]:
    """Make conditions of the attributes of the grid in which stacks differ."""
    first = stack.planes[0]
    conditions = []
    if len({other.planes[0].size for other in stacks}) > 1 and first.tiles is None:
        rows, columns = first.size
        conditions.append(Condition(f"Rows={rows}, Columns={columns}", lambda plane: plane.size == (rows, columns)))
    spacing = first.pixel_spacing
    is_one = all(plane.pixel_spacing == spacing and plane.number_of_frames == 1 for plane in stack.planes)
    if spacing is not None and is_one and len({other.planes[0].pixel_spacing for other in stacks}) > 1:
        text = argument("PixelSpacing", spacing)
        conditions.append(Condition(text, lambda plane: plane.pixel_spacing == spacing))
    return conditions


def _by_number(planes: Sequence[Plane]) -> list[Condition]:
    numbers = [plane.instance_number for plane in planes if plane.instance_number is not None]
    if len(numbers) < len(planes):
        return []
    low, high = min(numbers), max(numbers)

    def holds(plane: Plane) -> bool:
        return plane.instance_number is not None and low <= plane.instance_number <= high

    text = f"InstanceNumber={low}" if low == high else f"InstanceNumber=({low}, {high})"
    listed = sorted(set(numbers))
    conditions = [Condition(text, holds)]
    if len(listed) <= _LISTED:
        conditions.append(Condition(f"InstanceNumber={listed}", lambda plane: plane.instance_number in listed))
    return conditions


def argument(keyword: str, value: DiscriminatorValue) -> str:
    """Write a value as an argument of select.

    Examples
    --------
    >>> argument("EchoTime", 4.6), argument("ImageType", ("ORIGINAL", "PRIMARY"))
    ('EchoTime=4.6', "ImageType=('ORIGINAL', 'PRIMARY')")
    """
    return f"{keyword}={_literal(value)}"


def _literal(value: DiscriminatorValue) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(_literal(item) for item in value) + ("," * (len(value) == 1)) + ")"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return repr(value)
