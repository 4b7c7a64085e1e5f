"""Which slices of a volume are wanted, and the stacks of these alone. No pixels, no I/O."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.stacking import Stack


def read_slices(slices: Any) -> slice | None:
    """Return the argument ``slices`` of a verb as a slice of integers, None where all slices are wanted.

    Parameters
    ----------
    slices : slice, int or None
        As Python indexes the first axis of a volume; an integer is that one slice.

    Raises
    ------
    VolumeError
        It is something else.

    Examples
    --------
    >>> read_slices(slice(10, 20)), read_slices(3), read_slices(-1), read_slices(None)
    (slice(10, 20, None), slice(3, 4, None), slice(-1, None, None), None)
    """
    if slices is None:
        return None
    try:
        if isinstance(slices, slice):
            ends = (None if end is None else _integer(end) for end in (slices.start, slices.stop, slices.step))
            read = slice(*ends)
            # Raises an error where the step is 0.
            read.indices(1)
            return read
        index = _integer(slices)
    except (TypeError, ValueError):
        raise VolumeError(
            f"slices={slices!r} is not valid; write slice(first, last + 1), as in slices=slice(100, 140) for what "
            "volume[100:140] is, or the number of one slice."
        ) from None
    return slice(index, index + 1 if index != -1 else None)


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def kept_slices(slices: slice, count: int) -> range:
    """Return the numbers of the slices that are wanted of a volume, in the order in which they are wanted.

    Raises
    ------
    VolumeError
        There are none.

    Examples
    --------
    >>> kept_slices(slice(-2, None), 40), kept_slices(slice(None, None, -2), 5)
    (range(38, 40), range(4, -1, -2))
    """
    kept = range(*slices.indices(count))
    if not kept:
        raise VolumeError(
            f"slices={_written(slices)} selects none of the slices of the volume: it has {count}, numbered from 0 to "
            f"{count - 1}."
        )
    return kept


def _written(slices: slice) -> str:
    """Return slices as a user writes them: a single one as its number."""
    if slices.step is None:
        one = slices.start is not None and slices.stop is not None and slices.stop == slices.start + 1
        return str(slices.start) if one else f"slice({slices.start}, {slices.stop})"
    return repr(slices)


def parts_of(stacks: Sequence[Stack], slices: slice | None) -> list[Stack]:
    """Return stacks with the slices that are wanted alone, numbered anew.

    Their log, geometry and problems are those of the whole stacks.

    Parameters
    ----------
    stacks : sequence of Stack
        Of one grid.
    slices : slice or None
        None: all slices.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> from simple_orthanc.volume.stacking import plan_stacks
    >>> (part,) = parts_of(plan_stacks(make_series((5, 4, 4))), slice(3, 1, -1))
    >>> part.slices, part.slice_indices, [plane.position[2] for plane in part.planes]
    (2, (1, 0), [2.0, 3.0])
    """
    if slices is None:
        return list(stacks)
    kept = kept_slices(slices, stacks[0].slices)
    result = []
    for stack in stacks:
        pairs = [
            (kept.index(number), plane)
            for number, plane in zip(stack.slice_indices, stack.planes, strict=True)
            if number in kept
        ]
        numbers, planes = tuple(number for number, _ in pairs), tuple(plane for _, plane in pairs)
        result.append(replace(stack, planes=planes, slice_indices=numbers, slices=len(kept)))
    return result


def objects_of(stacks: Sequence[Stack], slices: slice | None) -> list[int]:
    """Return the indexes, among the headers, of the objects whose pixels the wanted slices are made of.

    Parameters
    ----------
    stacks : sequence of Stack
        Of one grid.
    slices : slice or None
        None: all slices.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> from simple_orthanc.volume.stacking import plan_stacks
    >>> objects_of(plan_stacks(make_series((5, 4, 4))), slice(3, None))
    [3, 4]
    """
    # Segments that overlap anywhere are no label map, so that all of them are drawn.
    parts = stacks if stacks[0].is_label_map else parts_of(stacks, slices)
    return sorted({plane.instance for stack in parts for plane in stack.planes})
