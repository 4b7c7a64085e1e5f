"""Acquisition times and numbers, in which slices differ that were acquired one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Set

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.volume.discriminators import TOP_SOURCES, DiscriminatorValue, read_sources

# Tag to the names whose values depend on it.
_NAMES_IN_TIME: dict[int, list[str]] = {
    elements.tag_of(keyword): names
    for keyword, *names in (
        *(("AcquisitionNumber", "acquisition"), ("TriggerTime", "phase"), ("FrameReferenceTime", "frame time")),
        *((f"Acquisition{kind}", "acquisition time") for kind in ("Date", "Time", "DateTime")),
        *((f"Content{kind}", "content time") for kind in ("Date", "Time")),
    )
}
TAGS_IN_TIME = frozenset(_NAMES_IN_TIME)
"""The tags at the top level in which slices differ that were acquired one after the other."""


def with_times(
    values: Mapping[str, DiscriminatorValue], header: Dataset, tags: Set[int]
) -> dict[str, DiscriminatorValue]:
    """Return the discriminators of a single-frame image that differs from another only in `TAGS_IN_TIME`.

    Parameters
    ----------
    values : mapping
        The discriminators of the other image, as `read_discriminators` returned them.
    header : pydicom.Dataset
        The header of the image.
    tags : set of int
        The tags in which it differs.

    Examples
    --------
    >>> header = Dataset()
    >>> header.AcquisitionNumber = 2
    >>> with_times({"echo": 1.0, "acquisition": 1.0}, header, {0x00200012})
    {'echo': 1.0, 'acquisition': 2.0}
    """
    names = {name for tag in tags for name in _NAMES_IN_TIME[tag]}
    sources = [source for source in TOP_SOURCES if source[0] in names]
    kept = {name: value for name, value in values.items() if name not in names}
    return {**kept, **read_sources(header, sources, {tag for _, tag, _, _ in sources})}
