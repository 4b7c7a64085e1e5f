"""Choose among planned stacks: all, exactly one, or several of one grid along a fourth axis. No pixels, no I/O.

:func:`plan_stacks` (from ``stacking``) makes one :class:`Stack` of each group of frames that can be a volume, regular
or not. :func:`choose_volume` demands exactly one regular volume and otherwise raises the error that names what was
found and the next call; :func:`apply_gaps` takes them all; :func:`summarize` is one row of a quality report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from simple_orthanc.errors import InconsistentSlicesError, MissingSlicesError, VolumeError
from simple_orthanc.volume import problems
from simple_orthanc.volume.axes import AXES, find_steps, has_same_grid, stack_along
from simple_orthanc.volume.grouping import arrange_planes, group_by_grid
from simple_orthanc.volume.planes import has_image_type
from simple_orthanc.volume.proposals import selection_of
from simple_orthanc.volume.stacking import Stack, check_spacing, on_grid, plan_stacks, unique_labels

__all__ = [
    "AXES",
    "Stack",
    "apply_gaps",
    "check_gaps",
    "check_options",
    "choose_volume",
    "middle_slice",
    "plan_stacks",
    "summarize",
]

# Messages propose the selection of this many groups.
_PROPOSED = 3


def apply_gaps(stacks: Sequence[Stack], gaps: str = "raise") -> list[Stack]:
    """Return all stacks, with what is asked of holes done.

    Parameters
    ----------
    stacks : sequence of Stack
        From :func:`plan_stacks`.
    gaps : {"raise", "nan", "split"}
        "raise" leaves the problem in the stack, "nan" puts the slices on their regular grid and leaves missing ones
        free, "split" gives one stack per unbroken run.

    Returns
    -------
    list of Stack
        Some may have a ``problem``.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> holey = plan_stacks([header for number, header in enumerate(make_series((6, 4, 4))) if number != 2])
    >>> [(stack.label, stack.slices) for stack in apply_gaps(holey, gaps="split")]
    [('axial 5x4x4 run 1', 2), ('axial 5x4x4 run 2', 3)]
    """
    check_gaps(gaps)
    if gaps == "nan":
        return [_filled(stack) for stack in stacks]
    if gaps == "split":
        return unique_labels([run for stack in stacks for run in _runs(stack)])
    return list(stacks)


def check_options(gaps: str, dims: str | None, spacing: float | None = None) -> None:
    """Refuse what :func:`choose_volume` and :func:`plan_stacks` would refuse, before anything is read.

    Raises
    ------
    VolumeError
        With all that can be asked for.
    """
    check_gaps(gaps)
    check_spacing(spacing)
    if gaps == "split":
        raise VolumeError(
            'One volume was requested with gaps="split", which gives several: use get_volumes(gaps="split").'
        )
    if dims is not None and dims not in AXES:
        raise VolumeError(f"dims={dims!r} is not valid; choose {', '.join(map(repr, AXES))}.")


def check_gaps(gaps: str) -> None:
    """Refuse what :func:`apply_gaps` would refuse, before anything is read."""
    if gaps not in ("raise", "nan", "split"):
        raise VolumeError(f'gaps={gaps!r} is not valid; choose "raise", "nan" or "split".')


def _filled(stack: Stack) -> Stack:
    if not isinstance(stack.problem, MissingSlicesError):
        return stack
    arrangement = arrange_planes(stack.planes)
    free = sorted(set(range(stack.slices)) - set(stack.slice_indices))
    filled = "1 missing slice is" if len(free) == 1 else f"{len(free)} missing slices are"
    note = f"{filled} filled with NaN: number {problems.listed(free)}"
    return on_grid(replace(stack, problem=None, log=(*stack.log, note)), arrangement)


def _runs(stack: Stack) -> list[Stack]:
    """Return the regular runs of a stack with holes or changes of its spacing, each with its own grid."""
    if stack.problem is None or not stack.breaks:
        return [stack]
    is_hole = isinstance(stack.problem, MissingSlicesError)
    between = "missing slices" if is_hole else "changes of the spacing"
    result = []
    starts = [0, *stack.breaks]
    for number, (start, stop) in enumerate(zip(starts, [*stack.breaks, len(stack.planes)], strict=True), 1):
        members = stack.planes[start:stop]
        indices = tuple(range(len(members)))
        run = replace(stack, label=f"{stack.label} run {number}", planes=members, slice_indices=indices, breaks=())
        note = f"run {number} of {len(starts)} between {between}"
        run = replace(run, slices=len(members), problem=None, log=(*stack.log, note))
        arrangement = arrange_planes(members)
        # The grid of a single slice between holes is known from its neighbours beyond them.
        step = arrangement.step or arrange_planes(stack.planes).step
        result.append(on_grid(run, replace(arrangement, step=step)))
    return result


def choose_volume(stacks: Sequence[Stack], dims: str | None = None, gaps: str = "raise") -> list[Stack]:
    """Demand one regular volume.

    Parameters
    ----------
    stacks : sequence of Stack
        From :func:`plan_stacks`.
    dims : {"time", "echo", "b", "phase"}, optional
        The axis along which several stacks of the same grid make one 4D volume.
    gaps : {"raise", "nan"}
        What to do about missing slices: raise, or leave them NaN.

    Returns
    -------
    list of Stack
        One stack; with `dims` one per step, in the order of their coordinates, each with its ``step``. The segments of
        one segmentation become one label map, and so does a single binary one.

    Raises
    ------
    InconsistentSlicesError, MissingSlicesError, DuplicateSlicesError
        With the groups that were found and the call that separates them.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> second = make_series(TemporalPositionIdentifier=2)
    >>> first = make_series(TemporalPositionIdentifier=1, like=second[0])
    >>> [stack.step for stack in choose_volume(plan_stacks(second + first), dims="time")]
    [('time', 1.0), ('time', 2.0)]
    """
    check_options(gaps, dims)
    stacks = apply_gaps(stacks, gaps)
    if dims is not None:
        return _along(stacks, dims)
    # A label tells which segment this is, also where it is the only one; the fractions of one segment are values.
    can_be_alone = stacks[0].planes[0].segmentation == "BINARY"
    if all(stack.is_segment for stack in stacks) and (len(stacks) > 1 or can_be_alone):
        stacks = [_label_map(stacks)]
    if len(stacks) > 1:
        raise _too_many(stacks)
    if stacks[0].problem is not None:
        raise stacks[0].problem
    return stacks


def _label_map(stacks: Sequence[Stack]) -> Stack:
    # Frames of one segmentation may differ in orientation and pixel spacing too (PS3.3 C.7.6.16.2.1, C.7.6.16.2.4).
    if len(group_by_grid([plane for stack in stacks for plane in stack.planes])) > 1:
        raise _too_many(stacks)
    pairs = sorted(
        (
            (slice_index, plane.segment or 0, plane)
            for stack in stacks
            for slice_index, plane in zip(stack.slice_indices, stack.planes, strict=True)
        ),
        key=lambda pair: pair[:2],
    )
    problems = [stack.problem for stack in stacks if stack.problem is not None]
    return replace(
        stacks[0],
        label="segmentation",
        planes=tuple(plane for _, _, plane in pairs),
        slice_indices=tuple(slice_index for slice_index, _, _ in pairs),
        problem=problems[0] if problems else None,
        log=(f"label map: {', '.join(stack.label for stack in stacks)}", *(stacks[0].log if len(stacks) == 1 else ())),
        is_label_map=True,
    )


def middle_slice(stack: Stack) -> Stack:
    """Return the middle frame of a stack as a stack of one slice, whatever is wrong between it and the others.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> middle = middle_slice(plan_stacks(make_series((5, 4, 4), spacing=(3, 1, 1)))[0])
    >>> middle.slices, middle.geometry.origin
    (1, (0.0, 0.0, 6.0))
    """
    middle = stack.planes[len(stack.planes) // 2]
    if middle.mosaic_lacks or middle.orientation_problem:
        return stack
    alone = replace(stack, planes=(middle,), slice_indices=(0,), slices=1, geometry=None, problem=None, breaks=())
    return alone if middle.position is None else on_grid(alone, arrange_planes(alone.planes))


def _along(stacks: Sequence[Stack], dims: str) -> list[Stack]:
    """Order stacks of the same grid along an axis."""
    for stack in stacks:
        if stack.problem is not None:
            raise stack.problem
    if len(stacks) == 1:
        raise InconsistentSlicesError(
            f"dims={dims!r} was requested, but the images are one volume, {stacks[0].label}: no position repeats. "
            "Read it with get_volume().",
            groups=_groups(stacks),
        )
    steps = stack_along(stacks, dims)
    if steps is None:
        raise _too_many(stacks, f"a 4D volume with dims={dims!r}")
    return steps


def _groups(stacks: Sequence[Stack]) -> dict[str, int]:
    return {stack.label: len(stack.planes) for stack in stacks}


def _too_many(stacks: Sequence[Stack], asked: str = "one volume") -> VolumeError:
    """Make the error that names each group with its images, and the calls that separate them."""
    shown = stacks[: 2 * problems.SHOWN]
    groups = ", ".join(f"{stack.label} ({_content(stack)})" for stack in shown)
    more = f" and {len(stacks) - len(shown)} more" if len(stacks) > len(shown) else ""
    calls = []
    if all(stack.problem is None for stack in stacks):
        calls += [f'get_volume(dims="{dims}")' for dims in AXES if _stackable(stacks, dims)]
    sound = [stack for stack in stacks if stack.problem is None]
    selections = [selection_of(stack, stacks) for stack in sound[:_PROPOSED]]
    calls += [f"select({text}) first" for text in selections if text]
    if any(has_image_type(stack.planes[0], "LOCALIZER") for stack in stacks):
        calls.append('exclude(ImageType="LOCALIZER") first')
    calls.append(_reading_of_each(stacks))
    return InconsistentSlicesError(
        f"{asked[0].upper()}{asked[1:]} was requested, but the images fall into {len(stacks)} groups: {groups}{more}. "
        f"Use {', or '.join(calls)}.",
        groups=_groups(stacks),
    )


def _reading_of_each(stacks: Sequence[Stack]) -> str:
    """Write the call that reads each group by itself, and what of it cannot be read."""
    broken = [stack for stack in stacks if stack.problem is not None]
    labels = problems.listed([stack.label for stack in broken])
    if not broken:
        return "get_volumes() for each by itself"
    if all(isinstance(stack.problem, MissingSlicesError) for stack in broken):
        return f'get_volumes(gaps="nan") for each by itself, with NaN where slices of {labels} are missing'
    return f"volume_table() to see why {labels} cannot be read"


def _content(stack: Stack) -> str:
    """Name the images of a group, and by what its grid differs from the others."""
    count = len(stack.planes)
    images = f"{count} image{'s' * (count > 1)}, {problems.held_images(stack.planes)}"
    return f"{images}; {stack.reason}" if stack.reason else images


def _stackable(stacks: Sequence[Stack], dims: str) -> bool:
    return find_steps(stacks, dims) is not None and all(has_same_grid(stacks[0], stack) for stack in stacks)


def summarize(stack: Stack) -> dict[str, Any]:
    """Return one row of the quality table of a selection.

    Returns
    -------
    dict
        label, slices, rows, columns, spacing (between slices, rows and columns, mm), regular, reason, contradiction
        (where headers announce more images than there are).

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> row = summarize(plan_stacks(make_series((3, 4, 5)))[0])
    >>> row["slices"], row["regular"], row["rows"], row["columns"]
    (3, True, 4, 5)
    """
    first = stack.planes[0]
    spacing = None if stack.geometry is None else stack.geometry.spacing[::-1]
    return {
        "label": stack.label,
        "slices": stack.slices,
        "rows": first.size[0],
        "columns": first.size[1],
        "spacing": spacing,
        "regular": stack.problem is None and stack.geometry is not None,
        "reason": _reason(stack),
        "contradiction": stack.contradiction,
    }


def _reason(stack: Stack) -> str:
    if stack.problem is not None:
        return str(stack.problem)
    return "" if stack.geometry is not None else next((note for note in stack.log if note.startswith("no ")), "")
