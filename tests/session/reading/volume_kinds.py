"""Volumes of each kind, as the files that they are read from and the arguments that read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.phantom import make_enhanced, make_series
from tests.session.reading.test_fetching import add_palette, stored_as
from tests.volume.helpers import segmentation
from tests.volume.mosaics import siemens_mosaic

# So many slices has each of these volumes.
SLICES = 6


class Kind(NamedTuple):
    """The files of a volume, and how it is read."""

    files: list[bytes]
    options: dict[str, Any]


def _kind(datasets: Sequence[Dataset], syntax: str = "explicit", **options: Any) -> Kind:
    return Kind([stored_as(dataset, syntax) for dataset in datasets], options)


def _mixed(first: Sequence[Dataset], second: Sequence[Dataset]) -> list[Dataset]:
    return [one for pair in zip(first, second, strict=True) for one in pair]


def _steps(**keywords: Any) -> list[Dataset]:
    second = make_series((SLICES, 3, 4), seed=5, TemporalPositionIdentifier=2, **keywords)
    return _mixed(second, make_series((SLICES, 3, 4), seed=6, TemporalPositionIdentifier=1, like=second[0], **keywords))


def _tracer() -> dict[str, Any]:
    agent = Dataset()
    agent.RadiopharmaceuticalStartTime, agent.RadionuclideTotalDose, agent.RadionuclideHalfLife = "110000", 3e8, 6586
    return {
        "modality": "PT",
        "Units": "BQML",
        "PatientWeight": 70,
        "CorrectedImage": ("DECY", "ATTN"),
        "DecayCorrection": "START",
        "StudyDate": "20200101",
        "SeriesDate": "20200101",
        "AcquisitionDate": "20200101",
        "SeriesTime": "120000",
        "AcquisitionTime": "120000",
        "RadiopharmaceuticalInformationSequence": [[agent]] * SLICES,
    }


def _segments() -> Dataset:
    rng = np.random.default_rng(3)
    frames = []
    for z in range(SLICES):
        first = rng.random((4, 5)) < 0.4
        frames += [(1, 2.0 * z, first), (2, 2.0 * z, ~first & (rng.random((4, 5)) < 0.5))]
    return segmentation(frames)


def _fractions() -> Dataset:
    rng = np.random.default_rng(4)
    frames = [(1, 2.0 * z, rng.integers(0, 255, (4, 5))) for z in range(SLICES)]
    return segmentation(frames, kind="FRACTIONAL", MaximumFractionalValue=254)


def _sparse(kind: str) -> list[Dataset]:
    """Return a segmentation in three objects, of which slices 1, 3 and 4 have no frame."""
    rng = np.random.default_rng(5)
    factor = 3 if kind == "LABELMAP" else 1
    frames = [(2, z, factor * (rng.random((4, 5)) < 0.5)) for z in (10.0, 0.0, 4.0)]
    cut = {"ConcatenationUID": "1.2.3", "InConcatenationTotalNumber": 3, "PixelPaddingValue": None}
    if kind == "LABELMAP":
        cut["PixelPaddingValue"] = 7
    first = segmentation(frames[:1], kind=kind, InConcatenationNumber=1, **cut)
    return [
        first,
        *(
            segmentation([frame], kind=kind, like=first, InConcatenationNumber=number, **cut)
            for number, frame in enumerate(frames[1:], 2)
        ),
    ]


def _palette() -> list[Dataset]:
    array = np.random.default_rng(1).integers(0, 256, (SLICES, 3, 4)).astype(np.uint8)
    series = make_series(array=array, slope=None, intercept=None)
    for dataset in series:
        dataset.PhotometricInterpretation = "PALETTE COLOR"
        add_palette(dataset)
    return series


def _one_padded() -> list[Dataset]:
    series = make_series((SLICES, 3, 4), seed=2)
    series[1].PixelPaddingValue = int(series[1].pixel_array[0, 0])
    return series


def _mosaics() -> list[Dataset]:
    arrays = np.random.default_rng(2).integers(0, 900, (2, SLICES, 4, 5)).astype(np.int16)
    first = siemens_mosaic(arrays[0], AcquisitionNumber=1, InstanceNumber=1)
    return [first, siemens_mosaic(arrays[1], AcquisitionNumber=2, InstanceNumber=2, like=first)]


def _enhanced_steps() -> list[Dataset]:
    first = make_enhanced((SLICES, 3, 4), seed=1, TemporalPositionIdentifier=1, InstanceNumber=1)
    return [
        first,
        make_enhanced((SLICES, 3, 4), seed=2, like=first, TemporalPositionIdentifier=2, InstanceNumber=2),
    ]


def _enhanced_in_one() -> Dataset:
    positions = [(0.0, 0.0, float(z)) for z in range(SLICES)] * 2
    indices = [1] * SLICES + [2] * SLICES
    return make_enhanced(
        (2 * SLICES, 3, 4), positions=positions, groups={"FrameContentSequence": {"TemporalPositionIndex": indices}}
    )


def _one_position() -> Dataset:
    (image,) = make_series((1, 3, 4), seed=1, SliceThickness=None)
    image.NumberOfFrames = SLICES
    image.PixelData = np.random.default_rng(6).integers(0, 900, (SLICES, 3, 4)).astype(np.int16).tobytes()
    return image


def _own_series() -> list[Dataset]:
    series = make_series((SLICES, 3, 4), seed=1)
    for number, dataset in enumerate(series):
        dataset.SeriesInstanceUID = f"1.2.3.{number}"
    return series


def _holey() -> list[Dataset]:
    return [dataset for number, dataset in enumerate(make_series((SLICES, 3, 4), seed=1)) if number not in (2, 3)]


def _other_order() -> list[Dataset]:
    """Slices whose numbers run against their positions."""
    series = make_series((SLICES, 3, 4), seed=4)
    for number, dataset in enumerate(series):
        dataset.InstanceNumber = SLICES - number
    return series[::-1]


def kinds() -> dict[str, Kind]:
    """Return a volume of each kind."""
    random = np.random.default_rng(7)
    shape = (SLICES, 3, 4)
    floats = random.normal(size=shape).astype("f4")
    colour = random.integers(0, 256, (*shape, 3)).astype(np.uint8)
    return {
        "CT": _kind(make_series(shape, seed=1, slope=1, intercept=-1024, bits_stored=12)),
        "CT in reverse": _kind(_other_order()),
        "tilted": _kind(make_series(shape, ImagePositionPatient=[(0, 0.3 * n, float(n)) for n in range(SLICES)])),
        "sagittal": _kind(make_series(shape, orientation=(0, 1, 0, 0, 0, -1), spacing=(2.5, 0.7, 1.3))),
        "PET with slopes": _kind(make_series(shape, modality="PT", slope=[0.5, 1, 2, 0.25, 3, 0.1], Units="BQML")),
        "SUV": _kind(make_series(shape, seed=2, **_tracer()), units="SUVbw"),
        "one wide slope": _kind(make_series(shape, slope=[1, 1, 1, 1, 1, 1000], intercept=0)),
        "floats": _kind(make_series(array=floats, slope=None, intercept=None, BitsStored=32, PixelRepresentation=0)),
        "32 bits": _kind(make_series(shape, dtype="int32", slope=None, intercept=None)),
        "colour": _kind(make_series(array=colour, slope=None, intercept=None)),
        "palette": _kind(_palette()),
        "RLE": _kind(make_series(shape, seed=3), "rle"),
        "big endian": _kind(make_series(shape, seed=3), "big"),
        "stored": _kind(make_series(shape, seed=3, intercept=-5), units="stored"),
        "padded": _kind(make_series(shape, seed=3, PixelPaddingValue=3)),
        "one padded": _kind(_one_padded()),
        "holes": _kind(_holey(), gaps="nan"),
        "no position": _kind(make_series(shape, ImagePositionPatient=None, ImageOrientationPatient=None)),
        "one slice": _kind(make_series((1, 3, 4))),
        "time": _kind(_steps(), dims="time"),
        "time, padded": _kind(_steps(PixelPaddingValue=3), dims="time"),
        "mosaics": _kind(_mosaics(), dims="time"),
        "one mosaic": _kind(_mosaics()[:1]),
        "enhanced": _kind([make_enhanced(shape, slope=[1, 2, 3, 1, 2, 3])]),
        "enhanced, time": _kind(_enhanced_steps(), dims="time"),
        "enhanced, time in one": _kind([_enhanced_in_one()], dims="time"),
        "frames of one position": _kind([_one_position()], spacing=2.5),
        "a series for each slice": _kind(_own_series(), across_series=True),
        "segments": _kind([_segments()]),
        "fractions": _kind([_fractions()]),
        "segments in objects": _kind(_sparse("BINARY")),
        "labels in objects": _kind(_sparse("LABELMAP")),
    }
