"""The segments that masks and label maps make, on one grid, ready to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.padding import background_value

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import TypeIs

    from simple_orthanc.volume.geometry import Geometry
    from simple_orthanc.volume.volume import Volume

Kind: TypeAlias = Literal["BINARY", "FRACTIONAL", "LABELMAP"]

# The largest SegmentNumber, an unsigned 16-bit number.
_LARGEST_NUMBER = 65535
# BINARY segmentations count their segments from 1 on, so that a label map needs one for each number up to its largest.
_LARGEST_FILLED = 1000
# Of a long string (VR LO), such as SegmentLabel.
_LONGEST = 64
_LARGEST_FRACTION = 255


def is_volume(value: Any) -> TypeIs[Volume]:
    """Check whether a value is a volume; the class itself imports this module."""
    return hasattr(value, "geometry") and isinstance(getattr(value, "header", None), Dataset)


@dataclass(frozen=True)
class Pixels:
    """Segments with their pixels on one grid.

    Attributes
    ----------
    names : mapping of int to str
        The names of the segments by number, in ascending order.
    array : ndarray
        The numbers of the segments (slice, row, column); or one mask per segment (slice, row, column, segment), of
        fractions from 0 to 1 if they are fractional.
    geometry : Geometry
    unused : frozenset of int
        Numbers that are there only because segments are numbered without gaps.
    """

    names: Mapping[int, str]
    array: NDArray[Any]
    geometry: Geometry
    unused: frozenset[int] = frozenset()


def pixels_of(
    masks: Mapping[str, Any] | Volume, like: Volume | None, names: Mapping[int, str] | None, kind: Kind
) -> Pixels:
    """Put masks or a label map on one grid.

    Parameters
    ----------
    masks : mapping of str to Volume or ndarray, or Volume
        Masks by name; or one mask or label map.
    like : Volume, optional
        The images, whose grid arrays without geometry have.
    names : mapping of int to str, optional
        The names of the labels of a label map.
    kind : {"BINARY", "FRACTIONAL", "LABELMAP"}
        SegmentationType.

    Raises
    ------
    VolumeError
        There is no mask, they are on different grids, or their values are no numbers of segments.
    """
    if names is not None:
        _check_numbers(names)
    if not is_volume(masks):
        if names is not None:
            raise VolumeError("names= names the labels of one label map, but masks were given, which have names.")
        return _of_masks(masks, like, kind)
    if masks.array.ndim != 3:
        raise VolumeError(
            f"A mask of the shape {masks.shape} was given, but masks have three axes: slice, row, column. Of a volume "
            "with several steps, write one by one: volume[0], volume[1], ..."
        )
    if kind == "FRACTIONAL" or masks.array.dtype == bool or masks.units == "mask":
        return _of_masks({_checked_name((names or {}).get(1, "segment 1")): masks}, like, kind)
    return _of_label_map(masks, names, kind)


def _check_numbers(names: Any) -> None:
    is_numbered = isinstance(names, Mapping) and all(
        isinstance(number, int | np.integer) and not isinstance(number, bool) for number in names
    )
    if not is_numbered:
        raise VolumeError(f'names={names!r} was given: it has the name of each label by its number: {{1: "liver"}}.')


def _of_masks(masks: Mapping[str, Any], like: Volume | None, kind: Kind) -> Pixels:
    if not masks:
        raise VolumeError("A segmentation was asked for, but no mask was given.")
    geometry, arrays = None, []
    for name, mask in masks.items():
        own = _geometry_of(name, mask, like)
        if geometry is not None and not geometry.isclose(own):
            raise VolumeError(
                f"Masks for one segmentation were given, but {name!r} is on another grid than {next(iter(masks))!r}. "
                'Bring it onto the same one first: mask.resample(like=images, interpolation="nearest").'
            )
        geometry = geometry or own
        arrays.append(_fractions(name, mask) if kind == "FRACTIONAL" else _inside(name, mask))
    assert geometry is not None
    named = {number: _checked_name(name) for number, name in enumerate(masks, 1)}
    if kind == "FRACTIONAL":
        return Pixels(named, np.stack(arrays, axis=-1), geometry)
    labels = np.zeros(arrays[0].shape, np.uint8 if len(arrays) < 256 else np.uint16)
    for number, inside in enumerate(arrays, 1):
        if labels[inside].any():
            if kind == "LABELMAP":
                raise VolumeError(
                    f"A LABELMAP segmentation was asked for, but {named[number]!r} overlaps another mask, and each "
                    'voxel of a label map has one label. Write them with kind="BINARY".'
                )
            return Pixels(named, np.stack(arrays, axis=-1).astype(np.uint8), geometry)
        labels[inside] = number
    return Pixels(named, labels, geometry)


def _geometry_of(name: str, mask: Any, like: Volume | None) -> Geometry:
    if is_volume(mask):
        if mask.geometry is None:
            raise VolumeError(
                f"The mask {name!r} has no position in the patient: make it with images.with_array(mask)."
            )
        return mask.geometry
    if like is None or like.geometry is None:
        raise VolumeError(f"The mask {name!r} is a mere array: name the images that it was drawn on with like=images.")
    shape = np.shape(mask)
    expected = tuple(reversed(like.geometry.size))
    if shape != expected:
        raise VolumeError(
            f"The mask {name!r} has the shape {shape}, but the images have {expected} (slice, row, column), so the "
            "place of its voxels is not known. Give it as a Volume with its own geometry."
        )
    return like.geometry


def _inside(name: str, mask: Any) -> NDArray[np.bool_]:
    values = np.asarray(mask)
    inside: NDArray[np.bool_] = values != 0
    if values.dtype != bool and not np.array_equal(values, inside):
        raise VolumeError(
            f"{name!r} was given as a mask, but it holds other values than 0 and 1. Compare first, as in "
            'values > 0.5; or write a label map by itself, or fractions from 0 to 1 with kind="FRACTIONAL".'
        )
    return inside


def _fractions(name: str, mask: Any) -> NDArray[np.float32]:
    values = np.asarray(mask, np.float32)
    if not (np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all()):
        raise VolumeError(
            f"A FRACTIONAL segmentation was asked for, but {name!r} holds other values than fractions from 0 to 1."
        )
    return values


def _of_label_map(volume: Volume, names: Mapping[int, str] | None, kind: Kind) -> Pixels:
    if volume.geometry is None:
        raise VolumeError("The label map has no position in the patient: make it with images.with_array(labels).")
    if volume.array.dtype.kind not in "iu":
        raise VolumeError(
            f"A label map of {volume.dtype} was given, but labels are whole numbers: round and convert it first, as in "
            "volume.with_array(volume.array.astype(np.uint16)), or write each mask by its name."
        )
    array = volume.array
    background = background_value(volume.header)
    if background:
        if not array.all():
            raise VolumeError(f"The label map has a segment 0 beside its background {background}: number it otherwise.")
        array = np.where(array == background, 0, array)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low < 0 or high > _LARGEST_NUMBER:
        raise VolumeError(
            f"The label map holds values from {low} to {high}, but labels go from 0 to {_LARGEST_NUMBER}."
        )
    known = segment_names(volume.header) if names is None else dict(names)
    known = {number: name for number, name in known.items() if number != background}
    used = {int(number) for number in np.flatnonzero(np.bincount(array.ravel()))} - {0} | set(known)
    if not used:
        raise VolumeError("The label map holds no label, and none is named: name them with names={1: ...}.")
    if min(used) < 1 or max(used) > _LARGEST_NUMBER:
        raise VolumeError(f"names= has a number that no segment can have: they go from 1 to {_LARGEST_NUMBER}.")
    if kind == "BINARY" and max(used) > _LARGEST_FILLED:
        raise VolumeError(
            f"The label map holds the label {max(used)}, but a BINARY segmentation numbers its segments from 1 on. "
            'Write it with kind="LABELMAP", or each mask by its name: {"left": volume.array == 1035, ...}.'
        )
    numbers = range(1, max(used) + 1) if kind == "BINARY" else sorted(used)
    named = {number: _checked_name(known.get(number, f"segment {number}")) for number in numbers}
    dtype = np.uint8 if max(used) < 256 else np.uint16
    return Pixels(named, array.astype(dtype), volume.geometry, frozenset(set(numbers) - used))


def segment_names(header: Dataset) -> dict[int, str]:
    """Return the names of the segments of a segmentation by number, without its background.

    Examples
    --------
    >>> segment_names(Dataset())
    {}
    """
    numbered = {}
    for item in elements.items(header, "SegmentSequence"):
        number, name = elements.number(item, "SegmentNumber"), elements.text(item, "SegmentLabel")
        if number is not None and name and number != background_value(header):
            numbered[int(number)] = "".join(filter(str.isprintable, name))[:_LONGEST]
    return numbered


def checked_string(value: Any, what: str) -> str:
    """Return what a long string (VR LO) can hold, and will be read as it is.

    Raises
    ------
    VolumeError
        It cannot (PS3.5 section 6.2).
    """
    is_long_string = (
        isinstance(value, str) and value == value.strip() and 0 < len(value) <= _LONGEST and "\\" not in value
    )
    if not is_long_string:
        raise VolumeError(
            f"{value!r} was given as {what}, which has 1 to {_LONGEST} characters, without a backslash and without "
            "spaces around it."
        )
    if not value.isprintable():
        raise VolumeError(f"{value!r} was given as {what}, but it holds control characters.")
    return str(value)


def _checked_name(name: Any) -> str:
    return checked_string(name, "the name of a segment")


@dataclass(frozen=True)
class Anchor:
    """A voxel that is set while a segmentation is written, so that a frame without any other is kept, and then cleared.

    Frames without a voxel are left out, since there can be very many. But a segment without any frame is not seen by
    readers, and neither is the end of the grid where no segment reaches it.
    """

    number: int
    slice: int
    voxel: int

    def set(self, array: NDArray[Any]) -> None:
        """Set the voxel."""
        row, column = divmod(self.voxel, array.shape[2])
        if array.ndim == 3:
            array[self.slice, row, column] = self.number
        else:
            array[self.slice, row, column, self.number - 1] = 1

    def clear(self, dataset: Dataset, pixels: bytearray, position: Sequence[float]) -> None:
        """Clear the voxel in the pixels of a segmentation.

        Parameters
        ----------
        dataset : pydicom.Dataset
        pixels : bytearray
            Its PixelData, of 1 or 8 bits.
        position : sequence of float
            Of the slice.
        """
        frame = _frame_at(dataset, self.number, position)
        voxel = frame * dataset.Rows * dataset.Columns + self.voxel
        if dataset.BitsAllocated == 1:
            pixels[voxel // 8] &= ~(1 << voxel % 8) & 0xFF
        else:
            pixels[voxel] = 0


def anchors_of(pixels: Pixels, kind: Kind) -> tuple[Pixels, list[Anchor]]:
    """Find the anchors that segments need; return them with the pixels, as one mask per segment if there is no room.

    Parameters
    ----------
    pixels : Pixels
    kind : {"BINARY", "FRACTIONAL", "LABELMAP"}
        SegmentationType.
    """
    if kind == "LABELMAP":
        return pixels, []
    array = pixels.array
    drawn = array * _LARGEST_FRACTION >= 0.5 if array.dtype.kind == "f" else array
    axes = (1, 2) if array.ndim == 3 else (1, 2, 3)
    is_drawn = np.atleast_1d(drawn.any(axis=axes))
    numbers = [number for number in pixels.names if number not in pixels.unused]
    if array.ndim == 3:
        present = set(np.flatnonzero(np.bincount(array.ravel())).tolist())
    else:
        present = {number for number in numbers if drawn[..., number - 1].any()}
    ends = {(numbers[0], end) for end in (0, len(array) - 1) if not is_drawn[end]}
    wanted = sorted(ends | {(number, 0) for number in numbers if number not in present})
    if array.ndim == 4:
        return pixels, [Anchor(number, end, 0) for number, end in wanted]
    free = {end: np.flatnonzero(array[end].ravel() == 0)[: len(wanted)].tolist() for _, end in wanted}
    if any(sum(other == end for _, other in wanted) > len(voxels) for end, voxels in free.items()):
        masks = np.stack([array == number for number in pixels.names], axis=-1).astype(np.uint8)
        return anchors_of(Pixels(pixels.names, masks, pixels.geometry, pixels.unused), kind)
    return pixels, [Anchor(number, end, free[end].pop()) for number, end in wanted]


def _frame_at(dataset: Dataset, number: int, position: Sequence[float]) -> int:
    """Return the index of the frame of a segment that is nearest to a position."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    distances = {}
    for index, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        holder = group if "SegmentIdentificationSequence" in group else shared
        if holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            there = elements.numbers(group.PlanePositionSequence[0], "ImagePositionPatient")
            distances[index] = float(np.linalg.norm(np.subtract(there, position)))
    return min(distances, key=lambda index: distances[index])
