"""Compare how many images headers announce with how many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.volume.grouping import arrange_planes, direction_of
from simple_orthanc.volume.planes import Plane


def find_contradictions(
    group: Sequence[Plane], headers: Sequence[Dataset], everything: Sequence[Plane]
) -> tuple[str, ...]:
    """Name the attributes that announce more images than there are, so that a part is not taken for the whole.

    Parameters
    ----------
    group : sequence of Plane
        The frames of one grid.
    headers : sequence of pydicom.Dataset
        Those that the frames were read from.
    everything : sequence of Plane
        The frames of all grids.

    Returns
    -------
    tuple of str
        Empty if nothing is missing. More images than announced are no contradiction: writers count a single volume,
        or a single pass over it.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> from simple_orthanc.volume.planes import read_planes
    >>> series = make_series((3, 4, 4), ImagesInAcquisition=5, AcquisitionNumber=1)
    >>> planes = read_planes(series)
    >>> find_contradictions(planes, series, planes)
    ('ImagesInAcquisition is 5, but there are 3 images',)
    """
    first = group[0]
    header = headers[first.instance]
    acquisition = first.discriminators.get("acquisition")
    same = [plane for plane in everything if plane.discriminators.get("acquisition") == acquisition]
    counts = {"ImagesInAcquisition": (len(same), "images")}
    if first.position is not None and direction_of(group) is not None and not first.is_sparse:
        positions = Counter(arrange_planes(group).slice_indices)
        counts["NumberOfSlices"] = (len(positions), "positions")
        counts["NumberOfTemporalPositions"] = (max(positions.values()), "images at a position")
    notes = []
    for keyword, (count, what) in counts.items():
        announced = elements.number_or_none(header, keyword)
        if announced is not None and count < announced:
            notes.append(f"{keyword} is {announced:g}, but there are {count} {what}")
    return tuple(notes)
