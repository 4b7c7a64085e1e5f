"""Synthetic images: one object per slice, one object of many frames, a CT of a cylinder with rods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "NM": "1.2.840.10008.5.1.4.1.1.20",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "RTDOSE": "1.2.840.10008.5.1.4.1.1.481.2",
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ENHANCED_SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2.1",
    "MR": "1.2.840.10008.5.1.4.1.1.4.1",
    "PT": "1.2.840.10008.5.1.4.1.1.130",
}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def make_series(
    shape: tuple[int, int, int] = (3, 4, 4),
    *,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = AXIAL,
    modality: str = "CT",
    array: NDArray[Any] | None = None,
    dtype: DTypeLike = "int16",
    bits_stored: int | None = None,
    slope: float | Sequence[float] | None = 1.0,
    intercept: float | Sequence[float] | None = 0.0,
    seed: int | None = None,
    like: Dataset | None = None,
    **keywords: Any,
) -> list[Dataset]:
    """Make a series of single-frame images, one per slice, in the order of their positions.

    Parameters
    ----------
    shape : tuple of int
        Slices, rows, columns; ignored where `array` is given.
    spacing : tuple of float
        Between slices, rows and columns, in mm.
    origin : sequence of float
        ImagePositionPatient of the first slice: the centre of its first pixel, x, y, z in mm (LPS).
    orientation : sequence of float
        ImageOrientationPatient: the direction cosines of increasing column index, then of increasing row index. The
        slices follow each other along their cross product.
    modality : str
        Decides the SOP class; a modality that is not in ``SOP_CLASSES`` gives Secondary Capture.
    array : ndarray, optional
        The *stored* values, (slice, row, column), or (slice, row, column, 3) for RGB. Default: every pixel of a slice
        holds the number of the slice.
    dtype : dtype
        Type of the default pattern; a given `array` keeps its own. Floats are written as Float or Double Float Pixel
        Data.
    bits_stored : int, optional
        BitsStored; all allocated bits by default.
    slope, intercept : float, sequence of float or None
        RescaleSlope and RescaleIntercept, one for all or one per slice; None leaves the tag out.
    seed : int, optional
        The same seed gives the same UIDs; without it they are fresh.
    like : pydicom.Dataset, optional
        An image whose study, series and frame of reference the new ones belong to.
    **keywords
        Any DICOM keyword. A list is one value per slice; anything else, a tuple too, is the value of every slice. None
        leaves the tag out.

    Returns
    -------
    list of pydicom.Dataset
        Complete with file meta information, so that ``save_as(path, enforce_file_format=True)`` works.

    Raises
    ------
    ValueError
        If a list has not one value per slice.

    Examples
    --------
    >>> series = make_series((3, 4, 4), spacing=(2.0, 0.7, 1.3), InstanceNumber=[9, 8, 7])
    >>> [(int(d.InstanceNumber), float(d.ImagePositionPatient[2])) for d in series]
    [(9, 0.0), (8, 2.0), (7, 4.0)]
    """
    values = _pattern(shape, dtype) if array is None else np.asarray(array)
    count = len(values)
    normal = slice_normal(orientation)
    uids = identifiers(seed, count, keywords, like)
    result = []
    for number in range(count):
        dataset = _image(values[number], bits_stored, colour=values.ndim == 4)
        position = np.asarray(origin, float) + number * spacing[0] * normal
        tags: dict[str, Any] = {
            "SOPInstanceUID": uids["instances"][number],
            "InstanceNumber": number + 1,
            "ImagePositionPatient": tuple(position),
            "ImageOrientationPatient": tuple(orientation),
            "PixelSpacing": (spacing[1], spacing[2]),
            "SliceThickness": spacing[0],
            "RescaleSlope": _pick(slope, number),
            "RescaleIntercept": _pick(intercept, number),
        }
        tags.update({name: _of_slice(name, value, number, count) for name, value in keywords.items()})
        for name, value in {**common_tags(modality, uids), **tags}.items():
            put(dataset, name, value)
        result.append(with_file_meta(dataset))
    return result


def make_enhanced(
    shape: tuple[int, int, int] = (3, 4, 4),
    *,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = AXIAL,
    positions: Sequence[Sequence[float]] | None = None,
    modality: str = "MR",
    array: NDArray[Any] | None = None,
    dtype: DTypeLike = "int16",
    slope: float | Sequence[float] = 1.0,
    intercept: float | Sequence[float] = 0.0,
    groups: dict[str, dict[str, Any]] | None = None,
    seed: int | None = None,
    like: Dataset | None = None,
    **keywords: Any,
) -> Dataset:
    """Make one enhanced multi-frame image, its geometry and rescaling in functional groups.

    The arguments are those of :func:`make_series`, and these:

    Parameters
    ----------
    positions : sequence of three floats, optional
        ImagePositionPatient of every frame, in the order of the frames; by default regular along the normal.
    slope, intercept : float or sequence of float
        One number goes into the shared, one per frame into the per-frame functional groups.
    groups : dict
        Further functional groups: the keyword of the sequence to its tags. A list is one value per frame, and puts the
        group into the per-frame functional groups; otherwise it is shared.
    **keywords
        DICOM keywords of the whole object.

    Returns
    -------
    pydicom.Dataset
        Complete with file meta information.

    Examples
    --------
    >>> image = make_enhanced((2, 4, 4), groups={"FrameContentSequence": {"TemporalPositionIndex": [1, 2]}})
    >>> [frame.FrameContentSequence[0].TemporalPositionIndex for frame in image.PerFrameFunctionalGroupsSequence]
    [1, 2]
    """
    values = _pattern(shape, dtype) if array is None else np.asarray(array)
    count = len(values)
    uids = identifiers(seed, 1, keywords, like)
    dataset = _image(values, None, colour=values.ndim == 4)
    if positions is None:
        steps = np.arange(count)[:, None] * spacing[0] * slice_normal(orientation)
        positions = [tuple(position) for position in np.asarray(origin, float) + steps]
    contents: dict[str, dict[str, Any]] = {
        "PlanePositionSequence": {"ImagePositionPatient": [tuple(position) for position in positions]},
        "PlaneOrientationSequence": {"ImageOrientationPatient": tuple(orientation)},
        "PixelMeasuresSequence": {"PixelSpacing": (spacing[1], spacing[2]), "SliceThickness": spacing[0]},
        "PixelValueTransformationSequence": {
            "RescaleSlope": [_pick(slope, number) for number in range(count)] if np.ndim(slope) else slope,
            "RescaleIntercept": [_pick(intercept, number) for number in range(count)]
            if np.ndim(intercept)
            else intercept,
            "RescaleType": "HU" if modality == "CT" else "US",
        },
        **(groups or {}),
    }
    shared, frames = Dataset(), [Dataset() for _ in range(count)]
    for sequence, tags in contents.items():
        per_frame = any(isinstance(value, list) for value in tags.values())
        for number, target in enumerate(frames if per_frame else [shared]):
            item = Dataset()
            for name, value in tags.items():
                put(item, name, _of_slice(name, value, number, count))
            setattr(target, sequence, [item])
    tags = {
        **common_tags(modality, uids),
        "SOPClassUID": ENHANCED_SOP_CLASSES.get(modality, SOP_CLASSES.get(modality, SECONDARY_CAPTURE)),
        "SOPInstanceUID": uids["instances"][0],
        "InstanceNumber": 1,
        "NumberOfFrames": count,
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": frames,
    }
    for name, value in {**tags, **keywords}.items():
        put(dataset, name, value)
    return with_file_meta(dataset)


@dataclass(frozen=True)
class Rod:
    """A rod of `ct_phantom`, parallel to z: centre and radius in mm, value in HU, and the lowest z it reaches.

    Examples
    --------
    >>> fat = CT_RODS[1]
    >>> fat.x, fat.y, fat.radius, fat.hounsfield
    (40.0, 0.0, 12.0, -100)
    """

    x: float
    y: float
    radius: float
    hounsfield: int
    z_from: float = -np.inf


CT_SPACING = (2.5, 1.5, 1.5)
CT_CYLINDER_RADIUS = 80.0
CT_RODS = (
    Rod(x=-40.0, y=0.0, radius=12.0, hounsfield=-800),
    Rod(x=40.0, y=0.0, radius=12.0, hounsfield=-100),
    Rod(x=0.0, y=-40.0, radius=12.0, hounsfield=300),
    Rod(x=0.0, y=40.0, radius=12.0, hounsfield=1000, z_from=0.0),
)


def ct_phantom(shape: tuple[int, int, int] = (40, 128, 128), *, seed: int | None = 1) -> list[Dataset]:
    """Make a CT of a cylinder of water (0 HU) in air (-1000 HU) that holds the four rods of ``CT_RODS``.

    The cylinder's axis is the z axis. The voxels measure ``CT_SPACING``, 2.5 mm by 1.5 mm by 1.5 mm, and the middle of
    the volume is at 0, 0, 0 mm. The rod at the back (y = 40 mm) is only in the upper half, so that a volume turned
    upside down is seen to be so.

    Parameters
    ----------
    shape : tuple of int
        Slices, rows, columns.
    seed : int, optional
        As in :func:`make_series`; the default gives the same UIDs every time.

    Returns
    -------
    list of pydicom.Dataset
        Unsigned 12-bit CT images with RescaleSlope 1 and RescaleIntercept -1024, in the order of their positions.

    Examples
    --------
    >>> slices = ct_phantom((4, 64, 64))
    >>> len(slices), slices[0].Rows, [float(mm) for mm in slices[0].ImagePositionPatient]
    (4, 64, [-47.25, -47.25, -3.75])
    """
    origin = [-(size - 1) / 2 * step for size, step in zip(shape, CT_SPACING, strict=True)]
    z, y, x = (start + step * np.arange(size) for start, step, size in zip(origin, CT_SPACING, shape, strict=True))
    hounsfield = np.full(shape, -1000)
    plane_y, plane_x = y[:, None], x[None, :]
    hounsfield[:, plane_x**2 + plane_y**2 <= CT_CYLINDER_RADIUS**2] = 0
    for rod in CT_RODS:
        inside = (plane_x - rod.x) ** 2 + (plane_y - rod.y) ** 2 <= rod.radius**2
        hounsfield[(z >= rod.z_from)[:, None, None] & inside] = rod.hounsfield
    return make_series(
        spacing=CT_SPACING,
        origin=origin[::-1],
        array=(hounsfield + 1024).astype(np.uint16),
        bits_stored=12,
        intercept=-1024,
        seed=seed,
        PatientName="Phantom^Water",
        PatientID="CT-PHANTOM",
        StudyDescription="Synthetic phantom",
        SeriesDescription="ct_scan",
        RescaleType="HU",
        ImageType=("ORIGINAL", "PRIMARY", "AXIAL"),
        KVP=120,
    )


def as_bytes(dataset: Dataset) -> bytes:
    """Return the DICOM file (PS3.10) of a dataset that has file meta information.

    Examples
    --------
    >>> as_bytes(make_series((1, 2, 2))[0])[128:132]
    b'DICM'
    """
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def put(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set a tag by its keyword; floats are shortened to the 16 characters of a decimal string, None deletes the tag.

    Examples
    --------
    >>> dataset = Dataset()
    >>> put(dataset, "SliceThickness", 1 / 3)
    >>> str(dataset.SliceThickness)
    '0.33333333333333'
    """
    if value is None:
        if keyword in dataset:
            delattr(dataset, keyword)
        return
    vr = dictionary_VR(keyword)
    if vr == "US or SS":
        dataset.add_new(keyword, "SS" if dataset.PixelRepresentation else "US", value)
        return
    if vr == "DS" and not isinstance(value, str):
        value = [_decimal(one) for one in value] if isinstance(value, Sequence | np.ndarray) else _decimal(value)
    elif isinstance(value, tuple):
        value = list(value)
    setattr(dataset, keyword, value)


