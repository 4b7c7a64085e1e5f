"""The segments of a segmentation in one array of their numbers (PS3.3 C.8.20)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.errors import InconsistentSlicesError, VolumeError
from simple_orthanc.volume.planes import Plane
from simple_orthanc.volume.stacking import Stack

if TYPE_CHECKING:
    from numpy.typing import NDArray


def label_map_dtype(stack: Stack, headers: Sequence[Dataset], units: str) -> np.dtype[Any]:
    """Return the type of the numbers of segments.

    Raises
    ------
    VolumeError
        They have no such units, or the segments are fractional.
    """
    if units not in ("modality", "stored"):
        raise VolumeError(
            f"units={units!r} was requested for a segmentation, whose values are the numbers of its segments: read it "
            "with get_volume()."
        )
    if headers[stack.planes[0].instance].get("SegmentationType") == "FRACTIONAL":
        raise InconsistentSlicesError(
            "One volume was requested from a segmentation with several fractional segments, which one array of labels "
            "cannot hold. Read each segment by itself with get_volumes()."
        )
    largest = max(plane.segment or 0 for plane in stack.planes)
    return np.dtype(np.uint8 if largest < 256 else np.uint16)


def draw_segment(drawn: NDArray[Any], plane: Plane, slice_index: int, frame: NDArray[Any]) -> None:
    """Draw a frame of a segment into its slice.

    Raises
    ------
    InconsistentSlicesError
        Another segment is there.
    """
    inside = frame > 0
    others = np.unique(drawn[inside])
    if others.any():
        names = ", ".join(str(number) for number in (*others[others > 0].tolist(), plane.segment))
        raise InconsistentSlicesError(
            f"One volume was requested from a segmentation, but the segments {names} overlap in slice {slice_index}, "
            "so that one array of labels cannot hold them. Read each segment by itself with get_volumes()."
        )
    drawn[inside] = plane.segment
