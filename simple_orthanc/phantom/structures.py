"""Structure sets drawn on synthetic images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from simple_orthanc.phantom.images import SOP_CLASSES, common_tags, identifiers, put, slice_normal, with_file_meta

if TYPE_CHECKING:
    from numpy.typing import NDArray


def make_structure_set(
    images: Sequence[Dataset],
    regions: Mapping[str, Sequence[Any]],
    *,
    kind: str = "CLOSED_PLANAR",
    seed: int | None = None,
    **keywords: Any,
) -> Dataset:
    """Make a structure set (RTSTRUCT, PS3.3 A.19) that was drawn on a series of images.

    Parameters
    ----------
    images : sequence of pydicom.Dataset
        The series; the structure set names it, and for each contour the image at whose position it lies.
    regions : mapping
        ROIName to contours, each of shape (number of points, 3): x, y, z in mm, LPS.
    kind : str
        ContourGeometricType of all contours.
    seed : int, optional
        The same number makes the same UIDs.
    **keywords
        DICOM keywords of the object.

    Returns
    -------
    pydicom.Dataset
        Complete with file meta information.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> images = make_series((2, 8, 8), seed=1)
    >>> structures = make_structure_set(images, {"GTV": [[[1, 1, 0], [5, 1, 0], [5, 5, 0]]]}, seed=2)
    >>> structures.StructureSetROISequence[0].ROIName
    'GTV'
    """
    first = images[0]
    uids = identifiers(seed, 1, keywords, first)
    entropy = None if seed is None else ["simple_orthanc", str(seed), str(first.SeriesInstanceUID)]
    tags: dict[str, Any] = {
        **common_tags("RTSTRUCT", uids),
        "SOPClassUID": SOP_CLASSES["RTSTRUCT"],
        "SOPInstanceUID": uids["instances"][0],
        "SeriesInstanceUID": str(generate_uid(entropy_srcs=entropy)),
        "StructureSetLabel": "RTSTRUCT",
        "ReferencedFrameOfReferenceSequence": [_referenced_frame(images)],
        "StructureSetROISequence": [],
        "ROIContourSequence": [],
        "RTROIObservationsSequence": [],
    }
    for number, (name, contours) in enumerate(regions.items(), 1):
        roi = {"ROINumber": number, "ReferencedFrameOfReferenceUID": first.FrameOfReferenceUID, "ROIName": name}
        tags["StructureSetROISequence"].append(_dataset({**roi, "ROIGenerationAlgorithm": "MANUAL"}))
        drawn = [_contour(images, np.asarray(points, float), kind) for points in contours]
        observation = {"ObservationNumber": number, "ReferencedROINumber": number, "RTROIInterpretedType": ""}
        tags["RTROIObservationsSequence"].append(_dataset({**observation, "ROIInterpreter": ""}))
        tags["ROIContourSequence"].append(_dataset({"ReferencedROINumber": number, "ContourSequence": drawn}))
    return with_file_meta(_dataset({**tags, **keywords}))


def _dataset(tags: Mapping[str, Any]) -> Dataset:
    dataset = Dataset()
    for name, value in tags.items():
        put(dataset, name, value)
    return dataset


def _reference(image: Dataset) -> Dataset:
    return _dataset({"ReferencedSOPClassUID": image.SOPClassUID, "ReferencedSOPInstanceUID": image.SOPInstanceUID})


def _referenced_frame(images: Sequence[Dataset]) -> Dataset:
    """Return the item of ReferencedFrameOfReferenceSequence (PS3.3 C.8.8.5) for a series."""
    series = {"SeriesInstanceUID": images[0].SeriesInstanceUID, "ContourImageSequence": list(map(_reference, images))}
    study = {
        "ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.1",
        "ReferencedSOPInstanceUID": images[0].StudyInstanceUID,
        "RTReferencedSeriesSequence": [_dataset(series)],
    }
    frame = {"FrameOfReferenceUID": images[0].FrameOfReferenceUID, "RTReferencedStudySequence": [_dataset(study)]}
    return _dataset(frame)


def _contour(images: Sequence[Dataset], points: NDArray[np.float64], kind: str) -> Dataset:
    normal = slice_normal([float(value) for value in images[0].ImageOrientationPatient])
    offsets = [abs(float(normal @ (points[0] - np.asarray(image.ImagePositionPatient, float)))) for image in images]
    return _dataset(
        {
            "ContourImageSequence": [_reference(images[int(np.argmin(offsets))])],
            "ContourGeometricType": kind,
            "NumberOfContourPoints": len(points),
            "ContourData": points.ravel().tolist(),
        }
    )
