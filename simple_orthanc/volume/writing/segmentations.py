"""Masks and label maps as DICOM segmentations (PS3.3 A.51), written by highdicom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import SelectionError, VolumeError
from simple_orthanc.extras import import_extra
from simple_orthanc.volume.common_space import check_common_space
from simple_orthanc.volume.writing.segments import (
    Anchor,
    Kind,
    Pixels,
    anchors_of,
    checked_string,
    is_volume,
    pixels_of,
)
from simple_orthanc.volume.writing.source_images import SourceImages, written

if TYPE_CHECKING:
    # Not at run time: it loads 15 MB of codes.
    from pydicom.sr.coding import Code

    from simple_orthanc.volume.volume import Volume

    CodeLike: TypeAlias = Code | tuple[str, str, str]

WHAT, MODALITY = "A segmentation", "SEG"
_REGISTERED = "If it was registered to the image, say so with dataclasses.replace(mask, header=image.header)."
# The default category and type of a segment (PS3.16 CID 7150 and 7166).
TISSUE = ("85756007", "SCT", "Tissue")


def segmentation_of(
    masks: Mapping[str, Any] | Volume,
    like: Volume | None = None,
    *,
    names: Mapping[int, str] | None = None,
    kind: Kind = "BINARY",
    codes: Mapping[str, tuple[CodeLike, CodeLike]] | None = None,
    algorithm: str | None = None,
    tags: Mapping[str, Any] | None = None,
) -> Dataset:
    """Write masks or a label map as one segmentation of the images they were drawn on.

    Parameters
    ----------
    masks : mapping, or Volume
        Masks by name, as volumes or as arrays of the shape of `like`, which may overlap; or one volume: a mask, or a
        label map whose values are the numbers of the segments.
    like : Volume, optional
        The images: their study, frame of reference and grid. Default: those whose header the masks have.
    names : mapping of int to str, optional
        The names of the labels of a label map. Default: those of the segmentation that it was read from, else
        "segment 1".
    kind : {"BINARY", "FRACTIONAL", "LABELMAP"}
        SegmentationType. FRACTIONAL holds probabilities from 0 to 1 in steps of 1/255. LABELMAP holds labels of any
        numbers, and many programs do not read it yet (DICOM supplement 243).
    codes : mapping, optional
        For the name of a segment its category and its type, each as a code: value, scheme, meaning. Default: Tissue.
    algorithm : str, optional
        The name of the program that drew the masks, which are then AUTOMATIC. Default: MANUAL.
    tags : mapping, optional
        DICOM keywords of the object.

    Returns
    -------
    pydicom.Dataset
        On the grid of the masks. Each frame refers to the image in whose plane it lies.

    Raises
    ------
    VolumeError
        The masks are on different grids or are no masks, or the images have no position in the patient.
    UnsupportedError
        highdicom is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from simple_orthanc import Geometry, Volume
    >>> from simple_orthanc.phantom import make_series
    >>> grid = Geometry((4, 4, 3), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> ct = Volume(np.arange(48).reshape(3, 4, 4), grid, make_series((3, 4, 4))[0])
    >>> segmentation = segmentation_of({"lesion": ct.array > 40, "rest": ct.array < 20}, ct)
    >>> [segment.SegmentLabel for segment in segmentation.SegmentSequence], int(segmentation.NumberOfFrames)
    (['lesion', 'rest'], 3)
    """
    if kind not in get_args(Kind):
        raise VolumeError(f"kind={kind!r} is not valid; choose {', '.join(map(repr, get_args(Kind)))}.")
    if (tags or {}).get("Modality", MODALITY) != MODALITY:
        raise SelectionError(
            f"Modality was given, but that of a segmentation is {MODALITY} (PS3.3 C.8.20.1): leave it out."
        )
    highdicom = import_extra("highdicom", "seg", WHAT)
    if not (is_volume(masks) or isinstance(masks, Mapping)):
        raise VolumeError(
            f"{WHAT} was asked for of a {type(masks).__name__}: masks are given by their names, as in "
            '{"lesion": mask}, or as one Volume.'
        )
    # A mapping may read a mask each time it is looked up.
    masks = masks if is_volume(masks) else dict(masks.items())
    source = SourceImages(_images(masks, like), WHAT)
    for name, mask in ({"": masks} if is_volume(masks) else masks).items():
        title = f"The mask {name!r}" if name else "The mask"
        check_common_space(mask, source, title, "the image", _REGISTERED)
    pixels, anchors = anchors_of(pixels_of(masks, like, names, kind), kind)
    with quiet():
        descriptions = _descriptions(highdicom, pixels, codes or {}, algorithm)
        array = pixels.array
        if anchors:
            array = array.copy()
            for anchor in anchors:
                anchor.set(array)
        dataset = written(
            highdicom.seg.Segmentation,
            source,
            pixels.geometry,
            WHAT,
            tags or {},
            pixel_array=array,
            segmentation_type=kind,
            segment_descriptions=descriptions,
            omit_empty_frames=kind != "LABELMAP",
            content_label="SEGMENTATION",
        )
    _tidy(dataset, anchors, source.positions(pixels.geometry))
    return dataset


def _images(masks: Mapping[str, Any] | Volume, like: Volume | None) -> Volume:
    if like is not None:
        return like
    volumes = [masks] if is_volume(masks) else [mask for mask in masks.values() if is_volume(mask)]
    if not volumes:
        raise VolumeError(f"{WHAT} was asked for of mere arrays: name the images they were drawn on with like=images.")
    return volumes[0]


def _descriptions(
    highdicom: Any, pixels: Pixels, codes: Mapping[str, tuple[CodeLike, CodeLike]], algorithm: str | None
) -> list[Dataset]:
    if not isinstance(codes, Mapping):
        raise _wrong_codes(codes)
    unknown = [name for name in codes if name not in pixels.names.values()]
    if unknown:
        raise VolumeError(
            f"codes= names the segment {unknown[0]!r}, but the segments are {', '.join(pixels.names.values())}."
        )
    descriptions = []
    for number, name in pixels.names.items():
        pair: Any = codes.get(name, (TISSUE, TISSUE))
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise _wrong_codes(pair)
        category, kind = pair
        description: Dataset = highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=_code(highdicom, category, name),
            segmented_property_type=_code(highdicom, kind, name),
            algorithm_type="MANUAL",
        )
        if algorithm is not None:
            description.SegmentAlgorithmType, description.SegmentAlgorithmName = (
                "AUTOMATIC",
                checked_string(algorithm, "the name of an algorithm"),
            )
        descriptions.append(description)
    return descriptions


def _wrong_codes(given: object) -> VolumeError:
    return VolumeError(
        f"{given!r} was given as codes: codes= has the category and the type of each segment by its name, as in "
        '{"liver": (("123037004", "SCT", "Anatomical Structure"), ("10200004", "SCT", "Liver"))}.'
    )


def _code(highdicom: Any, code: Any, name: str) -> Dataset:
    parts = code[:3] if isinstance(code, tuple) else ()
    if len(parts) != 3 or not all(isinstance(part, str) and part for part in parts):
        raise VolumeError(
            f"{code!r} was given as a code of the segment {name!r}, but a code has a value, a scheme and a meaning: "
            '("10200004", "SCT", "Liver").'
        )
    try:
        concept: Dataset = highdicom.sr.CodedConcept(*parts)
    except ValueError as error:
        raise VolumeError(f"{code!r} was given as a code of the segment {name!r}, and it is none: {error}") from error
    return concept


def _tidy(dataset: Dataset, anchors: Sequence[Anchor], positions: Sequence[Sequence[float]]) -> None:
    """Clear the anchors, and correct what highdicom writes of small frames and of the last byte."""
    pixels = bytearray(dataset.PixelData)
    frame, count = dataset.Rows * dataset.Columns, int(dataset.NumberOfFrames)
    if dataset.BitsAllocated == 1 and frame < 8:
        # highdicom 0.28 begins each of these frames with a byte of its own; they follow each other bit by bit.
        bits = np.unpackbits(np.frombuffer(pixels, np.uint8)[:count], bitorder="little").reshape(count, 8)
        pixels = bytearray(np.packbits(bits[:, :frame], bitorder="little"))
    size = -(-frame * count * dataset.BitsAllocated // 8)
    # The byte after an odd number is 0 (PS3.5 section 8.1.1).
    pixels[size:] = b"\0" * (size % 2)
    for anchor in anchors:
        anchor.clear(dataset, pixels, positions[anchor.slice])
    dataset.PixelData = bytes(pixels)
