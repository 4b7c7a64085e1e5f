"""Structure sets drawn on synthetic images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from simple_orthanc.phantom.images import (
    SOP_CLASSES,
    common_tags,
    dataset_of,
    identifiers,
    patient_and_study,
    reference_to,
    slice_normal,
    with_file_meta,
)

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
        **patient_and_study(first),
        "SOPClassUID": SOP_CLASSES["RTSTRUCT"],
        "SOPInstanceUID": uids["instances"][0],
        "SeriesInstanceUID": str(generate_uid(entropy_srcs=entropy)),
        "OperatorsName": "",
        "StructureSetLabel": "RTSTRUCT",
        "StructureSetDate": "20200101",
        "StructureSetTime": "120000",
        "ReferencedFrameOfReferenceSequence": [_referenced_frame(images)],
        "StructureSetROISequence": [],
        "ROIContourSequence": [],
        "RTROIObservationsSequence": [],
    }
    for number, (name, contours) in enumerate(regions.items(), 1):
        roi = {"ROINumber": number, "ReferencedFrameOfReferenceUID": first.FrameOfReferenceUID, "ROIName": name}
        tags["StructureSetROISequence"].append(dataset_of({**roi, "ROIGenerationAlgorithm": "MANUAL"}))
        drawn = [_contour(images, np.asarray(points, float), kind) for points in contours]
        observation = {"ObservationNumber": number, "ReferencedROINumber": number, "RTROIInterpretedType": ""}
        tags["RTROIObservationsSequence"].append(dataset_of({**observation, "ROIInterpreter": ""}))
        tags["ROIContourSequence"].append(dataset_of({"ReferencedROINumber": number, "ContourSequence": drawn}))
    return with_file_meta(dataset_of({**tags, **keywords}))


def _referenced_frame(images: Sequence[Dataset]) -> Dataset:
    """Return the item of ReferencedFrameOfReferenceSequence (PS3.3 C.8.8.5) for a series."""
    series = {"SeriesInstanceUID": images[0].SeriesInstanceUID, "ContourImageSequence": list(map(reference_to, images))}
    study = {
        "ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.1",
        "ReferencedSOPInstanceUID": images[0].StudyInstanceUID,
        "RTReferencedSeriesSequence": [dataset_of(series)],
    }
    frame = {"FrameOfReferenceUID": images[0].FrameOfReferenceUID, "RTReferencedStudySequence": [dataset_of(study)]}
    return dataset_of(frame)


def _contour(images: Sequence[Dataset], points: NDArray[np.float64], kind: str) -> Dataset:
    normal = slice_normal([float(value) for value in images[0].ImageOrientationPatient])
    offsets = [abs(float(normal @ (points[0] - np.asarray(image.ImagePositionPatient, float)))) for image in images]
    return dataset_of(
        {
            "ContourImageSequence": [reference_to(images[int(np.argmin(offsets))])],
            "ContourGeometricType": kind,
            "NumberOfContourPoints": len(points),
            "ContourData": points.ravel().tolist(),
        }
    )
