"""Order stacks of one grid along a fourth axis, by values that their headers hold. No value is made up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from simple_orthanc.errors import InconsistentSlicesError, VolumeError
from simple_orthanc.volume import problems
from simple_orthanc.volume.discriminators import (
    DISCRIMINATORS,
    REPETITION,
    TRACE,
    Discriminator,
    DiscriminatorValue,
    discriminator_of,
    since_midnight,
)
from simple_orthanc.volume.planes import Plane, has_image_type
from simple_orthanc.volume.proposals import exclusion_of
from simple_orthanc.volume.stacking import Stack

AXES = ("time", "echo", "b", "phase")


@dataclass(frozen=True)
class Steps:
    """The tag that an axis has its coordinates from, and in order the coordinates and the indices of the stacks."""

    discriminator: Discriminator
    order: tuple[tuple[float, int], ...]


def stack_along(stacks: Sequence[Stack], axis: str) -> list[Stack] | None:
    """Order stacks along an axis.

    Parameters
    ----------
    stacks : sequence of Stack
        Several, without problems.
    axis : {"time", "echo", "b", "phase"}

    Returns
    -------
    list of Stack or None
        Each with its ``step``; None if their headers do not order the stacks along the axis.

    Raises
    ------
    InconsistentSlicesError
        The grids differ; or a stack among others lacks the value, or is a map derived from them, and how to leave it
        out.
    """
    steps = find_steps(stacks, axis)
    if steps is None:
        odd = _odd_stacks(stacks, axis)
        if odd:
            raise _not_all_are_steps(stacks, odd, axis)
        return None
    unequal = [stack for stack in stacks if not has_same_grid(stacks[0], stack)]
    if unequal:
        raise InconsistentSlicesError(
            f"dims={axis!r} was requested, but not all of the {len(stacks)} volumes have the grid of "
            f"{stacks[0].label}, {_grid_text(stacks[0])}: "
            + problems.listed([f"{stack.label}, {_grid_text(stack)}" for stack in unequal])
            + ". Read each by itself with get_volumes().",
            groups={stack.label: len(stack.planes) for stack in stacks},
        )
    unit = f" in {steps.discriminator.unit}" if steps.discriminator.unit else ""
    note = f"{axis}: {len(stacks)} steps, coordinates from {steps.discriminator.keyword}{unit}"
    if steps.discriminator is REPETITION:
        note = f"{axis}: {len(stacks)} steps, numbered by the order of {steps.discriminator.keyword}"
    return [
        replace(stacks[index], step=(axis, value), step_tag=steps.discriminator, log=(*stacks[index].log, note))
        for value, index in steps.order
    ]


def find_steps(stacks: Sequence[Stack], axis: str) -> Steps | None:
    """Find the tag whose values order all stacks along an axis; None if there is none.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> from simple_orthanc.volume.stacking import plan_stacks
    >>> second = make_series(modality="MR", EchoTime=9.2)
    >>> steps = find_steps(plan_stacks(second + make_series(modality="MR", EchoTime=4.6, like=second[0])), "echo")
    >>> steps.discriminator.keyword, steps.order
    ('EchoTime', ((4.6, 0), (9.2, 1)))
    """
    if len(set(_kinds(stacks))) > 1:
        return None
    names = {name for stack in stacks for name in stack.discriminators}
    if axis == "b" and all(discriminator_of(name).axis in ("b", "time") for name in names):
        # Directions of one b-value, and its repetitions, are steps of their own.
        steps = _ordered(stacks, discriminator_of("b"), distinct=False)
        return None if steps is None else replace(steps, order=tuple(sorted(steps.order, key=_acquired(stacks))))
    if len({tuple(stack.discriminators) for stack in stacks}) > 1:
        return None
    if not any(discriminator_of(name).axis == axis for name in names) and axis not in ("echo", "b"):
        return None
    for discriminator in _candidates(names, axis):
        steps = _ordered(stacks, discriminator, distinct=True)
        if steps is not None:
            return steps
    return None


def _candidates(names: set[str], axis: str) -> list[Discriminator]:
    # A clock that differs orders anything, so it counts only where the stacks were split by time.
    candidates = [
        discriminator
        for discriminator in (*DISCRIMINATORS, REPETITION)
        if discriminator.axis == axis and (discriminator.name in names or not discriminator.ranked)
    ]
    # The echo time says more than the number of the echo.
    return candidates[::-1] if axis == "echo" else candidates


def _ordered(stacks: Sequence[Stack], discriminator: Discriminator, distinct: bool) -> Steps | None:
    values = [value_of(stack, discriminator) for stack in stacks]
    if discriminator.name == "b":
        left_out = [stack.planes[0].diffusion.is_left_out for stack in stacks]
        values = [0.0 if value is None and is_0 else value for value, is_0 in zip(values, left_out, strict=True)]
    numbers = [value for value in values if isinstance(value, float)]
    if len(numbers) < len(stacks) or (len(set(numbers)) < len(stacks) if distinct else not any(numbers)):
        return None
    numbers = since_midnight(discriminator, numbers)
    return Steps(discriminator, tuple(sorted((value, index) for index, value in enumerate(numbers))))


def value_of(stack: Stack, discriminator: Discriminator) -> DiscriminatorValue | None:
    """Return the value that all frames of a stack have; None if it is missing or differs between them."""
    if discriminator.name in stack.discriminators:
        return stack.discriminators[discriminator.name]
    values = {plane.discriminators.get(discriminator.name) for plane in stack.planes}
    return values.pop() if len(values) == 1 else None


def has_same_grid(one: Stack, other: Stack) -> bool:
    """Check whether two stacks have the same voxels, as closely as the slices of one volume lie on their line."""
    if one.geometry is None or other.geometry is None:
        return one.geometry is other.geometry and one.shape == other.shape
    return one.geometry.isclose(other.geometry, tolerance=0.02 * min(one.geometry.spacing))


def _acquired(stacks: Sequence[Stack]) -> Callable[[tuple[float, int]], tuple[float, ...]]:
    """Return the key that sorts steps in the order in which they were acquired, which gradient tables refer to."""

    def key(step: tuple[float, int]) -> tuple[float, ...]:
        # Images are numbered volume by volume or slice by slice: at one position their order is the same.
        first = stacks[step[1]].planes[0]
        number = math.inf if first.instance_number is None else first.instance_number
        return number, first.frame_index, *step

    return key


def _kinds(stacks: Sequence[Stack]) -> list[tuple[bool, bool]]:
    """Return for each stack what all steps of an axis have in common: derived or not, a trace beside directions or not.

    Without a direction in any of them, traces and images without weighting are one series of b-values.
    """
    gradients = [stack.planes[0].discriminators.get("gradient") for stack in stacks]
    has_directions = any(isinstance(gradient, tuple) for gradient in gradients)
    return [
        (has_image_type(stack.planes[0], "DERIVED"), has_directions and gradient == TRACE)
        for stack, gradient in zip(stacks, gradients, strict=True)
    ]


def _odd_stacks(stacks: Sequence[Stack], axis: str) -> list[Stack]:
    """Find the stacks without which the others are steps of an axis, or one volume."""
    derived = [stack for stack in stacks if has_image_type(stack.planes[0], "DERIVED")]
    traces = [stack for stack in stacks if stack.planes[0].discriminators.get("gradient") == TRACE]
    attempts = [derived, [*derived, *(stack for stack in traces if stack not in derived)]]
    for discriminator in DISCRIMINATORS:
        if discriminator.axis == axis:
            attempts.append([stack for stack in stacks if value_of(stack, discriminator) is None])
    for odd in attempts:
        rest = [stack for stack in stacks if stack not in odd]
        if odd and rest and (len(rest) == 1 or find_steps(rest, axis) is not None):
            return odd
    return []


def _not_all_are_steps(stacks: Sequence[Stack], odd: Sequence[Stack], axis: str) -> VolumeError:
    """Make the error that names the stacks that are no steps, and the call that leaves them out."""
    rest = [stack for stack in stacks if stack not in odd]
    steps = find_steps(rest, axis) if len(rest) > 1 else None
    wanted = [item for item in DISCRIMINATORS if item.axis == axis]
    tag = steps.discriminator if steps else next((item for item in wanted if value_of(rest[0], item)), wanted[0])
    reasons = []
    for stack in odd:
        first = stack.planes[0]
        images = problems.held_images(stack.planes)
        if has_image_type(first, "DERIVED"):
            reasons.append(f"{stack.label} ({images}) is derived from the others")
        elif first.discriminators.get("gradient") == TRACE:
            reasons.append(f"{stack.label} ({images}) is weighted in all directions alike")
        else:
            reasons.append(f"{stack.label} ({images}) has no {tag.keyword}")
    planes: list[Plane] = [plane for stack in odd for plane in stack.planes]
    exclusion = exclusion_of(planes, stacks, tag.keyword)
    after = f'get_volume(dims="{axis}")' if len(rest) > 1 else "get_volume()"
    call = f"Leave it out with exclude({exclusion}).{after}, or read" if exclusion else "Read"
    return InconsistentSlicesError(
        f"dims={axis!r} was requested, but not every group is a step: {problems.listed(reasons)}. {call} each by "
        "itself with get_volumes().",
        groups={stack.label: len(stack.planes) for stack in stacks},
    )


def _grid_text(stack: Stack) -> str:
    size = "x".join(str(number) for number in stack.shape)
    if stack.geometry is None:
        return f"{size} without geometry"
    origin = ", ".join(f"{value:g}" for value in stack.geometry.origin)
    spacing = " x ".join(f"{value:g}" for value in stack.geometry.spacing[::-1])
    return f"{size} voxels of {spacing} mm from ({origin})"
