"""Valid synthetic series of any modality: `simple_orthanc.phantom` with what the standard asks of each modality."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from simple_orthanc import phantom
from simple_orthanc.phantom.images import dataset_of, patient_and_study
from simple_orthanc.phantom.requirements import required_tags

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

_PLAN_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.481.5"
# Without these, values of a CT are no Hounsfield units, and those of a PET no activity; other modalities have none.
_RESCALED = ("CT", "PT")


def make_series(
    shape: tuple[int, int, int] = (3, 4, 4),
    *,
    modality: str = "CT",
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = phantom.AXIAL,
    array: NDArray[Any] | None = None,
    dtype: DTypeLike | None = None,
    seed: int | None = None,
    like: Dataset | None = None,
    **keywords: Any,
) -> list[Dataset]:
    """Make a valid series of a modality, whose geometry and values are known.

    Parameters
    ----------
    shape : tuple of int
        Slices, rows, columns; ignored where `array` is given.
    modality : str
        CT, MR, PT, US and CR are series of one image per slice. RTDOSE and SEG are one image of many frames, RTSTRUCT
        is one object with a contour on each slice; the list has then one dataset. SC and any other modality, such as
        DOC, give Secondary Captures, whose Modality is then the one given, or OT for SC.
    spacing : tuple of float
        Between slices, rows and columns, in mm.
    origin : sequence of float
        The centre of the first pixel of the first slice: x, y, z in mm (LPS).
    orientation : sequence of float
        ImageOrientationPatient. The slices follow each other along the cross product
        of its two directions.
    array : ndarray, optional
        The stored values, (slice, row, column), or (slice, row, column, 3) for RGB. Default: every pixel of a slice
        holds the number of the slice, from 0. For SEG what is not zero is the segment, and for RTSTRUCT only the shape
        counts; the default segment and the contours are all pixels but those at the edges of a slice.
    dtype : dtype, optional
        Type of the default pattern: int16, except for PT, RTDOSE (uint16), US and CR (uint8, uint16).
    seed : int, optional
        The same seed gives the same UIDs; without it they are fresh.
    like : pydicom.Dataset, optional
        An image whose patient, study and frame of reference the series belongs to. Its own series is another.
    **keywords
        Any DICOM keyword, as for `simple_orthanc.phantom.make_series`: a list is one value per slice, None leaves the
        tag out. ``slope`` and ``intercept`` of a CT (1 and -1024 Hounsfield units by default) and of a PET (1 and 0).

    Returns
    -------
    list of pydicom.Dataset
        In the order of their positions, with file meta information: what `as_bytes` writes is read without ``force``.

    Raises
    ------
    ValueError
        The spacing is not three positive numbers, a list has not one value per slice, the values of a dose are not
        integers, or a segmentation is empty.

    Examples
    --------
    >>> from simple_orthanc.testing import make_series
    >>> series = make_series((3, 4, 4), modality="PT", spacing=(2.0, 1.5, 1.5))
    >>> series[0].Units, [float(image.ImagePositionPatient[2]) for image in series]
    ('BQML', [0.0, 2.0, 4.0])
    >>> [segmentation] = make_series((3, 4, 4), modality="SEG", like=series[0])
    >>> segmentation.SegmentSequence[0].SegmentLabel, int(segmentation.NumberOfFrames)
    ('segment 1', 3)
    """
    steps: Any = spacing
    if np.shape(steps) != (3,) or not all(isinstance(step, Real) and 0 < float(step) < math.inf for step in steps):
        raise ValueError(f"spacing is {spacing!r}; give three positive numbers, in mm: slices, rows, columns.")
    geometry: dict[str, Any] = {"spacing": spacing, "origin": origin, "orientation": orientation}
    if array is not None:
        slices, rows, columns = np.shape(array)[:3]
        shape = slices, rows, columns
    if modality in ("SEG", "RTSTRUCT"):
        images = make_series(shape, modality="CT", like=like, seed=seed, **geometry)
        return [_drawn(images, modality, array, seed, keywords)]
    count = 1 if modality == "RTDOSE" else shape[0]
    layout = {**geometry, "seed": seed, "like": like}
    related = {} if like is None else _related(like, modality, count, seed)
    tags = {**required_tags(modality, shape[0]), **related, **keywords}
    if array is None:
        array = _pattern(shape, dtype or _type_of(modality))
    if modality == "RTDOSE":
        return [_dose(array, tags, layout)]
    if modality not in _RESCALED:
        tags = {"slope": None, "intercept": None, **tags}
    elif modality == "CT":
        tags = {"intercept": -1024.0, **tags}
    if modality not in phantom.SOP_CLASSES:
        tags = {"Modality": "OT" if modality == "SC" else modality, **tags}
    return phantom.make_series(array=array, modality=modality, **layout, **tags)


def _pattern(shape: tuple[int, int, int], dtype: DTypeLike) -> NDArray[Any]:
    return np.broadcast_to(np.arange(shape[0]).astype(dtype)[:, None, None], shape)


def _type_of(modality: str) -> str:
    return {"PT": "uint16", "RTDOSE": "uint16", "US": "uint8", "CR": "uint16"}.get(modality, "int16")


def _related(like: Dataset, modality: str, count: int, seed: int | None) -> dict[str, Any]:
    """Return the tags of patient and study of an image, and UIDs for another series in it."""

    def uid(name: str) -> str:
        entropy = ["simple_orthanc", str(seed), str(like.SOPInstanceUID), modality, name]
        return str(generate_uid(entropy_srcs=None if seed is None else entropy))

    return {
        **patient_and_study(like),
        "SeriesInstanceUID": uid("series"),
        "SOPInstanceUID": [uid(f"instance {number}") for number in range(count)],
    }


def _dose(array: NDArray[Any], tags: dict[str, Any], layout: dict[str, Any]) -> Dataset:
    """Make a dose grid (RTDOSE, PS3.3 C.8.8.3): one image whose frames are its slices."""
    if array.dtype.kind not in "iu":
        raise ValueError(f"A dose is stored as integers, not as {array.dtype}: give these, and DoseGridScaling.")
    scaling = tags.pop("DoseGridScaling", 0.01)
    (image, *_) = phantom.make_series(array=array[:1], modality="RTDOSE", slope=None, intercept=None, **layout, **tags)
    stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    offsets = tuple(float(number * layout["spacing"][0]) for number in range(len(array)))
    grid = {"NumberOfFrames": len(array), "GridFrameOffsetVector": offsets, "DoseGridScaling": scaling}
    plan = {"ReferencedSOPClassUID": _PLAN_SOP_CLASS, "ReferencedSOPInstanceUID": _plan_uid(image)}
    for name, value in {"ReferencedRTPlanSequence": (dataset_of(plan),), **grid, **tags}.items():
        phantom.put(image, name, value)
    image.add_new("PixelData", "OW", stored + b"\0" * (len(stored) % 2))
    return image


def _plan_uid(dose: Dataset) -> str:
    return str(generate_uid(entropy_srcs=[str(dose.SeriesInstanceUID), "plan"]))


def _drawn(
    images: list[Dataset], modality: str, array: NDArray[Any] | None, seed: int | None, keywords: dict[str, Any]
) -> Dataset:
    """Make a segmentation or a structure set on images that are not returned."""
    inside = np.zeros((len(images), images[0].Rows, images[0].Columns), bool)
    inside[:, 1:-1, 1:-1] = True
    if modality == "SEG":
        return phantom.make_segmentation(
            images, {"segment 1": inside if array is None else np.asarray(array)}, seed=seed, **keywords
        )
    return phantom.make_structure_set(images, {"region 1": [_box(image) for image in images]}, seed=seed, **keywords)


def _box(image: Dataset) -> NDArray[np.float64]:
    """Return the corners of an image without its outermost pixels: (4, 3), x, y, z in mm."""
    cosines = np.asarray(image.ImageOrientationPatient, float)
    row_step, column_step = (float(mm) for mm in image.PixelSpacing)
    corners = [(1, 1), (image.Columns - 2, 1), (image.Columns - 2, image.Rows - 2), (1, image.Rows - 2)]
    start = np.asarray(image.ImagePositionPatient, float)
    return np.array([start + x * column_step * cosines[:3] + y * row_step * cosines[3:] for x, y in corners])
