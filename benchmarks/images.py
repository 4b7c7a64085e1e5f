"""The series with real pixels: a CT of 300 slices, compressed copies of 100 of them, and a 4D series.

All is the same every time: the noise comes from a generator with a seed, and so do the UIDs.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from benchmarks.archive import orthanc_id
from simple_orthanc.phantom import as_bytes, make_series

PATIENT = "Bench^Volume"
PATIENT_ID = "BENCH-VOLUME"
_PROCESSES = 2

# Elements of a CT beyond those that every image must have.
CT_HEADER: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"),
    "InstanceCreationDate": "20200101",
    "InstanceCreationTime": "120102.093000",
    "SeriesDate": "20200101",
    "AcquisitionDate": "20200101",
    "ContentDate": "20200101",
    "SeriesTime": "120010.375000",
    "AcquisitionTime": "120012.104821",
    "ContentTime": "120012.104821",
    "InstitutionName": "Bench Hospital",
    "InstitutionAddress": "Loopback 1",
    "StationName": "CT99999",
    "StudyDescription": "Thorax^routine",
    "PhysiciansOfRecord": "Physician^Of^Record",
    "OperatorsName": "Operator^One",
    "ManufacturerModelName": "Bench 64",
    "PatientAge": "050Y",
    "PatientSize": 1.75,
    "PatientWeight": 75,
    "BodyPartExamined": "CHEST",
    "ScanOptions": "SPIRAL CT",
    "KVP": 120,
    "DataCollectionDiameter": 500,
    "DeviceSerialNumber": "99999",
    "SoftwareVersions": "syngo CT 2012B",
    "ProtocolName": "ThoraxRoutine",
    "ReconstructionDiameter": 360,
    "DistanceSourceToDetector": 1085.6,
    "DistanceSourceToPatient": 595,
    "GantryDetectorTilt": 0,
    "TableHeight": 151,
    "RotationDirection": "CW",
    "ExposureTime": 500,
    "XRayTubeCurrent": 212,
    "Exposure": 106,
    "FilterType": "FLAT",
    "GeneratorPower": 25,
    "FocalSpots": 1.2,
    "ConvolutionKernel": "B30f",
    "PatientPosition": "HFS",
    "AcquisitionNumber": 1,
    "WindowCenter": (40, 400),
    "WindowWidth": (400, 2000),
    "WindowCenterWidthExplanation": ("WINDOW1", "WINDOW2"),
    "RescaleType": "HU",
    "RequestedProcedureDescription": "CT Thorax",
}


@dataclass(frozen=True)
class Images:
    """A series on disk.

    Attributes
    ----------
    description : str
        Its SeriesDescription, which no other series has.
    files : tuple of Path
        In the order of the slices, time by time.
    uid : str
        Its SeriesInstanceUID.
    series : str
        Orthanc's identifier.
    instances : tuple of str
        Orthanc's identifiers, in the order of `files`.
    shape : tuple of int
        Of the array.
    digest : str
        Of the right array: see `digest`.
    """

    description: str
    files: tuple[Path, ...]
    uid: str
    series: str
    instances: tuple[str, ...]
    shape: tuple[int, ...]
    digest: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files)


def digest(array: NDArray[Any]) -> str:
    """Return a string that is the same for arrays with the same shape and the same values, if these fit into 16 bits.

    A last axis of length 1 is ignored.
    """
    if array.shape[-1] == 1:
        array = array[..., 0]
    exact = np.ascontiguousarray(array, "<i2")
    if not np.array_equal(exact, array):
        return "not 16-bit integers"
    return f"{array.shape} {hashlib.sha256(exact.data).hexdigest()}"


def make_ct(folder: Path, shape: tuple[int, int, int], description: str = "ct_volume", seed: int = 1) -> Images:
    """Make a CT of a body with the noise of a scanner: strong, and similar in neighbouring pixels.

    Unsigned 12-bit values in 16 bits, RescaleIntercept -1024, slices of 1 mm.
    """
    rng = np.random.default_rng(seed)
    slices, rows, columns = shape
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    radius = np.hypot(x / 0.85, y / 0.65)
    body = np.where(radius < 1, 40.0, -1000.0) + np.where(np.hypot(x, y - 0.45) < 0.12, 700.0, 0.0)
    lungs = (np.hypot((np.abs(x) - 0.4) / 0.28, y / 0.42) < 1) * -850.0
    stored = np.empty(shape, np.uint16)
    for number in range(slices):
        noise = rng.standard_normal((rows, columns), np.float32)
        smooth = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, (1, 1), (0, 1))) / 2
        values = body + lungs * (0.4 + 0.6 * np.sin(np.pi * number / slices)) + 18 * smooth
        stored[number] = np.clip(np.rint(values) + 1024, 0, 4095)
    datasets = make_series(
        array=stored,
        bits_stored=12,
        intercept=-1024,
        spacing=(1.0, 0.703125, 0.703125),
        origin=(-180.0, -180.0, -150.0),
        seed=seed,
        PatientName=PATIENT,
        PatientID=PATIENT_ID,
        SeriesDescription=description,
        SeriesNumber=seed,
        **CT_HEADER,
    )
    return _write(folder, datasets, description, stored.astype(np.int16) - 1024)


def make_time_series(
    folder: Path, shape: tuple[int, int, int, int], description: str = "mr_times", seed: int = 2
) -> Images:
    """Make an MR series with several times at each position; `shape` is (time, slice, row, column)."""
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 4096, shape, np.uint16)
    times, slices = shape[:2]
    datasets = make_series(
        array=array.reshape(-1, *shape[2:]),
        modality="MR",
        bits_stored=12,
        slope=None,
        intercept=None,
        seed=seed,
        PatientName=PATIENT,
        PatientID=PATIENT_ID,
        StudyID="2",
        SeriesDescription=description,
        ImagePositionPatient=[(0.0, 0.0, 3.0 * number) for _ in range(times) for number in range(slices)],
        SliceThickness=3.0,
        TemporalPositionIdentifier=[1 + number for number in range(times) for _ in range(slices)],
        NumberOfTemporalPositions=times,
        AcquisitionTime=[f"12{number // 60:02d}{number % 60:02d}" for number in range(times) for _ in range(slices)],
        RepetitionTime=2000,
        EchoTime=30,
    )
    return _write(folder, datasets, description, array.astype(np.int16))


def make_compressed(folder: Path, original: Images, count: int, syntax: str) -> Images:
    """Make a copy of the first slices of a series in a compressed transfer syntax, as a series of its own.

    Raises
    ------
    RuntimeError
        A compressed file does not decode to the values it was made of.
    """
    folder.mkdir(parents=True)
    description = {JPEG2000Lossless: "jpeg_2000", JPEGLosslessSV1: "jpeg_lossless"}[pydicom.uid.UID(syntax)]
    jobs = [(path, folder / path.name, syntax, description) for path in original.files[:count]]
    with ProcessPoolExecutor(_PROCESSES) as pool:
        pixels = np.stack(list(pool.map(_compress, jobs)))
    wanted = np.stack([pydicom.dcmread(path).pixel_array for path in original.files[:count]])
    if not np.array_equal(pixels, wanted):
        raise RuntimeError(f"{description}: what was compressed is not what was meant")
    return _described(tuple(job[1] for job in jobs), description, wanted.astype(np.int16) - 1024)


def _compress(job: tuple[Path, Path, str, str]) -> NDArray[Any]:
    source, target, syntax, description = job
    dataset = pydicom.dcmread(source)
    dataset.SeriesDescription = description
    dataset.SeriesInstanceUID = f"{dataset.SeriesInstanceUID[:50]}.{len(description)}"
    dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID[:50]}.{len(description)}.{dataset.InstanceNumber}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if syntax == JPEG2000Lossless:
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(target, enforce_file_format=True)
    else:
        dataset.save_as(target, enforce_file_format=True)
        _to_jpeg_lossless(target)
    return pydicom.dcmread(target).pixel_array


def _to_jpeg_lossless(path: Path) -> None:
    """Compress with GDCM, since pydicom has no encoder for JPEG Lossless."""
    import gdcm  # type: ignore[import-untyped]

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        raise RuntimeError(f"GDCM cannot read {path.name}")
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise RuntimeError(f"GDCM cannot compress {path.name}")
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        raise RuntimeError(f"GDCM cannot write {path.name}")


def _write(folder: Path, datasets: list[Dataset], description: str, array: NDArray[Any]) -> Images:
    folder.mkdir(parents=True)
    files = []
    for number, dataset in enumerate(datasets):
        path = folder / f"{number:04d}.dcm"
        path.write_bytes(as_bytes(dataset))
        files.append(path)
    return _described(tuple(files), description, array)


def _described(files: tuple[Path, ...], description: str, array: NDArray[Any]) -> Images:
    tags = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    chains = []
    for path in files:
        header = pydicom.dcmread(path, specific_tags=list(tags), stop_before_pixels=True)
        chains.append([str(header[tag].value) for tag in tags])
    instances = tuple(orthanc_id(*chain) for chain in chains)
    return Images(description, files, chains[0][2], orthanc_id(*chains[0][:3]), instances, array.shape, digest(array))
