"""Segmentations drawn on synthetic images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from simple_orthanc.phantom.images import dataset_of, make_enhanced, patient_and_study, reference_to

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORGAN = {"CodeValue": "113343008", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Organ"}
_ANATOMY = {"CodeValue": "123037004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Anatomical Structure"}
_DERIVED = {"CodeValue": "113076", "CodingSchemeDesignator": "DCM", "CodeMeaning": "Segmentation"}
_PURPOSE = {"CodeValue": "121322", "CodingSchemeDesignator": "DCM"}
_PURPOSE["CodeMeaning"] = "Source image for image processing operation"


def make_segmentation(
    images: Sequence[Dataset], masks: Mapping[str, NDArray[Any]], *, seed: int | None = None, **keywords: Any
) -> Dataset:
    """Make a binary segmentation (SEG, PS3.3 A.51) of a series of images.

    Parameters
    ----------
    images : sequence of pydicom.Dataset
        The series, in the order of its slices.
    masks : mapping
        SegmentLabel to mask, (slice, row, column); what is not zero belongs to the segment. A slice without any such
        voxel has no frame.
    seed : int, optional
        The same number makes the same UIDs.
    **keywords
        DICOM keywords of the object.

    Returns
    -------
    pydicom.Dataset
        Complete with file meta information. It belongs to the study and the frame of reference of the images.

    Raises
    ------
    ValueError
        A mask has another shape than the images, or all masks are empty.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> images = make_series((3, 4, 4), seed=1)
    >>> mask = np.zeros((3, 4, 4), bool)
    >>> mask[1:, 2, 2] = True
    >>> segmentation = make_segmentation(images, {"lesion": mask}, seed=2)
    >>> int(segmentation.NumberOfFrames), int(segmentation.pixel_array.sum())
    (2, 2)
    """
    frames = _frames(images, masks)
    if not frames:
        raise ValueError("All masks are empty, and a segmentation without a frame cannot be made.")
    first = images[0]
    spacing = (float(first.SliceThickness), *(float(mm) for mm in first.PixelSpacing))
    entropy = ["simple_orthanc", str(seed), str(first.SOPInstanceUID), "segmentation"]
    series, instance = (
        str(generate_uid(entropy_srcs=None if seed is None else [*entropy, name])) for name in ("series", "instance")
    )
    dataset = make_enhanced(
        array=np.stack([frame for _, _, frame in frames]).astype(np.uint8),
        spacing=(spacing[0], spacing[1], spacing[2]),
        orientation=[float(value) for value in first.ImageOrientationPatient],
        positions=[[float(value) for value in image.ImagePositionPatient] for _, image, _ in frames],
        modality="SEG",
        groups={
            "SegmentIdentificationSequence": {"ReferencedSegmentNumber": [number for number, _, _ in frames]},
            "FrameContentSequence": {
                "DimensionIndexValues": [(number, images.index(image) + 1) for number, image, _ in frames]
            },
            "DerivationImageSequence": {
                "DerivationCodeSequence": [[dataset_of(_DERIVED)] for _ in frames],
                "SourceImageSequence": [[_source(image)] for _, image, _ in frames],
            },
        },
        seed=seed,
        like=first,
        **{
            "SeriesInstanceUID": series,
            "SOPInstanceUID": instance,
            **patient_and_study(first),
            **_module(images, masks),
            **keywords,
        },
    )
    # Values of a segmentation are not rescaled, and its bits are packed (PS3.5, section 8.1.1).
    del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    bits = np.packbits(np.stack([frame for _, _, frame in frames]).ravel(), bitorder="little").tobytes()
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
    dataset.add_new("PixelData", "OB", bits + b"\0" * (len(bits) % 2))
    return dataset


def _frames(images: Sequence[Dataset], masks: Mapping[str, NDArray[Any]]) -> list[tuple[int, Dataset, NDArray[Any]]]:
    """Return segment number, image and mask of every frame."""
    shape = (len(images), images[0].Rows, images[0].Columns)
    frames = []
    for number, (name, mask) in enumerate(masks.items(), 1):
        if np.shape(mask) != shape:
            raise ValueError(f"The mask of {name!r} has the shape {np.shape(mask)}, but that of the images is {shape}.")
        inside = np.asarray(mask) != 0
        frames += [(number, image, plane) for image, plane in zip(images, inside, strict=True) if plane.any()]
    return frames


def _module(images: Sequence[Dataset], masks: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the Segmentation Image Module (PS3.3 C.8.20.2), and what else the object needs beside its frames."""
    segments = [
        dataset_of(
            {
                "SegmentNumber": number,
                "SegmentLabel": name,
                "SegmentAlgorithmType": "MANUAL",
                "SegmentedPropertyCategoryCodeSequence": [dataset_of(_ANATOMY)],
                "SegmentedPropertyTypeCodeSequence": [dataset_of(_ORGAN)],
            }
        )
        for number, name in enumerate(masks, 1)
    ]
    referenced = {"SeriesInstanceUID": images[0].SeriesInstanceUID}
    organization = generate_uid(entropy_srcs=[str(images[0].SeriesInstanceUID), "dimensions"])
    pointers = [(0x0062000B, 0x0062000A), (0x00200032, 0x00209113)]
    return {
        "ImageType": ("DERIVED", "PRIMARY"),
        "SegmentationType": "BINARY",
        "SegmentSequence": segments,
        "ContentLabel": "SEGMENTATION",
        "ContentDescription": "",
        "ContentCreatorName": "",
        "ContentDate": "20200101",
        "ContentTime": "120000",
        "LossyImageCompression": "00",
        "ManufacturerModelName": "phantom",
        "DeviceSerialNumber": "1",
        "SoftwareVersions": "1",
        "ReferencedSeriesSequence": [
            dataset_of({**referenced, "ReferencedInstanceSequence": [reference_to(image) for image in images]})
        ],
        "DimensionOrganizationSequence": [dataset_of({"DimensionOrganizationUID": organization})],
        "DimensionIndexSequence": [
            dataset_of(
                {
                    "DimensionOrganizationUID": organization,
                    "DimensionIndexPointer": pointer,
                    "FunctionalGroupPointer": group,
                }
            )
            for pointer, group in pointers
        ],
    }


def _source(image: Dataset) -> Dataset:
    source = reference_to(image)
    source.PurposeOfReferenceCodeSequence = [dataset_of(_PURPOSE)]
    return source
