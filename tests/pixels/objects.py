"""Objects with pixels, and headers, for the tests of this folder."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
)

from simple_orthanc.pixels.encapsulation import frame_streams
from simple_orthanc.pixels.stored import stored_values


def image(array: NDArray[Any], syntax: UID = ExplicitVRLittleEndian, **changes: Any) -> Dataset:
    """Make an object of frames, (frames, rows, columns) or (frames, rows, columns, 3), in native encoding."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = array.shape[:3]
    dataset.SamplesPerPixel = 1 if array.ndim == 3 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if array.ndim == 3 else "RGB"
    dataset.BitsAllocated = dataset.BitsStored = 8 * array.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    dataset.PlanarConfiguration = 0
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    content = array.astype(array.dtype.newbyteorder(order)).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if array.dtype.itemsize == 1 else "OW"
    for name, value in changes.items():
        setattr(dataset, name, value)
    if "BitsStored" in changes and "HighBit" not in changes:
        dataset.HighBit = dataset.BitsStored - 1
    return dataset


def compressed(dataset: Dataset, syntax: UID, frames: list[bytes], **changes: Any) -> Dataset:
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    for name, value in changes.items():
        setattr(dataset, name, value)
    return dataset


def shipped(name: str) -> NDArray[Any]:
    return stored_values(dcmread(str(get_testdata_file(name))))


def header(**values: Any) -> Dataset:
    dataset = Dataset()
    for name, value in {
        "SamplesPerPixel": 1, "BitsAllocated": 16, "BitsStored": 16, "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2", **values,
    }.items():  # fmt: skip
        setattr(dataset, name, value)
    return dataset


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def jpeg_lossless() -> tuple[bytes, tuple[Any, ...], int]:
    """A codestream for GDCM that pydicom ships, what is said of it, and its number of samples."""
    dataset = dcmread(str(get_testdata_file("SC_rgb_jpeg_gdcm.dcm")))
    (stream,) = frame_streams(dataset.PixelData, 1)
    rows, columns = dataset.Rows, dataset.Columns
    return stream, (rows, columns, 3, 8, 0, str(dataset.file_meta.TransferSyntaxUID)), 3 * rows * columns