def _decimal(value: Any) -> DSfloat:
    return DSfloat(float(value), auto_format=True)


def slice_normal(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Return the direction in which slices follow each other."""
    cosines = np.asarray(orientation, np.float64)
    return np.cross(cosines[:3], cosines[3:])


def _pattern(shape: tuple[int, int, int], dtype: DTypeLike) -> NDArray[Any]:
    return np.broadcast_to(np.arange(shape[0]).astype(dtype)[:, None, None], shape)


def _pick(value: float | Sequence[float] | None, number: int) -> float | None:
    return value[number] if isinstance(value, Sequence | np.ndarray) else value


def _of_slice(name: str, value: Any, number: int, count: int) -> Any:
    if not isinstance(value, list):
        return value
    if len(value) != count:
        raise ValueError(f"{name}: a list needs one value per slice, {count}, but has {len(value)}; use a tuple")
    return value[number]


def identifiers(seed: int | None, count: int, keywords: dict[str, Any], like: Dataset | None) -> dict[str, Any]:
    """Return UIDs for a study, a series, a frame of reference and the instances."""
    after = str(like.SOPInstanceUID) if like else ""

    def uid(name: str) -> str:
        return str(generate_uid(entropy_srcs=None if seed is None else ["simple_orthanc", str(seed), after, name]))

    given = keywords.get("SOPInstanceUID")
    return {
        "study": like.StudyInstanceUID if like else uid("study"),
        "series": like.SeriesInstanceUID if like else uid("series"),
        "frame of reference": like.get("FrameOfReferenceUID") if like else uid("frame of reference"),
        "instances": [given] * count if isinstance(given, str) else [uid(f"instance {n}") for n in range(count)],
    }


def common_tags(modality: str, uids: dict[str, Any]) -> dict[str, Any]:
    """Return the tags of patient, study, series and equipment."""
    return {
        "SOPClassUID": SOP_CLASSES.get(modality, SECONDARY_CAPTURE),
        "PatientName": "Phantom",
        "PatientID": "PHANTOM",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyInstanceUID": uids["study"],
        "StudyID": "1",
        "StudyDate": "20200101",
        "StudyTime": "120000",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "SeriesInstanceUID": uids["series"],
        "SeriesNumber": 1,
        "Modality": modality,
        "Manufacturer": "simple_orthanc",
        "FrameOfReferenceUID": uids["frame of reference"],
        "PositionReferenceIndicator": "",
    }


def _image(values: NDArray[Any], bits_stored: int | None, colour: bool) -> Dataset:
    """Return a dataset with the Image Pixel Module (PS3.3 C.7.6.3) of the stored values of all its frames."""
    rows, columns = values.shape[-3:-1] if colour else values.shape[-2:]
    dataset = Dataset()
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = 8 * values.dtype.itemsize
    data = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    if values.dtype.kind == "f":
        setattr(dataset, "FloatPixelData" if values.dtype.itemsize == 4 else "DoubleFloatPixelData", data)
        return dataset
    dataset.BitsStored = bits_stored or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.add_new("PixelData", "OB" if dataset.BitsAllocated == 8 else "OW", data + b"\0" * (len(data) % 2))
    return dataset


def with_file_meta(dataset: Dataset) -> Dataset:
    """Add the file meta information (PS3.10) to a dataset, and return it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    return dataset


def patient_and_study(image: Dataset) -> dict[str, Any]:
    """Return the tags of the patient and the study of an image, for an object of another series in it."""
    names = "PatientID PatientName PatientBirthDate PatientSex StudyID StudyDate StudyTime StudyDescription"
    names += " AccessionNumber ReferringPhysicianName"
    return {name: image[name].value for name in names.split() if name in image}


def dataset_of(tags: Mapping[str, Any]) -> Dataset:
    """Return a dataset with these tags, for an item of a sequence."""
    dataset = Dataset()
    for name, value in tags.items():
        put(dataset, name, value)
    return dataset


def reference_to(image: Dataset) -> Dataset:
    """Return the item of a sequence that refers to an image."""
    return dataset_of({"ReferencedSOPClassUID": image.SOPClassUID, "ReferencedSOPInstanceUID": image.SOPInstanceUID})
