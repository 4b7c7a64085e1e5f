"""A volume in pieces: which slices each object fills, so that they can be read one by one.

What is decided from all headers together, such as the type of the values, is kept; what one object alone decides, such
as its rescaling, is read from its header again when its pixels are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.pixels.padding import background_value
from simple_orthanc.pixels.rescale import read_rescale
from simple_orthanc.volume.frame_values import FrameValues, ValueType, frames_of, rescale_key, slots_of
from simple_orthanc.volume.planes import read_planes
from simple_orthanc.volume.segment_drawing import draw_segment
from simple_orthanc.volume.stacking import Stack

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Frame(NamedTuple):
    """A frame of an object, and where it lies in the volume: all three are numbers from 0."""

    frame: int
    step: int
    slice_index: int


class Piece(NamedTuple):
    """What one object fills of a volume.

    Attributes
    ----------
    frames : tuple of Frame
    factor : float or None
        That of a standardized uptake value.
    """

    frames: tuple[Frame, ...]
    factor: float | None = None


@dataclass(frozen=True)
class Pattern:
    """What the pieces of a volume have in common.

    Attributes
    ----------
    shape : tuple of int
        Steps, slices, rows, columns, and 3 for colour.
    type : ValueType
    units : str
        As asked for.
    spacing : float or None
        As asked for.
    background : float
        The value of slices that no object fills.
    is_label_map : bool
        The frames are segments, to be drawn by their numbers.
    """

    shape: tuple[int, ...]
    type: ValueType
    units: str
    spacing: float | None
    background: float
    is_label_map: bool

    def fill(self, array: NDArray[Any], box: Box, piece: Piece, header: Dataset, stored: NDArray[Any]) -> None:
        """Put the frames of an object into an array of some steps and slices.

        Parameters
        ----------
        array : ndarray
            (step, slice, row, column), or with 3 last.
        box : Box
            Which steps and slices these are.
        piece : Piece
        header : Dataset
            Of the object.
        stored : ndarray
            Its stored values, (frame, row, column), or with 3 last.
        """
        planes = {plane.frame_index: plane for plane in read_planes([header], self.spacing)}
        slots = [(step, number, planes[frame]) for frame, step, number in piece.frames if box.holds(step, number)]
        units = "modality" if piece.factor is not None else self.units
        for (step, number, plane), frame in frames_of({0: slots}, lambda _: stored):
            target = array[box.steps.index(step), box.slices.index(number)]
            if self.is_label_map:
                draw_segment(target, plane, number, frame)
            else:
                rescale = read_rescale(header, rescale_key(plane)[1], units)
                self.type.convert(plane, frame, rescale, piece.factor, out=target)


class Box(NamedTuple):
    """Some steps and some slices of a volume."""

    steps: range
    slices: range

    def holds(self, step: int, number: int) -> bool:
        """Check whether a slice of a step is among them."""
        return step in self.steps and number in self.slices


def pattern_of(
    chosen: Sequence[Stack], headers: Sequence[Dataset], dtype: ValueType, units: str, spacing: float | None
) -> Pattern:
    """Return what the pieces of a volume have in common.

    Parameters
    ----------
    chosen : sequence of Stack
        Regular, as ``choosing.choose_volume`` returns them.
    headers : sequence of pydicom.Dataset
        Those that the stacks were planned from.
    dtype : ValueType
    units : str
    spacing : float or None
    """
    first = chosen[0]
    background = float(background_value(headers[first.planes[0].instance])) if first.is_sparse else np.nan
    is_whole = all(set(stack.slice_indices) == set(range(stack.slices)) for stack in chosen)
    empty = 0.0 if is_whole or first.is_label_map else background
    return Pattern((len(chosen), *first.shape), dtype, units, spacing, empty, first.is_label_map)


def pieces_of(chosen: Sequence[Stack], values: FrameValues | None) -> dict[int, Piece]:
    """Return what each object fills, by its index among the headers.

    Parameters
    ----------
    chosen : sequence of Stack
    values : FrameValues or None
        None for a label map.
    """
    return {
        instance: Piece(
            tuple(Frame(plane.frame_index, step, number) for step, number, plane in slots),
            None if values is None else values.factor(slots[0][2]),
        )
        for instance, slots in slots_of(chosen).items()
    }


def chunks_of(shape: Sequence[int], pieces: Sequence[Piece]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the numbers of steps, and of slices, that are read together: no object lies in two of these blocks.

    Parameters
    ----------
    shape : sequence of int
        Steps and slices first.
    pieces : sequence of Piece
        What each object fills.

    Examples
    --------
    One object for each slice, and one for each step:

    >>> chunks_of((1, 3), [Piece((Frame(0, 0, number),)) for number in range(3)])
    ((1,), (1, 1, 1))
    >>> chunks_of((2, 3), [Piece(tuple(Frame(number, step, number) for number in range(3))) for step in range(2)])
    ((1, 1), (3,))
    """
    steps, slices = (
        _cut(size, [[frame[axis] for frame in piece.frames] for piece in pieces])
        for size, axis in ((shape[0], 1), (shape[1], 2))
    )
    return steps, slices


def _cut(size: int, places: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the lengths of the parts of an axis, cut wherever none of some groups of places is on both sides."""
    joined = np.zeros(size + 1, bool)
    for group in places:
        joined[min(group) + 1 : max(group) + 1] = True
    cuts = [0, *(place for place in range(1, size) if not joined[place]), size]
    return tuple(int(length) for length in np.diff(cuts))
