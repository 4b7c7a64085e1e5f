"""Find a tag that tells images at one position apart, where no known property does."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.volume.discriminators import Discriminator, DiscriminatorValue
from simple_orthanc.volume.planes import Plane

# Identifiers and times differ between any two images, sequences are no values, and binary content says nothing.
_NO_VALUES = frozenset(("UI", "DA", "TM", "DT", "SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN"))
# What pixels are and how they are shown; below, how an image was numbered and where it lies.
_NO_GROUPS = frozenset((0x0002, 0x0028, 0x0040, 0x7FE0))
_SKIPPED = ("InstanceNumber", "ImageIndex", "ImagePositionPatient", "ImageOrientationPatient", "SliceLocation")
# A longer value is no name.
_LONGEST = 64


def find_varying_tag(
    planes: Sequence[Plane],
    indices: Sequence[int],
    headers: Sequence[Dataset],
    repetitions: Sequence[int] | None = None,
) -> tuple[Discriminator, list[DiscriminatorValue]] | None:
    """Find a tag whose values each cover all positions once.

    Parameters
    ----------
    planes : sequence of Plane
        Of single-frame objects, several at each position.
    indices : sequence of int
        The number of the position of each frame.
    headers : sequence of pydicom.Dataset
        Those that the frames were read from.
    repetitions : sequence of int, optional
        For each frame the number of its repetition, by InstanceNumber. A private number that only rises with it is a
        clock or a counter, and tells no more.

    Returns
    -------
    tuple or None
        The tag, public ones and names before private ones and numbers, and its value for each frame.
    """
    at_first = [index for index, position in enumerate(indices) if position == indices[0]]
    is_complete = len(planes) == len(at_first) * len(set(indices))
    if not headers or not is_complete or any(plane.number_of_frames > 1 for plane in planes):
        return None
    found = []
    for tag in _tags_that_differ([headers[planes[index].instance] for index in at_first]):
        texts = ["\\".join(elements.texts(headers[plane.instance], tag)) for plane in planes]
        if not all(0 < len(text) <= _LONGEST for text in texts):
            continue
        if len(set(texts)) != len(at_first) or len(set(zip(indices, texts, strict=True))) != len(planes):
            continue
        values = [_number(text) for text in texts]
        is_private = bool(tag >> 16 & 1)
        is_number = all(isinstance(value, float) for value in values)
        if is_private and is_number and repetitions is not None and _rises(values, repetitions):
            continue
        found.append(((is_private, is_number, tag), values))
    if not found:
        return None
    (_, _, tag), values = min(found, key=lambda pair: pair[0])
    keyword = keyword_for_tag(tag)
    name = keyword or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return Discriminator(name, "", (("", keyword),) if keyword else (), by_value=True), values


def _tags_that_differ(headers: Sequence[Dataset]) -> list[int]:
    """Return the tags that have another value in each of these headers."""
    skipped = {int(elements.tag_of(keyword)) for keyword in _SKIPPED}
    first = headers[0].keys()
    result = []
    for tag in (int(tag) for tag in first):
        if tag >> 16 in _NO_GROUPS or tag in skipped or elements.raw(headers[0], tag)[1] in _NO_VALUES:
            continue
        if len({tuple(elements.texts(header, tag)) for header in headers}) == len(headers):
            result.append(tag)
    return result


def _number(text: str) -> DiscriminatorValue:
    try:
        return float(text)
    except ValueError:
        return text


def _rises(values: Sequence[DiscriminatorValue], repetitions: Sequence[int]) -> bool:
    pairs = sorted({(repetition, value) for repetition, value in zip(repetitions, values, strict=True)})
    ordered = [value for _, value in pairs]
    return len(pairs) == len(set(repetitions)) and ordered == sorted(ordered)
