"""Overlays of a picture, by name and on the grid of the image, and whether each holds labels or values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.common_space import check_common_space
from simple_orthanc.volume.layers import labels_of
from simple_orthanc.volume.named import by_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simple_orthanc.volume.plotting import Image

# Label maps of whole bodies and of brains have up to 200 labels; an image usually has more distinct values.
_MOST_LABELS = 200


@dataclass(frozen=True)
class Overlay:
    """An overlay of an image, on its grid.

    Attributes
    ----------
    array : ndarray
        (slice, row, column).
    units : str
        Units of the values; "" if they are not known.
    labels : mapping
        Number of each named label to its name.
    holds_values : bool
        Whether it is drawn as values rather than as a mask or labels.
    """

    array: NDArray[Any]
    units: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    holds_values: bool = False


def holds_values(array: NDArray[Any], units: str = "") -> bool:
    """Check whether an array holds the values of an image, rather than a mask or the numbers of labels.

    Floats are values. Integers are labels if their units say so, or else if none is negative and there are at most 200
    distinct ones: an image that SimpleITK has read or computed has no units.

    Parameters
    ----------
    array : ndarray
    units : str
        "label" if the array holds labels.

    Examples
    --------
    >>> holds_values(np.array([0, 1, 17])), holds_values(np.array([-1000, 40])), holds_values(np.arange(1000))
    (False, True, True)
    >>> holds_values(np.arange(1000), "label")
    False
    """
    if array.dtype.kind not in "iu":
        return array.dtype.kind != "b"
    if units == "label":
        return False
    return bool(array.size and (array.min() < 0 or len(labels_of(array)) > _MOST_LABELS))


def overlays_on(image: Image, overlay: Any, *, allow_other_frame: bool = False) -> dict[str, Overlay]:
    """Return overlays by name, after checking that they lie on the grid of the image.

    Parameters
    ----------
    image : Image
    overlay : Volume, ndarray, mapping or list of these, or None
    allow_other_frame : bool
        Whether overlays may be of another patient, or in another frame of reference.

    Raises
    ------
    VolumeError
        An overlay lies on another grid, or is of another patient or in another frame of reference.
    """
    overlays = {}
    for name, each in named_overlays(overlay).items():
        if not allow_other_frame:
            check_common_space(each, image, f"The overlay {name!r}", "the image")
        array, units = _on_grid(image, name, each), str(getattr(each, "units", ""))
        labels = getattr(each, "labels", None) or {}
        overlays[name] = Overlay(array, units, labels, holds_values(array, "label" if labels else units))
    return overlays


def named_overlays(overlay: Any, keyword: str = "SeriesDescription") -> dict[str, Any]:
    """Return the given overlays by name: none, one or several.

    Parameters
    ----------
    overlay : Volume, ndarray, mapping or list of these, or None
    keyword : str
        The header element that names a volume without a name of its own.
    """
    if overlay is None:
        return {}
    return dict(by_name(overlay, partial(_name_of, keyword)))


def _name_of(keyword: str, overlay: Any) -> str:
    """Return the name of an overlay; the header of a computed mask names what the mask was computed from."""
    header, name = getattr(overlay, "header", None), getattr(overlay, "name", "")
    if isinstance(header, Dataset) and (name or overlay.dtype == bool):
        return str(name or "mask")
    return str(header.get(keyword) or "overlay") if isinstance(header, Dataset) else "overlay"


def _on_grid(image: Image, name: str, overlay: Any) -> NDArray[Any]:
    array = np.asarray(overlay)
    if array.shape != image.array.shape[:3]:
        raise VolumeError(
            f"The overlay {name!r} has the shape {array.shape}, but the image has {image.array.shape[:3]}: resample "
            "it first, with overlay.resample(like=image), or read masks on the grid of the image, with "
            "get_masks(like=image)."
        )
    geometry = getattr(overlay, "geometry", None)
    if geometry is not None and image.geometry is not None and not geometry.isclose(image.geometry, tolerance=0.1):
        raise VolumeError(
            f"The overlay {name!r} lies elsewhere in the patient than the image, though its shape is the same: "
            "resample it first, with overlay.resample(like=image), or read masks with get_masks(like=image)."
        )
    return array
