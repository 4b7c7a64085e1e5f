"""Images and overlays as a viewer on the graphics processor takes them: few types, label maps with a colour each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What textures hold, and NIfTI too.
_TEXTURE_TYPES = (np.uint8, np.int16, np.uint16, np.float32)
_UINT16 = 65536
# The ten colours of matplotlib's "tab10", in which plot() draws overlays too.
_COLOURS = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (127, 127, 127),
    (188, 189, 34),
    (23, 190, 207),
)


@dataclass(frozen=True)
class LabelLayer:
    """A label map of which each number has a name and a colour.

    Attributes
    ----------
    array : ndarray of uint8 or uint16
        (slice, row, column): 0 where nothing is, else 1 + the index of the label.
    names : list of str
        The names of the labels.
    colours : list of tuple of int
        Red, green and blue of each, 0 to 255.
    """

    array: NDArray[Any]
    names: list[str]
    colours: list[tuple[int, int, int]]


def texture_values(array: NDArray[Any], *, is_colour: bool) -> NDArray[Any]:
    """Return values in a type that textures hold: uint8, int16, uint16 or float32.

    Integers keep their values where one of these types holds all of them, and become float32 else, which is exact up to
    2**24. Infinite values, and floats beyond the range of float32, become its largest ones. NaN becomes the smallest
    value. Colour becomes uint8.

    Parameters
    ----------
    array : ndarray
        Of any shape.
    is_colour : bool
        Whether the values are red, green and blue, over the whole range of their type.

    Examples
    --------
    >>> texture_values(np.array([70000, -1]), is_colour=False)
    array([ 7.e+04, -1.e+00], dtype=float32)
    >>> texture_values(np.array([300, 0], np.int64), is_colour=False)
    array([300,   0], dtype=int16)
    >>> texture_values(np.array([np.nan, 2.5, -1000.0]), is_colour=False)
    array([-1000. ,     2.5, -1000. ], dtype=float32)
    """
    if is_colour and array.dtype != np.uint8:
        return np.rint(array / (np.iinfo(array.dtype).max / 255)).astype(np.uint8)
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        return _finite(array)
    if array.dtype.newbyteorder("=") in _TEXTURE_TYPES:
        return array
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for kind in (np.int16, np.uint16):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return array.astype(kind)
    return array.astype(np.float32)


def _finite(array: NDArray[Any]) -> NDArray[np.float32]:
    largest = float(np.finfo(np.float32).max)
    if not np.isfinite(array).all() or array.dtype.itemsize > 4:
        array = np.clip(array, -largest, largest)
    missing = np.isnan(array)
    if missing.any():
        array = np.where(missing, 0 if missing.all() else np.nanmin(array), array)
    return array.astype(np.float32, copy=False)


def label_layers(overlays: Mapping[str, NDArray[Any]], names: Mapping[str, Mapping[int, str]]) -> list[LabelLayer]:
    """Put masks and label maps into as few label maps as their overlaps allow.

    Parameters
    ----------
    overlays : mapping
        Name to a mask or a label map, all of one shape.
    names : mapping
        Name of a label map to the names of its labels; those without one are named after the map and the number.

    Examples
    --------
    >>> liver, lesion, spleen = np.array([1, 1, 0], bool), np.array([0, 1, 0], bool), np.array([0, 0, 1], bool)
    >>> layers = label_layers({"liver": liver, "lesion": lesion, "spleen": spleen}, {})
    >>> [(layer.names, layer.array.tolist()) for layer in layers]
    [(['liver', 'spleen'], [1, 1, 2]), (['lesion'], [0, 1, 0])]
    """
    layers: list[LabelLayer] = []
    for number, (name, array) in enumerate(overlays.items()):
        labels = labels_of(array)
        is_alone = array.dtype.kind == "b" or (len(labels) == 1 and name not in names)
        titles = [name if is_alone else names.get(name, {}).get(label, f"{name} {label}") for label in labels]
        colours = [_COLOURS[(number + rank) % len(_COLOURS)] for rank in range(len(labels))]
        inside = array != 0
        index = next((index for index, layer in enumerate(layers) if not layer.array[inside].any()), len(layers))
        if index == len(layers):
            layers.append(LabelLayer(np.zeros(array.shape, np.uint8), [], []))
        layers[index] = _with_labels(layers[index], array, inside, labels, titles, colours)
    return layers


def labels_of(array: NDArray[Any]) -> list[int]:
    """Return the numbers other than 0 that occur in an array of integers; 1 for a mask, also for an empty one.

    Examples
    --------
    >>> labels_of(np.array([[0, 3], [1, 3]]))
    [1, 3]
    """
    if array.dtype.kind == "b":
        return [1]
    if array.size and array.min() >= 0 and array.max() < _UINT16:
        # Sorting all voxels would take many times as long.
        found = np.zeros(_UINT16, bool)
        found[array] = True
        return [int(label) for label in np.flatnonzero(found) if label]
    return [int(label) for label in np.unique(array) if label]


def _with_labels(
    layer: LabelLayer,
    array: NDArray[Any],
    inside: NDArray[np.bool_],
    labels: Sequence[int],
    names: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
) -> LabelLayer:
    before = len(layer.names)
    target = layer.array
    if before + len(labels) > np.iinfo(target.dtype).max:
        target = target.astype(np.uint16)
    target[inside] = np.searchsorted(labels, array[inside]) + before + 1
    return LabelLayer(target, [*layer.names, *names], [*layer.colours, *colours])
